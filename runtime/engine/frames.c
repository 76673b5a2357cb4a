/* frames.c - what is done with an arriving frame: ame__frame_begin finds the place for its payload, ame__frame_end does
 * what it says. In between the frame belongs to conn->target, which is one of enum target.
 */
#include "engine.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

enum target {
    NOTHING,
    INTO_RECEIVE, /* struct ame_request: a matched receive */
    INTO_MESSAGE, /* struct ame_message: stored for later */
    INTO_CONTROL, /* malloc'ed bytes of a control frame */
    INTO_RELAY    /* struct relayed: on its way to another rank */
};

struct relayed {
    struct ame__out out;
    unsigned char payload[];
};

static void broken_protocol(struct ame__conn *conn, const char *what)
{
    char text[300];
    snprintf(text, sizeof text, "rank %d at %s broke the protocol: %s in a %s frame", conn->peer, conn->address, what,
             ame__frame_name(conn->header.kind));
    ame__log(engine, ERROR, "%s", text);
    ame__conn_close(conn, AME_E_PROTOCOL, text);
}

static void *allocate(struct ame__conn *conn, size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) ame__conn_close(conn, AME_E_NOMEM, "out of memory for a message from there");
    return memory;
}

static void set_target(struct ame__conn *conn, enum target kind, void *target, void *sink, size_t size)
{
    conn->target_kind = kind;
    conn->target = target;
    conn->sink = sink;
    conn->sink_size = size;
}

/* ---- credit -------------------------------------------------------------------------------------- */

void ame__give_credit(int source, size_t length)
{
    struct ame__peer *peer = &ame__engine.peers[source];
    peer->owed += length + AME__MESSAGE_COST;
    if (peer->owed < ame__engine.net.window / 4 || peer->life != AME__ALIVE) return;
    ame__peer_control(source, AME__FRAME_CREDIT, peer->owed, 0, 0);
    peer->owed = 0;
}

/* ---- messages ------------------------------------------------------------------------------------ */

static struct ame_message *new_message(struct ame__conn *conn, enum ame__message_kind kind, size_t data)
{
    const struct ame__header *header = &conn->header;
    struct ame_message *message = malloc(sizeof *message + data);
    if (!message) {
        ame__conn_close(conn, AME_E_NOMEM, "out of memory for a message from there");
        return NULL;
    }
    memset(message, 0, sizeof *message);
    ame__list_init(&message->in_lane);
    ame__list_init(&message->in_context);
    message->kind = kind;
    message->source = header->src;
    message->tag = header->tag;
    message->check = header->other;
    message->length = (size_t) header->length;
    message->sender_slot = header->id;
    message->complete = data == 0;
    return message;
}

_Static_assert(AME__GPU_SLOT_BYTES >= AME__PAYLOAD_MAX, "a frame has to fit in a slot");

/* The payload goes into `request`, from byte request->moved on. */
static void receive_into(struct ame__conn *conn, struct ame_request *request)
{
    size_t length = (size_t) conn->header.length;
    unsigned char *sink = length ? request->buffer + request->moved : NULL;
    int code = request->stage && length ? ame__gpu_stage_sink(request->stage, length, &sink) : AME_OK;
    if (code) {
        ame__request_done(request, code, ame__error_text()); /* its bytes are dropped */
        return;
    }
    set_target(conn, INTO_RECEIVE, request, sink, length);
}

static void begin_eager(struct ame__conn *conn, struct ame__context *context)
{
    const struct ame__header *header = &conn->header;
    struct ame__peer *peer = &ame__engine.peers[header->src];
    struct ame_request *request = ame__match_posted(context, header->src, header->tag);
    if (request) {
        bool fits = ame__recv_accepts(request, header->src, header->tag, header->other, (size_t) header->length);
        ame__give_credit(header->src, (size_t) header->length);
        if (!fits) return;
        request->phase = AME__MOVING;
        request->moved = 0;
        receive_into(conn, request);
        return;
    }
    peer->stored += header->length + AME__MESSAGE_COST;
    if (peer->stored > ame__engine.net.window + AME__PAYLOAD_MAX) {
        broken_protocol(conn, "more bytes than were granted");
        return;
    }
    struct ame_message *message = new_message(conn, AME__MESSAGE_EAGER, (size_t) header->length);
    if (!message) return;
    ame__match_store(context, message);
    set_target(conn, INTO_MESSAGE, message, message->data, message->length);
}

/* No receive will ever match it: its communicator has been freed, or is closed for collective calls. */
static bool is_unwanted(const struct ame__header *header)
{
    const struct ame__context *context = ame__context_find(header->context);
    if (!context) return ame__context_was_freed(header->context);
    return context->closed && header->tag >= context->closed_from;
}

/* Its sender goes on as if it had been received. */
static void refuse(const struct ame__header *header)
{
    if (header->kind == AME__FRAME_EAGER)
        ame__give_credit(header->src, (size_t) header->length);
    else if (header->kind == AME__FRAME_RTS)
        ame__peer_control(header->src, AME__FRAME_CTS, 0, header->id, 0);
}

static void begin_poison(struct ame__conn *conn)
{
    const char *known = ame_errname(-(int) (conn->header.id & UINT8_MAX));
    if (!(conn->header.id & UINT8_MAX) || !strcmp(known, ame_errname(INT_MIN)) ||
        conn->header.id >> 32 > (uint64_t) ame__engine.size) {
        broken_protocol(conn, "an unknown code");
        return;
    }
    struct ame_message *message = new_message(conn, AME__MESSAGE_POISON, (size_t) conn->header.length);
    if (!message) return;
    message->lasting = conn->header.id & AME__POISON_LASTING;
    set_target(conn, INTO_MESSAGE, message, message->data, message->length);
}

static void begin_data(struct ame__conn *conn)
{
    const struct ame__header *header = &conn->header;
    struct ame_request *request = ame__slot_find(header->id, header->src, AME__RECV);
    if (!request) return; /* withdrawn here; its bytes are dropped */
    if (header->other != request->moved || header->length > request->accepted - request->moved) {
        broken_protocol(conn, "bytes that were not asked for");
        return;
    }
    receive_into(conn, request);
}

static void end_receive(struct ame__conn *conn, struct ame_request *request)
{
    bool last = conn->header.kind == AME__FRAME_EAGER || request->moved + conn->header.length == request->accepted;
    int code = AME_OK;
    if (request->stage && conn->header.length) code = ame__staged_store(request, (size_t) conn->header.length, last);
    request->moved += conn->header.length;
    if (last || code) ame__request_done(request, code, code ? ame__error_text() : NULL);
}

/* The receive of a collective call that is in the middle of a message from `source`, or NULL. */
static struct ame_request *find_moving(const struct ame__context *context, int source, int tag)
{
    for (uint32_t index = 1; index < ame__engine.slot_count; index++) {
        struct ame_request *request = ame__engine.slots[index].request;
        if (request && request->kind == AME__RECV && request->on_done && request->context == context &&
            request->source == source && request->tag == tag)
            return request;
    }
    return NULL;
}

static void end_message(struct ame_message *message, uint64_t context_id)
{
    message->complete = true;
    if (message->kind == AME__MESSAGE_POISON) {
        struct ame__context *context = ame__context_get(context_id);
        if (context && message->lasting) {
            for (struct ame_request *posted; (posted = ame__match_posted_from(context, message->source, message->tag));)
                ame__recv_message(posted, message);
            ame__match_store(context, message);
            return;
        }
        struct ame_request *request = context ? ame__match_posted(context, message->source, message->tag) : NULL;
        if (context && !request) request = find_moving(context, message->source, message->tag);
        if (request)
            ame__recv_message(request, message);
        else if (context)
            ame__match_store(context, message);
        else
            free(message);
    } else if (message->claimed) {
        ame__recv_message(message->claimed, message);
    } else if (message->unwanted) {
        ame__message_drop(message);
    }
}

static void take_rts(struct ame__conn *conn, struct ame__context *context)
{
    struct ame_message *message = new_message(conn, AME__MESSAGE_RTS, 0);
    if (!message) return;
    struct ame_request *request = ame__match_posted(context, message->source, message->tag);
    if (request)
        ame__recv_message(request, message);
    else
        ame__match_store(context, message);
}

static void take_cts(const struct ame__header *header)
{
    struct ame_request *request = ame__slot_find(header->id, header->src, AME__SEND);
    if (request && request->phase == AME__ANNOUNCED && header->length <= request->length)
        ame__send_accepted(request, header->other, (size_t) header->length);
    else if (header->other)
        ame__peer_control(header->src, AME__FRAME_GONE, 0, header->other, 0);
}

static void take_gone(const struct ame__header *header)
{
    char text[160];
    struct ame_request *request = ame__slot_find(header->id, header->src, AME__RECV);
    if (!request) return;
    request->blame = header->src + 1;
    snprintf(text, sizeof text, "rank %d has withdrawn the message (it finalized, or its call failed)", header->src);
    ame__request_done(request, AME_E_PEER_LEFT, text);
}

static void take_credit(const struct ame__header *header)
{
    struct ame__peer *peer = &ame__engine.peers[header->src];
    peer->ahead -= header->length < peer->ahead ? header->length : peer->ahead;
    ame__send_held(header->src);
}

/* ---- relay (rank 0) ------------------------------------------------------------------------------ */

static void relayed_sent(struct ame__out *out, int code, const char *text)
{
    (void) code, (void) text;
    free(ame__container_of(out, struct relayed, out));
}

static void begin_relay(struct ame__conn *conn)
{
    size_t length = ame__header_payload(&conn->header);
    if (ame__engine.peers[conn->header.dst].life != AME__ALIVE) return; /* its sender hears of that */
    struct relayed *relayed = allocate(conn, sizeof *relayed + length);
    if (!relayed) return;
    ame__header_encode(relayed->out.header, &conn->header);
    relayed->out.payload = relayed->payload;
    relayed->out.length = length;
    relayed->out.done = relayed_sent;
    set_target(conn, INTO_RELAY, relayed, relayed->payload, length);
}

static void end_relay(struct ame__conn *conn, struct relayed *relayed)
{
    struct ame__conn *onward = ame__peer_route(conn->header.dst);
    if (!onward) {
        free(relayed);
        return;
    }
    ame__conn_send(onward, &relayed->out);
    struct ame__peer *sender = &ame__engine.peers[conn->peer];
    if (onward->queued < AME__RELAY_QUEUE_MAX || sender->paused_for >= 0) return;
    /* Its receiver always reads, so it will be drained, and then this sender goes on. (What had been read from the sender
     * together with this frame is still relayed, so it can come here paused.) */
    sender->paused_for = conn->header.dst;
    ame__engine.paused_count++;
    ame__conn_pause(conn, AME__PAUSE_RELAY, true);
}

/* ---- all frames ---------------------------------------------------------------------------------- */

void ame__frame_begin(struct ame__conn *conn)
{
    const struct ame__header *header = &conn->header;
    struct ame__engine *engine = &ame__engine;
    engine->frames++;
    set_target(conn, NOTHING, NULL, NULL, 0);
    ame__log(engine, TRACE, "%s %d>%d tag %d length %llu id %llx", ame__frame_name(header->kind), header->src,
             header->dst, header->tag, (unsigned long long) header->length, (unsigned long long) header->id);
    if (header->src != conn->peer && conn != engine->hub) {
        broken_protocol(conn, "the name of another rank");
        return;
    }
    if (header->dst != engine->rank) {
        if (engine->rank == 0)
            begin_relay(conn);
        else
            broken_protocol(conn, "a message for another rank");
        return;
    }
    if (header->src == engine->rank) {
        broken_protocol(conn, "this rank's own name");
        return;
    }
    bool matched =
        header->kind == AME__FRAME_EAGER || header->kind == AME__FRAME_RTS || header->kind == AME__FRAME_POISON;
    if (matched && is_unwanted(header)) {
        refuse(header);
        return;
    }
    struct ame__context *context = matched ? ame__context_get(header->context) : NULL;
    if (matched && !context) {
        ame__conn_close(conn, AME_E_NOMEM, "out of memory for a communicator");
        return;
    }
    switch (header->kind) {
    case AME__FRAME_EAGER: begin_eager(conn, context); break;
    case AME__FRAME_RTS: take_rts(conn, context); break;
    case AME__FRAME_POISON: begin_poison(conn); break;
    case AME__FRAME_DATA: begin_data(conn); break;
    default:
        if (ame__header_payload(header)) {
            unsigned char *bytes = allocate(conn, ame__header_payload(header) + 1);
            if (bytes) set_target(conn, INTO_CONTROL, bytes, bytes, ame__header_payload(header));
        }
    }
}

/* The receive of a collective call that waits for the next message of the last long one's sender, if that has to have the
 * same length. Its tag is expected, since each call has its own. */
unsigned char *ame__frame_guess(struct ame__conn *conn)
{
    struct ame__header *last = &conn->last_long;
    if (last->kind != AME__FRAME_EAGER || last->dst != ame__engine.rank) return NULL;
    struct ame__context *context = ame__context_find(last->context);
    /* Only what must have exactly this length: a receive with room for more may keep something behind the message. */
    struct ame_request *request = context ? ame__match_peek(context, last->src, AME_ANY_TAG) : NULL;
    if (!request || !request->mismatch || request->length != last->length || request->stage) return NULL;
    last->tag = request->tag;
    return request->buffer;
}

static void end_control(struct ame__conn *conn, const unsigned char *payload)
{
    const struct ame__header header = conn->header;
    switch (header.kind) {
    case AME__FRAME_CTS: take_cts(&header); break;
    case AME__FRAME_GONE: take_gone(&header); break;
    case AME__FRAME_CREDIT: take_credit(&header); break;
    case AME__FRAME_LINK_ASK:
    case AME__FRAME_LINK_OFFER:
    case AME__FRAME_LINK_NONE: ame__link_frame(conn, &header, payload); break;
    case AME__FRAME_BYE:
    case AME__FRAME_BYE_ACK:
    case AME__FRAME_READY:
    case AME__FRAME_LEFT:
    case AME__FRAME_FAILED:
    case AME__FRAME_HOSTS:
    case AME__FRAME_ABORT: ame__notice_frame(conn, &header, payload); break;
    default: break;
    }
}

void ame__frame_end(struct ame__conn *conn)
{
    enum target kind = (enum target) conn->target_kind;
    void *target = conn->target;
    conn->target = NULL;
    conn->target_kind = NOTHING;
    switch (kind) {
    case INTO_RECEIVE: end_receive(conn, target); break;
    case INTO_MESSAGE: end_message(target, conn->header.context); break;
    case INTO_RELAY: end_relay(conn, target); break;
    case INTO_CONTROL:
        end_control(conn, target);
        free(target);
        break;
    case NOTHING:
        if (conn->header.dst == ame__engine.rank) end_control(conn, NULL);
        break;
    }
}

void ame__frame_cancel(struct ame__conn *conn, int code, const char *text)
{
    struct ame_request *request = conn->target;
    if (conn->target_kind != INTO_RECEIVE) return;
    set_target(conn, NOTHING, NULL, NULL, 0);
    ame__request_done(request, code, text);
}

void ame__frame_broken(struct ame__conn *conn)
{
    void *target = conn->target;
    struct ame_message *message = target;
    conn->target = NULL;
    switch ((enum target) conn->target_kind) {
    case INTO_RECEIVE: {
        struct ame_request *request = target;
        ame__request_fail_peer(request, request->source);
        break;
    }
    case INTO_MESSAGE:
        ame__match_take(message);
        if (message->claimed) {
            ame__request_fail_peer(message->claimed, message->source);
        } else if (message->comm) { /* a matched probe has it: its receive tells */
            message->kind = AME__MESSAGE_RTS;
            message->complete = true;
            break;
        }
        free(message);
        break;
    case INTO_RELAY:
    case INTO_CONTROL: free(target); break;
    case NOTHING: break;
    }
    conn->target_kind = NOTHING;
}
