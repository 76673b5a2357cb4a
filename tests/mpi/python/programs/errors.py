"""Errors of MPI become exceptions that know their class and what was wrong."""
from mpi4py import MPI


def error_of(function, *args):
    try:
        function(*args)
    except MPI.Exception as error:
        return error
    raise AssertionError("no error")


comm = MPI.COMM_WORLD
error = error_of(comm.send, None, comm.size)
assert error.Get_error_class() == MPI.ERR_RANK and "dest" in str(error) and f"rank {comm.rank} on " in str(error), error
assert error_of(comm.Recv, bytearray(1), 0, -7).Get_error_class() == MPI.ERR_TAG
assert error_of(MPI.COMM_NULL.Barrier).Get_error_class() == MPI.ERR_COMM
assert error_of(comm.Set_errhandler, MPI.ERRHANDLER_NULL).Get_error_class() in (MPI.ERR_ERRHANDLER, MPI.ERR_ARG)
assert error_of(MPI.ERRHANDLER_NULL.Free).Get_error_class() in (MPI.ERR_ERRHANDLER, MPI.ERR_ARG)
print("ok")
