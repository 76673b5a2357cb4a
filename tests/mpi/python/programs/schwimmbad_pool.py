import sys

import schwimmbad


def worker(task):
    a, b = task
    return a**2 + b**2


def main(pool):
    tasks = list(zip(range(100), range(100)[::-1]))
    seen = []
    results = list(pool.map(worker, tasks, callback=seen.append))
    assert results == [a * a + b * b for a, b in tasks]
    assert sorted(seen) == sorted(results)
    assert list(pool.map(worker, tasks[:3])) == results[:3]
    print("ok", pool.size)
    if sys.argv[1:] == ["close"]:
        pool.close()


if __name__ == "__main__":
    main(schwimmbad.choose_pool(mpi=True, processes=1))
