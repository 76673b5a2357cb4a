/* ame_replica.h - replicas of a simulation on all ranks of a job, on GPUs where there are any, on top of ame_pool.h.
 *
 * A replica is one copy of a simulation among several: an umbrella window, an image of a string, a lattice at one temperature,
 * a Markov chain. Rank 0 coordinates: it says how many steps are to be made with which parameters, gets a small result from
 * each, and decides what comes next. The other ranks, and rank 0 as well if it is to work, hold the replicas and move them.
 *
 *     ame_init();
 *     ame_replicas *set;
 *     ame_replicas_open(AME_COMM_WORLD, &kind, count, seed, NULL, &set);      // every rank
 *     if (rank == 0) {
 *         for (...) {
 *             ame_replicas_run(set, steps, parameters, results);              // rank 0: all replicas, on all ranks
 *             ... look at results[], change parameters[] ...
 *         }
 *     } else {
 *         ame_replicas_serve(set);                                            // the others work in here
 *     }
 *     ame_replicas_close(&set);                                               // every rank
 *
 * The program says in an ame_replica_kind what a replica is: sizes, a C function that moves replicas, a CUDA kernel that does
 * the same, or both. A rank with a GPU uses the kernel, any other one the function, and ame_replicas_worker tells which.
 *
 * What makes it hold
 *
 *   counters     A replica has no hidden random numbers. It must draw them as a function of seed, id and step
 *                (ame_numeric.h has Philox for that), and depend on nothing but its state and parameters. Then a replica that
 *                is moved, repeated, or computed by another kind of processor gives the same numbers, and a worker that dies
 *                changes nothing in the result.
 *   sticky       A replica stays with its worker, where its state is, in device memory if there is a GPU. All replicas of a
 *                worker are moved in one call, or one launch. Each `pull`th run their states come to rank 0 with the results.
 *   failure      When a worker dies (or ends itself because its GPU is lost), its replicas go to others: each begins with the
 *                last state that rank 0 has, or from its start, and repeats the runs since. Under ameexec the job goes on.
 *   checks       A result is looked at before it is used: its replica and steps, its length, and that the numbers in it that
 *                the kind names are numbers. A NaN ends the run with an error that names rank, host, device and replica.
 *   checkpoint   ame_replicas_save adds all states, steps and parameters, and whatever the program gives, to a journal; a
 *                later job goes on from it with ame_replicas_load, on other ranks or processors if need be, wherever the
 *                first one was killed.
 *
 * Conventions are those of ame.h: AME_OK or a negative code, text in ame_last_error(); lengths are bytes. A set is used by one
 * thread of a rank at a time.
 */
#ifndef AME_REPLICA_H
#define AME_REPLICA_H

#include <ame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A replica, as a kind's functions and kernels see it. For a kernel all pointers are to device memory. */
typedef struct ame_replica {
    uint64_t id;         /* 0 to count - 1 */
    uint64_t seed;       /* of the set */
    uint64_t first_step; /* steps made so far; step numbers go on from run to run */
    uint64_t steps;      /* to be made now */
    const void *parameters;
    void *state;  /* as it is after first_step steps; to be brought forward. Aligned to 64 bytes */
    void *result; /* to be written after the last step; it is all 0 before. Aligned to 64 bytes */
} ame_replica;

/* What all replicas of a set have in common; the same on all ranks. What is not needed stays 0. */
typedef struct ame_replica_kind {
    const char *name;         /* in messages and in checkpoints */
    uint64_t parameters_size; /* bytes of parameters, state and result of one replica; the state may have none */
    uint64_t state_size;
    uint64_t result_size;
    unsigned result_doubles; /* so many doubles at the beginning of a result must be finite */

    /* Makes the state before the first step (it is all 0); NULL: that is the state. 0, or what went wrong. */
    int (*start)(const ame_replica *replica, void *arg);
    /* Moves `count` replicas, all of this worker's, and writes their results; NULL: there is a kernel only. 0, or what went
     * wrong: replicas[i].result is then not looked at. */
    int (*run)(const ame_replica *replicas, size_t count, void *arg);
    void *arg; /* for both */

    /* The same by a GPU: an image that nvcc has made (ame_gpu.h), and the name of its kernel,
     *     extern "C" __global__ void NAME(const ame_replica *replicas, unsigned count)
     * launched with blockIdx.y = 0 to count - 1, the replica, and as many blocks of `threads` in x as `lanes` (independent
     * parts of a replica, as walkers) need. If `summary` names a second kernel, it follows, with one block of
     * `summary_threads` per replica, to make the result. */
    const void *image;
    size_t image_size;
    const char *kernel, *summary;
    unsigned lanes, threads, summary_threads,
        shared; /* shared: bytes of dynamic shared memory per block, of the first */
} ame_replica_kind;

typedef struct ame_replicas ame_replicas;

/* Opens `count` replicas of a kind over `comm`; collective. The kind is copied, what it points to is not. `seed` and `options`
 * of rank 0 hold for all; `options` may be NULL or "name=value" pairs separated by commas or spaces:
 *
 *   root_works=0|1   whether rank 0 moves replicas too (1; a set with one rank always does)
 *   pull=n           states come to rank 0 with every n-th run (16); 1: with each one; 0: only for ame_replicas_save.
 *                    What is repeated when a worker dies is at most n runs
 *   gpu=0|1          whether GPUs are used where there are any and the kind has a kernel (1); AME_GPU=off does the same
 *   table=0|1        rank 0 writes to standard error who has which device (1 if the kind has a kernel)
 *
 * All else that is given (retries, progress...) goes to the pool, see ame_pool(3). AME_E_CONFIG names an option that is not
 * known; AME_E_GPU, on all ranks, if AME_GPU wants a device where there is none. */
AME_API int ame_replicas_open(ame_comm *comm, const ame_replica_kind *kind, uint64_t count, uint64_t seed,
                              const char *options, ame_replicas **set);
/* On ranks other than 0: works until rank 0 closes the set. */
AME_API int ame_replicas_serve(ame_replicas *set);
/* On rank 0: makes `steps` steps with all replicas, replica i with the parameters at `parameters` + i * parameters_size, and
 * returns when all results are at `results` + i * result_size. `parameters` NULL: those of the run before.
 * On failure nothing is known of `results`; the replicas are where they were before the run, which may be made again.
 * AME_E_TASK: start, run, a kernel or a check has failed; the text names rank, host, device, replica and reason.
 * AME_E_PEER_FAILED: no worker is left. */
AME_API int ame_replicas_run(ame_replicas *set, uint64_t steps, const void *parameters, void *results);
/* On rank 0: adds a checkpoint to the journal `path` (as that of a pool: see ame_pool(3)), with `length` bytes of the program's
 * own, and syncs it. The journal is begun if there is none. The last checkpoints are in it, whichever way the job ends: one
 * that is not written to its end does not count. AME_E_STATE if there is one with checkpoints that this set has not gone on
 * from, or if another process has it open; AME_E_MISMATCH if it is of other replicas; AME_E_SYSTEM if it cannot be written. */
AME_API int ame_replicas_save(ame_replicas *set, const char *path, const void *extra, uint64_t length);
/* On rank 0, before the first run: goes on from the last checkpoint of a journal; *extra (from malloc, to be freed by the
 * caller) and *length are what the program had added, NULL and 0 if that was nothing, or if its job was killed before
 * its first checkpoint was whole: then the set is where it was. Both may be NULL. AME_E_MISMATCH if the journal is of
 * another kind, seed, count or size; AME_E_CONFIG if it is no journal; AME_E_PROTOCOL if it is damaged; AME_E_STATE if another
 * process has it open; AME_E_SYSTEM if there is none, or it cannot be read. */
AME_API int ame_replicas_load(ame_replicas *set, const char *path, void **extra, uint64_t *length);
/* Ends it; collective. *set becomes NULL. On rank 0 it dismisses the workers. */
AME_API int ame_replicas_close(ame_replicas **set);

/* On rank 0: what computes on a rank, as in "GPU 0 NVIDIA H100 80GB HBM3 of node7" or "CPU of node7 (no libcuda.so.1)"; "" if
 * the rank does not work or there is no such rank. Valid until the set is closed. */
AME_API const char *ame_replicas_worker(const ame_replicas *set, int rank);

typedef struct ame_replicas_report {
    uint64_t runs, steps;    /* of each replica so far */
    uint64_t moved;          /* replicas that another worker took over */
    uint64_t repeated_steps; /* of all replicas together, made once more for that reason */
    int workers, gpus;       /* ranks that move replicas; those of them on a GPU */
    double seconds, busy;    /* within ame_replicas_run; of these spent in functions and kernels, over all workers */
} ame_replicas_report;
/* On rank 0: what became of it so far. */
AME_API int ame_replicas_inspect(const ame_replicas *set, ame_replicas_report *report);

#ifdef __cplusplus
}
#endif
#endif
