/* barrier.c - star: everybody reports to rank 0, which answers when it has heard of all. 2 hops, 2(n-1) messages. */
#include "coll.h"

void ame__build_barrier(struct ame__sched *sched, const struct ame__coll *call)
{
    const ame_comm *comm = call->comm;
    if (comm->rank == 0) {
        for (int rank = 1; rank < comm->size; rank++) ame__sched_recv(sched, NULL, 0, rank);
        ame__sched_round(sched);
        for (int rank = 1; rank < comm->size; rank++) ame__sched_send(sched, NULL, 0, rank);
    } else {
        ame__sched_recv(sched, NULL, 0, 0);
        ame__sched_send(sched, NULL, 0, 0);
    }
}

static struct ame__coll call_of(ame_comm *comm, const char *function)
{
    return (struct ame__coll){.function = function, .kind = AME__BARRIER, .comm = comm, .build = ame__build_barrier};
}

int ame_barrier(ame_comm *comm)
{
    struct ame__coll call = call_of(comm, "ame_barrier");
    return ame__coll_run(&call);
}

int ame_ibarrier(ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of(comm, "ame_ibarrier");
    return ame__coll_start(&call, request);
}
