/* bcast.c - star: the root sends to everybody. 1 hop, n-1 messages, (n-1) * length bytes leave the root. */
#include "coll.h"

void ame__star_bcast(struct ame__sched *sched, const ame_comm *comm, int centre, void *buffer, size_t length)
{
    if (comm->rank != centre) {
        ame__sched_recv(sched, buffer, length, centre);
        return;
    }
    for (int i = 1; i < comm->size; i++) ame__sched_send(sched, buffer, length, (centre + i) % comm->size);
}

static int check(const struct ame__coll *call)
{
    return ame__check_pointer(call, call->recvbuf, call->length, "buf");
}

void ame__build_bcast(struct ame__sched *sched, const struct ame__coll *call)
{
    ame__star_bcast(sched, call->comm, call->root, call->recvbuf, call->length);
}

static struct ame__coll call_of(void *buf, size_t length, int root, ame_comm *comm, const char *function)
{
    return (struct ame__coll){.function = function,
                              .kind = AME__BCAST,
                              .comm = comm,
                              .root = root,
                              .rooted = true,
                              .recvbuf = buf,
                              .length = length,
                              .check = check,
                              .build = ame__build_bcast};
}

int ame_bcast(void *buf, size_t length, int root, ame_comm *comm)
{
    struct ame__coll call = call_of(buf, length, root, comm, "ame_bcast");
    return ame__coll_run(&call);
}

int ame_ibcast(void *buf, size_t length, int root, ame_comm *comm, ame_request **request)
{
    struct ame__coll call = call_of(buf, length, root, comm, "ame_ibcast");
    return ame__coll_start(&call, request);
}
