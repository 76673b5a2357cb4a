/* coll.c - running collective calls, and those that move data. See coll.h. */
#include "coll.h"

#include <stdlib.h>
#include <string.h>

enum { PARTNERS = 8 /* at the same time, in an exchange of all with all */ };

/* ---- running ------------------------------------------------------------------------------------- */

static void build(struct ame__sched *sched, const struct ame__coll *inner)
{
    struct mpi__coll *call = inner->arg;
    call->build(sched, call);
}

struct ame__coll mpi__inner(const struct mpi__coll *call)
{
    return (struct ame__coll){
        .function = call->name, .kind = call->kind, .comm = call->own ? call->own : call->comm->ame};
}

static struct ame__coll outer(struct mpi__coll *call)
{
    struct ame__coll coll = mpi__inner(call);
    coll.build = build;
    coll.arg = call;
    if (call->rooted && !call->comm->inter) {
        coll.root = call->root;
        coll.rooted = true;
    }
    return coll;
}

static void free_memory(struct mpi__coll *call)
{
    for (struct mpi__after *after = call->after, *next; after; after = next) {
        next = after->next;
        mpi__type_drop(after->type);
        free(after);
    }
    call->after = NULL;
}

int mpi__coll_finish(struct mpi__coll *call, int code)
{
    for (struct mpi__after *after = call->after; after && !code && !call->failure; after = after->next) {
        if (after->what == MPI__PACKED)
            ame__type_unpack(after->type->data, after->count, after->to, 0, after->bytes, (int64_t) after->length);
        if (after->what == MPI__IMAGE && after->to)
            ame__type_copy(after->type->data, after->count, after->to, after->type->data, after->count,
                           mpi__at(after->bytes, -after->begin));
    }
    free_memory(call);
    int failure = call->failure;
    call->failure = MPI_SUCCESS;
    return failure;
}

int mpi__coll_run(struct mpi__coll *call)
{
    struct ame__coll coll = outer(call);
    int code = ame__coll_run(&coll);
    int failure = mpi__coll_finish(call, code);
    return code ? mpi__fail_ame(code) : failure;
}

/* What may be freed by the program while the call is under way. */
static void hold(const struct mpi__coll *call, void (*hold_or_drop)(struct mpi__type *type))
{
    if (call->sendtype) hold_or_drop(call->sendtype);
    if (call->recvtype) hold_or_drop(call->recvtype);
}

static void hold_type(struct mpi__type *type)
{
    mpi__object_hold(&type->object);
}

static int start_request(struct mpi__request *request)
{
    struct ame__coll coll = outer(request->coll);
    int code = mpi__fail_ame(ame__coll_start(&coll, &request->ame));
    if (code) (void) mpi__coll_finish(request->coll, AME_E_INTERNAL);
    return code;
}

static int request_of(struct mpi__coll *call, struct mpi__request **request)
{
    struct mpi__coll *copy = malloc(sizeof *copy);
    int code = copy ? mpi__request_new(call->comm, request) : mpi__no_memory();
    if (code) {
        free(copy);
        return code;
    }
    *copy = *call;
    copy->held = true;
    hold(copy, hold_type);
    if (copy->op) mpi__object_hold(&copy->op->object);
    (*request)->coll = copy;
    (*request)->start = start_request;
    return MPI_SUCCESS;
}

/* ---- arrays of a persistent call ----------------------------------------------------------------- */
/* MPI 4.1, section 6.13, wants them untouched as long as the request lives. Other MPIs look at them only once, and there
 * are programs that rely on it. */

static bool takes_part_as_root(const struct mpi__coll *call)
{
    return call->comm->inter ? call->root == MPI_ROOT : call->comm->rank == call->root;
}

static void copy_counts(struct ame__counts *counts, int64_t **at, int n)
{
    if (!counts->narrow && !counts->wide) return;
    for (int i = 0; i < n; i++) (*at)[i] = ame__count_at(*counts, i);
    *counts = AME__WIDE(*at);
    *at += n;
}

static void copy_types(const MPI_Datatype **types, MPI_Datatype **at, int n)
{
    if (!*types) return;
    for (int i = 0; i < n; i++) {
        (*at)[i] = (*types)[i];
        struct mpi__type *type = mpi__datatype_of((*at)[i]);
        if (type) mpi__object_hold(&type->object);
    }
    *types = *at;
    *at += n;
}

static void drop_types(const MPI_Datatype *types, int n)
{
    for (int i = 0; types && i < n; i++) mpi__type_drop(mpi__datatype_of(types[i]));
}

static int blocks_of(const struct mpi__coll *call, bool in)
{
    if (call->neighbors) return in ? call->blocks_in : call->blocks_out;
    return mpi__comm_peers(call->comm);
}

static int copy_arrays(struct mpi__coll *call)
{
    if (call->rooted && !takes_part_as_root(call)) return MPI_SUCCESS; /* what is there has no meaning */
    size_t out = (size_t) blocks_of(call, false), in = (size_t) blocks_of(call, true);
    call->arrays = calloc(out + in + 1, 2 * sizeof(int64_t) + sizeof(MPI_Datatype));
    if (!call->arrays) return mpi__no_memory();
    int64_t *at = call->arrays;
    copy_counts(&call->sendcounts, &at, (int) out);
    copy_counts(&call->senddispls, &at, (int) out);
    copy_counts(&call->recvcounts, &at, (int) in);
    copy_counts(&call->recvdispls, &at, (int) in);
    MPI_Datatype *types = (MPI_Datatype *) at;
    copy_types(&call->sendtypes, &types, (int) out);
    copy_types(&call->recvtypes, &types, (int) in);
    return MPI_SUCCESS;
}

void mpi__coll_free(struct mpi__coll *call)
{
    free_memory(call);
    if (call->arrays) {
        drop_types(call->sendtypes, blocks_of(call, false));
        drop_types(call->recvtypes, blocks_of(call, true));
        free(call->arrays);
    }
    if (call->held) {
        hold(call, mpi__type_drop);
        mpi__op_drop(call->op);
    }
    if (call->own) (void) ame_comm_free(&call->own);
    free(call);
}

int mpi__coll_start(struct mpi__coll *call, struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    int code = request_of(call, &made);
    if (code) return code;
    code = start_request(made);
    if (code) {
        mpi__request_drop(made);
        return code;
    }
    *request = made;
    return MPI_SUCCESS;
}

int mpi__coll_init(struct mpi__coll *call, struct mpi__info *info, struct mpi__request **request)
{
    (void) info;
    struct mpi__request *made = NULL;
    int code = request_of(call, &made);
    if (code) return code;
    made->persistent = true;
    made->active = false;
    code = copy_arrays(made->coll);
    if (!code) code = mpi__fail_ame(ame_comm_dup(call->comm->ame, &made->coll->own));
    if (code) {
        mpi__request_drop(made);
        return code;
    }
    *request = made;
    return MPI_SUCCESS;
}

/* ---- memory of a call ---------------------------------------------------------------------------- */

static struct mpi__after *allocate(struct mpi__coll *call, size_t size)
{
    struct mpi__after *after = calloc(1, sizeof *after + size);
    if (!after) {
        call->failure = mpi__no_memory();
        return NULL;
    }
    after->bytes = after->memory;
    after->length = size;
    after->next = call->after;
    call->after = after;
    return after;
}

/* A type that is needed at the end; the program may free it before. */
static struct mpi__type *keep(const struct mpi__type *type)
{
    struct mpi__type *kept = (struct mpi__type *) (uintptr_t) type;
    mpi__object_hold(&kept->object);
    return kept;
}

void *mpi__coll_memory(struct mpi__coll *call, size_t size)
{
    struct mpi__after *after = allocate(call, size);
    return after ? after->memory : NULL;
}

size_t mpi__coll_length(struct mpi__coll *call, int64_t count, const struct mpi__type *type)
{
    int64_t length = 0;
    int code = mpi__type_error(ame__type_total(type->data, count, &length));
    if (code) call->failure = code;
    return (size_t) length;
}

const void *mpi__coll_copy_out(struct mpi__coll *call, const void *buf, int64_t count, const struct mpi__type *type,
                               size_t *length)
{
    *length = mpi__coll_length(call, count, type);
    struct mpi__after *after = *length ? allocate(call, *length) : NULL;
    if (!after) return NULL;
    ame__type_pack(type->data, count, buf, 0, after->bytes, (int64_t) *length);
    return after->bytes;
}

const void *mpi__coll_out(struct mpi__coll *call, const void *buf, int64_t count, const struct mpi__type *type,
                          size_t *length)
{
    *length = mpi__coll_length(call, count, type);
    if (*length == 0) return NULL;
    const void *direct = ame__type_direct(type->data, count, buf);
    return direct ? direct : mpi__coll_copy_out(call, buf, count, type, length);
}

void *mpi__coll_in(struct mpi__coll *call, void *buf, int64_t count, const struct mpi__type *type, size_t *length)
{
    *length = mpi__coll_length(call, count, type);
    if (*length == 0) return NULL;
    void *direct = ame__type_direct(type->data, count, buf);
    if (direct) return direct;
    struct mpi__after *after = allocate(call, *length);
    if (!after) return NULL;
    after->what = MPI__PACKED;
    after->to = buf;
    after->count = count;
    after->type = keep(type);
    return after->bytes;
}

void *mpi__coll_image(struct mpi__coll *call, const void *from, void *to, int64_t count, const struct mpi__type *type,
                      unsigned char **bytes, size_t *length)
{
    int64_t begin, span;
    ame__type_span(type->data, count, &begin, &span);
    struct mpi__after *after = allocate(call, (size_t) span);
    *bytes = NULL;
    *length = (size_t) span;
    if (!after) return NULL;
    after->what = MPI__IMAGE;
    after->to = to;
    after->count = count;
    after->type = keep(type);
    after->begin = begin;
    *bytes = after->bytes;
    void *address = mpi__at(after->bytes, -begin);
    if (from) ame__type_copy(type->data, count, address, type->data, count, from);
    return address;
}

bool mpi__dense(const struct mpi__type *type)
{
    const struct ame__datatype *data = type->data;
    return data->size == ame__type_extent(data) && data->true_lb == 0 && data->true_ub == data->size &&
           ame__type_direct(data, 2, (void *) 64) != NULL;
}

void *mpi__block(const void *buf, struct ame__counts displs, int i, const struct mpi__type *type, bool in_bytes)
{
    int64_t displ = ame__count_at(displs, i);
    return mpi__at(buf, in_bytes ? displ : displ * ame__type_extent(type->data));
}

void mpi__coll_block(const struct mpi__coll *call, bool receives, int i, void **buf, int64_t *count,
                     const struct mpi__type **type)
{
    const MPI_Datatype *types = receives ? call->recvtypes : call->sendtypes;
    struct ame__counts counts = receives ? call->recvcounts : call->sendcounts;
    struct ame__counts displs = receives ? call->recvdispls : call->senddispls;
    const void *base = receives ? call->recvbuf : call->sendbuf;
    *type = types ? mpi__datatype_of(types[i]) : receives ? call->recvtype : call->sendtype;
    if (counts.narrow || counts.wide) {
        *count = ame__count_at(counts, i);
        *buf = mpi__block(base, displs, i, *type, call->in_bytes);
    } else {
        *count = receives ? call->recvcount : call->sendcount;
        bool same = !receives && (call->kind == AME__ALLGATHER || call->kind == AME__ALLGATHERV);
        *buf = mpi__at(base, same ? 0 : i * *count * ame__type_extent((*type)->data));
    }
}

/* ---- checks -------------------------------------------------------------------------------------- */

static int check_root(const struct mpi__coll *call)
{
    const struct mpi__comm *comm = call->comm;
    if (comm->inter && (call->root == MPI_ROOT || call->root == MPI_PROC_NULL)) return MPI_SUCCESS;
    if (call->root >= 0 && call->root < mpi__comm_peers(comm)) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_ROOT, "argument 'root' is %d; the communicator has the ranks 0 to %d", call->root,
                     mpi__comm_peers(comm) - 1);
}

static int check_part(const void *buf, int64_t count, const struct mpi__type *type, const char *argument)
{
    if (!type) return mpi__fail(MPI_ERR_TYPE, "argument '%s' is MPI_DATATYPE_NULL", argument);
    return mpi__type_usable(type, count, buf);
}

static int check_counts(struct ame__counts counts, int n, const char *argument)
{
    if (!counts.narrow && !counts.wide && n) return mpi__fail(MPI_ERR_ARG, "argument '%s' is NULL", argument);
    for (int i = 0; i < n; i++)
        if (ame__count_at(counts, i) < 0)
            return mpi__fail(MPI_ERR_COUNT, "argument '%s[%d]' is %lld", argument, i,
                             (long long) ame__count_at(counts, i));
    return MPI_SUCCESS;
}

static int check_in_place(const struct mpi__coll *call)
{
    bool in_place = call->sendbuf == MPI_IN_PLACE || call->recvbuf == MPI_IN_PLACE;
    if (!in_place || !call->comm->inter) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_BUFFER, "MPI_IN_PLACE has no meaning for an intercommunicator");
}

/* ---- barrier, bcast ------------------------------------------------------------------------------ */

static void build_barrier(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    ame__build_barrier(sched, &inner);
}

int mpi__Barrier(struct mpi__coll *call)
{
    call->kind = AME__BARRIER;
    call->build = build_barrier;
    return MPI_SUCCESS;
}

static void build_bcast(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    inner.root = call->root;
    inner.recvbuf =
        takes_part_as_root(call)
            ? (void *) (uintptr_t) mpi__coll_out(call, call->recvbuf, call->recvcount, call->recvtype, &inner.length)
            : mpi__coll_in(call, call->recvbuf, call->recvcount, call->recvtype, &inner.length);
    ame__build_bcast(sched, &inner);
}

int mpi__Bcast(struct mpi__coll *call)
{
    call->kind = AME__BCAST;
    call->build = call->comm->inter ? mpi__build_inter : build_bcast;
    int code = check_root(call);
    if (call->comm->inter && call->root == MPI_PROC_NULL) return MPI_SUCCESS; /* the other arguments have no meaning */
    return code ? code : mpi__type_usable(call->recvtype, call->recvcount, call->recvbuf);
}

/* ---- gather, scatter ----------------------------------------------------------------------------- */

/* Lengths and places of `size` blocks for libame: in the caller's buffer if its type is dense, else packed one after the
 * other. *base: from where places count. `receives`: what comes packed is unpacked at the end. */
static bool blocks(struct mpi__coll *call, int size, void *buf, struct ame__counts counts, struct ame__counts displs,
                   const struct mpi__type *type, bool receives, void **base, size_t **lengths, size_t **places)
{
    size_t total = 0, each = (size_t) type->data->size;
    bool dense = mpi__dense(type);
    *lengths = mpi__coll_memory(call, 2 * (size_t) size * sizeof **lengths);
    if (!*lengths) return false;
    *places = *lengths + size;
    for (int i = 0; i < size; i++) {
        (*lengths)[i] = (size_t) ame__count_at(counts, i) * each;
        (*places)[i] = dense ? (size_t) ame__count_at(displs, i) * each : total;
        total += (*lengths)[i];
    }
    *base = buf;
    if (dense) return true;
    unsigned char *packed = mpi__coll_memory(call, total);
    if (!packed) return false;
    for (int i = 0; i < size; i++) {
        int64_t count = ame__count_at(counts, i);
        void *block = mpi__block(buf, displs, i, type, false);
        if (!receives) ame__type_pack(type->data, count, block, 0, packed + (*places)[i], (int64_t) (*lengths)[i]);
        if (!receives || !count) continue;
        struct mpi__after *after = allocate(call, 0);
        if (!after) return false;
        *after = (struct mpi__after){.next = after->next,
                                     .what = MPI__PACKED,
                                     .to = block,
                                     .count = count,
                                     .type = keep(type),
                                     .bytes = packed + (*places)[i],
                                     .length = (*lengths)[i]};
    }
    *base = packed;
    return true;
}

/* This rank's own block, in place, where the blocks are packed: what is there must not be lost. */
static void pack_own(unsigned char *base, size_t place, size_t length, const void *block, int64_t count,
                     const struct mpi__type *type)
{
    if (length) ame__type_pack(type->data, count, block, 0, base + place, (int64_t) length);
}

static void build_gather(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    const struct mpi__comm *comm = call->comm;
    bool in_place = call->sendbuf == MPI_IN_PLACE;
    inner.root = call->root;
    if (!in_place) inner.sendbuf = mpi__coll_out(call, call->sendbuf, call->sendcount, call->sendtype, &inner.length);
    if (comm->rank == call->root) {
        size_t all;
        inner.length = mpi__coll_length(call, call->recvcount, call->recvtype);
        inner.recvbuf = mpi__coll_in(call, call->recvbuf, call->recvcount * comm->size, call->recvtype, &all);
        if (in_place) {
            void *block = mpi__at(call->recvbuf, call->recvcount * comm->rank * ame__type_extent(call->recvtype->data));
            if (inner.recvbuf && !ame__type_direct(call->recvtype->data, call->recvcount * comm->size, call->recvbuf))
                pack_own(inner.recvbuf, inner.length * (size_t) comm->rank, inner.length, block, call->recvcount,
                         call->recvtype);
            inner.sendbuf = AME_IN_PLACE;
        }
    }
    if (!call->failure) ame__build_gather(sched, &inner);
}

/* What gather and gatherv have in common: the counts of a v form are checked by itself. */
static int gather(struct mpi__coll *call, enum ame__coll_kind kind, mpi__build *algorithm)
{
    call->kind = kind;
    call->build = call->comm->inter ? mpi__build_inter : algorithm;
    bool here = takes_part_as_root(call), sends = call->comm->inter ? call->root >= 0 : call->sendbuf != MPI_IN_PLACE;
    int code = check_root(call);
    if (!code) code = check_in_place(call);
    if (!code && sends) code = check_part(call->sendbuf, call->sendcount, call->sendtype, "sendtype");
    if (!code && here) code = check_part(call->recvbuf, call->recvcount, call->recvtype, "recvtype");
    if (!code && !sends) call->sendtype = NULL;
    if (!code && !here) call->recvtype = NULL;
    if (!code && call->sendbuf == MPI_IN_PLACE && !here)
        code = mpi__fail(MPI_ERR_BUFFER, "argument 'sendbuf' is MPI_IN_PLACE, which only the root may give");
    return code;
}

int mpi__Gather(struct mpi__coll *call)
{
    return gather(call, AME__GATHER, build_gather);
}

static void build_gatherv(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    const struct mpi__comm *comm = call->comm;
    bool in_place = call->sendbuf == MPI_IN_PLACE;
    inner.root = call->root;
    if (!in_place) inner.sendbuf = mpi__coll_out(call, call->sendbuf, call->sendcount, call->sendtype, &inner.length);
    if (comm->rank == call->root) {
        size_t *lengths, *places;
        if (!blocks(call, comm->size, call->recvbuf, call->recvcounts, call->recvdispls, call->recvtype, true,
                    &inner.recvbuf, &lengths, &places))
            return;
        inner.recvlengths = lengths;
        inner.recvdispls = places;
        if (in_place) {
            if (!mpi__dense(call->recvtype))
                pack_own(inner.recvbuf, places[comm->rank], lengths[comm->rank],
                         mpi__block(call->recvbuf, call->recvdispls, comm->rank, call->recvtype, false),
                         ame__count_at(call->recvcounts, comm->rank), call->recvtype);
            inner.sendbuf = AME_IN_PLACE;
            inner.length = lengths[comm->rank];
        }
    }
    if (!call->failure) ame__build_gather(sched, &inner);
}

int mpi__Gatherv(struct mpi__coll *call)
{
    int code = gather(call, AME__GATHERV, build_gatherv);
    if (!code && takes_part_as_root(call))
        code = check_counts(call->recvcounts, mpi__comm_peers(call->comm), "recvcounts");
    return code;
}

static void build_scatter(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    const struct mpi__comm *comm = call->comm;
    inner.root = call->root;
    if (call->recvbuf == MPI_IN_PLACE)
        inner.recvbuf = AME_IN_PLACE;
    else
        inner.recvbuf = mpi__coll_in(call, call->recvbuf, call->recvcount, call->recvtype, &inner.length);
    if (comm->rank == call->root) {
        size_t all;
        inner.length = mpi__coll_length(call, call->sendcount, call->sendtype);
        inner.sendbuf = mpi__coll_out(call, call->sendbuf, call->sendcount * comm->size, call->sendtype, &all);
    }
    if (!call->failure) ame__build_scatter(sched, &inner);
}

static int scatter(struct mpi__coll *call, enum ame__coll_kind kind, mpi__build *algorithm)
{
    call->kind = kind;
    call->build = call->comm->inter ? mpi__build_inter : algorithm;
    bool here = takes_part_as_root(call),
         receives = call->comm->inter ? call->root >= 0 : call->recvbuf != MPI_IN_PLACE;
    int code = check_root(call);
    if (!code) code = check_in_place(call);
    if (!code && receives) code = check_part(call->recvbuf, call->recvcount, call->recvtype, "recvtype");
    if (!code && here) code = check_part(call->sendbuf, call->sendcount, call->sendtype, "sendtype");
    if (!code && !receives) call->recvtype = NULL;
    if (!code && !here) call->sendtype = NULL;
    if (!code && call->recvbuf == MPI_IN_PLACE && !here)
        code = mpi__fail(MPI_ERR_BUFFER, "argument 'recvbuf' is MPI_IN_PLACE, which only the root may give");
    return code;
}

int mpi__Scatter(struct mpi__coll *call)
{
    return scatter(call, AME__SCATTER, build_scatter);
}

static void build_scatterv(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    const struct mpi__comm *comm = call->comm;
    inner.root = call->root;
    if (call->recvbuf == MPI_IN_PLACE)
        inner.recvbuf = AME_IN_PLACE;
    else
        inner.recvbuf = mpi__coll_in(call, call->recvbuf, call->recvcount, call->recvtype, &inner.length);
    if (comm->rank == call->root) {
        size_t *lengths, *places;
        void *base;
        if (!blocks(call, comm->size, (void *) (uintptr_t) call->sendbuf, call->sendcounts, call->senddispls,
                    call->sendtype, false, &base, &lengths, &places))
            return;
        inner.sendbuf = base;
        inner.sendlengths = lengths;
        inner.senddispls = places;
        if (call->recvbuf == MPI_IN_PLACE) inner.length = lengths[comm->rank];
    }
    if (!call->failure) ame__build_scatter(sched, &inner);
}

int mpi__Scatterv(struct mpi__coll *call)
{
    int code = scatter(call, AME__SCATTERV, build_scatterv);
    if (!code && takes_part_as_root(call))
        code = check_counts(call->sendcounts, mpi__comm_peers(call->comm), "sendcounts");
    return code;
}

/* ---- allgather ----------------------------------------------------------------------------------- */

static void build_allgather(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    const struct mpi__comm *comm = call->comm;
    int64_t total = call->recvcount * comm->size;
    size_t all;
    inner.recvbuf = mpi__coll_in(call, call->recvbuf, total, call->recvtype, &all);
    inner.length = mpi__coll_length(call, call->recvcount, call->recvtype);
    if (call->sendbuf != MPI_IN_PLACE) {
        size_t own;
        inner.sendbuf = mpi__coll_out(call, call->sendbuf, call->sendcount, call->sendtype, &own);
    } else {
        void *block = mpi__at(call->recvbuf, call->recvcount * comm->rank * ame__type_extent(call->recvtype->data));
        if (inner.recvbuf && !ame__type_direct(call->recvtype->data, total, call->recvbuf))
            pack_own(inner.recvbuf, inner.length * (size_t) comm->rank, inner.length, block, call->recvcount,
                     call->recvtype);
        inner.sendbuf = AME_IN_PLACE;
    }
    if (!call->failure) ame__build_allgather(sched, &inner);
}

/* What allgather and alltoall have in common, in all forms with one type for each side. */
static int exchange(struct mpi__coll *call, enum ame__coll_kind kind, mpi__build *algorithm)
{
    call->kind = kind;
    call->build = call->comm->inter ? mpi__build_inter : algorithm;
    int code = check_in_place(call);
    if (call->sendbuf == MPI_IN_PLACE)
        call->sendtype = NULL;
    else if (!code)
        code = check_part(call->sendbuf, call->sendcount, call->sendtype, "sendtype");
    return code ? code : mpi__type_usable(call->recvtype, call->recvcount, call->recvbuf);
}

int mpi__Allgather(struct mpi__coll *call)
{
    return exchange(call, AME__ALLGATHER, build_allgather);
}

static void build_allgatherv(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    const struct mpi__comm *comm = call->comm;
    size_t *lengths, *places;
    if (!blocks(call, comm->size, call->recvbuf, call->recvcounts, call->recvdispls, call->recvtype, true,
                &inner.recvbuf, &lengths, &places))
        return;
    inner.recvlengths = lengths;
    inner.recvdispls = places;
    inner.length = lengths[comm->rank];
    if (call->sendbuf != MPI_IN_PLACE) {
        size_t own;
        inner.sendbuf = mpi__coll_out(call, call->sendbuf, call->sendcount, call->sendtype, &own);
    } else {
        if (!mpi__dense(call->recvtype))
            pack_own(inner.recvbuf, places[comm->rank], lengths[comm->rank],
                     mpi__block(call->recvbuf, call->recvdispls, comm->rank, call->recvtype, false),
                     ame__count_at(call->recvcounts, comm->rank), call->recvtype);
        inner.sendbuf = AME_IN_PLACE;
    }
    if (!call->failure) ame__build_allgather(sched, &inner);
}

int mpi__Allgatherv(struct mpi__coll *call)
{
    int code = exchange(call, AME__ALLGATHERV, build_allgatherv);
    return code ? code : check_counts(call->recvcounts, mpi__comm_peers(call->comm), "recvcounts");
}

/* ---- alltoall ------------------------------------------------------------------------------------ */

static void exchange_with(struct ame__sched *sched, struct mpi__coll *call, int from, int to)
{
    const struct mpi__type *type;
    void *buf;
    int64_t count;
    size_t length;
    bool in_place = call->sendbuf == MPI_IN_PLACE;
    mpi__coll_block(call, true, from, &buf, &count, &type);
    void *in = mpi__coll_in(call, buf, count, type, &length);
    ame__sched_recv(sched, in, length, from);
    mpi__coll_block(call, in_place, to, &buf, &count, &type);
    const void *out =
        in_place ? mpi__coll_copy_out(call, buf, count, type, &length) : mpi__coll_out(call, buf, count, type, &length);
    ame__sched_send(sched, out, length, to);
}

static void build_exchange(struct ame__sched *sched, struct mpi__coll *call)
{
    int size = call->comm->size, me = call->comm->rank;
    bool in_place = call->sendbuf == MPI_IN_PLACE;
    if (!in_place) {
        const struct mpi__type *in_type, *out_type;
        void *in, *out;
        int64_t in_count, out_count;
        mpi__coll_block(call, true, me, &in, &in_count, &in_type);
        mpi__coll_block(call, false, me, &out, &out_count, &out_type);
        ame__type_copy(in_type->data, in_count, in, out_type->data, out_count, out);
    }
    for (int distance = 1; distance < size && !call->failure; distance++) {
        exchange_with(sched, call, (me - distance + size) % size, (me + distance) % size);
        if (distance % PARTNERS == 0 && !in_place) ame__sched_round(sched);
    }
}

static void build_alltoall(struct ame__sched *sched, struct mpi__coll *call)
{
    struct ame__coll inner = mpi__inner(call);
    bool in_place = call->sendbuf == MPI_IN_PLACE;
    if (!mpi__dense(call->recvtype) || (!in_place && !mpi__dense(call->sendtype))) {
        build_exchange(sched, call);
        return;
    }
    inner.length = mpi__coll_length(call, call->recvcount, call->recvtype);
    inner.sendbuf = in_place ? AME_IN_PLACE : call->sendbuf;
    inner.recvbuf = call->recvbuf;
    ame__build_alltoall(sched, &inner);
}

int mpi__Alltoall(struct mpi__coll *call)
{
    return exchange(call, AME__ALLTOALL, build_alltoall);
}

int mpi__Alltoallv(struct mpi__coll *call)
{
    int peers = mpi__comm_peers(call->comm), code = exchange(call, AME__ALLTOALLV, build_exchange);
    if (!code && call->sendbuf != MPI_IN_PLACE) code = check_counts(call->sendcounts, peers, "sendcounts");
    return code ? code : check_counts(call->recvcounts, peers, "recvcounts");
}

static int check_types(const MPI_Datatype types[], struct ame__counts counts, int n, const char *argument)
{
    struct mpi__type *type;
    if (!types && n) return mpi__fail(MPI_ERR_ARG, "argument '%s' is NULL", argument);
    for (int i = 0; i < n; i++) {
        int code = mpi__in_datatype(types[i], argument, &type);
        if (!code && !type->data->committed && ame__count_at(counts, i))
            code = mpi__fail(MPI_ERR_TYPE, "argument '%s[%d]' has not been committed", argument, i);
        if (code) return code;
    }
    return MPI_SUCCESS;
}

int mpi__coll_check_w(struct mpi__coll *call, int sends, int receives)
{
    int code = MPI_SUCCESS;
    if (call->sendbuf != MPI_IN_PLACE) {
        code = check_counts(call->sendcounts, sends, "sendcounts");
        if (!code) code = check_types(call->sendtypes, call->sendcounts, sends, "sendtypes");
    }
    if (!code) code = check_counts(call->recvcounts, receives, "recvcounts");
    return code ? code : check_types(call->recvtypes, call->recvcounts, receives, "recvtypes");
}

int mpi__Alltoallw(struct mpi__coll *call)
{
    call->kind = AME__ALLTOALLV;
    call->build = call->comm->inter ? mpi__build_inter : build_exchange;
    int code = check_in_place(call);
    return code ? code : mpi__coll_check_w(call, mpi__comm_peers(call->comm), mpi__comm_peers(call->comm));
}
