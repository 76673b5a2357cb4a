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

#ifdef __cplusplus
}
#endif
#endif
