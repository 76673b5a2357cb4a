/* loop.c - managed loops: each index once, whatever the length of the tasks; failing bodies, leaving early, cancelling. */
#include "../job/check.h"

#include <time.h>

#include <ame_pool.h>

static void wait_us(long us)
{
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

/* Every index exactly once, over all ranks. On rank 0: how many messages that took. */
static uint64_t once(ame_pool *pool, uint64_t count, long us)
{
    uint8_t *mine = check_alloc(count), *all = check_alloc(count);
    memset(mine, 0, count);
    uint64_t index, number = 0;
    CHECK_OK(ame_pool_loop(pool, count));
    while (ame_pool_next(pool, &index)) {
        CHECK(index < count);
        mine[index]++;
        number++;
        if (us) wait_us(us * (long) (index % 3));
    }
    CHECK_OK(ame_pool_finish(pool));
    ame_pool_report report;
    CHECK_OK(ame_pool_inspect(pool, &report));
    if (check_rank == 0)
        CHECK_EQUAL(report.done, count);
    else
        CHECK_EQUAL(report.done, number);
    CHECK_OK(ame_allreduce(mine, all, count, AME_UINT8, AME_SUM, AME_COMM_WORLD));
    for (uint64_t i = 0; i < count; i++) CHECK_SAY(all[i] == 1, "index %llu: %d times", (unsigned long long) i, all[i]);
    free(mine);
    free(all);
    return report.messages;
}

/* One at a time a task takes two messages: a worker's report of the last one is its request for the next. Empty ones
 * travel in batches. */
static void messages(ame_pool *pool)
{
    enum { ONES = 2000, MANY = 1000000 };
    CHECK_OK(ame_pool_set(pool, "batch", "1"));
    CHECK_OK(ame_pool_set(pool, "prefetch", "0"));
    uint64_t ones = once(pool, ONES, 0);
    CHECK_OK(ame_pool_set(pool, "batch", "0"));
    CHECK_OK(ame_pool_set(pool, "prefetch", "-1"));
    uint64_t many = once(pool, MANY, 0),
             ends = 2 * (uint64_t) (check_size - 1); /* each rank begins and is told the end */
    if (check_rank) return;
    CHECK_SAY(ones >= (check_size > 1 ? 2 * ONES : 0) && ones <= 2 * ONES + ends, "%llu", (unsigned long long) ones);
    CHECK_SAY(many <= MANY / 10, "%llu", (unsigned long long) many);
}

static void failing(ame_pool *pool)
{
    enum { COUNT = 200 };
    uint64_t index;
    CHECK_OK(ame_pool_loop(pool, COUNT));
    while (ame_pool_next(pool, &index)) {
        if (index % 50 != 7) continue;
        char text[40];
        snprintf(text, sizeof text, "no luck with %d", (int) index);
        CHECK_OK(ame_pool_fail(pool, 5, text));
        CHECK_CODE(ame_pool_fail(pool, 5, text), AME_E_STATE, "present index");
    }
    CHECK_CODE(ame_pool_finish(pool), AME_E_TASK, "4 of 200 tasks have failed");
    CHECK_CODE(ame_pool_finish(pool), AME_E_STATE, "no loop or map");
    if (check_rank) return;
    bool seen[COUNT] = {false};
    ame_pool_outcome outcome;
    uint64_t n = 0;
    for (; ame_pool_failure(pool, n, &outcome); n++) {
        CHECK(outcome.index < COUNT && outcome.index % 50 == 7 && !seen[outcome.index]);
        CHECK(outcome.code == 5 && outcome.rank >= 0 && outcome.rank < check_size && *outcome.host);
        CHECK_SAY(strstr(outcome.text, "no luck with "), "%s", outcome.text);
        seen[outcome.index] = true;
    }
    CHECK_EQUAL(n, 4);
}

/* All ranks but one leave at their third index; the last one does the rest. */
static void leaving(ame_pool *pool, int stays)
{
    enum { COUNT = 100 };
    uint64_t index, mine = 0, left = 0, done, gone;
    CHECK_OK(ame_pool_loop(pool, COUNT));
    while (ame_pool_next(pool, &index)) {
        wait_us(100);
        if (check_rank != stays && mine == 2) {
            left = 1;
            break;
        }
        mine++;
    }
    int code = ame_pool_finish(pool);
    CHECK_OK(ame_allreduce(&mine, &done, 1, AME_UINT64, AME_SUM, AME_COMM_WORLD));
    CHECK_OK(ame_allreduce(&left, &gone, 1, AME_UINT64, AME_SUM, AME_COMM_WORLD));
    CHECK_EQUAL(code, gone ? AME_E_CANCELLED : AME_OK);
    if (stays < check_size) CHECK_EQUAL(done + gone, COUNT);
}

static void cancelling(ame_pool *pool, int who)
{
    uint64_t index, mine = 0;
    CHECK_OK(ame_pool_loop(pool, 1000000));
    while (ame_pool_next(pool, &index)) {
        wait_us(200);
        if (++mine == 5 && check_rank == who) CHECK_OK(ame_pool_cancel(pool));
    }
    CHECK_CODE(ame_pool_finish(pool), AME_E_CANCELLED, "it was cancelled");
    CHECK(mine < 1000000);
}

static void disagreeing(ame_pool *pool)
{
    uint64_t index;
    CHECK_OK(ame_pool_loop(pool, check_rank == check_size - 1 ? 7 : 1000));
    while (ame_pool_next(pool, &index)) wait_us(1000);
    if (check_size > 1) CHECK_CODE(ame_pool_finish(pool), AME_E_MISMATCH, "has begun a loop of 7 tasks");
    if (check_size == 1) CHECK_OK(ame_pool_finish(pool));
}

int main(void)
{
    check_begin();
    ame_pool *pool;
    CHECK_CODE(ame_pool_open(AME_COMM_WORLD, "retires=2", &pool), AME_E_CONFIG, "maybe 'retries'?");
    CHECK_CODE(ame_pool_open(AME_COMM_WORLD, "retries", &pool), AME_E_CONFIG, "name=value");
    CHECK_CODE(ame_pool_open(AME_COMM_WORLD, "retries=-1", &pool), AME_E_CONFIG, "from 0 to 1000");
    CHECK_CODE(ame_pool_open(AME_COMM_WORLD, "limit=abc", &pool), AME_E_CONFIG, "seconds");
    CHECK_CODE(ame_pool_open(NULL, NULL, &pool), AME_E_COMM, "comm");
    CHECK_OK(ame_pool_open(AME_COMM_WORLD, NULL, &pool));
    for (uint64_t count = 0; count < 12; count++) once(pool, count, 0);
    once(pool, 1000000, 0);
    once(pool, 300, 100);
    CHECK_OK(ame_pool_set(pool, "batch", "1"));
    once(pool, 2000, 0);
    CHECK_OK(ame_pool_set(pool, "prefetch", "0"));
    once(pool, 2000, 0);
    CHECK_OK(ame_pool_set(pool, "batch", "0"));
    failing(pool);
    for (int stays = 0; stays <= check_size; stays++) leaving(pool, stays);
    cancelling(pool, 0);
    cancelling(pool, check_size - 1);
    disagreeing(pool);
    CHECK_OK(ame_pool_set(pool, "root_works", "0"));
    once(pool, 5000, 0);
    once(pool, 50, 1000);
    messages(pool);
    failing(pool);
    CHECK_CODE(ame_pool_set(pool, "sort", "1"), AME_E_CONFIG, "sort");
    CHECK_OK(ame_pool_close(&pool));
    CHECK(pool == NULL);
    return check_end();
}
