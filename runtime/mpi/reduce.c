/* reduce.c - reductions.
 *
 * A predefined operation on a predefined type is libame's own algorithm with another function. Everything else (operations
 * of the program, derived types) goes up a binomial tree, in which each rank combines its own data, on the left, with what
 * comes from ranks above it, so that the order of ranks is kept for operations that do not commute; log2(n) rounds. Data of
 * derived types travels as an image: bytes that lie as the type says.
 */
#include "coll.h"

#include <string.h>

/* A step that applies an operation. */
struct application {
    const struct mpi__op *op;
    struct mpi__type *type;
    const void *in;
    void *acc;
    int64_t count;
};

static void apply(void *arg)
{
    const struct application *application = arg;
    mpi__op_apply(application->op, application->type, application->in, application->acc, application->count);
}

void mpi__build_apply(struct ame__sched *sched, struct mpi__coll *call, const void *in, void *acc, int64_t count)
{
    struct application *application = mpi__coll_memory(call, sizeof *application);
    if (!application || !count) return;
    *application = (struct application){.op = call->op, .type = call->recvtype, .in = in, .acc = acc, .count = count};
    ame__sched_call(sched, apply, application);
}

void *mpi__build_tree(struct ame__sched *sched, struct mpi__coll *call, int me, int base, int size, const void *from,
                      int64_t count, unsigned char **bytes, size_t *length)
{
    void *acc = mpi__coll_image(call, from, NULL, count, call->recvtype, bytes, length);
    int rank = me - base;
    for (int mask = 1; mask < size && !call->failure; mask <<= 1) {
        if (rank & mask) {
            ame__sched_send(sched, *bytes, *length, me - mask);
            ame__sched_round(sched);
            return NULL;
        }
        if (rank + mask >= size) continue;
        unsigned char *above;
        void *image = mpi__coll_image(call, NULL, NULL, count, call->recvtype, &above, length);
        ame__sched_recv(sched, above, *length, me + mask);
        ame__sched_round(sched);
        mpi__build_apply(sched, call, acc, image, count);
        ame__sched_round(sched);
        acc = image;
        *bytes = above;
    }
    return call->failure ? NULL : acc;
}

/* At the end, the data of an image goes to `to`. */
static void deliver(struct mpi__coll *call, const unsigned char *bytes, void *to)
{
    for (struct mpi__after *after = call->after; after; after = after->next)
        if (after->bytes == bytes) after->to = to;
}

static const void *own_data(const struct mpi__coll *call)
{
    return call->sendbuf == MPI_IN_PLACE ? call->recvbuf : call->sendbuf;
}

/* libame's algorithm, if there is one: a predefined operation on a predefined type. */
static bool direct(const struct mpi__coll *call, struct ame__coll *inner, int64_t count)
{
    *inner = mpi__inner(call);
    inner->combine = mpi__op_combine(call->op, call->recvtype->data->basic);
    if (!inner->combine) return false;
    inner->element = (size_t) ame__type_extent(call->recvtype->data);
    inner->count = (size_t) count;
    inner->sendbuf = call->sendbuf == MPI_IN_PLACE ? AME_IN_PLACE : call->sendbuf;
    inner->recvbuf = call->recvbuf;
    return true;
}

/* ---- reduce, allreduce --------------------------------------------------------------------------- */

static void build_reduce(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner;
    const struct mpi__comm *comm = call->comm;
    if (direct(call, &inner, call->recvcount)) {
        inner.rooted = true;
        inner.root = call->root;
        ame__build_reduce(sched, &inner);
        return;
    }
    unsigned char *bytes;
    size_t length;
    (void) mpi__build_tree(sched, call, comm->rank, 0, comm->size, own_data(call), call->recvcount, &bytes, &length);
    if (call->failure) return;
    if (comm->rank == 0 && call->root != 0) ame__sched_send(sched, bytes, length, call->root);
    if (comm->rank == call->root && call->root != 0) {
        (void) mpi__coll_image(call, NULL, call->recvbuf, call->recvcount, call->recvtype, &bytes, &length);
        ame__sched_recv(sched, bytes, length, 0);
    } else if (comm->rank == call->root) {
        deliver(call, bytes, call->recvbuf);
    }
}

static void build_allreduce(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner;
    const struct mpi__comm *comm = call->comm;
    if (direct(call, &inner, call->recvcount)) {
        ame__build_reduce(sched, &inner);
        return;
    }
    unsigned char *bytes;
    size_t length;
    (void) mpi__build_tree(sched, call, comm->rank, 0, comm->size, own_data(call), call->recvcount, &bytes, &length);
    if (call->failure) return;
    inner.length = length;
    inner.recvbuf = bytes;
    ame__build_bcast(sched, &inner);
    deliver(call, bytes, call->recvbuf);
}

static int check_reduction(struct mpi__coll *call, bool result_here)
{
    const void *own = own_data(call);
    int code = mpi__type_usable(call->recvtype, call->recvcount, own);
    if (!code) code = mpi__op_check(call->op, call->recvtype);
    if (!code && result_here) code = mpi__type_usable(call->recvtype, call->recvcount, call->recvbuf);
    bool in_place = call->sendbuf == MPI_IN_PLACE || (result_here && call->recvbuf == MPI_IN_PLACE);
    if (!code && in_place && call->comm->inter)
        code = mpi__fail(MPI_ERR_BUFFER, "MPI_IN_PLACE has no meaning for an intercommunicator");
    if (!code && result_here && call->recvcount && call->sendbuf == call->recvbuf && call->recvtype->data->size &&
        !call->comm->inter)
        code = mpi__fail(MPI_ERR_BUFFER, "arguments 'sendbuf' and 'recvbuf' are the same; give MPI_IN_PLACE");
    return code;
}

int mpi__Reduce(struct mpi__coll *call)
{
    const struct mpi__comm *comm = call->comm;
    int root = call->root;
    call->kind = AME__REDUCE;
    call->build = comm->inter ? mpi__build_inter_reduction : build_reduce;
    if (comm->inter && root == MPI_PROC_NULL) return MPI_SUCCESS; /* the other arguments have no meaning */
    if (comm->inter) {
        if (root != MPI_ROOT && (root < 0 || root >= comm->remote->size))
            return mpi__fail(MPI_ERR_ROOT, "argument 'root' is %d", root);
        return mpi__op_check(call->op, call->recvtype);
    }
    if (root < 0 || root >= comm->size)
        return mpi__fail(MPI_ERR_ROOT, "argument 'root' is %d; the communicator has the ranks 0 to %d", root,
                         comm->size - 1);
    if (call->sendbuf == MPI_IN_PLACE && comm->rank != root)
        return mpi__fail(MPI_ERR_BUFFER, "argument 'sendbuf' is MPI_IN_PLACE, which only the root may give");
    return check_reduction(call, comm->rank == root);
}

/* With a result on all ranks. */
static int reduction(struct mpi__coll *call, enum ame__coll_kind kind, mpi__build *algorithm)
{
    call->kind = kind;
    call->build = call->comm->inter ? mpi__build_inter_reduction : algorithm;
    return check_reduction(call, true);
}

int mpi__Allreduce(struct mpi__coll *call)
{
    return reduction(call, AME__ALLREDUCE, build_allreduce);
}

/* ---- reduce_scatter ------------------------------------------------------------------------------ */

/* If not libame's: rank 0 has the combination of all, of which each rank gets its part. */
static void build_reduce_scatter(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner;
    const struct mpi__comm *comm = call->comm;
    int64_t total = 0, extent = ame__type_extent(call->recvtype->data), mine = 0;
    size_t *lengths = mpi__coll_memory(call, 2 * (size_t) comm->size * sizeof *lengths), *places = lengths + comm->size;
    bool block = !call->recvcounts.narrow && !call->recvcounts.wide;
    if (!lengths) return;
    for (int rank = 0; rank < comm->size; rank++) {
        int64_t count = block ? call->recvcount : ame__count_at(call->recvcounts, rank);
        if (rank == comm->rank) mine = count;
        lengths[rank] = (size_t) (count * extent);
        places[rank] = (size_t) (total * extent);
        total += count;
    }
    if (direct(call, &inner, total)) {
        inner.sendbuf = own_data(call);
        inner.recvlengths = lengths;
        ame__build_reduce_scatter(sched, &inner);
        return;
    }
    unsigned char *bytes, *own;
    size_t length, own_length;
    void *acc = mpi__build_tree(sched, call, comm->rank, 0, comm->size, own_data(call), total, &bytes, &length);
    for (int rank = 1; comm->rank == 0 && rank < comm->size && !call->failure; rank++) {
        void *part = mpi__at(acc, (int64_t) places[rank]);
        int64_t begin, span;
        ame__type_span(call->recvtype->data, (int64_t) lengths[rank] / (extent ? extent : 1), &begin, &span);
        ame__sched_send(sched, mpi__at(part, begin), (size_t) span, rank);
    }
    if (call->failure) return;
    if (comm->rank != 0) {
        (void) mpi__coll_image(call, NULL, call->recvbuf, mine, call->recvtype, &own, &own_length);
        ame__sched_recv(sched, own, own_length, 0);
        return;
    }
    void *image = mpi__coll_image(call, NULL, call->recvbuf, mine, call->recvtype, &own, &own_length);
    int64_t begin, span;
    (void) image;
    ame__type_span(call->recvtype->data, mine, &begin, &span);
    ame__sched_copy(sched, own, mpi__at(acc, begin), (size_t) span);
}

int mpi__Reduce_scatter(struct mpi__coll *call)
{
    if (!call->recvcounts.narrow && !call->recvcounts.wide)
        return mpi__fail(MPI_ERR_ARG, "argument 'recvcounts' is NULL");
    for (int rank = 0; rank < call->comm->size; rank++)
        if (ame__count_at(call->recvcounts, rank) < 0)
            return mpi__fail(MPI_ERR_COUNT, "argument 'recvcounts[%d]' is negative", rank);
    return reduction(call, AME__OTHER, build_reduce_scatter);
}

int mpi__Reduce_scatter_block(struct mpi__coll *call)
{
    return reduction(call, AME__OTHER, build_reduce_scatter);
}

/* ---- scan, exscan -------------------------------------------------------------------------------- */

/* A chain: what comes from the left is the combination of all ranks before this one. */
static void build_chain(struct ame__sched *sched, struct mpi__coll *call)
{
    const struct mpi__comm *comm = call->comm;
    bool exclusive = call->kind == AME__OTHER, last = comm->rank == comm->size - 1;
    int64_t count = call->recvcount;
    unsigned char *own, *before;
    size_t length;
    void *mine =
        mpi__coll_image(call, own_data(call), exclusive ? NULL : call->recvbuf, count, call->recvtype, &own, &length);
    if (comm->rank > 0) {
        void *others =
            mpi__coll_image(call, NULL, exclusive ? call->recvbuf : NULL, count, call->recvtype, &before, &length);
        ame__sched_recv(sched, before, length, comm->rank - 1);
        ame__sched_round(sched);
        mpi__build_apply(sched, call, others, mine, count);
        ame__sched_round(sched);
    }
    if (!last && !call->failure) ame__sched_send(sched, own, length, comm->rank + 1);
}

static void build_scan(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner;
    if (direct(call, &inner, call->recvcount))
        ame__build_scan(sched, &inner);
    else
        build_chain(sched, call);
}

static int scan(struct mpi__coll *call, enum ame__coll_kind kind, mpi__build *algorithm)
{
    if (call->comm->inter) return mpi__fail(MPI_ERR_COMM, "argument 'comm' is an intercommunicator");
    return reduction(call, kind, algorithm);
}

int mpi__Scan(struct mpi__coll *call)
{
    return scan(call, AME__SCAN, build_scan);
}

int mpi__Exscan(struct mpi__coll *call)
{
    return scan(call, AME__OTHER, build_chain);
}
