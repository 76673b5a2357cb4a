/* left.c - rank 2 finalizes first. What waits for it and for others goes on with the others; what waits for it alone fails. */
#include "check.h"

#include <string.h>

/* Returns when rank 0 can see that rank 2 has finalized. */
static void see_it_leave(void)
{
    MPI_Request request;
    int in, flag = 0, code = MPI_SUCCESS;
    MPI_Irecv(&in, 1, MPI_INT, 2, 1, MPI_COMM_WORLD, &request);
    while (!flag && !code) code = MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    CHECK(code != MPI_SUCCESS);
}

static void others_go_on(void)
{
    int in[2] = {-1, -1}, index = -1, flag = -1, done, indices[2], out = 7;
    MPI_Request requests[2];
    MPI_Status status;
    for (int round = 0; round < 2; round++) {
        MPI_Irecv(&in[0], 1, MPI_INT, 2, 1, MPI_COMM_WORLD, &requests[0]);
        MPI_Irecv(&in[1], 1, MPI_INT, 1, 1, MPI_COMM_WORLD, &requests[1]);
        CHECK(MPI_Testany(2, requests, &index, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS && !flag);
        CHECK(MPI_Testsome(2, requests, &done, indices, MPI_STATUSES_IGNORE) == MPI_SUCCESS && done == 0);
        MPI_Send(&out, 1, MPI_INT, 1, 2, MPI_COMM_WORLD); /* go */
        if (round == 0)
            CHECK(MPI_Waitany(2, requests, &index, &status) == MPI_SUCCESS && index == 1 && status.MPI_SOURCE == 1);
        else
            CHECK(MPI_Waitsome(2, requests, &done, indices, &status) == MPI_SUCCESS && done == 1 && indices[0] == 1);
        CHECK(in[1] == 7 && requests[1] == MPI_REQUEST_NULL);
        MPI_Cancel(&requests[0]);
        CHECK(MPI_Wait(&requests[0], &status) == MPI_SUCCESS);
        MPI_Test_cancelled(&status, &flag);
        CHECK(flag);
    }
}

static void alone_fails(void)
{
    char text[MPI_MAX_ERROR_STRING];
    int in[2], index = -1, length;
    MPI_Request requests[2];
    for (int i = 0; i < 2; i++) MPI_Irecv(&in[i], 1, MPI_INT, 2, i, MPI_COMM_WORLD, &requests[i]);
    int code = MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
    CHECK(code != MPI_SUCCESS && index == 0);
    MPI_Error_string(code, text, &length);
    CHECK(strstr(text, "rank 2"));
    MPI_Cancel(&requests[1]);
    CHECK(MPI_Wait(&requests[1], MPI_STATUS_IGNORE) == MPI_SUCCESS);
}

int main(int argc, char **argv)
{
    begin(&argc, &argv);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (rank == 0) {
        see_it_leave();
        others_go_on();
        alone_fails();
    } else if (rank == 1) {
        for (int round = 0, value; round < 2; round++) {
            MPI_Recv(&value, 1, MPI_INT, 0, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(&value, 1, MPI_INT, 0, 1, MPI_COMM_WORLD);
        }
    }
    MPI_Finalize();
    return 0;
}
