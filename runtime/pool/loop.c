/* loop.c - the managed loop as the program sees it; on rank 0 the indices come from the manager directly. */
#include "pool.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/trace.h"

static int check(const ame_pool *pool, bool running, const char *function)
{
    if (!pool) return ame__fail(AME_E_ARG, "%s: argument 'pool' is NULL", function);
    if (pool->running == running && (!running || pool->how == AME__POOL_LOOP)) return AME_OK;
    return ame__fail(AME_E_STATE, "%s: %s", function,
                     running         ? "no loop is under way; ame_pool_loop begins one"
                     : pool->serving ? "the pool is in ame_pool_serve"
                                     : "a loop or map is under way; finish it first");
}

int ame_pool_loop(ame_pool *pool, uint64_t count)
{
    static const char function[] = "ame_pool_loop";
    int code = check(pool, false, function);
    if (code) return code;
    pool->run++;
    pool->how = AME__POOL_LOOP;
    pool->running = true;
    if (pool->rank) return ame__worker_join(pool, AME__POOL_LOOP, count);
    struct ame__worker *worker = &pool->worker;
    const ame_pool_job job = {.count = count};
    worker->next = worker->end = worker->unreported = worker->busy_ns = 0;
    worker->holding = false;
    worker->told = ame__now_ns();
    pthread_mutex_lock(&pool->manager->lock);
    ame__run_begin(pool, AME__POOL_LOOP, &job);
    ame__admit_all(pool);
    ame__conclude(pool);
    ame__ticker_wake(pool);
    pthread_mutex_unlock(&pool->manager->lock);
    return AME_OK;
}

void ame__loop_tell(struct ame_pool *pool)
{
    struct ame__worker *worker = &pool->worker;
    struct ame__link *self = &pool->manager->links[0];
    if (pool->how != AME__POOL_LOOP) return;
    uint64_t done = worker->unreported;
    worker->unreported = 0;
    if (done) ame__settle_done(pool, self, done);
    ame__measure(pool, self, done, worker->busy_ns);
    worker->busy_ns = 0;
    worker->told = ame__now_ns();
    ame__run_flush(pool);
    if (done) ame__conclude(pool);
}

/* The next index for rank 0, when those at hand are done or it is time to tell. */
static int next_on_root(struct ame_pool *pool, uint64_t *index)
{
    struct ame__manager *manager = pool->manager;
    struct ame__worker *worker = &pool->worker;
    struct ame__link *self = &manager->links[0];
    pthread_mutex_lock(&manager->lock);
    ame__loop_tell(pool);
    while (ame__list_empty(&self->granted) && manager->run.active)
        if (!ame__feed_self(pool)) ame__wait_news(pool);
    const struct ame__list *head = ame__list_first(&self->granted);
    if (head && manager->run.active) {
        const struct ame__piece *piece = ame__container_of(head, struct ame__piece, link);
        worker->next = piece->first;
        worker->end = piece->first + piece->count;
    } else {
        worker->next = worker->end = 0;
    }
    pthread_mutex_unlock(&manager->lock);
    if (worker->next == worker->end) return 0;
    *index = worker->next++;
    worker->holding = true;
    worker->since = ame__now_ns();
    return 1;
}

int ame_pool_next(ame_pool *pool, uint64_t *index)
{
    if (check(pool, true, "ame_pool_next")) return 0;
    if (!index) {
        ame__fail(AME_E_ARG, "ame_pool_next: argument 'index' is NULL");
        return 0;
    }
    if (pool->rank) return ame__worker_next(pool, index);
    struct ame__worker *worker = &pool->worker;
    if (worker->holding) {
        int64_t now = ame__now_ns();
        worker->holding = false;
        ame__trace_add(pool->trace, AME__TRACE_TASK, worker->next - 1, worker->since, now);
        worker->unreported++;
        worker->busy_ns += (uint64_t) (now - worker->since);
        worker->since = now;
        if (worker->next < worker->end && now - worker->told < AME__POOL_BATCH_NS) {
            *index = worker->next++;
            worker->holding = true;
            return 1;
        }
    }
    return next_on_root(pool, index);
}

int ame_pool_fail(ame_pool *pool, int code, const char *text)
{
    static const char function[] = "ame_pool_fail";
    int wrong = check(pool, true, function);
    if (wrong) return wrong;
    if (!pool->worker.holding || code == 0)
        return ame__fail(code ? AME_E_STATE : AME_E_ARG, "%s: %s", function,
                         code ? "there is no present index" : "argument 'code' is 0");
    if (!text) text = "";
    if (pool->rank) {
        ame__worker_failed(pool, code, text);
        return AME_OK;
    }
    struct ame__worker *worker = &pool->worker;
    struct ame__link *self = &pool->manager->links[0];
    struct ame__pool_record record = {.code = code,
                                      .text = text,
                                      .text_length = (uint32_t) strnlen(text, AME__POOL_TEXT_MAX - 1),
                                      .data = (const unsigned char *) ""};
    record.seconds = (float) ((double) (ame__now_ns() - worker->since) * 1e-9);
    worker->holding = false;
    ame__trace_add(pool->trace, AME__TRACE_FAILED, worker->next - 1, worker->since, ame__now_ns());
    pthread_mutex_lock(&pool->manager->lock);
    ame__loop_tell(pool);
    ame__settle(pool, self, &record, NULL);
    ame__feed_all(pool);
    ame__conclude(pool);
    pthread_mutex_unlock(&pool->manager->lock);
    worker->next = worker->end; /* next_on_root goes on where the piece does */
    return AME_OK;
}
