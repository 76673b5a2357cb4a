/* scatter.c - scatter and scatterv, star: the root sends everybody its block. 1 hop, n-1 messages, no byte moves twice.
 */
#include "coll.h"

#include "base/error.h"

void ame__star_scatter(struct ame__sched *sched, const ame_comm *comm, int centre, const unsigned char *base,
                       const size_t *lengths, const size_t *offsets, void *own, size_t own_length)
{
    if (comm->rank != centre) {
        ame__sched_recv(sched, own, own_length, centre);
        return;
    }
    for (int i = 1; i < comm->size; i++) {
        int rank = (centre + i) % comm->size;
        ame__sched_send(sched, base + offsets[rank], lengths[rank], rank);
    }
    if (own != AME_IN_PLACE) ame__sched_copy(sched, own, base + offsets[centre], lengths[centre]);
}

static int check_scatter(const struct ame__coll *call)
{
    int code = ame__check_own(call, call->recvbuf, call->length, "recvbuf");
    if (!code) code = ame__check_total(call, call->length, "length");
    if (!code && ame__is_root(call)) code = ame__check_pointer(call, call->sendbuf, call->length, "sendbuf");
    return code;
}

static int check_scatterv(const struct ame__coll *call)
{
    int code = ame__check_own(call, call->recvbuf, call->length, "recvbuf");
    if (!code && ame__is_root(call))
        code = ame__check_lengths(call, call->sendlengths, call->sendbuf, "sendlengths", "sendbuf");
    if (!code && ame__is_root(call) && call->recvbuf != AME_IN_PLACE && call->length != call->sendlengths[call->root])
        code = ame__fail(AME_E_MISMATCH, "%s: argument 'recvlength' is %zu, but sendlengths[%d] of this rank is %zu",
                         call->function, call->length, call->root, call->sendlengths[call->root]);
    return code;
}

void ame__build_scatter(struct ame__sched *sched, const struct ame__coll *call)
{
    const size_t *lengths = NULL, *offsets = NULL;
    size_t total;
    if (ame__is_root(call) && !ame__layout(sched, call->comm->size, call->length, call->sendlengths, call->senddispls,
                                           &lengths, &offsets, &total))
        return;
    ame__star_scatter(sched, call->comm, call->root, call->sendbuf, lengths, offsets, call->recvbuf, call->length);
}

static struct ame__coll call_of(const void *sendbuf, void *recvbuf, size_t length, int root, ame_comm *comm,
                                const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__SCATTER,
                              .comm = comm,
                              .root = root,
                              .rooted = true,
                              .sendbuf = sendbuf,
                              .recvbuf = recvbuf,
                              .length = length,
                              .check = check_scatter,
                              .build = ame__build_scatter};
}

static struct ame__coll call_of_v(const void *sendbuf, const size_t sendlengths[], const size_t displs[], void *recvbuf,
                                  size_t recvlength, int root, ame_comm *comm, const char *function)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, recvlength, root, comm, function);
    call.kind = AME__SCATTERV;
    call.sendlengths = sendlengths;
    call.senddispls = displs;
    call.check = check_scatterv;
    return call;
}

int ame_scatter(const void *sendbuf, void *recvbuf, size_t length, int root, ame_comm *comm)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, length, root, comm, "ame_scatter");
    return ame__coll_run(&call);
}

int ame_iscatter(const void *sendbuf, void *recvbuf, size_t length, int root, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, length, root, comm, "ame_iscatter");
    return ame__coll_start(&call, request);
}

int ame_scatterv(const void *sendbuf, const size_t sendlengths[], const size_t displs[], void *recvbuf,
                 size_t recvlength, int root, ame_comm *comm)
{
    struct ame__coll call = call_of_v(sendbuf, sendlengths, displs, recvbuf, recvlength, root, comm, "ame_scatterv");
    return ame__coll_run(&call);
}

int ame_iscatterv(const void *sendbuf, const size_t sendlengths[], const size_t displs[], void *recvbuf,
                  size_t recvlength, int root, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of_v(sendbuf, sendlengths, displs, recvbuf, recvlength, root, comm, "ame_iscatterv");
    return ame__coll_start(&call, request);
}
