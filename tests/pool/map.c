/* map.c - maps: each result once and right, in both orders, of any length; sources, submitted tasks, priority, affinity,
 * failures and repeats, several pools at once, maps after each other. */
#include "../job/check.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include <ame_pool.h>

static void wait_us(long us)
{
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

/* ---- results of 8 bytes, and of none ------------------------------------------------------------- */

static int square(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    uint64_t result = task->index * task->index + *(const uint64_t *) arg;
    return ame_pool_reply_copy(reply, &result, sizeof result);
}

static void squares(ame_pool *pool, uint64_t count, bool ordered)
{
    uint64_t plus = 3, number = 0;
    unsigned char *seen = check_alloc(count);
    memset(seen, 0, count);
    ame_pool_job job = {.count = count, .function = square, .arg = &plus};
    ame_pool_outcome outcome;
    CHECK_OK(ame_pool_map(pool, &job));
    for (; ame_pool_result(pool, &outcome); number++) {
        uint64_t result;
        CHECK(outcome.index < count && !seen[outcome.index]++ && outcome.code == 0 && outcome.attempts == 1);
        if (ordered) CHECK_EQUAL(outcome.index, number);
        CHECK_EQUAL(outcome.length, sizeof result);
        memcpy(&result, outcome.data, sizeof result);
        CHECK_EQUAL(result, outcome.index * outcome.index + 3);
        CHECK(outcome.rank >= 0 && outcome.rank < check_size);
    }
    CHECK_EQUAL(number, check_rank == 0 ? count : 0);
    CHECK_OK(ame_pool_finish(pool));
    free(seen);
}

/* ---- data both ways ------------------------------------------------------------------------------ */

enum { LENGTHS = 9 };
static const uint64_t lengths[LENGTHS] = {0, 1, 100, 4096, 4097, 16384, 70000, 1 << 20, 5000001};

static uint64_t length_of(uint64_t index)
{
    return lengths[index % LENGTHS];
}

/* The result has the task's bytes, as check_fill makes them for the index, with another seed and the lengths reversed. */
static int echo(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    (void) arg;
    CHECK_EQUAL(task->length, length_of(task->index));
    CHECK_FILLED(task->data, task->length, task->index);
    uint64_t length = length_of(task->index * 7 + 3);
    void *data = check_alloc(length);
    check_fill(data, length, task->index + 1000);
    return ame_pool_reply_give(reply, data, length);
}

struct list {
    uint64_t count;
    unsigned char *memory;
};

static int source(ame_pool_task *task, void *arg)
{
    struct list *list = arg;
    if (task->index == list->count) return 0;
    task->length = length_of(task->index);
    task->data = list->memory;
    check_fill(list->memory, task->length, task->index);
    return 1;
}

static void check_echo(const ame_pool_outcome *outcome)
{
    CHECK_OK(outcome->code);
    CHECK_EQUAL(outcome->length, length_of(outcome->index * 7 + 3));
    CHECK_FILLED(outcome->data, outcome->length, outcome->index + 1000);
}

static void bytes(ame_pool *pool, uint64_t count, uint64_t announced)
{
    struct list list = {.count = count, .memory = check_alloc(5000001)};
    ame_pool_job job = {.count = announced, .source = source, .source_arg = &list, .function = echo};
    ame_pool_outcome outcome;
    uint64_t number = 0;
    CHECK_OK(ame_pool_map(pool, &job));
    for (; ame_pool_result(pool, &outcome); number++) check_echo(&outcome);
    CHECK_EQUAL(number, check_rank == 0 ? count : 0);
    CHECK_OK(ame_pool_finish(pool));
    free(list.memory);
}

/* ---- a rank 0 that submits, workers that serve --------------------------------------------------- */

static int where(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    (void) arg;
    wait_us(300);
    uint64_t result[2] = {(uint64_t) check_rank, task->length ? *(const unsigned char *) task->data : 0};
    return ame_pool_reply_copy(reply, result, sizeof result);
}

/* Each task is done by the rank that it asks for, if that one works. */
static void submits(ame_pool *pool, int round, bool root_works)
{
    ame_pool_job job = {.count = AME_POOL_OPEN};
    ame_pool_outcome outcome;
    uint64_t got = 0, given = 0, result[2];
    CHECK_OK(ame_pool_map(pool, &job));
    CHECK_EQUAL(ame_pool_result(pool, &outcome), 0);
    for (int wave = 0; wave < 3; wave++) {
        for (int r = 0; r < 2 * check_size; r++, given++) {
            unsigned char byte = (unsigned char) given;
            ame_pool_task task = {
                .data = &byte, .length = 1, .prefers = (int) (given % (uint64_t) check_size), .only = 1};
            CHECK_OK(ame_pool_submit(pool, &task));
        }
        for (; ame_pool_result(pool, &outcome); got++) {
            memcpy(result, outcome.data, sizeof result);
            CHECK_EQUAL(result[0], outcome.rank);
            if (root_works || outcome.index % (uint64_t) check_size)
                CHECK_EQUAL(result[0], outcome.index % (uint64_t) check_size);
            CHECK_EQUAL(result[1], outcome.index & 255);
        }
        CHECK_EQUAL(got, given);
    }
    if (round % 2) { /* not taken */
        ame_pool_task task = {.prefers = AME_POOL_ANYONE};
        for (int i = 0; i < 50; i++) CHECK_OK(ame_pool_submit(pool, &task));
        CHECK_EQUAL(ame_pool_finish(pool), AME_E_CANCELLED);
    } else {
        CHECK_OK(ame_pool_finish(pool));
    }
}

static void serves(ame_pool *pool, bool root_works)
{
    CHECK_OK(ame_pool_serve(pool, where, NULL));
    for (int round = 0; check_rank == 0 && round < 4; round++) submits(pool, round, root_works);
    if (check_rank == 0) CHECK_OK(ame_pool_dismiss(pool));
}

/* Rank 0 does not work and there is one worker: it gets the tasks by priority, those alike in their order. */
static void priorities(ame_pool *pool)
{
    static const int priority[] = {0, 5, -1, 5, 0, 7};
    static const uint64_t order[] = {5, 1, 3, 0, 4, 2};
    ame_pool_job job = {.count = AME_POOL_OPEN, .function = where};
    ame_pool_outcome outcome;
    CHECK_OK(ame_pool_set(pool, "prefetch", "0"));
    CHECK_OK(ame_pool_set(pool, "batch", "1"));
    CHECK_OK(ame_pool_map(pool, &job));
    ame_pool_task first = {.prefers = check_size - 1, .only = 1};
    for (int i = 0; check_rank == 0 && i < 6; i++) {
        ame_pool_task task = {.priority = priority[i], .prefers = check_size - 1, .only = 1};
        CHECK_OK(ame_pool_submit(pool, i ? &task : &first));
    }
    uint64_t n = 0, at[6];
    for (; ame_pool_result(pool, &outcome); n++) at[n] = outcome.index;
    /* a worker that was here early has begun with whatever was first */
    for (uint64_t i = 1; i < n && at[0] == order[0]; i++) CHECK_EQUAL(at[i], order[i]);
    CHECK_OK(ame_pool_finish(pool));
    CHECK_OK(ame_pool_set(pool, "prefetch", "-1"));
    CHECK_OK(ame_pool_set(pool, "batch", "0"));
}

/* ---- failures ------------------------------------------------------------------------------------ */

static int moody(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    (void) arg;
    if (task->index % 10 == 3 && task->attempt < 2) {
        CHECK_OK(ame_pool_reply_text(reply, "not yet"));
        CHECK_OK(ame_pool_reply_copy(reply, "half", 4));
        return -1000;
    }
    return task->index % 10 == 5 ? 42 : 0;
}

static void fails(ame_pool *pool, const char *retry_errors, uint64_t expected)
{
    ame_pool_job job = {.count = 100, .function = moody};
    ame_pool_outcome outcome;
    ame_pool_report report;
    uint64_t failed = 0;
    CHECK_OK(ame_pool_set(pool, "retry_errors", retry_errors));
    CHECK_OK(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome)) {
        failed += outcome.code != 0;
        if (outcome.index % 10 == 5) CHECK_EQUAL(outcome.code, 42);
        if (outcome.index % 10 != 3) continue;
        CHECK_EQUAL(outcome.attempts, expected == 20 ? 1 : 3);
        if (expected != 20) continue;
        CHECK(outcome.code == -1000 && outcome.length == 4 && !memcmp(outcome.data, "half", 4));
        CHECK_SAY(strstr(outcome.text, "): not yet") && strstr(outcome.text, "task "), "%s", outcome.text);
    }
    CHECK_EQUAL(ame_pool_finish(pool), AME_E_TASK);
    if (check_rank) return;
    CHECK_EQUAL(failed, expected);
    CHECK_OK(ame_pool_inspect(pool, &report));
    CHECK_EQUAL(report.failed, expected);
    CHECK_EQUAL(report.done, 100 - expected);
    CHECK_EQUAL(report.retried, expected == 20 ? 0 : 40);
}

static void too_long(ame_pool *pool)
{
    struct list list = {.count = 2 * LENGTHS, .memory = check_alloc(5000001)};
    ame_pool_job job = {.count = 2 * LENGTHS, .source = source, .source_arg = &list, .function = echo};
    ame_pool_outcome outcome;
    CHECK_OK(ame_pool_set(pool, "result_max", "4096"));
    CHECK_OK(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome)) {
        if (length_of(outcome.index * 7 + 3) <= 4096) {
            check_echo(&outcome);
        } else {
            CHECK_EQUAL(outcome.code, AME_E_TRUNCATED);
            CHECK_SAY(strstr(outcome.text, "result_max"), "%s", outcome.text);
        }
    }
    CHECK_EQUAL(ame_pool_finish(pool), AME_E_TASK);
    CHECK_OK(ame_pool_set(pool, "result_max", "9e18"));
    free(list.memory);
}

/* ---- tasks from a thread that waits for them ------------------------------------------------------- */

struct stream {
    ame_pool *pool;
    uint64_t slow, count, given;
    sem_t results;
    int code; /* what ame_pool_submit returned last */
};

/* The first tasks one by one, each when the result of the one before is there; then all that there are. */
static void *produce(void *arg)
{
    struct stream *stream = arg;
    for (; stream->given < stream->count; stream->given++) {
        ame_pool_task task = {.prefers = AME_POOL_ANYONE};
        if (stream->given && stream->given < stream->slow)
            while (sem_wait(&stream->results)) continue;
        stream->code = ame_pool_submit(stream->pool, &task);
        if (stream->code) return NULL;
    }
    stream->code = ame_pool_submit(stream->pool, NULL);
    return NULL;
}

/* `cancel`: after so many results; 0: never. */
static void streams(ame_pool *pool, uint64_t count, uint64_t cancel)
{
    uint64_t plus = 2, number = 0, result;
    ame_pool_job job = {.count = AME_POOL_STREAM, .function = square, .arg = &plus};
    ame_pool_outcome outcome;
    pthread_t thread;
    struct stream stream = {.pool = pool, .slow = count < 20 ? count : 20, .count = count};
    CHECK_OK(ame_pool_map(pool, &job));
    if (check_rank) {
        CHECK_EQUAL(ame_pool_finish(pool), cancel ? AME_E_CANCELLED : AME_OK);
        return;
    }
    CHECK(sem_init(&stream.results, 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, produce, &stream) == 0);
    for (; ame_pool_result(pool, &outcome); number++) {
        CHECK_EQUAL(outcome.length, sizeof result);
        memcpy(&result, outcome.data, sizeof result);
        CHECK_EQUAL(result, outcome.index * outcome.index + plus);
        CHECK(sem_post(&stream.results) == 0);
        if (number + 1 == cancel) CHECK_OK(ame_pool_cancel(pool));
    }
    if (cancel)
        CHECK_CODE(ame_pool_finish(pool), AME_E_CANCELLED, "not been listed yet");
    else
        CHECK_OK(ame_pool_finish(pool));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQUAL(stream.code, cancel ? AME_E_CANCELLED : AME_OK);
    CHECK(cancel ? stream.given < count : number == count);
    CHECK(sem_destroy(&stream.results) == 0);
    CHECK_EQUAL(ame_pool_submit(pool, NULL), AME_E_CANCELLED);
}

static int bad_source(ame_pool_task *task, void *arg)
{
    (void) arg;
    if (task->index == 10) return -77;
    return 1;
}

static void bad_lists(ame_pool *pool)
{
    uint64_t plus = 0, number = 0;
    ame_pool_job job = {.count = AME_POOL_OPEN, .source = bad_source, .function = square, .arg = &plus};
    ame_pool_outcome outcome;
    CHECK_OK(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome)) number++;
    CHECK_CODE(ame_pool_finish(pool), -77, "the source of tasks has failed");
    CHECK(number <= 10);
    ame_pool_job none = {.count = 5};
    CHECK_CODE(ame_pool_map(pool, &none), AME_E_ARG, "function");
    CHECK_CODE(ame_pool_map(pool, NULL), AME_E_ARG, "job");
    ame_pool_task task = {0};
    CHECK_CODE(ame_pool_submit(pool, &task), AME_E_STATE, "ame_pool_submit");
    ame_pool_job both = {.count = AME_POOL_STREAM, .source = bad_source, .function = square};
    CHECK_CODE(ame_pool_map(pool, &both), AME_E_ARG, "not from both");
}

/* ---- memory -------------------------------------------------------------------------------------- */

static long resident_kb(void)
{
    char line[200];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %ld", &kb) == 1) break;
    fclose(file);
    return kb;
}

static int nothing(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    (void) task;
    (void) reply;
    (void) arg;
    return 0;
}

static void long_list(ame_pool *pool, uint64_t count)
{
    ame_pool_job job = {.count = count, .function = nothing};
    ame_pool_outcome outcome;
    uint64_t number = 0;
    long before = resident_kb();
    CHECK_OK(ame_pool_map(pool, &job));
    for (; ame_pool_result(pool, &outcome); number++) CHECK_EQUAL(outcome.length, 0);
    CHECK_OK(ame_pool_finish(pool));
    CHECK_EQUAL(number, check_rank ? 0 : count);
    CHECK_SAY(resident_kb() - before < 40000, "%ld kB more", resident_kb() - before);
}

/* Two pools on the world, one on a part of it; one loop within another's map. */
static void together(void)
{
    ame_pool *a, *b, *c;
    ame_comm *half;
    uint64_t plus = 3, index;
    CHECK_OK(ame_comm_split(AME_COMM_WORLD, check_rank % 2, -check_rank, &half));
    CHECK_OK(ame_pool_open(AME_COMM_WORLD, "ordered=1", &a));
    CHECK_OK(ame_pool_open(half, NULL, &b));
    CHECK_OK(ame_pool_open(AME_COMM_WORLD, NULL, &c));
    ame_pool_job job = {.count = 300, .function = square, .arg = &plus};
    ame_pool_outcome outcome;
    CHECK_OK(ame_pool_map(a, &job));
    for (uint64_t n = 0; ame_pool_result(a, &outcome); n++) CHECK_EQUAL(outcome.index, n);
    CHECK_OK(ame_pool_loop(b, 100));
    CHECK_OK(ame_pool_loop(c, 100));
    while (ame_pool_next(b, &index)) continue; /* by turns they would wait for each other: see ame_pool_next */
    while (ame_pool_next(c, &index)) continue;
    CHECK_OK(ame_pool_finish(b));
    CHECK_OK(ame_pool_finish(a));
    CHECK_OK(ame_pool_finish(c));
    CHECK_OK(ame_pool_close(&b));
    CHECK_OK(ame_pool_close(&c));
    CHECK_OK(ame_pool_close(&a));
    CHECK_OK(ame_comm_free(&half));
}

int main(void)
{
    check_begin();
    ame_pool *pool;
    CHECK_OK(ame_pool_open(AME_COMM_WORLD, NULL, &pool));
    for (uint64_t count = 0; count < 5; count++) squares(pool, count, false);
    squares(pool, 100000, false);
    bytes(pool, 50, AME_POOL_OPEN);
    bytes(pool, 33, 33);
    for (uint64_t count = 0; count < 3; count++) streams(pool, count, 0);
    streams(pool, 3000, 0);
    streams(pool, 1000000, 30);
    serves(pool, true);
    priorities(pool);
    fails(pool, "0", 20);
    fails(pool, "2", 10);
    CHECK_OK(ame_pool_set(pool, "retry_errors", "0"));
    too_long(pool);
    bad_lists(pool);
    CHECK_OK(ame_pool_set(pool, "ordered", "1"));
    squares(pool, 20000, true);
    CHECK_OK(ame_pool_set(pool, "window", "3"));
    squares(pool, 500, true);
    streams(pool, 500, 0);
    bytes(pool, 25, 25);
    CHECK_OK(ame_pool_set(pool, "ordered", "0"));
    squares(pool, 500, false);
    streams(pool, 500, 0);
    streams(pool, 500, 25);
    CHECK_OK(ame_pool_set(pool, "window", "65536"));
    CHECK_OK(ame_pool_set(pool, "window_bytes", "100000"));
    bytes(pool, 40, 40);
    CHECK_OK(ame_pool_set(pool, "root_works", "0"));
    squares(pool, 3000, false);
    streams(pool, 3000, 0);
    bytes(pool, 20, 20);
    serves(pool, false);
    long_list(pool, 500000);
    CHECK_OK(ame_pool_close(&pool));
    together();
    return check_end();
}
