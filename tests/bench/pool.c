/* pool.c - how fast tasks are handed out; ./pool (the script) runs it.
 *
 *     bench_pool loop|map|single|uneven|long|fixed|managed N
 *
 * Rank 0 prints one line: seconds, and for uneven the ideal time, for long the growth of its memory in MiB.
 *     loop     N empty tasks in a managed loop             single   the same, one task at a time, rank 0 only manages
 *     map      N tasks with results of 8 bytes             long     N tasks without results, in a map
 *     uneven   N tasks of 0 to 20 ms (asleep: as many ranks as one likes fit on a core)
 *     fixed    N tasks of 2 to 100 ms, every fourth a long one, task i on rank i % ranks: for the picture of the manual
 *     managed  the same, each on the rank that is free
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ame_pool.h>

static void must(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "bench_pool: %s\n", ame_last_error());
    ame_abort(1);
}

static double uneven_seconds(uint64_t index)
{
    return (double) (index * UINT64_C(0x9e3779b97f4a7c15) >> 40) / (double) (1 << 24) * 0.02;
}

static void rest(uint64_t index)
{
    struct timespec pause = {.tv_nsec = (long) (uneven_seconds(index) * 1e9)};
    nanosleep(&pause, NULL);
}

static int square(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    uint64_t result = task->index * task->index;
    return arg ? AME_OK : ame_pool_reply_copy(reply, &result, sizeof result);
}

static int slow(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    struct timespec pause = {.tv_nsec = (long) (uneven_seconds(task->index) * (task->index % 4 ? 2e9 : 5e9)) + 2000000};
    (void) reply;
    (void) arg;
    return nanosleep(&pause, NULL);
}

/* A list of uneven tasks, to be looked at with AME_TRACE. */
static void schedule(ame_pool *pool, uint64_t count, int fixed)
{
    ame_pool_job job = {.count = AME_POOL_OPEN, .function = slow};
    ame_pool_outcome outcome;
    must(ame_pool_map(pool, &job));
    for (uint64_t i = 0; i < count && ame_comm_rank(AME_COMM_WORLD) == 0; i++) {
        ame_pool_task task = {.prefers = fixed ? (int) i % ame_comm_size(AME_COMM_WORLD) : AME_POOL_ANYONE,
                              .only = fixed};
        must(ame_pool_submit(pool, &task));
    }
    while (ame_pool_result(pool, &outcome)) {
    }
    must(ame_pool_finish(pool));
}

static double peak_mib(void)
{
    char line[200];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %ld", &kb) == 1) break;
    if (file) fclose(file);
    return (double) kb / 1024;
}

static void loop(ame_pool *pool, uint64_t count, int uneven)
{
    uint64_t index;
    must(ame_pool_loop(pool, count));
    while (ame_pool_next(pool, &index))
        if (uneven) rest(index);
    must(ame_pool_finish(pool));
}

static void map(ame_pool *pool, uint64_t count, int empty)
{
    ame_pool_job job = {.count = count, .function = square, .arg = empty ? &empty : NULL};
    ame_pool_outcome outcome;
    must(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome)) {
        uint64_t result = 0;
        memcpy(&result, outcome.data, outcome.length);
        if (!empty && result != outcome.index * outcome.index) ame_abort(3);
    }
    must(ame_pool_finish(pool));
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    const char *what = argv[1];
    uint64_t count = strtoull(argv[2], NULL, 10);
    ame_pool *pool;
    must(ame_init());
    must(ame_pool_open(AME_COMM_WORLD, strcmp(what, "single") ? NULL : "batch=1,prefetch=0,root_works=0", &pool));
    int picture = !strcmp(what, "fixed") || !strcmp(what, "managed");
    if (!picture) loop(pool, 1000, 0); /* all ranks are there, and connected */
    must(ame_barrier(AME_COMM_WORLD));
    double memory = peak_mib(), begin = ame_wtime();
    if (picture)
        schedule(pool, count, !strcmp(what, "fixed"));
    else if (!strcmp(what, "map") || !strcmp(what, "long"))
        map(pool, count, !strcmp(what, "long"));
    else
        loop(pool, count, !strcmp(what, "uneven"));
    double took = ame_wtime() - begin, extra = 0;
    if (!strcmp(what, "long")) extra = peak_mib() - memory;
    for (uint64_t i = 0; i < count && !strcmp(what, "uneven"); i++)
        extra += uneven_seconds(i) / ame_comm_size(AME_COMM_WORLD);
    if (ame_comm_rank(AME_COMM_WORLD) == 0) printf("%.6f %.3f\n", took, extra);
    must(ame_pool_close(&pool));
    return ame_finalize() != AME_OK;
}
