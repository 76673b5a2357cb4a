/* sizes.c - one message of every awkward length, blocking and not, from each rank to the next, to the previous and to
 * itself, with its contents checked and nothing written behind it. Argument: largest length (default 64 MiB).
 */
#include "check.h"

#define KIB ((size_t) 1024)
#define MIB (1024 * KIB)

static const size_t lengths[] = {0,
                                 1,
                                 2,
                                 7,
                                 8,
                                 9,
                                 63,
                                 64,
                                 65,
                                 1000,
                                 4095,
                                 4096,
                                 16 * KIB,
                                 64 * KIB - 1,
                                 64 * KIB,
                                 64 * KIB + 1,
                                 256 * KIB - 1,
                                 256 * KIB,
                                 256 * KIB + 1,
                                 MIB - 1,
                                 MIB,
                                 MIB + 1,
                                 5 * MIB,
                                 64 * MIB};
enum { LENGTHS = sizeof lengths / sizeof *lengths, GUARD = 64 };

static uint64_t seed_of(int from, int to, size_t length)
{
    return length * 1000000 + (uint64_t) from * 1000 + (uint64_t) to;
}

static void check_message(unsigned char *buf, int from, size_t length, const ame_status *status, int tag)
{
    CHECK_FILLED(buf, length, seed_of(from, check_rank, length));
    CHECK_ALL(buf + length, GUARD, 0xee);
    CHECK_EQUAL(status->source, from);
    CHECK_EQUAL(status->tag, tag);
    CHECK_EQUAL(status->length, length);
    CHECK_EQUAL(status->cancelled, 0);
}

/* Even ranks send first, odd ones receive first; in a ring of odd size rank 0 and the last both send, hence isend
 * there. */
static void to_neighbour(unsigned char *out, unsigned char *in, size_t length, int step, int tag)
{
    int to = (check_rank + step + check_size) % check_size, from = (check_rank - step + check_size) % check_size;
    ame_request *request = NULL;
    ame_status status;
    check_fill(out, length, seed_of(check_rank, to, length));
    memset(in + length, 0xee, GUARD);
    CHECK_OK(ame_isend(out, length, to, tag, AME_COMM_WORLD, &request));
    CHECK_OK(ame_recv(in, length + GUARD, from, tag, AME_COMM_WORLD, &status));
    check_message(in, from, length, &status, tag);
    CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
    CHECK(request == AME_REQUEST_NULL);

    /* the same with the receive posted first, and a barrier to be sure of it */
    memset(in, 0, length);
    CHECK_OK(ame_irecv(in, length, from, tag, AME_COMM_WORLD, &request));
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    CHECK_OK(ame_send(out, length, to, tag, AME_COMM_WORLD));
    CHECK_OK(ame_wait(&request, &status));
    check_message(in, from, length, &status, tag);
}

/* Blocking on both sides, in pairs. */
static void in_pairs(unsigned char *out, unsigned char *in, size_t length, int tag)
{
    int peer = check_rank ^ 1;
    ame_status status;
    if (peer >= check_size) return;
    check_fill(out, length, seed_of(check_rank, peer, length));
    memset(in + length, 0xee, GUARD);
    if (check_rank < peer) CHECK_OK(ame_send(out, length, peer, tag, AME_COMM_WORLD));
    CHECK_OK(ame_recv(in, length + GUARD, peer, tag, AME_COMM_WORLD, &status));
    check_message(in, peer, length, &status, tag);
    if (check_rank > peer) CHECK_OK(ame_send(out, length, peer, tag, AME_COMM_WORLD));
}

int main(int argc, char **argv)
{
    size_t largest = argc > 1 ? strtoull(argv[1], NULL, 10) : 64 * MIB;
    check_begin();
    unsigned char *out = check_alloc(largest + GUARD), *in = check_alloc(largest + GUARD);
    for (int i = 0; i < LENGTHS; i++) {
        if (lengths[i] > largest) break;
        to_neighbour(out, in, lengths[i], 1, 2 * i);
        if (lengths[i] <= 5 * MIB) to_neighbour(out, in, lengths[i], -1, 2 * i + 1);
        if (lengths[i] <= 5 * MIB) to_neighbour(out, in, lengths[i], 0, i);
        in_pairs(out, in, lengths[i], 1000 + i);
    }
    /* a buffer of length 0 may be NULL */
    ame_status status;
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    CHECK_OK(ame_send(NULL, 0, to, 5, AME_COMM_WORLD));
    CHECK_OK(ame_recv(NULL, 0, from, 5, AME_COMM_WORLD, &status));
    CHECK_EQUAL(status.length, 0);
    free(out);
    free(in);
    return check_end();
}
