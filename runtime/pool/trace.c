#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/vars.h"
#include "pool.h"

enum { EVENTS_MAX = 1 << 20, PINGS = 8 };

struct event {
    int64_t begin, end;
    uint64_t number, kind;
};

struct ame__trace {
    int64_t created;
    struct event *events;
    size_t count, room;
};

/* A process writes one file; the pools after the first add to it. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static bool begun;
static int64_t origin;

struct ame__trace *ame__trace_create(void)
{
    struct ame__trace *trace = ame__var_is_set(AME__VAR_TRACE) ? calloc(1, sizeof *trace) : NULL;
    if (trace) trace->created = ame__now_ns();
    return trace;
}

void ame__trace_destroy(struct ame__trace *trace)
{
    if (trace) free(trace->events);
    free(trace);
}

void ame__trace_add(struct ame__trace *trace, enum ame__trace_kind kind, uint64_t number, int64_t begin, int64_t end)
{
    if (!trace || trace->count == EVENTS_MAX) return;
    if (trace->count == trace->room) {
        size_t room = trace->room ? 2 * trace->room : 256;
        struct event *events = realloc(trace->events, room * sizeof *events);
        if (!events) return;
        trace->events = events;
        trace->room = room;
    }
    trace->events[trace->count++] = (struct event){.begin = begin, .end = end, .number = number, .kind = kind};
}

void ame__trace_send(struct ame_pool *pool)
{
    const struct ame__trace *trace = pool->trace;
    int code = AME_OK;
    if (!trace) return;
    for (int i = 0; i < PINGS && !code; i++) {
        code = ame_recv(NULL, 0, 0, AME__POOL_TRACE, pool->comm, AME_STATUS_IGNORE);
        int64_t now = ame__now_ns();
        if (!code) code = ame_send(&now, sizeof now, 0, AME__POOL_TRACE, pool->comm);
    }
    if (!code) (void) ame_send(trace->events, trace->count * sizeof *trace->events, 0, AME__POOL_TRACE, pool->comm);
}

/* ---- rank 0: what it sees of the others ------------------------------------------------------------- */

static int64_t last_end(const struct ame__trace *trace)
{
    return trace->count ? trace->events[trace->count - 1].end : 0;
}

void ame__trace_seen(struct ame_pool *pool, struct ame__link *link, uint64_t tasks, uint64_t busy_ns)
{
    if (!pool->trace || link->rank == 0 || tasks == 0) return;
    if (!link->seen && !(link->seen = ame__trace_create())) return;
    int64_t now = ame__now_ns(), begin = now - (int64_t) busy_ns, before = last_end(link->seen);
    ame__trace_add(link->seen, AME__TRACE_SEEN, tasks, begin > before ? begin : before, now);
}

void ame__trace_lost(struct ame_pool *pool, struct ame__link *link)
{
    const struct ame__list *head = ame__list_first(&link->granted);
    if (!pool->trace || (!link->seen && !(link->seen = ame__trace_create()))) return;
    if (!head) return;
    int64_t before = last_end(link->seen), begin = link->head_since > before ? link->head_since : before;
    ame__trace_add(link->seen, AME__TRACE_LOST, ame__container_of(head, struct ame__piece, link)->first, begin,
                   ame__now_ns());
}

/* ---- rank 0: the file -------------------------------------------------------------------------------------- */

static void write_event(FILE *file, int rank, const struct event *event, int64_t offset)
{
    static const struct {
        const char *category, *name, *args; /* with the number */
    } forms[AME__TRACE_KINDS] = {
        [AME__TRACE_TASK] = {"task", "task %" PRIu64, NULL}, [AME__TRACE_FAILED] = {"failed", "failed %" PRIu64, NULL},
        [AME__TRACE_WAIT] = {"wait", "wait", "bytes"},       [AME__TRACE_RECEIVE] = {"transfer", "receive", "bytes"},
        [AME__TRACE_SEND] = {"transfer", "send", "bytes"},   [AME__TRACE_SEEN] = {"task", "tasks", "count"},
        [AME__TRACE_LOST] = {"lost", "lost %" PRIu64, NULL},
    };
    if (event->kind >= AME__TRACE_KINDS) return;
    char name[40], args[64] = "";
    snprintf(name, sizeof name, forms[event->kind].name, event->number);
    if (forms[event->kind].args)
        snprintf(args, sizeof args, ",\"args\":{\"%s\":%" PRIu64 "}", forms[event->kind].args, event->number);
    fprintf(file, ",\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":0,\"tid\":%d%s}",
            name, forms[event->kind].category, (double) (event->begin - offset - origin) / 1e3,
            (double) (event->end - event->begin) / 1e3, rank, args);
}

/* How far the clock of `rank` is ahead, and its events; false: it does not answer. */
static bool ask(struct ame_pool *pool, int rank, int64_t *offset, struct event **events, size_t *count)
{
    int64_t best = INT64_MAX, theirs;
    void *memory;
    size_t length;
    for (int i = 0; i < PINGS; i++) {
        int64_t begin = ame__now_ns();
        if (ame_send(NULL, 0, rank, AME__POOL_TRACE, pool->comm)) return false;
        if (ame_recv(&theirs, sizeof theirs, rank, AME__POOL_TRACE, pool->comm, AME_STATUS_IGNORE)) return false;
        int64_t end = ame__now_ns();
        if (end - begin >= best) continue;
        best = end - begin;
        *offset = theirs - begin - best / 2;
    }
    if (ame_recv_alloc(&memory, &length, rank, AME__POOL_TRACE, pool->comm, AME_STATUS_IGNORE)) return false;
    *events = memory;
    *count = length / sizeof **events;
    return true;
}

static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, begun ? "r+" : "w");
    if (!file) return NULL;
    if (!begun)
        fprintf(file, "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":0,\"args\":{\"name\":\"AME pool\"}}");
    else
        fseek(file, -3, SEEK_END); /* before the end of the list */
    return file;
}

static void write_rank(FILE *file, int rank, bool died, const struct event *events, size_t count, int64_t offset)
{
    fprintf(file, ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":0,\"tid\":%d,\"args\":{\"name\":\"rank %d%s\"}}",
            rank, rank, died ? " (died)" : "");
    for (size_t i = 0; i < count; i++) write_event(file, rank, &events[i], offset);
    if (count == EVENTS_MAX)
        ame__log(base, WARN, "AME_TRACE: of rank %d only the first %d events were kept", rank, EVENTS_MAX);
}

/* A worker's lane: what it tells, or what has been seen of it. Asks also when there is no file: the worker waits for that. */
static void write_worker(FILE *file, struct ame_pool *pool, struct ame__link *link)
{
    struct event *events = NULL;
    size_t count;
    int64_t offset = 0;
    if (!link->gone && link->traces && ask(pool, link->rank, &offset, &events, &count)) {
        if (file) write_rank(file, link->rank, false, events, count, offset);
        free(events);
    } else if (file && link->gone && link->seen) {
        write_rank(file, link->rank, true, link->seen->events, link->seen->count, 0);
    }
}

void ame__trace_write(struct ame_pool *pool)
{
    const char *path = ame__var_text(AME__VAR_TRACE);
    pthread_mutex_lock(&writing);
    FILE *file = pool->trace ? open_file(path) : NULL;
    if (pool->trace && !file) ame__log(base, ERROR, "AME_TRACE: '%s' cannot be written: %s", path, strerror(errno));
    if (!begun && pool->trace) origin = pool->trace->created;
    if (file) write_rank(file, 0, false, pool->trace->events, pool->trace->count, 0);
    for (int r = 1; r < pool->size; r++) {
        struct ame__link *link = &pool->manager->links[r];
        write_worker(file, pool, link);
        ame__trace_destroy(link->seen);
        link->seen = NULL;
    }
    if (file) {
        begun = true;
        fprintf(file, "\n]\n");
        fclose(file);
    }
    pthread_mutex_unlock(&writing);
}
