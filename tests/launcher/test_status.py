"""What a running job is doing: ameexec --status, SIGUSR1, AME_STALL_WARN, AME_HEARTBEAT, the last operation of a dead rank."""
import os
import pathlib
import re
import signal
import subprocess

import pytest
from conftest import AMEEXEC, until

DOING = os.environ.get("DOING", str(pathlib.Path(AMEEXEC).parents[1] / "tests" / "launcher" / "doing"))


def status(*job):
    return subprocess.run([AMEEXEC, "--status", *map(str, job)], capture_output=True, text=True, timeout=20)


def rows(text):
    """{ranks: (state, operation)} in the order of the table"""
    found = {}
    for line in text.splitlines():
        match = re.match(r"([\d,.-]+) +\S+ +\S+ +(\S+(?: started)?) +(.*?)  +", line)
        if match:
            found[match[1]] = match[2], match[3]
    return found


def settled(job, expected):
    """The rows, once all ranks are where they should be."""
    seen = {}

    def there():
        seen["rows"] = rows(status(job.pid).stdout)
        return seen["rows"] == expected

    try:
        until(there, 10)
    except AssertionError:
        assert seen["rows"] == expected
    return seen["rows"]


PLACES = {
    "recv": ("waiting", "ame_recv from rank 0, tag 7"),
    "any": ("waiting", "ame_recv from any rank, any tag"),
    "probe": ("waiting", "ame_probe from rank 0, tag 8"),
    "ssend": ("waiting", "ame_ssend to rank 0, tag 9, 1 bytes"),
    "barrier": ("waiting", "ame_barrier, call 1 of 2 ranks"),
    "waitall": ("waiting", "ame_waitall of 2, first with rank 0, tag 10"),
    "ibcast": ("waiting", "ame_ibcast, call 1 of 2 ranks"),
    "finalize": ("leaving", "-"),
    "compute": ("computing", "-"),
}


def end(job, number=signal.SIGTERM):
    job.process.send_signal(number)
    return job.wait()


@pytest.mark.parametrize("place", PLACES)
def test_every_place(ameexec, place):
    job = ameexec("-n", 2, DOING, "compute", place)
    if place == "compute":
        settled(job, {"0-1": PLACES["compute"]})
    elif place == "finalize":  # rank 0 answers its goodbye from the helper thread
        until(lambda: rows(status(job.pid).stdout).get("1") == ("ended", "exit code 0"), 10)
    else:
        settled(job, {"0": PLACES["compute"], "1": PLACES[place]})
    end(job)


def test_one_rank(ameexec):
    job = ameexec("-n", 1, DOING, "compute")
    settled(job, {"0": ("computing", "-")})
    end(job)


def test_no_rank_has_joined(ameexec):
    job = ameexec("-n", 2, DOING, "outside")
    settled(job, {"0-1": ("running", "has not called ame_init")})
    end(job)


def test_one_rank_is_missing_in_the_start(ameexec):
    job = ameexec("-n", 3, DOING, "compute", "outside", "compute")
    settled(job, {"1": ("running", "has not called ame_init"), "0,2": ("starting", "-")})
    end(job)


def test_equal_ranks_share_a_row_and_outliers_come_first(ameexec):
    job = ameexec("-n", 10, DOING, "compute", "barrier", "barrier", "recv", "barrier")
    table = settled(job, {"0": ("computing", "-"), "3": ("waiting", "ame_recv from rank 0, tag 7"),
                          "1-2,4-9": ("waiting", "ame_barrier, call 1 of 10 ranks")})
    assert list(table)[-1] == "1-2,4-9"
    end(job)


def test_a_stopped_rank_comes_first(ameexec):
    job = ameexec("-n", 4, DOING, "compute", "barrier")
    settled(job, {"0": ("computing", "-"), "1-3": ("waiting", "ame_barrier, call 1 of 4 ranks")})
    os.kill(job.ranks()[2], signal.SIGSTOP)
    table = settled(job, {"2": ("stopped", "ame_barrier, call 1 of 4 ranks"), "0": ("computing", "-"),
                          "1,3": ("waiting", "ame_barrier, call 1 of 4 ranks")})
    assert list(table)[0] == "2"
    end(job)


def test_a_failed_rank_comes_first(ameexec):
    job = ameexec("--on-failure", "continue", "-n", 3, DOING, "compute", "crash", "compute", before=no_core)
    table = settled(job, {"1": ("failed", "killed by signal 11"), "0,2": ("computing", "-")})
    assert list(table)[0] == "1"
    end(job)


def no_core():
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def test_two_jobs(ameexec):
    one, two = ameexec("-n", 1, DOING, "compute"), ameexec("-n", 2, DOING, "compute")
    settled(one, {"0": ("computing", "-")})
    settled(two, {"0-1": ("computing", "-")})
    listed = status().stdout
    assert re.search(rf"^{one.pid} ", listed, re.M) and re.search(rf"^{two.pid} ", listed, re.M)
    name = re.search(rf"^{two.pid} +(\S+)", listed, re.M)[1]
    assert status(name).stdout.startswith(f"job {name}: 2 ranks on 1 host")
    end(one), end(two)


def test_no_such_job(ameexec):
    answer = status(1)
    assert answer.returncode == 1 and answer.stdout == "" and "there is no job 1 " in answer.stderr


def test_a_killed_ameexec_leaves_no_job(ameexec):
    job = ameexec("-n", 1, DOING, "compute")
    settled(job, {"0": ("computing", "-")})
    job.process.kill()
    job.wait()
    assert status(job.pid).returncode == 1


def test_status_stands_alone(ameexec):
    job = ameexec.run("-n", 1, "--status", "true")
    assert job.code == 1 and "stands alone" in job.err


def test_usr1_prints_the_table_and_disturbs_nobody(ameexec):
    job = ameexec("-n", 2, "sh", "-c", "echo there; read line; echo $line", stdin=subprocess.PIPE)
    job.line()
    job.process.send_signal(signal.SIGUSR1)
    until(lambda: b"has not called ame_init" in os.read(job.process.stderr.fileno(), 65536), 5)
    job.wait(b"done\n")
    assert job.code == 0 and "done" in job.out


@pytest.mark.parametrize("death, place, where", [
    ("recv", "recv", "in ame_recv from rank 0, tag 7"), ("barrier", "barrier", "in ame_barrier, call 1 of 2 ranks"),
    ("compute", "compute", "while computing")])
def test_the_last_operation_of_a_killed_rank(ameexec, death, place, where):
    job = ameexec("-n", 2, DOING, "compute", place)
    settled(job, {"0-1": PLACES["compute"]} if place == "compute" else {"0": PLACES["compute"], "1": PLACES[place]})
    os.kill(job.ranks()[1], signal.SIGKILL)
    job.wait()
    assert job.code == 137
    assert f"was killed by signal 9 (Killed) {where}; the other ranks were ended" in job.err


def test_a_stall_is_told_once(ameexec):
    job = ameexec("-n", 4, DOING, "compute", "barrier", extra={"AME_STALL_WARN": "0.3"})
    text = b""
    while b"computing" not in text:
        text += os.read(job.process.stderr.fileno(), 65536)
    assert b"3 of 4 ranks have waited in one call for more than 0.3 s (AME_STALL_WARN)" in text
    assert b"ame_barrier, call 1 of 4 ranks" in text
    for _ in range(3):  # further looks say nothing more
        until(lambda: "ame_barrier" in status(job.pid).stdout, 5)
    end(job)
    assert "AME_STALL_WARN" not in job.err


def test_without_a_stall_nothing_is_told(ameexec):
    job = ameexec.run("-n", 2, DOING, "finalize", extra={"AME_STALL_WARN": "0.2"})
    assert (job.code, job.err) == (0, "")


def test_a_stopped_rank_may_go_on(ameexec):
    job = ameexec("-n", 2, DOING, "compute", "barrier")
    settled(job, {"0": PLACES["compute"], "1": PLACES["barrier"]})
    victim = job.ranks()[1]
    os.kill(victim, signal.SIGSTOP)
    settled(job, {"0": PLACES["compute"], "1": ("stopped", PLACES["barrier"][1])})
    os.kill(victim, signal.SIGCONT)
    settled(job, {"0": PLACES["compute"], "1": PLACES["barrier"]})
    end(job)


def test_a_stopped_rank_fails_when_asked(ameexec):
    job = ameexec("-n", 2, DOING, "compute", "recv", extra={"AME_HEARTBEAT": "0.6"})
    settled(job, {"0": PLACES["compute"], "1": PLACES["recv"]})
    os.kill(job.ranks()[1], signal.SIGSTOP)
    job.wait()
    assert job.code == 137
    assert re.search(r"rank 1 .* had been stopped for \d\.\d s in ame_recv from rank 0, tag 7 and was killed "
                     r"\(AME_HEARTBEAT\); the other ranks were ended", job.err)


@pytest.mark.parametrize("name", ["AME_STALL_WARN", "AME_HEARTBEAT"])
def test_bad_values_are_refused(ameexec, name):
    job = ameexec.run("-n", 1, "true", extra={name: "often"})
    assert job.code == 1 and name in job.err and "often" in job.err
