/* work.c - a pool with something to do, for pooltest, which disturbs it.
 *
 *     work HOW COUNT MICROSECONDS OPTIONS [kill=I] [hang=I] [fail=I] [data=BYTES] [task=BYTES]
 *
 * HOW is loop, map or source (tasks with data). A task takes between 0 and twice the microseconds. kill=I: task I kills its
 * rank; hang=I: it never ends; fail=I: it fails; results have up to `data` bytes, data of tasks less than `task`. Rank 0 prints one line with a sum over all results, which does not
 * depend on their order; the exit code is 0, 75 if tasks are not done, 1 if some failed, else 3.
 */
#include "../job/check.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <ame_pool.h>

static uint64_t kill_at = UINT64_MAX, hang_at = UINT64_MAX, fail_at = UINT64_MAX, data_bytes = 16, task_bytes = 100;
static long pause_us;

static void work(uint64_t index)
{
    uint64_t us = check_mix(index) % (uint64_t) (2 * pause_us + 1);
    struct timespec pause = {.tv_sec = (time_t) (us / 1000000), .tv_nsec = (long) (us % 1000000 * 1000)};
    if (us) nanosleep(&pause, NULL);
    if (index == kill_at) kill(getpid(), SIGKILL);
    while (index == hang_at) sleep(1000);
}

static int function(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    uint64_t *result = check_alloc(data_bytes + 8), length = 8 + check_mix(task->index) % (data_bytes + 1);
    (void) arg;
    check_fill(result, length, task->index);
    if (task->length) CHECK_FILLED(task->data, task->length, task->index + 5);
    work(task->index);
    if (task->index == fail_at) {
        free(result);
        return ame_pool_reply_text(reply, "as was wanted") ? -1 : 9;
    }
    return ame_pool_reply_give(reply, result, length);
}

static int source(ame_pool_task *task, void *arg)
{
    static unsigned char *data;
    (void) arg;
    if (!data) data = check_alloc(task_bytes);
    task->length = check_mix(task->index) % task_bytes;
    task->data = data;
    check_fill(data, task->length, task->index + 5);
    return 1;
}

/* A sum over (index, result) that does not depend on order. */
static uint64_t sum_up(ame_pool *pool)
{
    ame_pool_outcome outcome;
    uint64_t sum = 0;
    while (ame_pool_result(pool, &outcome)) {
        if (outcome.code) {
            printf("task %llu: %s\n", (unsigned long long) outcome.index, outcome.text);
            continue;
        }
        CHECK_EQUAL(outcome.length, 8 + check_mix(outcome.index) % (data_bytes + 1));
        CHECK_FILLED(outcome.data, outcome.length, outcome.index);
        sum += check_mix(outcome.index * 31 + outcome.length);
    }
    return sum;
}

static void options(int argc, char **argv)
{
    for (int i = 5; i < argc; i++) {
        unsigned long long n;
        if (sscanf(argv[i], "kill=%llu", &n) == 1)
            kill_at = n;
        else if (sscanf(argv[i], "hang=%llu", &n) == 1)
            hang_at = n;
        else if (sscanf(argv[i], "fail=%llu", &n) == 1)
            fail_at = n;
        else if (sscanf(argv[i], "data=%llu", &n) == 1)
            data_bytes = n;
        else if (sscanf(argv[i], "task=%llu", &n) == 1)
            task_bytes = n;
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) return 2;
    ame_pool *pool;
    uint64_t count = strtoull(argv[2], NULL, 10), sum = 0, index;
    pause_us = strtol(argv[3], NULL, 10);
    options(argc, argv);
    check_begin();
    int code = ame_pool_open(AME_COMM_WORLD, argv[4], &pool);
    const char *journal = getenv("WORK_JOURNAL"), *job = getenv("WORK_JOB");
    if (!code && journal) code = ame_pool_set(pool, "journal", journal);
    if (!code && job) code = ame_pool_set(pool, "job", job);
    if (code) {
        fprintf(stderr, "%s\n", ame_last_error());
        return 3;
    }
    printf("ready\n");
    fflush(stdout);
    if (!strcmp(argv[1], "loop")) {
        CHECK_OK(ame_pool_loop(pool, count));
        for (; ame_pool_next(pool, &index); sum += check_mix(index)) {
            work(index);
            if (index == fail_at) CHECK_OK(ame_pool_fail(pool, 9, "as was wanted"));
        }
    } else {
        ame_pool_job what = {.count = count, .function = function};
        if (!strcmp(argv[1], "source")) what.source = source;
        code = ame_pool_map(pool, &what);
        sum = sum_up(pool);
    }
    code = ame_pool_finish(pool);
    ame_pool_report report;
    CHECK_OK(ame_pool_inspect(pool, &report));
    if (code) fprintf(stderr, "rank %d: %s\n", check_rank, ame_last_error());
    if (check_rank == 0)
        printf("sum %016llx done %llu failed %llu resumed %llu retried %llu lost %d interrupted %d\n",
               (unsigned long long) sum, (unsigned long long) report.done, (unsigned long long) report.failed,
               (unsigned long long) report.resumed, (unsigned long long) report.retried, report.lost,
               report.interrupted);
    CHECK_OK(ame_pool_close(&pool));
    CHECK_OK(ame_finalize());
    return code == AME_OK ? 0 : code == AME_E_CANCELLED ? 75 : code == AME_E_TASK ? 1 : 3;
}
