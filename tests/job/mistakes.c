/* mistakes.c - wrong arguments give a code and a text that names the argument, change nothing, and the library works
 * on. */
#include "check.h"

static char buf[64];

/* Everything still works: an exchange with the neighbours and a collective call. */
static void works(void)
{
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    int got = -1, sum = 0;
    CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), to, 0, &got, sizeof got, from, 0, AME_COMM_WORLD, NULL));
    CHECK_EQUAL(got, from);
    CHECK_OK(ame_allreduce(&check_rank, &sum, 1, AME_INT32, AME_SUM, AME_COMM_WORLD));
    CHECK_EQUAL(sum, check_size * (check_size - 1) / 2);
}

static void bad_ranks(void)
{
    const int bad[] = {check_size, -2, -1000, 1 << 30};
    ame_comm *world = AME_COMM_WORLD;
    ame_request *request = AME_REQUEST_NULL;
    ame_message *message = AME_MESSAGE_NULL;
    int found = 9;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_CODE(ame_send(buf, 8, bad[i], 0, world), AME_E_RANK, "dest");
        CHECK_CODE(ame_ssend(buf, 8, bad[i], 0, world), AME_E_RANK, "dest");
        CHECK_CODE(ame_isend(buf, 8, bad[i], 0, world, &request), AME_E_RANK, "dest");
        CHECK_CODE(ame_issend(buf, 8, bad[i], 0, world, &request), AME_E_RANK, "dest");
        CHECK_CODE(ame_recv(buf, 8, bad[i], 0, world, NULL), AME_E_RANK, "source");
        CHECK_CODE(ame_irecv(buf, 8, bad[i], 0, world, &request), AME_E_RANK, "source");
        CHECK_CODE(ame_probe(bad[i], 0, world, NULL), AME_E_RANK, "source");
        CHECK_CODE(ame_iprobe(bad[i], 0, world, &found, NULL), AME_E_RANK, "source");
        CHECK_CODE(ame_mprobe(bad[i], 0, world, &message, NULL), AME_E_RANK, "source");
        CHECK_CODE(ame_improbe(bad[i], 0, world, &found, &message, NULL), AME_E_RANK, "source");
        CHECK_CODE(ame_sendrecv(buf, 4, bad[i], 0, buf + 32, 4, 0, 0, world, NULL), AME_E_RANK, "dest");
        CHECK_CODE(ame_sendrecv(buf, 4, 0, 0, buf + 32, 4, bad[i], 0, world, NULL), AME_E_RANK, "source");
        CHECK_CODE(ame_bcast(buf, 8, bad[i], world), AME_E_RANK, "root");
        CHECK_CODE(ame_gather(buf, 8, buf, bad[i], world), AME_E_RANK, "root");
        CHECK_CODE(ame_scatter(buf, buf, 8, bad[i], world), AME_E_RANK, "root");
        CHECK_CODE(ame_reduce(buf, buf, 1, AME_INT32, AME_SUM, bad[i], world), AME_E_RANK, "root");
        CHECK_CODE(ame_ibcast(buf, 8, bad[i], world, &request), AME_E_RANK, "root");
    }
    CHECK_CODE(ame_send(buf, 8, AME_ANY_SOURCE, 0, world), AME_E_RANK, "dest");
    CHECK_CODE(ame_bcast(buf, 8, -1, world), AME_E_RANK, "root");
    CHECK_CODE(ame_send(buf, 8, 1, 0, AME_COMM_SELF), AME_E_RANK, "dest"); /* a rank of world, not of this one */
    CHECK(request == AME_REQUEST_NULL && message == AME_MESSAGE_NULL && found == 9);
    char number[32];
    snprintf(number, sizeof number, "%d", check_size);
    CHECK_CODE(ame_send(buf, 8, check_size, 0, world), AME_E_RANK, number);
}

static void bad_tags(void)
{
    ame_request *request = AME_REQUEST_NULL;
    CHECK_CODE(ame_send(buf, 8, 0, -1, AME_COMM_WORLD), AME_E_TAG, "tag");
    CHECK_CODE(ame_send(buf, 8, 0, -2147483647 - 1, AME_COMM_WORLD), AME_E_TAG, "tag");
    CHECK_CODE(ame_isend(buf, 8, 0, AME_ANY_TAG, AME_COMM_WORLD, &request), AME_E_TAG, "tag");
    CHECK_CODE(ame_recv(buf, 8, 0, -2, AME_COMM_WORLD, NULL), AME_E_TAG, "tag");
    CHECK_CODE(ame_irecv(buf, 8, 0, AME_UNDEFINED, AME_COMM_WORLD, &request), AME_E_TAG, "tag");
    CHECK_CODE(ame_probe(0, -5, AME_COMM_WORLD, NULL), AME_E_TAG, "tag");
    CHECK_CODE(ame_sendrecv(buf, 4, 0, -1, buf + 32, 4, 0, 0, AME_COMM_WORLD, NULL), AME_E_TAG, "sendtag");
    CHECK_CODE(ame_sendrecv(buf, 4, 0, 0, buf + 32, 4, 0, -7, AME_COMM_WORLD, NULL), AME_E_TAG, "recvtag");
    CHECK(request == AME_REQUEST_NULL);
}

static void bad_comms(void)
{
    ame_request *request = AME_REQUEST_NULL;
    ame_comm *none = NULL, *made = NULL;
    CHECK_EQUAL(ame_comm_rank(NULL), AME_E_COMM);
    CHECK_EQUAL(ame_comm_size(NULL), AME_E_COMM);
    CHECK_EQUAL(ame_comm_world_rank(NULL, 0), AME_E_COMM);
    CHECK_CODE(ame_send(buf, 8, 0, 0, NULL), AME_E_COMM, "comm");
    CHECK_CODE(ame_recv(buf, 8, 0, 0, NULL, NULL), AME_E_COMM, "comm");
    CHECK_CODE(ame_irecv(buf, 8, 0, 0, NULL, &request), AME_E_COMM, "comm");
    CHECK_CODE(ame_barrier(NULL), AME_E_COMM, "comm");
    CHECK_CODE(ame_bcast(buf, 8, 0, NULL), AME_E_COMM, "comm");
    CHECK_CODE(ame_allreduce(buf, buf + 32, 1, AME_INT32, AME_SUM, NULL), AME_E_COMM, "comm");
    CHECK_CODE(ame_comm_dup(NULL, &made), AME_E_COMM, "comm");
    CHECK_CODE(ame_comm_split(NULL, 0, 0, &made), AME_E_COMM, "comm");
    CHECK_CODE(ame_comm_free(&none), AME_E_COMM, "comm");
    CHECK_CODE(ame_comm_free(NULL), AME_E_ARG, "comm");
    ame_comm *world = AME_COMM_WORLD, *self = AME_COMM_SELF;
    CHECK_CODE(ame_comm_free(&world), AME_E_COMM, "comm");
    CHECK_CODE(ame_comm_free(&self), AME_E_COMM, "comm");
    CHECK(world == AME_COMM_WORLD && self == AME_COMM_SELF && !made);
    CHECK_CODE(ame_comm_dup(AME_COMM_WORLD, NULL), AME_E_ARG, "newcomm");
    CHECK_CODE(ame_comm_split(AME_COMM_WORLD, 0, 0, NULL), AME_E_ARG, "newcomm");
}

static void null_pointers(void)
{
    ame_request *request = AME_REQUEST_NULL, *one[1] = {AME_REQUEST_NULL};
    ame_message *message = AME_MESSAGE_NULL;
    ame_comm *world = AME_COMM_WORLD;
    int value = 0;
    CHECK_CODE(ame_send(NULL, 8, 0, 0, world), AME_E_ARG, "buf");
    CHECK_CODE(ame_isend(NULL, 8, 0, 0, world, &request), AME_E_ARG, "buf");
    CHECK_CODE(ame_recv(NULL, 8, 0, 0, world, NULL), AME_E_ARG, "buf");
    CHECK_CODE(ame_irecv(NULL, 8, 0, 0, world, &request), AME_E_ARG, "buf");
    CHECK_CODE(ame_sendrecv(NULL, 4, 0, 0, buf, 4, 0, 0, world, NULL), AME_E_ARG, "sendbuf");
    CHECK_CODE(ame_sendrecv(buf, 4, 0, 0, NULL, 4, 0, 0, world, NULL), AME_E_ARG, "recvbuf");
    CHECK_CODE(ame_isend(buf, 8, 0, 0, world, NULL), AME_E_ARG, "request");
    CHECK_CODE(ame_irecv(buf, 8, 0, 0, world, NULL), AME_E_ARG, "request");
    CHECK_CODE(ame_recv_alloc(NULL, NULL, 0, 0, world, NULL), AME_E_ARG, "buf");
    CHECK_CODE(ame_bcast(NULL, 8, 0, world), AME_E_ARG, "buf");
    CHECK_CODE(ame_allgather(NULL, 8, buf, world), AME_E_ARG, "sendbuf");
    CHECK_CODE(ame_allgather(buf, 8, NULL, world), AME_E_ARG, "recvbuf");
    CHECK_CODE(ame_allreduce(NULL, buf, 1, AME_INT32, AME_SUM, world), AME_E_ARG, "sendbuf");
    CHECK_CODE(ame_allreduce(buf, NULL, 1, AME_INT32, AME_SUM, world), AME_E_ARG, "recvbuf");
    CHECK_CODE(ame_scan(buf, NULL, 1, AME_INT32, AME_SUM, world), AME_E_ARG, "recvbuf");
    CHECK_CODE(ame_alltoall(NULL, 8, buf, world), AME_E_ARG, "sendbuf");
    CHECK_CODE(ame_ibarrier(world, NULL), AME_E_ARG, "request");
    CHECK_CODE(ame_iprobe(0, 0, world, NULL, NULL), AME_E_ARG, "found");
    CHECK_CODE(ame_mprobe(0, 0, world, NULL, NULL), AME_E_ARG, "message");
    CHECK_CODE(ame_improbe(0, 0, world, NULL, &message, NULL), AME_E_ARG, "found");
    CHECK_CODE(ame_mrecv(buf, 8, NULL, NULL), AME_E_ARG, "message");
    CHECK_CODE(ame_mrecv(buf, 8, &message, NULL), AME_E_ARG, "message");
    CHECK_CODE(ame_wait(NULL, NULL), AME_E_ARG, "request");
    CHECK_CODE(ame_test(NULL, &value, NULL), AME_E_ARG, "request");
    CHECK_CODE(ame_test(&request, NULL, NULL), AME_E_ARG, "done");
    CHECK_CODE(ame_waitall(1, NULL, NULL), AME_E_ARG, "requests");
    CHECK_CODE(ame_waitany(1, one, NULL, NULL), AME_E_ARG, "index");
    CHECK_CODE(ame_waitsome(1, one, NULL, &value, NULL), AME_E_ARG, "outcount");
    CHECK_CODE(ame_waitsome(1, one, &value, NULL, NULL), AME_E_ARG, "indices");
    CHECK_CODE(ame_testall(1, one, NULL, NULL), AME_E_ARG, "done");
    CHECK(request == AME_REQUEST_NULL);
}

static void bad_requests(void)
{
    ame_request *request = AME_REQUEST_NULL;
    CHECK_CODE(ame_cancel(AME_REQUEST_NULL), AME_E_REQUEST, "request");
    /* a copy of the handle of a request that is no more */
    CHECK_OK(ame_isend(buf, 8, check_rank, 0, AME_COMM_WORLD, &request));
    ame_request *copy = request, *array[2] = {AME_REQUEST_NULL, request};
    CHECK_OK(ame_recv(buf + 32, 8, check_rank, 0, AME_COMM_WORLD, NULL));
    CHECK_OK(ame_wait(&request, NULL));
    CHECK(request == AME_REQUEST_NULL);
    int done = 5, index = 5;
    CHECK_CODE(ame_wait(&copy, NULL), AME_E_REQUEST, "request");
    CHECK_CODE(ame_test(&copy, &done, NULL), AME_E_REQUEST, "request");
    CHECK_CODE(ame_cancel(copy), AME_E_REQUEST, "request");
    CHECK_CODE(ame_waitall(2, array, NULL), AME_E_REQUEST, "request");
    CHECK_CODE(ame_waitany(2, array, &index, NULL), AME_E_REQUEST, "request");

    /* the same one twice: completed once, and the handle is not given to two requests after that */
    int one = 1, two = 2;
    ame_request *twice[2], *third, *fourth;
    CHECK_OK(ame_isend(&one, sizeof one, 0, 1, AME_COMM_SELF, &twice[0]));
    twice[1] = twice[0];
    CHECK_CODE(ame_waitall(2, twice, NULL), AME_E_REQUEST, "request");
    CHECK_OK(ame_recv(&two, sizeof two, 0, 1, AME_COMM_SELF, NULL));
    CHECK_OK(ame_irecv(&one, sizeof one, 0, 2, AME_COMM_SELF, &third));
    CHECK_OK(ame_irecv(&two, sizeof two, 0, 3, AME_COMM_SELF, &fourth));
    CHECK(third != fourth);
    CHECK_OK(ame_cancel(third));
    CHECK_OK(ame_cancel(fourth));
    CHECK_OK(ame_wait(&third, NULL));
    CHECK_OK(ame_wait(&fourth, NULL));
    CHECK(done == 5 && index == 5);
}

/* A communicator on which something is under way is not freed. */
static void busy_comm(void)
{
    ame_comm *comm;
    ame_request *request;
    int value;
    CHECK_OK(ame_comm_dup(AME_COMM_SELF, &comm));
    CHECK_OK(ame_irecv(&value, sizeof value, 0, 0, comm, &request));
    CHECK_CODE(ame_comm_free(&comm), AME_E_COMM, "communicator");
    CHECK_OK(ame_cancel(request));
    CHECK_OK(ame_wait(&request, NULL));
    CHECK_OK(ame_comm_free(&comm));
    CHECK(comm == NULL);
}

static void bad_types(void)
{
    int out = 1, in = 0;
    double x = 1, y = 0;
    ame_comm *world = AME_COMM_WORLD;
    CHECK_CODE(ame_allreduce(&out, &in, 1, (ame_type) 0, AME_SUM, world), AME_E_TYPE, "type");
    CHECK_CODE(ame_allreduce(&out, &in, 1, (ame_type) 99, AME_SUM, world), AME_E_TYPE, "type");
    CHECK_CODE(ame_allreduce(&out, &in, 1, AME_INT32, (ame_op) 0, world), AME_E_TYPE, "op");
    CHECK_CODE(ame_allreduce(&out, &in, 1, AME_INT32, (ame_op) 11, world), AME_E_TYPE, "op");
    CHECK_CODE(ame_reduce(&out, &in, 1, (ame_type) -1, AME_SUM, 0, world), AME_E_TYPE, "type");
    CHECK_CODE(ame_scan(&out, &in, 1, AME_INT32, (ame_op) -1, world), AME_E_TYPE, "op");
    for (int op = AME_LAND; op <= AME_BXOR; op++) {
        CHECK_CODE(ame_allreduce(&x, &y, 1, AME_DOUBLE, (ame_op) op, world), AME_E_TYPE, "op");
        CHECK_CODE(ame_reduce(&x, &y, 1, AME_FLOAT, (ame_op) op, 0, world), AME_E_TYPE, "op");
    }
    CHECK(in == 0 && y == 0);
}

static void bad_colors(void)
{
    ame_comm *made = (ame_comm *) &buf;
    CHECK_CODE(ame_comm_split(AME_COMM_WORLD, -5, 0, &made), AME_E_ARG, "color");
    CHECK(made == (ame_comm *) &buf);
}

/* A v-form whose own part is longer or shorter at the two ends is a mistake even on one rank. */
static void bad_lengths(void)
{
    size_t lengths[1] = {8};
    CHECK_CODE(ame_gatherv(buf, 4, buf + 32, lengths, NULL, 0, AME_COMM_SELF), AME_E_MISMATCH, "length");
    CHECK_CODE(ame_scatterv(buf, lengths, NULL, buf + 32, 4, 0, AME_COMM_SELF), AME_E_MISMATCH, "length");
    CHECK_CODE(ame_gatherv(buf, 8, buf + 32, NULL, NULL, 0, AME_COMM_SELF), AME_E_ARG, "recvlengths");
    CHECK_CODE(ame_scatterv(buf, NULL, NULL, buf + 32, 8, 0, AME_COMM_SELF), AME_E_ARG, "sendlengths");
    CHECK_CODE(ame_allgatherv(buf, 8, buf + 32, NULL, NULL, AME_COMM_WORLD), AME_E_ARG, "recvlengths");
    CHECK_CODE(ame_alltoallv(buf, NULL, NULL, buf + 32, lengths, NULL, AME_COMM_SELF), AME_E_ARG, "sendlengths");
    CHECK_CODE(ame_alltoallv(buf, lengths, NULL, buf + 32, NULL, NULL, AME_COMM_SELF), AME_E_ARG, "recvlengths");
}

int main(void)
{
    static void (*const all[])(void) = {bad_ranks, bad_tags,  bad_comms,  null_pointers, bad_requests,
                                        busy_comm, bad_types, bad_colors, bad_lengths};
    check_begin();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        all[i]();
        works();
    }
    return check_end();
}
