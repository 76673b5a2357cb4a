/* stage.c - collective calls on device memory: the whole buffer goes through host memory.
 *
 * Before the schedule is written, what this rank contributes is copied from the device to (if possible pinned) host memory,
 * and the call is made with that; when the schedule has ended, what this rank receives is copied to the device. Blocks are
 * copied one by one, so gaps between them stay untouched. Only buffers that are device memory are treated like this, each
 * by itself. The data of a reduction is combined on the CPU.
 *
 * If the first copy fails, the call fails like one of which a step has failed: the other ranks are told.
 */
#include "sched.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* One buffer of a call. */
struct side {
    unsigned char *device, *host; /* device NULL: it is host memory */
    int blocks;
    size_t length; /* of each block, if `lengths` is NULL */
    const size_t *lengths, *places;
    bool before, after; /* has to be copied then */
    int only;           /* `before`: this block only; -1: all */
};

struct ame__staged {
    struct side send, recv;
};

static size_t length_of(const struct side *side, int block)
{
    return side->lengths ? side->lengths[block] : side->length;
}

static size_t extent_of(const struct side *side)
{
    size_t end = 0, most = 0;
    for (int block = 0; block < side->blocks; block++) {
        size_t begin = side->places ? side->places[block] : end;
        end = begin + length_of(side, block);
        if (end > most) most = end;
    }
    return most;
}

static int copy_blocks(const struct side *side, bool to_device)
{
    size_t end = 0;
    if (!side->lengths && !to_device && side->only < 0) /* one after the other */
        return ame__gpu_move(side->host, side->device, (size_t) side->blocks * side->length);
    for (int block = 0; block < side->blocks; block++) {
        size_t begin = side->places ? side->places[block] : end, length = length_of(side, block);
        end = begin + length;
        if (!to_device && side->only >= 0 && block != side->only) continue;
        int code = to_device ? ame__gpu_move(side->device + begin, side->host + begin, length)
                             : ame__gpu_move(side->host + begin, side->device + begin, length);
        if (code) return code;
    }
    return AME_OK;
}

/* What this rank sends: `sendbuf`, except for a broadcast. */
static void describe_send(const struct ame__coll *call, struct side *side)
{
    *side = (struct side){.blocks = 1, .length = call->length, .before = true, .only = -1};
    switch (call->kind) {
    case AME__SCATTER: side->blocks = ame__coll_is_root(call) ? call->comm->size : 0; break;
    case AME__SCATTERV:
        side->blocks = ame__coll_is_root(call) ? call->comm->size : 0;
        side->lengths = call->sendlengths;
        side->places = call->senddispls;
        break;
    case AME__ALLTOALL: side->blocks = call->comm->size; break;
    case AME__ALLTOALLV:
        side->blocks = call->comm->size;
        side->lengths = call->sendlengths;
        side->places = call->senddispls;
        break;
    case AME__REDUCE:
    case AME__ALLREDUCE:
    case AME__SCAN: side->length = call->count * ame_type_size(call->type); break;
    case AME__BARRIER:
    case AME__BCAST: side->blocks = 0; break;
    default: break;
    }
}

/* What this rank receives; with AME_IN_PLACE its own contribution is in there. */
static void describe_recv(const struct ame__coll *call, struct side *side)
{
    bool in_place = call->sendbuf == AME_IN_PLACE, root = ame__coll_is_root(call);
    *side = (struct side){.blocks = 1, .length = call->length, .before = in_place, .after = true, .only = -1};
    switch (call->kind) {
    case AME__BARRIER: side->blocks = 0; break;
    case AME__BCAST:
        side->before = root;
        side->after = !root;
        break;
    case AME__GATHER:
    case AME__GATHERV: side->blocks = root ? call->comm->size : 0; break;
    case AME__ALLGATHER:
    case AME__ALLGATHERV:
    case AME__ALLTOALL:
    case AME__ALLTOALLV: side->blocks = call->comm->size; break;
    case AME__REDUCE: side->blocks = root; break;
    default: break;
    }
    if (call->kind == AME__GATHERV || call->kind == AME__ALLGATHERV || call->kind == AME__ALLTOALLV) {
        side->lengths = call->recvlengths;
        side->places = call->recvdispls;
    }
    if (call->kind == AME__REDUCE || call->kind == AME__ALLREDUCE || call->kind == AME__SCAN)
        side->length = call->count * ame_type_size(call->type);
    if (call->kind != AME__BCAST && side->blocks == call->comm->size && side->blocks > 1 &&
        call->kind != AME__ALLTOALL && call->kind != AME__ALLTOALLV)
        side->only = call->comm->rank;
}

/* Takes host memory for the side if its buffer is device memory. */
static bool take(struct side *side, const void *buffer)
{
    size_t bytes = extent_of(side);
    if (bytes == 0 || buffer == AME_IN_PLACE || !ame_gpu_is_device(buffer)) return true;
    side->host = ame__gpu_bounce_take(bytes);
    if (!side->host) return false;
    side->device = (unsigned char *) (uintptr_t) buffer; /* of what is sent: is only read */
    return true;
}

static void release(struct ame__staged *staged)
{
    if (staged->send.host) ame__gpu_bounce_give(staged->send.host);
    if (staged->recv.host) ame__gpu_bounce_give(staged->recv.host);
    free(staged);
}

int ame__coll_stage(struct ame__coll *call, struct ame__staged **staged)
{
    struct ame__staged *made = calloc(1, sizeof *made);
    int code = AME_OK;
    *staged = NULL;
    if (!made) return ame__fail(AME_E_NOMEM, "out of memory");
    describe_send(call, &made->send);
    describe_recv(call, &made->recv);
    if (!take(&made->send, call->sendbuf) || !take(&made->recv, call->recvbuf)) {
        release(made);
        return ame__fail(AME_E_NOMEM, "out of host memory for buffers in device memory");
    }
    if (!made->send.host && !made->recv.host) {
        release(made);
        return AME_OK;
    }
    if (made->send.host) call->sendbuf = made->send.host;
    if (made->recv.host) call->recvbuf = made->recv.host;
    if (made->send.host) code = copy_blocks(&made->send, false);
    if (!code && made->recv.host && made->recv.before) code = copy_blocks(&made->recv, false);
    *staged = made;
    return code;
}

int ame__coll_unstage(struct ame__staged *staged, bool good)
{
    int code = AME_OK;
    if (good && staged->recv.host && staged->recv.after) code = copy_blocks(&staged->recv, true);
    release(staged);
    return code;
}
