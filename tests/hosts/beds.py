"""Where jobs run: this machine, or fake hosts in namespaces; with a Slurm of their own, started when first asked for."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
HOSTS_SH = os.path.join(SOURCE, "tests", "testbed", "hosts.sh")
SLURM_SH = os.path.join(SOURCE, "tests", "testbed", "slurm.sh")
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
sys.path[:0] = [os.path.join(HERE, "..", "job")]
import job  # noqa: E402

# How long a bed may take to start, and processes on other hosts to end after their launcher.
START_LIMIT, END_LIMIT = 60, 5


class Missing(Exception):
    """Something that this machine does not have; its text is the reason for skipping."""


def need(*programs):
    for program, package in programs:
        if not shutil.which(program, path=PATH):
            raise Missing(f"{program} is not installed (package {package})")


def free_ports(count):
    """The first of `count` successive ports of which none is in use."""
    for first in range(17000 + os.getpid() % 40 * 300, 32000, 300):
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise Missing("no 300 successive ports are free")


def clean_environment(extra):
    environ = {k: v for k, v in os.environ.items() if not k.startswith(job.FOREIGN)}
    environ.update(extra, PATH=PATH)
    return environ


class Bed:
    """This machine. Commands run on it; `hosts` are the names that a launcher may use."""
    count = 1
    host = "localhost"

    def __init__(self, share=()):
        self.base = tempfile.mkdtemp(prefix="ame-bed-", dir="/tmp")
        self.shared = os.path.join(self.base, "shared")
        os.mkdir(self.shared)
        self.slurm_started = False
        self.alloc_process = None
        self.alloc_environment = None

    def command(self, argv, on=1):
        return list(argv)

    def run(self, *argv, on=1, env=None, limit=START_LIMIT, check=True):
        """A command of the test itself. Returns its standard output."""
        done = subprocess.run(self.command(argv, on), env=clean_environment(env or {}), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=limit)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
        return done.stdout

    def left(self):
        """Processes on the hosts that were not there before the jobs, in words."""
        return []

    def kill_left(self):
        pass

    # ---- Slurm ----
    slurm_nodes = ["n1", "n2", "n3"]

    def slurm_variables(self):
        return {"BASE": os.path.join(self.base, "slurm"), "NODES": "3", "PORT": str(free_ports(300))}

    def slurm_conf(self):
        return os.path.join(self.base, "slurm", "slurm.conf")

    def slurm(self):
        """Starts Slurm if it does not run; the environment in which srun finds it."""
        if not self.slurm_started:
            need(("srun", "slurm-wlm"), ("slurmctld", "slurm-wlm"), ("slurmd", "slurm-wlm"), ("munged", "munge"))
            self.slurm_environment = self.slurm_variables()
            self.slurm_started = True
            self.slurm_script("start")
            self.settled()
        return {"SLURM_CONF": self.slurm_conf()}

    def slurm_script(self, verb):
        log = os.path.join(self.base, "slurm.out")  # not a pipe: the daemons would hold it
        with open(log, "w+") as file:
            code = subprocess.run([SLURM_SH, verb], env=clean_environment(self.slurm_environment),
                                  stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=START_LIMIT).returncode
            file.seek(0)
            if code:
                raise RuntimeError(f"slurm.sh {verb}: {file.read()}")

    def allocation(self):
        """The environment inside a salloc of all nodes, which lasts as long as the bed."""
        env = self.slurm()
        if self.alloc_environment is None:
            path = os.path.join(self.shared, "alloc")
            script = f"env -0 >{path}.new && mv {path}.new {path} && exec sleep 1000"
            with open(path + ".out", "w+") as out:
                self.alloc_process = subprocess.Popen(
                    self.command(["salloc", "-KTERM", "-N3", "-n24", "sh", "-c", script]), env=clean_environment(env),
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
            end = time.monotonic() + START_LIMIT
            while not os.path.exists(path):
                if time.monotonic() > end or self.alloc_process.poll() is not None:
                    with open(path + ".out") as out:
                        raise RuntimeError("salloc: " + out.read())
                time.sleep(0.02)
            with open(path) as file:
                pairs = (item.partition("=") for item in file.read().split("\0") if item)
                self.alloc_environment = {k: v for k, _, v in pairs if k.startswith("SLURM_")}
            self.settled()
        return dict(env, **self.alloc_environment)

    def settled(self):
        """What runs now belongs to the bed."""

    def close(self):
        try:
            if self.slurm_started:
                self.slurm_script("stop")
        finally:
            if self.alloc_process:
                try:
                    self.alloc_process.wait(10)
                except subprocess.TimeoutExpired:
                    self.alloc_process.kill()
                    self.alloc_process.wait()
            shutil.rmtree(self.base, ignore_errors=True)


class Hosts(Bed):
    """Fake hosts h1..h3. Commands run on h1 unless said otherwise."""
    count = 3
    host = "h1"
    slurm_nodes = ["h1", "h2", "h3"]

    def __init__(self, share=()):
        if os.geteuid() != 0:
            raise Missing("fake hosts need root")
        need(("ip", "iproute2"), ("sshd", "openssh-server"), ("ssh", "openssh-client"), ("nsenter", "util-linux"))
        probe = subprocess.run(["unshare", "-n", "-u", "-m", "-p", "-i", "--fork", "--mount-proc", "ip", "link", "set",
                                "lo", "up"], capture_output=True, text=True)
        if probe.returncode:
            raise Missing("namespaces are not permitted: " + probe.stderr.strip())
        super().__init__()
        self.names = [f"h{k}" for k in (1, 2, 3)]
        self.share = " ".join(folder for folder in share if folder.startswith("/tmp/"))
        try:
            self.script("up", "3")
        except BaseException:
            self.close()
            raise
        self.settled()

    def script(self, *argv, limit=START_LIMIT):
        log = os.path.join(self.base, "hosts.out")
        env = clean_environment({"BASE": self.base, "SHARE": self.share})
        with open(log, "w+") as file:
            code = subprocess.run([HOSTS_SH, *argv], env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                  timeout=limit).returncode
            file.seek(0)
            text = file.read()
        if code:
            raise RuntimeError(f"hosts.sh {' '.join(argv)}: {text}")
        return text

    def command(self, argv, on=1):
        return ["env", "BASE=" + self.base, HOSTS_SH, "exec", str(on), "env", "-u", "BASE", "TMPDIR=/tmp", *argv]

    def switch(self, *argv):
        return self.script("sw", *argv)

    # ---- processes ----
    def processes(self):
        """{pid: (host, command)} of all living processes on the hosts."""
        spaces = {}
        for name in self.names:
            try:
                with open(os.path.join(self.base, name + ".pid")) as file:
                    spaces[os.readlink(f"/proc/{file.read().strip()}/ns/pid")] = name
            except OSError:
                pass
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                name = spaces.get(os.readlink(f"/proc/{pid}/ns/pid"))
                if not name:
                    continue
                with open(f"/proc/{pid}/stat") as file:
                    state = file.read().rpartition(")")[2].split()[0]
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if state not in "ZX" and words != "sleep 1000":
                found[int(pid)] = (name, words)
        return found

    def settled(self):
        self.known = set(self.processes())

    def new(self):
        return {pid: what for pid, what in self.processes().items() if pid not in self.known}

    def left(self):
        return [f"{host}: {pid} {words[:100]}" for pid, (host, words) in sorted(self.new().items())]

    def kill_left(self):
        job.kill(self.new())

    # ---- Slurm ----
    def slurm_variables(self):
        return {"BED": self.base, "NODES": "3"}

    def slurm_conf(self):
        return os.path.join(self.shared, "slurm", "slurm.conf")

    # ---- the network ----
    def write_hosts(self, text):
        """In place, as it is bound to /etc/hosts of each host."""
        with open(os.path.join(self.base, "hosts"), "r+") as file:
            old = file.read()
            file.seek(0)
            file.truncate()
            file.write(text)
        return old

    def close(self):
        try:
            if self.slurm_started:
                self.slurm_script("stop")
                self.slurm_started = False
        finally:
            self.script("down")
            super().close()
