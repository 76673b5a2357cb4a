/* request.c - the pool of requests behind handles, their completion, and their names on the wire (slots).
 *
 * Requests of blocking calls and of schedules live in their caller's memory; those behind a handle come from blocks
 * that are kept until ame_finalize, so that a handle used after its completion is still memory of ours and is told from
 * a valid one by its magic number. A slot's name is (generation << 32 | index); the generation changes with each use,
 * so an answer that is late or made up finds nothing.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { REQUESTS_PER_BLOCK = 64, SLOTS_FIRST = 64 };

struct request_block {
    struct ame__list link;
    struct ame_request requests[REQUESTS_PER_BLOCK];
};

struct ame_request *ame__request_create(void)
{
    struct ame__engine *engine = &ame__engine;
    if (ame__list_empty(&engine->free_requests)) {
        struct request_block *block = calloc(1, sizeof *block);
        if (!block) {
            ame__fail(AME_E_NOMEM, "rank %d: out of memory for requests", engine->rank);
            return NULL;
        }
        ame__list_append(&engine->request_blocks, &block->link);
        for (int i = 0; i < REQUESTS_PER_BLOCK; i++) ame__list_append(&engine->free_requests, &block->requests[i].link);
    }
    struct ame_request *request = ame__container_of(ame__list_take(&engine->free_requests), struct ame_request, link);
    memset(request, 0, sizeof *request);
    ame__list_init(&request->link);
    request->magic = AME__REQUEST_MAGIC;
    return request;
}

void ame__request_release(struct ame_request *request)
{
    free(request->text);
    request->text = NULL;
    request->magic = 0;
    request->link.next = ame__engine.free_requests.next; /* the one used last is still in the cache: take it first */
    request->link.prev = &ame__engine.free_requests;
    ame__engine.free_requests.next->prev = &request->link;
    ame__engine.free_requests.next = &request->link;
}

void ame__request_done(struct ame_request *request, int code, const char *text)
{
    ame__list_remove(&request->link);
    if (request->slot) ame__slot_drop(request);
    if (request->stage && !code && (code = ame__gpu_stage_look(request->stage))) text = ame__error_text();
    if (request->code == AME_OK && code) {
        request->code = code;
        request->text = text ? strdup(text) : NULL;
        ame__engine.failures++;
    }
    if (request->out_busy) return; /* its buffer is still being sent from; comes back here when that ends */
    if (__builtin_expect(request->stage != NULL, 0)) {
        if (ame__staged_busy(request)) return; /* likewise */
        ame__staged_close(request);
    }
    request->phase = AME__DONE;
    if (request->kind == AME__RECV) request->source = ame__comm_from_world(request->comm, request->source);
    request->comm->active--;
    request->comm = NULL;          /* may be freed before the program looks at this request */
    ame__engine.net.enough = true; /* the program may now post the receive for what comes next */
    if (request->on_done) request->on_done(request);
    ame__wake();
}

void ame__requests_free(void)
{
    for (struct ame__list *node; (node = ame__list_take(&ame__engine.request_blocks));) {
        struct request_block *block = ame__container_of(node, struct request_block, link);
        for (int i = 0; i < REQUESTS_PER_BLOCK; i++) free(block->requests[i].text);
        free(block);
    }
}

void ame__request_fail_peer(struct ame_request *request, int rank)
{
    if (ame__engine.drops_to_left && request->kind == AME__SEND && !request->synchronous && !request->on_done &&
        ame__engine.peers[rank].life == AME__LEFT) {
        ame__request_done(request, AME_OK, NULL);
        return;
    }
    int code = ame__peer_error(rank);
    if (request->code == AME_OK && code != AME_E_NOMEM) request->blame = ame__peer_culprit(rank) + 1;
    ame__request_done(request, code, ame__error_text());
}

int ame__slot_take(struct ame_request *request)
{
    struct ame__engine *engine = &ame__engine;
    if (engine->free_slot == 0) { /* index 0 is never used, so that 0 is no slot */
        uint32_t count = engine->slot_count ? 2 * engine->slot_count : SLOTS_FIRST;
        struct ame__slot *slots = realloc(engine->slots, count * sizeof *slots);
        if (!slots) return ame__fail(AME_E_NOMEM, "rank %d: out of memory for long messages", engine->rank);
        engine->slots = slots;
        uint32_t first = engine->slot_count ? engine->slot_count : 1;
        for (uint32_t i = count; i-- > first;) {
            slots[i] = (struct ame__slot){.next_free = engine->free_slot};
            engine->free_slot = i;
        }
        slots[0] = (struct ame__slot){0};
        engine->slot_count = count;
    }
    uint32_t index = engine->free_slot;
    struct ame__slot *slot = &engine->slots[index];
    engine->free_slot = slot->next_free;
    slot->request = request;
    slot->generation++;
    request->slot = (uint64_t) slot->generation << 32 | index;
    return AME_OK;
}

void ame__slot_drop(struct ame_request *request)
{
    uint32_t index = (uint32_t) request->slot;
    ame__engine.slots[index].request = NULL;
    ame__engine.slots[index].next_free = ame__engine.free_slot;
    ame__engine.free_slot = index;
    request->slot = 0;
}

struct ame_request *ame__slot_find(uint64_t name, int peer, enum ame__request_kind kind)
{
    uint32_t index = (uint32_t) name;
    if (index >= ame__engine.slot_count) return NULL;
    struct ame_request *request = ame__engine.slots[index].request;
    if (!request || request->slot != name || request->kind != kind) return NULL;
    return (kind == AME__SEND ? request->peer : request->source) == peer ? request : NULL;
}
