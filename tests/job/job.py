"""Running a job and seeing what became of it; used by jobtest and by tests/fault."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

SKIP = 77
SLOW = float(os.environ.get("JOBTEST_SLOW", "1"))
# How long the kernel may take to remove processes that have been killed.
GRACE = 0.3
# Variables of a launcher around the tests, which must not reach them.
FOREIGN = ("AME_", "PMI_", "PMIX_", "OMPI_", "SLURM_", "MPI_LOCAL", "HYDRA_")


def marked(mark):
    """Processes, zombies apart, in whose environment `mark` is: [(pid, state, command line)]."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark.encode() not in file.read():
                    continue
            with open(f"/proc/{pid}/stat") as file:
                state = file.read().rpartition(")")[2].split()[0]
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has just ended, or is not ours
            continue
        if state not in "ZX":
            found.append((int(pid), state, command))
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Job:
    """A command that runs with a mark in its environment, a TMPDIR of its own and a process group of its own."""

    def __init__(self, command, env=None, cwd=None):
        self.mark = "JOBTEST_MARK=" + uuid.uuid4().hex
        self.folder = tempfile.mkdtemp(prefix="ame-jobtest-")
        self.tmp = os.path.join(self.folder, "tmp")
        os.mkdir(self.tmp)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        environ.update(env or {})
        environ["TMPDIR"] = self.tmp
        key, _, value = self.mark.partition("=")
        environ[key] = value
        self.files = [open(os.path.join(self.folder, name), "w+b") for name in ("stdout", "stderr")]
        self.command = command
        self.start = time.monotonic()
        self.process = subprocess.Popen(command, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self.files[0],
                                        stderr=self.files[1], start_new_session=True)
        self.timed_out = False
        self.left = []
        self.files_left = []

    def processes(self):
        return marked(self.mark)

    def text(self, which):
        with open(self.files[which].name, "rb") as file:
            return file.read().decode(errors="replace")

    @property
    def stdout(self):
        return self.text(0)

    @property
    def stderr(self):
        return self.text(1)

    def wait(self, limit):
        """Waits for the end, kills what is left, and keeps what was seen. Returns the exit code."""
        limit *= SLOW
        try:
            self.process.wait(max(0.01, limit - (time.monotonic() - self.start)))
        except subprocess.TimeoutExpired:
            self.timed_out = True
            self.left = self.processes()
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.seconds = time.monotonic() - self.start
        if not self.timed_out:
            until = time.monotonic() + GRACE * SLOW
            self.left = self.processes()
            while self.left and time.monotonic() < until:
                time.sleep(0.01)
                self.left = self.processes()
        kill(pid for pid, _, _ in self.processes())
        code = self.process.wait()
        self.files_left = sorted(os.path.join(folder[len(self.tmp):], name)
                                 for folder, _, names in os.walk(self.tmp) for name in names)
        return code

    def faults(self, code, want):
        """What is wrong with a job that has ended with `code`, in words."""
        faults = []
        if self.timed_out:
            faults.append(f"did not end within its limit ({self.seconds:.1f} s)")
        elif code != want:
            faults.append(f"exit code {code}, must be {want}")
        if self.left:
            faults.append("processes left: " + "; ".join(f"{p} ({s}) {c}" for p, s, c in self.left))
        if self.files_left:
            faults.append("files left in TMPDIR: " + " ".join(self.files_left))
        return faults

    def describe(self):
        parts = ["+ " + " ".join(self.command), f"({self.seconds:.2f} s)"]
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                parts.append(f"--- {name} ---\n{text[-6000:].rstrip()}")
        return "\n".join(parts)

    def close(self):
        kill(pid for pid, _, _ in self.processes())
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for file in self.files:
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)
