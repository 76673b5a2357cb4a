/* pool.c - how fast tasks are handed out; ./pool (the script) runs it, and ./schedule.
 *
 *     bench_pool WHAT N
 *
 * Rank 0 prints one line of name=value: seconds; messages between rank 0 and the others; body, the seconds spent in the
 * bodies by all ranks; ideal, what they were to take; memory, the growth of rank 0's peak in MiB.
 *     loop     N empty tasks in a managed loop
 *     map      N tasks with results of 8 bytes
 *     source   the same, listed one by one by a function on rank 0
 *     empty    N tasks without results, in a map
 *     asleep   N tasks of 0 to 20 ms, asleep: as many ranks as one likes fit on a core
 *     busy     N tasks of 0 to 20 ms of processor time
 *     fixed    N tasks of 2 to 100 ms, every fourth a long one, task i on rank i % ranks: for the picture of the manual
 *     managed  the same, each on the rank that is free
 * How they are handed out is said by the variable AME_POOL.
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

static void asleep(uint64_t index)
{
    struct timespec pause = {.tv_nsec = (long) (uneven_seconds(index) * 1e9)};
    nanosleep(&pause, NULL);
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static void busy(uint64_t index)
{
    double end = cpu_seconds() + uneven_seconds(index);
    while (cpu_seconds() < end) {
    }
}

static void nothing(uint64_t index)
{
    (void) index;
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

static void loop(ame_pool *pool, uint64_t count, void (*body)(uint64_t))
{
    uint64_t index;
    must(ame_pool_loop(pool, count));
    while (ame_pool_next(pool, &index)) body(index);
    must(ame_pool_finish(pool));
}

static int list(ame_pool_task *task, void *arg)
{
    return task->index < *(const uint64_t *) arg;
}

static void map(ame_pool *pool, uint64_t count, int empty, ame_pool_source source)
{
    ame_pool_job job = {.count = source ? AME_POOL_OPEN : count,
                        .function = square,
                        .arg = empty ? &empty : NULL,
                        .source = source,
                        .source_arg = &count};
    ame_pool_outcome outcome;
    must(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome)) {
        uint64_t result = 0;
        memcpy(&result, outcome.data, outcome.length);
        if (!empty && result != outcome.index * outcome.index) ame_abort(3);
    }
    must(ame_pool_finish(pool));
}

static void run(ame_pool *pool, const char *what, uint64_t count)
{
    if (!strcmp(what, "loop")) {
        loop(pool, count, nothing);
    } else if (!strcmp(what, "asleep")) {
        loop(pool, count, asleep);
    } else if (!strcmp(what, "busy")) {
        loop(pool, count, busy);
    } else if (!strcmp(what, "map")) {
        map(pool, count, 0, NULL);
    } else if (!strcmp(what, "empty")) {
        map(pool, count, 1, NULL);
    } else if (!strcmp(what, "source")) {
        map(pool, count, 0, list);
    } else if (!strcmp(what, "fixed") || !strcmp(what, "managed")) {
        schedule(pool, count, !strcmp(what, "fixed"));
    } else {
        fprintf(stderr, "bench_pool: there is no '%s'\n", what);
        ame_abort(2);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    const char *what = argv[1];
    uint64_t count = strtoull(argv[2], NULL, 10);
    ame_pool *pool;
    ame_pool_report report;
    must(ame_init());
    must(ame_pool_open(AME_COMM_WORLD, NULL, &pool));
    /* All ranks are there and connected; not before a picture, which shows all that the pool does. */
    if (!getenv("AME_TRACE")) loop(pool, 1000, nothing);
    must(ame_barrier(AME_COMM_WORLD));
    double memory = peak_mib(), begin = ame_wtime(), ideal = 0;
    run(pool, what, count);
    double took = ame_wtime() - begin;
    must(ame_pool_inspect(pool, &report));
    memory = peak_mib() - memory;
    for (uint64_t i = 0; i < count && (!strcmp(what, "asleep") || !strcmp(what, "busy")); i++)
        ideal += uneven_seconds(i);
    if (ame_comm_rank(AME_COMM_WORLD) == 0)
        printf("seconds=%.6f messages=%llu body=%.6f ideal=%.6f memory=%.3f\n", took,
               (unsigned long long) report.messages, report.busy, ideal, memory);
    must(ame_pool_close(&pool));
    return ame_finalize() != AME_OK;
}
