/* truncate.c - a message longer than the buffer is an error that tells its length, writes nothing behind the buffer and
 * loses no other message.
 */
#include "check.h"

static int to, from;

enum { GUARD = 32 };

static void check_status(const ame_status *status, int tag, size_t length)
{
    CHECK_EQUAL(status->source, from);
    CHECK_EQUAL(status->tag, tag);
    CHECK_EQUAL(status->length, length);
}

/* Messages 0 1 2 of one tag; the second does not fit. */
static void in_the_middle(size_t length, size_t room, bool posted)
{
    unsigned char *out = check_alloc(length), *in = check_alloc(length + GUARD), *large = check_alloc(length);
    unsigned char *last = check_alloc(length);
    ame_request *sends[3], *receives[3];
    ame_status statuses[3];
    check_fill(out, length, (uint64_t) check_rank);
    memset(in, 0xee, length + GUARD);
    if (posted) {
        CHECK_OK(ame_irecv(large, length, from, 1, AME_COMM_WORLD, &receives[0]));
        CHECK_OK(ame_irecv(in, room, from, 1, AME_COMM_WORLD, &receives[1]));
        CHECK_OK(ame_irecv(last, length, from, 2, AME_COMM_WORLD, &receives[2]));
        CHECK_OK(ame_barrier(AME_COMM_WORLD));
    }
    CHECK_OK(ame_isend(out, length, to, 1, AME_COMM_WORLD, &sends[0]));
    CHECK_OK(ame_isend(out, length, to, 1, AME_COMM_WORLD, &sends[1]));
    if (posted) {
        CHECK_OK(ame_wait(&receives[0], &statuses[0]));
        CHECK_FILLED(large, length, (uint64_t) from);
        CHECK_CODE(ame_wait(&receives[1], &statuses[1]), AME_E_TRUNCATED, "");
        CHECK(receives[1] == AME_REQUEST_NULL);
        CHECK_OK(ame_isend(out, length, to, 2, AME_COMM_WORLD, &sends[2]));
        CHECK_OK(ame_wait(&receives[2], &statuses[2]));
    } else {
        CHECK_OK(ame_isend(out, length, to, 2, AME_COMM_WORLD, &sends[2]));
        CHECK_OK(ame_recv(large, length, from, 1, AME_COMM_WORLD, &statuses[0]));
        CHECK_FILLED(large, length, (uint64_t) from);
        CHECK_CODE(ame_recv(in, room, from, 1, AME_COMM_WORLD, &statuses[1]), AME_E_TRUNCATED, "");
        CHECK_OK(ame_recv(last, length, from, 2, AME_COMM_WORLD, &statuses[2]));
    }
    char number[32];
    snprintf(number, sizeof number, "%zu", length);
    check_status(&statuses[0], 1, length);
    check_status(&statuses[1], 1, length);
    CHECK_SAY(strstr(ame_last_error(), number), "'%s' does not tell the length %s", ame_last_error(), number);
    check_status(&statuses[2], 2, length);
    CHECK_ALL(in + room, length - room + GUARD, 0xee);
    CHECK_FILLED(last, length, (uint64_t) from);
    CHECK_OK(ame_waitall(3, sends, AME_STATUSES_IGNORE)); /* the sender has done nothing wrong */
    free(out);
    free(in);
    free(large);
    free(last);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

/* In waitall: only the one that failed has an error, the others are complete. */
static void among_others(size_t length)
{
    enum { COUNT = 5, BAD = 2 };
    unsigned char *out = check_alloc(length), *in = check_alloc(COUNT * length);
    ame_request *sends[COUNT], *receives[COUNT];
    ame_status statuses[COUNT];
    check_fill(out, length, (uint64_t) check_rank);
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(
            ame_irecv(in + (size_t) i * length, i == BAD ? length - 1 : length, from, i, AME_COMM_WORLD, &receives[i]));
    for (int i = 0; i < COUNT; i++) CHECK_OK(ame_isend(out, length, to, i, AME_COMM_WORLD, &sends[i]));
    CHECK_CODE(ame_waitall(COUNT, receives, statuses), AME_E_TRUNCATED, "");
    for (int i = 0; i < COUNT; i++) {
        CHECK(receives[i] == AME_REQUEST_NULL);
        CHECK_EQUAL(statuses[i].error, i == BAD ? AME_E_TRUNCATED : AME_OK);
        check_status(&statuses[i], i, length);
        if (i != BAD) CHECK_FILLED(in + (size_t) i * length, length, (uint64_t) from);
    }
    CHECK_OK(ame_waitall(COUNT, sends, AME_STATUSES_IGNORE));
    free(out);
    free(in);
}

static void matched_probe(size_t length)
{
    unsigned char *out = check_alloc(length), *in = check_alloc(length);
    ame_request *send, *request;
    ame_message *message;
    ame_status status;
    memset(out, 3, length);
    for (int turn = 0; turn < 2; turn++) {
        CHECK_OK(ame_isend(out, length, to, 1, AME_COMM_WORLD, &send));
        CHECK_OK(ame_mprobe(from, 1, AME_COMM_WORLD, &message, &status));
        check_status(&status, 1, length);
        if (turn == 0) {
            CHECK_CODE(ame_mrecv(in, length - 1, &message, &status), AME_E_TRUNCATED, "");
        } else {
            CHECK_OK(ame_imrecv(in, length - 1, &message, &request));
            CHECK_CODE(ame_wait(&request, &status), AME_E_TRUNCATED, "");
        }
        CHECK(message == AME_MESSAGE_NULL);
        check_status(&status, 1, length);
        CHECK_OK(ame_wait(&send, AME_STATUS_IGNORE));
    }
    free(out);
    free(in);
}

int main(void)
{
    check_begin();
    to = (check_rank + 1) % check_size;
    from = (check_rank + check_size - 1) % check_size;
    static const size_t lengths[] = {1, 8, 1000, 262144, 262145, 3000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        in_the_middle(lengths[i], 0, false);
        in_the_middle(lengths[i], lengths[i] - 1, false);
        in_the_middle(lengths[i], lengths[i] / 2, true);
        among_others(lengths[i]);
        matched_probe(lengths[i]);
    }
    return check_end();
}
