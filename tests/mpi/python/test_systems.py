"""Programs written for mpi4py, and for what stands on it, run as they are."""
import pytest


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_rank_and_size(run, ranks):
    assert run(ranks, "hello.py").lines == [f"rank {rank} of {ranks}" for rank in range(ranks)]


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_point_to_point(run, ranks):
    assert run(ranks, "point_to_point.py").lines == ["ok"] * ranks


@pytest.mark.parametrize("ranks, numbers", [(1, "1e4"), (3, "1e4"), (4, "1e7")])
def test_collective(run, ranks, numbers):
    lines = run(ranks, "collective.py", numbers).lines
    count = int(float(numbers)) // ranks * ranks
    assert lines == [f"average {(count - 1) / 2}"] + ["ok"] * ranks


def test_errors(run):
    assert run(2, "errors.py").lines == ["ok"] * 2


@pytest.mark.parametrize("ranks", [1, 3])
def test_operation_beside_another_thread(run, ranks):
    assert run(ranks, "operation.py").lines == ["ok"] * ranks


@pytest.mark.parametrize("ranks", [2, 4])
def test_pool_executor(run, ranks):
    assert run(ranks, "pool.py", ranks, module="mpi4py.futures").lines == ["ok"]


@pytest.mark.parametrize("ranks", [1, 3])
def test_comm_executor(run, ranks):
    assert run(ranks, "comm_pool.py").lines == ["ok"] * ranks


@pytest.mark.parametrize("close", [[], ["close"]], ids=["open", "close"])
@pytest.mark.parametrize("ranks", [2, 4])
def test_schwimmbad(run, ranks, close):
    """close: the pool then tells workers to end which have left already; that is dropped."""
    assert run(ranks, "schwimmbad_pool.py", *close).lines == [f"ok {ranks - 1}"]


@pytest.mark.parametrize("ranks", [3])
def test_epsie(run, ranks):
    assert run(ranks, "epsie_pool.py").lines == ["MetropolisHastingsSampler (9, 100)", "ParallelTemperedSampler (3, 4, 100)"]


@pytest.mark.parametrize("ranks", [4])
def test_umbrella_integration(run, ranks):
    assert run(ranks, "umbrella.py", ranks, module="mpi4py.futures").lines == ["ok"]


@pytest.mark.parametrize("ranks", [2, 4])
def test_dlp_mpi(run, ranks):
    assert run(ranks, "dlp.py").lines == [f"ok {ranks}"]


def test_a_rank_that_raises_ends_the_job(run):
    """Without python -m mpi4py: both big MPIs wait for ever."""
    job = run(3, "raises.py", code=1, limit=20)
    assert "RuntimeError: rank 1 has had enough" in job.err
    assert "rank 1" in job.err.splitlines()[-1] or "rank 1" in job.err
