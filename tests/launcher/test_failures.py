"""Ranks that fail while the others go on: --on-failure, and ame_tolerate_failures."""
import os
import pathlib
import sys

import pytest
from conftest import AMEEXEC, HERE

PMI = str(HERE / "pmi1.py")
SURVIVE = os.environ.get("SURVIVE", str(pathlib.Path(AMEEXEC).parents[1] / "tests" / "launcher" / "survive"))


def survivors(job):
    return sorted(job.out.split("\n"))[1:]


def expected(size, *victims):
    return sorted(f"rank {rank} survived" for rank in range(size) if rank not in victims)


@pytest.mark.parametrize("size", [2, 3, 10])
@pytest.mark.parametrize("death, code, how", [("kill", 137, "was killed by signal 9"), ("exit3", 3, "exited with code 3"),
                                              ("exit0", 1, "exited with 0 before it had finalized")])
def test_the_launcher_lets_the_others_go_on(ameexec, size, death, code, how):
    job = ameexec.run("--on-failure", "continue", "-n", size, SURVIVE, "launcher", death, 1)
    assert job.code == code, job.err
    assert survivors(job) == expected(size, 1)
    assert f"ameexec: rank 1 (" in job.err and how in job.err and "; the other ranks go on" in job.err
    assert len(job.err.splitlines()) == 1, job.err


@pytest.mark.parametrize("death", ["kill", "exit3", "exit0"])
@pytest.mark.parametrize("how", ["program", "twice"])
def test_the_program_gets_along(ameexec, how, death):
    job = ameexec.run("-n", 4, SURVIVE, how, death, 1, 3)
    assert job.code == 0, job.err
    assert survivors(job) == expected(4, 1, 3)
    assert job.err.count("; the other ranks go on") == 2


def test_by_default_the_job_ends(ameexec):
    job = ameexec.run("-n", 3, SURVIVE, "launcher", "kill", 1)
    assert job.code == 137 and "; the other ranks were ended" in job.err


def test_the_user_has_the_last_word(ameexec):
    job = ameexec.run("--on-failure", "end", "-n", 3, SURVIVE, "program", "kill", 1)
    assert job.code == 1
    assert "AME_E_CONFIG" in job.err and "--on-failure end" in job.err


def test_rank_0_connects_the_others(ameexec):
    job = ameexec.run("--on-failure", "continue", "-n", 3, SURVIVE, "launcher", "kill", 0)
    assert job.code == 137 and "rank 0 " in job.err and "; the other ranks were ended" in job.err


def test_abort_ends_the_job(ameexec):
    job = ameexec.run("--on-failure", "continue", "-n", 3, SURVIVE, "program", "abort", 1)
    assert job.code == 9 and "aborted the job with code 9" in job.err and not survivors(job)


def test_nobody_can_do_without_a_rank_that_never_joins(ameexec):
    job = ameexec.run("--on-failure", "continue", "-n", 3, SURVIVE, "launcher", "early", 1)
    assert job.code in (1, 3) and "rank 1 " in job.err and "; the other ranks were ended" in job.err and job.seconds < 5


def test_programs_that_need_no_other_rank(ameexec):
    job = ameexec.run("--on-failure", "continue", "-n", 4, "sh", "-c", "[ $AME_RANK = 2 ] && exit 3; [ $AME_RANK = 0 ] && exit 4;"
                      "echo rank $AME_RANK survived")
    assert job.code in (3, 4) and job.err.count("go on") == 2
    assert survivors(job) == expected(4, 0, 2)


def test_one_rank(ameexec):
    job = ameexec.run("--on-failure", "continue", "-n", 1, "sh", "-c", "exit 3")
    assert job.code == 3 and "exited with code 3" in job.err


@pytest.mark.parametrize("option", ["-disable-auto-cleanup", "--enable-recovery"])
def test_the_names_of_other_launchers(ameexec, option):
    job = ameexec.run(option, "-n", 2, SURVIVE, "launcher", "exit3", 1)
    assert job.code == 3 and survivors(job) == expected(2, 1)


def test_an_unknown_policy_is_refused(ameexec):
    job = ameexec.run("--on-failure", "panic", "true")
    assert job.code != 0 and "'panic' is not end or continue" in job.err


@pytest.mark.parametrize("met", [True, False])
def test_failure_that_was_met_stays_tolerated(ameexec, met):
    """A host is seen as lost by libame first, by ameexec some seconds later; the program may have got over it by then."""
    words = ["init", "0:send:cmd=ame_connected", "0:raw:cmd=ame_tolerate on=1", *(["0:send:cmd=ame_failed rank=1"] if met else []),
             "0:raw:cmd=ame_tolerate on=0", "barrier", "1:exit:3", *([] if met else ["wait"]), "finalize"]
    job = ameexec.run("-n", 3, sys.executable, "-SE", PMI, *words)
    assert job.code == (0 if met else 3)
    assert ("the other ranks go on" if met else "the other ranks were ended") in job.err
