/* collmix.c - several non-blocking collective calls outstanding at once on one communicator, mixed with messages
 * between two ranks, and completed in another order on each rank.
 */
#include "check.h"

enum { BCAST, GATHER, SCATTER, ALLREDUCE, BARRIER, ALLGATHER, ALLTOALL, SCAN, RECEIVE, SEND, KINDS };

static size_t length;
static unsigned char *outs[KINDS], *ins[KINDS];
static ame_request *requests[KINDS];
static int root, turn, to, from;

static uint64_t seed_of(int kind, int sender, int receiver)
{
    return (uint64_t) (((turn * 16 + kind) * 1000 + sender) * 1000 + receiver);
}

static void prepare(void)
{
    size_t total = length * (size_t) check_size;
    for (int kind = 0; kind < KINDS; kind++) {
        memset(ins[kind], 0, total);
        for (int r = 0; r < check_size; r++)
            check_fill(outs[kind] + (size_t) r * length, length, seed_of(kind, check_rank, r));
    }
    if (check_rank == root) check_fill(ins[BCAST], length, seed_of(BCAST, root, 0));
}

static void start(int kind)
{
    ame_comm *world = AME_COMM_WORLD;
    ame_request **request = &requests[kind];
    switch (kind) {
    case BCAST: CHECK_OK(ame_ibcast(ins[kind], length, root, world, request)); break;
    case GATHER: CHECK_OK(ame_igather(outs[kind], length, ins[kind], root, world, request)); break;
    case SCATTER: CHECK_OK(ame_iscatter(outs[kind], ins[kind], length, root, world, request)); break;
    case ALLREDUCE: CHECK_OK(ame_iallreduce(outs[kind], ins[kind], length, AME_UINT8, AME_BXOR, world, request)); break;
    case BARRIER: CHECK_OK(ame_ibarrier(world, request)); break;
    case ALLGATHER: CHECK_OK(ame_iallgather(outs[kind], length, ins[kind], world, request)); break;
    case ALLTOALL: CHECK_OK(ame_ialltoall(outs[kind], length, ins[kind], world, request)); break;
    case SCAN: CHECK_OK(ame_iscan(outs[kind], ins[kind], length, AME_UINT8, AME_SUM, world, request)); break;
    case RECEIVE: CHECK_OK(ame_irecv(ins[kind], length, from, 3, world, request)); break;
    case SEND: CHECK_OK(ame_isend(outs[kind], length, to, 3, world, request)); break;
    default: CHECK(!"a kind");
    }
}

/* Element by element over ranks 0 .. last, from their known contents. */
static void check_combined(int kind, int last, bool xor)
{
    unsigned char *want = calloc(length ? length : 1, 1), *one = check_alloc(length);
    CHECK(want);
    for (int r = 0; r <= last; r++) {
        check_fill(one, length, seed_of(kind, r, 0));
        for (size_t i = 0; i < length; i++) want[i] = (unsigned char) (xor? want[i] ^ one[i] : want[i] + one[i]);
    }
    CHECK(!memcmp(want, ins[kind], length));
    free(want);
    free(one);
}

static void check_results(void)
{
    bool is_root = check_rank == root;
    CHECK_FILLED(ins[BCAST], length, seed_of(BCAST, root, 0));
    CHECK_FILLED(ins[SCATTER], length, seed_of(SCATTER, root, check_rank));
    for (int r = 0; r < check_size; r++) {
        size_t at = (size_t) r * length;
        if (is_root) CHECK_FILLED(ins[GATHER] + at, length, seed_of(GATHER, r, 0));
        CHECK_FILLED(ins[ALLGATHER] + at, length, seed_of(ALLGATHER, r, 0));
        CHECK_FILLED(ins[ALLTOALL] + at, length, seed_of(ALLTOALL, r, check_rank));
    }
    check_combined(ALLREDUCE, check_size - 1, true);
    check_combined(SCAN, check_rank, false);
    CHECK_FILLED(ins[RECEIVE], length, seed_of(SEND, from, 0));
}

static void one_turn(void)
{
    prepare();
    /* the same order on all ranks for the collective calls; the two messages somewhere among them, per rank */
    uint64_t order = (uint64_t) turn * 1000, mine = order + (uint64_t) check_rank + 1;
    int first = (int) (check_random(&order) % (uint64_t) RECEIVE), receive = (int) (check_random(&mine) % RECEIVE);
    for (int i = 0; i < RECEIVE; i++) {
        if (i == receive) start(RECEIVE);
        start((first + i * 3) % RECEIVE); /* 3 and 8 have no common divisor: each once */
        if (i == receive) start(SEND);
    }
    /* completed by each rank in an order of its own */
    int done[KINDS] = {0};
    for (int open = KINDS; open > 0; open--) {
        int kind = (int) (check_random(&mine) % KINDS), index;
        while (done[kind]) kind = (kind + 1) % KINDS;
        if (turn % 3 == 2) {
            CHECK_OK(ame_waitany(KINDS, requests, &index, NULL));
            CHECK(index >= 0 && index < KINDS && !done[index]);
            kind = index;
        } else {
            CHECK_OK(ame_wait(&requests[kind], NULL));
        }
        CHECK(requests[kind] == AME_REQUEST_NULL);
        done[kind] = 1;
    }
    check_results();
}

/* Many of one kind outstanding, waited for together. */
static void many_bcasts(void)
{
    enum { MANY = 100 };
    static int values[MANY];
    ame_request *all[MANY];
    for (int i = 0; i < MANY; i++) {
        values[i] = i % check_size == check_rank ? i * 3 + 1 : -1;
        CHECK_OK(ame_ibcast(&values[i], sizeof(int), i % check_size, AME_COMM_WORLD, &all[i]));
    }
    CHECK_OK(ame_waitall(MANY, all, NULL));
    for (int i = 0; i < MANY; i++) CHECK_EQUAL(values[i], i * 3 + 1);
}

int main(void)
{
    check_begin();
    static const size_t lengths[] = {8, 1000, 0, 70000, 300000};
    size_t total = 300000 * (size_t) check_size;
    for (int kind = 0; kind < KINDS; kind++) {
        outs[kind] = check_alloc(total);
        ins[kind] = check_alloc(total);
    }
    to = (check_rank + 1) % check_size;
    from = (check_rank + check_size - 1) % check_size;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int again = 0; again < 9; again++, turn++) {
            length = lengths[i];
            root = turn % check_size;
            one_turn();
        }
    many_bcasts();
    for (int kind = 0; kind < KINDS; kind++) {
        free(outs[kind]);
        free(ins[kind]);
    }
    return check_end();
}
