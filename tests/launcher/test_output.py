"""Output, input, files and terminals."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

import pytest

SHELL = "sh", "-c"
PY = sys.executable, "-c"


def test_tags(ameexec):
    job = ameexec.run("-l", "-n", 3, *SHELL, "echo a; echo b; echo c >&2")
    assert sorted(job.out.splitlines()) == sorted(f"[{r}] {x}" for r in range(3) for x in "ab")
    assert sorted(job.err.splitlines()) == [f"[{r}] c" for r in range(3)]


@pytest.mark.parametrize("option", ["-prepend-rank", "--tag-output", "--label", "--output=tag", "-tag-output"])
def test_spellings_of_tags(ameexec, option):
    assert ameexec.run(option, "-n", 1, "echo", "x").out == "[0] x\n"


def test_pattern(ameexec):
    job = ameexec.run("-prepend-pattern", "%r@%h %p %t%%: ", "-n", 1, *SHELL, "echo $$")
    assert re.fullmatch(r"0@\S+ (\d+) \d\d:\d\d:\d\d\.\d{3}%: \1\n", job.out)


def test_no_tag_inside_a_line(ameexec):
    """One line in two writes, with more than the holding time between them and nobody else writing."""
    job = ameexec.run("-l", "-n", 1, *SHELL, "printf ab; sleep 0.2; echo cd")
    assert job.out == "[0] abcd\n"


def test_interrupted_line_gets_a_new_tag(ameexec, tmp_path):
    """Rank 1 writes after the beginning of rank 0's line has been shown, and rank 0 goes on after that."""
    job = ameexec("-wdir", tmp_path, "-l", "-n", 2, *SHELL,
                  "[ $AME_RANK = 0 ] && { printf ab; until [ -e go0 ]; do sleep 0.01; done; echo cd; exit; }\n"
                  "until [ -e go1 ]; do sleep 0.01; done; echo other")
    shown = b""
    for text, file in (b"[0] ab", "go1"), (b"other\n", "go0"):
        while not shown.endswith(text):
            shown += os.read(job.process.stdout.fileno(), 1)
        (tmp_path / file).touch()
    job.wait()
    assert shown.decode() + job.out == "[0] ab\n[1] other\n[0] cd\n"


def test_unfinished_last_line(ameexec):
    assert ameexec.run("-n", 2, "printf", "x").out == "xx"
    assert sorted(ameexec.run("-l", "-n", 2, "printf", "x").out.splitlines()) == ["[0] x", "[1] x"]


def test_progress_bar(ameexec):
    job = ameexec.run("-l", "-n", 1, *PY, r"import sys; sys.stdout.write('1%\r2%\r3%\r\n')")
    assert job.process.returncode == 0
    assert job.out == "[0] 1%\r[0] 2%\r[0] 3%\r\n"


def test_progress_bar_with_pauses(ameexec):
    """Each part that ends with '\r' is shown after the holding time, and what overwrites it has its tag again."""
    job = ameexec.run("-l", "-n", 1, *PY, r"""
import sys, time
for part in "1%\r", "2%\r", "3%\n":
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.2)
""")
    assert job.process.returncode == 0
    assert job.out == "[0] 1%\r[0] 2%\r[0] 3%\n"


def test_partial_line_appears(ameexec):
    """A prompt without newline is seen while the rank waits."""
    job = ameexec("-n", 2, *SHELL, "[ $AME_RANK = 0 ] && printf 'name? '; exec sleep 60")
    assert os.read(job.process.stdout.fileno(), 100) == b"name? "
    job.process.terminate()
    job.wait()


def test_lines_are_whole(ameexec):
    code = ("import os, sys\nr = os.environ['AME_RANK']\nfor i in range(300):\n"
            "    for part in (r * 50, r * 30, '\\n'): sys.stdout.write(part); sys.stdout.flush()\n")
    job = ameexec.run("-n", 4, *PY, code)
    lines = job.out.splitlines()
    assert len(lines) == 1200
    assert all(len(line) == 80 and len(set(line)) == 1 for line in lines)


def test_slow_reader_loses_nothing(ameexec):
    """Four ranks write 4 MiB each into a pipe that nobody reads at first; ranks are stopped meanwhile, memory stays small."""
    size = 4 << 20
    job = ameexec("-n", 4, *PY, f"import sys; sys.stdout.write('x' * 63 + '\\n'); sys.stdout.write(('y' * 63 + '\\n') * {size // 64})")
    assert job.process.stdout.readline() == b"x" * 63 + b"\n"
    with open(f"/proc/{job.pid}/status") as file:
        peak = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
    assert peak < 40000
    job.wait()
    assert job.code == 0
    assert len(job.out) == 4 * (size + 64) - 64


def test_failure_while_output_is_blocked(ameexec):
    """A rank fails while nobody reads; others are ended, and the output is complete once somebody reads."""
    from conftest import until
    job = ameexec("-n", 2, *SHELL, "[ $AME_RANK = 0 ] && { head -c 3000000 /dev/zero | tr '\\0' 'z'; sleep 60; }; exit 7")
    until(lambda: not ameexec.living() or len(ameexec.living()) <= 2, 5, "end of the ranks")
    job.wait()
    assert job.code == 7


def test_one_file_per_rank(ameexec, tmp_path):
    job = ameexec.run("-outfile-pattern", tmp_path / "%r.out", "-errfile-pattern", tmp_path / "%r.err", "-n", 3, *SHELL,
                      "echo out $AME_RANK; echo err $AME_RANK >&2")
    assert (job.out, job.err) == ("", "")
    for rank in range(3):
        assert (tmp_path / f"{rank}.out").read_text() == f"out {rank}\n"
        assert (tmp_path / f"{rank}.err").read_text() == f"err {rank}\n"


def test_output_filename(ameexec, tmp_path):
    ameexec.run("--output-filename", tmp_path / "log", "-n", 2, *SHELL, "echo out; echo err >&2")
    assert sorted(os.listdir(tmp_path)) == ["log.0", "log.1"]
    assert sorted((tmp_path / "log.1").read_text().split()) == ["err", "out"]


def test_file_named_by_process_and_host(ameexec, tmp_path):
    job = ameexec.run("-o", tmp_path / "%h-%p", "-n", 1, *SHELL, f"echo $$ > {tmp_path}/pid; echo x")
    assert job.code == 0
    pid = (tmp_path / "pid").read_text().strip()
    assert (tmp_path / f"{os.uname().nodename}-{pid}").read_text() == "x\n"


def test_file_cannot_be_opened(ameexec, tmp_path):
    job = ameexec.run("-o", tmp_path / "no" / "%r", "-n", 2, "echo", "x")
    assert job.code == 1 and "cannot open the output file" in job.err


def test_full_disk(ameexec):
    job = ameexec.run("-o", "/dev/full", "-n", 2, *SHELL, "echo x; exec sleep 60")
    assert job.code == 1
    assert job.err.count("No space left on device") == 1 and "/dev/full" in job.err and "rank" in job.err


def test_disk_that_becomes_full(ameexec, tmp_path):
    if subprocess.run(["unshare", "-m", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no mount namespace can be made here")
    mount = f'mount -t tmpfs -o size=256k ame {tmp_path} && exec "$@"'
    job = ameexec.run("-o", tmp_path / "log.%r", "-n", 2, *SHELL, "yes $AME_RANK; exec sleep 60",
                      via=["unshare", "-m", "sh", "-c", mount, "sh"])
    assert job.code == 1
    assert job.err.count("No space left on device") == 1 and str(tmp_path) in job.err and "rank" in job.err


def test_full_standard_output(ameexec):
    with open("/dev/full", "w") as full:
        job = ameexec.run("-n", 2, "echo", "x", stdout=full)
    assert job.code == 1 and "cannot write to standard output" in job.err


def test_output_from(ameexec):
    assert sorted(ameexec.run("--output-from", "0,2-3", "-n", 5, *SHELL, "echo $AME_RANK").out.split()) == ["0", "2", "3"]


def test_raw(ameexec):
    assert sorted(ameexec.run("--output", "raw", "-n", 2, "echo", "x").out.split()) == ["x", "x"]


# ---- input


def test_input_goes_to_rank_0(ameexec):
    job = ameexec.run("-l", "-n", 3, "cat", data="one\ntwo\n")
    assert job.out == "[0] one\n[0] two\n"


def test_input_to_another_rank(ameexec):
    assert ameexec.run("-l", "-s", 2, "-n", 3, "cat", data="x\n").out == "[2] x\n"


def test_input_to_all(ameexec):
    text = "".join(f"line {i}\n" for i in range(20000))
    job = ameexec.run("-s", "all", "-n", 3, *PY, "import sys; print(len(sys.stdin.read()))", data=text)
    assert job.out == f"{len(text)}\n" * 3


def test_input_to_all_from_a_file(ameexec, tmp_path):
    (tmp_path / "in").write_text("y\n" * 100000)
    with open(tmp_path / "in") as file:
        job = ameexec.run("-stdin", "all", "-n", 2, "wc", "-l", stdin=file)
    assert job.out == "100000\n" * 2


def test_input_to_all_when_one_does_not_read(ameexec):
    job = ameexec.run("-s", "all", "-n", 2, *SHELL, "[ $AME_RANK = 0 ] && exit 0; wc -c", data="z" * 1000000)
    assert job.out.strip() == "1000000"


def test_input_to_none(ameexec):
    assert ameexec.run("-s", "none", "-n", 2, "cat", data="x\n").out == ""


def test_input_is_not_eaten(ameexec):
    """while read line; do ameexec ...; done < file"""
    read, write = os.pipe()
    os.write(write, b"left\n")
    os.close(write)
    ameexec.run("-n", 2, "true", stdin=read)
    assert os.read(read, 100) == b"left\n"
    os.close(read)


def test_writer_sees_the_reader_leave(ameexec):
    read, write = os.pipe()
    job = ameexec("-n", 1, *SHELL, "exec 0<&-; echo closed; exec sleep 60", stdin=read)
    os.close(read)
    assert job.line() == "closed"
    with pytest.raises(BrokenPipeError):
        from conftest import until
        until(lambda: os.write(write, b"x") == 0, 5)
    os.close(write)
    job.process.terminate()
    job.wait()


# ---- terminals


def test_pty(ameexec):
    """Rank 1 has a terminal although ameexec has none; its output comes as it is."""
    job = ameexec.run("--pty", 1, "-n", 2, *PY, "import sys; print([f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)])")
    assert "[True, True, True]" in job.out and "[False, False, False]" in job.out


def test_pty_input(ameexec):
    job = ameexec.run("--pty", 0, "-n", 1, *PY, "print('got', input())", data="hello\n")
    assert "got hello" in job.out


def test_pty_under_a_terminal(ameexec):
    """Through a terminal: the mode is raw meanwhile and as before afterwards, and the size is handed on."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 77, 0, 0))
    before = termios.tcgetattr(slave)

    def own():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    job = ameexec("--pty", 0, "-n", 2, *PY,
                  "import os, sys\n"
                  "if os.environ['AME_RANK'] == '0':\n"
                  "    name = input('name? ')\n"
                  "    print('size', *os.get_terminal_size(), 'name', name)\n", stdin=slave, stdout=slave, stderr=slave, before=own)
    seen = b""
    sent = False
    while b"name bob" not in seen:
        assert select.select([master], [], [], 10)[0], seen
        seen += os.read(master, 1000)
        if b"name? " in seen and not sent:
            os.write(master, b"bob\r")
            sent = True
    job.wait()
    assert job.code == 0
    assert b"size 77 33 name bob" in seen
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)


def test_terminal_input_reaches_rank_0(ameexec):
    master, slave = pty.openpty()

    def own():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    job = ameexec("-n", 2, "head", "-1", stdin=slave, before=own)
    os.write(master, b"typed\n")
    assert job.wait().out == "typed\n"
    os.close(slave)
    os.close(master)


def test_background_job_is_not_stopped(ameexec):
    """A terminal on standard input that belongs to another group: ameexec runs on without reading it."""
    master, slave = pty.openpty()
    script = "import os,sys,signal,subprocess; signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n" \
             "p = subprocess.Popen(sys.argv[1:], preexec_fn=os.setpgrp)\nprint('code', p.wait(), flush=True)"

    def own():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    from conftest import AMEEXEC
    os.write(master, b"for the shell\n")
    env = dict(os.environ, AMETEST_MARK=ameexec.mark)
    done = subprocess.run([sys.executable, "-c", script, AMEEXEC, "-n", "2", "sleep", "0.3"], stdin=slave, env=env,
                          capture_output=True, timeout=10, preexec_fn=own)
    assert done.stdout == b"code 0\n"
    os.close(slave)
    os.close(master)
