/* alltoall.c - alltoall and alltoallv.
 *
 * Star, for the plain form up to AME__STAR_BLOCK_MAX in a block and AME__STAR_BYTES_MAX in all (n * n * length): rank 0
 * gathers everything, transposes the blocks and scatters; 2 hops, 2(n-1) messages, and no links but the star are opened.
 * Direct exchange above that and for the v form: in each round with up to AME__EXCHANGE_PARTNERS partners, at growing
 * distance, so that all ranks are equally busy; every block moves once.
 */
#include "coll.h"

#include "base/error.h"

static int check_alltoall(const struct ame__coll *call)
{
    int code = ame__check_total(call, call->length, "length");
    if (!code) code = ame__check_pointer(call, call->sendbuf, call->length, "sendbuf");
    if (!code) code = ame__check_pointer(call, call->recvbuf, call->length, "recvbuf");
    return code;
}

static int check_alltoallv(const struct ame__coll *call)
{
    int me = call->comm->rank;
    int code = ame__check_lengths(call, call->recvlengths, call->recvbuf, "recvlengths", "recvbuf");
    if (code || call->sendbuf == AME_IN_PLACE) return code;
    code = ame__check_lengths(call, call->sendlengths, call->sendbuf, "sendlengths", "sendbuf");
    if (!code && call->sendlengths[me] != call->recvlengths[me])
        code = ame__fail(AME_E_MISMATCH, "%s: sendlengths[%d] is %zu, but recvlengths[%d] of the same rank is %zu",
                         call->function, me, call->sendlengths[me], me, call->recvlengths[me]);
    return code;
}

/* What is sent from: the caller's buffer, or, in place, a copy of the receive buffer. */
static const unsigned char *source_of(struct ame__sched *sched, const struct ame__coll *call, size_t total)
{
    if (call->sendbuf != AME_IN_PLACE) return call->sendbuf;
    unsigned char *copy = ame__sched_memory(sched, total);
    if (copy) {
        ame__sched_copy(sched, copy, call->recvbuf, total);
        ame__sched_round(sched);
    }
    return copy;
}

static void exchange(struct ame__sched *sched, const ame_comm *comm, const unsigned char *from, const size_t *out,
                     const size_t *out_at, unsigned char *to, const size_t *in, const size_t *in_at)
{
    int size = comm->size, me = comm->rank;
    ame__sched_copy(sched, to + in_at[me], from + out_at[me], in[me]);
    for (int distance = 1; distance < size; distance++) {
        int left = (me - distance + size) % size, right = (me + distance) % size;
        ame__sched_recv(sched, to + in_at[left], in[left], left);
        ame__sched_send(sched, from + out_at[right], out[right], right);
        if (distance % AME__EXCHANGE_PARTNERS == 0) ame__sched_round(sched);
    }
}

static void star(struct ame__sched *sched, const struct ame__coll *call, const unsigned char *from, size_t total)
{
    const ame_comm *comm = call->comm;
    const size_t *lengths, *offsets;
    size_t size = (size_t) comm->size, all;
    if (!ame__layout(sched, comm->size, total, NULL, NULL, &lengths, &offsets, &all)) return;
    unsigned char *gathered = NULL, *turned = NULL;
    if (comm->rank == 0) {
        gathered = ame__sched_memory(sched, all ? all : 1);
        turned = ame__sched_memory(sched, all ? all : 1);
        if (!gathered || !turned) return;
    }
    ame__star_gather(sched, comm, 0, from, total, gathered, lengths, offsets);
    ame__sched_round(sched);
    for (size_t row = 0; comm->rank == 0 && row < size; row++)
        for (size_t column = 0; column < size; column++)
            ame__sched_copy(sched, turned + row * total + column * call->length,
                            gathered + column * total + row * call->length, call->length);
    ame__sched_round(sched);
    ame__star_scatter(sched, comm, 0, turned, lengths, offsets, call->recvbuf, total);
}

void ame__build_alltoall(struct ame__sched *sched, const struct ame__coll *call)
{
    const ame_comm *comm = call->comm;
    const size_t *out, *out_at, *in, *in_at;
    size_t out_total, in_total, size = (size_t) comm->size;
    bool in_place = call->sendbuf == AME_IN_PLACE;
    if (!ame__layout(sched, comm->size, call->length, call->recvlengths, call->recvdispls, &in, &in_at, &in_total) ||
        !ame__layout(sched, comm->size, call->length, in_place ? call->recvlengths : call->sendlengths,
                     in_place ? call->recvdispls : call->senddispls, &out, &out_at, &out_total))
        return;
    const unsigned char *from = source_of(sched, call, in_total);
    bool is_short = call->length <= AME__STAR_BLOCK_MAX && call->length <= AME__STAR_BYTES_MAX / (size * size);
    if (!call->recvlengths && is_short && size > 2)
        star(sched, call, from, out_total);
    else
        exchange(sched, comm, from, out, out_at, call->recvbuf, in, in_at);
}

static struct ame__coll call_of(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm, const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__ALLTOALL,
                              .comm = comm,
                              .sendbuf = sendbuf,
                              .recvbuf = recvbuf,
                              .length = length,
                              .check = check_alltoall,
                              .build = ame__build_alltoall};
}

static struct ame__coll call_of_v(const void *sendbuf, const size_t sendlengths[], const size_t senddispls[],
                                  void *recvbuf, const size_t recvlengths[], const size_t recvdispls[], ame_comm *comm,
                                  const char *function)
{
    struct ame__coll call = call_of(sendbuf, 0, recvbuf, comm, function);
    call.kind = AME__ALLTOALLV;
    call.sendlengths = sendlengths;
    call.senddispls = senddispls;
    call.recvlengths = recvlengths;
    call.recvdispls = recvdispls;
    call.check = check_alltoallv;
    return call;
}

int ame_alltoall(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm)
{
    struct ame__coll call = call_of(sendbuf, length, recvbuf, comm, "ame_alltoall");
    return ame__coll_run(&call);
}

int ame_ialltoall(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of(sendbuf, length, recvbuf, comm, "ame_ialltoall");
    return ame__coll_start(&call, request);
}

int ame_alltoallv(const void *sendbuf, const size_t sendlengths[], const size_t senddispls[], void *recvbuf,
                  const size_t recvlengths[], const size_t recvdispls[], ame_comm *comm)
{
    struct ame__coll call =
        call_of_v(sendbuf, sendlengths, senddispls, recvbuf, recvlengths, recvdispls, comm, "ame_alltoallv");
    return ame__coll_run(&call);
}

int ame_ialltoallv(const void *sendbuf, const size_t sendlengths[], const size_t senddispls[], void *recvbuf,
                   const size_t recvlengths[], const size_t recvdispls[], ame_comm *comm, ame_request **request)
{
    struct ame__coll call =
        call_of_v(sendbuf, sendlengths, senddispls, recvbuf, recvlengths, recvdispls, comm, "ame_ialltoallv");
    return ame__coll_start(&call, request);
}
