/* replica.h - how sets of replicas work, and what their files share.
 *
 *   set.c      opening and closing, options, who computes with what
 *   run.c      rank 0: shares a run out into one task per worker, looks at the replies, tries again what is needed
 *   worker.c   a worker: finds or makes the states of a task's replicas, moves them, checks results
 *   device.c   the same on a GPU: states in device memory, one launch for all replicas
 *   save.c     checkpoints
 *   frame.c    the bytes of tasks and replies, and the serial numbers by which states are known
 *
 * A set is a pool (ame_pool.h) whose workers serve. For each run rank 0 makes one map with one task per worker, which no other
 * worker may take while that one lives; so the pool's part is to deliver, to notice deaths, and to let rank 0 compute as well.
 * When a worker dies, the pool gives its task to another one. That one does not hold the states, and says so; rank 0 then
 * spreads the replicas over those that live, in a second map, with the last states it has (`base`) and all runs since.
 *
 * Rank 0 keeps for each replica its base, and for the whole set the runs since the oldest base, with their parameters. What a
 * run brings becomes known only when all of it has succeeded, so that a failed run changes nothing and can be repeated.
 */
#ifndef AME_REPLICA_REPLICA_H
#define AME_REPLICA_REPLICA_H

#include <stdbool.h>

#include <ame_gpu.h>
#include <ame_pool.h>
#include <ame_replica.h>

#include "pool/journal.h"

enum {
    AME__REPLICA_WHERE_MAX = 512, /* bytes of what ame_replicas_worker gives */
    AME__REPLICA_NAME_MAX = 64,
    AME__REPLICA_PULL = 16, /* the option's default */
    AME__REPLICA_ALIGN = 64
};

/* A replica as its worker knows it. */
struct ame__held {
    void *state; /* NULL: not held; device memory if the worker uses a GPU */
    uint64_t serial, step;
};

/* What a worker needs on a GPU. The three buffers are device memory for `room` replicas. */
struct ame__device {
    ame_gpu_module *module;
    ame_gpu_kernel *kernel, *summary;
    void *replicas, *parameters, *results;
    size_t room;
};

/* A replica as rank 0 knows it. */
struct ame__known {
    int holder, last; /* rank that holds it, that held it last; -1: nobody */
    bool owed;        /* of the run under way: no reply yet */
    uint64_t serial, step;
    void *base; /* state after run `serial`, at `step`; NULL with serial 0: as started */
    void *next; /* the base once the run under way has succeeded */
};

/* A run since the oldest base. */
struct ame__past {
    uint64_t serial, steps;
    unsigned char *parameters;
};

/* The journal that checkpoints are written to; NULL: none yet. */
struct ame__checkpoint {
    struct ame__journal *journal;
    uint64_t saves, kept; /* so far; of these, in the file */
};

struct ame_replicas {
    ame_comm *comm;
    ame_pool *pool;
    ame_replica_kind kind;
    char name[AME__REPLICA_NAME_MAX];
    uint64_t count, seed;
    int rank, size;
    bool on_gpu;
    char where[AME__REPLICA_WHERE_MAX];
    size_t parameters_stride, result_stride;

    struct ame__held *held; /* by id */
    struct ame__device device;

    /* options */
    bool root_works, use_gpu, table;
    uint64_t pull;

    /* rank 0 only */
    struct ame__known *known; /* by id */
    struct ame__past *past;
    size_t past_count, past_room;
    uint64_t serial;                         /* of the run under way, or the last one */
    uint64_t good;                           /* of the last run that succeeded */
    unsigned char *parameters;               /* of the last run; NULL: there was none */
    char (*workers)[AME__REPLICA_WHERE_MAX]; /* by rank */
    bool *dead;
    uint64_t *load; /* by rank: replicas held */
    ame_replicas_report report;
    struct ame__checkpoint checkpoint;
};

/* Rounds up to AME__REPLICA_ALIGN. */
static inline size_t ame__replica_round(size_t bytes)
{
    return (bytes + AME__REPLICA_ALIGN - 1) / AME__REPLICA_ALIGN * AME__REPLICA_ALIGN;
}
/* 1 if a rank moves replicas. */
static inline int ame__replica_works(const ame_replicas *set, int rank)
{
    return rank > 0 || set->root_works || set->size == 1;
}

/* ---- set.c ---- */

/* AME_GPU asks for a GPU: then nobody falls back to the processor. */
bool ame__replica_needs_gpu(void);

/* ---- worker.c ---- */

/* The pool's function: executes a task. `arg` is the set. */
int ame__replica_work(const ame_pool_task *task, ame_pool_reply *reply, void *arg);
/* Frees all states that this worker holds. */
void ame__replica_drop(ame_replicas *set);

/* ---- device.c: AME_OK, or what ame_gpu.h says ---- */

/* Loads the kind's kernels for this process's device. */
int ame__device_open(ame_replicas *set);
void ame__device_close(ame_replicas *set);
/* Moves replicas whose `state` is device memory; parameters and results are host memory. */
int ame__device_run(ame_replicas *set, ame_replica *replicas, size_t count);

/* ---- run.c ---- */

/* ame_replicas_run, and, with steps 0 and results NULL, getting all states as they are. */
int ame__replica_advance(ame_replicas *set, uint64_t steps, const void *parameters, void *results, bool pull);
void ame__replica_forget(ame_replicas *set);

#endif
