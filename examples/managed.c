/* managed.c - one list of tasks, done in four ways
 *
 *     ameexec -np 4 ./managed serial|split|loop|map [number of tasks]
 *
 *     serial   for (i = 0; i < count; i++) ...: what one starts from
 *     split    each rank takes a fixed share of the indices (split_round_robin in dlp_mpi)
 *     loop     each rank takes the next index when it is free (split_managed)
 *     map      a function runs on the ranks, rank 0 goes through its results (map_unordered)
 *
 * The tasks are uneven, so split waits for the rank that has drawn the long ones. All four print the same sum.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ame_pool.h>

static void check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "managed: %s\n", ame_last_error());
    ame_abort(1);
}

/* The task takes up to 6 ms, every fourth one ten times as long. */
static double work(uint64_t index)
{
    long us = (long) (index * 2654435761U % 6000) * (index % 4 ? 1 : 10);
    struct timespec pause = {.tv_nsec = us * 1000};
    nanosleep(&pause, NULL);
    return 1.0 / (double) (index + 1);
}

/* Sum over all ranks, on rank 0. */
static double collect(double mine)
{
    double sum = 0;
    check(ame_reduce(&mine, &sum, 1, AME_DOUBLE, AME_SUM, 0, AME_COMM_WORLD));
    return sum;
}

static double serial(uint64_t count)
{
    double sum = 0;
    for (uint64_t i = 0; i < count && ame_comm_rank(AME_COMM_WORLD) == 0; i++) sum += work(i);
    return sum;
}

static double split(uint64_t count)
{
    ame_split share;
    uint64_t index;
    double sum = 0;
    for (check(ame_split_round_robin(AME_COMM_WORLD, count, &share)); ame_split_next(&share, &index);)
        sum += work(index);
    return collect(sum);
}

static double loop(ame_pool *pool, uint64_t count)
{
    uint64_t index;
    double sum = 0;
    check(ame_pool_loop(pool, count));
    while (ame_pool_next(pool, &index)) sum += work(index);
    check(ame_pool_finish(pool));
    return collect(sum);
}

static int function(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    double result = work(task->index);
    (void) arg;
    return ame_pool_reply_copy(reply, &result, sizeof result);
}

static double map(ame_pool *pool, uint64_t count)
{
    ame_pool_job job = {.count = count, .function = function};
    ame_pool_outcome outcome;
    double sum = 0, result;
    check(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome)) {
        memcpy(&result, outcome.data, sizeof result);
        sum += result;
    }
    check(ame_pool_finish(pool));
    return sum;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "map";
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
    double sum = 0;
    ame_pool *pool;
    check(ame_init());
    check(ame_pool_open(AME_COMM_WORLD, NULL, &pool));
    double begin = ame_wtime();
    if (!strcmp(how, "serial"))
        sum = serial(count);
    else if (!strcmp(how, "split"))
        sum = split(count);
    else if (!strcmp(how, "loop"))
        sum = loop(pool, count);
    else
        sum = map(pool, count);
    if (ame_comm_rank(AME_COMM_WORLD) == 0)
        printf("%s of %llu tasks on %d ranks: sum %.6f in %.2f s\n", how, (unsigned long long) count,
               ame_comm_size(AME_COMM_WORLD), sum, ame_wtime() - begin);
    check(ame_pool_close(&pool));
    return ame_finalize() == AME_OK ? 0 : 1;
}
