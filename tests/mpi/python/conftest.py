"""Fixtures for real Python systems under ameexec: the interpreter of their virtual environment, and one job.

The programs in programs/ are what users write for mpi4py and what stands on it; nothing in them knows of AME.
AMETEST_LAUNCHER replaces ameexec, and AMETEST_LIBMPI the library, to see what another MPI makes of the same programs.
"""
import importlib.util
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"

_spec = importlib.util.spec_from_file_location("launcher_conftest", HERE.parents[1] / "launcher" / "conftest.py")
launcher_tests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(launcher_tests)
if "AMETEST_LAUNCHER" in os.environ:
    launcher_tests.AMEEXEC = os.environ["AMETEST_LAUNCHER"]
ameexec = launcher_tests.ameexec

# ameexec itself says where mpi4py finds its library.
LIBMPI = os.environ.get("AMETEST_LIBMPI")
SETTINGS = {"MPI4PY_LIBMPI": LIBMPI, "LD_LIBRARY_PATH": str(pathlib.Path(LIBMPI).parent)} if LIBMPI else {}


@pytest.fixture(scope="session")
def python():
    """The interpreter that has mpi4py and the rest."""
    made = subprocess.run([HERE / "environment"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if made.returncode == 77:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture
def run(ameexec, python):
    """run(ranks, program, *arguments): a job that must end well; its lines of output, sorted."""

    def start(ranks, program, *args, module=None, limit=90, env=None, code=0, launcher=()):
        run_as = ["-m", module] if module else []
        environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **SETTINGS, **(env or {})}
        job = ameexec.run(*launcher, "-n", ranks, python, *run_as, PROGRAMS / program, *args, limit=limit, extra=environment)
        assert job.code == code, f"exit status {job.code}\n{job.out}\n{job.err}"
        job.lines = sorted(job.out.splitlines())
        return job

    return start
