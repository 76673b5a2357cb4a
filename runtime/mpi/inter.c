/* inter.c - collective calls on intercommunicators.
 *
 * The schedule runs on the communicator of libame over both groups, where the local ranks begin at local_base and the remote
 * ones at remote_base. Data goes directly between the groups. A reduction is made in each group by itself, its leaders
 * (ranks 0) exchange the results, and hand them out in their groups.
 */
#include "coll.h"

#include <string.h>

static void take(struct ame__sched *sched, struct mpi__coll *call, int from, void *buf, int64_t count,
                 const struct mpi__type *type)
{
    size_t length;
    void *in = mpi__coll_in(call, buf, count, type, &length);
    ame__sched_recv(sched, in, length, call->comm->remote_base + from);
}

static void give(struct ame__sched *sched, struct mpi__coll *call, int to, const void *buf, int64_t count,
                 const struct mpi__type *type)
{
    size_t length;
    const void *out = mpi__coll_out(call, buf, count, type, &length);
    ame__sched_send(sched, out, length, call->comm->remote_base + to);
}

static void build_rooted(struct ame__sched *sched, struct mpi__coll *call)
{
    int others = call->comm->remote->size;
    const struct mpi__type *type;
    void *buf;
    int64_t count;
    bool root = call->root == MPI_ROOT;
    if (call->root == MPI_PROC_NULL) return;
    if (call->kind == AME__BCAST) {
        for (int rank = 0; root && rank < others; rank++)
            give(sched, call, rank, call->recvbuf, call->recvcount, call->recvtype);
        if (!root) take(sched, call, call->root, call->recvbuf, call->recvcount, call->recvtype);
        return;
    }
    bool gathers = call->kind == AME__GATHER || call->kind == AME__GATHERV;
    for (int rank = 0; root && rank < others && !call->failure; rank++) {
        mpi__coll_block(call, gathers, rank, &buf, &count, &type);
        if (gathers)
            take(sched, call, rank, buf, count, type);
        else
            give(sched, call, rank, buf, count, type);
    }
    if (!root && gathers) give(sched, call, call->root, call->sendbuf, call->sendcount, call->sendtype);
    if (!root && !gathers) take(sched, call, call->root, call->recvbuf, call->recvcount, call->recvtype);
}

void mpi__build_inter(struct ame__sched *sched, struct mpi__coll *call)
{
    const struct mpi__type *type;
    void *buf;
    int64_t count;
    if (call->rooted) {
        build_rooted(sched, call);
        return;
    }
    for (int rank = 0; rank < call->comm->remote->size && !call->failure; rank++) {
        mpi__coll_block(call, true, rank, &buf, &count, &type);
        take(sched, call, rank, buf, count, type);
        mpi__coll_block(call, false, rank, &buf, &count, &type);
        give(sched, call, rank, buf, count, type);
    }
}

/* ---- reductions ---------------------------------------------------------------------------------- */

/* The root receives what the other group has combined. */
static void build_reduce(struct ame__sched *sched, struct mpi__coll *call)
{
    const struct mpi__comm *comm = call->comm;
    unsigned char *bytes;
    size_t length;
    if (call->root == MPI_PROC_NULL) return;
    if (call->root == MPI_ROOT) {
        (void) mpi__coll_image(call, NULL, call->recvbuf, call->recvcount, call->recvtype, &bytes, &length);
        ame__sched_recv(sched, bytes, length, comm->remote_base);
        return;
    }
    void *acc = mpi__build_tree(sched, call, comm->local_base + comm->rank, comm->local_base, comm->size, call->sendbuf,
                                call->recvcount, &bytes, &length);
    if (acc) ame__sched_send(sched, bytes, length, comm->remote_base + call->root);
}

/* Leaders exchange; each hands to rank r of its group count_of(r) elements. */
static void hand_out(struct ame__sched *sched, struct mpi__coll *call, int64_t total, int64_t (*count_of)(void *, int),
                     int64_t (*first_of)(void *, int))
{
    const struct mpi__comm *comm = call->comm;
    unsigned char *bytes, *theirs;
    size_t length;
    int64_t extent = ame__type_extent(call->recvtype->data), begin, span;
    void *acc = mpi__build_tree(sched, call, comm->local_base + comm->rank, comm->local_base, comm->size, call->sendbuf,
                                total, &bytes, &length);
    if (call->failure) return;
    if (!acc) {
        (void) mpi__coll_image(call, NULL, call->recvbuf, count_of(call, comm->rank), call->recvtype, &bytes, &length);
        ame__sched_recv(sched, bytes, length, comm->local_base);
        return;
    }
    void *image = mpi__coll_image(call, NULL, NULL, total, call->recvtype, &theirs, &length);
    ame__sched_recv(sched, theirs, length, comm->remote_base);
    ame__sched_send(sched, bytes, length, comm->remote_base);
    ame__sched_round(sched);
    for (int rank = 0; rank < comm->size && !call->failure; rank++) {
        const void *part = mpi__at(image, first_of(call, rank) * extent);
        ame__type_span(call->recvtype->data, count_of(call, rank), &begin, &span);
        if (rank > 0) {
            ame__sched_send(sched, mpi__at(part, begin), (size_t) span, comm->local_base + rank);
            continue;
        }
        (void) mpi__coll_image(call, NULL, call->recvbuf, count_of(call, 0), call->recvtype, &bytes, &length);
        ame__sched_copy(sched, bytes, mpi__at(part, begin), (size_t) span);
    }
}

static int64_t everything(void *call, int rank)
{
    (void) rank;
    return ((struct mpi__coll *) call)->recvcount;
}

static int64_t from_the_beginning(void *call, int rank)
{
    (void) call;
    (void) rank;
    return 0;
}

static int64_t part_count(void *arg, int rank)
{
    const struct mpi__coll *call = arg;
    bool block = !call->recvcounts.narrow && !call->recvcounts.wide;
    return block ? call->recvcount : ame__count_at(call->recvcounts, rank);
}

static int64_t part_first(void *arg, int rank)
{
    int64_t first = 0;
    for (int before = 0; before < rank; before++) first += part_count(arg, before);
    return first;
}

void mpi__build_inter_reduction(struct ame__sched *sched, struct mpi__coll *call)
{
    if (call->kind == AME__REDUCE)
        build_reduce(sched, call);
    else if (call->kind == AME__ALLREDUCE)
        hand_out(sched, call, call->recvcount, everything, from_the_beginning);
    else
        hand_out(sched, call, part_first(call, call->comm->size), part_count, part_first);
}
