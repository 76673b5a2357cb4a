"""Objects and arrays from rank to rank: send, recv, isend, irecv, waitall, sendrecv, probe."""
import numpy
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
right, left = (rank + 1) % size, (rank - 1) % size

# objects, blocking
if rank == 0:
    comm.send({"a": 7, "b": 3.14, "list": list(range(50))}, dest=1, tag=11)
elif rank == 1:
    data = comm.recv(source=0, tag=11)
    assert data == {"a": 7, "b": 3.14, "list": list(range(50))}, data

# objects, non-blocking, in a ring
request = comm.isend(("from", rank), dest=right, tag=5)
assert comm.irecv(source=left, tag=5).wait() == ("from", left)
request.wait()

# all to rank 0, in any order
if rank == 0:
    requests = [comm.irecv(source=other, tag=12) for other in range(1, size)]
    assert MPI.Request.waitall(requests) == [other * other for other in range(1, size)]
    status = MPI.Status()
    seen = set()
    for _ in range(1, size):
        comm.probe(source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG, status=status)
        assert comm.recv(source=status.source, tag=status.tag) == "tag %d" % status.tag
        assert status.tag == 100 + status.source
        seen.add(status.source)
    assert seen == set(range(1, size))
else:
    comm.send(rank * rank, dest=0, tag=12)
    comm.isend("tag %d" % (100 + rank), dest=0, tag=100 + rank).wait()
comm.Barrier()  # what comes now must not meet the probe for any tag

# arrays
here = numpy.arange(1000, dtype="i") + rank
there = numpy.empty(1000, dtype="i")
comm.Sendrecv([here, MPI.INT], dest=right, recvbuf=[there, MPI.INT], source=left)
assert (there == numpy.arange(1000) + left).all()
requests = [comm.Irecv(there, source=left, tag=77), comm.Isend(here, dest=right, tag=77)]
MPI.Request.Waitall(requests)
assert (there == numpy.arange(1000) + left).all()

# a column of a matrix
matrix = numpy.arange(12, dtype="d").reshape(3, 4) + 100 * rank
column = MPI.DOUBLE.Create_vector(3, 1, 4).Create_resized(0, 8)
column.Commit()
got = numpy.empty(3)
comm.Sendrecv([matrix.reshape(-1)[1:], 1, column], dest=right, recvbuf=got, source=left)
assert (got == numpy.array([1, 5, 9]) + 100 * left).all(), got
column.Free()
print("ok")
