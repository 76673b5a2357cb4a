/* trace.h - a timeline of what each rank does in a pool, for AME_TRACE.
 *
 * Each rank notes its tasks and its waits in memory, EVENTS_MAX of them at most. When the pool is closed, rank 0 asks one
 * worker after the other for its clock, several times, of which the quickest answer tells how far the clocks are apart, and
 * for its events; then it writes all of them to the file, in the form that chrome://tracing and Perfetto open, one event per
 * line. Later pools of the process add to the file. A rank that died is missing. All functions take a trace of NULL.
 */
#ifndef AME_POOL_TRACE_H
#define AME_POOL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct ame_pool;
struct ame__trace;

enum ame__trace_kind { AME__TRACE_TASK, AME__TRACE_FAILED, AME__TRACE_WAIT };

/* NULL if AME_TRACE is not set (or there is no memory for it). */
struct ame__trace *ame__trace_create(void);
void ame__trace_destroy(struct ame__trace *trace);
/* Something that began and ended at these times of ame__now_ns. */
void ame__trace_add(struct ame__trace *trace, enum ame__trace_kind kind, uint64_t index, int64_t begin, int64_t end);
/* A worker, after BYE: answers rank 0. */
void ame__trace_send(struct ame_pool *pool);
/* Rank 0, when all workers have said BYE. */
void ame__trace_write(struct ame_pool *pool);

#endif
