/* pool.c - the public calls that concern a whole pool; those of loops and maps are in loop.c and map.c. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/vars.h"
#include "pool/progress.h"
#include "pool/signals.h"
#include "pool/trace.h"

/* ---- opening and closing ------------------------------------------------------------------------- */

static void destroy(struct ame_pool *pool)
{
    if (!pool) return;
    ame__trace_destroy(pool->trace);
    if (pool->comm) (void) ame_comm_free(&pool->comm);
    ame__options_free(&pool->options);
    free(pool);
}

static int read_options(struct ame_pool *pool, const char *options)
{
    static const char function[] = "ame_pool_open";
    ame__options_init(&pool->options);
    int code = ame__options_parse(&pool->options, options, function);
    if (code) return code;
    code = ame__options_parse(&pool->options, ame__var_text(AME__VAR_POOL), function);
    if (code) return ame__error_prefix(code, "AME_POOL");
    enum ame__progress_kind kind = AME__PROGRESS_NONE;
    code = ame__progress_kind(&kind);
    pool->progress = kind;
    return code;
}

static int start(struct ame_pool *pool)
{
    int code = AME_OK;
    if (pool->rank == 0) {
        code = ame__manager_open(pool);
        if (!code && pool->size > 1) code = ame__service_start(pool);
        if (!code) code = ame__ticker_start(pool);
    }
    return code ? code : ame__worker_open(pool);
}

int ame_pool_open(ame_comm *comm, const char *options, ame_pool **handle)
{
    if (!handle) return ame__fail(AME_E_ARG, "ame_pool_open: argument 'pool' is NULL");
    struct ame_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return ame__fail(AME_E_NOMEM, "ame_pool_open: out of memory");
    int code = read_options(pool, options);
    if (!code) code = ame_comm_dup(comm, &pool->comm);
    if (!code) {
        pool->rank = ame_comm_rank(comm);
        pool->size = ame_comm_size(comm);
        if (gethostname(pool->host, sizeof pool->host - 1)) snprintf(pool->host, sizeof pool->host, "?");
        pool->trace = ame__trace_create();
        code = start(pool);
    }
    if (code) {
        /* threads and workers of a pool that is half open are not left behind: such an error ends a program */
        if (!pool->manager) destroy(pool);
        return code;
    }
    ame__signals_catch(pool);
    pool->tolerates = ame_tolerate_failures(1) == AME_OK; /* refused: the user wants the job to end then */
    *handle = pool;
    return AME_OK;
}

/* Rank 0 waits until all workers have said BYE or are gone, and its threads have ended. */
static void close_manager(struct ame_pool *pool)
{
    (void) ame_pool_dismiss(pool);
    ame__service_join(pool);
    ame__trace_write(pool);
    ame__ticker_join(pool);
    ame__manager_close(pool);
}

int ame_pool_close(ame_pool **handle)
{
    if (!handle || !*handle) return ame__fail(AME_E_ARG, "ame_pool_close: argument 'pool' is NULL");
    struct ame_pool *pool = *handle;
    if (pool->running) {
        (void) ame_pool_cancel(pool);
        (void) ame_pool_finish(pool);
    }
    ame__signals_release(pool);
    if (pool->tolerates) (void) ame_tolerate_failures(0);
    if (pool->rank == 0) close_manager(pool);
    ame__worker_close(pool);
    destroy(pool);
    *handle = NULL;
    return AME_OK;
}

int ame_pool_set(ame_pool *pool, const char *name, const char *value)
{
    static const char function[] = "ame_pool_set";
    if (!pool) return ame__fail(AME_E_ARG, "%s: argument 'pool' is NULL", function);
    if (pool->running) return ame__fail(AME_E_STATE, "%s: a loop or map is under way; finish it first", function);
    return ame__option_set(&pool->options, name, value, function);
}

/* ---- any run ------------------------------------------------------------------------------------- */

int ame_pool_cancel(ame_pool *pool)
{
    if (!pool || !pool->running)
        return ame__fail(pool ? AME_E_STATE : AME_E_ARG, "ame_pool_cancel: %s",
                         pool ? "no loop or map is under way" : "argument 'pool' is NULL");
    if (pool->rank) {
        ame__worker_cancel(pool);
        return AME_OK;
    }
    pthread_mutex_lock(&pool->manager->lock);
    ame__run_stop(pool);
    ame__conclude(pool);
    pthread_mutex_unlock(&pool->manager->lock);
    return AME_OK;
}

/* Rank 0 takes part no more, and waits until the others have done what they can. */
static void leave_root(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    pthread_mutex_lock(&manager->lock);
    ame__loop_tell(pool);
    run->root_left = true;
    ame__take_back(pool, &manager->links[0], NULL, pool->worker.holding);
    if (run->how == AME__POOL_MAP) {
        run->closed = run->closed || !run->source;
        bool taken = run->stored == 0 && ame__list_empty(&manager->taken);
        if (run->queued || run->outstanding || !taken || run->source || run->stream || run->count != AME_POOL_OPEN)
            ame__run_stop(pool);
    }
    ame__feed_all(pool);
    ame__conclude(pool);
    ame__run_end(pool);
    pthread_mutex_unlock(&manager->lock);
    pool->worker.holding = false;
}

int ame_pool_finish(ame_pool *pool)
{
    static const char function[] = "ame_pool_finish";
    if (!pool || !pool->running)
        return ame__fail(pool ? AME_E_STATE : AME_E_ARG, "%s: %s", function,
                         pool ? "no loop or map is under way" : "argument 'pool' is NULL");
    pool->running = false;
    if (pool->rank) {
        if (pool->how == AME__POOL_LOOP) ame__worker_finish(pool);
        return pool->worker.code ? ame__fail(pool->worker.code, "%s: %s", function, pool->worker.text) : AME_OK;
    }
    leave_root(pool);
    const struct ame__run *run = &pool->manager->run;
    return run->code ? ame__fail(run->code, "%s: %s", function, run->text) : AME_OK;
}

int ame_pool_inspect(ame_pool *pool, ame_pool_report *report)
{
    if (!pool || !report)
        return ame__fail(AME_E_ARG, "ame_pool_inspect: argument '%s' is NULL", pool ? "report" : "pool");
    *report = (ame_pool_report){0};
    if (pool->rank) {
        const struct ame__worker *worker = &pool->worker;
        report->done = worker->done;
        report->seconds = (double) (ame__now_ns() - worker->begun) * 1e-9;
        report->busy = (double) (worker->all_busy_ns + worker->busy_ns) * 1e-9;
        return AME_OK;
    }
    struct ame__manager *manager = pool->manager;
    pthread_mutex_lock(&manager->lock);
    const struct ame__run *run = &manager->run;
    report->count = run->count == AME_POOL_OPEN ? run->submitted : run->count;
    report->done = run->done;
    report->failed = run->failed;
    report->resumed = run->resumed;
    report->retried = run->retried;
    report->lost = run->lost;
    report->messages = run->messages;
    report->interrupted = run->interrupted;
    report->seconds = (double) ((run->active ? ame__now_ns() : run->ended) - run->begun) * 1e-9;
    report->busy = (double) run->busy_ns * 1e-9;
    for (int r = 1; r < pool->size; r++) report->workers += manager->links[r].took_part;
    pthread_mutex_unlock(&manager->lock);
    return AME_OK;
}

int ame_pool_failure(ame_pool *pool, uint64_t nth, ame_pool_outcome *outcome)
{
    if (!pool || !outcome || pool->rank) return 0;
    struct ame__manager *manager = pool->manager;
    int found = 0;
    pthread_mutex_lock(&manager->lock);
    ame__list_for_each(node, &manager->failures)
    {
        if (nth-- > 0) continue;
        ame__outcome_show(pool, ame__container_of(node, struct ame__outcome, link), outcome);
        found = 1;
        break;
    }
    pthread_mutex_unlock(&manager->lock);
    return found;
}
