"""Options, environment, placement, several programs."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

SHELL = "sh", "-c"


@pytest.mark.parametrize("words", [["-n", "3"], ["-np", "3"], ["--np", "3"], ["-c", "3"], ["--n", "3"], ["-np=3"], ["-n3"]])
def test_spellings_of_n(ameexec, words):
    assert ameexec.run(*words, "echo", "x").out == "x\n" * 3


def test_default_number_of_ranks(ameexec):
    assert ameexec.run("echo", "x").out == "x\n" * len(os.sched_getaffinity(0))


@pytest.mark.parametrize("wrong, right", [("--timout", "--timeout"), ("-tag-ouput", "--tag-output"),
                                          ("--report-binding", "--report-bindings"), ("--wdirr", "--wdir")])
def test_suggestions(ameexec, wrong, right):
    job = ameexec.run(wrong, "3", "true")
    assert job.code == 1
    assert job.err == f"ameexec: unknown option '{wrong}'; maybe {right}?\n"


def test_unknown_option_without_suggestion(ameexec):
    assert "ameexec --help" in ameexec.run("--qqqqqqqqqqqq", "true").err


@pytest.mark.parametrize("words, text", [
    (["-n", "0", "true"], "-n: '0' is not a number from 1"),
    (["-n", "x", "true"], "-n: 'x' is not a number"),
    (["-n"], "-n needs N"),
    (["-n", "2"], "no program given"),
    (["-n", "2", "true", ":"], "no program given after ':'"),
    ([":", "true"], "no program before ':'"),
    (["--timeout", "soon", "true"], "'soon' is not a number of seconds"),
    (["--bind-to", "moon", "true"], "'moon' is not one of none, hwthread, core"),
    (["-s", "some", "true"], "'some' is not a rank, all or none"),
    (["-n", "2", "-s", "2", "true"], "there is no rank 2 in a job of 2"),
    (["-n", "2", "--pty", "5", "true"], "there is no rank 5"),
    (["-wdir", "/no/such", "true"], "'/no/such': No such file"),
    (["-host", "a:0", "true"], "'a:0': after ':' there must be a number of slots"),
    (["-host", "-oProxyCommand=x", "true"], "is not the name of a host"),
    (["-launcher", "pigeon", "true"], "'pigeon' is not one of ssh"),
    (["-launcher-exec", "/no/such", "-host", "far.example", "true"], "host far.example cannot be reached: /no/such"),
    (["-f", "/no/such", "true"], "cannot read '/no/such'"),
    (["--verbose=1", "true"], "takes no value"),
])
def test_mistakes(ameexec, words, text):
    job = ameexec.run(*words)
    assert job.code == 1 and text in job.err and job.err.count("\n") == 1


def test_foreign_options(ameexec):
    words = ["--oversubscribe", "--overcommit", "--allow-run-as-root", "--use-hwthread-cpus", "--mca", "btl", "tcp,self",
             "--bind-to-core", "-ppn", "2", "-N", "2", "-host", "localhost:2", "-launcher", "fork", "--map-by", "node"]
    job = ameexec.run(*words, "-n", 2, "echo", "x")
    assert (job.code, job.out, job.err) == (0, "x\nx\n", "")
    assert "accepted without effect: --oversubscribe, --overcommit" in ameexec.run(*words, "-v", "-n", 1, "true").err


def test_help_and_version(ameexec):
    job = ameexec.run("--help")
    assert job.code == 0 and job.err == "" and "--outfile-pattern" in job.out and "Placement" in job.out
    assert max(map(len, job.out.splitlines())) <= 120
    assert re.fullmatch(r"ameexec \(AME\) \d+\.\d+\.\d+\n", ameexec.run("-V").out)


def test_manual_names_every_option(ameexec):
    manual = (pathlib.Path(__file__).parents[2] / "docs" / "ameexec.1").read_text().replace("\\-", "-")
    names = re.findall(r"(?<=[ ,])--?([a-zA-Z][a-z-]*)(?=[, ])", "\n".join(
        line[:40] for line in ameexec.run("--help").out.splitlines() if line.startswith("  -")))
    assert len(names) > 50
    assert not [name for name in names if not re.search(rf"-{name}(?![a-z-])", manual)]


def test_hostfile(ameexec, tmp_path):
    (tmp_path / "hosts").write_text("# mine\nlocalhost slots=4\nlocalhost:2\n")
    assert ameexec.run("-f", tmp_path / "hosts", "-n", 1, "true").code == 0
    assert ameexec.run("-f", tmp_path / "hosts", "echo", "x").out == "x\n" * 6
    (tmp_path / "hosts").write_text("\nlocalhost slot=2\n")
    assert f"{tmp_path / 'hosts'}, line 2: 'slot=2' is not understood" in ameexec.run("-f", tmp_path / "hosts", "true").err
    (tmp_path / "hosts").write_text("# none\n")
    assert "there are no hosts" in ameexec.run("-f", tmp_path / "hosts", "true").err


def test_allocation(ameexec, tmp_path):
    """Where ranks would run; what the hosts make of it is in test_hosts.py."""
    def places(*words, **env):
        job = ameexec.run(*words, "--dry-run", "true", extra=env)
        assert job.code == 0, job.err
        return [line.split()[3].rstrip(":") for line in job.out.splitlines() if line.startswith("rank ")]

    (tmp_path / "hosts").write_text("n1\nn1\nn2\n")
    slurm = {"SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_CPUS_PER_NODE": "2(x2),1"}
    assert places(**slurm) == ["n1", "n1", "n2", "n2", "n3"]
    assert places("-host", "a,b", **slurm) == ["a", "b"]
    assert places(**slurm, SLURM_NTASKS="3", SLURM_TASKS_PER_NODE="1(x3)") == ["n1", "n2", "n3"]
    step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "n[2-3]", "SLURM_STEP_NUM_TASKS": "1"}
    assert places("-ppn", 1, **slurm, **step) == ["n2", "n3"]
    assert places(PBS_NODEFILE=str(tmp_path / "hosts")) == ["n1", "n1", "n2"]
    assert places(LSB_MCPU_HOSTS="n1 2 n2 1") == ["n1", "n1", "n2"]
    assert places(LSB_HOSTS="n1 n2 n1") == ["n1", "n1", "n2"]
    assert places(HYDRA_HOST_FILE=str(tmp_path / "hosts")) == ["n1", "n1", "n2"]
    assert places("-n", 2, "-launcher", "fork", **slurm) == [os.uname().nodename] * 2


def test_order(ameexec):
    def places(*words):
        job = ameexec.run("-host", "a:3,b:1", *words, "--dry-run", "true")
        return "".join(line.split()[3].rstrip(":") for line in job.out.splitlines() if line.startswith("rank "))

    assert places() == "aaab"
    assert places("-n", 6) == "aaabaa"
    assert places("-ppn", 2) == "aabb"
    assert places("--map-by", "node") == "abaa"
    assert places("--map-by", "ppr:1:node", "-n", 4) == "abab"
    assert places("--map-by", "ppr:2:node:pe=1") == "aabb"
    assert places("-n", 1, "true", ":", "-n", 3) == "aaab"


# ---- environment


def variables(job):
    return dict(line.split("=", 1) for line in job.out.splitlines() if "=" in line)


def test_rank_variables(ameexec):
    job = ameexec.run("-n", 3, "--output-from", 2, "env")
    found = variables(job)
    for name in ("AME_RANK", "AME_LOCAL_RANK", "RANK", "LOCAL_RANK", "PMI_RANK", "MPI_LOCALRANKID"):
        assert found[name] == "2", name
    for name in ("AME_SIZE", "AME_LOCAL_SIZE", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"):
        assert found[name] == "3", name
    assert found["PYTHONUNBUFFERED"] == "1"
    assert int(found["PMI_FD"]) > 2
    assert found["AME_JOB_ID"]
    assert "OMPI_COMM_WORLD_SIZE" not in found


def test_threads(ameexec):
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    cpus = len(os.sched_getaffinity(0))
    for count, threads in ((1, cpus), (64, 1)):
        found = variables(ameexec.run("-n", count, "--output-from", 0, "env", env=clean))
        assert {found[f"{n}_NUM_THREADS"] for n in ("OMP", "MKL", "OPENBLAS")} == {str(threads)}
    found = variables(ameexec.run("-n", 1, "env", env=dict(clean, OMP_NUM_THREADS="3")))
    assert found["OMP_NUM_THREADS"] == found["MKL_NUM_THREADS"] == "3"


def gpus(ameexec, ranks, per_rank, devices, *more):
    """CUDA_VISIBLE_DEVICES of each rank."""
    env = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    if devices is not None:
        env["CUDA_VISIBLE_DEVICES"] = devices
    job = ameexec.run("-n", ranks, "--gpus-per-rank", per_rank, *more, *SHELL,
                      "echo $AME_RANK=${CUDA_VISIBLE_DEVICES-unset} $OMPI_COMM_WORLD_LOCAL_RANK$MV2_COMM_WORLD_LOCAL_RANK", env=env)
    lines = sorted(job.out.splitlines())
    assert [line.split()[1] for line in lines] == [f"{rank}{rank}" for rank in range(ranks)]
    return [line.split()[0].split("=")[1] for line in lines]


def test_gpus_per_rank(ameexec):
    uuids = "GPU-1234-aa,MIG-77/1/0,GPU-9"
    assert gpus(ameexec, 4, 1, "3,1,0,2") == ["3", "1", "0", "2"]
    assert gpus(ameexec, 3, 1, uuids) == uuids.split(",")
    assert gpus(ameexec, 2, 2, "4,5,6,7") == ["4,5", "6,7"]
    assert gpus(ameexec, 3, 2, "4,5,6") == ["4,5", "6,4", "5,6"]
    assert gpus(ameexec, 5, 1, "0,1,2,3") == ["0", "1", "2", "3", "0"]  # rank 4 beside rank 0, which often only coordinates
    assert gpus(ameexec, 2, 9, "6,7") == ["6,7", "6,7"]
    assert gpus(ameexec, 2, 1, "2,-1,3") == ["2", "2"]  # the driver's own rule: -1 ends the list
    assert gpus(ameexec, 2, 1, "") == ["", ""]
    assert gpus(ameexec, 1, 1, "NoDevFiles") == ["NoDevFiles"]
    assert gpus(ameexec, 2, 1, "0,1", "-x", "CUDA_VISIBLE_DEVICES=5,6") == ["5", "6"]
    if not any(name[6:].isdigit() for name in os.listdir("/dev") if name.startswith("nvidia")):
        assert gpus(ameexec, 2, 1, None) == ["unset", "unset"]
    found = variables(ameexec.run("-n", 1, "env"))
    assert "OMPI_COMM_WORLD_LOCAL_RANK" not in found and "MV2_COMM_WORLD_LOCAL_RANK" not in found
    assert ameexec.run("--gpus-per-rank", 0, "true").code != 0


def test_stale_variables_are_gone(ameexec):
    stale = {"PMI_PORT": "1", "PMIX_RANK": "1", "OMPI_COMM_WORLD_RANK": "1", "HYDI_CONTROL_FD": "7", "AME_RANK": "7",
             "OMPI_MCA_ess_base_vpid": "1"}
    kept = {"OMPI_MCA_btl": "tcp", "AME_LOG": "error", "SLURM_PROCID": "0"}
    found = variables(ameexec.run("-n", 1, "env", extra={**stale, **kept}))
    assert found["AME_RANK"] == "0"
    assert not (set(stale) - {"AME_RANK"}) & set(found)
    assert kept.items() <= found.items()


def test_ameexec_in_ameexec(ameexec):
    from conftest import AMEEXEC
    job = ameexec.run("-n", 2, AMEEXEC, "-n", 2, *SHELL, "echo $AME_RANK $AME_SIZE $AME_JOB_ID")
    words = [line.split() for line in job.out.splitlines()]
    assert job.code == 0
    assert sorted(w[:2] for w in words) == [["0", "2"], ["0", "2"], ["1", "2"], ["1", "2"]]
    assert len({w[2] for w in words}) == 2


def test_setting_variables(ameexec):
    job = ameexec.run("-x", "A=1,2", "-x", "FOO*", "-genv", "B", "b c", "-genv", "C=c", "-env", "D", "d", "-n", 1, "env",
                      extra={"FOO_X": "fx"})
    found = variables(job)
    assert (found["A"], found["B"], found["C"], found["D"], found["FOO_X"]) == ("1,2", "b c", "c", "d", "fx")


def test_environment_policies(ameexec):
    extra = {"KEEP_A": "a", "KEEP_B": "b", "DROP": "x"}
    found = variables(ameexec.run("-genvnone", "-x", "KEEP_A", "-n", 1, "/usr/bin/env", extra=extra))
    assert found["KEEP_A"] == "a" and "DROP" not in found and "PATH" not in found and found["AME_RANK"] == "0"
    found = variables(ameexec.run("-envlist", "KEEP_A,KEEP_B", "-n", 1, "/usr/bin/env", extra=extra))
    assert found["KEEP_B"] == "b" and "DROP" not in found
    found = variables(ameexec.run("--export=ALL,NEW=1", "-n", 1, "/usr/bin/env", extra=extra))
    assert found["NEW"] == "1" and found["DROP"] == "x"
    found = variables(ameexec.run("--export=NONE", "-n", 1, "/usr/bin/env", extra=extra))
    assert "DROP" not in found


def test_key_is_not_on_a_command_line(ameexec):
    job = ameexec("-n", 2, *SHELL, "echo $AME_AUTHKEY; exec sleep 60")
    key = job.line()
    assert len(key) == 88
    for pid in [job.pid, job.daemon(), *job.ranks()]:
        with open(f"/proc/{pid}/cmdline") as file:
            assert key not in file.read()
    job.process.terminate()
    job.wait()


def test_own_protocol_of_dlp_mpi(ameexec):
    """Rank 0 listens where AME_HOST and AME_PORT say, the others connect with AME_AUTHKEY: what its Python back end does."""
    code = """
import base64, os, time
from multiprocessing.connection import Client, Listener
rank, size = int(os.environ["AME_RANK"]), int(os.environ["AME_SIZE"])
address = os.environ["AME_HOST"], int(os.environ["AME_PORT"])
key = base64.b64decode(os.environ["AME_AUTHKEY"])
assert len(key) == 64
if rank == 0:
    import socket
    with socket.socket() as plain:
        plain.bind(address)  # as the back end itself does, without SO_REUSEADDR
    with Listener(address, authkey=key) as listener:
        links = [listener.accept() for _ in range(size - 1)]
        print(sorted(link.recv() for link in links))
        for link in links: link.send("bye")
else:
    for attempt in range(1000):
        try:
            link = Client(address, authkey=key)
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    link.send(rank)
    assert link.recv() == "bye"
"""
    job = ameexec.run("-n", 3, sys.executable, "-c", code)
    assert (job.code, job.out) == (0, "[1, 2]\n"), job.err


# ---- places


def test_directory(ameexec, tmp_path):
    assert ameexec.run("-wdir", tmp_path, "-n", 1, "pwd").out == f"{tmp_path}\n"
    (tmp_path / "prog").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "prog").chmod(0o755)
    assert ameexec.run("-D", tmp_path, "-n", 1, "./prog").out == "here\n"


def test_binding(ameexec):
    cpus = sorted(os.sched_getaffinity(0))
    show = "sh", "-c", "echo $AME_RANK $(grep Cpus_allowed_list /proc/self/status | cut -f2)"
    job = ameexec.run("--bind-to", "hwthread", "-n", len(cpus) + 1, *show)
    assert sorted(job.out.splitlines()) == [f"{i} {cpus[i % len(cpus)]}" for i in range(len(cpus) + 1)]
    whole = subprocess.run(["grep", "Cpus_allowed_list", "/proc/self/status"], capture_output=True, text=True).stdout.split()[1]
    assert ameexec.run("--map-by", "slot:pe=4096", "-n", 1, *show).out == f"0 {whole}\n"
    assert ameexec.run("--map-by", "slot:pe=4", "-n", 4, "true").code == 0
    assert ameexec.run("-n", 1, *show).out == f"0 {whole}\n"
    for kind in ("core", "numa", "socket", "none"):
        assert ameexec.run("--bind-to", kind, "-n", 2, "true").code == 0


def test_report_bindings(ameexec):
    job = ameexec.run("--report-bindings", "--bind-to", "hwthread", "-n", 2, "true")
    assert re.fullmatch(r"(ameexec: rank [01] on \S+: bound to CPU \d+\n){2}", job.err)


def test_dry_run(ameexec, tmp_path):
    job = ameexec.run("--dry-run", "-n", 2, "-x", "A=1", "touch", tmp_path / "x", ":", "-n", 1, "-wdir", tmp_path, "echo", "b")
    assert job.code == 0 and not (tmp_path / "x").exists()
    assert "rank 0 on" in job.out and f"touch {tmp_path}/x" in job.out and f"directory {tmp_path}" in job.out
    assert "    A=1" in job.out and "AME_AUTHKEY=(secret)" in job.out


# ---- several programs


def test_several_programs(ameexec):
    job = ameexec.run("-l", "-n", 1, "-env", "A", "1", *SHELL, "echo a$A", ":", "-n", 2, *SHELL, "echo b$A $AME_SIZE", ":", "echo", "c",
                      extra={"A": ""})
    assert sorted(job.out.splitlines()) == ["[0] a1", "[1] b 4", "[2] b 4", "[3] c"]


def test_configfile(ameexec, tmp_path):
    (tmp_path / "programs").write_text("# two programs\n-n 1 echo 'a  b'\n\n-n 2 echo \"c\" # comment\n")
    assert sorted(ameexec.run("-l", "-configfile", tmp_path / "programs").out.splitlines()) == ["[0] a  b", "[1] c", "[2] c"]


def test_options_after_the_program_are_its_own(ameexec):
    assert ameexec.run("-n", 1, "echo", "-n", "--timeout", "x").out == "--timeout x"
    assert ameexec.run("-n", 1, "--", "echo", "-l").out == "-l\n"
