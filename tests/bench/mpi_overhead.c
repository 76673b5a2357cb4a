/* mpi_overhead.c - what MPI_Send and MPI_Recv take beyond ame_send and ame_recv.
 *
 * The same two processes send 8 bytes to and fro, in short blocks that alternate between the two interfaces, so that
 * whatever the machine does meets both. Half a round trip is one send and one receive. Then one rank does the same with
 * itself, where no other process and no kernel is part of it: a posted receive, a send, a wait.
 *
 * Output: name, median of AME, median of MPI, median of the differences between neighbouring blocks; in microseconds for
 * one message. Compiled with amecc and libame; 2 ranks. Started by ./run-mpi. */
#define BENCH_MPI
#include "measure.h"

#include <ame.h>

#define BLOCKS 200
#define TRIPS  100 /* round trips, or messages to oneself, in a block */
#define TAG    1

static char buf[8], other[8];

static void trips_ame(int rank)
{
    for (int i = 0; i < TRIPS; i++) {
        if (rank == 0) ame_send(buf, sizeof buf, 1, TAG, AME_COMM_WORLD);
        ame_recv(buf, sizeof buf, 1 - rank, TAG, AME_COMM_WORLD, AME_STATUS_IGNORE);
        if (rank == 1) ame_send(buf, sizeof buf, 0, TAG, AME_COMM_WORLD);
    }
}

static void trips_mpi(int rank)
{
    for (int i = 0; i < TRIPS; i++) {
        if (rank == 0) MPI_Send(buf, sizeof buf, MPI_BYTE, 1, TAG, MPI_COMM_WORLD);
        MPI_Recv(buf, sizeof buf, MPI_BYTE, 1 - rank, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1) MPI_Send(buf, sizeof buf, MPI_BYTE, 0, TAG, MPI_COMM_WORLD);
    }
}

static void self_ame(int rank)
{
    for (int i = 0; i < TRIPS; i++) {
        ame_request *request;
        ame_irecv(other, sizeof other, rank, TAG, AME_COMM_WORLD, &request);
        ame_send(buf, sizeof buf, rank, TAG, AME_COMM_WORLD);
        ame_wait(&request, AME_STATUS_IGNORE);
    }
}

static void self_mpi(int rank)
{
    for (int i = 0; i < TRIPS; i++) {
        MPI_Request request;
        MPI_Irecv(other, sizeof other, MPI_BYTE, rank, TAG, MPI_COMM_WORLD, &request);
        MPI_Send(buf, sizeof buf, MPI_BYTE, rank, TAG, MPI_COMM_WORLD);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
}

static double timed(void (*trips)(int), int rank)
{
    double start = measure_now_us();
    trips(rank);
    return measure_now_us() - start;
}

static void compare(const char *name, void (*with_ame)(int), void (*with_mpi)(int), int rank, int messages)
{
    static double ame[BLOCKS], mpi[BLOCKS], difference[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        double first = timed(b % 2 == 0 ? with_ame : with_mpi, rank),
               second = timed(b % 2 == 0 ? with_mpi : with_ame, rank);
        ame[b] = (b % 2 == 0 ? first : second) / messages;
        mpi[b] = (b % 2 == 0 ? second : first) / messages;
        difference[b] = mpi[b] - ame[b];
    }
    if (rank != 0) return;
    double of_ame = measure_median(ame, BLOCKS), of_mpi = measure_median(mpi, BLOCKS);
    printf("%s %.3f %.3f %+.3f\n", name, of_ame, of_mpi, measure_median(difference, BLOCKS));
}

int main(int argc, char **argv)
{
    measure_limit();
    MPI_Init(&argc, &argv);
    int rank = peer_rank();
    if (peer_size() != 2) MPI_Abort(MPI_COMM_WORLD, 1);
    trips_ame(rank);
    trips_mpi(rank);
    compare("pingpong", trips_ame, trips_mpi, rank, 2 * TRIPS);
    if (rank == 0) compare("self", self_ame, self_mpi, rank, TRIPS);
    MPI_Finalize();
    return 0;
}
