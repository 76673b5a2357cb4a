/* last.c - behaviour at the end: a message to a rank that has finalized is dropped. With an argument: an error that nobody
 * handles ends the job, naming function and argument. */
#include "check.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    begin(&argc, &argv);
    if (argc > 1) MPI_Send(&rank, 1, MPI_INT, size + 3, 0, MPI_COMM_WORLD);
    if (rank == 0)
        for (int i = 0; i < 200; i++) {
            usleep(1000); /* the others leave meanwhile, sooner or later */
            for (int dest = 1; dest < size; dest++) MPI_Send(&i, 1, MPI_INT, dest, i, MPI_COMM_WORLD);
        }
    MPI_Finalize();
    return 0;
}
