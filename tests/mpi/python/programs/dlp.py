"""dlp_mpi: a loop and a map spread over the ranks."""
import dlp_mpi

examples = [f"example {i}" for i in range(23)]

results = []
for example in dlp_mpi.split_managed(examples, progress_bar=False):
    results.append(example.upper())
results = dlp_mpi.gather(results)
if dlp_mpi.IS_MASTER:
    results = sorted(result for of_worker in results for result in of_worker)
    assert results == sorted(example.upper() for example in examples)


def work_load(example):
    return dlp_mpi.RANK, len(example)


results = []
for result in dlp_mpi.map_unordered(work_load, examples):
    results.append(result)
if dlp_mpi.IS_MASTER:
    assert sorted(length for _, length in results) == sorted(len(example) for example in examples)
    assert all(rank > 0 for rank, _ in results) or dlp_mpi.SIZE == 1

robin = dlp_mpi.gather(list(dlp_mpi.split_round_robin(examples)))
if dlp_mpi.IS_MASTER:
    assert [item for part in zip(*[iter(part) for part in robin]) for item in part] == examples[: len(examples) // dlp_mpi.SIZE * dlp_mpi.SIZE]
assert dlp_mpi.bcast({"from": dlp_mpi.RANK} if dlp_mpi.IS_MASTER else None) == {"from": 0}
dlp_mpi.barrier()
if dlp_mpi.IS_MASTER:
    print("ok", dlp_mpi.SIZE)
