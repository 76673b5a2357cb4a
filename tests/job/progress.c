/* progress.c - while a rank computes and calls nothing of the library for 2 s, what the others need from it still goes
 * on: large messages to receives it has posted, large messages of its own, and, if it is rank 0, everything that two
 * other ranks need it for (setting up their link, or passing their messages on).
 */
#include "check.h"

static const double COMPUTING = 2.0, SOON = 1.0;

enum { LARGE = 3 << 20, GO = 1, DATA = 2, BACK = 3, TALK = 4 };

static volatile double sink;

/* Busy for `seconds`, without any call to the library but its clock. */
static void compute(double seconds)
{
    double start = ame_wtime();
    while (ame_wtime() - start < seconds)
        for (int i = 0; i < 1000; i++) sink += 1e-9 * i;
}

/* The busy rank: posts all it has to, tells the others, and computes. */
static void busy(void)
{
    size_t size = (size_t) check_size;
    unsigned char *out = check_alloc(LARGE), *in = check_alloc(size * LARGE);
    ame_request **sends = calloc(size, sizeof *sends), **receives = calloc(size, sizeof *receives);
    CHECK(sends && receives);
    check_fill(out, LARGE, (uint64_t) check_rank);
    for (int r = 0; r < check_size; r++) {
        if (r == check_rank) continue;
        CHECK_OK(ame_irecv(in + (size_t) r * LARGE, LARGE, r, DATA, AME_COMM_WORLD, &receives[r]));
        CHECK_OK(ame_isend(out, LARGE, r, BACK, AME_COMM_WORLD, &sends[r]));
        CHECK_OK(ame_send(NULL, 0, r, GO, AME_COMM_WORLD));
    }
    compute(COMPUTING);
    CHECK_OK(ame_waitall(size, receives, NULL));
    CHECK_OK(ame_waitall(size, sends, NULL));
    for (int r = 0; r < check_size; r++)
        if (r != check_rank) CHECK_FILLED(in + (size_t) r * LARGE, LARGE, (uint64_t) r);
    free(out);
    free(in);
    free(sends);
    free(receives);
}

/* Two ranks that have not talked yet, and the busy one between them. */
static void talk(int other)
{
    unsigned char *buf = check_alloc(LARGE);
    for (int i = 0; i < 3; i++) {
        size_t length = i == 2 ? LARGE : 8;
        check_fill(buf, length, (uint64_t) i);
        if (check_rank < other) CHECK_OK(ame_send(buf, length, other, TALK, AME_COMM_WORLD));
        memset(buf, 0, length);
        CHECK_OK(ame_recv(buf, length, other, TALK, AME_COMM_WORLD, NULL));
        CHECK_FILLED(buf, length, (uint64_t) i);
        if (check_rank > other) CHECK_OK(ame_send(buf, length, other, TALK, AME_COMM_WORLD));
    }
    free(buf);
}

static void others(int busy_rank)
{
    unsigned char *buf = check_alloc(LARGE);
    CHECK_OK(ame_recv(NULL, 0, busy_rank, GO, AME_COMM_WORLD, NULL));
    double start = ame_wtime();
    check_fill(buf, LARGE, (uint64_t) check_rank);
    CHECK_OK(ame_send(buf, LARGE, busy_rank, DATA, AME_COMM_WORLD));
    double sent = ame_wtime() - start;
    CHECK_OK(ame_recv(buf, LARGE, busy_rank, BACK, AME_COMM_WORLD, NULL));
    CHECK_FILLED(buf, LARGE, (uint64_t) busy_rank);
    double received = ame_wtime() - start;
    /* pairs among those that are not busy, by their position among them: 0 and 1, 2 and 3, ... */
    int position = check_rank > busy_rank ? check_rank - 1 : check_rank, other = position ^ 1;
    if (other < check_size - 1) talk(other >= busy_rank ? other + 1 : other);
    double talked = ame_wtime() - start;
    CHECK_SAY(sent < SOON && received < SOON && talked < SOON,
              "rank %d computes: sent after %.3f s, received %.3f, talked %.3f", busy_rank, sent, received, talked);
    free(buf);
}

int main(void)
{
    check_begin();
    if (check_size < 2) return check_end();
    for (int busy_rank = 0; busy_rank < check_size; busy_rank += check_size - 1) {
        if (check_rank == busy_rank)
            busy();
        else
            others(busy_rank);
        CHECK_OK(ame_barrier(AME_COMM_WORLD));
    }
    return check_end();
}
