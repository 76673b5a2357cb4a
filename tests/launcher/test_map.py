"""ameexec --map: a command for each line."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios

import pytest

from conftest import LIMIT, until

HEAD = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"


def numbers(count):
    return "".join(f"{n}\n" for n in range(1, count + 1))


def pipe_with(text):
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    return read


def log_of(path):
    lines = path.read_text().splitlines(keepends=True)
    assert lines[0] == HEAD and all(line.endswith("\n") for line in lines)
    return [line.rstrip("\n").split("\t") for line in lines[1:]]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_each_line_once(ameexec, ranks):
    job = ameexec.run("-n", ranks, "--map", "echo a{}; echo b{} >&2", data=numbers(50))
    assert job.code == 0
    assert sorted(job.out.split()) == sorted(f"a{n}" for n in range(1, 51))
    assert sorted(job.err.split()) == sorted(f"b{n}" for n in range(1, 51))


def test_order(ameexec):
    job = ameexec.run("-n", 4, "-k", "--map", "sleep 0.0$(( {} * 7 % 10 )); echo {}", data=numbers(40))
    assert (job.code, job.out, job.err) == (0, numbers(40), "")


def test_lines_are_words(ameexec):
    lines = ["a b", "it's", "$HOME `x` \"y\"", "", "*", "-n", "last without newline"]
    job = ameexec.run("-n", 2, "-k", "--map", "printf '<%s>\n' {}", data="\n".join(lines))
    assert job.out.splitlines() == [f"<{line}>" for line in lines]
    job = ameexec.run("-n", 2, "-k", "--map", "echo {#}:", data="x\ny z\n")
    assert job.out == "1: x\n2: y z\n"


def test_no_lines(ameexec):
    job = ameexec.run("-n", 3, "--map", "echo {}", data="")
    assert (job.code, job.out, job.err) == (0, "", "")


def test_output_is_not_mixed(ameexec):
    job = ameexec.run("-n", 4, "--map", "for i in 1 2 3 4 5; do echo {} $i; done", data=numbers(30))
    lines = job.out.splitlines()
    for first in range(0, 150, 5):
        number = lines[first].split()[0]
        assert lines[first:first + 5] == [f"{number} {i}" for i in range(1, 6)]


def test_much_output(ameexec):
    job = ameexec.run("-n", 3, "--map", "head -c 3000000 /dev/zero | tr '\\0' x; echo", data=numbers(6))
    assert [len(line) for line in job.out.splitlines()] == [3000001] * 6


def test_codes(ameexec):
    assert ameexec.run("-n", 3, "--map", "exit $(( {} % 3 == 0 ))", data=numbers(10)).code == 3
    assert ameexec.run("-n", 3, "--map", "exit 1", data=numbers(100)).code == 100
    assert ameexec.run("-n", 3, "--map", "exit 1", data=numbers(102)).code == 101
    job = ameexec.run("-n", 2, "--map", "kill -9 $$", data="x\n")
    assert (job.code, job.err) == (1, "")


def test_file_and_log(ameexec, tmp_path):
    (tmp_path / "lines").write_text(numbers(12))
    log = tmp_path / "log"
    job = ameexec.run("-n", 3, "-a", tmp_path / "lines", "--joblog", log, "--map", "echo x; exit $(( {} == 7 ))")
    assert job.code == 1
    rows = log_of(log)
    assert sorted(int(row[0]) for row in rows) == list(range(1, 13))
    assert all(row[5] == "2" and row[6] == str(int(row[0] == "7")) and row[7] == "0" for row in rows)
    assert rows[0][8] == f"echo x; exit $(( {rows[0][0]} == 7 ))"


def test_retries(ameexec, tmp_path):
    command = f"echo {{}} >> {tmp_path}/tries.{{}}; [ $(wc -l < {tmp_path}/tries.{{}}) -ge {{}} ]"
    job = ameexec.run("-n", 2, "--retries", 3, "--map", command, data=numbers(5))
    assert job.code == 2  # the fourth and the fifth would need more
    assert [len((tmp_path / f"tries.{n}").read_text().split()) for n in range(1, 6)] == [1, 2, 3, 3, 3]


def test_resume_after_kill(ameexec, tmp_path):
    log = tmp_path / "log"
    command = f"sleep 0.02; echo {{}} >> {tmp_path}/ran; echo {{}}"
    out = ""
    done = 0
    for attempt in range(30):
        job = ameexec("-n", 3, "--joblog", log, "--resume", "--map", command, stdin=pipe_with(numbers(60)))
        if attempt < 3:
            until(lambda: log.exists() and len(log.read_text().splitlines()) > done + 8, what="progress")
            job.process.send_signal(signal.SIGKILL)
        job.wait()
        out += job.out
        done = len(log.read_text().splitlines()) - 1
        if attempt >= 3:
            assert job.code == 0
            break
    rows = [row for row in log_of(log) if row[6:8] == ["0", "0"]]  # others were killed with the job
    assert sorted(int(row[0]) for row in rows) == list(range(1, 61))
    assert set(out.split()) <= {str(n) for n in range(1, 61)}  # what ameexec had in its hands when killed is lost
    ran = (tmp_path / "ran").read_text().split()
    assert set(ran) == {str(n) for n in range(1, 61)}
    assert len(ran) <= 60 + 3 * 3  # what was being done when it was killed


def test_resume_refuses(ameexec, tmp_path):
    log = tmp_path / "log"
    assert ameexec.run("-n", 2, "--joblog", log, "--map", "echo {}", data=numbers(5)).code == 0
    job = ameexec.run("-n", 2, "--joblog", log, "--resume", "--map", "echo x{}", data=numbers(5))
    assert job.code == 255 and "of other input, or of another command" in job.err
    job = ameexec.run("-n", 2, "--joblog", log, "--resume", "--map", "echo {}", data=numbers(4))
    assert job.code == 255 and "of other input, which has more lines" in job.err
    job = ameexec.run("-n", 2, "--joblog", log, "--map", "echo {}", data=numbers(5))
    assert job.code == 255 and "exists: go on from it with --resume" in job.err and len(log_of(log)) == 5
    log.write_text("my notes\n")
    job = ameexec.run("-n", 2, "--joblog", log, "--map", "echo {}", data=numbers(5))
    assert job.code == 255 and log.read_text() == "my notes\n"
    job = ameexec.run("-n", 2, "--joblog", log, "--resume", "--map", "echo {}", data=numbers(5))
    assert job.code == 255 and "not a job log" in job.err and log.read_text() == "my notes\n"


def test_torn_log(ameexec, tmp_path):
    log = tmp_path / "log"
    assert ameexec.run("-n", 2, "--joblog", log, "--map", "echo {}", data=numbers(5)).code == 0
    log.write_text(log.read_text()[:-4])
    job = ameexec.run("-n", 2, "--joblog", log, "--resume", "--map", "echo {}", data=numbers(5))
    assert job.code == 0 and len(job.out.split()) == 1
    assert sorted(int(row[0]) for row in log_of(log)) == [1, 2, 3, 4, 5]


def test_term(ameexec, tmp_path):
    log = tmp_path / "log"
    job = ameexec("-n", 3, "--joblog", log, "--map", "sleep 0.05; echo {}", stdin=pipe_with(numbers(500)))
    until(lambda: log.exists() and len(log.read_text().splitlines()) > 5, what="progress")
    job.process.terminate()
    job.wait()
    assert job.code == 75 and "a signal has ended the run" in job.err
    assert 5 < len(log_of(log)) < 500


def test_rank_dies(ameexec):
    job = ameexec.run("-n", 3, "--map", "[ {} = 4 ] && [ $AME_RANK != 0 ] && kill -9 $PPID; echo {}", data=numbers(40))
    assert set(job.out.split()) >= {str(n) for n in range(1, 41)} - {"4"}


def test_slow_input(ameexec):
    """What is done is printed while the next line is not there yet."""
    read, write = os.pipe()
    job = ameexec("-n", 2, "--map", "echo got {}", stdin=read)
    os.close(read)
    for n in range(3):
        os.write(write, f"{n}\n".encode())
        assert job.line() == f"got {n}"
    os.close(write)
    assert job.wait().code == 0


@pytest.mark.parametrize("ranks", [1, 3])
def test_slow_input_ordered(ameexec, ranks):
    read, write = os.pipe()
    job = ameexec("-n", ranks, "-k", "--map", "echo got {}", stdin=read)
    os.close(read)
    for n in range(3):
        os.write(write, f"{n}\n{n} again\n".encode())
        assert (job.line(), job.line()) == (f"got {n}", f"got {n} again")
    os.close(write)
    assert job.wait().code == 0


def open_to_write(fifo):
    """The descriptor, when somebody reads, else None."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_all_ranks_work_while_input_waits(ameexec, tmp_path):
    """Each line is the name of a FIFO; its command has begun when the FIFO is open for reading, and ends when it is closed."""
    read, write = os.pipe()
    job = ameexec("-n", 2, "--map", "cat {}", stdin=read)
    os.close(read)
    begun = []
    for n in range(4):
        fifo = tmp_path / f"fifo{n}"
        os.mkfifo(fifo)
        os.write(write, f"{fifo}\n".encode())
        begun.append(until(lambda: open_to_write(fifo), what=f"the command of line {n}"))
        if n == 0:
            continue
        end = begun.pop(n % 2)  # of the two that are under way now the younger or the elder one
        os.write(end, f"end {n}\n".encode())
        os.close(end)
        assert job.line() == f"end {n}"  # while the other command and the input wait
    for end in begun:
        os.close(end)
    os.close(write)
    assert job.wait().code == 0


@pytest.mark.parametrize("ranks", [1, 3])
def test_term_while_input_waits(ameexec, ranks):
    read, write = os.pipe()
    job = ameexec("-n", ranks, "--map", "echo got {}", stdin=read)
    os.close(read)
    os.write(write, b"x\n")
    assert job.line() == "got x"
    job.process.terminate()
    assert job.wait().code == 75 and "not been listed yet" in job.err
    os.close(write)


def screen(text):
    """The lines that a terminal shows after this: a carriage return goes to the beginning, ESC [K erases the rest."""
    lines, at = [""], 0
    for part in re.findall(r"\r|\n|\033\[K|[^\r\n\033]+", text):
        if part == "\r":
            at = 0
        elif part == "\n":
            lines.append("")
        elif part == "\033[K":
            lines[-1] = lines[-1][:at]
        else:
            lines[-1] = lines[-1][:at] + part + lines[-1][at + len(part):]
            at += len(part)
    return lines


def on_terminal(ameexec, *args, until_shown=None, then=None, columns=60, **extra):
    """Runs ameexec with its output on a terminal; when `until_shown` has been shown, calls `then`. All that was shown."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    job = ameexec(*args, stdout=slave, stderr=slave, extra=extra)
    os.close(slave)
    shown = ""
    while True:
        assert select.select([master], [], [], LIMIT)[0], f"nothing more is shown:\n{shown}"
        try:
            shown += os.read(master, 65536).decode()
        except OSError:  # nobody has the other end any more
            break
        if until_shown and re.search(until_shown, shown):
            until_shown = None
            then()
    os.close(master)
    assert job.wait().code == 0 and until_shown is None, shown
    return shown


@pytest.fixture
def gate(tmp_path):
    """A FIFO, and a function that lets six commands pass that read a line of it."""
    os.mkfifo(tmp_path / "go")
    fifo = os.open(tmp_path / "go", os.O_RDWR)
    yield tmp_path / "go", lambda: os.write(fifo, b"\n" * 6)
    os.close(fifo)


@pytest.mark.parametrize("ranks", [1, 3])
def test_bar_on_terminal(ameexec, tmp_path, gate, ranks):
    """The bar stays below what the commands print. They wait until it has been shown."""
    (tmp_path / "lines").write_text(numbers(6))
    command = f"read x < {gate[0]}; echo out {{}}; echo err {{}} >&2"
    shown = on_terminal(ameexec, "-n", ranks, "-a", tmp_path / "lines", "--map", command,
                        until_shown=rf"\r\.{{24}} 0 of 6 done, 0\.0/s, {ranks} busy\033\[K",
                        then=gate[1])
    lines = screen(shown.replace("\r\n", "\n"))
    assert sorted(lines[:12]) == sorted(f"{what} {n}" for what in ("err", "out") for n in range(1, 7))
    assert re.fullmatch(r"#{24} 6 of 6 done, \d+(\.\d)?/s", lines[12]) and lines[13:] == [""]


def test_bar_fits(ameexec, tmp_path, gate):
    (tmp_path / "lines").write_text(numbers(6))
    shown = on_terminal(ameexec, "-n", 2, "-a", tmp_path / "lines", "--map", f": {{}}; read x < {gate[0]}", columns=40,
                        until_shown=r"0 of 6 done", then=gate[1])
    assert max(len(bar) for bar in re.findall(r"\r([.#]{24}.*?)\033\[K", shown)) < 40


@pytest.mark.parametrize("progress, options", [("0", ""), ("1", ""), ("auto", "-l")])
def test_no_bar_if_not_wanted(ameexec, tmp_path, progress, options):
    (tmp_path / "lines").write_text(numbers(6))
    shown = on_terminal(ameexec, "-n", 2, "-k", *options.split(), "-a", tmp_path / "lines", "--map", "sleep 0.1; echo {}",
                        AME_PROGRESS=progress)
    tag = "[0] " if options else ""
    assert "\033" not in shown
    assert [line for line in shown.splitlines() if not line.startswith("pool: ")] == [f"{tag}{n}" for n in range(1, 7)]


def test_no_bar_without_terminal(ameexec, tmp_path):
    """Standard output on a terminal, standard error in a pipe; a file for standard error."""
    job = ameexec.run("-n", 2, "--map", "sleep 0.2", data=numbers(4))
    assert (job.out, job.err) == ("", "")
    (tmp_path / "lines").write_text(numbers(4))
    shown = on_terminal(ameexec, "-n", 2, "-errfile-pattern", tmp_path / "err", "-a", tmp_path / "lines", "--map", "sleep 0.2")
    assert shown == "" and (tmp_path / "err").read_text() == ""


def test_mistakes(ameexec):
    for args, text in ((("--map", "echo", "x"), "in quotes"), (("--joblog", "x", "true"), "belong to --map"),
                       (("--map", "echo", "--resume"), "needs --joblog"), (("--map", "e", "--retries", "0"), "1 to 1000"),
                       (("--map", "e", "-a", "/nowhere"), "/nowhere")):
        job = ameexec.run(*args, data="")
        assert job.code == 1 and text in job.err
