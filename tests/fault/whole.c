/* whole.c - a small program that uses everything once; tests/fault/matrix sweeps a fault over all calls that it makes.
 *
 * A rank whose call fails says so and exits: with 7 if memory is missing, else with 9. WHOLE_GO_ON=1: a rank that has no
 * memory for a collective call goes on with the next one, and so do those who get the same error because of that.
 */
#include <unistd.h>

#include "../job/check.h"
#include "trap.h"

enum { SHORT = 1000, LONG = 600 << 10, FLOOD = 20 };

static unsigned char in[4 * LONG], out[4 * LONG];
static int rank, size, left, right;

/* Ends this rank if `code` is a failure that it does not go on from. */
static void needs(int code, bool collective)
{
    if (code == AME_OK) return;
    fprintf(stderr, "whole: rank %d: %s: %s\n", rank, ame_errname(code), ame_last_error());
    if (code == AME_E_NOMEM && collective && getenv("WHOLE_GO_ON")) return;
    exit(code == AME_E_NOMEM ? 7 : 9);
}

#define DO(call)      needs((call), false)
#define DO_COLL(call) needs((call), true)

static void messages(ame_comm *comm)
{
    ame_request *requests[2];
    ame_message *message;
    void *got = NULL;
    size_t length;
    int value = rank, found;
    DO(ame_sendrecv(in, SHORT, right, 1, out, SHORT, left, 1, comm, NULL));
    DO(ame_sendrecv(in, LONG, right, 2, out, LONG, left, 2, comm, NULL));
    DO(ame_irecv(out, LONG, left, 3, comm, &requests[0]));
    DO(ame_issend(in, LONG, right, 3, comm, &requests[1]));
    DO(ame_waitall(2, requests, NULL));
    for (int i = 0; i < FLOOD; i++) DO(ame_send(in, SHORT, right, 4, comm));
    DO(ame_send(&value, sizeof value, right, 5, comm));
    DO(ame_probe(left, 5, comm, NULL));
    DO(ame_recv(out, SHORT, left, 5, comm, NULL));
    DO(ame_improbe(AME_ANY_SOURCE, 6, comm, &found, &message, NULL));
    for (int i = 0; i < FLOOD; i++) DO(ame_recv(out, SHORT, AME_ANY_SOURCE, 4, comm, NULL));
    DO(ame_isend(in, SHORT, rank, 7, comm, &requests[0]));
    DO(ame_wait(&requests[0], NULL));
    DO(ame_recv_alloc(&got, &length, rank, 7, comm, NULL));
    free(got);
    DO(ame_irecv(out, SHORT, left, 8, comm, &requests[0]));
    DO(ame_cancel(requests[0]));
    DO(ame_wait(&requests[0], NULL));
}

static void collectives(ame_comm *comm, size_t length)
{
    ame_request *request = AME_REQUEST_NULL;
    size_t count = length / 8;
    DO_COLL(ame_barrier(comm));
    DO_COLL(ame_bcast(in, length, 1, comm));
    DO_COLL(ame_gather(in, length, out, 0, comm));
    DO_COLL(ame_scatter(in, out, length, 1, comm));
    DO_COLL(ame_allgather(in, length, out, comm));
    DO_COLL(ame_alltoall(in, length, out, comm));
    DO_COLL(ame_reduce(in, out, count, AME_INT64, AME_SUM, 1, comm));
    DO_COLL(ame_allreduce(in, out, count, AME_INT64, AME_SUM, comm));
    DO_COLL(ame_scan(in, out, count, AME_INT64, AME_SUM, comm));
    DO_COLL(ame_iallreduce(in, out, count, AME_INT64, AME_SUM, comm, &request));
    DO_COLL(ame_wait(&request, NULL));
}

/* A communicator of its own for each set of calls, so that one that was given up does not end all that follow. */
static void in_child(size_t length)
{
    ame_comm *child = NULL, *part = NULL;
    DO(ame_comm_dup(AME_COMM_WORLD, &child));
    collectives(child, length);
    DO_COLL(ame_comm_split(child, 0, -rank, &part));
    if (part) {
        DO_COLL(ame_barrier(part));
        DO(ame_comm_free(&part));
    }
    DO(ame_comm_free(&child));
}

int main(void)
{
    trap_page()->ranks[0].state = TRAP_JOINED;
    rank = -1;
    DO(ame_init());
    rank = ame_comm_rank(AME_COMM_WORLD);
    size = ame_comm_size(AME_COMM_WORLD);
    left = (rank + size - 1) % size, right = (rank + 1) % size;
    messages(AME_COMM_WORLD);
    in_child(16);
    in_child(LONG);
    in_child(16);
    DO_COLL(ame_barrier(AME_COMM_WORLD)); /* who has given up a communicator must not leave those who still use it */
    DO(ame_finalize());
    return 0;
}
