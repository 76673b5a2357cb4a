/* trace.h - a timeline of what each rank does in a pool, for AME_TRACE.
 *
 * Each rank notes in memory, EVENTS_MAX of them at most, its tasks, its waits for rank 0 (on rank 0: for anything), and what it
 * sends to rank 0 and receives from it apart from the messages that it waits for; so a transfer is in the lane of the worker.
 * When the pool is closed, rank 0 asks one worker after the other for its clock, several times, of which the quickest answer
 * tells how far the clocks are apart, and for its events; then it writes all of them to the file, in the form that
 * chrome://tracing and Perfetto open, one event per line. Later pools of the process add to the file.
 *
 * Of a rank that died there is what rank 0 has seen of it: the time spent on tasks as its reports tell, at the time when they
 * came, and the first task that it has not reported. All functions take a trace of NULL.
 */
#ifndef AME_POOL_TRACE_H
#define AME_POOL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct ame_pool;
struct ame__link;
struct ame__trace;

enum ame__trace_kind {
    AME__TRACE_TASK,
    AME__TRACE_FAILED,
    AME__TRACE_WAIT,    /* its number is that of the bytes which came in the end */
    AME__TRACE_RECEIVE, /* bytes */
    AME__TRACE_SEND,
    AME__TRACE_SEEN, /* of a rank that died: so many tasks */
    AME__TRACE_LOST, /* the first task that it had not reported */
    AME__TRACE_KINDS
};

/* NULL if AME_TRACE is not set (or there is no memory for it). */
struct ame__trace *ame__trace_create(void);
void ame__trace_destroy(struct ame__trace *trace);
/* Something that began and ended at these times of ame__now_ns; `number`: index of the task, or as above. */
void ame__trace_add(struct ame__trace *trace, enum ame__trace_kind kind, uint64_t number, int64_t begin, int64_t end);
/* Rank 0: `link` has reported that it spent so much time on so many tasks; it has died. The lock is held. */
void ame__trace_seen(struct ame_pool *pool, struct ame__link *link, uint64_t tasks, uint64_t busy_ns);
void ame__trace_lost(struct ame_pool *pool, struct ame__link *link);
/* A worker, after BYE: answers rank 0. */
void ame__trace_send(struct ame_pool *pool);
/* Rank 0, when all workers have said BYE. */
void ame__trace_write(struct ame_pool *pool);

#endif
