/* p2p.c - messages: modes, requests, probes, persistent, buffered, partitioned; errors; MPICH's numbers for Fortran. */
#include "check.h"

#include <string.h>

static int right, left;

static void modes(void)
{
    int out = rank, in = -1, flag, count;
    MPI_Status status;
    MPI_Request requests[8];
    for (int i = 0; i < 4; i++) MPI_Irecv(&in, 1, MPI_INT, left, i, MPI_COMM_WORLD, &requests[i]);
    MPI_Isend(&out, 1, MPI_INT, right, 0, MPI_COMM_WORLD, &requests[4]);
    MPI_Issend(&out, 1, MPI_INT, right, 1, MPI_COMM_WORLD, &requests[5]);
    MPI_Irsend(&out, 1, MPI_INT, right, 2, MPI_COMM_WORLD, &requests[6]);
    char *buffer = malloc(1000 + MPI_BSEND_OVERHEAD), *back;
    MPI_Buffer_attach(buffer, 1000 + MPI_BSEND_OVERHEAD);
    MPI_Ibsend(&out, 1, MPI_INT, right, 3, MPI_COMM_WORLD, &requests[7]);
    MPI_Waitall(8, requests, MPI_STATUSES_IGNORE);
    MPI_Buffer_detach(&back, &count);
    CHECK(back == buffer && count == 1000 + MPI_BSEND_OVERHEAD && in == left);
    free(buffer);

    MPI_Sendrecv_replace(&out, 1, MPI_INT, right, 7, left, 7, MPI_COMM_WORLD, &status);
    CHECK(out == left && status.MPI_SOURCE == left && status.MPI_TAG == 7);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK(count == 1);

    MPI_Isend(&rank, 1, MPI_INT, right, 9, MPI_COMM_WORLD, &requests[0]);
    MPI_Message message;
    MPI_Mprobe(left, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &status);
    CHECK(status.MPI_TAG == 9);
    MPI_Iprobe(left, 9, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    CHECK(!flag);
    MPI_Mrecv(&in, 1, MPI_INT, &message, &status);
    CHECK(in == left && message == MPI_MESSAGE_NULL);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);

    MPI_Recv(NULL, 0, MPI_INT, MPI_PROC_NULL, 3, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL && count == 0);
}

static void persistent(void)
{
    int out = 0, in = 0;
    MPI_Request requests[2];
    MPI_Send_init(&out, 1, MPI_INT, right, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Recv_init(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[1]);
    for (int round = 0; round < 3; round++) {
        int index, flag = 0;
        out = 10 * rank + round;
        MPI_Startall(2, requests);
        if (round == 0) {
            MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
            MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
            MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
            CHECK(index == MPI_UNDEFINED);
        } else if (round == 1) {
            MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
        } else {
            while (!flag) MPI_Testall(2, requests, &flag, MPI_STATUSES_IGNORE);
        }
        CHECK(in == 10 * left + round);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Request_free(&requests[0]);
    MPI_Request_free(&requests[1]);
    CHECK(requests[0] == MPI_REQUEST_NULL);

    double data[6] = {0};
    if (size > 1 && rank < 2) {
        MPI_Request request;
        if (rank == 0)
            MPI_Psend_init(data, 3, 2, MPI_DOUBLE, 1, 4, MPI_COMM_WORLD, MPI_INFO_NULL, &request);
        else
            MPI_Precv_init(data, 3, 2, MPI_DOUBLE, 0, 4, MPI_COMM_WORLD, MPI_INFO_NULL, &request);
        MPI_Start(&request);
        for (int i = 0; rank == 0 && i < 3; i++) {
            data[2 * i] = data[2 * i + 1] = i + 1;
            MPI_Pready(i, request);
        }
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        CHECK(data[0] == 1 && data[5] == 3);
        MPI_Request_free(&request);
    }
}

static int told_complete(void *extra, int complete)
{
    *(int *) extra = complete;
    return MPI_SUCCESS;
}

static int say_nothing(void *extra, MPI_Status *status)
{
    (void) extra;
    (void) status;
    return MPI_SUCCESS;
}

static int free_nothing(void *extra)
{
    (void) extra;
    return MPI_SUCCESS;
}

static void cancelled(void)
{
    int in, flag;
    MPI_Request request;
    MPI_Status status;
    MPI_Irecv(&in, 1, MPI_INT, left, 99, MPI_COMM_WORLD, &request);
    MPI_Cancel(&request);
    MPI_Wait(&request, &status);
    MPI_Test_cancelled(&status, &flag);
    CHECK(flag);

    int complete = 7;
    MPI_Grequest_start(say_nothing, free_nothing, told_complete, &complete, &request);
    CHECK(MPI_Cancel(&request) == MPI_SUCCESS && complete == 0);
    MPI_Grequest_complete(request);
    CHECK(MPI_Cancel(&request) == MPI_SUCCESS && complete == 1);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    int class;
    MPI_Error_class(MPI_Grequest_complete(request), &class);
    CHECK(class == MPI_ERR_REQUEST);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
}

static void errors(void)
{
    char text[MPI_MAX_ERROR_STRING];
    int length, in[2] = {0};
    MPI_Request requests[2];
    MPI_Status statuses[2];
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    int code = MPI_Send(&rank, 1, MPI_INT, size, 0, MPI_COMM_WORLD);
    CHECK(error_class(code) == MPI_ERR_RANK);
    MPI_Error_string(code, text, &length);
    CHECK(strstr(text, "MPI_Send") && strstr(text, "dest") && (int) strlen(text) == length);
    CHECK(error_class(MPI_Send(&rank, -1, MPI_INT, 0, 0, MPI_COMM_WORLD)) == MPI_ERR_COUNT);
    CHECK(error_class(MPI_Send(&rank, 1, MPI_INT, 0, -7, MPI_COMM_WORLD)) == MPI_ERR_TAG);
    CHECK(error_class(MPI_Send(&rank, 1, MPI_DATATYPE_NULL, 0, 0, MPI_COMM_WORLD)) == MPI_ERR_TYPE);
    CHECK(error_class(MPI_Barrier(MPI_COMM_NULL)) == MPI_ERR_COMM);

    int two[2] = {1, 2};
    MPI_Irecv(in, 1, MPI_INT, left, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(in + 1, 1, MPI_INT, left, 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Send(two, 2, MPI_INT, right, 1, MPI_COMM_WORLD);
    MPI_Send(two, 1, MPI_INT, right, 2, MPI_COMM_WORLD);
    code = MPI_Waitall(2, requests, statuses);
    CHECK(error_class(code) == MPI_ERR_IN_STATUS);
    CHECK(error_class(statuses[0].MPI_ERROR) == MPI_ERR_TRUNCATE);
    if (error_class(statuses[1].MPI_ERROR) == MPI_ERR_PENDING) MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    CHECK(in[1] == 1);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

#ifdef MPICH_ABI_OF_AME
static void numbers(void)
{
    int out = rank, in;
    MPI_Fint plain[sizeof(MPI_Status) / sizeof(MPI_Fint)];
    MPI_Status status, again;
    MPI_Sendrecv(&out, 1, MPI_INT, right, 11, &in, 1, MPI_INT, left, 11, MPI_COMM_WORLD, &status);
    CHECK(MPI_Status_c2f(&status, plain) == MPI_SUCCESS && PMPI_Status_f2c(plain, &again) == MPI_SUCCESS);
    int count = 0;
    MPI_Get_count(&again, MPI_INT, &count);
    CHECK(again.MPI_SOURCE == left && again.MPI_TAG == 11 && count == 1);
    CHECK(PMPI_Comm_f2c(MPI_Comm_c2f(MPI_COMM_WORLD)) == MPI_COMM_WORLD);
    CHECK(PMPI_Type_f2c(PMPI_Type_c2f(MPI_INT)) == MPI_INT);
    CHECK(MPI_File_f2c(MPI_File_c2f(MPI_FILE_NULL)) == MPI_FILE_NULL);
    int bytes;
    CHECK(MPI_Type_size(MPIX_C_FLOAT16, &bytes) == MPI_SUCCESS && bytes == 2);
    CHECK(MPI_Type_size(MPI_INTEGER16, &bytes) == MPI_SUCCESS && bytes == 16);
}
#endif

int main(int argc, char **argv)
{
    begin(&argc, &argv);
    right = (rank + 1) % size;
    left = (rank + size - 1) % size;
    modes();
    persistent();
    cancelled();
    errors();
#ifdef MPICH_ABI_OF_AME
    numbers();
#endif
    MPI_Finalize();
    return 0;
}
