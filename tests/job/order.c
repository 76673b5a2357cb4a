/* order.c - messages of one pair that match the same receives come in the order in which they were sent, whatever their
 * sizes and ways (buffered, rendezvous, to self), with given and with any source and tag.
 */
#include "check.h"

enum { MESSAGES = 300, MOST = 600 * 1024 };

/* Small ones, some around the eager limit, a few that need a rendezvous. */
static size_t length_of(int from, int number)
{
    uint64_t x = check_mix((uint64_t) (from * 7919 + number) + 5);
    switch (x % 8) {
    case 0: return 256 * 1024 - 8 + (x >> 8) % 16;
    case 1: return x % 32 == 1 ? MOST - (x >> 8) % 64 : 8;
    case 2: return (x >> 8) % 5000 + 8;
    default: return (x >> 8) % 64 + 8;
    }
}

struct outgoing {
    unsigned char *bufs[MESSAGES];
    ame_request *requests[MESSAGES];
};

static void start_sends(struct outgoing *out, int to, int tags)
{
    for (int i = 0; i < MESSAGES; i++) {
        size_t length = length_of(check_rank, i);
        out->bufs[i] = check_alloc(length);
        check_fill(out->bufs[i], length, (uint64_t) (check_rank * MESSAGES + i));
        if (i % 5 == 3)
            CHECK_OK(ame_issend(out->bufs[i], length, to, i % tags, AME_COMM_WORLD, &out->requests[i]));
        else
            CHECK_OK(ame_isend(out->bufs[i], length, to, i % tags, AME_COMM_WORLD, &out->requests[i]));
    }
}

static void finish_sends(struct outgoing *out)
{
    CHECK_OK(ame_waitall(MESSAGES, out->requests, AME_STATUSES_IGNORE));
    for (int i = 0; i < MESSAGES; i++) free(out->bufs[i]);
}

static void check_one(const unsigned char *buf, int from, int number, const ame_status *status)
{
    CHECK_EQUAL(status->length, length_of(from, number));
    CHECK_FILLED(buf, status->length, (uint64_t) (from * MESSAGES + number));
}

/* tag and source given, any tag, any source, both any: per source the numbers must rise one by one */
static void one_way(struct outgoing *out, unsigned char *in, bool any_source, bool any_tag)
{
    const int tags = 4;
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    start_sends(out, to, tags);
    if (any_tag) {
        for (int i = 0; i < MESSAGES; i++) {
            ame_status status;
            CHECK_OK(ame_recv(in, MOST, any_source ? AME_ANY_SOURCE : from, AME_ANY_TAG, AME_COMM_WORLD, &status));
            CHECK_EQUAL(status.source, from);
            CHECK_EQUAL(status.tag, i % tags);
            check_one(in, from, i, &status);
        }
    } else {
        for (int tag = tags - 1; tag >= 0; tag--)
            for (int i = tag; i < MESSAGES; i += tags) {
                ame_status status;
                CHECK_OK(ame_recv(in, MOST, any_source ? AME_ANY_SOURCE : from, tag, AME_COMM_WORLD, &status));
                check_one(in, from, i, &status);
            }
    }
    finish_sends(out);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

/* All others send to each rank in turn; it takes what comes and counts per source. */
static void many_to_one(struct outgoing *out, unsigned char *in)
{
    int *next = calloc((size_t) check_size, sizeof *next);
    CHECK(next);
    for (int root = 0; root < check_size; root += 3) {
        if (check_rank != root) {
            start_sends(out, root, 3);
            finish_sends(out);
        } else {
            memset(next, 0, (size_t) check_size * sizeof *next);
            for (int i = 0; i < MESSAGES * (check_size - 1); i++) {
                ame_status status;
                CHECK_OK(ame_recv(in, MOST, AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &status));
                CHECK(status.source >= 0 && status.source < check_size && status.source != root);
                int number = next[status.source]++;
                CHECK_EQUAL(status.tag, number % 3);
                check_one(in, status.source, number, &status);
            }
        }
        CHECK_OK(ame_barrier(AME_COMM_WORLD));
    }
    free(next);
}

/* Receives posted before the messages: those with any source and those with a given one are used in the order posted.
 */
static void posted_first(void)
{
    enum { COUNT = 60 };
    int values[COUNT];
    ame_request *requests[COUNT];
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(ame_irecv(&values[i], sizeof values[i], i % 2 ? AME_ANY_SOURCE : from, i % 3 ? AME_ANY_TAG : 9,
                           AME_COMM_WORLD, &requests[i]));
    for (int i = 0; i < COUNT; i++) CHECK_OK(ame_send(&i, sizeof i, to, 9, AME_COMM_WORLD));
    CHECK_OK(ame_waitall(COUNT, requests, AME_STATUSES_IGNORE));
    for (int i = 0; i < COUNT; i++) CHECK_EQUAL(values[i], i);
}

int main(void)
{
    check_begin();
    static struct outgoing out;
    unsigned char *in = check_alloc(MOST);
    for (int way = 0; way < 4; way++) one_way(&out, in, way & 1, way & 2);
    many_to_one(&out, in);
    posted_first();
    free(in);
    return check_end();
}
