/* nonblocking.c - isend, irecv and each way of completing them, null requests included. */
#include "check.h"

enum { COUNT = 64, GO = 5000 };

static int to, from;

struct batch {
    int out[COUNT], in[COUNT];
    ame_request *sends[COUNT], *receives[COUNT];
};

static void start_receives(struct batch *batch)
{
    for (int i = 0; i < COUNT; i++) {
        batch->in[i] = -1;
        CHECK_OK(ame_irecv(&batch->in[i], sizeof(int), from, i, AME_COMM_WORLD, &batch->receives[i]));
        CHECK(batch->receives[i] != AME_REQUEST_NULL);
    }
}

static void start_sends(struct batch *batch)
{
    for (int i = 0; i < COUNT; i++) {
        batch->out[i] = check_rank * COUNT + i;
        CHECK_OK(ame_isend(&batch->out[i], sizeof(int), to, i, AME_COMM_WORLD, &batch->sends[i]));
    }
}

static void check_status(const struct batch *batch, int i, const ame_status *status)
{
    CHECK_EQUAL(batch->in[i], from * COUNT + i);
    CHECK_EQUAL(status->source, from);
    CHECK_EQUAL(status->tag, i);
    CHECK_EQUAL(status->length, sizeof(int));
    CHECK_EQUAL(status->cancelled, 0);
}

static void finish(struct batch *batch)
{
    CHECK_OK(ame_waitall(COUNT, batch->sends, AME_STATUSES_IGNORE));
    for (int i = 0; i < COUNT; i++)
        CHECK(batch->sends[i] == AME_REQUEST_NULL && batch->receives[i] == AME_REQUEST_NULL);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

static void by_wait(struct batch *batch)
{
    start_receives(batch);
    start_sends(batch);
    for (int i = COUNT - 1; i >= 0; i--) {
        ame_status status;
        CHECK_OK(ame_wait(&batch->receives[i], &status));
        check_status(batch, i, &status);
    }
    finish(batch);
}

static void by_waitall(struct batch *batch)
{
    ame_status statuses[COUNT];
    start_sends(batch);
    start_receives(batch);
    CHECK_OK(ame_waitall(COUNT, batch->receives, statuses));
    for (int i = 0; i < COUNT; i++) {
        check_status(batch, i, &statuses[i]);
        CHECK_EQUAL(statuses[i].error, AME_OK);
    }
    finish(batch);
}

static void by_waitany(struct batch *batch)
{
    bool seen[COUNT] = {false};
    start_receives(batch);
    start_sends(batch);
    for (int n = 0; n < COUNT; n++) {
        int i = -1;
        ame_status status;
        CHECK_OK(ame_waitany(COUNT, batch->receives, &i, &status));
        CHECK(i >= 0 && i < COUNT && !seen[i] && batch->receives[i] == AME_REQUEST_NULL);
        seen[i] = true;
        check_status(batch, i, &status);
    }
    finish(batch);
}

static void by_waitsome(struct batch *batch)
{
    bool seen[COUNT] = {false};
    int total = 0;
    start_receives(batch);
    start_sends(batch);
    while (total < COUNT) {
        int count = -1, indices[COUNT];
        ame_status statuses[COUNT];
        CHECK_OK(ame_waitsome(COUNT, batch->receives, &count, indices, statuses));
        CHECK(count >= 1 && count <= COUNT - total);
        for (int k = 0; k < count; k++) {
            int i = indices[k];
            CHECK(i >= 0 && i < COUNT && !seen[i] && batch->receives[i] == AME_REQUEST_NULL);
            seen[i] = true;
            check_status(batch, i, &statuses[k]);
            CHECK_EQUAL(statuses[k].error, AME_OK);
        }
        total += count;
    }
    finish(batch);
}

static void by_test(struct batch *batch)
{
    int open = COUNT;
    start_receives(batch);
    start_sends(batch);
    while (open)
        for (int i = 0; i < COUNT; i++) {
            int done = -1;
            ame_status status;
            if (batch->receives[i] == AME_REQUEST_NULL) continue;
            CHECK_OK(ame_test(&batch->receives[i], &done, &status));
            CHECK(done == 0 || done == 1);
            CHECK_EQUAL(batch->receives[i] == AME_REQUEST_NULL, done);
            if (!done) continue;
            check_status(batch, i, &status);
            open--;
        }
    finish(batch);
}

/* Not done, and no request touched, as long as one message is missing. */
static void by_testall(struct batch *batch)
{
    ame_status statuses[COUNT];
    ame_request *before[COUNT];
    int done = -1;
    start_receives(batch);
    memcpy(before, batch->receives, sizeof before);
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(ame_testall(COUNT, batch->receives, &done, statuses));
        CHECK_EQUAL(done, 0); /* the sender waits for GO */
    }
    CHECK(!memcmp(before, batch->receives, sizeof before));
    CHECK_OK(ame_send(NULL, 0, from, GO, AME_COMM_WORLD));
    CHECK_OK(ame_recv(NULL, 0, to, GO, AME_COMM_WORLD, AME_STATUS_IGNORE));
    start_sends(batch);
    while (!done) CHECK_OK(ame_testall(COUNT, batch->receives, &done, statuses));
    for (int i = 0; i < COUNT; i++) check_status(batch, i, &statuses[i]);
    finish(batch);
}

static void check_empty(const ame_status *status)
{
    CHECK_EQUAL(status->source, AME_ANY_SOURCE);
    CHECK_EQUAL(status->tag, AME_ANY_TAG);
    CHECK_EQUAL(status->length, 0);
    CHECK_EQUAL(status->cancelled, 0);
}

static void null_requests(struct batch *batch)
{
    ame_request *none[3] = {AME_REQUEST_NULL, AME_REQUEST_NULL, AME_REQUEST_NULL};
    ame_status status, statuses[3];
    int done = 0, index = 0, count = 0, indices[3];
    memset(&status, 7, sizeof status);
    CHECK_OK(ame_wait(&none[0], &status));
    check_empty(&status);
    memset(&status, 7, sizeof status);
    CHECK_OK(ame_test(&none[0], &done, &status));
    CHECK_EQUAL(done, 1);
    check_empty(&status);
    memset(statuses, 7, sizeof statuses);
    CHECK_OK(ame_waitall(3, none, statuses));
    for (int i = 0; i < 3; i++) check_empty(&statuses[i]);
    CHECK_OK(ame_waitany(3, none, &index, &status));
    CHECK_EQUAL(index, AME_UNDEFINED);
    CHECK_OK(ame_waitsome(3, none, &count, indices, statuses));
    CHECK_EQUAL(count, AME_UNDEFINED);
    done = 0;
    CHECK_OK(ame_testall(3, none, &done, statuses));
    CHECK_EQUAL(done, 1);
    CHECK_OK(ame_waitall(0, NULL, NULL));
    CHECK_OK(ame_waitany(0, NULL, &index, &status));
    CHECK_EQUAL(index, AME_UNDEFINED);
    CHECK_OK(ame_wait(&none[0], AME_STATUS_IGNORE));

    /* among others they are passed over */
    batch->in[0] = -1;
    batch->out[0] = 4711;
    ame_request *mixed[3] = {AME_REQUEST_NULL, AME_REQUEST_NULL, AME_REQUEST_NULL};
    CHECK_OK(ame_irecv(&batch->in[0], sizeof(int), from, 8, AME_COMM_WORLD, &mixed[1]));
    CHECK_OK(ame_send(&batch->out[0], sizeof(int), to, 8, AME_COMM_WORLD));
    CHECK_OK(ame_waitany(3, mixed, &index, &status));
    CHECK_EQUAL(index, 1);
    CHECK_EQUAL(status.tag, 8);
    CHECK_EQUAL(batch->in[0], 4711);
}

/* Requests for sends and receives of several lengths in one array, in every rank to every rank. */
static void all_to_all(size_t length)
{
    size_t size = (size_t) check_size;
    unsigned char *out = check_alloc(size * length), *in = check_alloc(size * length);
    ame_request **requests = check_alloc(2 * size * sizeof *requests);
    for (int r = 0; r < check_size; r++) {
        check_fill(out + (size_t) r * length, length, (uint64_t) (check_rank * check_size + r));
        CHECK_OK(ame_isend(out + (size_t) r * length, length, r, 1, AME_COMM_WORLD, &requests[r]));
        CHECK_OK(ame_irecv(in + (size_t) r * length, length, r, 1, AME_COMM_WORLD, &requests[size + (size_t) r]));
    }
    CHECK_OK(ame_waitall(2 * size, requests, AME_STATUSES_IGNORE));
    for (int r = 0; r < check_size; r++)
        CHECK_FILLED(in + (size_t) r * length, length, (uint64_t) (r * check_size + check_rank));
    free(requests);
    free(out);
    free(in);
}

int main(void)
{
    static struct batch batch;
    check_begin();
    to = (check_rank + 1) % check_size;
    from = (check_rank + check_size - 1) % check_size;
    for (int turn = 0; turn < 3; turn++) {
        by_wait(&batch);
        by_waitall(&batch);
        by_waitany(&batch);
        by_waitsome(&batch);
        by_test(&batch);
        by_testall(&batch);
    }
    null_requests(&batch);
    all_to_all(8);
    all_to_all(30000);
    all_to_all(700000);
    return check_end();
}
