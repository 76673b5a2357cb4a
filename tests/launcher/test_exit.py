"""Exit codes, messages and time: the table "what to choose" of the launcher's requirements."""
import os
import re
import signal
import sys

import pytest

SHELL = "sh", "-c"


def message(job):
    return job.err.strip().splitlines()[-1] if job.err.strip() else ""


def test_success_is_silent(ameexec):
    job = ameexec.run("-n", 4, "true")
    assert (job.code, job.out, job.err) == (0, "", "")


def test_all_fail_alike(ameexec):
    job = ameexec.run("-n", 4, *SHELL, "exit 3")
    assert job.code == 3
    assert re.fullmatch(r"ameexec: rank \d \(host \S+, pid \d+\) exited with code 3; the other ranks were ended", message(job))


def test_first_failing_rank_decides(ameexec):
    job = ameexec.run("-n", 2, *SHELL, "trap 'exit 4' TERM; [ $AME_RANK = 1 ] && exit 3; while :; do sleep 0.05; done")
    assert job.code == 3
    assert "rank 1 " in message(job)


def test_others_are_ended(ameexec):
    job = ameexec.run("-n", 2, *SHELL, "[ $AME_RANK = 1 ] && exit 5; exec sleep 60")
    assert job.code == 5 and job.seconds < 1


def test_others_that_ignore_term_are_killed(ameexec, tmp_path):
    script = (f"[ $AME_RANK = 1 ] && {{ until [ -e {tmp_path}/go ]; do sleep 0.01; done; exit 5; }};"
              f"trap '' TERM; : > {tmp_path}/go; while :; do sleep 0.05; done")
    job = ameexec.run("-grace", 0.3, "-n", 2, *SHELL, script)
    assert job.code == 5 and 0.3 < job.seconds < 2


def test_failure_in_the_barrier(ameexec):
    job = ameexec.run("-n", 2, sys.executable, "-SE", PMI, "init", "1:exit:5", "barrier")
    assert job.code == 5 and job.seconds < 2


def test_killed_rank(ameexec):
    job = ameexec.run("-n", 2, *SHELL, "[ $AME_RANK = 1 ] && kill -9 $$; exec sleep 60")
    assert job.code == 137
    assert "killed by signal 9 (Killed)" in message(job)


def test_segmentation_fault(ameexec):
    job = ameexec.run("-n", 2, *SHELL, "ulimit -c 0; [ $AME_RANK = 1 ] && kill -SEGV $$; exec sleep 60")
    assert job.code == 128 + signal.SIGSEGV


PMI = os.path.join(os.path.dirname(__file__), "pmi1.py")


def test_exit_without_finalize(ameexec):
    job = ameexec.run("-n", 2, sys.executable, "-SE", PMI, "init", "1:exit:0", "wait")
    assert job.code == 1
    assert "rank 1" in message(job) and "exited with 0 before it had finalized" in message(job)


def test_exit_before_joining_while_others_wait(ameexec):
    job = ameexec.run("-n", 2, sys.executable, "-SE", PMI, "1:exit:0", "init", "barrier")
    assert job.code == 1
    assert "rank 1" in message(job) and "before it had joined" in message(job)


def test_finalized_while_others_wait(ameexec):
    job = ameexec.run("-n", 2, sys.executable, "-SE", PMI, "init", "1:finalize", "1:exit:0", "barrier")
    assert job.code == 1


def test_finalized_then_failing(ameexec):
    job = ameexec.run("-n", 2, sys.executable, "-SE", PMI, "init", "finalize", "1:exit:1")
    assert job.code == 1


def test_abort(ameexec):
    job = ameexec.run("-n", 3, sys.executable, "-SE", PMI, "init", "1:abort:6", "wait")
    assert job.code == 6
    assert "rank 1" in message(job) and "aborted the job with code 6" in message(job)


def test_not_found(ameexec):
    job = ameexec.run("-n", 2, "there-is-no-such-program")
    assert job.code == 127 and "there-is-no-such-program: program not found" in job.err
    assert ameexec.run("-n", 2, "/no/such/program").code == 127


def test_not_executable(ameexec, tmp_path):
    file = tmp_path / "file"
    file.write_text("true\n")
    assert ameexec.run("-n", 2, file).code == 126
    assert ameexec.run("-n", 2, tmp_path).code == 126


def test_bad_interpreter(ameexec, tmp_path):
    file = tmp_path / "script"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    job = ameexec.run("-n", 3, file)
    assert job.code == 127 and "rank 0 cannot be started" in job.err


def test_script_without_interpreter(ameexec, tmp_path):
    file = tmp_path / "script"
    file.write_text("echo $1\n")
    file.chmod(0o755)
    assert ameexec.run("-n", 2, file, "x").out == "x\nx\n"


@pytest.mark.parametrize("arguments, extra", [(["--timeout", "0.2"], {}), ([], {"MPIEXEC_TIMEOUT": "0.2"})])
def test_timeout(ameexec, arguments, extra):
    job = ameexec.run(*arguments, "-n", 2, "sleep", 60, extra=extra)
    assert job.code == 124 and job.seconds < 2
    assert "time limit of 0.2 s" in message(job)


def test_message_follows_all_output(ameexec):
    script = "echo out; printf 'err without end' >&2; exit 9"
    job = ameexec.run("-n", 2, *SHELL, script, stderr=-2)
    assert job.out.splitlines()[-1].startswith("ameexec: rank ")
    assert job.out.count("out\n") >= 1


def test_quiet(ameexec):
    job = ameexec.run("-q", "-n", 2, "false")
    assert (job.code, job.err) == (1, "")


def test_all_exit_codes(ameexec):
    job = ameexec.run("-print-all-exitcodes", "-n", 2, *SHELL, "exit 0")
    assert len(re.findall(r"^ +[01] +\d+ +\d+\.\d+  code 0$", job.err, re.M)) == 2


@pytest.mark.parametrize("count", [1, 8, 64])
def test_more_ranks_than_cores(ameexec, count):
    job = ameexec.run("-n", count, *SHELL, "echo $AME_RANK of $AME_SIZE")
    assert sorted(job.out.splitlines(), key=lambda line: int(line.split()[0])) == [f"{i} of {count}" for i in range(count)]


def test_many_ranks(ameexec):
    assert ameexec.run("-n", 1000, "true").code == 0


def test_few_open_files(ameexec):
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    assert ameexec.run("-n", 8, "true", before=limit).code == 0
    job = ameexec.run("-n", 100, "true", before=limit)
    assert job.code == 1 and "ulimit -n" in job.err


def test_limit_of_open_files_is_handed_on(ameexec):
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))

    assert ameexec.run("-n", 2, *SHELL, "ulimit -Sn", before=limit).out == "200\n200\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_files(ameexec, closed, tmp_path):
    def close():
        for fd in closed:
            os.close(fd)

    job = ameexec.run("-n", 2, *SHELL, f"cat; echo out; echo err >&2; : > {tmp_path}/$AME_RANK; exit 0", before=close)
    assert job.code == 0
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]
    if closed == (0,):
        assert job.out == "out\nout\n" and job.err == "err\nerr\n"


def test_two_jobs_at_once(ameexec):
    jobs = [ameexec("-n", 3, sys.executable, "-SE", PMI, "init", f"put:k%r=job{i}", "barrier", "get:k%n", "finalize") for i in (0, 1)]
    for i, job in enumerate(jobs):
        job.wait()
        assert job.code == 0
        assert job.out.count(f"value=job{i}") == 3
