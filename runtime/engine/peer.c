/* peer.c - the paths to other ranks, and what happens when one is gone.
 *
 * Every rank is connected to rank 0, the hub, from the start. Two other ranks that want to talk open a direct link,
 * arranged through the hub: the lower of the two always dials, so that crossing wishes cannot make two links. The
 * higher one listens only from then on and offers its address (LINK_OFFER), unasked when the wish is its own; the lower
 * asks for it (LINK_ASK). Where no link can be opened both use the relay of the hub (LINK_NONE). Until that is settled
 * their messages are held.
 *
 * A rank is gone when it has said BYE (AME__LEFT) or when its connection ends without (AME__FAILED). Who has no
 * connection to it hears of it from the hub, after everything that the hub relayed from it. Everything that waits for
 * it ends then.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum { OFFER_MAX = AME__HOST_ID_MAX + 1 + AME__ADDRESSES_MAX };

/* ---- paths --------------------------------------------------------------------------------------- */

struct ame__conn *ame__peer_route(int rank)
{
    struct ame__peer *peer = &ame__engine.peers[rank];
    return peer->path == AME__DIRECT ? peer->conn : peer->path == AME__RELAYED ? ame__engine.hub : NULL;
}

void ame__peer_control(int rank, enum ame__frame_kind kind, uint64_t length, uint64_t id, uint64_t other)
{
    struct ame__header header = {
        .kind = (uint8_t) kind, .src = ame__engine.rank, .dst = rank, .length = length, .id = id, .other = other};
    struct ame__conn *route = ame__peer_route(rank);
    if (!route) route = ame__engine.hub; /* link set-up, or an answer to a message that came through the relay */
    if (route) ame__conn_send_copy(route, &header, NULL);
}

static void settle(int rank, enum ame__path path)
{
    ame__engine.peers[rank].path = path;
    ame__log(engine, DEBUG, "path to rank %d: %s", rank, path == AME__DIRECT ? "direct link" : "relay through rank 0");
    ame__send_held(rank);
}

/* An offer is the identity of the host, '/', and the addresses. */
static void offer(int rank)
{
    char text[OFFER_MAX];
    struct ame__engine *engine = &ame__engine;
    bool listening = engine->direct && ame__net_listen(&engine->net) == AME_OK;
    if (engine->direct && !listening) ame__log(engine, INFO, "no direct links: %s", ame__error_text());
    snprintf(text, sizeof text, "%.*s/%.*s", AME__HOST_ID_MAX, engine->net.host, AME__ADDRESSES_MAX - 1,
             engine->net.offer);
    struct ame__header header = {
        .kind = AME__FRAME_LINK_OFFER, .src = engine->rank, .dst = rank, .length = listening ? strlen(text) : 0};
    ame__conn_send_copy(engine->hub, &header, text);
    if (listening)
        engine->peers[rank].path = AME__ASKED;
    else
        settle(rank, AME__RELAYED);
}

void ame__peer_link(int rank)
{
    struct ame__engine *engine = &ame__engine;
    if (!engine->direct || !engine->hub) {
        settle(rank, AME__RELAYED);
    } else if (engine->rank > rank) {
        offer(rank);
    } else {
        engine->peers[rank].path = AME__ASKED;
        ame__peer_control(rank, AME__FRAME_LINK_ASK, 0, 0, 0);
    }
}

void ame__peer_finish_link(int rank)
{
    ame__list_for_each(node, &ame__engine.net.conns)
    {
        struct ame__conn *conn = ame__container_of(node, struct ame__conn, link);
        if (conn->peer != rank || conn->state != AME__CONN_ANSWERED) continue;
        ame__handshake_read(conn);
        if (ame__engine.peers[rank].conn) return; /* it may have begun with several of our addresses */
    }
}

static void use_relay(int rank)
{
    ame__peer_control(rank, AME__FRAME_LINK_NONE, 0, 0, 0);
    if (ame__engine.peers[rank].path != AME__RELAYED) settle(rank, AME__RELAYED);
}

static void dial(int rank, char *text)
{
    struct ame__engine *engine = &ame__engine;
    char *addresses = text;
    const char *id = strsep(&addresses, "/");
    bool same_host = engine->net.one_host || !strcmp(id, engine->net.host);
    int64_t deadline = ame__now_ns() + (int64_t) AME__HANDSHAKE_SECONDS * 1000000000;
    if (!addresses || ame__net_dial(&engine->net, rank, addresses, same_host, deadline)) {
        ame__log(engine, INFO, "no direct link to rank %d: %s", rank, ame__error_text());
        use_relay(rank);
    } else {
        engine->peers[rank].path = AME__DIALLING;
    }
}

void ame__link_frame(struct ame__conn *conn, const struct ame__header *header, const unsigned char *payload)
{
    struct ame__engine *engine = &ame__engine;
    int rank = header->src;
    struct ame__peer *peer = &engine->peers[rank];
    char text[OFFER_MAX];
    if (conn != engine->hub || rank == 0) return;
    switch (header->kind) {
    case AME__FRAME_LINK_ASK:
        if (peer->path == AME__UNLINKED)
            offer(rank);
        else if (peer->path == AME__RELAYED) /* direct links are forbidden here, and it does not know */
            ame__peer_control(rank, AME__FRAME_LINK_NONE, 0, 0, 0);
        break;
    case AME__FRAME_LINK_OFFER:
        if (peer->path == AME__RELAYED) {
            use_relay(rank);
        } else if (peer->path <= AME__ASKED) {
            if (header->length == 0 || header->length >= sizeof text || !engine->direct || engine->rank > rank) {
                use_relay(rank);
                break;
            }
            memcpy(text, payload, header->length);
            text[header->length] = '\0';
            dial(rank, text);
        }
        break;
    case AME__FRAME_LINK_NONE:
        if (peer->path <= AME__ASKED) settle(rank, AME__RELAYED);
        break;
    default: break;
    }
}

/* ---- what the net tells -------------------------------------------------------------------------- */

static enum ame__refusal on_welcome(struct ame__net *net, const struct ame__hello *hello)
{
    struct ame__engine *engine = &ame__engine;
    if (hello->to != (uint32_t) net->rank || hello->size != (uint32_t) net->size || hello->from >= hello->size ||
        hello->from == hello->to)
        return AME__REFUSE_RANK;
    const struct ame__peer *peer = &engine->peers[hello->from];
    bool expected =
        engine->rank == 0 ? peer->path == AME__UNLINKED : peer->path == AME__ASKED && (int) hello->from < engine->rank;
    return expected && peer->life == AME__ALIVE ? AME__REFUSE_NONE : AME__REFUSE_BUSY;
}

static void on_opened(struct ame__conn *conn)
{
    struct ame__peer *peer = &ame__engine.peers[conn->peer];
    peer->conn = conn;
    peer->window = conn->window;
    if (conn->peer == 0) ame__engine.hub = conn;
    settle(conn->peer, AME__DIRECT);
    if (atomic_load(&ame__engine.stage) == AME__LEAVING) ame__peer_control(conn->peer, AME__FRAME_BYE, 0, 0, 0);
    if (conn->peer == 0) ame__notice_host();
    ame__wake();
}

static void on_dial_failed(struct ame__net *net, int rank, int code, const char *text)
{
    struct ame__engine *engine = &ame__engine;
    (void) net;
    if (rank == 0) {
        ame__peer_gone(0, AME__FAILED, text);
        engine->abort_code = code; /* ame_init reports it */
        ame__wake();
        return;
    }
    ame__log(engine, INFO, "no direct link to rank %d on %s: %s", rank, ame__peer_host(rank), text);
    if (engine->hub) use_relay(rank);
}

/* Rank 0 is to blame for what can be reached through it only. */
static void hub_lost(int code, const char *cause)
{
    struct ame__engine *engine = &ame__engine;
    engine->hub = NULL;
    for (int rank = 1; rank < engine->size; rank++) {
        struct ame__peer *peer = &engine->peers[rank];
        if (rank == engine->rank || peer->path == AME__DIRECT || peer->life != AME__ALIVE) continue;
        peer->cut_off = true;
        peer->code = code;
        ame__peer_gone(rank, AME__FAILED, cause);
    }
}

/* Hub: those who were not read because `rank` had too much waiting for it are read again. */
static void resume_senders(int rank)
{
    struct ame__engine *engine = &ame__engine;
    for (int sender = 0; engine->paused_count && sender < engine->size; sender++) {
        struct ame__peer *peer = &engine->peers[sender];
        if (peer->paused_for != rank) continue;
        peer->paused_for = -1;
        engine->paused_count--;
        if (peer->conn) ame__conn_pause(peer->conn, AME__PAUSE_RELAY, false);
    }
}

static void on_closed(struct ame__conn *conn, int code, const char *text)
{
    struct ame__engine *engine = &ame__engine;
    int rank = conn->peer;
    struct ame__peer *peer = &engine->peers[rank];
    peer->code = code;
    ame__frame_broken(conn);
    if (peer->paused_for >= 0) engine->paused_count--;
    peer->paused_for = -1;
    peer->conn = NULL;
    peer->path = AME__RELAYED;
    resume_senders(rank);
    bool expected = peer->said_bye;
    if (conn == engine->hub) hub_lost(code, text);
    if (!expected) {
        ame__peer_gone(rank, AME__FAILED, text);
        if (engine->rank == 0 && !engine->aborted) ame__notice_failed(rank, text);
    }
    if (engine->rank == 0) engine->absent++;
    ame__wake();
}

static void on_drained(struct ame__conn *conn)
{
    resume_senders(conn->peer);
}

const struct ame__net_events ame__peer_events = {.welcome = on_welcome,
                                                 .opened = on_opened,
                                                 .dial_failed = on_dial_failed,
                                                 .frame_begin = ame__frame_begin,
                                                 .frame_guess = ame__frame_guess,
                                                 .frame_end = ame__frame_end,
                                                 .closed = on_closed,
                                                 .drained = on_drained};

/* ---- gone ---------------------------------------------------------------------------------------- */

const char *ame__peer_host(int rank)
{
    const struct ame__peer *peer = &ame__engine.peers[rank];
    return peer->host ? peer->host : ame__engine.host;
}

int ame__peer_culprit(int rank)
{
    return ame__engine.peers[rank].cut_off ? 0 : rank;
}

int ame__peer_error(int rank)
{
    const struct ame__peer *peer = &ame__engine.peers[rank];
    if (peer->life == AME__LEFT)
        return ame__fail(AME_E_PEER_LEFT, "rank %d has finalized (ame_finalize) and sends and receives nothing more",
                         rank);
    const char *cause = peer->cause                 ? peer->cause
                        : peer->code == AME_E_NOMEM ? "out of memory"
                                                    : "its connection broke";
    if (peer->code == AME_E_NOMEM) /* here: the other side has not failed */
        return ame__fail(AME_E_NOMEM, "the connection with rank %d on host %s had to be closed: %.300s",
                         ame__peer_culprit(rank), ame__peer_host(ame__peer_culprit(rank)), cause);
    if (peer->cut_off)
        return ame__fail(
            AME_E_PEER_FAILED,
            "rank 0 on host %s has failed: %.300s (rank %d cannot be reached without rank 0, which connects the "
            "ranks)",
            ame__peer_host(0), cause, rank);
    return ame__fail(AME_E_PEER_FAILED, "rank %d on host %s has failed: %.300s", rank, ame__peer_host(rank), cause);
}

int ame__peers_left(const struct ame_comm *comm)
{
    struct ame__engine *engine = &ame__engine;
    int gone = -1; /* in a communicator of one rank another thread of this rank may send */
    for (int rank = 0; rank < comm->size; rank++) {
        int world = ame__comm_to_world(comm, rank);
        if (world == engine->rank) continue;
        if (engine->peers[world].life == AME__ALIVE) return -1;
        /* Of several, the one that failed is worth telling. */
        if (gone < 0 || engine->peers[world].life == AME__FAILED) gone = world;
    }
    return gone;
}

void ame__peer_blamed(int rank)
{
    struct ame__peer *peer = &ame__engine.peers[rank];
    if (!peer->blamed) ame__boot_blame(&ame__engine.boot, rank);
    peer->blamed = true;
}

static void fail_list(struct ame__list *list, int rank)
{
    for (struct ame__list *node; (node = ame__list_take(list));)
        ame__request_fail_peer(ame__container_of(node, struct ame_request, link), rank);
}

static void fail_slots(int rank)
{
    struct ame__engine *engine = &ame__engine;
    for (uint32_t index = 1; index < engine->slot_count; index++) {
        struct ame_request *request = engine->slots[index].request;
        if (request && (request->kind == AME__SEND ? request->peer : request->source) == rank)
            ame__request_fail_peer(request, rank);
    }
}

void ame__peer_gone(int rank, enum ame__life life, const char *cause)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__peer *peer = &engine->peers[rank];
    if (rank == engine->rank || peer->life != AME__ALIVE) return;
    peer->life = life;
    if (!peer->cause && cause) peer->cause = strdup(cause);
    ame__log(engine, DEBUG, "rank %d is gone: %s", rank, cause ? cause : "finalized");
    fail_list(&peer->held, rank);
    fail_slots(rank);
    for (int bucket = 0; bucket < AME__CONTEXT_BUCKETS; bucket++)
        for (struct ame__context *context = engine->contexts[bucket]; context; context = context->next)
            if (context->lanes[rank].posted.next) fail_list(&context->lanes[rank].posted, rank);
    ame__wake(); /* who waits for a receive from any source looks whether anybody is left */
}
