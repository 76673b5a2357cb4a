"""The PMI-1 server: right requests, wrong requests, and MPICH's own client."""
import os
import subprocess
import sys

import pytest

PMI = sys.executable, "-SE", os.path.join(os.path.dirname(__file__), "pmi1.py")


def pmi(ameexec, *words, count=2):
    return ameexec.run("-n", count, *PMI, *words)


def replies(job, rank=0):
    return [line.split(" ", 1)[1] for line in job.out.splitlines() if line.startswith(f"{rank} ")]


@pytest.mark.parametrize("count", [1, 2, 10])
def test_exchange(ameexec, count):
    job = pmi(ameexec, "init", "put:key%r=value%r", "barrier", "get:key%n", "finalize", count=count)
    assert job.code == 0, job.err
    for rank in range(count):
        assert replies(job, rank) == [
            "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0", "cmd=put_result rc=0 msg=success", "cmd=barrier_out",
            f"cmd=get_result rc=0 msg=success value=value{(rank + 1) % count}", "cmd=finalize_ack"]


def test_information(ameexec):
    job = pmi(ameexec, "init", "raw:cmd=get_maxes", "raw:cmd=get_appnum", "raw:cmd=get_universe_size",
              "raw:cmd=get_my_kvsname", "get:PMI_process_mapping", "get:nothing", "finalize")
    found = replies(job)
    assert found[1:4] == ["cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024", "cmd=appnum appnum=0",
                          "cmd=universe_size size=2"]
    assert found[4].startswith("cmd=my_kvsname kvsname=kvs_")
    assert found[5] == "cmd=get_result rc=0 msg=success value=(vector,(0,1,2))"
    assert found[6] == "cmd=get_result rc=-1 msg=key_nothing_not_found value=unknown"


def test_several_barriers_and_values(ameexec):
    words = ["init"]
    for i in range(20):
        words += [f"put:k%r-{i}={i}/%r==+,:", "barrier", f"get:k%n-{i}", "barrier"]
    job = pmi(ameexec, *words, "put:k%r=1", "put:k%r=2", "get:k%r", "finalize", count=3)
    assert job.code == 0
    assert replies(job)[-2].endswith("value=2")
    assert all(f"cmd=get_result rc=0 msg=success value={i}/1==+,:" in replies(job) for i in range(20))


def test_limits(ameexec):
    job = pmi(ameexec, "init", "put:a=" + "v" * 1024, "get:a", "put:b=" + "v" * 1025, f"put:{'k' * 64}=1", f"put:{'k' * 65}=1",
              f"get:{'k' * 65}", "finalize", count=1)
    found = replies(job)
    assert found[1].startswith("cmd=put_result rc=0") and found[2].endswith("=" + "v" * 1024)
    assert "rc=-1" in found[3] and "rc=0" in found[4] and "rc=-1" in found[5] and "rc=-1" in found[6]


def test_unknown_command(ameexec):
    job = pmi(ameexec, "init", "raw:cmd=nonsense a=b", "raw:cmd=" + "z" * 500, "finalize")
    assert job.code == 0
    assert replies(job)[1] == "cmd=nonsense_result rc=-1 msg=unknown_command"


def test_wrong_version(ameexec):
    assert "rc=-1" in replies(pmi(ameexec, "raw:cmd=init pmi_version=9 pmi_subversion=1", count=1))[0]


def test_spawn_is_refused(ameexec):
    job = pmi(ameexec, "init", "send:mcmd=spawn", "send:nprocs=1", "raw:endcmd", "finalize", count=1)
    assert job.code == 0 and "rc=-1" in replies(job)[1]


@pytest.mark.parametrize("word", ["long:100000", "nul", "raw:no request", "raw:"])
def test_garbage(ameexec, word):
    """The connection of that rank is dropped; the other's work goes on until that rank ends."""
    job = ameexec("-s", 1, "-n", 2, *PMI, "0:init", f"1:{word}", "0:put:a=1", "0:get:a", "0:finalize", "1:wait:stdin",
                  stdin=subprocess.PIPE)
    seen = [job.line() for _ in range(5)]
    assert "0 cmd=get_result rc=0 msg=success value=1" in seen and "0 cmd=finalize_ack" in seen and "1 None" in seen
    job.wait(b"")
    assert job.code == 1 and "rank 1" in job.err and "broke the PMI protocol" in job.err


def test_flood(ameexec):
    """A rank that sends many requests and never reads a reply fills nobody's memory and harms nobody."""
    code = """
import os, socket
s = socket.socket(fileno=int(os.environ["PMI_FD"]))
s.settimeout(1)
try:
    while True: s.sendall(b"cmd=get_maxes\\n" * 1000)
except TimeoutError: pass
"""
    job = ameexec.run("-n", 2, sys.executable, "-SE", "-c", code)
    assert job.code == 0


def test_closing_early_is_seen(ameexec):
    job = pmi(ameexec, "init", "1:close", "1:exit:0", "barrier")
    assert job.code == 1


MPICH = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int rank, size, sum;
    char mode = argc > 1 ? argv[1][0] : 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (mode == 'a' && rank == 1) MPI_Abort(MPI_COMM_WORLD, 6);
    if (mode == 'x' && rank == 1) _exit(0);
    if (mode == 'e' && rank == 1) _exit(5);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("rank %d of %d sum %d\\n", rank, size, sum);
    MPI_Finalize();
    return 0;
}
"""


def test_mpich(ameexec, mpich_program):
    program = mpich_program(MPICH)
    job = ameexec.run("--no-mpi", "-n", 4, program)
    assert (job.code, job.err) == (0, "")
    assert sorted(job.out.splitlines()) == [f"rank {i} of 4 sum 6" for i in range(4)]
    job = ameexec.run("--no-mpi", "-n", 1, program, ":", "-n", 1, program)
    assert sorted(job.out.splitlines()) == [f"rank {i} of 2 sum 1" for i in range(2)]
    assert [ameexec.run("--no-mpi", "-n", 2, program, mode).code for mode in "axe"] == [6, 1, 5]
