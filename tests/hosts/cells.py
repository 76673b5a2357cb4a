"""The cells: what is started how, where, and what must become of it.

A cell is a function that takes a Context, decorated with its name, group and a title for the table. It reports what is
wrong with context.fault; beds.Missing skips it.
"""
import contextlib
import os
import re
import shlex
import tempfile
import time

import beds
import job

RANKS = 6
JOB_LIMIT = 30  # seconds for one job
NOTICE_LIMIT = 15  # until the loss of a host or of a launcher has been told and nothing is left
CELLS = []
ADDRESSES = ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
COLLECTIVE = [["coll", "bcast"], ["coll", "allgather"], ["stress", "1", "1"]]


class Cell:
    def __init__(self, name, group, title, function):
        self.name, self.group, self.title, self.function = name, group, title, function


def cell(name, group, title):
    def add(function):
        CELLS.append(Cell(name, group, title, function))
        return function
    return add


class Context:
    """What a cell works with: its bed, programs, ways to run jobs, and what it found."""

    def __init__(self, bed, build, full):
        self.bed, self.build, self.full = bed, build, full
        self.ameexec = os.path.join(build, "launcher", "ameexec")
        self.info = os.path.join(build, "launcher", "ame-info")
        self.talk = os.path.join(build, "tests", "hosts_talk")
        self.faults, self.notes, self.seen, self.jobs = [], [], [], []

    def program(self, name):
        return self.talk if name == "talk" else os.path.join(self.build, "tests", "job_" + name)

    def fault(self, text):
        self.faults.append(text)

    def start(self, argv, env=None, on=1):
        self.jobs.append(job.Job(self.bed.command(argv, on), env))
        return self.jobs[-1]

    def end(self, running, code=0, limit=JOB_LIMIT):
        """Waits for a job and judges its exit code (None: any but 0) and what it left behind."""
        got = running.wait(limit)
        text = running.describe()
        self.seen.append(text)
        want = got if code is None and got else code
        words = shlex.join(self.short(running.command)).replace("\n", " ")
        print(f"   {running.seconds:4.1f} s {words if len(words) < 100 else '... ' + words[-96:]}")
        for fault in running.faults(got, want):
            self.fault(f"{shlex.join(self.short(running.command))}: {fault}{first_error(running)}")
        return got

    @staticmethod
    def short(command):
        """Without what the bed puts in front."""
        skip = command.index("TMPDIR=/tmp") + 1 if "TMPDIR=/tmp" in command else 0
        return [os.path.basename(word) if word.startswith("/") else word for word in command[skip:]]

    def run(self, argv, env=None, code=0, limit=JOB_LIMIT):
        running = self.start(argv, env)
        self.end(running, code, limit)
        return running

    def check(self, running, ranks=RANKS, hosts=None, way=None):
        """What `ame-info --check` printed in a job that has ended."""
        text = running.stdout.replace("\r", "")
        for rank in range(ranks):
            if len(re.findall(rf"^Hello from rank {rank} of {ranks}!$", text, re.MULTILINE)) != 1:
                self.fault(f"rank {rank} of {ranks} has not said Hello once")
                break
        if not re.search("^OK$", text, re.MULTILINE):  # launchers mix the lines of different hosts as they like
            self.fault("ame-info --check did not say OK")
        on_host = re.search(r"(\d+) ranks?, (\d+) of them here", text)
        if hosts and on_host and int(on_host[2]) != -(-ranks // hosts):
            self.fault(f"{on_host[2]} ranks are on rank 0's host, not {ranks} over {hosts} hosts")
        started = re.search(r"Started by: (\S+)", text)
        if way and (not started or not re.fullmatch(way, started[1])):
            self.fault(f"the way of booting is {started and started[1]}, must be {way}")
        if started and started[1] not in self.notes:
            self.notes.append(started[1])

    def suite(self, way, hosts, programs=None):
        """The check and the collective programs over one way of starting."""
        running = self.run(*way(self, RANKS, hosts, [self.info, "--check"]))
        self.check(running, RANKS, hosts, way.boots)
        if running.process.returncode:
            return  # the others would only take their time
        if self.full and not programs:
            return self.full_suite(way, hosts)
        for words in programs or COLLECTIVE:
            self.run(*way(self, RANKS, hosts, [self.program(words[0])] + words[1:]), limit=2 * JOB_LIMIT)

    def full_suite(self, way, hosts):
        """All of the job tests whose exit code is 0, with 5 ranks or the nearest number that they take."""
        with open(os.path.join(beds.HERE, "..", "job", "testlist")) as file:
            lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
        for words in lines:
            if any(word.startswith(("exit=", "env=")) for word in words) or words[0] == "huge":
                continue
            ranks = min(map(int, words[1].split(",")), key=lambda number: abs(number - 5))
            arguments = [] if words[2] == "-" else words[2].split(",")
            argv, env = way(self, ranks, hosts, [self.program(words[0])] + arguments)
            running = self.start(argv, env)
            if running.wait(2 * int(words[3])) == job.SKIP:
                continue
            self.end(running)

    def said(self, running, *patterns):
        text = (running.stdout + running.stderr).replace("\r", "")
        for pattern in patterns:
            if not re.search(pattern, text, re.MULTILINE):
                self.fault(f"'{pattern}' is not in what was printed{first_error(running)}")

    def wait_for(self, condition, limit, what):
        end = time.monotonic() + limit * job.SLOW
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.02)
        self.fault(f"{what}: not within {limit} s")
        return False

    def nothing_left(self, limit=beds.END_LIMIT):
        end = time.monotonic() + limit * job.SLOW
        while self.bed.left() and time.monotonic() < end:
            time.sleep(0.05)
        left = self.bed.left()
        return "processes are left: " + "; ".join(left) if left else ""

    def close(self):
        for running in self.jobs:
            running.close()
        self.bed.kill_left()


def first_error(running):
    """The first telling line of a job, for the table."""
    lines = [line for line in running.stderr.splitlines() if "ame" in line or "error" in line.lower()]
    return f" [{lines[0][:200]}]" if lines else ""


# ---- ways of starting: (context, ranks, hosts, program) -> (command, environment) -----------------
# `boots`: what ame-info must say about it.

def way(boots):
    def mark(function):
        function.boots = boots
        return function
    return mark


def host_list(ranks, hosts, names=("h1", "h2", "h3")):
    share = -(-ranks // hosts)
    return ",".join(f"{name}:{share}" for name in names[:hosts])


@way("pmi1")
def ameexec(context, ranks, hosts, program):
    where = ["-hosts", host_list(ranks, hosts)] if hosts > 1 else []
    return [context.ameexec, "-np", str(ranks)] + where + program, {}


@way("pmi1")
def hydra(context, ranks, hosts, program):
    beds.need(("mpirun.mpich", "mpich"))
    where = ["-hosts", host_list(ranks, hosts)] if hosts > 1 else []
    return ["mpirun.mpich", "-np", str(ranks)] + where + program, {}


@way("pmi1")
def hydra_port(context, ranks, hosts, program):
    argv, env = hydra(context, ranks, hosts, program)
    return argv[:1] + ["-pmi-port"] + argv[1:], env


@way("pmix")
def openmpi(context, ranks, hosts, program):
    beds.need(("mpirun.openmpi", "openmpi-bin"))
    where = ["-H", host_list(ranks, hosts)] if hosts > 1 else []
    argv = ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-x", "JOBTEST_MARK", "-np", str(ranks)]
    if hosts == 1:
        argv += ["--mca", "oob_tcp_if_include", "lo"]
    return argv + where + program, {}


def srun(kind, boots):
    @way(boots)
    def start(context, ranks, hosts, program):
        env = context.bed.allocation()
        return ["srun", f"--mpi={kind}", "--overlap", "-N", str(hosts), "-n", str(ranks)] + program, env
    return start


@way("shared.*")
def shared(context, ranks, hosts, program):
    """By hand: a shell starts each rank, with ssh where there are several hosts."""
    token = f"job{os.getpid()}-{time.monotonic_ns()}"
    share = -(-ranks // hosts)
    script = ""
    for rank in range(ranks):
        settings = [f"AME_SHARED_DIR={context.bed.shared}", f"AME_JOB_TOKEN={token}", f"AME_RANK={rank}",
                    f"AME_SIZE={ranks}"]
        if hosts > 1:
            remote = f"env JOBTEST_MARK=$JOBTEST_MARK {shlex.join(settings + program)}"
            script += f"ssh h{rank // share + 1} \"{remote}\" & all=\"$all $!\"\n"
        else:
            script += f"env {shlex.join(settings + program)} & all=\"$all $!\"\n"
    script += "code=0; for one in $all; do wait $one || code=$?; done; exit $code"
    return ["sh", "-c", script], {}


WAYS = {"ameexec": (ameexec, "ameexec"), "hydra": (hydra, "MPICH's mpiexec"), "openmpi": (openmpi, "Open MPI's mpirun"),
        "srun-none": (srun("none", "slurm.*"), "srun --mpi=none"), "srun-pmi2": (srun("pmi2", "pmi1"), "srun --mpi=pmi2"),
        "srun-pmix": (srun("pmix", "pmix"), "srun --mpi=pmix"), "shared": (shared, "AME_SHARED_DIR")}


def add_ways():
    for name, (start, title) in WAYS.items():
        for hosts, group in ((1, "one"), (3, "three")):
            plural = "host" if hosts == 1 else "hosts"
            cell(f"{name}-{hosts}", group, f"{title}, {hosts} {plural}")(
                lambda context, start=start, hosts=hosts: context.suite(start, hosts))
            cell(f"{name}-{hosts}-twice", group, f"{title}, {hosts} {plural}, two jobs at once")(
                lambda context, start=start, hosts=hosts: twice(context, start, hosts))


def twice(context, start, hosts):
    both = []
    for ranks in (5, 6):
        argv, env = start(context, ranks, hosts, [context.info, "--check"])
        both.append((ranks, context.start(argv, env)))
    for ranks, running in both:
        context.end(running)
        context.check(running, ranks)


add_ways()


@cell("hydra-port", "one", "MPICH's mpiexec -pmi-port")
def hydra_port_cell(context):
    context.suite(hydra_port, 1, [["coll", "barrier"]])


def add_nodes_of_one_machine():
    for kind in ("none", "pmi2", "pmix"):
        start = WAYS["srun-" + kind][0]

        def run(context, start=start):
            running = context.run(*start(context, RANKS, 3, [context.info, "--check"]))
            context.check(running, RANKS, way=start.boots)
        cell(f"srun-{kind}-nodes", "one", f"srun --mpi={kind}, 3 nodes of one machine, their names do not resolve")(run)


add_nodes_of_one_machine()


# ---- Slurm's odd cases ----------------------------------------------------------------------------

def add_slurm():
    for kind in ("none", "pmi2", "pmix"):
        def heterogeneous(context, kind=kind):
            env = context.bed.slurm()
            program = [context.info, "--check"]
            running = context.start(["srun", f"--mpi={kind}", "-N1", "-n2"] + program + [":", "-N2", "-n4"] + program, env)
            if running.wait(JOB_LIMIT) and "_tcp_connect" in running.stderr:  # seen in one of three runs of 22.05
                raise beds.Missing("Slurm's own daemons have not found each other: pmixp_dconn_tcp")
            context.end(running)
            context.check(running, 6)

        def arbitrary(context, kind=kind):
            nodes = context.bed.slurm_nodes
            path = os.path.join(context.bed.shared, "hostfile")
            with open(path, "w") as file:
                file.write("".join(nodes[k] + "\n" for k in (2, 0, 0, 1)))
            env = dict(context.bed.allocation(), SLURM_HOSTFILE=path)
            running = context.run(["srun", f"--mpi={kind}", "--overlap", "-m", "arbitrary", "-n4", context.info, "--check"],
                                  env)
            context.check(running, 4)

        def some_nodes(context, kind=kind):
            env = context.bed.allocation()
            running = context.run(["srun", f"--mpi={kind}", "--overlap", "-r1", "-N2", "-n4", context.info, "--check"], env)
            context.check(running, 4, 2)

        cell(f"srun-{kind}-het", "three", f"srun --mpi={kind}, heterogeneous step")(heterogeneous)
        cell(f"srun-{kind}-arbitrary", "three", f"srun --mpi={kind} -m arbitrary, rank 0 on the last node")(arbitrary)
        cell(f"srun-{kind}-relative", "three", f"srun --mpi={kind} -r1, not on the first node")(some_nodes)


add_slurm()


@cell("sbatch-single", "one", "in an sbatch script without srun: one rank")
def sbatch_single(context):
    env = context.bed.slurm()
    out = os.path.join(context.bed.shared, "sbatch.out")
    argv = ["sbatch", "--wait", "-n4", "-o", out, "--wrap", f"{context.info} --check"]
    context.end(context.start(argv, env))
    with open(out) as file:
        text = file.read()
    if "Hello from rank 0 of 1!" not in text:
        context.fault("not one rank: " + text[-300:])


# ---- launchers in launchers -----------------------------------------------------------------------

OMPI = ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe"]


def nested(name, group, title, argv, ranks, allocation=False, hosts=None):
    def run(context):
        beds.need(("mpirun.mpich", "mpich"), ("mpirun.openmpi", "openmpi-bin"))
        env = context.bed.allocation() if allocation else {}
        words = [context.ameexec if word == "ameexec" else word for word in argv]
        running = context.run(words + [context.info, "--check"], env)
        context.check(running, ranks, hosts)
    cell(name, group, title)(run)


nested("salloc-hydra", "three", "MPICH's mpiexec in salloc", ["mpirun.mpich", "-np", "6", "-ppn", "2"], 6, True, 3)
nested("salloc-openmpi", "three", "Open MPI's mpirun in salloc", OMPI + ["-x", "JOBTEST_MARK", "--map-by", "ppr:2:node"],
       6, True, 3)
nested("salloc-ameexec", "three", "ameexec in salloc", ["ameexec", "-np", "6", "-ppn", "2"], 6, True, 3)
nested("openmpi-hydra", "one", "mpirun -np 1 mpiexec -np 2", OMPI + ["-np", "1", "mpirun.mpich", "-np", "2"], 2)
nested("hydra-openmpi", "one", "mpiexec -np 1 mpirun -np 2", ["mpirun.mpich", "-np", "1"] + OMPI + ["-np", "2"], 2)
nested("hydra-ameexec", "one", "mpiexec -np 1 ameexec -np 3", ["mpirun.mpich", "-np", "1", "ameexec", "-np", "3"], 3)
nested("openmpi-ameexec", "one", "mpirun -np 1 ameexec -np 3", OMPI + ["-np", "1", "ameexec", "-np", "3"], 3)
nested("ameexec-hydra", "one", "ameexec -np 1 mpiexec -np 3", ["ameexec", "-np", "1", "mpirun.mpich", "-np", "3"], 3)
nested("ameexec-openmpi", "one", "ameexec -np 1 mpirun -np 3", ["ameexec", "-np", "1"] + OMPI + ["-np", "3"], 3)
nested("srun-ameexec", "one", "srun -n1 ameexec -np 3",
       ["srun", "--mpi=pmi2", "--overlap", "-N1", "-n1", "ameexec", "-launcher", "fork", "-np", "3"], 3, True)


# ---- variables left over from another launcher ----------------------------------------------------

STALE = {"PMI_FD": "77", "PMI_RANK": "1", "PMI_SIZE": "4", "PMI_JOBID": "9.9", "OMPI_COMM_WORLD_RANK": "2",
         "OMPI_COMM_WORLD_SIZE": "5"}
STALE_PMIX = {"PMIX_RANK": "3", "PMIX_NAMESPACE": "slurm.pmix.9.9", "PMIX_SERVER_URI2": "pmix-server.1;tcp4://127.0.0.1:9"}
STALE_SLURM = {"SLURM_JOB_ID": "99", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}


def add_stale():
    for name in ("ameexec", "hydra", "srun-none", "srun-pmi2"):
        def run(context, start=WAYS[name][0], name=name):
            argv, env = start(context, 3, 1, [context.info, "--check"])
            stale = dict(STALE) if name.startswith("srun") else dict(STALE, **STALE_PMIX, **STALE_SLURM)
            running = context.run(argv, dict(stale, **env))
            context.check(running, 3, way=start.boots)
        cell(f"stale-{name}", "one", f"{WAYS[name][1]} with variables left over from other launchers")(run)


add_stale()


@cell("stale-single", "one", "no launcher, in the body of a batch job: one rank")
def stale_single(context):
    running = context.run([context.info, "--check"], STALE_SLURM)
    context.check(running, 1)


@cell("stale-file", "one", "AME_SHARED_DIR with what a killed job of the same name left behind")
def stale_file(context):
    argv, env = shared(context, 3, 1, [context.talk, "20"])
    first = context.start(argv, env)
    if not talking(context, first, 3):
        context.end(first)
        return context.fault("the first job did not come up" + first_error(first))
    job.kill(pid for pid, _, words in first.processes())
    first.wait(JOB_LIMIT)
    context.seen.append(first.describe())
    again = [word.replace(shlex.join([context.talk, "20"]), shlex.join([context.info, "--check"])) for word in argv]
    running = context.run(again, env)
    context.check(running, 3)
    rest = [name for name in os.listdir(context.bed.shared) if name.startswith("ame")]
    if rest:
        context.fault("left in the shared directory: " + " ".join(rest))


def missing_rank(name, group, start):
    def run(context):
        argv, env = start(context)
        begin = time.monotonic()
        running = context.run(argv, dict(env, AME_CONNECT_TIMEOUT="3"), code=None, limit=25)
        context.said(running, r"rank [0-9]+.*3 s")
        context.notes.append(f"{time.monotonic() - begin:.1f} s")
    cell(name, group, "a rank that never comes: told within AME_CONNECT_TIMEOUT")(run)


def shared_without_last(context):
    (shell, flag, script), env = shared(context, 4, 1, [context.info, "--check"])
    lines = script.splitlines()
    return [shell, flag, "\n".join(lines[:3] + lines[4:])], env


missing_rank("missing-shared", "one", shared_without_last)
missing_rank("missing-srun", "one", lambda context: (
    ["srun", "--mpi=none", "--overlap", "-N1", "-n4", "sh", "-c",
     f"[ $SLURM_PROCID != 3 ] || exit 0; exec {context.info} --check"], context.bed.allocation()))


# ---- networks -------------------------------------------------------------------------------------

@contextlib.contextmanager
def interfaces(context, name, address):
    """An interface on each host that leads nowhere; `address` is a function of the host's number."""
    for k in (1, 2, 3):
        context.bed.run("sh", "-c", f"ip link add {name} type bridge && ip link add {name}x type veth peer name {name}y &&"
                        f"ip link set {name}x master {name} up && ip link set {name}y up && ip link set {name} up &&"
                        f"ip addr add {address(k)} dev {name}", on=k)
    try:
        yield
    finally:
        for k in (1, 2, 3):
            context.bed.run("sh", "-c", f"ip link del {name}; ip link del {name}x", on=k)


@cell("net-docker", "net", "docker0 with the same address on each host")
def net_docker(context):
    with interfaces(context, "docker0", lambda k: "172.17.0.1/16"):
        context.suite(ameexec, 3, [["coll", "bcast"]])


@cell("net-dead", "net", "a second interface, first in order, of a network that leads nowhere")
def net_dead(context):
    with interfaces(context, "a0", lambda k: f"10.1.0.{k}/24"):
        begin = time.monotonic()
        context.suite(ameexec, 3, [["coll", "bcast"]])
        context.notes.append(f"{time.monotonic() - begin:.1f} s")


@contextlib.contextmanager
def second_network(context):
    switch = context.bed.switch
    switch("ip", "link", "add", "br1", "type", "bridge")
    switch("ip", "link", "set", "br1", "up")
    for k in (1, 2, 3):
        with open(os.path.join(context.bed.base, f"h{k}.pid")) as file:
            switch("ip", "link", "add", f"w{k}", "type", "veth", "peer", "name", "eth1", "netns", file.read().strip())
        switch("ip", "link", "set", f"w{k}", "master", "br1", "up")
        context.bed.run("sh", "-c", f"ip addr add 10.78.0.{k}/24 dev eth1 && ip link set eth1 up", on=k)
    try:
        yield
    finally:
        for k in (1, 2, 3):
            switch("ip", "link", "del", f"w{k}")
        switch("ip", "link", "del", "br1")


def received(context, interface, on):
    for line in context.bed.run("cat", "/proc/net/dev", on=on).splitlines():
        if line.strip().startswith(interface + ":"):
            return int(line.split(":")[1].split()[0])
    return 0


@cell("net-iface", "net", "two networks, AME_IFACE takes the second")
def net_iface(context):
    with second_network(context):
        for setting, used, unused in (("eth1", "eth1", "eth0"), ("^eth1", "eth0", "eth1"), ("10.78.0.0/16", "eth1", "eth0")):
            before = [received(context, name, 1) for name in (used, unused)]
            argv, env = ameexec(context, 6, 3, [context.program("coll"), "bcast"])
            context.run(argv, dict(env, AME_IFACE=setting))
            used_bytes, unused_bytes = (received(context, name, 1) - old for name, old in zip((used, unused), before))
            if used_bytes < 1_000_000 or unused_bytes > used_bytes / 4:
                context.fault(f"AME_IFACE={setting}: {used_bytes} bytes over {used}, {unused_bytes} over {unused}")


@cell("net-firewall", "net", "a firewall that lets ssh and AME_PORT_RANGE pass")
def net_firewall(context):
    beds.need(("nft", "nftables"))
    context.bed.switch("nft", "add table bridge f; add chain bridge f c { type filter hook forward priority 0; }; "
                       "add rule bridge f c ip protocol tcp tcp flags & (syn|ack) == syn tcp dport != { 22, 20000-20040 } drop")
    try:
        argv, env = ameexec(context, 6, 3, [context.info, "--check"])
        running = context.run(argv, dict(env, AME_PORT_RANGE="20000:20040"))
        context.check(running, 6, 3)
        running = context.run(argv, dict(env, AME_CONNECT_TIMEOUT="5"), code=None)
        context.said(running, r"rank [0-9]+.*10\.77\.0\.[0-9]|10\.77\.0\.[0-9].*rank [0-9]+")
    finally:
        context.bed.switch("nft", "delete table bridge f")


@contextlib.contextmanager
def names(context, text):
    old = context.bed.write_hosts(text)
    try:
        yield
    finally:
        context.bed.write_hosts(old)


def add_no_names():
    @cell("names-ameexec", "net", "ameexec, no name resolution, hosts given by address")
    def run(context):
        with names(context, "127.0.0.1 localhost\n"):
            where = host_list(6, 3, ADDRESSES)
            running = context.run([context.ameexec, "-np", "6", "-hosts", where, context.info, "--check"])
            context.check(running, 6, 3)

    # srun itself looks up the name of its host, so that Slurm without names is what the cells srun-*-nodes are about
    @cell("names-hydra", "net", "MPICH's mpiexec, no name resolution, hosts given by address")
    def run_hydra(context):
        with names(context, "127.0.0.1 localhost\n"):
            argv, env = hydra(context, 6, 1, [context.info, "--check"])
            where = ["-hosts", host_list(6, 3, ADDRESSES), "-localhost", "10.77.0.1"]
            running = context.run(argv[:1] + where + argv[1:], env, limit=60)
            context.check(running, 6, 3)


add_no_names()


@contextlib.contextmanager
def only_v6(context):
    for k in (1, 2, 3):
        context.bed.run("sh", "-c", f"ip addr flush dev eth0 && ip -6 addr add fd00:77::{k}/64 dev eth0 nodad", on=k)
    try:
        with names(context, "127.0.0.1 localhost\n" + "".join(f"fd00:77::{k} h{k}\n" for k in (1, 2, 3))):
            yield
    finally:
        for k in (1, 2, 3):
            context.bed.run("sh", "-c", f"ip addr flush dev eth0; ip addr add 10.77.0.{k}/24 dev eth0 &&"
                            "ip route replace default via 10.77.0.254", on=k)


@cell("v6-ameexec", "net", "ameexec, IPv6 only")
def v6_ameexec(context):
    with only_v6(context):
        context.suite(ameexec, 3, [["coll", "bcast"]])


@cell("v6-openmpi", "net", "Open MPI's mpirun, IPv6 only")  # Hydra itself cannot
def v6_openmpi(context):
    with only_v6(context):
        context.suite(openmpi, 3, [["coll", "bcast"]])


@cell("v6-shared", "net", "AME_SHARED_DIR, IPv6 only")
def v6_shared(context):
    with only_v6(context):
        context.suite(shared, 3, [["coll", "bcast"]])


@contextlib.contextmanager
def emulated(context, *options):
    beds.need(("cc", "gcc"))
    context.bed.script("emu", *options)
    try:
        yield
    finally:
        context.bed.script("emu", "off")


def add_bad_networks():
    for name, title, options, programs in (
            ("delay", "20 ms delay each way", ["-d", "20000"], [["talk", "0", "20"]]),
            ("loss", "1 % loss", ["-l", "1"], [["talk", "0", "300"], ["sendrecv"]])):
        for start in ("ameexec", "shared"):
            def run(context, options=options, start=WAYS[start][0], programs=programs):
                with emulated(context, *options):
                    context.suite(start, 3, programs)
            cell(f"{name}-{start}", "net", f"{WAYS[start][1]}, {title}")(run)


add_bad_networks()


# ---- somebody on the network ----------------------------------------------------------------------

TEXT = b"everybody on this network can read it"  # of talk.c


@way("pmi1")
def encrypted(context, ranks, hosts, program):
    argv, env = ameexec(context, ranks, hosts, program)
    return argv, dict(env, AME_ENCRYPT="1")


@cell("encrypted", "net", "AME_ENCRYPT=1: what passes over the network cannot be read")
def encrypted_cell(context):
    record = os.path.join(context.bed.base, "frames")
    for start, readable in ((ameexec, True), (encrypted, False)):
        with emulated(context, "-w", record):
            context.run(*start(context, RANKS, 3, [context.talk, "0", "20"]))
        with open(record, "rb") as file:
            frames = file.read()
        if (TEXT in frames) != readable:
            context.fault(f"the text of the messages is {'not ' if readable else ''}in {len(frames)} bytes of frames")
    context.suite(encrypted, 3)


@cell("tampered", "net", "AME_ENCRYPT=1: a bit is changed on the way, in the middle of the job")
def tampered(context):
    for after in ("30000", "60001", "90002"):
        with emulated(context, "-x", after):
            argv, env = encrypted(context, RANKS, 3, [context.talk, "0", "20000"])
            running = context.start(argv, env)
            context.end(running, code=None)
            context.said(running, r"AME_ENCRYPT", r"rank \d+\b.*is not what it sent")
            if "another text" in running.stderr:
                context.fault("changed bytes came to the program")


@cell("encrypt-mismatch", "net", "AME_ENCRYPT is not the same everywhere")
def encrypt_mismatch(context):
    for first, second in (("1", "0"), ("0", "1"), ("2", "1")):
        argv = [context.ameexec, "-hosts", "h1,h2"] + ["-n", "1", "-env", "AME_ENCRYPT", first, context.talk, "0", "2", ":"]
        running = context.run(argv + ["-n", "1", "-env", "AME_ENCRYPT", second, context.talk, "0", "2"], code=None)
        context.said(running, r"rank 1 on host h2 cannot connect to rank 0 on host h1.*AME_ENCRYPT has another value there")


# ---- a host or a launcher is lost -----------------------------------------------------------------

def talking(context, running, ranks=RANKS):
    return context.wait_for(lambda: running.stdout.count("talking") >= ranks or running.process.poll() is not None,
                            JOB_LIMIT, "the ranks talk") and running.process.poll() is None


CUTS = ["ameexec", "ameexec-root", "shared", "hydra", "srun-pmi2", "srun-none"]


class Cut:
    """A job of which h2 is cut off, and what is seen of it."""

    def __init__(self, context, name):
        argv, env = WAYS[name.replace("-root", "")][0](context, RANKS, 3, [context.talk, "20"])
        self.lost = (2, 3)
        if name.endswith("-root"):  # the launcher stays on h1, rank 0 is on h2
            argv[argv.index("-hosts") + 1] = "h2:2,h1:2,h3:2"
            self.lost = (0, 1)
        self.launcher_ends = name.startswith("ameexec")
        self.running = context.start(argv, env)
        self.told = self.gone = None
        self.context = context

    def watch(self, begin):
        """Notes when something has happened; True when all has."""
        seconds = time.monotonic() - begin
        text = self.running.stdout + self.running.stderr
        lost = rf"ranks? (\d+, )*({self.lost[0]}|{self.lost[1]})\b"
        named = re.compile(rf"{lost}.*\bh2\b|\bh2\b.*{lost}")
        if self.told is None and any(named.search(line) for line in text.splitlines() if "talking" not in line):
            self.told = seconds
        ranks = [pid for pid, _, words in self.running.processes() if words.startswith(self.context.talk)]
        if self.gone is None and not ranks and (self.running.process.poll() is not None or not self.launcher_ends):
            self.gone = seconds
        return self.told is not None and self.gone is not None


def cut_all(context):
    """All ways at once, since each takes as long as it takes to notice."""
    cuts = {}
    for name in CUTS:
        with contextlib.suppress(beds.Missing):
            cuts[name] = Cut(context, name)
    for cut in cuts.values():
        talking(context, cut.running)
    begin = time.monotonic()
    context.bed.switch("ip", "link", "set", "v2", "down")
    try:
        # those that must not wait for each other are still watched in turn, so that none is forgotten
        context.wait_for(lambda: all([cut.watch(begin) for cut in cuts.values()]), NOTICE_LIMIT + 3, "the end of all")
    finally:
        context.bed.switch("ip", "link", "set", "v2", "up")
    for cut in cuts.values():
        cut.running.wait(time.monotonic() - cut.running.start + 10)
        cut.text = cut.running.describe()
    context.faults.clear()  # each cell says what is wrong with its own job
    return cuts


def add_cuts():
    for name in CUTS:
        def run(context, name=name):
            if not hasattr(context.bed, "cuts"):
                context.bed.cuts = cut_all(context)
            cut = context.bed.cuts.get(name)
            if not cut:
                raise beds.Missing("the launcher is not installed")
            context.seen.append(cut.text)
            if cut.told is None or cut.told > NOTICE_LIMIT:
                context.fault(f"no error names rank {cut.lost[0]} or {cut.lost[1]} and h2 within {NOTICE_LIMIT} s")
            # the ranks on both sides of the cut end by themselves, and ameexec does
            if cut.gone is None:
                context.fault(f"not all ranks have ended within {NOTICE_LIMIT + 3} s")
            context.notes.append(f"told after {cut.told or 0:.1f} s, all ranks gone after {cut.gone or 0:.1f} s")
        title = WAYS[name.replace("-root", "")][1]
        cell("cut-" + name, "three", title + ": h2 is cut off in mid-job" + (", rank 0 with it" * name.endswith("-root")))(run)


add_cuts()


@cell("kill-ameexec", "net", "ameexec is killed: nothing is left on any host")
def kill_ameexec(context):
    argv, env = ameexec(context, RANKS, 3, [context.talk, "50"])
    running = context.start(argv, env)
    if not talking(context, running):
        context.end(running)
        return context.fault("the job did not come up" + first_error(running))
    begin = time.monotonic()
    # the oldest one is what was started; others may be its helpers
    own = sorted(pid for pid, (host, words) in context.bed.new().items()
                 if host == "h1" and words.startswith(context.ameexec))
    job.kill(own[:1])
    context.wait_for(lambda: not context.bed.left(), NOTICE_LIMIT, "the end of all processes")
    context.notes.append(f"all gone after {time.monotonic() - begin:.1f} s")
    running.wait(JOB_LIMIT)
    context.seen.append(running.describe())


@cell("kill-rank", "net", "a rank on h3 is killed: the others end, the message names it")
def kill_rank(context):
    argv, env = ameexec(context, RANKS, 3, [context.talk, "50"])
    running = context.start(argv, env)
    if not talking(context, running):
        context.end(running)
        return context.fault("the job did not come up" + first_error(running))
    job.kill([pid for pid, (host, words) in sorted(context.bed.new().items())
              if host == "h3" and words.startswith(context.talk)][:1])
    context.end(running, code=None, limit=JOB_LIMIT)
    context.said(running, r"rank [45]\b.*h3|h3.*rank [45]\b")


# ---- a list of commands ---------------------------------------------------------------------------

def map_lines(context, lines):
    """Starts --map over three hosts with the numbers from 1 to `lines`; each command prints its number and host. What is
    written is in a folder of this job, since a job log that exists is refused."""
    folder = tempfile.mkdtemp(dir=context.bed.shared)
    path = os.path.join(folder, "lines")
    with open(path, "w") as file:
        file.writelines(f"{n}\n" for n in range(1, lines + 1))
    log = os.path.join(folder, "joblog")
    return log, context.start([context.ameexec, "-hosts", host_list(RANKS, 3), "-a", path, "--joblog", log, "--map",
                               "sleep 0.1; echo {} on $(hostname)"])


def map_check(context, running, log, lines):
    """Every line was done, and printed, once."""
    done = [line.split(" on ") for line in running.stdout.splitlines()]
    if sorted(int(n) for n, _ in done) != list(range(1, lines + 1)):
        context.fault(f"not each line once: {done}")
    with open(log) as file:
        rows = [row.split("\t") for row in file.read().splitlines()[1:]]
    if sorted((row[0], row[1]) for row in rows) != sorted(map(tuple, done)):
        context.fault("the job log has other lines or hosts than what was printed")
    return {host for _, host in done}


@cell("map", "three", "ameexec --map over three hosts")
def map_cell(context):
    log, running = map_lines(context, 30)
    context.end(running)
    if map_check(context, running, log, 30) != {"h1", "h2", "h3"}:
        context.fault("not all hosts have done something")


@cell("map-cut", "three", "ameexec --map: h2 is cut off in mid-run, its lines are done elsewhere")
def map_cut(context):
    log, running = map_lines(context, 60)
    context.wait_for(lambda: running.stdout.count("h2") >= 2 or running.process.poll() is not None, JOB_LIMIT, "lines on h2")
    begin = time.monotonic()
    context.bed.switch("ip", "link", "set", "v2", "down")
    try:
        context.end(running)  # its two lines wait until the loss is noticed
        context.notes.append(f"ended {time.monotonic() - begin:.1f} s after the cut")
        context.wait_for(lambda: not any("ame-map" in words for words in context.bed.left()), NOTICE_LIMIT,
                         "the end of the ranks on h2")
    finally:
        context.bed.switch("ip", "link", "set", "v2", "up")
    map_check(context, running, log, 60)
    context.said(running, r"h2")
