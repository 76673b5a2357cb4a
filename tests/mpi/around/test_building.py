"""amecc and amecxx, CMake's FindMPI, and what an installation offers for building."""
import os
import shlex
import subprocess

import pytest
from conftest import SOURCE, need

AMECXX = os.environ.get("AMECXX", "")


def output(*command, **options):
    options.setdefault("timeout", 60)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def two_ranks(ameexec, program, **options):
    job = ameexec.run("-n", 2, program, **options)
    assert job.code == 0, job.err
    return sorted(job.out.splitlines())


AME = ["AME 0 of 2", "AME 1 of 2"]


def needed(program):
    lines = output("readelf", "-d", program).splitlines()
    return {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}


@pytest.mark.parametrize("abi, library", [("standard", "libmpi_abi.so.1"), ("mpich", "libmpi.so.12")])
def test_program_finds_its_library(ameexec, compiled, amecc, abi, library):
    """Also without LD_LIBRARY_PATH: its folder is noted in the program."""
    program = compiled(amecc, f"-abi={abi}")
    assert library in needed(program)
    assert two_ranks(ameexec, program) == AME
    assert two_ranks(ameexec, program, extra={"LD_LIBRARY_PATH": ""}) == AME
    job = ameexec.run("--no-mpi", "-n", 2, program)
    assert sorted(job.out.splitlines()) == AME


def test_compile_then_link(ameexec, amecc, tmp_path):
    (tmp_path / "a b.c").write_text(SOURCE + 'const char *quoted = TEXT;\n')
    output(amecc, "-O1", "-c", tmp_path / "a b.c", "-DTEXT=\"it's here\"", "-o", tmp_path / "a b.o")
    output(amecc, tmp_path / "a b.o", "-o", tmp_path / "a b")
    assert two_ranks(ameexec, tmp_path / "a b") == AME
    assert "it's here" in output("strings", "-a", tmp_path / "a b")


def test_cxx(ameexec, tmp_path):
    (tmp_path / "a.cc").write_text(SOURCE.replace("#include <stdio.h>", "#include <cstdio>\n#include <string>"))
    output(AMECXX, tmp_path / "a.cc", "-o", tmp_path / "a")
    assert two_ranks(ameexec, tmp_path / "a") == AME


def test_show(amecc):
    words = shlex.split(output(amecc, "-show", "-O2", "a b.c"))
    assert words[0] == "cc" and "-O2" in words and "a b.c" in words and "-lmpi_abi" in words
    include, folder = output(amecc, "-showme:incdirs").strip(), output(amecc, "-showme:libdirs").strip()
    assert f"-I{include}" in words and f"-L{folder}" in words and f"-Wl,-rpath,{folder}" in words
    assert os.path.exists(f"{include}/mpi.h") and os.path.exists(f"{folder}/libmpi_abi.so.1")
    assert output(amecc, "-showme:compile").split() == [f"-I{include}"]
    assert "-lmpi_abi" in output(amecc, "-showme:link").split()
    assert not any(word.startswith("-l") for word in shlex.split(output(amecc, "-show", "-c", "a.c")))


def test_version(amecc):
    text = output(amecc, "--version")
    assert text.startswith("amecc of AME ") and output("cc", "--version") in text
    assert output(AMECXX, "-version").startswith("amecxx of AME ")
    assert "usage: amecc" in output(amecc, "--help")


def test_options_of_other_wrappers(ameexec, compiled, amecc):
    options = ["-echo", "-fast", "-nativelinking", "-static_mpi", "-mt_mpi", "-mpe=mpilog", "-profile=x", "-config=x", "-cc=cc"]
    assert two_ranks(ameexec, compiled(amecc, *options)) == AME


def test_cmake(ameexec, amecc, tmp_path):
    """FindMPI, told of the wrappers as it is told of any MPI's."""
    need("cmake")
    (tmp_path / "a.c").write_text(SOURCE)
    (tmp_path / "b.cc").write_text(SOURCE)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.10)\nproject(x C CXX)\nfind_package(MPI REQUIRED COMPONENTS C CXX)\n"
        "add_executable(a a.c)\ntarget_link_libraries(a MPI::MPI_C)\n"
        "add_executable(b b.cc)\ntarget_link_libraries(b MPI::MPI_CXX)\n")
    build = tmp_path / "build"
    output("cmake", "-S", tmp_path, "-B", build, f"-DMPI_C_COMPILER={amecc}", f"-DMPI_CXX_COMPILER={AMECXX}", timeout=120)
    output("cmake", "--build", build, timeout=120)
    for program in ("a", "b"):
        assert "libmpi_abi.so.1" in needed(build / program)
        assert two_ranks(ameexec, build / program) == AME


# ---- an installation


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that DESTDIR names; what has been built is installed there."""
    meson, build = need("meson"), os.environ["AME_BUILD"]
    folder = tmp_path_factory.mktemp("installed")
    output(meson, "install", "-C", build, "--no-rebuild", "--destdir", folder, "--quiet", timeout=120)
    return folder


def prefix_of(installed):
    return next(installed.rglob("bin/ameexec")).parent.parent


def test_usual_names(installed):
    """The links in lib/ame-mpi/bin lead to the commands of this installation, which are programs."""
    folder = next(prefix_of(installed).rglob("ame-mpi/bin"))
    links = {link.name: os.readlink(link) for link in folder.iterdir()}
    assert set(links) == {"mpicc", "mpicxx", "mpic++", "mpiCC", "mpiexec", "mpirun"}
    for name, target in links.items():
        there = installed / target.lstrip("/")
        assert os.access(there, os.X_OK), f"{name} leads to {target}"
    assert links["mpicc"].endswith("/bin/amecc") and links["mpirun"].endswith("/bin/ameexec")


def test_installed_ameexec_finds_the_libraries(installed):
    run = [prefix_of(installed) / "bin/ameexec", "-n", "1", "env"]
    found = dict(line.partition("=")[::2] for line in output(*run).splitlines())
    assert os.path.realpath(found["MPI4PY_LIBMPI"]).startswith(str(installed))


def test_pkg_config(ameexec, installed, tmp_path):
    need("pkg-config")
    module = next(installed.rglob("pkgconfig/ame-mpi.pc"))
    environment = {**os.environ, "PKG_CONFIG_PATH": str(module.parent), "PKG_CONFIG_SYSROOT_DIR": str(installed)}
    flags = shlex.split(output("pkg-config", "--cflags", "--libs", "ame-mpi", env=environment))
    (tmp_path / "a.c").write_text(SOURCE)
    output("cc", tmp_path / "a.c", *flags, "-o", tmp_path / "a")
    assert "libmpi_abi.so.1" in needed(tmp_path / "a")
    assert two_ranks(ameexec, tmp_path / "a") == AME
