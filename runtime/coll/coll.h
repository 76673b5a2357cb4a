/* coll.h - what the algorithms share: the points where one takes over from another, and the pieces several are made of.
 *
 * The star is the default. Its centre is the root of the call (rank 0 where there is none): one hop, every message
 * needed once. Where the centre would have to move more than it should, rings over direct links spread the work over
 * all ranks.
 */
#ifndef AME_COLL_COLL_H
#define AME_COLL_COLL_H

#include "seam.h"

enum {
    /* Bytes that pass through the centre of a star for allgather and alltoall; above it, a ring or direct exchange. */
    AME__STAR_BYTES_MAX = 256 << 10,
    /* The same for one block of alltoall: of longer ones the root copies more than the messages that it saves cost. */
    AME__STAR_BLOCK_MAX = 2 << 10,
    /* Bytes of one rank's contribution to a reduction that goes to the centre; above it, rings. */
    AME__STAR_REDUCE_MAX = 64 << 10,
    /* Part in which a chain (scan) passes long data on, so that its links work at the same time. */
    AME__CHAIN_PART = 256 << 10,
    /* Partners at the same time in a direct exchange. */
    AME__EXCHANGE_PARTNERS = 8
};

/* Is the star the right shape for `bytes`? Always where direct links are forbidden or there are no more than two ranks.
 */
static inline bool ame__use_star(const ame_comm *comm, size_t bytes, size_t most)
{
    return bytes <= most || comm->size <= 2 || !ame__engine.direct;
}

/* gather.c */
/* Steps of one round that gather: block r of `lengths[r]` bytes to base + offsets[r] at the centre. `own` is this
 * rank's. */
void ame__star_gather(struct ame__sched *sched, const ame_comm *comm, int centre, const void *own, size_t own_length,
                      unsigned char *base, const size_t *lengths, const size_t *offsets);
/* scatter.c: the reverse. */
void ame__star_scatter(struct ame__sched *sched, const ame_comm *comm, int centre, const unsigned char *base,
                       const size_t *lengths, const size_t *offsets, void *own, size_t own_length);
/* bcast.c */
void ame__star_bcast(struct ame__sched *sched, const ame_comm *comm, int centre, void *buffer, size_t length);
/* reduce.c */
/* All contributions, in the order of ranks, to `acc` at the centre (`scratch`: memory of the schedule, made here). */
void ame__star_reduce(struct ame__sched *sched, const ame_comm *comm, int centre, const void *own, void *acc,
                      size_t count, size_t element, ame__combine_fn combine);
/* Ring: afterwards this rank has block `rank` of the combination in acc, and no other of its blocks means anything. `own`
 * has its contribution, in host memory; it may be acc. Lengths and offsets of the blocks are in bytes. */
void ame__ring_reduce_scatter(struct ame__sched *sched, const ame_comm *comm, const unsigned char *own,
                              unsigned char *acc, const size_t *lengths, const size_t *offsets, size_t element,
                              ame__combine_fn combine);
/* Block r of `count` elements cut in comm->size parts. */
void ame__part(size_t count, int size, int rank, size_t *first, size_t *length);
/* allgather.c: this rank's block is in place in base; afterwards all are. */
void ame__ring_allgather(struct ame__sched *sched, const ame_comm *comm, unsigned char *base, const size_t *lengths,
                         const size_t *offsets);

/* Lengths and offsets for every rank, in memory of the schedule: `lengths` NULL: all `length`; `displs` NULL: one after
 * the other. *total: bytes up to the end of the last. false: out of memory. */
bool ame__layout(struct ame__sched *sched, int size, size_t length, const size_t *lengths, const size_t *displs,
                 const size_t **all_lengths, const size_t **all_offsets, size_t *total);

/* args.c */
static inline bool ame__is_root(const struct ame__coll *call)
{
    return ame__coll_is_root(call);
}
/* This rank's own buffer: AME_IN_PLACE is for the root only, where the call has one. */
int ame__check_own(const struct ame__coll *call, const void *own, size_t bytes, const char *argument);
/* AME_E_ARG if size * length does not fit; `argument` names the length. */
int ame__check_total(const struct ame__coll *call, size_t length, const char *argument);
int ame__check_pointer(const struct ame__coll *call, const void *pointer, size_t length, const char *argument);
int ame__check_lengths(const struct ame__coll *call, const size_t *lengths, const void *buffer, const char *argument,
                       const char *buffer_name);

/* op.c */
static inline size_t ame__element_of(const struct ame__coll *call)
{
    return call->element ? call->element : ame_type_size(call->type);
}
/* The function for `op` on `type`, or NULL. */
ame__combine_fn ame__combine(ame_op op, ame_type type);
static inline ame__combine_fn ame__combine_of(const struct ame__coll *call)
{
    return call->combine ? call->combine : ame__combine(call->op, call->type);
}
/* Checks count, type, op. */
int ame__check_reduction(const struct ame__coll *call);

#endif
