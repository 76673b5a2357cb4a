/* p2p.c - the course of a send and of a receive. What arrives for them is in frames.c. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { CHUNKS_AT_ONCE = 8 /* of DATA, before other frames and threads have their turn */ };

/* ---- sending ------------------------------------------------------------------------------------- */

static void eager_sent(struct ame__out *out, int code, const char *text)
{
    struct ame_request *request = ame__container_of(out, struct ame_request, out);
    request->out_busy = false;
    if (code && code != AME_E_ABORTED && ame__engine.peers[request->peer].life != AME__ALIVE)
        ame__request_fail_peer(request, request->peer);
    else
        ame__request_done(request, code, text);
}

static struct ame__header header_for(const struct ame_request *request, enum ame__frame_kind kind)
{
    return (struct ame__header){.kind = (uint8_t) kind,
                                .tag = request->tag,
                                .context = request->context->id,
                                .src = ame__engine.rank,
                                .dst = request->peer,
                                .length = request->length,
                                .other = request->check};
}

static void send_eager(struct ame__peer *peer, struct ame_request *request)
{
    struct ame__header header = header_for(request, AME__FRAME_EAGER);
    peer->ahead += request->length + AME__MESSAGE_COST;
    request->phase = AME__MOVING;
    request->out_busy = true;
    request->out.payload = request->buffer;
    request->out.length = request->length;
    request->out.done = eager_sent;
    ame__header_encode(request->out.header, &header);
    ame__conn_send(ame__peer_route(request->peer), &request->out);
}

static void send_rts(struct ame__peer *peer, struct ame_request *request)
{
    if (ame__slot_take(request)) {
        ame__request_done(request, AME_E_NOMEM, ame__error_text());
        return;
    }
    struct ame__header header = header_for(request, AME__FRAME_RTS);
    header.id = request->slot;
    peer->announced++;
    request->phase = AME__ANNOUNCED;
    ame__conn_send_copy(ame__peer_route(request->peer), &header, NULL);
}

/* false: it has to wait. */
static bool dispatch(struct ame__peer *peer, struct ame_request *request)
{
    bool eager = !request->synchronous && request->length <= ame__engine.eager_limit &&
                 peer->ahead + request->length + AME__MESSAGE_COST <= peer->window;
    if (eager)
        send_eager(peer, request);
    else if (peer->announced < AME__ANNOUNCED_MAX)
        send_rts(peer, request);
    else
        return false;
    return true;
}

void ame__send_held(int rank)
{
    struct ame__peer *peer = &ame__engine.peers[rank];
    if (peer->path < AME__DIRECT) return;
    for (struct ame__list *node; (node = ame__list_first(&peer->held));) {
        struct ame_request *request = ame__container_of(node, struct ame_request, link);
        if (request->fetching) return;
        ame__list_remove(&request->link);
        if (dispatch(peer, request)) continue;
        request->link.next = peer->held.next; /* back to the front */
        request->link.prev = &peer->held;
        peer->held.next->prev = &request->link;
        peer->held.next = &request->link;
        return;
    }
}

/* From a request of this rank to another one of it. */
static void copy_local(struct ame_request *receive, const struct ame_request *send)
{
    int code = AME_OK;
    if (receive->stage || send->stage)
        code = ame__gpu_move(receive->buffer, send->buffer, send->length);
    else if (send->length)
        memcpy(receive->buffer, send->buffer, send->length);
    ame__request_done(receive, code, code ? ame__error_text() : NULL);
}

/* A message from this rank to itself. */
static void send_local(struct ame_request *request)
{
    struct ame__engine *engine = &ame__engine;
    struct ame_request *receive = ame__match_posted(request->context, engine->rank, request->tag);
    bool copy = !receive && !request->synchronous && request->length <= engine->eager_limit;
    if (receive) {
        if (ame__recv_accepts(receive, engine->rank, request->tag, request->check, request->length))
            copy_local(receive, request);
        ame__request_done(request, AME_OK, NULL);
        return;
    }
    struct ame_message *message = calloc(1, sizeof *message + (copy ? request->length : 0));
    if (!message) {
        ame__request_done(request, AME_E_NOMEM, "out of memory for a message to this rank itself");
        return;
    }
    message->kind = copy ? AME__MESSAGE_EAGER : AME__MESSAGE_LOCAL;
    message->source = engine->rank;
    message->tag = request->tag;
    message->check = request->check;
    message->length = request->length;
    message->complete = true;
    int code = AME_OK;
    if (copy && request->stage)
        code = ame__gpu_move(message->data, request->buffer, request->length);
    else if (copy && request->length)
        memcpy(message->data, request->buffer, request->length);
    if (code) {
        free(message);
        ame__request_done(request, code, ame__error_text());
        return;
    }
    request->phase = AME__MOVING;
    if (!copy) message->local = request;
    ame__match_store(request->context, message);
    if (copy) ame__request_done(request, AME_OK, NULL);
}

void ame__send_launch(struct ame_request *request)
{
    struct ame__peer *peer = &ame__engine.peers[request->peer];
    if (peer->life != AME__ALIVE) {
        ame__request_fail_peer(request, request->peer);
        return;
    }
    if (!request->fetching && peer->path >= AME__DIRECT && ame__list_empty(&peer->held) && dispatch(peer, request))
        return;
    request->phase = AME__HELD;
    ame__list_append(&peer->held, &request->link);
    if (peer->path == AME__UNLINKED) ame__peer_link(request->peer);
}

void ame__send_start(struct ame_request *request)
{
    struct ame__engine *engine = &ame__engine;
    ame__list_init(&request->link);
    request->comm->active++;
    if (request->peer == engine->rank)
        send_local(request);
    else if (request->device && request->length <= engine->eager_limit &&
             engine->peers[request->peer].life == AME__ALIVE)
        ame__staged_fetch(request);
    else
        ame__send_launch(request);
}

void ame__send_poison(struct ame__context *context, int rank, int tag, uint64_t check, int code, int blame,
                      const char *text, bool lasting)
{
    struct ame__peer *peer = &ame__engine.peers[rank];
    if (rank == ame__engine.rank || peer->life != AME__ALIVE) return;
    struct ame__header header = {.kind = AME__FRAME_POISON,
                                 .tag = tag,
                                 .context = context->id,
                                 .src = ame__engine.rank,
                                 .dst = rank,
                                 .length = text ? strlen(text) : 0,
                                 .id = (uint64_t) -code | (lasting ? AME__POISON_LASTING : 0) | (uint64_t) blame << 32,
                                 .other = check};
    /* Not behind peer->held: it must arrive although nothing else does, and only its tag matters. */
    struct ame__conn *route = ame__peer_route(rank);
    if (!route) route = ame__engine.hub;
    if (route) ame__conn_send_copy(route, &header, text);
}

/* ---- DATA ---------------------------------------------------------------------------------------- */

enum pump { PUMP_QUEUED, PUMP_MORE, PUMP_ENDED };

static void send_chunks(struct ame_request *request);

/* The rest cannot be had from the device. In a collective call on_done sends POISON, which tells more. */
static void withdraw(struct ame_request *request, int code)
{
    if (!request->on_done) ame__peer_control(request->peer, AME__FRAME_GONE, 0, request->other, 0);
    ame__request_done(request, code, ame__error_text());
}

static void part_copied(struct ame_request *request, int code)
{
    if (code)
        withdraw(request, code);
    else
        send_chunks(request);
}

/* The bytes of the next DATA frame; NULL: they are not in host memory yet, or cannot be had. */
static const unsigned char *next_part(struct ame_request *request, size_t length)
{
    if (!request->device) return request->buffer + request->moved;
    const unsigned char *part = NULL;
    int code = ame__gpu_stage_part(request->stage, request->moved, length, request->accepted, &part);
    if (code)
        withdraw(request, code);
    else if (!part)
        ame__staged_await(request, part_copied);
    return part;
}

static void chunk_sent(struct ame__out *out, int code, const char *text)
{
    struct ame_request *request = ame__container_of(out, struct ame_request, out);
    int *pump = request->pump;
    request->out_busy = false;
    request->moved += out->length;
    if (pump) *pump = PUMP_ENDED;
    if (code || request->code) {
        ame__request_done(request, code ? code : request->code, text);
    } else if (request->moved == request->accepted) {
        ame__request_done(request, AME_OK, NULL);
    } else if (pump) {
        *pump = PUMP_MORE;
    } else {
        send_chunks(request);
    }
}

/* Sends DATA frames as long as they go out at once, then leaves the next one in the queue of the connection. What
 * became of a frame comes back through `pump`, because a request that has ended may be gone. */
static void send_chunks(struct ame_request *request)
{
    for (int chunk = 0;; chunk++) {
        size_t left = request->accepted - request->moved, most = request->device ? ame__gpu_chunk() : AME__PAYLOAD_MAX;
        int pump = PUMP_QUEUED;
        struct ame__header header = header_for(request, AME__FRAME_DATA);
        header.length = left < most ? left : most;
        header.id = request->other;
        header.other = request->moved;
        request->out.payload = next_part(request, header.length);
        if (!request->out.payload) return;
        request->out.length = header.length;
        request->out.done = chunk_sent;
        request->out_busy = true;
        ame__header_encode(request->out.header, &header);
        if (chunk == CHUNKS_AT_ONCE) {
            ame__conn_queue(ame__peer_route(request->peer), &request->out);
            return;
        }
        request->pump = &pump;
        ame__conn_send(ame__peer_route(request->peer), &request->out);
        if (pump == PUMP_ENDED) return;
        request->pump = NULL;
        if (pump == PUMP_QUEUED) return;
    }
}

void ame__send_accepted(struct ame_request *request, uint64_t other, size_t accepted)
{
    int peer = request->peer;
    ame__engine.peers[peer].announced--;
    if (accepted == 0 || !ame__peer_route(request->peer)) {
        ame__request_done(request, AME_OK, NULL);
    } else {
        request->phase = AME__MOVING;
        request->other = other;
        request->accepted = accepted;
        send_chunks(request);
    }
    ame__send_held(peer);
}

/* ---- receiving ----------------------------------------------------------------------------------- */

bool ame__recv_accepts(struct ame_request *request, int source, int tag, uint64_t check, size_t length)
{
    char text[400];
    request->source = source;
    request->got_tag = tag;
    request->got_length = length;
    if (request->mismatch && (check != request->check || length != request->length)) {
        request->mismatch(request, source, check, length, text, sizeof text);
        ame__request_done(request, AME_E_MISMATCH, text);
        return false;
    }
    if (length > request->length) {
        snprintf(text, sizeof text,
                 "a message of %zu bytes from rank %d with tag %d does not fit the receive buffer of %zu bytes "
                 "('capacity')",
                 length, ame__comm_from_world(request->comm, source), tag, request->length);
        ame__request_done(request, AME_E_TRUNCATED, text);
        return false;
    }
    return true;
}

/* Answers an RTS: with a slot for the data, or that it is not wanted. */
static void accept_rts(struct ame_request *request, const struct ame_message *message)
{
    uint64_t accepted = 0;
    if (ame__recv_accepts(request, message->source, message->tag, message->check, message->length)) {
        if (message->length == 0) {
            ame__request_done(request, AME_OK, NULL);
        } else if (ame__slot_take(request)) {
            ame__request_done(request, AME_E_NOMEM, ame__error_text());
        } else {
            accepted = message->length;
            request->phase = AME__MOVING;
            request->moved = 0;
            request->accepted = message->length;
        }
    }
    ame__peer_control(message->source, AME__FRAME_CTS, accepted, message->sender_slot, accepted ? request->slot : 0);
}

static void take_eager(struct ame_request *request, struct ame_message *message)
{
    if (!message->complete) {
        message->claimed = request;
        request->phase = AME__MOVING;
        request->source = message->source;
        return;
    }
    if (ame__recv_accepts(request, message->source, message->tag, message->check, message->length)) {
        unsigned char *to = request->buffer;
        int code = AME_OK;
        request->moved = 0;
        if (request->stage && message->length) code = ame__gpu_stage_sink(request->stage, message->length, &to);
        if (!code && message->length) memcpy(to, message->data, message->length);
        if (!code && request->stage && message->length) code = ame__staged_store(request, message->length, true);
        ame__request_done(request, code, code ? ame__error_text() : NULL);
    }
    ame__message_drop(message);
}

void ame__message_drop(struct ame_message *message)
{
    if (message->kind == AME__MESSAGE_EAGER && message->source != ame__engine.rank) {
        ame__engine.peers[message->source].stored -= message->length + AME__MESSAGE_COST;
        ame__give_credit(message->source, message->length);
    } else if (message->kind == AME__MESSAGE_RTS) {
        ame__peer_control(message->source, AME__FRAME_CTS, 0, message->sender_slot, 0);
    } else if (message->kind == AME__MESSAGE_LOCAL) {
        ame__request_done(message->local, AME_OK, NULL);
    }
    free(message);
}

static void take_rts(struct ame_request *request, struct ame_message *message)
{
    if (ame__engine.peers[message->source].life != AME__ALIVE) {
        ame__request_fail_peer(request, message->source);
        free(message);
        return;
    }
    accept_rts(request, message);
    free(message);
}

static void take_local(struct ame_request *request, struct ame_message *message)
{
    struct ame_request *send = message->local;
    if (ame__recv_accepts(request, message->source, message->tag, message->check, message->length)) {
        copy_local(request, send);
    }
    ame__message_drop(message);
}

void ame__recv_message(struct ame_request *request, struct ame_message *message)
{
    char text[AME__ERROR_TEXT_MAX];
    switch (message->kind) {
    case AME__MESSAGE_EAGER: take_eager(request, message); break;
    case AME__MESSAGE_RTS: take_rts(request, message); break;
    case AME__MESSAGE_LOCAL: take_local(request, message); break;
    case AME__MESSAGE_POISON:
        snprintf(text, sizeof text, "%.*s", (int) message->length, (const char *) message->data);
        request->blame = (int) (message->sender_slot >> 32);
        ame__request_done(request, -(int) (message->sender_slot & 0xff), text);
        if (!message->lasting) free(message);
        break;
    }
}

void ame__recv_start(struct ame_request *request)
{
    struct ame__engine *engine = &ame__engine;
    ame__list_init(&request->link);
    request->comm->active++;
    struct ame_message *message = ame__match_arrived(request->context, request->peer, request->tag);
    if (message) {
        if (!message->lasting) ame__match_take(message);
        ame__recv_message(request, message);
        return;
    }
    bool other = request->peer != AME_ANY_SOURCE && request->peer != engine->rank;
    if (other && engine->peers[request->peer].life != AME__ALIVE)
        ame__request_fail_peer(request, request->peer);
    else
        ame__match_post(request->context, request);
}

bool ame__recv_ends(struct ame_request *request)
{
    if (request->kind != AME__RECV || request->phase != AME__POSTED) return false;
    int gone = ame__peers_left(request->comm);
    if (gone < 0) return false;
    ame__request_fail_peer(request, gone);
    return true;
}

bool ame__recv_cancel(struct ame_request *request)
{
    /* Its sender has finalized meanwhile: nothing has matched it, and nobody has been told. */
    if (request->kind == AME__RECV && request->phase == AME__DONE && request->code == AME_E_PEER_LEFT) {
        free(request->text);
        request->text = NULL;
        request->code = AME_OK;
        request->blame = 0;
        request->cancelled = true;
        return true;
    }
    if (request->kind != AME__RECV || request->phase != AME__POSTED) return false;
    request->cancelled = true;
    ame__request_done(request, AME_OK, NULL);
    return true;
}
