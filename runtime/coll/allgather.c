/* allgather.c - allgather and allgatherv.
 *
 * Star, up to AME__STAR_BYTES_MAX in all: gather to rank 0 and broadcast of the whole; 2 hops, 2(n-1) messages, n *
 * total bytes leave rank 0. Ring above that: in n-1 rounds each rank passes to its right neighbour the block that it
 * got from the left one the round before; every rank sends and receives total bytes once, the least possible, and all
 * work at the same time (Thakur, Rabenseifner, Gropp: Optimization of Collective Communication Operations in MPICH,
 * 2005).
 */
#include "coll.h"

#include "base/error.h"

void ame__ring_allgather(struct ame__sched *sched, const ame_comm *comm, unsigned char *base, const size_t *lengths,
                         const size_t *offsets)
{
    int size = comm->size, right = (comm->rank + 1) % size, left = (comm->rank + size - 1) % size;
    for (int round = 0; round < size - 1; round++) {
        int out = (comm->rank - round + size) % size, in = (left - round + size) % size;
        ame__sched_recv(sched, base + offsets[in], lengths[in], left);
        ame__sched_send(sched, base + offsets[out], lengths[out], right);
        ame__sched_round(sched);
    }
}

static int check_allgather(const struct ame__coll *call)
{
    int code = ame__check_total(call, call->length, "length");
    if (!code) code = ame__check_pointer(call, call->sendbuf, call->length, "sendbuf");
    if (!code) code = ame__check_pointer(call, call->recvbuf, call->length, "recvbuf");
    return code;
}

static int check_allgatherv(const struct ame__coll *call)
{
    int code = ame__check_lengths(call, call->recvlengths, call->recvbuf, "recvlengths", "recvbuf");
    if (!code) code = ame__check_pointer(call, call->sendbuf, call->length, "sendbuf");
    if (!code && call->sendbuf != AME_IN_PLACE && call->length != call->recvlengths[call->comm->rank])
        code = ame__fail(AME_E_MISMATCH, "%s: argument 'sendlength' is %zu, but recvlengths[%d] of this rank is %zu",
                         call->function, call->length, call->comm->rank, call->recvlengths[call->comm->rank]);
    return code;
}

/* The whole result is broadcast block by block, since there may be gaps between the blocks that belong to the caller.
 */
static void star(struct ame__sched *sched, const ame_comm *comm, unsigned char *base, const size_t *lengths,
                 const size_t *offsets, size_t total, bool packed)
{
    const unsigned char *own = base + offsets[comm->rank];
    ame__star_gather(sched, comm, 0, comm->rank == 0 ? AME_IN_PLACE : own, lengths[comm->rank], base, lengths, offsets);
    ame__sched_round(sched);
    if (packed) {
        ame__star_bcast(sched, comm, 0, base, total);
        return;
    }
    for (int block = 0; block < comm->size; block++) {
        ame__star_bcast(sched, comm, 0, base + offsets[block], lengths[block]);
        ame__sched_round(sched);
    }
}

void ame__build_allgather(struct ame__sched *sched, const struct ame__coll *call)
{
    const ame_comm *comm = call->comm;
    const size_t *lengths, *offsets;
    size_t total, bytes = 0;
    bool packed = true;
    if (!ame__layout(sched, comm->size, call->length, call->recvlengths, call->recvdispls, &lengths, &offsets, &total))
        return;
    for (int rank = 0; rank < comm->size; rank++) { /* from the places, since NULL may stand for the same ones */
        packed = packed && offsets[rank] == bytes;
        bytes += lengths[rank];
    }
    unsigned char *base = call->recvbuf;
    if (call->sendbuf != AME_IN_PLACE) {
        ame__sched_copy(sched, base + offsets[comm->rank], call->sendbuf, lengths[comm->rank]);
        ame__sched_round(sched);
    }
    if (ame__use_star(comm, bytes, AME__STAR_BYTES_MAX))
        star(sched, comm, base, lengths, offsets, total, packed);
    else
        ame__ring_allgather(sched, comm, base, lengths, offsets);
}

static struct ame__coll call_of(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm, const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__ALLGATHER,
                              .comm = comm,
                              .sendbuf = sendbuf,
                              .recvbuf = recvbuf,
                              .length = length,
                              .check = check_allgather,
                              .build = ame__build_allgather};
}

static struct ame__coll call_of_v(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                                  const size_t displs[], ame_comm *comm, const char *function)
{
    struct ame__coll call = call_of(sendbuf, sendlength, recvbuf, comm, function);
    call.kind = AME__ALLGATHERV;
    call.recvlengths = recvlengths;
    call.recvdispls = displs;
    call.check = check_allgatherv;
    return call;
}

int ame_allgather(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm)
{
    struct ame__coll call = call_of(sendbuf, length, recvbuf, comm, "ame_allgather");
    return ame__coll_run(&call);
}

int ame_iallgather(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of(sendbuf, length, recvbuf, comm, "ame_iallgather");
    return ame__coll_start(&call, request);
}

int ame_allgatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                   const size_t displs[], ame_comm *comm)
{
    struct ame__coll call = call_of_v(sendbuf, sendlength, recvbuf, recvlengths, displs, comm, "ame_allgatherv");
    return ame__coll_run(&call);
}

int ame_iallgatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                    const size_t displs[], ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of_v(sendbuf, sendlength, recvbuf, recvlengths, displs, comm, "ame_iallgatherv");
    return ame__coll_start(&call, request);
}
