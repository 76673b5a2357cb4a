/* notice.c - what the ranks tell each other about leaving, failing and aborting.
 *
 * A rank that finalizes says BYE on each of its connections and waits for the BYE_ACK, which tells that all it had sent
 * has been read. The hub collects those who leave for AME__NOTICE_MS and tells the others in one LEFT, so that the
 * usual end, when all leave together, costs nothing. FAILED and ABORT are passed on at once.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void tell(int rank, const struct ame__header *header, const void *payload)
{
    struct ame__peer *peer = &ame__engine.peers[rank];
    struct ame__header copy = *header;
    if (rank == ame__engine.rank || !peer->conn || peer->said_bye) return;
    copy.dst = rank;
    copy.src = ame__engine.rank;
    ame__conn_send_copy(peer->conn, &copy, payload);
}

static void announce_leavers(uv_timer_t *timer)
{
    struct ame__engine *engine = &ame__engine;
    enum { RANKS_MAX = AME__CONTROL_MAX / 4 };
    (void) timer;
    while (engine->leaver_count > 0) {
        static unsigned char bytes[AME__CONTROL_MAX]; /* too large for a stack; guarded by the lock */
        int count = engine->leaver_count < RANKS_MAX ? engine->leaver_count : RANKS_MAX;
        engine->leaver_count -= count;
        for (int i = 0; i < count; i++)
            ame__put32(bytes + 4 * (size_t) i, (uint32_t) engine->leavers[engine->leaver_count + i]);
        struct ame__header header = {.kind = AME__FRAME_LEFT, .length = 4 * (uint64_t) count};
        for (int rank = 1; rank < engine->size; rank++) tell(rank, &header, bytes);
    }
}

void ame__notice_host(void)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__header header = {.kind = AME__FRAME_HOSTS,
                                 .src = engine->rank,
                                 .id = (uint64_t) engine->rank,
                                 .length = strlen(engine->host) + 1};
    ame__conn_send_copy(engine->hub, &header, engine->host);
}

/* The names of all hosts, in as many frames as they need; nothing if all ranks are on this one. */
static void tell_hosts(void)
{
    struct ame__engine *engine = &ame__engine;
    static char names[AME__CONTROL_MAX]; /* too large for a stack; guarded by the lock */
    bool several = false;
    for (int rank = 1; rank < engine->size; rank++) several |= strcmp(ame__peer_host(rank), engine->host) != 0;
    for (int first = 0, next; several && first < engine->size; first = next) {
        size_t length = 0;
        for (next = first; next < engine->size; next++) {
            size_t size = strlen(ame__peer_host(next)) + 1;
            if (length + size > sizeof names) break;
            memcpy(names + length, ame__peer_host(next), size);
            length += size;
        }
        struct ame__header header = {.kind = AME__FRAME_HOSTS, .id = (uint64_t) first, .length = length};
        for (int rank = 1; rank < engine->size; rank++) tell(rank, &header, names);
    }
}

static void take_hosts(int first, const char *names, size_t length)
{
    struct ame__engine *engine = &ame__engine;
    for (int rank = first; length > 0 && rank < engine->size; rank++) {
        size_t size = strnlen(names, length) + 1;
        if (size > length || size > sizeof engine->host) return;
        struct ame__peer *peer = &engine->peers[rank];
        if (engine->rank == 0 && !peer->host) engine->introduced++;
        free(peer->host);
        peer->host = strdup(names);
        names += size;
        length -= size;
        if (engine->rank == 0) break; /* a rank speaks for itself only */
    }
    ame__wake();
}

void ame__notice_ready(void)
{
    tell_hosts();
    struct ame__header header = {.kind = AME__FRAME_READY};
    for (int rank = 1; rank < ame__engine.size; rank++) tell(rank, &header, NULL);
}

void ame__notice_left(int rank)
{
    struct ame__engine *engine = &ame__engine;
    engine->leavers[engine->leaver_count++] = rank;
    if (uv_is_active((uv_handle_t *) &engine->notice_timer)) return;
    uv_update_time(&engine->net.loop);
    uv_timer_start(&engine->notice_timer, announce_leavers, AME__NOTICE_MS, 0);
    engine->net.changed = true;
}

void ame__notice_failed(int failed, const char *cause)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__header header = {.kind = AME__FRAME_FAILED, .id = (uint64_t) failed, .length = strlen(cause)};
    for (int rank = 1; rank < engine->size; rank++) tell(rank, &header, cause);
}

void ame__notice_abort(int from, int code)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__header header = {.kind = AME__FRAME_ABORT, .id = (uint64_t) from, .tag = code};
    if (engine->rank == 0) {
        for (int rank = 1; rank < engine->size; rank++)
            if (rank != from) tell(rank, &header, NULL);
    } else if (engine->hub) {
        header.src = engine->rank;
        ame__conn_send_copy(engine->hub, &header, NULL);
    }
}

static void aborted(int from, int code)
{
    struct ame__engine *engine = &ame__engine;
    if (engine->aborted) return;
    engine->aborted = true;
    engine->abort_rank = from;
    engine->abort_code = code;
    if (engine->rank == 0) ame__notice_abort(from, code);
    char text[100];
    snprintf(text, sizeof text, "rank %d has called ame_abort(%d)", from, code);
    for (int rank = engine->size - 1; rank >= 0; rank--) { /* the hub last */
        if (engine->peers[rank].conn) ame__conn_close(engine->peers[rank].conn, AME_E_ABORTED, text);
        ame__peer_gone(rank, AME__FAILED, text);
    }
}

static void said_bye(struct ame__conn *conn)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__peer *peer = &engine->peers[conn->peer];
    if (peer->said_bye) return;
    ame__peer_control(conn->peer, AME__FRAME_BYE_ACK, 0, 0, 0);
    peer->said_bye = true;
    ame__peer_gone(conn->peer, AME__LEFT, NULL);
    if (engine->rank == 0) ame__notice_left(conn->peer);
    ame__wake();
}

/* The hub knows first. What that rank had sent on a direct link is read before the link's end tells. */
static void take_failed(int rank, const char *cause)
{
    struct ame__peer *peer = &ame__engine.peers[rank];
    ame__peer_finish_link(rank);
    if (!peer->cause) peer->cause = strdup(cause);
    if (peer->conn)
        ame__conn_end(peer->conn);
    else
        ame__peer_gone(rank, AME__FAILED, cause);
}

static void take_left(const struct ame__header *header, const unsigned char *payload)
{
    struct ame__engine *engine = &ame__engine;
    for (uint64_t i = 0; i + 4 <= header->length; i += 4) {
        uint32_t rank = ame__get32(payload + i);
        if (rank >= (uint32_t) engine->size) continue;
        ame__peer_finish_link((int) rank);
        if (engine->peers[rank].path == AME__DIRECT) continue; /* its link tells */
        ame__peer_gone((int) rank, AME__LEFT, NULL);
    }
}

void ame__notice_frame(struct ame__conn *conn, const struct ame__header *header, const unsigned char *payload)
{
    struct ame__engine *engine = &ame__engine;
    bool from_hub = conn == engine->hub && header->src == 0;
    bool rank_good = header->id < (uint64_t) engine->size;
    switch (header->kind) {
    case AME__FRAME_BYE:
        if (header->src == conn->peer) said_bye(conn);
        break;
    case AME__FRAME_BYE_ACK:
        engine->peers[conn->peer].bye_acked = true;
        ame__wake();
        break;
    case AME__FRAME_READY:
        if (from_hub) engine->ready = true;
        ame__wake();
        break;
    case AME__FRAME_HOSTS:
        if (payload && (from_hub ? rank_good : engine->rank == 0 && header->id == (uint64_t) header->src))
            take_hosts((int) header->id, (const char *) payload, (size_t) header->length);
        break;
    case AME__FRAME_LEFT:
        if (from_hub) take_left(header, payload);
        break;
    case AME__FRAME_FAILED:
        if (from_hub && rank_good && header->id) take_failed((int) header->id, payload ? (const char *) payload : "");
        break;
    case AME__FRAME_ABORT:
        if (from_hub && rank_good)
            aborted((int) header->id, header->tag);
        else if (engine->rank == 0)
            aborted(header->src, header->tag);
        break;
    default: break;
    }
}
