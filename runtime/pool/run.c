/* run.c - rank 0: one loop or map, from its beginning to its conclusion, and the results in between. The lock is held. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/journal.h"
#include "pool/progress.h"
#include "pool/trace.h"

/* ---- waiting ------------------------------------------------------------------------------------- */

void ame__wait_news(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    int64_t begin = pool->trace ? ame__now_ns() : 0;
    manager->waiting = true;
    pthread_cond_wait(&manager->news, &manager->lock);
    manager->waiting = false;
    if (pool->trace) ame__trace_add(pool->trace, AME__TRACE_WAIT, 0, begin, ame__now_ns());
}

void ame__tell_news(struct ame__manager *manager)
{
    if (manager->waiting) pthread_cond_signal(&manager->news);
}

void ame__tell_space(struct ame__manager *manager)
{
    if (manager->listing) pthread_cond_broadcast(&manager->space);
}

/* ---- results ------------------------------------------------------------------------------------- */

struct ame__outcome *ame__outcome_create(uint64_t index, uint64_t inline_bytes)
{
    struct ame__outcome *outcome = malloc(sizeof *outcome + inline_bytes);
    if (!outcome) {
        ame__fail(AME_E_NOMEM, "out of memory for the result of task %llu", (unsigned long long) index);
        return NULL;
    }
    memset(outcome, 0, sizeof *outcome);
    ame__list_init(&outcome->link);
    outcome->index = index;
    outcome->attempts = 1;
    return outcome;
}

void ame__outcome_destroy(struct ame__outcome *outcome)
{
    if (!outcome) return;
    free(outcome->text);
    free(outcome->body);
    free(outcome);
}

void ame__outcome_show(const struct ame_pool *pool, const struct ame__outcome *outcome, ame_pool_outcome *shown)
{
    *shown = (ame_pool_outcome){.index = outcome->index,
                                .code = outcome->code,
                                .rank = outcome->rank,
                                .attempts = outcome->attempts,
                                .resumed = outcome->resumed,
                                .seconds = outcome->seconds,
                                .data = outcome->body ? outcome->body : outcome->bytes,
                                .length = outcome->length,
                                .text = outcome->text ? outcome->text : "",
                                .host = pool->manager->links[outcome->rank].host};
}

static void drop_list(struct ame__list *list)
{
    ame__list_for_each(node, list) ame__outcome_destroy(ame__container_of(node, struct ame__outcome, link));
    ame__list_init(list);
}

void ame__outcomes_drop(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    drop_list(&manager->ready);
    drop_list(&manager->taken);
    drop_list(&manager->failures);
    ame__outcome_destroy(manager->last);
    manager->last = NULL;
    manager->failure_count = 0;
    for (uint64_t i = 0; manager->slots && i < (uint64_t) pool->options.window; i++)
        ame__outcome_destroy(manager->slots[i]);
    free(manager->slots);
    manager->slots = NULL;
}

/* Keeps a failure for ame_pool_failure: without the data, which the program gets from ame_pool_result. */
static void keep_failure(struct ame_pool *pool, const struct ame__outcome *outcome)
{
    struct ame__manager *manager = pool->manager;
    if (manager->failure_count++ >= AME__POOL_FAILURES_MAX) return;
    struct ame__outcome *copy = ame__outcome_create(outcome->index, 0);
    if (!copy) return;
    copy->code = outcome->code;
    copy->rank = outcome->rank;
    copy->attempts = outcome->attempts;
    copy->seconds = outcome->seconds;
    copy->text = outcome->text ? strdup(outcome->text) : NULL;
    ame__list_append(&manager->failures, &copy->link);
}

void ame__sink(struct ame_pool *pool, struct ame__outcome *outcome)
{
    ame_pool_outcome shown;
    ame__outcome_show(pool, outcome, &shown);
    pool->manager->run.sink(&shown, pool->manager->run.sink_arg);
    ame__outcome_destroy(outcome);
}

void ame__run_outcome(struct ame_pool *pool, struct ame__outcome *outcome)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    if (outcome->code) {
        run->failed++;
        keep_failure(pool, outcome);
    } else {
        run->done++;
    }
    ame__tell_space(manager);
    if (run->how == AME__POOL_LOOP) {
        ame__outcome_destroy(outcome);
        return;
    }
    if (run->sink && !run->ordered) {
        ame__sink(pool, outcome);
        return;
    }
    run->stored++;
    run->stored_bytes += outcome->length;
    if (run->ordered && run->sink) {
        struct ame__outcome **slots = manager->slots;
        uint64_t window = (uint64_t) pool->options.window;
        slots[outcome->index % window] = outcome;
        for (; (outcome = slots[run->deliver % window]); run->deliver++) {
            slots[run->deliver % window] = NULL;
            run->stored--;
            run->stored_bytes -= outcome->length;
            ame__sink(pool, outcome);
        }
        return;
    }
    if (run->ordered)
        manager->slots[outcome->index % (uint64_t) pool->options.window] = outcome;
    else
        ame__list_append(&manager->ready, &outcome->link);
}

bool ame__run_delivers(const struct ame_pool *pool)
{
    const struct ame__manager *manager = pool->manager;
    const struct ame__run *run = &manager->run;
    if (!run->stored || run->sink) return false;
    return !run->ordered || manager->slots[run->deliver % (uint64_t) pool->options.window];
}

/* ---- begin and end ------------------------------------------------------------------------------- */

void ame__run_begin(struct ame_pool *pool, enum ame__pool_how how, const ame_pool_job *job)
{
    struct ame__manager *manager = pool->manager;
    uint32_t number = ++manager->run_number;
    ame__outcomes_drop(pool);
    manager->shown = 0;
    manager->results[number % AME__POOL_RESULTS_KEPT].code = AME_OK;
    *manager->results[number % AME__POOL_RESULTS_KEPT].text = '\0';
    manager->run = (struct ame__run){.how = how,
                                     .active = true,
                                     .count = job->count == AME_POOL_STREAM ? AME_POOL_OPEN : job->count,
                                     .stream = job->count == AME_POOL_STREAM,
                                     .source = job->source,
                                     .source_arg = job->source_arg,
                                     .sink = job->sink,
                                     .sink_arg = job->sink_arg,
                                     .ordered = how == AME__POOL_MAP && pool->options.ordered != 0,
                                     .begun = ame__now_ns()};
    for (int r = 0; r < pool->size; r++) {
        struct ame__link *link = &manager->links[r];
        link->left = link->took_part = false;
        link->task_ns = 0;
        link->last_size = 1;
    }
    if (manager->run.ordered) {
        manager->slots = calloc((size_t) pool->options.window, sizeof *manager->slots);
        if (!manager->slots) {
            manager->run.ordered = false;
            ame__run_fail(pool, AME_E_NOMEM, "out of memory for the window of results");
        }
    }
    if (!pool->options.journal) return;
    int code = ame__journal_open(pool->options.journal, pool->options.resume != 0, manager->run.count,
                                 pool->options.job, &manager->journal);
    if (code) ame__run_fail(pool, code, ame_last_error());
    ame__queue_skip(pool);
}

void ame__run_flush(struct ame_pool *pool)
{
    if (ame__journal_flush(pool->manager->journal)) ame__run_fail(pool, AME_E_SYSTEM, ame_last_error());
}

/* The journal ends with its run. The ticker may be syncing it, without the lock. */
static void close_journal(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    while (manager->syncing) ame__wait_news(pool);
    struct ame__journal *journal = manager->journal;
    manager->journal = NULL;
    int code = ame__journal_close(journal);
    if (!code || manager->run.code) return;
    manager->run.code = code;
    snprintf(manager->run.text, sizeof manager->run.text, "%s", ame_last_error());
}

void ame__run_end(struct ame_pool *pool)
{
    while (pool->manager->run.active) ame__wait_news(pool);
    close_journal(pool);
}

void ame__admit(struct ame_pool *pool, struct ame__link *link)
{
    const struct ame__run *run = &pool->manager->run;
    if (link->how == run->how && (run->how == AME__POOL_MAP || link->count == run->count)) {
        ame__feed(pool, link);
        return;
    }
    char text[AME__POOL_TEXT_MAX];
    snprintf(text, sizeof text, "rank %d has begun a %s of %llu tasks, rank 0 a %s of %llu", link->rank,
             link->how == AME__POOL_LOOP ? "loop" : "map", (unsigned long long) link->count,
             run->how == AME__POOL_LOOP ? "loop" : "map", (unsigned long long) run->count);
    ame__run_fail(pool, AME_E_MISMATCH, text);
    ame__conclude(pool);
}

void ame__admit_all(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    for (int r = 1; r < pool->size && manager->run.active; r++) {
        struct ame__link *link = &manager->links[r];
        if (link->gone || link->closed || !link->joined) continue;
        if (link->serving && manager->run.how == AME__POOL_MAP)
            ame__feed(pool, link);
        else if (link->serving || link->run == manager->run_number)
            ame__admit(pool, link);
    }
}

void ame__run_stop(struct ame_pool *pool)
{
    struct ame__run *run = &pool->manager->run;
    if (!run->active || run->stopping) return;
    run->stopping = run->closed = true;
    ame__queue_drop(pool);
    ame__tell_news(pool->manager);
    ame__tell_space(pool->manager);
}

void ame__run_fail(struct ame_pool *pool, int code, const char *text)
{
    struct ame__run *run = &pool->manager->run;
    if (!run->code) {
        run->code = code;
        snprintf(run->text, sizeof run->text, "%s", text);
    }
    ame__run_stop(pool);
}

/* Whether anybody can still do what is left. */
static bool somebody(const struct ame_pool *pool)
{
    const struct ame__manager *manager = pool->manager;
    if (ame__root_works(pool) && !manager->run.root_left) return true;
    for (int r = 1; r < pool->size; r++) {
        const struct ame__link *link = &manager->links[r];
        if (!link->gone && !link->closed && !link->left) return true;
    }
    return false;
}

static uint64_t not_done(const struct ame__run *run)
{
    uint64_t count = run->count == AME_POOL_OPEN ? run->submitted : run->count;
    return count - run->done - run->failed - run->resumed;
}

/* Words the result of a run that is over. */
static void judge(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    unsigned long long missing = not_done(run), of = missing + run->done + run->failed + run->resumed;
    bool unlisted = run->stopping && run->count == AME_POOL_OPEN && (run->source || run->stream);
    const struct ame__list *first = ame__list_first(&manager->failures);
    if (run->code) return;
    if (missing && !somebody(pool) && run->lost) {
        run->code = AME_E_PEER_FAILED;
        snprintf(run->text, sizeof run->text, "%llu of %llu tasks are not done: no worker is left, %d died", missing,
                 of, run->lost);
    } else if (missing || unlisted) {
        run->code = AME_E_CANCELLED;
        snprintf(run->text, sizeof run->text, "%llu of %llu tasks%s: %s", missing, of,
                 unlisted ? " so far are not done, further ones have not been listed yet" : " are not done",
                 run->interrupted ? "a signal has ended the run"
                 : run->stopping  ? "it was cancelled"
                                  : "ranks have left the loop");
    } else if (run->failed) {
        const struct ame__outcome *outcome = first ? ame__container_of(first, struct ame__outcome, link) : NULL;
        run->code = AME_E_TASK;
        snprintf(run->text, sizeof run->text, "%llu of %llu tasks have failed, the first of them: %s",
                 (unsigned long long) run->failed, of, outcome && outcome->text ? outcome->text : "(out of memory)");
    }
}

static bool all_listed(const struct ame__run *run)
{
    if (run->stopping || (run->closed && run->count == AME_POOL_OPEN)) return true;
    return run->count != AME_POOL_OPEN && run->next >= run->count;
}

void ame__conclude(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__run *run = &manager->run;
    if (!run->active || run->outstanding) return;
    if (!(all_listed(run) && run->queued == 0) && somebody(pool)) return;
    run->active = false;
    run->ended = ame__now_ns();
    judge(pool);
    ame__progress_show(pool, run->ended, true);
    ame__queue_drop(pool);
    manager->results[manager->run_number % AME__POOL_RESULTS_KEPT].code = run->code;
    memcpy(manager->results[manager->run_number % AME__POOL_RESULTS_KEPT].text, run->text, sizeof run->text);
    for (int r = 1; r < pool->size; r++) {
        struct ame__link *link = &manager->links[r];
        for (struct ame__list *node; (node = ame__list_take(&link->granted));) /* abandoned ones */
            ame__piece_destroy(ame__container_of(node, struct ame__piece, link));
        link->batches = 0;
        ame__list_remove(&link->hungry);
        if (link->joined && !link->serving && !link->gone && link->run == manager->run_number)
            ame__send_end(pool, link);
    }
    ame__tell_news(manager);
    ame__tell_space(manager);
}
