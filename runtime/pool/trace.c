#include "trace.h"

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
    uint64_t index;
    uint64_t kind;
};

struct ame__trace {
    struct event *events;
    size_t count, room;
};

/* A process writes one file; the pools after the first add to it. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static bool begun;
static int64_t origin;

struct ame__trace *ame__trace_create(void)
{
    return ame__var_is_set(AME__VAR_TRACE) ? calloc(1, sizeof(struct ame__trace)) : NULL;
}

void ame__trace_destroy(struct ame__trace *trace)
{
    if (trace) free(trace->events);
    free(trace);
}

void ame__trace_add(struct ame__trace *trace, enum ame__trace_kind kind, uint64_t index, int64_t begin, int64_t end)
{
    if (!trace || trace->count == EVENTS_MAX) return;
    if (trace->count == trace->room) {
        size_t room = trace->room ? 2 * trace->room : 256;
        struct event *events = realloc(trace->events, room * sizeof *events);
        if (!events) return;
        trace->events = events;
        trace->room = room;
    }
    trace->events[trace->count++] = (struct event){.begin = begin, .end = end, .index = index, .kind = kind};
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

/* ---- rank 0 -------------------------------------------------------------------------------------- */

static void write_event(FILE *file, int rank, const struct event *event, int64_t offset)
{
    static const char *const names[] = {"task", "failed", "wait"};
    const char *name = names[event->kind <= AME__TRACE_WAIT ? event->kind : AME__TRACE_WAIT];
    char number[32] = "";
    if (event->kind != AME__TRACE_WAIT) snprintf(number, sizeof number, " %" PRIu64, event->index);
    fprintf(file, ",\n{\"name\":\"%s%s\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":0,\"tid\":%d}",
            name, number, name, (double) (event->begin - offset - origin) / 1e3,
            (double) (event->end - event->begin) / 1e3, rank);
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

static void write_rank(FILE *file, int rank, const struct event *events, size_t count, int64_t offset)
{
    fprintf(file, ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":0,\"tid\":%d,\"args\":{\"name\":\"rank %d\"}}",
            rank, rank);
    for (size_t i = 0; i < count; i++) write_event(file, rank, &events[i], offset);
}

void ame__trace_write(struct ame_pool *pool)
{
    const char *path = ame__var_text(AME__VAR_TRACE);
    pthread_mutex_lock(&writing);
    FILE *file = pool->trace ? open_file(path) : NULL;
    if (pool->trace && !file) ame__log(base, ERROR, "AME_TRACE: '%s' cannot be written", path);
    if (!begun && pool->trace) origin = pool->trace->count ? pool->trace->events[0].begin : ame__now_ns();
    if (file) write_rank(file, 0, pool->trace->events, pool->trace->count, 0);
    for (int r = 1; r < pool->size; r++) {
        const struct ame__link *link = &pool->manager->links[r];
        struct event *events = NULL;
        size_t count;
        int64_t offset = 0;
        if (link->gone || !link->traces || !ask(pool, r, &offset, &events, &count)) continue;
        if (file) write_rank(file, r, events, count, offset);
        free(events);
    }
    if (file) {
        begun = true;
        fprintf(file, "\n]\n");
        fclose(file);
    }
    pthread_mutex_unlock(&writing);
}
