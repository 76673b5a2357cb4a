/* seam.c - see seam.h. */
#include "seam.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "coll.h"

void ame__seam_open(void)
{
    if (ame__enter("ame__seam_open")) return;
    ame__engine.drops_to_left = true;
    ame__leave();
}

uint64_t ame__seam_child(ame_comm *comm, uint64_t color)
{
    if (ame__enter("ame__seam_child")) return 0;
    uint64_t lineage = ame__comm_child_lineage(comm, color);
    ame__leave();
    return lineage;
}

uint64_t ame__seam_lineage(const ame_comm *comm)
{
    return comm->lineage;
}

uint64_t ame__seam_hash(const void *bytes, size_t length)
{
    unsigned char hash[crypto_generichash_BYTES_MIN];
    crypto_generichash(hash, sizeof hash, bytes, length, NULL, 0);
    uint64_t id = ame__get64(hash) & ~(uint64_t) 1;
    return id > 3 ? id : 4; /* 0 and 2 are world and self */
}

int ame__seam_comm(uint64_t lineage, int rank, int size, const int members[], ame_comm **newcomm)
{
    int code = ame__enter("ame__seam_comm");
    if (code) return code;
    int *copy = malloc((size_t) size * sizeof *copy);
    if (copy) memcpy(copy, members, (size_t) size * sizeof *copy);
    struct ame_comm *comm = copy ? ame__comm_create(lineage, rank, size, copy) : NULL;
    if (comm) {
        *newcomm = comm;
    } else {
        free(copy);
        code = ame__fail(AME_E_NOMEM, "out of memory for a communicator of %d ranks", size);
    }
    ame__leave();
    return code;
}

int ame__seam_world_rank(void)
{
    return ame__engine.rank;
}

struct wait {
    size_t count;
    ame_request *const *requests;
    bool all;
    size_t next;       /* those before it have completed */
    uint64_t failures; /* of the engine, when they were looked through */
};

static bool failed_one(struct wait *wait)
{
    if (wait->failures == ame__engine.failures) return false;
    for (size_t i = wait->next; i < wait->count; i++) {
        const struct ame_request *request = wait->requests[i];
        if (request && ame__request_is_done(request) && request->code) return true;
    }
    wait->failures = ame__engine.failures;
    return false;
}

static bool all_done(void *arg)
{
    struct wait *wait = arg;
    for (; wait->next < wait->count; wait->next++) {
        struct ame_request *request = wait->requests[wait->next];
        if (request && !ame__request_is_over(request)) return failed_one(wait);
        if (request && request->code) return true;
    }
    return true;
}

static bool one_done(void *arg)
{
    const struct wait *wait = arg;
    bool under_way = false;
    for (size_t i = 0; i < wait->count; i++) {
        struct ame_request *request = wait->requests[i];
        if (!request) continue;
        if (!ame__request_is_over(request))
            under_way = true;
        else if (request->code != AME_E_PEER_LEFT)
            return true;
    }
    return !under_way;
}

int ame__seam_wait(size_t count, ame_request *const requests[], bool all, bool block, bool *is_ready)
{
    struct wait wait = {.count = count, .requests = requests, .all = all, .failures = UINT64_MAX};
    int code = ame__enter("ame__seam_wait");
    *is_ready = false;
    if (code) return code;
    bool (*ready)(void *) = all ? all_done : one_done;
    *is_ready = ready(&wait);
    if (!*is_ready) {
        struct ame__wait waiting = {.call = "MPI_Wait", .requests = requests, .count = count};
        if (count == 1) waiting = (struct ame__wait){.call = "MPI_Wait", .request = requests[0]};
        if (block)
            ame__wait_until(ready, &wait, count == 1 ? ame__request_hint(requests[0]) : -1, &waiting);
        else
            ame__progress();
        *is_ready = block || ready(&wait);
    }
    ame__leave();
    return AME_OK;
}

int ame__seam_take(ame_request **handle, bool spare, int *done, ame_status *status)
{
    static const char function[] = "ame__seam_take";
    struct ame_request *request = *handle;
    int code = ame__enter(function);
    *done = 0;
    if (code) return code;
    if (ame__request_is_done(request) && !(spare && request->code == AME_E_PEER_LEFT)) {
        *done = 1;
        ame__fill_status(request, status);
        code = ame__take_result(request, "ame_wait");
        ame__request_release(request);
        *handle = AME_REQUEST_NULL;
    }
    ame__leave();
    return code;
}

int ame__seam_peek(ame_request *request, int *done, ame_status *status)
{
    int code = ame__enter("ame__seam_peek");
    *done = 0;
    if (code) return code;
    *done = ame__request_is_over(request);
    if (*done) ame__fill_status(request, status);
    ame__leave();
    return AME_OK;
}

int ame__seam_manual(ame_request **handle)
{
    int code = ame__enter("ame__seam_manual");
    if (code) return code;
    struct ame_request *request = ame__request_create();
    if (request) {
        request->kind = AME__COLL;
        request->comm = ame_comm_self();
        request->comm->active++;
        request->peer = AME_ANY_SOURCE;
        *handle = request;
    }
    ame__leave();
    return request ? AME_OK : AME_E_NOMEM;
}

int ame__seam_complete(ame_request *request)
{
    int code = ame__enter("ame__seam_complete");
    if (code) return code;
    if (ame__request_is_done(request))
        code = ame__fail(AME_E_REQUEST, "the request has been completed already");
    else
        ame__request_done(request, AME_OK, NULL);
    ame__leave();
    return code;
}

ame__combine_fn ame__seam_combine(ame_op op, ame_type type)
{
    return ame__combine(op, type);
}
