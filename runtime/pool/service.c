/* service.c - rank 0's service thread: what comes from the workers, until each of them has said BYE or is gone.
 *
 * One receive is posted for each worker, so that the death of one ends that receive and no other. The thread waits without
 * the lock; it is the only one that touches the receives.
 */
#include "pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/trace.h"

int ame__thread_start(pthread_t *thread, void *(*main)(void *), void *arg, const char *name)
{
    sigset_t all, old;
    sigfillset(&all); /* signals are for the program's threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) return ame__fail_errno(error, "ame_pool_open: thread '%s' cannot be started", name);
    pthread_setname_np(*thread, name);
    return AME_OK;
}

/* ---- the end of a worker ------------------------------------------------------------------------- */

static void lose(struct ame_pool *pool, struct ame__link *link, const char *why)
{
    struct ame__manager *manager = pool->manager;
    char cause[AME__POOL_TEXT_MAX / 2];
    link->gone = true;
    ame__list_remove(&link->hungry);
    if (link->incoming) ame__outcome_destroy(link->incoming);
    link->incoming = NULL;
    snprintf(cause, sizeof cause, "rank %d (%s) is gone: %.300s", link->rank, *link->host ? link->host : "?", why);
    if (manager->run.active && !link->closed) {
        ame__trace_lost(pool, link);
        if (link->took_part || link->joined) manager->run.lost++;
        ame__take_back(pool, link, cause, false);
    }
    ame__queue_release(pool, link->rank);
    ame__feed_all(pool);
    ame__conclude(pool);
    ame__tell_news(manager);
}

/* ---- frames -------------------------------------------------------------------------------------- */

/* A worker has begun a run. It is told at once if that one is over already, or is another one than here. */
static void join(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_frame *frame)
{
    struct ame__manager *manager = pool->manager;
    link->how = frame->how;
    link->run = frame->run;
    link->count = frame->count;
    link->joined = true;
    link->stuck = false;
    link->serving = frame->how == AME__POOL_SERVE;
    if (link->serving) {
        ame__feed(pool, link);
        return;
    }
    if (link->run == manager->run_number && manager->run.active)
        ame__admit(pool, link);
    else if ((int32_t) (link->run - manager->run_number) <= 0)
        ame__send_end(pool, link);
    /* else rank 0 admits it when it has come so far itself */
}

static void receive_body(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_record *record,
                         uint32_t run);

/* true: a body follows. */
static bool settle_records(struct ame_pool *pool, struct ame__link *link, struct ame__cursor *cursor,
                           const struct ame__pool_frame *frame, bool wanted)
{
    struct ame__pool_record record;
    uint64_t tasks = 0;
    bool body = false;
    int got = 1;
    while (!body && (got = ame__pool_record_get(cursor, &record)) == 1) {
        tasks += record.count;
        body = record.kind == AME__POOL_BODY_UP;
        if (body)
            receive_body(pool, link, &record, frame->run);
        else if (wanted && record.kind == AME__POOL_DONE)
            ame__settle_done(pool, link, record.count);
        else if (wanted)
            ame__settle(pool, link, &record, NULL);
    }
    if (tasks) link->head_since = ame__now_ns();
    if (wanted) ame__measure(pool, link, tasks, frame->busy_ns);
    if (!body && got < 0) lose(pool, link, "it has sent a report that is broken");
    return body;
}

static bool report(struct ame_pool *pool, struct ame__link *link, struct ame__cursor *cursor,
                   const struct ame__pool_frame *frame)
{
    struct ame__run *run = &pool->manager->run;
    bool wanted = run->active && frame->run == pool->manager->run_number;
    link->stuck = false;
    bool body = settle_records(pool, link, cursor, frame, wanted);
    if (wanted && frame->flags & AME__POOL_INTERRUPTED && !run->stopping) run->interrupted = true;
    if (wanted && frame->flags & AME__POOL_CANCELS) ame__run_stop(pool);
    if (wanted && frame->flags & AME__POOL_LEAVES) {
        link->left = true;
        ame__take_back(pool, link, NULL, frame->flags & AME__POOL_HOLDS);
        ame__feed_all(pool);
    }
    if (body) return true;
    ame__feed(pool, link);
    ame__conclude(pool);
    return false;
}

/* A frame has come; true: the next message is a body. */
static bool take_frame(struct ame_pool *pool, struct ame__link *link, size_t length)
{
    struct ame__cursor cursor = ame__cursor_on(link->frame, length);
    struct ame__pool_frame frame;
    if (!ame__pool_frame_get(&cursor, &frame)) {
        lose(pool, link, "it has sent something that is not a message of a pool");
        return false;
    }
    switch (frame.kind) {
    case AME__POOL_HELLO:
        if (frame.version != AME__POOL_VERSION) {
            lose(pool, link, "it has another version of libame");
            return false;
        }
        link->traces = frame.flags & AME__POOL_TRACES;
        snprintf(link->host, sizeof link->host, "%.*s", (int) frame.text_length, frame.text);
        return false;
    case AME__POOL_READY: join(pool, link, &frame); return false;
    case AME__POOL_REPORT: return report(pool, link, &cursor, &frame);
    case AME__POOL_BYE:
        link->closed = true;
        ame__list_remove(&link->hungry);
        ame__conclude(pool);
        ame__tell_news(pool->manager);
        return false;
    default: lose(pool, link, "it has sent a message that only rank 0 sends"); return false;
    }
}

/* ---- bodies -------------------------------------------------------------------------------------- */

static void receive_body(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_record *record,
                         uint32_t run)
{
    struct ame__outcome *outcome = ame__outcome_create(0, 0);
    if (outcome) outcome->body = malloc(record->length ? record->length : 1);
    if (!outcome || !outcome->body) {
        ame__outcome_destroy(outcome);
        lose(pool, link, "there is no memory on rank 0 for its result");
        return;
    }
    outcome->code = record->code;
    outcome->seconds = record->seconds;
    outcome->length = record->length;
    if (record->text_length) outcome->text = strndup(record->text, record->text_length);
    link->incoming = outcome;
    link->incoming_run = run;
}

static void body_is_here(struct ame_pool *pool, struct ame__link *link)
{
    struct ame__outcome *got = link->incoming;
    struct ame__pool_record record = {.code = got->code,
                                      .seconds = got->seconds,
                                      .text = got->text,
                                      .text_length = got->text ? (uint32_t) strlen(got->text) : 0,
                                      .length = got->length};
    link->incoming = NULL;
    if (pool->manager->run.active && link->incoming_run == pool->manager->run_number) {
        ame__settle(pool, link, &record, got->body);
        got->body = NULL;
        link->head_since = ame__now_ns();
    }
    ame__outcome_destroy(got);
    ame__feed(pool, link);
    ame__conclude(pool);
}

/* ---- the thread ---------------------------------------------------------------------------------- */

/* false: nothing more is to come. */
static bool post(struct ame_pool *pool, struct ame__link *link)
{
    int code;
    if (link->gone || link->closed) return false;
    if (link->incoming)
        code = ame_irecv(link->incoming->body, link->incoming->length, link->rank, AME__POOL_BODY, pool->comm,
                         &link->receive);
    else
        code = ame_irecv(link->frame, sizeof link->frame, link->rank, AME__POOL_UP, pool->comm, &link->receive);
    if (code) {
        pthread_mutex_lock(&pool->manager->lock);
        lose(pool, link, ame_last_error());
        pthread_mutex_unlock(&pool->manager->lock);
    }
    return code == AME_OK;
}

/* The program's thread, if it waits for results, is woken last: its worker has the next task then, and the lock is free. */
static void handle(struct ame_pool *pool, struct ame__link *link, const ame_status *status)
{
    struct ame__manager *manager = pool->manager;
    pthread_mutex_lock(&manager->lock);
    manager->run.messages += !status->error;
    if (status->error)
        lose(pool, link, ame_strerror(status->error));
    else if (link->incoming)
        body_is_here(pool, link);
    else
        (void) take_frame(pool, link, status->length);
    ame__run_flush(pool);
    bool tell = manager->waiting && ame__run_delivers(pool);
    pthread_mutex_unlock(&manager->lock);
    if (tell) pthread_cond_signal(&manager->news);
}

static void *service_main(void *arg)
{
    struct ame_pool *pool = arg;
    struct ame__link *links = pool->manager->links;
    size_t count = (size_t) pool->size - 1;
    ame_request **requests = calloc(count, sizeof *requests);
    ame_status *statuses = calloc(count, sizeof *statuses);
    int *indices = calloc(count, sizeof *indices), got = 0;
    if (!requests || !statuses || !indices) count = 0; /* the workers then wait until rank 0 ends */
    for (size_t i = 0; i < count; i++)
        if (post(pool, &links[i + 1])) requests[i] = links[i + 1].receive;
    while (count) {
        int code;
        got = 0;
        if (count == 1) { /* waiting for one is quicker than for several */
            indices[0] = requests[0] ? 0 : AME_UNDEFINED;
            got = requests[0] ? 1 : AME_UNDEFINED;
            code = ame_wait(&requests[0], &statuses[0]);
            statuses[0].error = code;
        } else {
            code = ame_waitsome(count, requests, &got, indices, statuses);
        }
        if (got == AME_UNDEFINED || code == AME_E_STATE || code == AME_E_ABORTED) break;
        for (int i = 0; i < got; i++) {
            struct ame__link *link = &links[indices[i] + 1];
            handle(pool, link, &statuses[i]);
            if (post(pool, link)) requests[indices[i]] = link->receive;
        }
    }
    free(requests);
    free(statuses);
    free(indices);
    return NULL;
}

int ame__service_start(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    int code = ame__thread_start(&manager->service, service_main, pool, "ame-pool");
    manager->service_started = code == AME_OK;
    return code;
}

void ame__service_join(struct ame_pool *pool)
{
    if (pool->manager->service_started) pthread_join(pool->manager->service, NULL);
    pool->manager->service_started = false;
}
