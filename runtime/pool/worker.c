/* worker.c - a rank other than 0: gets tasks, executes them in their order, reports. One thread, the program's.
 *
 * Reports are sent at the end of a batch, and within a batch when AME__POOL_BATCH_NS have passed since the last, so that
 * long tasks are reported one by one. A report is what makes rank 0 send the next batch; while tasks are short that one is
 * here already.
 */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/signals.h"
#include "pool/trace.h"
#include "pool/watchdog.h"

/* ---- to rank 0 ----------------------------------------------------------------------------------- */

/* The run cannot go on here: rank 0 is gone, or something like it. */
static void give_up(struct ame_pool *pool, int code, const char *text)
{
    struct ame__worker *worker = &pool->worker;
    worker->ended = true;
    worker->code = code;
    snprintf(worker->text, sizeof worker->text, "%s", text);
    pool->serving = false;
}

/* The same after a call that failed. */
static void lose_root(struct ame_pool *pool, int code)
{
    char text[AME__POOL_TEXT_MAX];
    snprintf(text, sizeof text, "rank 0, which manages the pool, is lost: %.900s", ame_last_error());
    give_up(pool, code, text);
}

static bool send_frame(struct ame_pool *pool, const struct ame__pool_frame *frame)
{
    unsigned char bytes[AME__POOL_HOST_MAX + 64];
    struct ame__cursor cursor = ame__cursor_on(bytes, sizeof bytes);
    ame__pool_frame_put(&cursor, frame);
    int code = ame_send(bytes, (size_t) (cursor.at - bytes), 0, AME__POOL_UP, pool->comm);
    if (code) lose_root(pool, code);
    return code == AME_OK;
}

static int send_traced(struct ame_pool *pool, int tag, const void *data, uint64_t length)
{
    int64_t begin = pool->trace ? ame__now_ns() : 0;
    int code = ame_send(data, length, 0, tag, pool->comm);
    if (pool->trace) ame__trace_add(pool->trace, AME__TRACE_SEND, length, begin, ame__now_ns());
    return code;
}

static void report_begin(struct ame_pool *pool)
{
    struct ame__worker *worker = &pool->worker;
    struct ame__pool_frame empty = {.kind = AME__POOL_REPORT};
    worker->cursor = ame__cursor_on(worker->report, sizeof worker->report);
    ame__pool_frame_put(&worker->cursor, &empty);
    worker->filled = 0;
}

static void put_done(struct ame__worker *worker)
{
    struct ame__pool_record record = {.kind = AME__POOL_DONE, .count = worker->unreported};
    if (worker->unreported == 0) return;
    (void) ame__pool_record_put(&worker->cursor, &record); /* put_record has left room for it */
    worker->unreported = 0;
    worker->filled++;
}

/* Sends what is not reported yet. */
static void report_send(struct ame_pool *pool, uint32_t flags)
{
    struct ame__worker *worker = &pool->worker;
    put_done(worker);
    if (worker->cancels) flags |= AME__POOL_CANCELS;
    if (ame__signals_seen(pool)) flags |= AME__POOL_CANCELS | AME__POOL_INTERRUPTED;
    if ((worker->filled || flags) && !worker->ended) {
        struct ame__pool_frame frame = {
            .kind = AME__POOL_REPORT, .flags = flags, .run = worker->run, .busy_ns = worker->busy_ns};
        struct ame__cursor head = ame__cursor_on(worker->report, sizeof worker->report);
        ame__pool_frame_put(&head, &frame);
        size_t length = (size_t) (worker->cursor.at - worker->report);
        int code = send_traced(pool, AME__POOL_UP, worker->report, length);
        if (code) lose_root(pool, code);
    }
    worker->all_busy_ns += worker->busy_ns;
    worker->busy_ns = 0;
    worker->told = ame__now_ns();
    report_begin(pool);
}

/* Within a batch. Where tasks have a time limit rank 0 must know which one is being done: it is the one that is given up. */
static bool report_is_due(const struct ame__worker *worker, int64_t now)
{
    return worker->limit_ms || now - worker->told >= AME__POOL_BATCH_NS;
}

/* Adds a record, and sends what there is before if it has no room. */
static void put_record(struct ame_pool *pool, const struct ame__pool_record *record)
{
    enum { DONE_SIZE = 16 };
    struct ame__worker *worker = &pool->worker;
    put_done(worker);
    worker->cursor.end -= DONE_SIZE;
    bool fits = ame__pool_record_put(&worker->cursor, record);
    worker->cursor.end += DONE_SIZE;
    if (fits) {
        worker->filled++;
        return;
    }
    report_send(pool, 0);
    if (ame__pool_record_put(&worker->cursor, record)) worker->filled++;
}

/* ---- from rank 0 --------------------------------------------------------------------------------- */

static void take_bodies(struct ame_pool *pool, struct ame__piece *piece)
{
    piece->data = malloc(piece->length);
    if (!piece->data) {
        give_up(pool, AME_E_NOMEM, "out of memory for a task");
        return;
    }
    int64_t begin = pool->trace ? ame__now_ns() : 0;
    int code = ame_recv(piece->data, piece->length, 0, AME__POOL_BODY, pool->comm, AME_STATUS_IGNORE);
    if (pool->trace) ame__trace_add(pool->trace, AME__TRACE_RECEIVE, piece->length, begin, ame__now_ns());
    if (code) lose_root(pool, code);
}

static void take_grant(struct ame_pool *pool, struct ame__cursor *cursor, const struct ame__pool_frame *frame)
{
    struct ame__worker *worker = &pool->worker;
    struct ame__pool_record record;
    int got = 0;
    worker->run = frame->run;
    worker->limit_ms = frame->limit_ms;
    worker->result_max = frame->result_max;
    while (!worker->ended && (got = ame__pool_record_get(cursor, &record)) == 1) {
        struct ame__piece *piece = ame__piece_create(record.index, record.count);
        if (!piece) {
            give_up(pool, AME_E_NOMEM, ame_last_error());
            return;
        }
        piece->batch = frame->batch;
        piece->errors = record.attempt;
        piece->length = record.length;
        ame__list_append(&worker->pieces, &piece->link);
        if (record.kind == AME__POOL_BODY_DOWN) {
            take_bodies(pool, piece);
        } else if (record.length && (piece->data = malloc(record.length))) {
            memcpy(piece->data, record.data, record.length);
        } else if (record.length) {
            give_up(pool, AME_E_NOMEM, "out of memory for a task");
        }
    }
    if (got < 0) give_up(pool, AME_E_PROTOCOL, "rank 0 has sent something that is not a message of a pool");
}

/* Waits for one frame and takes it; false: the run (or the service) has ended. */
static bool receive(struct ame_pool *pool)
{
    struct ame__worker *worker = &pool->worker;
    unsigned char bytes[AME__POOL_FRAME_MAX];
    struct ame__pool_frame frame;
    ame_status status;
    if (worker->ended) return false;
    int64_t begin = pool->trace ? ame__now_ns() : 0;
    int code = ame_recv(bytes, sizeof bytes, 0, AME__POOL_DOWN, pool->comm, &status);
    if (pool->trace) ame__trace_add(pool->trace, AME__TRACE_WAIT, code ? 0 : status.length, begin, ame__now_ns());
    if (code) {
        lose_root(pool, code);
        return false;
    }
    struct ame__cursor cursor = ame__cursor_on(bytes, status.length);
    if (!ame__pool_frame_get(&cursor, &frame)) {
        give_up(pool, AME_E_PROTOCOL, "rank 0 has sent something that is not a message of a pool");
    } else if (frame.kind == AME__POOL_GRANT) {
        take_grant(pool, &cursor, &frame);
    } else if (frame.kind == AME__POOL_DISMISS) {
        worker->ended = true;
        pool->serving = false;
        pool->run = frame.run;
    } else if (frame.kind == AME__POOL_END && frame.run == pool->run) {
        worker->ended = true;
        worker->code = frame.code;
        snprintf(worker->text, sizeof worker->text, "%.*s", (int) frame.text_length, frame.text);
    }
    return !worker->ended;
}

/* ---- pieces at hand ------------------------------------------------------------------------------ */

static struct ame__piece *first_piece(struct ame__worker *worker)
{
    struct ame__list *node = ame__list_first(&worker->pieces);
    return node ? ame__container_of(node, struct ame__piece, link) : NULL;
}

/* The piece at the head is done. */
static void drop_piece(struct ame_pool *pool)
{
    struct ame__worker *worker = &pool->worker;
    struct ame__piece *piece = first_piece(worker);
    uint32_t batch = piece->batch;
    ame__list_remove(&piece->link);
    ame__piece_destroy(piece);
    piece = first_piece(worker);
    if (!piece || piece->batch != batch) report_send(pool, 0);
}

static struct ame__piece *next_piece(struct ame_pool *pool)
{
    struct ame__piece *piece;
    while (!(piece = first_piece(&pool->worker)))
        if (!receive(pool)) return NULL;
    return pool->worker.ended ? NULL : piece;
}

static void drop_pieces(struct ame__worker *worker)
{
    for (struct ame__piece *piece; (piece = first_piece(worker));) {
        ame__list_remove(&piece->link);
        ame__piece_destroy(piece);
    }
    worker->next = worker->end = 0;
}

/* ---- opening, joining, closing ------------------------------------------------------------------- */

int ame__worker_open(struct ame_pool *pool)
{
    struct ame__pool_frame hello = {.kind = AME__POOL_HELLO, .version = AME__POOL_VERSION, .text = pool->host};
    if (pool->trace) hello.flags = AME__POOL_TRACES;
    ame__list_init(&pool->worker.pieces);
    hello.text_length = (uint32_t) strlen(pool->host);
    if (pool->rank == 0 || send_frame(pool, &hello)) return AME_OK;
    return ame__fail(pool->worker.code, "ame_pool_open: %s", pool->worker.text);
}

void ame__worker_close(struct ame_pool *pool)
{
    struct ame__pool_frame bye = {.kind = AME__POOL_BYE};
    drop_pieces(&pool->worker);
    ame__watchdog_stop(pool->worker.watchdog);
    if (pool->rank && send_frame(pool, &bye)) ame__trace_send(pool); /* else there is nobody to tell */
}

int ame__worker_join(struct ame_pool *pool, enum ame__pool_how how, uint64_t count)
{
    struct ame__worker *worker = &pool->worker;
    struct ame__pool_frame frame = {.kind = AME__POOL_READY, .how = how, .run = pool->run, .count = count};
    drop_pieces(worker);
    worker->holding = worker->ended = worker->cancels = false;
    worker->unreported = worker->busy_ns = worker->done = worker->all_busy_ns = 0;
    worker->run = pool->run;
    worker->code = AME_OK;
    worker->begun = worker->told = ame__now_ns();
    *worker->text = '\0';
    report_begin(pool);
    return send_frame(pool, &frame) ? AME_OK : ame__fail(worker->code, "%s", worker->text);
}

/* ---- loop ---------------------------------------------------------------------------------------- */

bool ame__worker_next(struct ame_pool *pool, uint64_t *index)
{
    struct ame__worker *worker = &pool->worker;
    if (worker->holding) {
        int64_t now = ame__now_ns();
        ame__watchdog_rest(worker->watchdog);
        worker->holding = false;
        ame__trace_add(pool->trace, AME__TRACE_TASK, worker->next - 1, worker->since, now);
        worker->unreported++;
        worker->done++;
        worker->busy_ns += (uint64_t) (now - worker->since);
        worker->since = now;
        if (worker->next == worker->end) {
            drop_piece(pool);
        } else if (report_is_due(worker, now)) {
            report_send(pool, 0);
            worker->since = worker->told;
        }
    }
    if (worker->next == worker->end) {
        const struct ame__piece *piece = next_piece(pool);
        if (!piece) return false;
        worker->next = piece->first;
        worker->end = piece->first + piece->count;
        worker->since = ame__now_ns();
    }
    if (worker->ended) return false;
    ame__watchdog_begin(&worker->watchdog, worker->limit_ms, worker->next);
    *index = worker->next++;
    worker->holding = true;
    return true;
}

void ame__worker_failed(struct ame_pool *pool, int code, const char *text)
{
    struct ame__worker *worker = &pool->worker;
    int64_t now = ame__now_ns();
    struct ame__pool_record record = {.kind = AME__POOL_FAILED,
                                      .code = code,
                                      .seconds = (float) ((double) (now - worker->since) * 1e-9),
                                      .text = text,
                                      .text_length = (uint32_t) strnlen(text, AME__POOL_TEXT_MAX - 1),
                                      .data = (const unsigned char *) ""};
    ame__watchdog_rest(worker->watchdog);
    worker->holding = false;
    ame__trace_add(pool->trace, AME__TRACE_FAILED, worker->next - 1, worker->since, now);
    worker->busy_ns += (uint64_t) (now - worker->since);
    put_record(pool, &record);
    worker->since = ame__now_ns(); /* the next index of this piece begins here */
    if (worker->next == worker->end) drop_piece(pool);
}

void ame__worker_cancel(struct ame_pool *pool)
{
    pool->worker.cancels = true;
    report_send(pool, 0);
}

void ame__worker_finish(struct ame_pool *pool)
{
    struct ame__worker *worker = &pool->worker;
    if (!worker->ended) {
        ame__watchdog_rest(worker->watchdog);
        report_send(pool, AME__POOL_LEAVES | (worker->holding ? AME__POOL_HOLDS : 0));
        while (receive(pool)) drop_pieces(worker);
    }
    drop_pieces(worker);
    worker->holding = false;
}

/* ---- map ----------------------------------------------------------------------------------------- */

static void execute(struct ame_pool *pool, struct ame__piece *piece)
{
    struct ame__worker *worker = &pool->worker;
    struct ame_pool_reply reply;
    struct ame__pool_record record;
    ame_pool_task task = {.index = piece->first,
                          .data = piece->data,
                          .length = piece->length,
                          .prefers = AME_POOL_ANYONE,
                          .attempt = (int) piece->errors};
    ame__watchdog_begin(&worker->watchdog, worker->limit_ms, task.index);
    worker->busy_ns += ame__task_execute(pool, &task, worker->result_max, &reply, &record);
    ame__watchdog_rest(worker->watchdog);
    worker->done++;
    if (record.length > AME__POOL_INLINE_MAX) {
        record.kind = AME__POOL_BODY_UP;
        put_record(pool, &record);
        report_send(pool, 0);
        int code = worker->ended ? AME_OK : send_traced(pool, AME__POOL_BODY, reply.data, reply.length);
        if (code) lose_root(pool, code);
    } else if (record.kind == AME__POOL_RESULT && record.length == 0 && record.seconds < 1e-3F) {
        worker->unreported++;
    } else {
        put_record(pool, &record);
    }
    free(reply.data);
}

void ame__worker_map(struct ame_pool *pool)
{
    struct ame__worker *worker = &pool->worker;
    for (struct ame__piece *piece; (piece = next_piece(pool));) {
        execute(pool, piece);
        piece->first++;
        if (--piece->count == 0)
            drop_piece(pool);
        else if (report_is_due(worker, ame__now_ns()))
            report_send(pool, 0);
    }
    drop_pieces(worker);
}
