"""Fixtures for the launcher's tests: a started ameexec, and the check that nothing of it is left.

Every job carries a random variable in its environment; whatever process has it in /proc/PID/environ belongs to the job, also
when it moved to another session. Each test ends with the check that no such process lives.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import time
import uuid

import pytest

HERE = pathlib.Path(__file__).parent
AMEEXEC = os.environ.get("AMEEXEC", str(HERE.parents[1] / "build" / "launcher" / "ameexec"))
LIMIT = 20  # seconds for any one job


def until(condition, limit=LIMIT, what="condition"):
    """Waits for a condition that no event announces."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what} not reached in {limit} s")


class Job:
    """One ameexec; `out` and `err` after wait()."""

    def __init__(self, launcher, args, **options):
        self.mark = launcher.mark
        env = dict(options.pop("env", None) or os.environ)
        env["AMETEST_MARK"] = launcher.mark
        env.pop("MPIEXEC_TIMEOUT", None)
        env.update(options.pop("extra", {}))
        before = options.pop("before", None)
        via = options.pop("via", [])

        def prepare():
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            if before:
                before()

        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        self.start = time.monotonic()
        self.process = subprocess.Popen([*via, AMEEXEC, *map(str, args)], env=env, preexec_fn=prepare, bufsize=0, **options)
        self.pid = self.process.pid

    def wait(self, data=None, limit=LIMIT):
        try:
            out, err = self.process.communicate(data, timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.seconds = time.monotonic() - self.start
        self.out = (out or b"").decode(errors="replace")
        self.err = (err or b"").decode(errors="replace")
        self.code = self.process.returncode
        return self

    def line(self):
        """The next line of standard output."""
        return self.process.stdout.readline().decode().rstrip("\n")

    def daemon(self):
        """The host daemon's process id."""
        return next(pid for pid in children(self.pid))

    def ranks(self):
        return children(self.daemon())


def status_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            rest = file.read().rpartition(")")[2].split()
        return rest[0], int(rest[1])
    except OSError:
        return None


def children(parent):
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return sorted(pid for pid in pids if (status_of(pid) or ("", 0))[1] == parent)


def living(mark):
    """Processes that carry the mark; the dead that wait for their parents do not count."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                marked = f"AMETEST_MARK={mark}".encode() in file.read()
        except OSError:
            continue
        if marked and (status_of(name) or ("Z", 0))[0] not in "ZX":
            found.append(int(name))
    return found


class Launcher:
    def __init__(self):
        self.mark = uuid.uuid4().hex
        self.jobs = []

    def __call__(self, *args, **options):
        """Starts ameexec with these arguments."""
        job = Job(self, args, **options)
        self.jobs.append(job)
        return job

    def run(self, *args, data=None, limit=LIMIT, **options):
        if data is not None:
            options["stdin"] = subprocess.PIPE
            data = data.encode() if isinstance(data, str) else data
        return self(*args, **options).wait(data, limit)

    def living(self):
        return living(self.mark)

    def all_gone(self, limit=5):
        until(lambda: not self.living(), limit, "end of all processes of the job")


@pytest.fixture
def ameexec():
    launcher = Launcher()
    yield launcher
    try:
        # ameexec has returned by now in most tests, and then nothing may be left at all
        left = launcher.living() if all(job.process.poll() is not None for job in launcher.jobs) else None
        if left:
            launcher.all_gone(1)
        assert not left, f"processes left behind: {left}"
    finally:
        for job in launcher.jobs:
            if job.process.poll() is None:
                job.process.kill()
                job.process.wait()
        for pid in launcher.living():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def mpich_program(tmp_path):
    """Compiles an MPI program with MPICH."""
    compiler = shutil.which("mpicc.mpich")
    if not compiler:
        pytest.skip("mpicc.mpich is not installed")

    def build(text):
        source = tmp_path / "program.c"
        source.write_text(text)
        subprocess.run([compiler, "-o", tmp_path / "program", source], check=True, timeout=60)
        return tmp_path / "program"

    return build
