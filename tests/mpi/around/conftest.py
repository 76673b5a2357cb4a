"""What is around MPI programs: wrappers, settings, folders. AMECC, AMECXX, AME_ENV name the commands of this build."""
import importlib.util
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent

_spec = importlib.util.spec_from_file_location("launcher_conftest", HERE.parents[1] / "launcher" / "conftest.py")
launcher_tests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(launcher_tests)
ameexec = launcher_tests.ameexec

SOURCE = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int rank, size, length;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Get_library_version(version, &length);
    version[strcspn(version, " ")] = 0;
    printf("%s %d of %d\\n", version, rank, size);
    fflush(stdout);
    int code = argc > 1 && rank == 0 ? system(argv[1]) : 0;
    MPI_Finalize();
    return code != 0;
}
"""


def need(program):
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.fixture
def compiled(tmp_path):
    """compiled(compiler, *options): the program above, made by this compiler."""

    def build(compiler, *options, name="program"):
        source = tmp_path / "program.c"
        source.write_text(SOURCE)
        subprocess.run([compiler, *options, "-o", tmp_path / name, source], check=True, timeout=60)
        return tmp_path / name

    return build


@pytest.fixture
def amecc():
    return os.environ["AMECC"]


@pytest.fixture
def bed():
    """A throw-away Slurm."""
    import sys

    sys.path.append(str(HERE.parents[1] / "hosts"))
    import beds

    made = beds.Bed()
    try:
        made.slurm()
        yield made
    except beds.Missing as missing:
        pytest.skip(str(missing))
    finally:
        made.close()
