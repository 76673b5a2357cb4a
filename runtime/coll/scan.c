/* scan.c - chain: rank r combines what it gets from r-1 (ranks 0 .. r-1) with its own and passes the result on to r+1.
 *
 * n-1 hops in a row, each rank sends length bytes once. Long data goes in parts of AME__CHAIN_PART, so that all links
 * of the chain work at the same time: the time is about (n + parts) * (time of one part).
 */
#include "coll.h"

static int check(const struct ame__coll *call)
{
    int code = ame__check_reduction(call);
    size_t bytes = call->count * ame_type_size(call->type);
    if (!code) code = ame__check_pointer(call, call->sendbuf, bytes, "sendbuf");
    if (!code) code = ame__check_pointer(call, call->recvbuf, bytes, "recvbuf");
    return code;
}

void ame__build_scan(struct ame__sched *sched, const struct ame__coll *call)
{
    const ame_comm *comm = call->comm;
    size_t element = ame__element_of(call), bytes = call->count * element;
    size_t part = AME__CHAIN_PART / element * element;
    unsigned char *result = call->recvbuf;
    const unsigned char *own = call->sendbuf == AME_IN_PLACE ? call->recvbuf : call->sendbuf;
    unsigned char *before = comm->rank && bytes ? ame__sched_memory(sched, bytes) : NULL;
    unsigned char *copy = comm->rank && bytes ? ame__sched_memory(sched, bytes) : NULL;
    if (comm->rank && bytes && (!before || !copy)) return;
    ame__combine_fn combine = ame__combine_of(call);
    if (comm->rank) ame__sched_copy(sched, copy, own, bytes);
    if (comm->rank == 0) ame__sched_copy(sched, result, own, bytes);
    ame__sched_round(sched);
    for (size_t at = 0; at < bytes || at == 0; at += part) {
        size_t length = bytes - at < part ? bytes - at : part;
        if (comm->rank) {
            /* before + own, in this order: the order of ranks */
            ame__sched_recv(sched, before ? before + at : NULL, length, comm->rank - 1);
            ame__sched_round(sched);
            if (before) ame__sched_combine(sched, combine, copy + at, before + at, length / element);
            if (before) ame__sched_copy(sched, result + at, before + at, length);
            ame__sched_round(sched);
        }
        const unsigned char *sum = before ? before : result;
        if (comm->rank + 1 < comm->size) ame__sched_send(sched, sum ? sum + at : NULL, length, comm->rank + 1);
    }
}

static struct ame__coll call_of(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op,
                                ame_comm *comm, const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__SCAN,
                              .comm = comm,
                              .sendbuf = sendbuf,
                              .recvbuf = recvbuf,
                              .count = count,
                              .type = type,
                              .op = op,
                              .check = check,
                              .build = ame__build_scan};
}

int ame_scan(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, count, type, op, comm, "ame_scan");
    return ame__coll_run(&call);
}

int ame_iscan(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm,
              ame_request **request)
{
    struct ame__coll call = call_of(sendbuf, recvbuf, count, type, op, comm, "ame_iscan");
    return ame__coll_start(&call, request);
}
