"""One rank raises while the others wait for it."""
from mpi4py import MPI

comm = MPI.COMM_WORLD
if comm.rank == 1:
    raise RuntimeError("rank 1 has had enough")
comm.recv(source=1)
