"""ameexec on several hosts: network namespaces with an sshd in each, made by tests/testbed/hosts.sh.

The test program looks at them from outside: their processes are in /proc here too, with other numbers. AME_TESTBED names
another place of the script.
"""
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import AMEEXEC, children, status_of, until

COUNT = 4
HERE = pathlib.Path(__file__).parent
SCRIPT = pathlib.Path(os.environ.get("AME_TESTBED", HERE.parent / "testbed")) / "hosts.sh"
PY = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


class Bed:
    def __init__(self, base):
        self.base = base
        share = {str(HERE.parents[1]), str(pathlib.Path(AMEEXEC).resolve().parents[1])}
        self.env = dict(os.environ, BASE=str(base), SHARE=" ".join(path for path in share if path.startswith("/tmp/")))

    def __call__(self, *words):
        return subprocess.run([str(SCRIPT), *map(str, words)], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)

    def anchor(self, host):
        return int((self.base / f"h{host}.pid").read_text())

    def enter(self, host):
        """The beginning of a command that runs on this host."""
        return ["nsenter", "-t", str(self.anchor(host)), "-n", "-u", "-m", "-p", "-i", "--"]

    def sh(self, host, text):
        return subprocess.run([*self.enter(host), "sh", "-c", text], check=True, stdout=subprocess.PIPE, timeout=30,
                              stdin=subprocess.DEVNULL).stdout.decode()

    def processes(self, host):
        """{pid here: name} of all that runs there beside the bed's own: init with its sleep, and the listening sshd."""
        space = os.readlink(f"/proc/{self.anchor(host)}/ns/pid")
        found = {}
        for name in os.listdir("/proc"):
            try:
                if not name.isdigit() or os.readlink(f"/proc/{name}/ns/pid") != space or status_of(name)[0] in "ZX":
                    continue
                words = pathlib.Path(f"/proc/{name}/cmdline").read_text().replace("\0", " ").strip()
            except (OSError, TypeError):
                continue
            if int(name) != self.anchor(host) and words != "sleep 1000" and "[listener]" not in words:
                found[int(name)] = words
        return found

    def named(self, host, part):
        return [pid for pid, words in self.processes(host).items() if part in words]

    def cut(self, host):
        assert self("sw", "ip", "link", "set", f"v{host}", "down").returncode == 0

    def join(self, host):
        assert self("sw", "ip", "link", "set", f"v{host}", "up").returncode == 0


@pytest.fixture(scope="module")
def whole_bed(tmp_path_factory):
    for tool in ("nsenter", "unshare", "ip", "ssh", "ssh-keygen", "/usr/sbin/sshd"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    if not SCRIPT.exists():
        pytest.skip(f"there is no {SCRIPT}")
    if subprocess.run(["unshare", "-n", "-u", "-m", "-p", "-i", "-f", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("namespaces are not permitted here")
    bed = Bed(tmp_path_factory.mktemp("hosts"))
    made = bed("up", COUNT)
    if made.returncode:
        bed("down")
        pytest.skip(f"the hosts cannot be made: {made.stdout.decode()[-200:]}")
    until(lambda: bed("exec", 1, "ssh", f"h{COUNT}", "true").returncode == 0, what="ssh")
    yield bed
    bed("down")


@pytest.fixture
def bed(whole_bed):
    yield whole_bed
    left = {}

    def clean():
        left.clear()
        left.update({host: whole_bed.processes(host) for host in range(1, COUNT + 1)})
        return not any(left.values())
    try:
        until(clean, 5, "empty hosts")
    except AssertionError:
        for found in left.values():
            for pid in found:
                os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"left behind: {left}") from None


@pytest.fixture
def on_h1(ameexec, bed):
    """Starts ameexec on h1."""
    class There:
        def __call__(self, *args, host=1, **options):
            return ameexec(*args, via=bed.enter(host), **options)

        def run(self, *args, host=1, **options):
            return ameexec.run(*args, via=bed.enter(host), **options)

        @staticmethod
        def front(job):
            return until(lambda: children(job.pid), what="ameexec on h1")[0]
    return There()


def comm(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def lines(job):
    assert job.code == 0, job.err
    return sorted(job.out.splitlines())


# ---- where ranks run and what they find


def test_variables(on_h1):
    show = 'echo $AME_RANK $AME_SIZE $MPI_LOCALRANKID/$MPI_LOCALNRANKS $(hostname) $AME_HOST $PWD'
    job = on_h1.run("-hosts", "h1:2,h2:2,h3", "-wdir", "/usr", "sh", "-c", show)
    assert lines(job) == ["0 5 0/2 h1 10.77.0.1 /usr", "1 5 1/2 h1 10.77.0.1 /usr", "2 5 0/2 h2 10.77.0.1 /usr",
                          "3 5 1/2 h2 10.77.0.1 /usr", "4 5 0/1 h3 10.77.0.1 /usr"]
    assert job.err == ""


def test_no_rank_on_the_own_host(on_h1):
    job = on_h1.run("-hosts", "h3,h2", "sh", "-c", "echo $AME_RANK $(hostname) $AME_HOST")
    assert lines(job) == ["0 h3 10.77.0.3", "1 h2 10.77.0.3"]
    assert lines(on_h1.run("-hosts", "h2", "sh", "-c", "echo $(hostname) $AME_HOST")) == ["h2 127.0.0.1"]


def test_by_node(on_h1):
    job = on_h1.run("-hosts", "h1,h2,h3", "-n", 5, "--map-by", "node", "-l", "hostname")
    assert lines(job) == ["[0] h1", "[1] h2", "[2] h3", "[3] h1", "[4] h2"]


def test_names_of_one_host(on_h1):
    job = on_h1.run("-hosts", "localhost,h1,10.77.0.1,h2,root@h3,h2", "-prepend-pattern", "%r %h: ", "hostname")
    assert lines(job) == ["0 h1: h1", "1 h1: h1", "2 h1: h1", "3 h2: h2", "4 h2: h2", "5 h3: h3"]


@pytest.mark.parametrize("text", ["h1:2 # here\n\nh2:1\n", "h1 slots=2 max_slots=4\nh2\n", "h1\nh1\n  h2 slots=1\n"])
def test_hostfile(on_h1, tmp_path, text):
    file = pathlib.Path("/var/tmp") / f"hostfile.{os.getpid()}"  # /tmp is another on h1
    file.write_text(text)
    try:
        assert lines(on_h1.run("-f", file, "-l", "hostname")) == ["[0] h1", "[1] h1", "[2] h2"]
    finally:
        file.unlink()


def test_environment_is_carried(on_h1):
    long = "x" * 100000
    job = on_h1.run("-hosts", "h2", "-x", "B=two words", "sh", "-c", 'echo "$A|$B|${#LONG}"',
                    extra={"A": "it's \"me\"\nhere", "LONG": long})
    assert job.out == f"it's \"me\"\nhere|two words|{len(long)}\n"


def test_pmi(on_h1):
    words = [PY, "-SE", str(HERE / "pmi1.py"), "init", "put:k%r=v%r", "barrier", "get:k%n", "get:PMI_process_mapping", "finalize"]
    job = on_h1.run("-hosts", "h1:2,h2:2,h3:2", *words)
    assert job.code == 0, job.err
    for rank in range(6):
        assert f"{rank} cmd=get_result rc=0 msg=success value=v{(rank + 1) % 6}" in job.out
        assert f"{rank} cmd=get_result rc=0 msg=success value=(vector,(0,3,2))" in job.out


def test_allocation(on_h1):
    env = {"SLURM_JOB_NODELIST": "h[1-2],h4", "SLURM_JOB_CPUS_PER_NODE": "2(x1),1(x2)"}
    assert lines(on_h1.run("-launcher", "ssh", "-l", "hostname", extra=env)) == ["[0] h1", "[1] h1", "[2] h2", "[3] h4"]


# ---- input and output


def test_much_output(on_h1):
    size = 20_000_000
    job = on_h1.run("-hosts", "h2", "sh", "-c", f"yes 0123456789abcde | head -c {size}", limit=60)
    assert job.code == 0 and hashlib.md5(job.out.encode()).digest() == hashlib.md5(b"0123456789abcde\n" * (size // 16)).digest()


def test_slow_reader(on_h1):
    job = on_h1("-hosts", "h1,h2,h3", "sh", "-c", "yes | head -c 4000000")
    time.sleep(0.3)
    job.wait(limit=60)
    assert job.code == 0 and len(job.out) == 12_000_000


def test_input(on_h1):
    data = "".join(f"line {i}\n" for i in range(50000))
    assert on_h1.run("-hosts", "h2,h3", "cat", data=data).out == data
    job = on_h1.run("-hosts", "h1,h2,h3", "-s", "all", "md5sum", data=data)
    assert lines(job) == [hashlib.md5(data.encode()).hexdigest() + "  -"] * 3
    assert on_h1.run("-hosts", "h2", "head", "-c", 3, data=data).out == "lin"


def test_terminal(on_h1):
    job = on_h1.run("-hosts", "h2", "--pty", 0, PY, "-c", "print('tty', input('?'), __import__('sys').stdout.isatty())", data="a\n")
    assert "tty a True" in job.out


# ---- ends


def test_exit_code(on_h1):
    job = on_h1.run("-hosts", "h1,h2,h3", "sh", "-c", "[ $AME_RANK = 2 ] && exit 7; exec sleep 100")
    assert job.code == 7 and "ameexec: rank 2 (host h3, pid " in job.err and "exited with code 7" in job.err


def test_killed_rank(on_h1, bed):
    job = on_h1("-hosts", "h1,h2", "sleep", "100")
    os.kill(until(lambda: bed.named(2, "sleep 100"))[0], signal.SIGSEGV)
    job.wait()
    assert job.code == 128 + signal.SIGSEGV and "rank 1 (host h2, pid " in job.err


def test_time_limit(on_h1):
    job = on_h1.run("-hosts", "h1,h2", "--timeout", 2, "sleep", 100)
    assert job.code == 124 and job.seconds < 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(on_h1, bed, number):
    job = on_h1("-hosts", "h1,h2,h3", "sh", "-c", "trap 'echo told; exit' INT TERM HUP; echo ready; while :; do sleep 0.05; done")
    assert [job.line() for _ in range(3)] == ["ready"] * 3
    os.kill(on_h1.front(job), number)
    job.wait()
    assert job.err.count("ended by signal") == 1 and job.out.count("told") == 3


def test_ameexec_killed(on_h1, bed):
    job = on_h1("-hosts", "h1,h2,h3", "sh", "-c", "setsid sleep 100 & echo ready; trap '' TERM; sleep 100")
    assert [job.line() for _ in range(3)] == ["ready"] * 3
    os.kill(on_h1.front(job), signal.SIGKILL)
    job.wait()
    until(lambda: not any(bed.processes(host) for host in (1, 2, 3)), 5, "end of everything")


@pytest.mark.parametrize("victim, host", [("hostd", 1), ("hostd", 2), ("ssh", 1)])
def test_helper_killed(on_h1, bed, host, victim):
    job = on_h1("-hosts", "h1,h2,h3", "sh", "-c", "setsid sleep 100 & echo ready; trap '' TERM; sleep 100")
    assert [job.line() for _ in range(3)] == ["ready"] * 3
    if victim == "ssh":
        number = [pid for pid in bed.named(1, "ssh ") if "h2" in bed.processes(1)[pid]][0]
    else:
        number = [pid for pid in bed.processes(host) if comm(pid) == "ameexec-hostd"][0]
    os.kill(number, signal.SIGKILL)
    job.wait()
    lost = "host h1 (pid " if (host, victim) == (1, "hostd") else "host h2 (rank 1) was lost: the connection ended"
    assert job.code == 1 and lost in job.err and job.seconds < 10


def test_stopped_helper(on_h1, bed):
    """It cannot notice that ameexec is gone; its parent does."""
    job = on_h1("-hosts", "h1,h2", "sh", "-c", "echo ready; exec sleep 100")
    assert [job.line() for _ in range(2)] == ["ready"] * 2
    os.kill([pid for pid in bed.processes(2) if comm(pid) == "ameexec-hostd"][0], signal.SIGSTOP)
    os.kill(on_h1.front(job), signal.SIGKILL)
    job.wait()
    until(lambda: not bed.processes(2), 15, "end of everything")


def test_host_lost(on_h1, bed):
    job = on_h1("-hosts", "h1,h2,h3:2", "sh", "-c", "echo ready; exec sleep 100")
    assert [job.line() for _ in range(4)] == ["ready"] * 4
    bed.cut(3)
    start = time.monotonic()
    try:
        job.wait(limit=25)
        assert job.code == 1 and "host h3 (ranks 2, 3) was lost" in job.err and "other ranks were ended" in job.err
        assert time.monotonic() - start < 17
        until(lambda: not bed.named(3, "sleep 100"), 17 - (time.monotonic() - start), "end of the ranks on the lost host")
        for pid in bed.named(3, "sshd"):  # it would wait for TCP to give up
            os.kill(pid, signal.SIGKILL)
    finally:
        bed.join(3)


def test_stopped_ameexec(on_h1, bed):
    """Ctrl-Z for longer than the silence that means loss."""
    job = on_h1("-hosts", "h1,h2", "sh", "-c", "echo ready; sleep 2; exec echo done")
    assert [job.line() for _ in range(2)] == ["ready"] * 2
    front = on_h1.front(job)
    os.kill(front, signal.SIGTSTP)
    until(lambda: status_of(front)[0] == "T", what="stop")
    time.sleep(17)  # longer than AME__SILENCE_MS; nothing tells when that is over
    assert bed.named(2, "sleep 2")
    os.kill(front, signal.SIGCONT)
    os.kill(job.pid, signal.SIGCONT)  # nsenter stops with it
    job.wait()
    assert job.code == 0 and job.out.count("done") == 2


# ---- what can be wrong


def script(bed, name, text):
    file = bed.base / "shared" / name
    file.write_text("#!/bin/sh\n" + text)
    file.chmod(0o755)
    return file


@pytest.mark.parametrize("hosts, texts", [
    ("h1,nowhere.invalid", ["host nowhere.invalid cannot be reached", "resolve", "check its spelling"]),
    ("h1,nosuch@h2", ["host h2 cannot be reached", "Permission denied", "no such user"]),
    ("h1,10.77.0.99", ["host 10.77.0.99 cannot be reached", "it is down"]),
])
def test_unreachable(on_h1, hosts, texts):
    job = on_h1.run("-hosts", hosts, "sh", "-c", "echo started")
    assert job.code == 1 and job.out == "" and all(text in job.err for text in texts) and job.err.count("\n") == 1, job.err


def test_no_ssh_server(on_h1, bed, tmp_path):
    job = on_h1.run("-hosts", "h1,h2", "-launcher-exec", script(bed, "port", 'exec ssh -p 9 "$@"\n'), "true")
    assert job.code == 1 and "host h2 cannot be reached" in job.err and "refused" in job.err


def test_not_installed_there(bed):
    bed.sh(1, f"cp {AMEEXEC} /tmp/ameexec")
    done = subprocess.run([*bed.enter(1), "/tmp/ameexec", "-hosts", "h1,h2", "echo", "started"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20, check=False)
    text = done.stderr.decode()
    assert done.returncode == 1 and done.stdout == b""
    assert "host h2: ameexec cannot be run there as /tmp/ameexec" in text and "install" in text


def test_other_version(on_h1, bed):
    other = script(bed, "other", "echo 'AME-HOST-DAEMON 1 9.9.9 - - 0'; exec cat > /dev/null\n")
    job = on_h1.run("-hosts", "h1,h2", "-launcher-exec", other, "echo", "started")
    assert job.code == 1 and job.out == "" and "host h2 has ameexec 9.9.9 at " in job.err and "the same version" in job.err


def test_silent_launcher(on_h1, bed):
    silent = script(bed, "silent", "exec sleep 100\n")
    job = on_h1.run("-hosts", "h1,h2", "-launcher-exec", silent, "true", extra={"AME_CONNECT_TIMEOUT": "1.5"})
    assert job.code == 1 and "AME_CONNECT_TIMEOUT" in job.err and job.seconds < 6


def test_talking_shell(on_h1, bed):
    noisy = script(bed, "noisy", 'echo "Welcome to $1"; echo >&2 Motto; exec ssh "$@"\n')
    job = on_h1.run("-hosts", "h1,h2", "-launcher-exec", noisy, "hostname")
    assert lines(job) == ["h1", "h2"] and job.err == ""


def test_directory_missing_there(on_h1, bed):
    bed.sh(1, "mkdir -p /tmp/only-here")
    job = subprocess.run([*bed.enter(1), "sh", "-c", f"cd /tmp/only-here && exec {AMEEXEC} -hosts h1,h2 echo started"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20, check=False)
    assert job.returncode == 1 and b"host h2: working directory '/tmp/only-here': No such file" in job.stderr
    assert b"-wdir" in job.stderr


def test_program_missing_there(on_h1, bed):
    bed.sh(1, "cp /bin/true /tmp/only")
    job = on_h1.run("-hosts", "h1,h2", "/tmp/only")
    assert job.code == 127 and "rank 1 cannot be started on host h2: /tmp/only: execve: No such file" in job.err
    bed.sh(2, "cp /bin/hostname /tmp/other")
    assert lines(on_h1.run("-hosts", "h2", "/tmp/other")) == ["h2"]


def test_mistakes_start_nothing(on_h1):
    job = on_h1.run("-hosts", "h1,h2", "no-such-program")
    assert job.code == 127 and "not found in PATH" in job.err


# ---- in a Slurm allocation: three nodes that are all this machine


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    for tool in ("srun", "salloc", "slurmctld", "slurmd", "munged"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"{tool} is not installed")
    bed = SCRIPT.parent / "slurm.sh"
    if not bed.exists():
        pytest.skip(f"there is no {bed}")
    base = pathlib.Path(tempfile.mkdtemp(prefix="ame-slurm-", dir="/var/tmp"))  # short: there are sockets in it
    base.chmod(0o755)
    env = dict(os.environ, BASE=str(base), NODES="3", PORT="18300")
    made = subprocess.run([str(bed), "start"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    if made.returncode == 0:
        yield {"SLURM_CONF": str(base / "slurm.conf")}
    subprocess.run([str(bed), "stop"], env=env, stdin=subprocess.DEVNULL, timeout=60, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(base, ignore_errors=True)
    if made.returncode:
        pytest.skip(f"no Slurm: {made.stdout.decode()[-200:]}")


def in_allocation(ameexec, slurm, *words, **options):
    return ameexec.run(*words, via=["salloc", "-Q", "-N3", "--ntasks-per-node=2"], extra=slurm, **options)


def test_slurm(ameexec, slurm):
    job = in_allocation(ameexec, slurm, "-prepend-pattern", "%r %h: ", "sh", "-c", "echo $AME_LOCAL_RANK")
    assert lines(job) == ["0 n1: 0", "1 n1: 1", "2 n2: 0", "3 n2: 1", "4 n3: 0", "5 n3: 1"] and job.err == ""


def test_slurm_input_and_exit(ameexec, slurm):
    data = "".join(f"{i}\n" for i in range(100000))
    job = in_allocation(ameexec, slurm, "-ppn", 1, "-s", "all", "md5sum", data=data)
    assert lines(job) == [hashlib.md5(data.encode()).hexdigest() + "  -"] * 3
    job = in_allocation(ameexec, slurm, "sh", "-c", "setsid sleep 100 & [ $AME_RANK = 4 ] && exit 9; exec sleep 100")
    assert job.code == 9 and "rank 4 (host n3, pid " in job.err


# ---- ame doctor


def doctor(bed, *words):
    return subprocess.run([*bed.enter(1), str(pathlib.Path(AMEEXEC).with_name("ame")), "doctor", *words], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)


def test_doctor_finds_all_well(bed):
    found = doctor(bed, "-hosts", "h1,h2,h3:2")
    text = found.stdout.decode()
    assert found.returncode == 0, text
    for host in "h1", "h2", "h3":
        assert re.search(rf"^  {host} +reached in \d+\.\d\d s, AME \d", text, re.M), text
    pairs = re.findall(r"^  (h\d) +-> (h\d) +direct +10\.77\.0\.(\d):\d+ +\d+ us$", text, re.M)
    assert pairs == [("h1", "h2", "2"), ("h1", "h3", "3"), ("h2", "h3", "3")], text
    assert "All is well" in text


def test_doctor_names_what_is_wrong(bed):
    found = doctor(bed, "-hosts", "h1,nobodyknowsme,h2")
    text = found.stdout.decode()
    assert found.returncode == 1, text
    assert re.search(r"^  nobodyknowsme +NOT REACHED\n +\| .*nobodyknowsme.*name", text, re.M), text
    assert re.search(r"^  h1 +-> h2 +direct", text, re.M), text
    assert "2 of 3 hosts can be used" in text


def test_doctor_finds_a_firewall_between_two_hosts(bed):
    """Packets between h2 and h3 are refused, so the two talk through h1."""
    rules = "add table inet ame; add chain inet ame in { type filter hook input priority 0; }; " \
            "add rule inet ame in ip saddr 10.77.0.%d tcp dport != 22 reject"
    if not shutil.which("nft"):
        pytest.skip("nft is not installed")
    try:
        bed.sh(2, f"nft '{rules % 3}'")
        bed.sh(3, f"nft '{rules % 2}'")
        text = doctor(bed, "-hosts", "h1,h2,h3").stdout.decode()
    finally:
        for host in 2, 3:
            bed.sh(host, "nft delete table inet ame || true")
    assert re.search(r"^  h2 +-> h3 +relayed", text, re.M), text
    assert re.search(r"^  h1 +-> h2 +direct", text, re.M), text
    assert "a firewall" in text and "AME_PORT_RANGE" in text, text


def test_doctor_alone(ameexec):
    found = subprocess.run([str(pathlib.Path(AMEEXEC).with_name("ame")), "doctor"], check=False, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=60)
    assert found.returncode == 0 and b"localhost" in found.stdout, found.stdout
    wrong = subprocess.run([str(pathlib.Path(AMEEXEC).with_name("ame")), "docter"], check=False, stderr=subprocess.PIPE)
    assert wrong.returncode == 2 and b"usage" in wrong.stderr
