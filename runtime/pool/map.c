/* map.c - the map as the program sees it. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/journal.h"

/* ---- listing tasks ------------------------------------------------------------------------------- */

/* Adds a task; the lock is held. */
static int submit(struct ame_pool *pool, const ame_pool_task *task)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__journal_record old;
    if (ame__journal_has(pool->manager->journal, run->submitted, &old)) {
        if (old.task_hash != ame__journal_hash(task->data, task->data ? task->length : 0))
            return ame__fail(AME_E_MISMATCH, "task %llu is not the one that journal '%s' has",
                             (unsigned long long) run->submitted, ame__journal_path(pool->manager->journal));
        run->resumed++;
        run->next = ++run->submitted;
        return AME_OK;
    }
    struct ame__piece *piece = ame__piece_create(run->submitted, 1);
    if (!piece) return AME_E_NOMEM;
    piece->priority = task->priority;
    piece->prefers = task->prefers;
    piece->only = task->only;
    piece->stamp = pool->manager->stamps++;
    piece->length = task->data ? task->length : 0;
    if (piece->length) {
        piece->data = malloc(piece->length);
        if (!piece->data) {
            ame__piece_destroy(piece);
            return ame__fail(AME_E_NOMEM, "out of memory for the %llu bytes of task %llu",
                             (unsigned long long) task->length, (unsigned long long) run->submitted);
        }
        memcpy(piece->data, task->data, piece->length);
    }
    int code = ame__queue_add(pool, piece);
    if (code) return code;
    run->next = ++run->submitted;
    return AME_OK;
}

static int check_task(const ame_pool *pool, const ame_pool_task *task, const char *function)
{
    if (task->length && !task->data)
        return ame__fail(AME_E_ARG, "%s: a task's data is NULL, its length %llu", function,
                         (unsigned long long) task->length);
    if (task->prefers == AME_POOL_ANYONE || (task->prefers >= 0 && task->prefers < pool->size)) return AME_OK;
    return ame__fail(AME_E_RANK, "%s: a task prefers rank %d; the pool has ranks 0 to %d", function, task->prefers,
                     pool->size - 1);
}

/* Whether the window has room for another task. */
static bool room(const struct ame_pool *pool)
{
    const struct ame__run *run = &pool->manager->run;
    uint64_t window = (uint64_t) pool->options.window;
    uint64_t used = run->ordered ? run->submitted - run->deliver : run->outstanding + run->queued + run->stored;
    return used < window && (double) (run->stored_bytes + run->queued_bytes) < pool->options.window_bytes;
}

/* Lists tasks from the source, `most` at a time, and hands them out. Called and returns with the lock held, which the
 * source is called without. */
static void fill(struct ame_pool *pool, uint64_t most)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    int64_t begin = ame__now_ns();
    for (uint64_t n = 0; n < most && run->source && run->active && !run->closed && room(pool); n++) {
        if (run->queued && ame__now_ns() - begin > AME__POOL_BATCH_NS) break; /* there is something to do meanwhile */
        ame_pool_task task = {.index = run->submitted, .prefers = AME_POOL_ANYONE};
        int got = run->submitted < run->count;
        ame_pool_source source = run->source;
        pthread_mutex_unlock(&manager->lock);
        if (got) got = source(&task, run->source_arg);
        int code = got > 0 ? check_task(pool, &task, "ame_pool_map") : got;
        pthread_mutex_lock(&manager->lock);
        if (code < 0) {
            ame__run_fail(pool, code, got < 0 ? "the source of tasks has failed" : ame_last_error());
        } else if (got == 0) {
            run->closed = true;
            run->count = run->submitted;
        } else if (run->active && !run->stopping && (code = submit(pool, &task))) {
            ame__run_fail(pool, code, ame_last_error());
        }
        if (!ame__list_empty(&manager->hungry)) ame__feed_all(pool);
    }
    ame__conclude(pool);
}

/* One more task of a stream, or (NULL) its end. From any thread, which waits for room in the window; the lock is held. */
static int submit_to_stream(struct ame_pool *pool, const ame_pool_task *task)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    uint32_t number = manager->run_number;
    for (; task && run->active && number == manager->run_number && !room(pool); manager->listing--) {
        manager->listing++;
        pthread_cond_wait(&manager->space, &manager->lock);
    }
    if (!run->active || run->stopping || number != manager->run_number)
        return ame__fail(AME_E_CANCELLED, "ame_pool_submit: the map has ended before its tasks");
    int code = AME_OK;
    if (task) {
        code = submit(pool, task);
    } else {
        run->closed = true;
        run->count = run->submitted;
        ame__conclude(pool);
    }
    ame__tell_news(manager);
    return code;
}

int ame_pool_submit(ame_pool *pool, const ame_pool_task *task)
{
    static const char function[] = "ame_pool_submit";
    if (!pool) return ame__fail(AME_E_ARG, "%s: argument 'pool' is NULL", function);
    if (pool->rank) return ame__fail(AME_E_STATE, "%s: only rank 0 submits tasks", function);
    int code = task ? check_task(pool, task, function) : AME_OK;
    if (code) return code;
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    pthread_mutex_lock(&manager->lock);
    if (run->stream)
        code = submit_to_stream(pool, task);
    else if (!pool->running || pool->how != AME__POOL_MAP)
        code = ame__fail(AME_E_STATE, "%s: no map is under way; ame_pool_map begins one", function);
    else if (run->source || run->count != AME_POOL_OPEN)
        code = ame__fail(AME_E_STATE, "%s: this map has a source, or a number of tasks", function);
    else if (!task)
        code = ame__fail(AME_E_ARG, "%s: argument 'task' is NULL; that ends a map with AME_POOL_STREAM only", function);
    else if (!run->stopping)
        code = submit(pool, task);
    if (!code && !ame__list_empty(&manager->hungry)) ame__feed_all(pool);
    pthread_mutex_unlock(&manager->lock);
    return code;
}

/* ---- begin --------------------------------------------------------------------------------------- */

static int check_begin(const ame_pool *pool, const char *function)
{
    if (!pool) return ame__fail(AME_E_ARG, "%s: argument 'pool' is NULL", function);
    if (pool->running) return ame__fail(AME_E_STATE, "%s: a loop or map is under way; finish it first", function);
    return AME_OK;
}

int ame_pool_map(ame_pool *pool, const ame_pool_job *job)
{
    static const char function[] = "ame_pool_map";
    int code = check_begin(pool, function);
    if (code) return code;
    if (!job) return ame__fail(AME_E_ARG, "%s: argument 'job' is NULL", function);
    if (pool->serving && pool->rank) return ame__fail(AME_E_STATE, "%s: the pool is in ame_pool_serve", function);
    if (!job->function && !pool->serving)
        return ame__fail(AME_E_ARG, "%s: 'function' of argument 'job' is NULL", function);
    if (job->count == AME_POOL_STREAM && job->source)
        return ame__fail(AME_E_ARG, "%s: tasks come from a source or from a stream, not from both", function);
    if (job->function) {
        pool->function = job->function;
        pool->arg = job->arg;
    }
    pool->run++;
    pool->how = AME__POOL_MAP;
    pool->running = true;
    if (pool->rank) {
        code = ame__worker_join(pool, AME__POOL_MAP, 0);
        if (!code) ame__worker_map(pool);
        return code;
    }
    pthread_mutex_lock(&pool->manager->lock);
    ame__run_begin(pool, AME__POOL_MAP, job);
    fill(pool, 1); /* so that a list that is empty is known to be */
    ame__admit_all(pool);
    ame__conclude(pool);
    ame__ticker_wake(pool);
    pthread_mutex_unlock(&pool->manager->lock);
    return AME_OK;
}

int ame_pool_serve(ame_pool *pool, ame_pool_function function, void *arg)
{
    static const char name[] = "ame_pool_serve";
    int code = check_begin(pool, name);
    if (code) return code;
    if (!function) return ame__fail(AME_E_ARG, "%s: argument 'function' is NULL", name);
    pool->function = function;
    pool->arg = arg;
    pool->serving = true;
    if (pool->rank == 0) return AME_OK;
    pool->how = AME__POOL_MAP;
    code = ame__worker_join(pool, AME__POOL_SERVE, 0);
    if (!code) ame__worker_map(pool);
    pool->serving = false;
    return pool->worker.code ? ame__fail(pool->worker.code, "%s: %s", name, pool->worker.text) : code;
}

int ame_pool_dismiss(ame_pool *pool)
{
    static const char function[] = "ame_pool_dismiss";
    int code = check_begin(pool, function);
    if (code) return code;
    if (pool->rank) return ame__fail(AME_E_STATE, "%s: only rank 0 dismisses workers", function);
    if (!pool->serving) return AME_OK;
    struct ame__pool_frame frame = {.kind = AME__POOL_DISMISS, .run = pool->run};
    pool->serving = false;
    pthread_mutex_lock(&pool->manager->lock);
    for (int r = 1; r < pool->size; r++) {
        struct ame__link *link = &pool->manager->links[r];
        if (link->gone || link->closed) continue;
        link->joined = link->serving = false;
        ame__list_remove(&link->hungry);
        ame__send_frame(pool, link, &frame);
    }
    pthread_mutex_unlock(&pool->manager->lock);
    return AME_OK;
}

/* ---- results ------------------------------------------------------------------------------------- */

/* A result that the journal has, as if it had just come. */
static bool resume(struct ame_pool *pool, uint64_t end)
{
    struct ame__journal_record old;
    if (!ame__journal_replay(pool->manager->journal, end, &old)) return false;
    struct ame__outcome *outcome = ame__outcome_create(old.index, old.length);
    if (!outcome) {
        ame__run_fail(pool, AME_E_NOMEM, ame_last_error());
        return false;
    }
    outcome->resumed = true;
    outcome->rank = old.rank < (uint32_t) pool->size ? (int) old.rank : 0;
    outcome->seconds = old.seconds;
    outcome->length = old.length;
    if (old.length) memcpy(outcome->bytes, old.data, old.length);
    ame__list_append(&pool->manager->ready, &outcome->link);
    return true;
}

/* Moves results that may be delivered into manager->taken. The lock is held. */
static bool take_results(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    uint64_t window = (uint64_t) pool->options.window;
    struct ame__outcome *outcome;
    struct ame__list *node;
    for (int n = 0; run->ordered && n < AME__POOL_FILL_MAX; n++) {
        outcome = manager->slots[run->deliver % window];
        if (!outcome && run->deliver < run->next && resume(pool, run->deliver + 1)) {
            run->deliver++;
            continue;
        }
        if (!outcome) break;
        manager->slots[run->deliver++ % window] = NULL;
        ame__list_append(&manager->ready, &outcome->link);
        run->stored--;
        run->stored_bytes -= outcome->length;
    }
    for (int n = 0; !run->ordered && n < AME__POOL_FILL_MAX && resume(pool, run->next); n++) {
    }
    if (!run->ordered) run->stored = run->stored_bytes = 0;
    while (run->sink && (node = ame__list_take(&manager->ready))) /* from the journal */
        ame__sink(pool, ame__container_of(node, struct ame__outcome, link));
    if (ame__list_empty(&manager->ready)) return false;
    ame__list_for_each(one, &manager->ready)
    {
        ame__list_remove(one);
        ame__list_append(&manager->taken, one);
    }
    if (!ame__list_empty(&manager->hungry)) ame__feed_all(pool);
    ame__tell_space(manager);
    return true;
}

/* Rank 0 executes a batch of tasks, if there is one for it. Called and returns with the lock held. */
static bool execute_some(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__link *self = &manager->links[0];
    struct ame_pool_reply reply;
    struct ame__pool_record record;
    if (!ame__feed_self(pool)) return false;
    uint64_t tasks = 0, busy = 0, result_max = (uint64_t) pool->options.result_max;
    for (struct ame__list *node; (node = ame__list_first(&self->granted)); tasks++) {
        struct ame__piece *piece = ame__container_of(node, struct ame__piece, link);
        ame_pool_task task = {.index = piece->first,
                              .data = piece->data,
                              .length = piece->length,
                              .prefers = AME_POOL_ANYONE,
                              .attempt = (int) (piece->deaths + piece->errors)};
        if (manager->run.stopping && tasks) break;
        pthread_mutex_unlock(&manager->lock);
        busy += ame__task_execute(pool, &task, result_max, &reply, &record);
        if (pool->options.limit > 0 && record.seconds > pool->options.limit && !record.code) {
            record.code = AME_E_TIMEOUT;
            record.text = "it took longer than the limit";
            record.text_length = (uint32_t) strlen(record.text);
        }
        pthread_mutex_lock(&manager->lock);
        if (record.length > AME__POOL_INLINE_MAX)
            ame__settle(pool, self, &record, reply.data);
        else
            ame__settle(pool, self, &record, NULL);
        if (record.length <= AME__POOL_INLINE_MAX) free(reply.data);
    }
    ame__take_back(pool, self, NULL, false);
    ame__measure(pool, self, tasks, busy);
    ame__run_flush(pool);
    ame__feed_all(pool);
    ame__conclude(pool);
    return true;
}

static bool wait_result(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    bool more;
    pthread_mutex_lock(&manager->lock);
    while (!(more = take_results(pool)) && run->active) {
        fill(pool, UINT64_MAX);
        bool idle = run->queued == 0 && run->outstanding == 0 && run->stored == 0;
        if (idle && run->count == AME_POOL_OPEN && !run->source && !run->stream) break; /* more may be submitted */
        if (!run->active || execute_some(pool)) continue;
        if (run->stored == 0 || run->ordered) ame__wait_news(pool);
    }
    if (more) fill(pool, AME__POOL_FILL_MAX);
    pthread_mutex_unlock(&manager->lock);
    return more;
}

int ame_pool_result(ame_pool *pool, ame_pool_outcome *shown)
{
    if (!pool || !shown || !pool->running || pool->how != AME__POOL_MAP) {
        ame__fail(AME_E_STATE, "ame_pool_result: %s", pool && shown ? "no map is under way" : "an argument is NULL");
        return 0;
    }
    if (pool->rank) return 0;
    struct ame__manager *manager = pool->manager;
    ame__outcome_destroy(manager->last);
    manager->last = NULL;
    if (ame__list_empty(&manager->taken) && !wait_result(pool)) return 0;
    struct ame__list *node = ame__list_take(&manager->taken);
    manager->last = ame__container_of(node, struct ame__outcome, link);
    ame__outcome_show(pool, manager->last, shown);
    return 1;
}
