/* gather.c - gather and gatherv, star: everybody sends its block to the root. 1 hop, n-1 messages, no byte moves twice.
 */
#include "coll.h"

#include "base/error.h"

void ame__star_gather(struct ame__sched *sched, const ame_comm *comm, int centre, const void *own, size_t own_length,
                      unsigned char *base, const size_t *lengths, const size_t *offsets)
{
    if (comm->rank != centre) {
        ame__sched_send(sched, own, own_length, centre);
        return;
    }
    for (int rank = 0; rank < comm->size; rank++)
        if (rank != centre) ame__sched_recv(sched, base + offsets[rank], lengths[rank], rank);
    if (own != AME_IN_PLACE) ame__sched_copy(sched, base + offsets[centre], own, lengths[centre]);
}

static int check_gather(const struct ame__coll *call)
{
    int code = ame__check_own(call, call->sendbuf, call->length, "sendbuf");
    if (!code) code = ame__check_total(call, call->length, "length");
    if (!code && ame__is_root(call)) code = ame__check_pointer(call, call->recvbuf, call->length, "recvbuf");
    return code;
}

static int check_gatherv(const struct ame__coll *call)
{
    int code = ame__check_own(call, call->sendbuf, call->length, "sendbuf");
    if (!code && ame__is_root(call))
        code = ame__check_lengths(call, call->recvlengths, call->recvbuf, "recvlengths", "recvbuf");
    if (!code && ame__is_root(call) && call->sendbuf != AME_IN_PLACE && call->length != call->recvlengths[call->root])
        code = ame__fail(AME_E_MISMATCH, "%s: argument 'sendlength' is %zu, but recvlengths[%d] of this rank is %zu",
                         call->function, call->length, call->root, call->recvlengths[call->root]);
    return code;
}

void ame__build_gather(struct ame__sched *sched, const struct ame__coll *call)
{
    const size_t *lengths = NULL, *offsets = NULL;
    size_t total;
    if (ame__is_root(call) && !ame__layout(sched, call->comm->size, call->length, call->recvlengths, call->recvdispls,
                                           &lengths, &offsets, &total))
        return;
    ame__star_gather(sched, call->comm, call->root, call->sendbuf, call->length, call->recvbuf, lengths, offsets);
}

static struct ame__coll call_of(const void *sendbuf, size_t length, void *recvbuf, int root, ame_comm *comm,
                                const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__GATHER,
                              .comm = comm,
                              .root = root,
                              .rooted = true,
                              .sendbuf = sendbuf,
                              .recvbuf = recvbuf,
                              .length = length,
                              .check = check_gather,
                              .build = ame__build_gather};
}

static struct ame__coll call_of_v(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                                  const size_t displs[], int root, ame_comm *comm, const char *function)
{
    struct ame__coll call = call_of(sendbuf, sendlength, recvbuf, root, comm, function);
    call.kind = AME__GATHERV;
    call.recvlengths = recvlengths;
    call.recvdispls = displs;
    call.check = check_gatherv;
    return call;
}

int ame_gather(const void *sendbuf, size_t length, void *recvbuf, int root, ame_comm *comm)
{
    struct ame__coll call = call_of(sendbuf, length, recvbuf, root, comm, "ame_gather");
    return ame__coll_run(&call);
}

int ame_igather(const void *sendbuf, size_t length, void *recvbuf, int root, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of(sendbuf, length, recvbuf, root, comm, "ame_igather");
    return ame__coll_start(&call, request);
}

int ame_gatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                const size_t displs[], int root, ame_comm *comm)
{
    struct ame__coll call = call_of_v(sendbuf, sendlength, recvbuf, recvlengths, displs, root, comm, "ame_gatherv");
    return ame__coll_run(&call);
}

int ame_igatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                 const size_t displs[], int root, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of_v(sendbuf, sendlength, recvbuf, recvlengths, displs, root, comm, "ame_igatherv");
    return ame__coll_start(&call, request);
}
