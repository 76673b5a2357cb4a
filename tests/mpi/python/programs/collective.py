"""Collective calls on objects and on arrays, up to 10^7 numbers."""
import sys

import numpy
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()

data = comm.bcast({"key1": [7, 2.72, 2 + 3j], "key2": ("abc", "xyz")} if rank == 0 else None, root=0)
assert data["key2"] == ("abc", "xyz")
assert comm.scatter([(i + 1) ** 2 for i in range(size)] if rank == 0 else None, root=0) == (rank + 1) ** 2
gathered = comm.gather("x" * rank, root=size - 1)
assert gathered == (["x" * r for r in range(size)] if rank == size - 1 else None)
assert comm.allgather(rank) == list(range(size))
assert comm.alltoall([(rank, other) for other in range(size)]) == [(other, rank) for other in range(size)]
assert comm.allreduce(rank + 1) == size * (size + 1) // 2
assert comm.scan(1) == rank + 1
assert comm.reduce([rank], root=0) == (list(range(size)) if rank == 0 else None)

count = int(float(sys.argv[1])) // size * size
numbers = numpy.arange(count, dtype="d") if rank == 0 else None
part = numpy.empty(count // size)
comm.Scatter(numbers, part, root=0)
assert part[0] == rank * (count // size) and part[-1] == part[0] + count // size - 1
averages = numpy.empty(size) if rank == 0 else None
comm.Gather(numpy.array([numpy.average(part)]), averages, root=0)
back = numpy.empty(count) if rank == 0 else None
comm.Gather(part, back, root=0)
if rank == 0:
    assert (back == numbers).all()
    print("average", numpy.average(averages))

counts = [3 * (r + 1) for r in range(size)]
starts = [sum(counts[:r]) for r in range(size)]
mine = numpy.empty(counts[rank], dtype="i")
everything = numpy.arange(sum(counts), dtype="i")
comm.Scatterv([everything, counts, starts, MPI.INT] if rank == 0 else None, mine, root=0)
assert (mine == everything[starts[rank] : starts[rank] + counts[rank]]).all()
comm.Gatherv(mine, [everything, counts, starts, MPI.INT] if rank == 0 else None, root=0)

x = numpy.full(4, float(rank))
every = numpy.empty(4 * size)
comm.Allgather([x, MPI.DOUBLE], [every, MPI.DOUBLE])
assert (every == numpy.repeat(numpy.arange(size), 4)).all()
total = numpy.empty(4)
comm.Allreduce(x, total, op=MPI.SUM)
assert (total == size * (size - 1) / 2).all()
half = comm.Split(rank % 2, rank)
assert half.allreduce(rank) == sum(range(rank % 2, size, 2))
half.Free()
comm.Barrier()
print("ok")
