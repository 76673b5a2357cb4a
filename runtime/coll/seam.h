/* seam.h - what the MPI layer (runtime/mpi) needs of libame that ame.h does not offer; exported for it, but no interface.
 *
 *   communicators   made from a list of ranks that only its members agree on (MPI_Comm_create_group), and over two groups
 *                   (intercommunicators), where ame_comm_split would need everybody
 *   schedules       (sched.h) the algorithms of coll/ by themselves, to be put between what packs and unpacks derived
 *                   datatypes and applies operations that ame_op does not know; and schedules of its own
 *   requests        that the program itself completes (MPI_Grequest_start), and a look at a request without completing it
 *   leaving         messages to ranks that have finalized are dropped, as MPI programs expect
 */
#ifndef AME_COLL_SEAM_H
#define AME_COLL_SEAM_H

#include "sched.h"

/* To be called once after ame_init: messages to ranks that have finalized are dropped. */
AME_API void ame__seam_open(void);
/* A number for a child of `comm`, the same on all members if they ask in the same order and give the same `color`. */
AME_API uint64_t ame__seam_child(ame_comm *comm, uint64_t color);
/* The number of `comm` itself. */
AME_API uint64_t ame__seam_lineage(const ame_comm *comm);
/* A number made of bytes. */
AME_API uint64_t ame__seam_hash(const void *bytes, size_t length);
/* A communicator of the ranks members[] of the world (copied), in which this one is `rank`; local. */
AME_API int ame__seam_comm(uint64_t lineage, int rank, int size, const int members[], ame_comm **newcomm);
/* Rank in the world of this process. */
AME_API int ame__seam_world_rank(void);
/* Makes progress, and if `wait` does so until one of the requests (NULL: none) has completed, or `all` have or one has
 * failed; *ready: is it so? They stay as they are. A receive that has failed because its sender has finalized counts
 * only with `all`, or if none of the others is under way. */
AME_API int ame__seam_wait(size_t count, ame_request *const requests[], bool all, bool wait, bool *ready);
/* Like ame_test, without making progress. `spare`: not a receive that has failed because its sender has finalized. */
AME_API int ame__seam_take(ame_request **request, bool spare, int *done, ame_status *status);
/* Has it completed? It stays as it is; if so, `status` is filled in. */
AME_API int ame__seam_peek(ame_request *request, int *done, ame_status *status);
/* A request that completes when ame__seam_complete is called. */
AME_API int ame__seam_manual(ame_request **request);
AME_API int ame__seam_complete(ame_request *request);

/* What combines elements of a type of ame.h; NULL: the operation is not defined for it. */
AME_API ame__combine_fn ame__seam_combine(ame_op op, ame_type type);

/* The algorithms: `call` has the arguments of the function of the same name, checked; for reduce_scatter recvlengths, or
 * length, in bytes. */
AME_API void ame__build_allgather(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_alltoall(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_barrier(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_bcast(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_gather(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_reduce(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_reduce_scatter(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_scan(struct ame__sched *sched, const struct ame__coll *call);
AME_API void ame__build_scatter(struct ame__sched *sched, const struct ame__coll *call);

#endif
