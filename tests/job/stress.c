/* stress.c - random messages and collective calls, checked by their contents, for a given time.
 * Arguments: seconds (default 2), seed (default 1). The same seed makes the same plan on every rank, so that each knows
 * what it has to send and to expect.
 */
#include "check.h"

enum { MOST = 1 << 20, BATCH = 24, COMMS = 4 };

static ame_comm *comms[COMMS];
static uint64_t plan; /* state of the random numbers that all ranks share */

static size_t below(size_t limit)
{
    return (size_t) (check_random(&plan) % limit);
}

/* Mostly short, some around the eager limit, a few long. */
static size_t random_length(void)
{
    switch (below(10)) {
    case 0: return 0;
    case 1: return 262144 - 4 + below(8);
    case 2: return below(MOST);
    case 3: return below(70000);
    default: return below(2000);
    }
}

/* A number of messages between random pairs on random communicators. All ranks draw the same numbers. */
static void messages(uint64_t turn)
{
    struct {
        int from, to, tag, comm;
        size_t length;
        unsigned char *buf;
    } all[BATCH];
    ame_request *requests[2 * BATCH];
    size_t count = 0, n = 1 + below(BATCH);
    int receives[BATCH], receive_count = 0;
    for (size_t i = 0; i < n; i++) {
        all[i].comm = (int) below(COMMS);
        int size = ame_comm_size(comms[all[i].comm]);
        all[i].from = (int) below((size_t) size);
        all[i].to = (int) below((size_t) size);
        /* a tag is not used twice: a rank that is ahead must not serve an any-source receive of this turn */
        all[i].tag = (int) ((turn * BATCH + i) % 1000000000);
        if (below(3) == 0) all[i].tag = AME_TAG_MAX - all[i].tag;
        all[i].length = random_length();
        all[i].buf = NULL;
    }
    size_t start = below(n), step = below(2) || n == 1 ? 1 : n - 1; /* the order in which receives are posted */
    for (size_t k = 0; k < n; k++) {
        size_t i = (start + k * step) % n;
        ame_comm *comm = comms[all[i].comm];
        if (ame_comm_rank(comm) != all[i].to) continue;
        all[i].buf = check_alloc(all[i].length);
        CHECK_OK(ame_irecv(all[i].buf, all[i].length, i % 4 ? all[i].from : AME_ANY_SOURCE, all[i].tag, comm,
                           &requests[count++]));
        receives[receive_count++] = (int) i;
    }
    unsigned char *outs[BATCH] = {NULL};
    for (size_t i = 0; i < n; i++) {
        ame_comm *comm = comms[all[i].comm];
        if (ame_comm_rank(comm) != all[i].from) continue;
        outs[i] = check_alloc(all[i].length);
        check_fill(outs[i], all[i].length, turn * BATCH + i);
        if (i % 5)
            CHECK_OK(ame_isend(outs[i], all[i].length, all[i].to, all[i].tag, comm, &requests[count++]));
        else
            CHECK_OK(ame_issend(outs[i], all[i].length, all[i].to, all[i].tag, comm, &requests[count++]));
    }
    ame_status statuses[2 * BATCH];
    CHECK_OK(ame_waitall(count, requests, statuses));
    for (int k = 0; k < receive_count; k++) {
        int i = receives[k];
        CHECK_EQUAL(statuses[k].length, all[i].length);
        CHECK_EQUAL(statuses[k].source, all[i].from);
        CHECK_EQUAL(statuses[k].tag, all[i].tag);
        CHECK_FILLED(all[i].buf, all[i].length, turn * BATCH + (uint64_t) i);
        free(all[i].buf);
    }
    for (size_t i = 0; i < n; i++) free(outs[i]);
}

static void collective(uint64_t turn)
{
    ame_comm *comm = comms[below(COMMS)];
    int rank = ame_comm_rank(comm), size = ame_comm_size(comm), root = (int) below((size_t) size);
    size_t length = random_length() / 4, total = length * (size_t) size;
    unsigned char *all = check_alloc(total), *one = check_alloc(length);
    switch (below(5)) {
    case 0:
        if (rank == root) check_fill(one, length, turn);
        CHECK_OK(ame_bcast(one, length, root, comm));
        CHECK_FILLED(one, length, turn);
        break;
    case 1:
        check_fill(one, length, turn * 64 + (uint64_t) rank);
        CHECK_OK(ame_gather(one, length, all, root, comm));
        if (rank == root)
            for (int r = 0; r < size; r++) CHECK_FILLED(all + (size_t) r * length, length, turn * 64 + (uint64_t) r);
        break;
    case 2:
        for (int r = 0; r < size; r++) check_fill(all + (size_t) r * length, length, turn * 64 + (uint64_t) r);
        CHECK_OK(ame_scatter(all, one, length, root, comm));
        CHECK_FILLED(one, length, turn * 64 + (uint64_t) rank);
        break;
    case 3: {
        int64_t value = rank + (int64_t) turn, sum = 0;
        CHECK_OK(ame_allreduce(&value, &sum, 1, AME_INT64, AME_SUM, comm));
        CHECK_EQUAL(sum, (int64_t) turn * size + size * (size - 1) / 2);
        break;
    }
    default: CHECK_OK(ame_barrier(comm));
    }
    free(all);
    free(one);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    plan = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    check_begin();
    comms[0] = AME_COMM_WORLD;
    CHECK_OK(ame_comm_dup(AME_COMM_WORLD, &comms[1]));
    CHECK_OK(ame_comm_split(AME_COMM_WORLD, 0, -check_rank, &comms[2]));
    CHECK_OK(ame_comm_split(AME_COMM_WORLD, 0, (check_rank * 7) % check_size, &comms[3]));
    double start = ame_wtime();
    uint64_t turn = 0;
    for (int go = 1; go; turn++) {
        if (below(3))
            messages(turn);
        else
            collective(turn);
        if (turn % 16) continue;
        go = ame_wtime() - start < seconds;
        CHECK_OK(ame_bcast(&go, sizeof go, 0, AME_COMM_WORLD));
    }
    for (int i = 1; i < COMMS; i++) CHECK_OK(ame_comm_free(&comms[i]));
    CHECK(turn > 1);
    return check_end();
}
