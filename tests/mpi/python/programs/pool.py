"""python -m mpi4py.futures pool.py"""
import sys

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor, as_completed


def work(x, y=0):
    return x * x + y


def where(_):
    return MPI.COMM_WORLD.Get_rank()


def fails(x):
    raise ValueError(f"no {x}")


if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        assert list(executor.map(work, range(200), chunksize=7)) == [x * x for x in range(200)]
        assert sorted(executor.map(work, range(50), unordered=True)) == [x * x for x in range(50)]
        assert list(executor.starmap(work, [(2, 3), (4, 5)])) == [7, 21]
        futures = [executor.submit(work, x, y=1) for x in range(20)]
        assert sorted(future.result() for future in as_completed(futures)) == [x * x + 1 for x in range(20)]
        error = executor.submit(fails, 3).exception()
        assert isinstance(error, ValueError) and str(error) == "no 3", error
        assert executor.num_workers == int(sys.argv[1]) - 1, executor.num_workers
        ranks = set(executor.map(where, range(100)))
        assert 0 not in ranks and ranks
    print("ok")
