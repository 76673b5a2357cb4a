"""The same programs under other launchers, after eval "$(ame-env)"; and dlp_mpi with its back end of its own."""
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import HERE, PROGRAMS

sys.path.append(str(HERE.parents[1] / "hosts"))
import beds  # noqa: E402


@pytest.fixture(scope="module")
def bed():
    """A throw-away Slurm."""
    made = beds.Bed()
    try:
        made.slurm()
        yield made
    except beds.Missing as missing:
        pytest.skip(str(missing))
    finally:
        made.close()


@pytest.fixture(params=["srun --mpi=none -N1", "srun --mpi=pmi2 -N1", "srun --mpi=pmix -N1", "mpiexec.hydra"])
def started(request, python):
    """started(ranks, program, *arguments): what it prints; Hydra may mix the ends of lines."""
    launcher = shlex.split(request.param)
    if not shutil.which(launcher[0], path=beds.PATH):
        pytest.skip(f"{launcher[0]} is not installed")
    extra = request.getfixturevalue("bed").slurm() if launcher[0] == "srun" else {}

    def start(ranks, program, *args, module=None):
        run_as = ["-m", module] if module else []
        words = [*launcher, "-n", ranks, python, *run_as, PROGRAMS / program, *args]
        script = f'eval "$({os.environ["AME_ENV"]})"; exec {shlex.join(str(word) for word in words)}'
        env = beds.clean_environment({**extra, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return start


def test_rank_and_size(started):
    out = started(3, "hello.py")
    assert all(out.count(f"rank {rank} of 3") == 1 for rank in range(3)), out


def test_messages_and_collectives(started):
    assert started(3, "point_to_point.py").count("ok") == 3
    out = started(4, "collective.py", "1e4")
    assert out.count("ok") == 4 and "average 4999.5" in out


def test_pools(started):
    assert started(3, "pool.py", 3, module="mpi4py.futures") == "ok\n"
    assert started(3, "comm_pool.py").count("ok") == 3
    assert started(3, "schwimmbad_pool.py") == "ok 2\n"
    assert started(3, "dlp.py") == "ok 3\n"


def test_own_back_end_of_dlp_mpi(run, python):
    """ameexec serves its protocol. The released package does not have it: AMETEST_DLP_MPI names a checkout that does."""
    checkout = os.environ.get("AMETEST_DLP_MPI", "")
    found = "import importlib.util, dlp_mpi; print(bool(importlib.util.find_spec('dlp_mpi.ame')))"
    has_it = subprocess.run([python, "-c", found], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": checkout, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}).stdout
    if has_it != "True\n":
        pytest.skip("this dlp_mpi has no back end 'ame', and AMETEST_DLP_MPI names none that has")
    for back_end in ("ame", "mpi4py"):
        assert run(3, "dlp.py", env={"PYTHONPATH": checkout, "DLP_MPI_BACKEND": back_end}).lines == ["ok 3"]
