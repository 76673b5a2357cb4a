"""Reductions with an operation written in Python, in one thread, while another one of the same rank sends to itself."""
import threading

import numpy
from mpi4py import MPI

assert MPI.Query_thread() == MPI.THREAD_MULTIPLE
comm, mine = MPI.COMM_WORLD, MPI.COMM_SELF.Dup()
rank, size = comm.rank, comm.size
ended = threading.Event()
sent = 0


def send():
    global sent
    while not ended.is_set() or not sent:
        request = mine.irecv(source=0, tag=1)
        mine.send({"number": sent}, dest=0, tag=1)
        assert request.wait() == {"number": sent}
        sent += 1


def add(here, there, datatype):
    left, right = numpy.frombuffer(here, "d"), numpy.frombuffer(there, "d")
    right += left


thread = threading.Thread(target=send)
thread.start()
op = MPI.Op.Create(add, commute=True)
values, total = numpy.full(100, rank + 1.0), numpy.empty(100)
for round in range(50):
    if round % 2:
        comm.Allreduce(values, total, op=op)
    else:
        comm.Iallreduce(values, total, op=op).Wait()
    assert (total == size * (size + 1) / 2).all()
ended.set()
thread.join()
op.Free()
assert comm.allreduce(rank, op=lambda a, b: max(a, b)) == size - 1
print("ok")
