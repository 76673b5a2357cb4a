/* ame_pool.h - many independent tasks over the ranks of a communicator, on top of ame.h.
 *
 * Three ways to share out a list of `count` tasks, from the plain one to the one that survives most.
 *
 * 1. A split fixed beforehand; no rank asks another one:
 *
 *     ame_split split;
 *     uint64_t index;
 *     for (ame_split_round_robin(comm, count, &split); ame_split_next(&split, &index);) work(index);
 *
 * 2. A managed loop. Rank 0 hands out indices as the ranks ask for them, and works itself; each rank runs the body for
 *    the indices that it gets, and they know by themselves what the tasks are:
 *
 *     ame_pool *pool;
 *     ame_pool_open(AME_COMM_WORLD, NULL, &pool);
 *     ame_pool_loop(pool, count);
 *     while (ame_pool_next(pool, &index)) work(index);
 *     int code = ame_pool_finish(pool);
 *
 * 3. A map. A function runs on the workers, its results come to rank 0, which iterates over them:
 *
 *     ame_pool_job job = {.count = count, .function = work};      // int work(task, reply, arg)
 *     ame_pool_map(pool, &job);                                   // the other ranks work in here
 *     while (ame_pool_result(pool, &outcome)) use(outcome.index, outcome.data, outcome.length);
 *     int code = ame_pool_finish(pool);
 *     ame_pool_close(&pool);
 *
 * Conventions
 *
 *   ranks      are those of the communicator. Rank 0 manages the pool: a thread of the pool serves the others while the
 *              program's thread on rank 0 works, or is in the body of the loop over results. It sleeps when there is
 *              nothing to serve. All other ranks are workers, and so is rank 0 (option root_works).
 *   calls      ame_pool_open, _loop, _map, _finish, _serve and _close are made by all ranks, in the same order, but
 *              none waits until all have made it. A pool is used by one thread of a rank at a time. Several pools may be
 *              open at once. Functions return AME_OK or a negative code, as in ame.h, except where stated.
 *   tasks      are numbered from 0. Their order of execution, and who executes them, is not determined: results that
 *              are to be the same every time must depend on the index only.
 *   batches    small tasks travel many at a time, about 1 ms of work in one message, and a worker gets the next ones
 *              before it has done the last; long ones go one by one. The pool measures and adapts.
 *   failures   a task whose function (or body) fails does not disturb the others; it is reported with rank, host,
 *              index and text, and makes ame_pool_finish return AME_E_TASK. The tasks of a worker that dies are given to
 *              others, each at most `retries` times; a task that has lost more workers than that is reported as failed and
 *              not tried again. Under ameexec the job goes on without the rank as long as a pool is open.
 *   memory     on rank 0 does not grow with the number of tasks: tasks are listed lazily, results wait in a bounded
 *              window.
 *
 * Options are "name=value" pairs separated by commas or spaces, given to ame_pool_open or one by one to ame_pool_set; those
 * of rank 0 hold for all. The variable AME_POOL, in the same form, overrides both. ame_pool(3) lists them.
 */
#ifndef AME_POOL_H
#define AME_POOL_H

#include <ame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- splits without a manager -------------------------------------------------------------------- */

/* The indices of one rank: next, next + step, ..., `left` of them. */
typedef struct ame_split {
    uint64_t next, step, left;
} ame_split;

/* The share of this rank when rank r takes r, r + size, r + 2 * size and so on. Local. On failure the share is empty. */
AME_API int ame_split_round_robin(ame_comm *comm, uint64_t count, ame_split *split);
/* The share of this rank when each takes as many neighbouring indices; the first count % size ranks one more. Local. On
 * failure the share is empty. */
AME_API int ame_split_block(ame_comm *comm, uint64_t count, ame_split *split);
/* 1 and the next index of the share, or 0 when there is none left. */
AME_API int ame_split_next(ame_split *split, uint64_t *index);

/* ---- a pool -------------------------------------------------------------------------------------- */

typedef struct ame_pool ame_pool;

/* Opens a pool over `comm`, of which it makes a duplicate for its messages. `options` may be NULL. An unknown option, or a
 * value that cannot be used, is AME_E_CONFIG and names it. */
AME_API int ame_pool_open(ame_comm *comm, const char *options, ame_pool **pool);
/* Sets one option; what concerns a loop or map holds from the next one on. On ranks other than 0 it has no effect. */
AME_API int ame_pool_set(ame_pool *pool, const char *name, const char *value);
/* Ends a loop or map that is not finished (cancelled), on rank 0 also dismisses the workers, and frees all. *pool becomes
 * NULL. On rank 0 it returns when all other ranks have called it, or are gone. */
AME_API int ame_pool_close(ame_pool **pool);

/* ---- managed loop -------------------------------------------------------------------------------- */

/* Begins a loop over the indices 0 .. count - 1. Ranks that disagree about `count` get AME_E_MISMATCH from
 * ame_pool_finish. */
AME_API int ame_pool_loop(ame_pool *pool, uint64_t count);
/* 1 and an index whose body this rank is to execute; the one before has been done by that. 0: there is none for this rank
 * any more, which is so when all are done everywhere, or when something is wrong, which ame_pool_finish tells. The last call
 * waits until the others are done: who has an index of another loop meanwhile lets those wait who are in that one. */
AME_API int ame_pool_next(ame_pool *pool, uint64_t *index);
/* The body of the present index has failed, for the reason `text` (may be NULL) and `code` (not 0): it is not done, but
 * the loop goes on. */
AME_API int ame_pool_fail(ame_pool *pool, int code, const char *text);
/* No further tasks are handed out; what is being done is completed. From any rank; also in the loop over results. */
AME_API int ame_pool_cancel(ame_pool *pool);
/* Ends the loop or map on this rank; all ranks get the same result. A loop that this rank leaves early, with break: the
 * present index counts as not done, others do what is left. A map of which rank 0 has not taken all results is cancelled.
 * AME_OK when all tasks are done; AME_E_TASK when some have failed; AME_E_CANCELLED when some have not been done because of
 * ame_pool_cancel, a signal (option signals), or because all ranks left; AME_E_PEER_FAILED when no worker is left, or rank
 * 0 is gone. */
AME_API int ame_pool_finish(ame_pool *pool);

/* ---- map ----------------------------------------------------------------------------------------- */

#define AME_POOL_OPEN   UINT64_MAX       /* number of tasks: not known beforehand */
#define AME_POOL_STREAM (UINT64_MAX - 1) /* the same, and ame_pool_result waits until ame_pool_submit says the end */
#define AME_POOL_ANYONE (-1)             /* task->prefers: any worker */

/* A task, as rank 0 describes it and as the function on the worker sees it. */
typedef struct ame_pool_task {
    uint64_t index;   /* its number; set by the pool */
    const void *data; /* `length` bytes; NULL: the task is its index only */
    uint64_t length;
    int priority; /* rank 0: higher ones first, 0 is ordinary */
    int prefers;  /* rank 0: the worker that holds what the task needs, or AME_POOL_ANYONE */
    int only;     /* rank 0: 1: to no other worker than that as long as it lives; 0: others may take it when idle */
    int attempt;  /* worker: how often it has been tried before */
} ame_pool_task;

/* What a function makes of its task. */
typedef struct ame_pool_reply ame_pool_reply;
/* The result: `length` bytes that are copied. */
AME_API int ame_pool_reply_copy(ame_pool_reply *reply, const void *data, uint64_t length);
/* The result: memory from malloc, which the pool takes over, in any case. */
AME_API int ame_pool_reply_give(ame_pool_reply *reply, void *data, uint64_t length);
/* Why the task fails, in one line; up to 1023 bytes are kept. */
AME_API int ame_pool_reply_text(ame_pool_reply *reply, const char *text);

/* Executes a task on a worker; 0, or a code not 0 when it failed (it may have set a text, and a result, all the same). */
typedef int (*ame_pool_function)(const ame_pool_task *task, ame_pool_reply *reply, void *arg);
/* Describes task task->index on rank 0; is called as the tasks are needed, in their order, within ame_pool_map and
 * ame_pool_result. What `data` points to is copied. Rank 0 does nothing else meanwhile: for tasks that have to be waited
 * for there is AME_POOL_STREAM. 1: here it is; 0: there are no more; negative: ends the map, which
 * fails with this code. */
typedef int (*ame_pool_source)(ame_pool_task *task, void *arg);

typedef struct ame_pool_outcome {
    uint64_t index;
    int code;       /* 0, or why the task failed: what the function returned, AME_E_TRUNCATED (longer than result_max),
                         AME_E_TIMEOUT (limit), AME_E_PEER_FAILED (its workers died) */
    int rank;       /* who did it */
    int attempts;   /* 1 if it was done at the first try */
    int resumed;    /* 1: from the journal of a run before */
    double seconds; /* that the function took */
    const void *data; /* the result, `length` bytes; never NULL */
    uint64_t length;
    const char *text; /* of a failure, with rank, host and index; else "" */
    const char *host; /* of the rank */
} ame_pool_outcome;

/* Takes a result on rank 0 as soon as it has come, also while the program's thread executes a task; from any thread of the
 * pool, one result at a time. It must not use the pool. */
typedef void (*ame_pool_sink)(const ame_pool_outcome *outcome, void *arg);

typedef struct ame_pool_job {
    uint64_t count;         /* tasks, or AME_POOL_OPEN: until `source` returns 0, or as ame_pool_submit gives them; or
                               AME_POOL_STREAM */
    ame_pool_source source; /* NULL: a task is its index only. Matters on rank 0 only, as does `count` */
    void *source_arg;       /* given to source */
    ame_pool_function function; /* the same on all ranks */
    void *arg;                  /* given to function */
    ame_pool_sink sink;         /* NULL: results are for ame_pool_result, which else returns 0 when all is done */
    void *sink_arg;             /* given to sink */
} ame_pool_job;

/* Begins a map. On rank 0 it returns at once. All other ranks execute tasks in here and return when the map is over. */
AME_API int ame_pool_map(ame_pool *pool, const ame_pool_job *job);
/* On rank 0: 1 and the next result, whose memory is valid until the next call; 0 when there is none any more. While there
 * is none yet, it executes tasks itself, or waits. Elsewhere 0. In the order in which they come, or, with the option
 * ordered=1, in the order of the tasks. */
AME_API int ame_pool_result(ame_pool *pool, ame_pool_outcome *outcome);
/* On rank 0, in a map with AME_POOL_OPEN and no source: one more task. Its number is how many there were before. Waits for
 * nothing; who submits without end and takes no results uses memory without end. ame_pool_result returns 0 when all that
 * were submitted have been delivered; more may be submitted then.
 * In a map with AME_POOL_STREAM, and no source, the tasks come from a thread that has to wait for them, for input say: it
 * calls ame_pool_submit while the program's thread is in ame_pool_result, and in the end with NULL. The call waits for
 * room in the window; it is AME_E_CANCELLED when the map has ended meanwhile. The thread must be through before the next
 * run begins, or the pool is closed. */
AME_API int ame_pool_submit(ame_pool *pool, const ame_pool_task *task);
/* In place of ame_pool_map on all ranks, for a rank 0 that makes one map after the other: notes the function; ranks other
 * than 0 execute tasks of all maps to come, until rank 0 calls ame_pool_dismiss or ame_pool_close. On rank 0 it returns at
 * once; each ame_pool_map then needs no function. */
AME_API int ame_pool_serve(ame_pool *pool, ame_pool_function function, void *arg);
/* On rank 0: ends ame_pool_serve on the workers. */
AME_API int ame_pool_dismiss(ame_pool *pool);

/* ---- what became of it --------------------------------------------------------------------------- */

/* The loop or map that is under way, or the last one. On ranks other than 0 only `done`, `seconds` and `busy` are known,
 * of this rank. */
typedef struct ame_pool_report {
    uint64_t count;                 /* tasks, as far as they are known */
    uint64_t done, failed, resumed; /* resumed ones are not counted in done */
    uint64_t retried;               /* executions that were lost with their worker, or failed, and were repeated */
    int workers, lost;              /* other ranks that have taken part; that died */
    int interrupted;                /* 1: a signal has ended it */
    double seconds, busy;           /* from begin to end (or now); spent in the function or body, over all ranks */
    uint64_t messages;              /* between rank 0 and the others, both ways; those that open the pool not counted */
} ame_pool_report;
AME_API int ame_pool_inspect(ame_pool *pool, ame_pool_report *report);
/* On rank 0: the `nth` failure (from 0) of the present or last loop or map; 0 when there are not so many. The first 1000
 * are kept. The memory is valid until the next loop or map. */
AME_API int ame_pool_failure(ame_pool *pool, uint64_t nth, ame_pool_outcome *outcome);

#ifdef __cplusplus
}
#endif
#endif
