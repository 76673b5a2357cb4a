"""What ameexec and ame-env tell MPI programs, and what becomes of programs that were built for another MPI."""
import os
import pathlib
import shlex
import subprocess

import pytest
from conftest import need

AME_ENV = os.environ.get("AME_ENV", "")
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
SETTINGS = ("LD_LIBRARY_PATH", "MPI4PY_LIBMPI", "OMPI_MCA_mca_base_component_path")


def clean(**more):
    return {**{name: value for name, value in os.environ.items() if name not in SETTINGS}, **more}


def lines(job):
    assert job.code == 0, job.err
    return sorted(job.out.splitlines())


def settings_of(text):
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name in SETTINGS}


# ---- ameexec


def test_ameexec_tells_where_the_libraries_are(ameexec):
    found = settings_of(ameexec.run("-n", 1, "env", env=clean(LD_LIBRARY_PATH="/one:/two")).out)
    folder, _, rest = found["LD_LIBRARY_PATH"].partition(":")
    assert rest == "/one:/two"
    for library in ("libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1", "openmpi/mca_hook_ame.so"):
        assert (pathlib.Path(folder) / library).exists()
    assert found["MPI4PY_LIBMPI"] == f"{folder}/libmpi.so.12"


def test_ameexec_leaves_what_the_user_has_set(ameexec):
    mine = {name: "/mine" for name in SETTINGS[1:]}
    assert {**settings_of(ameexec.run("-n", 1, "env", env=clean(**mine)).out), "LD_LIBRARY_PATH": ""} == {**mine, "LD_LIBRARY_PATH": ""}


def test_no_mpi(ameexec):
    assert settings_of(ameexec.run("--no-mpi", "-n", 1, "env", env=clean()).out) == {}


def test_mpich_program_runs_on_either_library(ameexec, compiled):
    """The same binary: on AME's library, and with --no-mpi on MPICH's own."""
    program = compiled(need("mpicc.mpich"))
    assert lines(ameexec.run("-n", 2, program, env=clean())) == ["AME 0 of 2", "AME 1 of 2"]
    assert lines(ameexec.run("--no-mpi", "-n", 2, program, env=clean())) == ["MPICH 0 of 2", "MPICH 1 of 2"]


# ---- ame-env


def shell(script, env=None):
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, env=env or clean())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ame_env_sets_the_same(ameexec):
    ours = settings_of(ameexec.run("-n", 1, "env", env=clean(LD_LIBRARY_PATH="/a b")).out)
    found = settings_of(shell(f'eval "$({AME_ENV})"; env', clean(LD_LIBRARY_PATH="/a b")))
    assert found == {name: ours[name] for name in ("LD_LIBRARY_PATH", "MPI4PY_LIBMPI")}
    twice = settings_of(shell(f'eval "$({AME_ENV})"; eval "$({AME_ENV})"; env', clean(LD_LIBRARY_PATH="/a b")))
    assert twice == found


def test_ame_env_is_undone():
    undo = f'eval "$({AME_ENV})"; eval "$({AME_ENV} --unset)"; env'
    assert settings_of(shell(undo, clean(LD_LIBRARY_PATH="/a b"))) == {"LD_LIBRARY_PATH": "/a b"}


def test_ame_env_for_csh_and_mistakes():
    text = subprocess.run([AME_ENV, "--csh"], capture_output=True, text=True, env=clean()).stdout.splitlines()
    assert [line.split()[:2] for line in text] == [["setenv", "LD_LIBRARY_PATH"], ["setenv", "MPI4PY_LIBMPI"]]
    assert "ame-env of AME" in subprocess.run([AME_ENV, "--version"], capture_output=True, text=True).stdout
    wrong = subprocess.run([AME_ENV, "--zsh"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--zsh" in wrong.stderr


def test_ame_env_under_mpich(compiled):
    program, start = compiled(need("mpicc.mpich")), need("mpiexec.hydra")
    run = f"{start} -n 3 {shlex.quote(str(program))}"
    assert sorted(shell(f'eval "$({AME_ENV})"; {run}').splitlines()) == [f"AME {rank} of 3" for rank in range(3)]


def test_ame_env_under_srun(compiled, bed):
    program = compiled(need("mpicc.mpich"))
    for kind in ("none", "pmi2", "pmix"):
        run = f"srun --mpi={kind} -N1 -n3 {shlex.quote(str(program))}"
        out = shell(f'eval "$({AME_ENV})"; {run}', clean(**bed.slurm()))
        assert sorted(out.splitlines()) == [f"AME {rank} of 3" for rank in range(3)], kind


# ---- programs built for Open MPI


@pytest.fixture
def open_mpi_program(compiled):
    return compiled(need("mpicc.openmpi"), name="for-open-mpi")


def test_open_mpi_program_is_refused(ameexec, open_mpi_program):
    """Not N times rank 0 of 1; and the text says what to do. The same behind a shell."""
    for program in ([open_mpi_program], ["sh", "-c", f"{open_mpi_program}; exit $?"]):
        job = ameexec.run("-n", 3, *program, env=clean(**AS_ROOT))
        assert (job.code, job.out) == (1, "")
        assert "was built for Open MPI" in job.err and "amecc" in job.err and "pip install" in job.err


def test_open_mpi_program_may_be_alone(ameexec, open_mpi_program):
    assert lines(ameexec.run("-n", 1, open_mpi_program, env=clean(**AS_ROOT))) == ["Open 0 of 1"]
    alone = {"AME_ALLOW_SINGLETON": "1", **AS_ROOT}
    assert lines(ameexec.run("-n", 2, open_mpi_program, env=clean(**alone))) == ["Open 0 of 1"] * 2
    assert lines(ameexec.run("--no-mpi", "-n", 2, open_mpi_program, env=clean(**AS_ROOT))) == ["Open 0 of 1"] * 2


def test_open_mpi_program_that_a_rank_starts(ameexec, compiled, amecc, open_mpi_program):
    job = ameexec.run("-n", 2, compiled(amecc), f"exec {open_mpi_program}", env=clean(**AS_ROOT))
    assert lines(job) == ["AME 0 of 2", "AME 1 of 2", "Open 0 of 1"]


def test_mpirun_inside_ameexec(ameexec, open_mpi_program):
    """Two jobs of two ranks each, that know nothing of AME, and nothing on standard error."""
    start = [need("mpirun.openmpi"), "--oversubscribe", "-np", "2", open_mpi_program]
    job = ameexec.run("-n", 2, *start, env=clean(**AS_ROOT), limit=60)
    assert lines(job) == ["Open 0 of 2"] * 2 + ["Open 1 of 2"] * 2 and job.err == ""


def test_open_mpi_tools(ameexec):
    job = ameexec.run("-n", 2, need("ompi_info"), env=clean(**AS_ROOT))
    assert job.code == 0 and job.out.count("Open RTE: ") == 2, job.err
    assert ameexec.run("-n", 2, need("mpirun.openmpi"), "--version", env=clean(**AS_ROOT)).code == 0
