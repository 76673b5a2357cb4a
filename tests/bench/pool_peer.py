"""What pool.c measures, by Python's pools; ./pool runs it. Prints the tasks per second.

    pool_peer.py WHAT N [CHUNK]

futures: a map with small results by mpi4py.futures, CHUNK tasks in a message; loop: empty tasks in a managed loop of dlp_mpi.
"""
import sys
import time


def square(index):
    return index * index


def futures(count, chunk):
    from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor() as pool:
        for _ in pool.map(square, range(100)):  # all workers are there
            pass
        begin = time.perf_counter()
        for _ in pool.map(square, range(count), chunksize=chunk, unordered=True):
            pass
        return count / (time.perf_counter() - begin)


def loop(count):
    import dlp_mpi
    for _ in dlp_mpi.split_managed(range(10), progress_bar=False):
        pass
    dlp_mpi.barrier()
    begin = time.perf_counter()
    for _ in dlp_mpi.split_managed(range(count), progress_bar=False):
        pass
    dlp_mpi.barrier()
    return count / (time.perf_counter() - begin) if dlp_mpi.IS_MASTER else None


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]]
    rate = futures(*numbers) if sys.argv[1] == "futures" else loop(*numbers)
    if rate:
        print(f"rate={rate:.3f}")
