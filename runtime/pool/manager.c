/* manager.c - rank 0: batches are cut and handed out, what comes back is settled, what is lost is taken back. The lock is
 * held throughout, except in opening and closing. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/journal.h"
#include "pool/trace.h"

/* ---- opening and closing ------------------------------------------------------------------------- */

int ame__manager_open(struct ame_pool *pool)
{
    struct ame__manager *manager = calloc(1, sizeof *manager);
    if (manager) manager->links = calloc((size_t) pool->size, sizeof *manager->links);
    if (!manager || !manager->links) {
        free(manager);
        return ame__fail(AME_E_NOMEM, "ame_pool_open: out of memory for %d ranks", pool->size);
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&manager->lock, NULL);
    pthread_cond_init(&manager->news, NULL);
    pthread_cond_init(&manager->tick, &monotonic);
    pthread_cond_init(&manager->space, NULL);
    pthread_condattr_destroy(&monotonic);
    ame__queue_init(&manager->queue);
    ame__list_init(&manager->hungry);
    ame__list_init(&manager->ready);
    ame__list_init(&manager->taken);
    ame__list_init(&manager->failures);
    for (int r = 0; r < pool->size; r++) {
        struct ame__link *link = &manager->links[r];
        link->rank = r;
        ame__queue_init(&link->own);
        ame__list_init(&link->granted);
        ame__list_init(&link->hungry);
        ame__list_init(&link->sends);
    }
    memcpy(manager->links[0].host, pool->host, sizeof pool->host);
    pool->manager = manager;
    return AME_OK;
}

struct sent {
    struct ame__list link;
    ame_request *request;
    unsigned char bytes[];
};

/* Frees what has been sent; `wait`: waits for the rest. */
static void reap_sends(struct ame__link *link, bool wait)
{
    ame__list_for_each(node, &link->sends)
    {
        struct sent *sent = ame__container_of(node, struct sent, link);
        int done = 1;
        if (wait)
            (void) ame_wait(&sent->request, NULL);
        else
            (void) ame_test(&sent->request, &done,
                            NULL); /* of a rank that has died: the failure is noticed elsewhere */
        if (sent->request) return;
        ame__list_remove(&sent->link);
        free(sent);
    }
}

void ame__manager_close(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    if (!manager) return;
    for (int r = 0; r < pool->size; r++) {
        struct ame__link *link = &manager->links[r];
        reap_sends(link, true);
        for (struct ame__list *node; (node = ame__list_take(&link->granted));)
            ame__piece_destroy(ame__container_of(node, struct ame__piece, link));
        if (link->incoming) ame__outcome_destroy(link->incoming);
    }
    ame__queue_drop(pool);
    ame__outcomes_drop(pool);
    (void) ame__journal_close(manager->journal); /* of a run that was not finished; what could be written is */
    pthread_cond_destroy(&manager->space);
    pthread_cond_destroy(&manager->tick);
    pthread_cond_destroy(&manager->news);
    pthread_mutex_destroy(&manager->lock);
    free(manager->links);
    free(manager);
    pool->manager = NULL;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static void send_bytes(struct ame_pool *pool, struct ame__link *link, const void *bytes, size_t length)
{
    struct sent *sent = malloc(sizeof *sent + length);
    reap_sends(link, false);
    if (!sent) return; /* the worker waits until the pool closes; the allocation of a few kB failed */
    ame__list_init(&sent->link);
    memcpy(sent->bytes, bytes, length);
    sent->request = AME_REQUEST_NULL;
    if (ame_isend(sent->bytes, length, link->rank, AME__POOL_DOWN, pool->comm, &sent->request)) {
        free(sent); /* the communicator is gone with the job, which the service thread notices too */
        return;
    }
    ame__list_append(&link->sends, &sent->link);
    pool->manager->run.messages++;
}

void ame__send_frame(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_frame *frame)
{
    unsigned char bytes[AME__POOL_TEXT_MAX + 64];
    struct ame__cursor cursor = ame__cursor_on(bytes, sizeof bytes);
    ame__pool_frame_put(&cursor, frame);
    send_bytes(pool, link, bytes, (size_t) (cursor.at - bytes));
}

void ame__send_end(struct ame_pool *pool, struct ame__link *link)
{
    struct ame__manager *manager = pool->manager;
    uint32_t age = manager->run_number - link->run;
    struct ame__pool_frame frame = {.kind = AME__POOL_END, .run = link->run};
    if (age < AME__POOL_RESULTS_KEPT) {
        frame.code = manager->results[link->run % AME__POOL_RESULTS_KEPT].code;
        frame.text = manager->results[link->run % AME__POOL_RESULTS_KEPT].text;
        frame.text_length = (uint32_t) strlen(frame.text);
    }
    link->joined = false;
    ame__list_remove(&link->hungry);
    ame__send_frame(pool, link, &frame);
}

/* ---- handing out --------------------------------------------------------------------------------- */

static int live_workers(const struct ame_pool *pool)
{
    int live = ame__root_works(pool);
    for (int r = 1; r < pool->size; r++) live += !pool->manager->links[r].gone;
    return live ? live : 1;
}

/* How many tasks the next batch of `link` should have. */
static uint64_t batch_size(const struct ame_pool *pool, const struct ame__link *link)
{
    const struct ame__run *run = &pool->manager->run;
    uint64_t size = 1, left = ame__queue_left(pool), share;
    if (pool->options.batch > 0) return (uint64_t) pool->options.batch;
    if (link->task_ns > 0) size = (uint64_t) (AME__POOL_BATCH_NS / link->task_ns);
    if (size > 2 * link->last_size) size = 2 * link->last_size;
    if (size > AME__POOL_BATCH_MAX) size = AME__POOL_BATCH_MAX;
    bool ends = run->count != AME_POOL_OPEN || !run->source; /* else there are more to come than `left` */
    share = size > 1 && ends ? left / (2 * (uint64_t) live_workers(pool)) : left;
    if (size > share) size = share;
    return size ? size : 1;
}

/* Batches that `link` may have at a time. What is fetched ahead cannot go to another worker any more: so not of the last
 * tasks, which even out when the workers end, and not of those that take long. */
static int batches_allowed(const struct ame_pool *pool, const struct ame__link *link)
{
    if (pool->options.prefetch >= 0) return 1 + (int) pool->options.prefetch;
    bool brief = link->task_ns > 0 && link->task_ns < AME__POOL_PREFETCH_NS;
    return brief && ame__queue_left(pool) >= 4 * (uint64_t) live_workers(pool) ? 2 : 1;
}

static bool may_take(const struct ame_pool *pool, const struct ame__link *link)
{
    const struct ame__manager *manager = pool->manager;
    const struct ame__run *run = &manager->run;
    if (!run->active || run->stopping || link->gone || link->closed || link->left || link->stuck || !link->joined)
        return false;
    return (link->serving || link->run == manager->run_number) && link->batches < batches_allowed(pool, link);
}

static bool put_piece(struct ame__cursor *cursor, const struct ame__piece *piece)
{
    struct ame__pool_record record = {.kind = AME__POOL_RANGE, .index = piece->first, .count = piece->count};
    if (piece->data || piece->deaths + piece->errors) {
        record.kind = piece->length > AME__POOL_INLINE_MAX ? AME__POOL_BODY_DOWN : AME__POOL_TASK;
        record.attempt = piece->deaths + piece->errors;
        record.length = piece->length;
        record.data = piece->data;
    }
    return ame__pool_record_put(cursor, &record);
}

/* Cuts a batch for `link` and appends it to its granted pieces; `cursor`, if not NULL, gets the records. Returns the
 * number of tasks. */
static uint64_t cut_batch(struct ame_pool *pool, struct ame__link *link, struct ame__cursor *cursor)
{
    struct ame__run *run = &pool->manager->run;
    uint64_t most = batch_size(pool, link), got = 0;
    while (got < most) {
        struct ame__piece *piece = ame__queue_take(pool, link->rank, most - got);
        if (!piece) break;
        bool repeated = piece->solo || piece->errors; /* then it is a single one */
        if ((got && repeated) || (cursor && !put_piece(cursor, piece))) {
            (void) ame__queue_add(pool, piece);
            break;
        }
        piece->batch = link->last_batch + 1;
        ame__list_append(&link->granted, &piece->link);
        run->outstanding += piece->count;
        got += piece->count;
        if (repeated) break;
    }
    if (got == 0) return 0;
    link->last_batch++;
    link->last_size = got;
    if (link->batches++ == 0) link->head_since = ame__now_ns();
    link->took_part = true;
    return got;
}

/* Sends the data of the newest batch that did not fit into its frame. */
static void send_bodies(struct ame_pool *pool, struct ame__link *link)
{
    ame__list_for_each(node, &link->granted)
    {
        struct ame__piece *piece = ame__container_of(node, struct ame__piece, link);
        if (piece->batch != link->last_batch || piece->length <= AME__POOL_INLINE_MAX) continue;
        if (piece->send) (void) ame_wait(&piece->send, NULL); /* to a worker that has died */
        (void) ame_isend(piece->data, piece->length, link->rank, AME__POOL_BODY, pool->comm, &piece->send);
        pool->manager->run.messages++;
    }
}

static bool feed_once(struct ame_pool *pool, struct ame__link *link)
{
    unsigned char bytes[AME__POOL_FRAME_MAX];
    struct ame__cursor cursor = ame__cursor_on(bytes, sizeof bytes);
    struct ame__pool_frame frame = {.kind = AME__POOL_GRANT,
                                    .run = pool->manager->run_number,
                                    .batch = link->last_batch + 1,
                                    .limit_ms = (uint64_t) (1000 * pool->options.limit),
                                    .result_max = (uint64_t) pool->options.result_max};
    ame__pool_frame_put(&cursor, &frame);
    if (cut_batch(pool, link, &cursor) == 0) return false;
    send_bytes(pool, link, bytes, (size_t) (cursor.at - bytes));
    send_bodies(pool, link);
    return true;
}

void ame__feed(struct ame_pool *pool, struct ame__link *link)
{
    if (link->rank == 0) return;
    ame__list_remove(&link->hungry);
    while (may_take(pool, link)) {
        if (feed_once(pool, link)) continue;
        ame__list_append(&pool->manager->hungry, &link->hungry);
        return;
    }
}

void ame__feed_all(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    struct ame__list again;
    ame__list_init(&again);
    for (struct ame__list *node; (node = ame__list_take(&manager->hungry));) ame__list_append(&again, node);
    for (struct ame__list *node; (node = ame__list_take(&again));)
        ame__feed(pool, ame__container_of(node, struct ame__link, hungry));
    if (manager->waiting) ame__tell_news(manager);
}

bool ame__feed_self(struct ame_pool *pool)
{
    const struct ame__run *run = &pool->manager->run;
    if (!ame__root_works(pool) || !run->active || run->stopping || run->root_left) return false;
    return cut_batch(pool, &pool->manager->links[0], NULL) > 0;
}

/* ---- settling ------------------------------------------------------------------------------------ */

void ame__measure(struct ame_pool *pool, struct ame__link *link, uint64_t tasks, uint64_t busy_ns)
{
    pool->manager->run.busy_ns += busy_ns;
    if (tasks == 0) return;
    ame__trace_seen(pool, link, tasks, busy_ns);
    double one = (double) (busy_ns ? busy_ns : 1) / (double) tasks;
    link->task_ns = link->task_ns > 0 ? (link->task_ns + one) / 2 : one;
}

/* The batch of which a piece was the last one not reported is complete. */
static void piece_ended(struct ame__link *link, uint32_t batch)
{
    const struct ame__list *head = ame__list_first(&link->granted);
    if (!head || ame__container_of(head, struct ame__piece, link)->batch != batch) link->batches--;
}

/* Takes the oldest task off `link`. It is in *one by value; *owner, if not NULL, is the piece that holds its data. */
static bool take_head(struct ame_pool *pool, struct ame__link *link, struct ame__piece *one, struct ame__piece **owner)
{
    struct ame__list *node = ame__list_first(&link->granted);
    if (!node) return false;
    struct ame__piece *piece = ame__container_of(node, struct ame__piece, link);
    *one = *piece;
    *owner = NULL;
    one->count = 1;
    piece->first++;
    if (--piece->count == 0) {
        ame__list_remove(&piece->link);
        piece->first--;
        piece->count = 1;
        *owner = piece;
        piece_ended(link, one->batch);
    }
    if (!one->abandoned) pool->manager->run.outstanding--;
    return true;
}

void ame__settle_done(struct ame_pool *pool, struct ame__link *link, uint64_t count)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__journal *journal = pool->manager->journal;
    struct ame__pool_record empty = {.kind = AME__POOL_RESULT, .data = (const unsigned char *) ""};
    if (run->how == AME__POOL_MAP) {
        for (; count; count--) ame__settle(pool, link, &empty, NULL);
        return;
    }
    for (struct ame__list *node; count && (node = ame__list_first(&link->granted));) {
        struct ame__piece *piece = ame__container_of(node, struct ame__piece, link);
        uint64_t part = piece->count < count ? piece->count : count;
        if (!piece->abandoned) {
            run->done += part;
            run->outstanding -= part;
            const struct ame__journal_record record = {
                .index = piece->first, .count = part, .rank = (uint32_t) link->rank};
            if (journal && ame__journal_add(journal, &record)) ame__run_fail(pool, AME_E_SYSTEM, ame_last_error());
        }
        piece->first += part;
        piece->count -= part;
        count -= part;
        if (piece->count) break;
        ame__list_remove(&piece->link);
        piece_ended(link, piece->batch);
        ame__piece_destroy(piece);
    }
}

/* Puts a task back into its queue: `piece` itself, or one that is made of `one`. */
static void repeat(struct ame_pool *pool, struct ame__piece *piece, const struct ame__piece *one)
{
    if (!piece && !(piece = ame__piece_create(one->first, one->count))) {
        ame__run_fail(pool, AME_E_NOMEM, ame_last_error());
        return;
    }
    piece->priority = one->priority;
    piece->prefers = one->prefers;
    piece->only = one->only;
    piece->stamp = one->stamp;
    piece->deaths = one->deaths;
    piece->errors = one->errors;
    piece->solo = one->solo;
    piece->abandoned = false;
    if (ame__queue_add(pool, piece)) ame__run_fail(pool, AME_E_NOMEM, ame_last_error());
}

static struct ame__outcome *make_outcome(const struct ame__link *link, const struct ame__piece *one,
                                         const struct ame__pool_record *record, void *body)
{
    struct ame__outcome *outcome = ame__outcome_create(one->first, body ? 0 : record->length);
    if (!outcome) return NULL;
    outcome->code = record->code;
    outcome->rank = link->rank;
    outcome->attempts = (int) (one->deaths + one->errors + 1);
    outcome->seconds = record->seconds;
    outcome->length = record->length;
    outcome->body = body;
    if (!body && record->length) memcpy(outcome->bytes, record->data, record->length);
    if (!record->code) return outcome;
    char text[AME__POOL_TEXT_MAX + 256];
    int at = snprintf(text, sizeof text, "task %llu on rank %d (%s): ", (unsigned long long) one->first, link->rank,
                      *link->host ? link->host : "?");
    if (record->text_length)
        snprintf(text + at, sizeof text - (size_t) at, "%.*s", (int) record->text_length, record->text);
    else if (record->code < 0)
        snprintf(text + at, sizeof text - (size_t) at, "%s", ame_strerror(record->code));
    else
        snprintf(text + at, sizeof text - (size_t) at, "failed with code %d", record->code);
    outcome->text = strdup(text);
    return outcome;
}

/* Writes a result to the journal. */
static void note(struct ame_pool *pool, const struct ame__outcome *outcome, uint64_t task_hash)
{
    const struct ame__journal_record record = {.index = outcome->index,
                                               .count = 1,
                                               .length = outcome->length,
                                               .task_hash = task_hash,
                                               .rank = (uint32_t) outcome->rank,
                                               .seconds = outcome->seconds,
                                               .data = outcome->body ? outcome->body : outcome->bytes};
    if (ame__journal_add(pool->manager->journal, &record)) ame__run_fail(pool, AME_E_SYSTEM, ame_last_error());
}

void ame__settle(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_record *record, void *body)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__piece one, *owner = NULL;
    if (!take_head(pool, link, &one, &owner) || one.abandoned) {
        free(body);
        ame__piece_destroy(owner);
        return;
    }
    if (record->code && one.errors < (uint32_t) pool->options.retry_errors && !run->stopping) {
        one.errors++;
        run->retried++;
        free(body);
        repeat(pool, owner, &one);
        return;
    }
    uint64_t hash = pool->manager->journal ? ame__journal_hash(one.data, owner ? one.length : 0) : 0;
    ame__piece_destroy(owner);
    struct ame__outcome *outcome = make_outcome(link, &one, record, body);
    if (!outcome) {
        free(body);
        ame__run_fail(pool, AME_E_NOMEM, ame_last_error());
        return;
    }
    if (pool->manager->journal && !record->code) note(pool, outcome, hash);
    ame__run_outcome(pool, outcome);
}

/* ---- losing -------------------------------------------------------------------------------------- */

static void give_up(struct ame_pool *pool, struct ame__link *link, const struct ame__piece *piece, int code,
                    const char *text)
{
    for (uint64_t i = 0; i < piece->count; i++) {
        struct ame__piece one = *piece;
        struct ame__pool_record record = {.code = code,
                                          .text = text,
                                          .text_length = (uint32_t) strlen(text),
                                          .seconds = (float) ((double) (ame__now_ns() - link->head_since) * 1e-9)};
        one.first += i;
        struct ame__outcome *outcome = make_outcome(link, &one, &record, NULL);
        if (outcome) ame__run_outcome(pool, outcome);
    }
}

void ame__take_back(struct ame_pool *pool, struct ame__link *link, const char *cause, bool holding)
{
    struct ame__run *run = &pool->manager->run;
    const struct ame__list *head = ame__list_first(&link->granted);
    uint32_t suspect = head ? ame__container_of(head, struct ame__piece, link)->batch : 0;
    if (head && holding) { /* left in the middle of its body: not done, and nobody else's */
        struct ame__piece one, *owner = NULL;
        (void) take_head(pool, link, &one, &owner);
        ame__piece_destroy(owner);
    }
    for (struct ame__list *node; (node = ame__list_take(&link->granted));) {
        struct ame__piece *piece = ame__container_of(node, struct ame__piece, link);
        bool dead = cause && piece->batch == suspect;
        if (piece->abandoned) {
            ame__piece_destroy(piece);
            continue;
        }
        run->outstanding -= piece->count;
        if (dead) {
            piece->deaths++;
            piece->solo = true;
        }
        if (dead && piece->deaths > (uint32_t) pool->options.retries) {
            char text[AME__POOL_TEXT_MAX];
            snprintf(text, sizeof text,
                     "%s; this is the %s time that the worker of this task dies, it is not tried again", cause,
                     piece->deaths == 1   ? "first"
                     : piece->deaths == 2 ? "second"
                                          : "last allowed");
            give_up(pool, link, piece, AME_E_PEER_FAILED, text);
            ame__piece_destroy(piece);
        } else {
            if (dead) run->retried += piece->count;
            repeat(pool, piece, piece);
        }
    }
    link->batches = 0;
}

/* A piece that stands for one whose result is not wanted, so that what the worker still reports is counted off. */
static struct ame__piece *placeholder(const struct ame__piece *piece)
{
    struct ame__piece *left = ame__piece_create(piece->first, piece->count);
    if (!left) return NULL;
    left->batch = piece->batch;
    left->abandoned = true;
    return left;
}

void ame__abandon(struct ame_pool *pool, struct ame__link *link)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__list pieces;
    struct ame__piece one = *ame__container_of(ame__list_first(&link->granted), struct ame__piece, link);
    char text[200];
    ame__list_init(&pieces);
    for (struct ame__list *node; (node = ame__list_take(&link->granted));) ame__list_append(&pieces, node);
    snprintf(text, sizeof text, "it takes longer than the limit of %g s", pool->options.limit);
    one.count = 1;
    give_up(pool, link, &one, AME_E_TIMEOUT, text);
    bool first = true;
    for (struct ame__list *node; (node = ame__list_take(&pieces)); first = false) {
        struct ame__piece *piece = ame__container_of(node, struct ame__piece, link);
        struct ame__piece *left = placeholder(piece);
        if (!left) ame__run_fail(pool, AME_E_NOMEM, ame_last_error());
        if (left) ame__list_append(&link->granted, &left->link);
        run->outstanding -= piece->count;
        if (first) {
            piece->first++;
            piece->count--;
        }
        if (piece->count == 0 || piece->send) { /* its data may still be on its way: it stays with this worker */
            if (left && piece->count) {
                left->abandoned = false;
                run->outstanding += piece->count;
            }
            if (left) {
                left->data = piece->data;
                left->length = piece->length;
                left->send = piece->send;
                piece->data = NULL;
                piece->send = NULL;
            }
            ame__piece_destroy(piece);
        } else {
            repeat(pool, piece, piece);
        }
    }
    link->stuck = true;
}
