/* reduce.c - reduce, allreduce, and for the layer above reduce_scatter.
 *
 * Star, up to AME__STAR_REDUCE_MAX bytes per rank: all contributions go to the centre, which combines them in the order
 * of ranks; for allreduce it sends the result to all, for reduce_scatter to each its part. 1 (2) hops. Rings above that:
 * a reduce-scatter in n-1 rounds, in which each rank combines one n-th of the data a round, leaves block r of the result
 * at rank r; then the blocks are gathered at the root, or passed round the ring to all. Each rank moves about 2 * length
 * bytes whatever n is (Rabenseifner; Thakur et al. 2005). Who combines what in which order depends on sizes only, so the
 * same call gives the same bits again.
 */
#include "coll.h"

#include "base/error.h"

void ame__part(size_t count, int size, int rank, size_t *first, size_t *length)
{
    size_t each = count / (size_t) size, more = count % (size_t) size, r = (size_t) rank;
    *first = r * each + (r < more ? r : more);
    *length = each + (r < more);
}

void ame__star_reduce(struct ame__sched *sched, const ame_comm *comm, int centre, const void *own, void *acc,
                      size_t count, size_t element, ame__combine_fn combine)
{
    size_t bytes = count * element;
    if (comm->rank != centre) {
        ame__sched_send(sched, own, bytes, centre);
        return;
    }
    unsigned char *all = bytes ? ame__sched_memory(sched, bytes * (size_t) comm->size) : NULL;
    if (bytes && !all) return;
    for (int rank = 0; rank < comm->size; rank++)
        if (rank != centre) ame__sched_recv(sched, bytes ? all + bytes * (size_t) rank : NULL, bytes, rank);
    if (bytes) ame__sched_copy(sched, all + bytes * (size_t) centre, own, bytes);
    ame__sched_round(sched);
    for (int rank = 1; bytes && rank < comm->size; rank++)
        ame__sched_combine(sched, combine, all + bytes * (size_t) rank, all, count);
    if (bytes) ame__sched_copy(sched, acc, all, bytes);
}

static size_t longest_of(const size_t *lengths, int size)
{
    size_t longest = 0;
    for (int rank = 0; rank < size; rank++)
        if (lengths[rank] > longest) longest = lengths[rank];
    return longest;
}

void ame__ring_reduce_scatter(struct ame__sched *sched, const ame_comm *comm, const unsigned char *own,
                              unsigned char *acc, const size_t *lengths, const size_t *offsets, size_t element,
                              ame__combine_fn combine)
{
    int size = comm->size, me = comm->rank, right = (me + 1) % size, left = (me + size - 1) % size;
    size_t longest = longest_of(lengths, size);
    unsigned char *aside = own == acc ? ame__sched_memory(sched, 2 * longest) : NULL;
    const unsigned char *last = own + offsets[left]; /* the block that goes out next */
    for (int round = 0; round < size - 1; round++) {
        /* Block b starts at rank b+1 and is complete at rank b. */
        int out = (me - 1 - round + 2 * size) % size, here = (me - 2 - round + 3 * size) % size;
        unsigned char *block = aside ? aside + (round % 2 ? longest : 0) : acc + offsets[here];
        ame__sched_recv(sched, block, lengths[here], left);
        ame__sched_send(sched, last, lengths[out], right);
        ame__sched_round(sched);
        if (lengths[here]) ame__sched_combine(sched, combine, own + offsets[here], block, lengths[here] / element);
        ame__sched_round(sched);
        last = block;
    }
    if (!aside) return;
    ame__sched_copy(sched, acc + offsets[me], last, lengths[me]);
    ame__sched_round(sched);
}

/* Where the ring finds this rank's data: where they are, or a copy, since what is combined is in host memory. */
static const unsigned char *for_ring(struct ame__sched *sched, const void *own, size_t bytes)
{
    if (!ame__gpu_stages(own)) return own;
    unsigned char *copy = ame__sched_memory(sched, bytes);
    if (!copy) return NULL;
    ame__sched_copy(sched, copy, own, bytes);
    ame__sched_round(sched);
    return copy;
}

/* Lengths and offsets in bytes of the parts of `count` elements. */
static bool parts(struct ame__sched *sched, int size, size_t count, size_t element, const size_t **lengths,
                  const size_t **offsets)
{
    size_t *made = ame__sched_memory(sched, 2 * (size_t) size * sizeof *made);
    if (!made) return false;
    for (int rank = 0; rank < size; rank++) {
        size_t first, length;
        ame__part(count, size, rank, &first, &length);
        made[rank] = length * element;
        made[size + rank] = first * element;
    }
    *lengths = made;
    *offsets = made + size;
    return true;
}

static int check(const struct ame__coll *call)
{
    int code = ame__check_reduction(call);
    size_t bytes = call->count * ame_type_size(call->type);
    bool result_here = !call->rooted || ame__is_root(call);
    if (!code) code = ame__check_own(call, call->sendbuf, bytes, "sendbuf");
    if (!code && result_here) code = ame__check_pointer(call, call->recvbuf, bytes, "recvbuf");
    return code;
}

void ame__build_reduce(struct ame__sched *sched, const struct ame__coll *call)
{
    const ame_comm *comm = call->comm;
    size_t element = ame__element_of(call), bytes = call->count * element;
    ame__combine_fn combine = ame__combine_of(call);
    const void *own = call->sendbuf == AME_IN_PLACE ? call->recvbuf : call->sendbuf;
    if (ame__use_star(comm, bytes, AME__STAR_REDUCE_MAX)) {
        int centre = call->rooted ? call->root : 0;
        ame__star_reduce(sched, comm, centre, own, call->recvbuf, call->count, element, combine);
        if (call->rooted) return;
        ame__sched_round(sched);
        ame__star_bcast(sched, comm, 0, call->recvbuf, bytes);
        return;
    }
    const size_t *lengths, *offsets;
    bool result_here = !call->rooted || ame__is_root(call);
    bool there = result_here && !ame__gpu_stages(call->recvbuf); /* combining is done in host memory */
    if (!parts(sched, comm->size, call->count, element, &lengths, &offsets)) return;
    const unsigned char *from = for_ring(sched, own, bytes);
    unsigned char *acc = there ? call->recvbuf : ame__sched_memory(sched, bytes);
    if (!from || !acc) return;
    ame__ring_reduce_scatter(sched, comm, from, acc, lengths, offsets, element, combine);
    if (call->rooted)
        ame__star_gather(sched, comm, call->root, result_here ? AME_IN_PLACE : acc + offsets[comm->rank],
                         lengths[comm->rank], acc, lengths, offsets);
    else
        ame__ring_allgather(sched, comm, acc, lengths, offsets);
    if (!result_here || there) return;
    ame__sched_round(sched);
    ame__sched_copy(sched, call->recvbuf, acc, bytes);
}

void ame__build_reduce_scatter(struct ame__sched *sched, const struct ame__coll *call)
{
    const ame_comm *comm = call->comm;
    size_t element = ame__element_of(call), total, rounds = (size_t) comm->size - 1;
    const size_t *lengths, *offsets;
    if (!ame__layout(sched, comm->size, call->length, call->recvlengths, NULL, &lengths, &offsets, &total)) return;
    /* Around the ring goes the longest block in each round; through rank 0 all goes about twice. */
    if (!ame__use_star(comm, total, AME__STAR_REDUCE_MAX) && longest_of(lengths, comm->size) / 2 <= total / rounds) {
        const unsigned char *from = for_ring(sched, call->sendbuf, total);
        unsigned char *acc = ame__sched_memory(sched, total);
        if (!from || !acc) return;
        ame__ring_reduce_scatter(sched, comm, from, acc, lengths, offsets, element, ame__combine_of(call));
        ame__sched_copy(sched, call->recvbuf, acc + offsets[comm->rank], lengths[comm->rank]);
        return;
    }
    struct ame__coll all = *call;
    all.rooted = true;
    all.root = 0;
    all.count = total / element;
    all.recvbuf = comm->rank == 0 ? ame__sched_memory(sched, total) : NULL;
    if (comm->rank == 0 && total && !all.recvbuf) return;
    ame__build_reduce(sched, &all);
    ame__sched_round(sched);
    ame__star_scatter(sched, comm, 0, all.recvbuf, lengths, offsets, call->recvbuf, lengths[comm->rank]);
}

static struct ame__coll call_of(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op,
                                ame_comm *comm, const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__ALLREDUCE,
                              .comm = comm,
                              .sendbuf = sendbuf,
                              .recvbuf = recvbuf,
                              .count = count,
                              .type = type,
                              .op = op,
                              .check = check,
                              .build = ame__build_reduce};
}

static struct ame__coll call_of_rooted(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op,
                                       int root, ame_comm *comm, const char *function)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, count, type, op, comm, function);
    call.kind = AME__REDUCE;
    call.rooted = true;
    call.root = root;
    return call;
}

int ame_reduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, int root, ame_comm *comm)
{
    struct ame__coll call = call_of_rooted(sendbuf, recvbuf, count, type, op, root, comm, "ame_reduce");
    return ame__coll_run(&call);
}

int ame_ireduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, int root, ame_comm *comm,
                ame_request **request)
{
    struct ame__coll call = call_of_rooted(sendbuf, recvbuf, count, type, op, root, comm, "ame_ireduce");
    return ame__coll_start(&call, request);
}

int ame_allreduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, count, type, op, comm, "ame_allreduce");
    return ame__coll_run(&call);
}

int ame_iallreduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm,
                   ame_request **request)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, count, type, op, comm, "ame_iallreduce");
    return ame__coll_start(&call, request);
}
