/* sched.h - a collective call as a schedule: what this rank sends, receives, copies and combines, in rounds.
 *
 * An algorithm only writes the schedule down; sched.c runs it. All steps of a round are started together (receives
 * first, then sends, then local steps in the order in which they were added); the next round begins when all are done.
 * It is driven by the completions of its own messages, so the blocking and the non-blocking form of a call are the same
 * schedule, and the helper thread moves it on while the program computes.
 *
 * Failure: when a step fails (a rank died or left, or sent another length or the messages of another call), the
 * schedule runs on to its end with every further send replaced by POISON, which carries code and text. So each rank
 * that depends on the failed step, directly or through others, gets the same error instead of waiting for ever, and no
 * message is left over.
 *
 * Buffers may be device memory: of messages, which are staged as others are (engine/staged.c), and of copies, during which
 * the local steps after them wait. What is combined must be in host memory.
 *
 * Messages of a schedule go on the odd context of its communicator, with the number of the call as their tag.
 */
#ifndef AME_COLL_SCHED_H
#define AME_COLL_SCHED_H

#include "comm/comm.h"

#define AME__COLLS(X)                                                                                                  \
    X(BARRIER, "ame_barrier")                                                                                          \
    X(BCAST, "ame_bcast")                                                                                              \
    X(GATHER, "ame_gather")                                                                                            \
    X(GATHERV, "ame_gatherv")                                                                                          \
    X(SCATTER, "ame_scatter")                                                                                          \
    X(SCATTERV, "ame_scatterv")                                                                                        \
    X(ALLGATHER, "ame_allgather")                                                                                      \
    X(ALLGATHERV, "ame_allgatherv")                                                                                    \
    X(ALLTOALL, "ame_alltoall")                                                                                        \
    X(ALLTOALLV, "ame_alltoallv")                                                                                      \
    X(REDUCE, "ame_reduce")                                                                                            \
    X(ALLREDUCE, "ame_allreduce")                                                                                      \
    X(SCAN, "ame_scan")                                                                                                \
    X(OTHER, "a collective call of the layer above")
enum ame__coll_kind {
    AME__COLL_NONE,
#define AME__COLL_ENUM(id, name) AME__##id,
    AME__COLLS(AME__COLL_ENUM)
#undef AME__COLL_ENUM
};

/* Combines elements: acc[i] = acc[i] op in[i]. */
typedef void (*ame__combine_fn)(const void *in, void *acc, size_t count);

struct ame__sched;

/* All of these: ranks are those of the communicator, never this rank itself. Out of memory is remembered and told by
 * run. */
AME_API void ame__sched_send(struct ame__sched *sched, const void *buffer, size_t length, int rank);
AME_API void ame__sched_recv(struct ame__sched *sched, void *buffer, size_t length,
                             int rank); /* exactly `length` bytes */
AME_API void ame__sched_copy(struct ame__sched *sched, void *to, const void *from, size_t length);
AME_API void ame__sched_combine(struct ame__sched *sched, ame__combine_fn combine, const void *in, void *acc,
                                size_t count);
/* Calls a function of the layer above, such as an operation that a program has defined: without the lock, in a thread that
 * is inside a call, after which the local steps that follow in the round are taken. */
AME_API void ame__sched_call(struct ame__sched *sched, void (*call)(void *arg), void *arg);
/* Ends a round. */
AME_API void ame__sched_round(struct ame__sched *sched);
/* Memory that lives as long as the schedule; NULL if there is none (or size is 0): the schedule will not run. */
AME_API void *ame__sched_memory(struct ame__sched *sched, size_t size);

/* The arguments of a collective call, in one shape for all. */
struct ame__coll {
    const char *function;
    enum ame__coll_kind kind;
    ame_comm *comm;
    int root;
    bool rooted;
    const void *sendbuf;
    void *recvbuf;
    size_t length; /* per rank; gatherv, allgatherv: of this rank's part; scatterv: of what this rank receives */
    const size_t *sendlengths, *senddispls, *recvlengths, *recvdispls;
    size_t count;
    ame_type type;
    ame_op op;
    /* A reduction of elements that ame_type does not know: what combines them, and the bytes of one. */
    ame__combine_fn combine;
    size_t element;
    void *arg; /* the caller's, for `build` */
    /* Checks the arguments that are not common to all; may be NULL. */
    int (*check)(const struct ame__coll *call);
    void (*build)(struct ame__sched *sched, const struct ame__coll *call);
};

static inline bool ame__coll_is_root(const struct ame__coll *call)
{
    return call->comm->rank == call->root;
}

/* Checks, builds and starts a collective call, and waits for it. */
AME_API int ame__coll_run(const struct ame__coll *call);
/* For a call that is collective on `comm` and has no memory to begin: gives up the communicator for collective calls, tells
 * the other ranks, and returns AME_E_NOMEM. */
int ame__coll_give_up(ame_comm *comm, const char *function);
/* The non-blocking form. */
AME_API int ame__coll_start(const struct ame__coll *call, ame_request **request);

#endif
