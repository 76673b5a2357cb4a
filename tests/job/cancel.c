/* cancel.c - a receive that nothing has matched can be taken back; everything else completes as if nothing had
 * happened. */
#include "check.h"

static int to, from;

static void unmatched(void)
{
    int value = 77, done = 0;
    ame_request *request;
    ame_status status;
    CHECK_OK(ame_irecv(&value, sizeof value, from, 1, AME_COMM_WORLD, &request));
    CHECK_OK(ame_cancel(request));
    CHECK_OK(ame_wait(&request, &status));
    CHECK(request == AME_REQUEST_NULL);
    CHECK_EQUAL(status.cancelled, 1);
    CHECK_EQUAL(value, 77);

    CHECK_OK(ame_irecv(&value, sizeof value, AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &request));
    CHECK_OK(ame_cancel(request));
    while (!done) CHECK_OK(ame_test(&request, &done, &status));
    CHECK_EQUAL(status.cancelled, 1);
    CHECK_EQUAL(value, 77);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

/* The message goes to the receive that is left, not to the one taken back. */
static void other_is_used(void)
{
    int values[3] = {-1, -1, -1};
    ame_request *requests[3];
    ame_status statuses[3];
    for (int i = 0; i < 3; i++) CHECK_OK(ame_irecv(&values[i], sizeof(int), from, 2, AME_COMM_WORLD, &requests[i]));
    CHECK_OK(ame_cancel(requests[0]));
    CHECK_OK(ame_cancel(requests[2]));
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    CHECK_OK(ame_send(&check_rank, sizeof check_rank, to, 2, AME_COMM_WORLD));
    CHECK_OK(ame_waitall(3, requests, statuses));
    CHECK(statuses[0].cancelled && !statuses[1].cancelled && statuses[2].cancelled);
    CHECK(values[0] == -1 && values[1] == from && values[2] == -1);
}

/* Matched before it is cancelled: the message has arrived. */
static void matched(void)
{
    int value = -1;
    ame_request *request;
    ame_status status;
    CHECK_OK(ame_send(&check_rank, sizeof check_rank, to, 3, AME_COMM_WORLD));
    CHECK_OK(ame_probe(from, 3, AME_COMM_WORLD, AME_STATUS_IGNORE)); /* so that irecv matches at once */
    CHECK_OK(ame_irecv(&value, sizeof value, from, 3, AME_COMM_WORLD, &request));
    CHECK_OK(ame_cancel(request));
    CHECK_OK(ame_wait(&request, &status));
    CHECK_EQUAL(status.cancelled, 0);
    CHECK_EQUAL(status.source, from);
    CHECK_EQUAL(value, from);
}

static void send_completes(size_t length)
{
    unsigned char *out = check_alloc(length), *in = check_alloc(length);
    ame_request *request;
    ame_status status;
    check_fill(out, length, (uint64_t) check_rank);
    CHECK_OK(ame_isend(out, length, to, 4, AME_COMM_WORLD, &request));
    CHECK_OK(ame_cancel(request));
    CHECK_OK(ame_recv(in, length, from, 4, AME_COMM_WORLD, AME_STATUS_IGNORE));
    CHECK_FILLED(in, length, (uint64_t) from);
    CHECK_OK(ame_wait(&request, &status));
    CHECK_EQUAL(status.cancelled, 0);
    free(out);
    free(in);
}

int main(void)
{
    check_begin();
    to = (check_rank + 1) % check_size;
    from = (check_rank + check_size - 1) % check_size;
    for (int turn = 0; turn < 20; turn++) {
        unmatched();
        other_is_used();
        matched();
        send_completes(8);
        send_completes(400000);
    }
    /* a receive still open at the end is taken back by ame_finalize */
    static int never;
    ame_request *request;
    CHECK_OK(ame_irecv(&never, sizeof never, AME_ANY_SOURCE, 9, AME_COMM_WORLD, &request));
    return check_end();
}
