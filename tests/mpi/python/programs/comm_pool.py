"""mpi4py.futures.MPICommExecutor: all ranks run this program."""
from mpi4py import MPI
from mpi4py.futures import MPICommExecutor


def work(x):
    return x + 1


if __name__ == "__main__":
    for root in range(MPI.COMM_WORLD.size):
        with MPICommExecutor(MPI.COMM_WORLD, root=root) as executor:
            assert (executor is not None) == (MPI.COMM_WORLD.rank == root)
            if executor is not None:
                assert list(executor.map(work, range(100))) == list(range(1, 101))
                print("ok")
