"""Signals to ameexec and its helper; each test ends with the fixture's check that no process is left."""
import os
import signal
import sys

import pytest

PMI = os.path.join(os.path.dirname(__file__), "pmi1.py")
# A rank with a grandchild in a session of its own that ignores TERM; says "ready" when all of that runs.
STUBBORN = "setsid sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' & "


def start(ameexec, *arguments, program=None, ready=2, **options):
    job = ameexec("-n", 2, *arguments, *(program or ("sh", "-c", STUBBORN + "wait")), **options)
    for _ in range(ready):
        assert job.line() == "ready"
    return job


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_ends_all(ameexec, number, code):
    job = start(ameexec, "-grace", 0.3)
    job.process.send_signal(number)
    job.wait()
    assert job.code == code
    assert job.err.splitlines()[-1].startswith("ameexec: ended by signal")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_forwarded(ameexec, number):
    code = ("import os, signal, sys\n"
            f"signal.signal({int(number)}, lambda n, f: (print('got', n, flush=True), os._exit(0)))\n"
            "print('ready', flush=True)\n"
            "while True: signal.pause()\n")
    job = start(ameexec, program=(sys.executable, "-c", code))
    job.process.send_signal(number)
    job.wait()
    assert job.out == f"got {int(number)}\n" * 2
    assert job.code == (0 if number == signal.SIGUSR2 else 128 + number)


def test_second_interrupt_kills(ameexec):
    code = ("import signal\n"
            "signal.signal(signal.SIGINT, lambda n, f: print('int', flush=True))\n"
            "print('ready', flush=True)\n"
            "while True: signal.pause()\n")
    job = start(ameexec, "-grace", 60, program=(sys.executable, "-c", code))
    job.process.send_signal(signal.SIGINT)
    assert [job.line(), job.line()] == ["int", "int"]
    job.process.send_signal(signal.SIGINT)
    job.wait(limit=3)
    assert job.code == 130


def test_ameexec_killed(ameexec):
    job = start(ameexec)
    job.process.kill()
    job.wait()
    ameexec.all_gone(3)


def test_group_killed(ameexec):
    """`kill -9 -PGID`, as shells and batch systems do it."""
    job = start(ameexec, before=os.setsid)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    ameexec.all_gone(3)


def test_helper_killed(ameexec):
    job = start(ameexec)
    os.kill(job.daemon(), signal.SIGKILL)
    job.wait()
    assert job.code == 1
    assert "helper process" in job.err


def test_both_killed_ends_the_ranks(ameexec):
    job = start(ameexec, program=("sh", "-c", "echo ready; exec sleep 60"))
    daemon = job.daemon()
    os.kill(job.pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    job.process.kill()
    job.wait()
    ameexec.all_gone(3)


def test_ameexec_killed_during_barrier(ameexec):
    job = ameexec("-n", 2, sys.executable, "-SE", PMI, "init", "0:print:ready", "0:barrier", "wait")
    while "ready" not in job.line():
        pass
    job.process.kill()
    job.wait()
    ameexec.all_gone(3)


def test_signal_right_after_start(ameexec):
    job = ameexec("-n", 200, "sleep", 60)
    job.process.send_signal(signal.SIGTERM)
    job.wait(limit=10)
    assert job.code in (143, -signal.SIGTERM)


def test_many_stubborn_ranks(ameexec):
    """SIGTERM is ignored by all of 200 ranks; killing them takes no time once the grace is over."""
    job = start(ameexec, "-grace", 0.2, "-n", 200, program=("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"),
                ready=200)
    job.process.terminate()
    job.wait(limit=5)
    assert job.code == 143


def test_all_of_one_name_terminated(ameexec):
    """killall reaches front and helper alike."""
    job = start(ameexec, "-grace", 0.3)
    os.kill(job.daemon(), signal.SIGTERM)
    job.process.terminate()
    job.wait()
    assert job.code == 143


def test_rank_leaves_a_process_behind(ameexec):
    job = ameexec.run("-n", 2, "sh", "-c", "setsid sleep 60 & exit 0")
    assert job.code == 0 and job.seconds < 2


def test_failing_rank_leaves_a_process_behind(ameexec):
    job = start(ameexec, "-grace", 0.3, program=("sh", "-c", STUBBORN + "exit 3"), ready=0)
    job.wait()
    assert job.code == 3


def test_stop_and_continue(ameexec):
    job = start(ameexec, program=("sh", "-c", "echo ready; exec sleep 60"))
    from conftest import status_of, until
    ranks = job.ranks()
    job.process.send_signal(signal.SIGTSTP)
    until(lambda: all(status_of(pid)[0] == "T" for pid in ranks) and status_of(job.pid)[0] == "T", 5, "stop")
    job.process.send_signal(signal.SIGCONT)
    until(lambda: all(status_of(pid)[0] != "T" for pid in ranks), 5, "continue")
    job.process.terminate()
    assert job.wait().code == 143


def test_stopped_rank_is_ended(ameexec):
    job = start(ameexec, "-grace", 60, program=("sh", "-c", "echo ready; kill -STOP $$"))
    from conftest import status_of, until
    ranks = job.ranks()
    until(lambda: all(status_of(pid)[0] == "T" for pid in ranks), 5, "stop")
    job.process.terminate()
    assert job.wait(limit=5).code == 143


def test_ignored_hangup_stays_ignored(ameexec):
    job = ameexec("-n", 1, "sh", "-c", "kill -HUP $$; echo alive",
                  before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert job.wait().out == "alive\n"


def test_reader_of_output_gone(ameexec):
    read, write = os.pipe()
    job = ameexec("-n", 2, "sh", "-c", "while :; do echo line; done", stdout=write)
    os.close(write)
    os.read(read, 10)
    os.close(read)
    job.wait()
    assert job.code == 128 + signal.SIGPIPE
    assert job.err == ""
