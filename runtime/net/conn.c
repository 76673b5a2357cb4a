/* conn.c - one connection: its send queue and its receiver. See net.h for states and ownership.
 *
 * Sending: a frame goes out with one sendmsg for header and payload if nothing is queued before it; what the kernel
 * does not take stays queued, many frames to one sendmsg.
 *
 * Receiving: bytes are read into the stage that all connections of the net share, parsed at once, and nothing but a
 * part of a header ever stays behind. A payload that is longer than what the stage held is read into place, with a
 * small read-ahead behind it in the same system call. After a long payload the next header is read together with
 * payload that goes where the payload of an equal header would go; if another header comes it is moved to the stage.
 *
 * A connection that is sealed (conn->crypt, see crypt.h) does neither: what leaves is sealed on the way to the kernel, so a
 * frame is done when it is sealed and at most one record of it waits beside the queue; what arrives is opened unit by unit
 * and consumed like what was read into the stage.
 */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum {
    FRAMES_PER_SENDMSG = 32,
    READS_PER_TURN = 16,
    SHORT_FRAME = 1024 /* bytes that are sent faster as one piece, header and payload copied together */
};

/* ---- life ---------------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);

struct ame__conn *ame__conn_create(struct ame__net *net, int fd, enum ame__conn_state state, int peer)
{
    struct ame__conn *conn = calloc(1, sizeof *conn);
    if (!conn) return NULL;
    if (uv_poll_init(&net->loop, &conn->poll, fd)) {
        free(conn);
        return NULL;
    }
    conn->poll.data = conn;
    conn->net = net;
    conn->fd = fd;
    conn->state = state;
    conn->peer = peer;
    ame__list_init(&conn->queue);
    ame__list_append(&net->conns, &conn->link);
    net->changed = true;
    return conn;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct ame__conn *conn = handle->data;
    ame__crypt_destroy(conn->crypt);
    sodium_memzero(conn->secret, sizeof conn->secret);
    free(conn);
}

static void fail_queue(struct ame__conn *conn, int code, const char *text)
{
    for (struct ame__list *node; (node = ame__list_take(&conn->queue));) {
        struct ame__out *out = ame__container_of(node, struct ame__out, link);
        out->done(out, code, text);
    }
    conn->queued = 0;
}

void ame__conn_close(struct ame__conn *conn, int code, const char *text)
{
    enum ame__conn_state was = conn->state;
    if (was == AME__CONN_CLOSED) return;
    conn->state = AME__CONN_CLOSED;
    ame__log(net, DEBUG, "connection with rank %d at %s closed: %s", conn->peer, conn->address, text);
    uv_poll_stop(&conn->poll);
    ame__list_remove(&conn->link);
    if (was != AME__CONN_OPEN || conn->ending) ame__handshake_strangers(conn->net, -1);
    if (was == AME__CONN_OPEN)
        conn->net->events->closed(conn, code, text);
    else if (was == AME__CONN_DIALLING || was == AME__CONN_GREETING)
        ame__dial_failed(conn, code, text);
    fail_queue(conn, code, text); /* the owner knows already who is gone */
    close(conn->fd);
    conn->fd = -1;
    conn->net->changed = true;
    uv_close((uv_handle_t *) &conn->poll, on_handle_closed);
}

void ame__conn_watch(struct ame__conn *conn, int events)
{
    if (conn->watched == events || conn->state == AME__CONN_CLOSED) return;
    conn->watched = events;
    if (events)
        uv_poll_start(&conn->poll, events, on_poll);
    else
        uv_poll_stop(&conn->poll);
    conn->net->changed = true;
}

static bool has_pending(const struct ame__conn *conn)
{
    return conn->crypt && conn->crypt->pending;
}

static void watch_open(struct ame__conn *conn)
{
    bool writing = (!ame__list_empty(&conn->queue) || has_pending(conn)) && !conn->send_broken;
    ame__conn_watch(conn, (conn->paused ? 0 : UV_READABLE) | (writing ? UV_WRITABLE : 0));
}

void ame__conn_pause(struct ame__conn *conn, enum ame__pause why, bool paused)
{
    conn->paused = paused ? conn->paused | (unsigned) why : conn->paused & ~(unsigned) why;
    if (conn->state == AME__CONN_OPEN) watch_open(conn);
}

void ame__conn_end(struct ame__conn *conn)
{
    shutdown(conn->fd, SHUT_WR);
    conn->paused = 0;
    if (conn->state == AME__CONN_OPEN) watch_open(conn);
    if (conn->ending || conn->state != AME__CONN_OPEN) return;
    conn->ending = true;
    conn->deadline = ame__now_ns() + (int64_t) AME__END_SECONDS * 1000000000;
    ame__handshake_strangers(conn->net, +1); /* those who have a deadline */
}

/* ---- sending ------------------------------------------------------------------------------------- */

/* Fills `parts` with what is left of `out`; returns how many were used. */
static int parts_of(const struct ame__out *out, struct iovec *parts)
{
    int count = 0;
    size_t skip = out->sent;
    if (skip < AME__HEADER_SIZE) {
        parts[count++] = (struct iovec){(char *) out->header + skip, AME__HEADER_SIZE - skip};
        skip = 0;
    } else {
        skip -= AME__HEADER_SIZE;
    }
    if (out->length > skip) parts[count++] = (struct iovec){(char *) out->payload + skip, out->length - skip};
    return count;
}

/* A program that uses CUDA by itself may give device memory before this library knows of a device. */
static const char device_hint[] = "; if it is device memory, call ame_gpu_bind or ame_gpu_usable before (ame_gpu.h)";

/* The reading side will find out what happened, after it has read what the other side had sent before. */
static void break_sending(struct ame__conn *conn, int error)
{
    conn->send_broken = true;
    if (error != EPIPE && error != ECONNRESET) shutdown(conn->fd, SHUT_WR); /* EFAULT, ENOMEM: it would not */
    ame__log(net, DEBUG, "send to rank %d failed: %s", conn->peer, ame__errno_name(error));
    if (error == EFAULT)
        ame__log(net, ERROR, "a message to rank %d is not in memory that the CPU can read%s", conn->peer, device_hint);
}

/* Sends sealed bytes; returns how many the kernel took. */
static size_t send_bytes(struct ame__conn *conn, const unsigned char *bytes, size_t length)
{
    for (;;) {
        ssize_t n = send(conn->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return (size_t) n;
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != ENOBUFS) break_sending(conn, errno);
        return 0;
    }
}

/* Sends what is sealed already. True: nothing is left of it. */
static bool send_pending(struct ame__conn *conn)
{
    struct ame__crypt *crypt = conn->crypt;
    if (!crypt->pending) return true;
    if (conn->send_broken) return false;
    crypt->pending_sent +=
        send_bytes(conn, crypt->pending + crypt->pending_sent, crypt->pending_length - crypt->pending_sent);
    if (crypt->pending_sent < crypt->pending_length) return false;
    free(crypt->pending);
    crypt->pending = NULL;
    return true;
}

/* Sends the parts sealed, as many records as the kernel takes, and keeps what is left of the last one. Returns how many
 * bytes of the parts are no longer needed. */
static ssize_t send_sealed(struct ame__conn *conn, struct iovec *parts, int count)
{
    struct ame__crypt *crypt = conn->crypt;
    struct ame__crypt_room *room = conn->net->room;
    size_t taken = 0, length;
    while (count && send_pending(conn) && !conn->send_broken) {
        size_t step = ame__crypt_seal(crypt, parts, count, room->plain, room->sealed, &length);
        taken += step;
        for (; count && step >= parts->iov_len; parts++, count--) step -= parts->iov_len;
        if (count) {
            parts->iov_base = (unsigned char *) parts->iov_base + step;
            parts->iov_len -= step;
        }
        size_t sent = send_bytes(conn, room->sealed, length);
        if (sent == length || conn->send_broken) continue;
        crypt->pending = malloc(length - sent);
        if (!crypt->pending) { /* the other side could not open anything that comes later */
            break_sending(conn, ENOMEM);
            break;
        }
        memcpy(crypt->pending, room->sealed + sent, length - sent);
        crypt->pending_length = length - sent;
        crypt->pending_sent = 0;
    }
    if (crypt->pending) watch_open(conn);
    return (ssize_t) taken;
}

static ssize_t send_parts(struct ame__conn *conn, struct iovec *parts, int count)
{
    if (__builtin_expect(conn->crypt != NULL, 0)) return send_sealed(conn, parts, count);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t) count};
    unsigned char joined[SHORT_FRAME];
    bool join = count == 2 && parts[0].iov_len + parts[1].iov_len <= sizeof joined;
    if (join) {
        memcpy(joined, parts[0].iov_base, parts[0].iov_len);
        memcpy(joined + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
    }
    for (;;) {
        ssize_t n = join ? send(conn->fd, joined, parts[0].iov_len + parts[1].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                         : sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return n;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS) return 0;
        break_sending(conn, errno);
        return 0;
    }
}

void ame__conn_flush(struct ame__conn *conn)
{
    if (conn->state != AME__CONN_OPEN) return;
    if (has_pending(conn)) send_pending(conn);
    while (!ame__list_empty(&conn->queue) && !conn->send_broken) {
        struct iovec parts[2 * FRAMES_PER_SENDMSG];
        int count = 0;
        size_t wanted = 0;
        ame__list_for_each(node, &conn->queue)
        {
            struct ame__out *out = ame__container_of(node, struct ame__out, link);
            count += parts_of(out, parts + count);
            wanted += AME__HEADER_SIZE + out->length - out->sent;
            if (count > 2 * FRAMES_PER_SENDMSG - 2) break;
        }
        ssize_t n = send_parts(conn, parts, count);
        size_t left = (size_t) n;
        conn->queued -= left;
        while (left && conn->state == AME__CONN_OPEN) {
            struct ame__out *out = ame__container_of(ame__list_first(&conn->queue), struct ame__out, link);
            size_t rest = AME__HEADER_SIZE + out->length - out->sent;
            size_t step = left < rest ? left : rest;
            out->sent += step;
            left -= step;
            if (step == rest) {
                ame__list_remove(&out->link);
                out->done(out, AME_OK, NULL);
            }
        }
        if ((size_t) n < wanted) break;
    }
    if (conn->state != AME__CONN_OPEN) return;
    watch_open(conn);
    if (ame__list_empty(&conn->queue)) conn->net->events->drained(conn);
}

void ame__conn_send(struct ame__conn *conn, struct ame__out *out)
{
    size_t total = AME__HEADER_SIZE + out->length;
    out->sent = 0;
    if (ame__list_empty(&conn->queue) && !conn->send_broken && conn->state == AME__CONN_OPEN) {
        struct iovec parts[2];
        int count = parts_of(out, parts);
        out->sent = (size_t) send_parts(conn, parts, count);
        if (out->sent == total) {
            out->done(out, AME_OK, NULL);
            return;
        }
    }
    ame__list_append(&conn->queue, &out->link);
    conn->queued += total - out->sent;
    if (conn->state == AME__CONN_OPEN) watch_open(conn);
}

void ame__conn_queue(struct ame__conn *conn, struct ame__out *out)
{
    out->sent = 0;
    ame__list_append(&conn->queue, &out->link);
    conn->queued += AME__HEADER_SIZE + out->length;
    if (conn->state == AME__CONN_OPEN) watch_open(conn);
}

struct copied_out {
    struct ame__out out;
    unsigned char payload[];
};

static void free_copy(struct ame__out *out, int code, const char *text)
{
    (void) code, (void) text;
    free(ame__container_of(out, struct copied_out, out));
}

static void sent_at_once(struct ame__out *out, int code, const char *text)
{
    (void) out, (void) code, (void) text;
}

void ame__conn_send_copy(struct ame__conn *conn, const struct ame__header *header, const void *payload)
{
    struct ame__out out = {.payload = payload, .length = ame__header_payload(header), .done = sent_at_once};
    size_t total = AME__HEADER_SIZE + out.length;
    ame__header_encode(out.header, header);
    if (ame__list_empty(&conn->queue) && !conn->send_broken && conn->state == AME__CONN_OPEN) {
        struct iovec parts[2];
        int count = parts_of(&out, parts);
        out.sent = (size_t) send_parts(conn, parts, count);
        if (out.sent == total) return;
    }
    struct copied_out *copy = malloc(sizeof *copy + out.length);
    if (!copy) { /* the other side cannot be left without this frame */
        ame__conn_close(conn, AME_E_NOMEM, "out of memory for a control message");
        return;
    }
    copy->out = out;
    copy->out.done = free_copy;
    copy->out.payload = copy->payload;
    if (out.length) memcpy(copy->payload, payload, out.length);
    ame__list_append(&conn->queue, &copy->out.link);
    conn->queued += total - out.sent;
    if (conn->state == AME__CONN_OPEN) watch_open(conn);
}

/* ---- receiving ----------------------------------------------------------------------------------- */

static void end_frame(struct ame__conn *conn)
{
    conn->in_payload = false;
    conn->net->events->frame_end(conn);
}

static void begin_frame(struct ame__conn *conn, const unsigned char *bytes)
{
    const char *wrong = ame__header_decode(bytes, conn->net->size, &conn->header);
    if (wrong) {
        char text[200];
        snprintf(text, sizeof text, "rank %d at %s sent a frame with %s", conn->peer, conn->address, wrong);
        ame__conn_close(conn, AME_E_PROTOCOL, text);
        return;
    }
    conn->payload_left = ame__header_payload(&conn->header);
    if (conn->payload_left) conn->large = conn->payload_left >= AME__LARGE_PAYLOAD; /* RTS, CTS, CREDIT come between */
    if (conn->payload_left >= AME__LARGE_PAYLOAD) conn->last_long = conn->header;
    conn->sink = NULL;
    conn->sink_size = 0;
    conn->in_payload = true;
    conn->net->events->frame_begin(conn);
    if (conn->state == AME__CONN_OPEN && conn->payload_left == 0) end_frame(conn);
}

/* `length` bytes of the payload have arrived at `bytes`, or NULL: they are in place already. */
static void take_payload(struct ame__conn *conn, const unsigned char *bytes, size_t length)
{
    size_t keep = length < conn->sink_size ? length : conn->sink_size;
    if (bytes && keep) memcpy(conn->sink, bytes, keep);
    if (keep) conn->sink += keep;
    conn->sink_size -= keep;
    conn->payload_left -= length;
    if (conn->payload_left == 0) end_frame(conn);
}

static void consume(struct ame__conn *conn, const unsigned char *bytes, size_t length)
{
    while (length && conn->state == AME__CONN_OPEN) {
        size_t step;
        if (conn->in_payload) {
            step = length < conn->payload_left ? length : conn->payload_left;
            take_payload(conn, bytes, step);
        } else if (conn->partial_length == 0 && length >= AME__HEADER_SIZE) {
            step = AME__HEADER_SIZE;
            begin_frame(conn, bytes);
        } else {
            step = AME__HEADER_SIZE - conn->partial_length;
            if (length < step) step = length;
            memcpy(conn->partial + conn->partial_length, bytes, step);
            conn->partial_length += step;
            if (conn->partial_length == AME__HEADER_SIZE) {
                conn->partial_length = 0;
                begin_frame(conn, conn->partial);
            }
        }
        bytes += step;
        length -= step;
    }
}

static bool same_header(const struct ame__header *a, const struct ame__header *b)
{
    return a->kind == b->kind && a->tag == b->tag && a->context == b->context && a->src == b->src && a->dst == b->dst &&
           a->length == b->length;
}

/* A header is in conn->partial and `length` bytes behind it at `place`, where they belong if it is a header like the last. */
static void consume_guessed(struct ame__conn *conn, unsigned char *place, size_t length)
{
    struct ame__header header;
    bool right = !ame__header_decode(conn->partial, conn->net->size, &header) && same_header(&header, &conn->last_long);
    if (length && !right) memcpy(conn->net->stage, place, length);
    begin_frame(conn, conn->partial);
    if (length && right && conn->state == AME__CONN_OPEN)
        take_payload(conn, conn->sink == place ? NULL : place, length);
    else if (length)
        consume(conn, conn->net->stage, length);
}

static void end_of_stream(struct ame__conn *conn, ssize_t result)
{
    char text[400];
    if (result == 0)
        snprintf(text, sizeof text, "the connection with %s was closed by the other side", conn->address);
    else
        snprintf(text, sizeof text, "the connection with %s broke: %s: %s%s", conn->address, ame__errno_name(errno),
                 strerror(errno), errno == EFAULT ? device_hint : "");
    ame__conn_close(conn, AME_E_PEER_FAILED, text);
}

/* Reads a header and the payload that is guessed to follow it. Returns false if there was no guess. */
static bool read_guessing(struct ame__conn *conn, bool *more)
{
    unsigned char *place = conn->net->events->frame_guess(conn);
    if (!place) return false;
    size_t room = conn->last_long.length < AME__STAGE_SIZE ? (size_t) conn->last_long.length : AME__STAGE_SIZE;
    struct iovec parts[2] = {{conn->partial, AME__HEADER_SIZE}, {place, room}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = recvmsg(conn->fd, &message, MSG_DONTWAIT);
    *more = n == (ssize_t) (AME__HEADER_SIZE + room) || (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n <= 0)
        end_of_stream(conn, n);
    else if (n < AME__HEADER_SIZE)
        conn->partial_length = (size_t) n;
    else
        consume_guessed(conn, place, (size_t) n - AME__HEADER_SIZE);
    return true;
}

/* room->arrived[0..total-1] has arrived sealed. Opens each unit that is complete,
 * hands its data on, and keeps the rest. */
static void open_sealed(struct ame__conn *conn, size_t total)
{
    struct ame__crypt *crypt = conn->crypt;
    struct ame__crypt_room *room = conn->net->room;
    size_t used = 0, length;
    long unit = 0;
    while (conn->state == AME__CONN_OPEN &&
           (unit = ame__crypt_open(crypt, room->arrived + used, total - used, conn->net->stage, &length)) > 0) {
        used += (size_t) unit;
        consume(conn, conn->net->stage, length); /* may seal answers, in the rest of the room */
    }
    if (conn->state != AME__CONN_OPEN) return;
    if (unit < 0) {
        char text[300];
        snprintf(
            text, sizeof text,
            "what arrived from rank %d at %s is not what it sent: the bytes were changed, left out or added on the way "
            "(noticed by AME_ENCRYPT)",
            conn->peer, conn->address);
        ame__log(net, ERROR, "%s", text);
        ame__conn_close(conn, AME_E_AUTH, text);
        return;
    }
    if (used == total) return;
    crypt->rest = malloc(total - used);
    if (!crypt->rest) {
        ame__conn_close(conn, AME_E_NOMEM, "out of memory for what arrives sealed");
        return;
    }
    crypt->rest_length = total - used;
    memcpy(crypt->rest, room->arrived + used, crypt->rest_length);
}

static bool read_sealed(struct ame__conn *conn)
{
    struct ame__crypt *crypt = conn->crypt;
    unsigned char *arrived = conn->net->room->arrived;
    size_t before = crypt->rest ? crypt->rest_length : 0;
    ssize_t n = recv(conn->fd, arrived + before, AME__STAGE_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
    if (n <= 0) {
        end_of_stream(conn, n);
        return false;
    }
    if (conn->ending) conn->deadline = ame__now_ns() + (int64_t) AME__END_SECONDS * 1000000000;
    if (before) memcpy(arrived, crypt->rest, before);
    free(crypt->rest);
    crypt->rest = NULL;
    open_sealed(conn, before + (size_t) n);
    return n == AME__STAGE_SIZE;
}

/* One read. Returns whether there may be more. */
static bool read_once(struct ame__conn *conn)
{
    bool more;
    if (__builtin_expect(conn->crypt != NULL, 0)) return read_sealed(conn);
    if (conn->large && !conn->in_payload && conn->partial_length == 0 && read_guessing(conn, &more)) return more;
    struct iovec parts[2];
    int count = 0;
    size_t direct = 0, ahead = AME__STAGE_SIZE;
    if (conn->in_payload) {
        direct = conn->payload_left < conn->sink_size ? conn->payload_left : conn->sink_size;
        if (direct) parts[count++] = (struct iovec){conn->sink, direct};
        if (conn->large && direct == conn->payload_left) ahead = AME__HEADER_SIZE;
    } else if (conn->large) {
        ahead = AME__HEADER_SIZE - conn->partial_length;
    }
    parts[count++] = (struct iovec){conn->net->stage, ahead};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t) count};
    ssize_t n =
        count == 1 ? recv(conn->fd, conn->net->stage, ahead, MSG_DONTWAIT) : recvmsg(conn->fd, &message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
    if (n <= 0) {
        end_of_stream(conn, n);
        return false;
    }
    size_t got = (size_t) n, placed = got < direct ? got : direct;
    if (conn->ending) conn->deadline = ame__now_ns() + (int64_t) AME__END_SECONDS * 1000000000;
    if (placed) take_payload(conn, NULL, placed);
    if (got > placed) consume(conn, conn->net->stage, got - placed);
    return got == direct + ahead;
}

void ame__conn_read(struct ame__conn *conn)
{
    conn->net->enough = false;
    for (int turn = 0; turn < READS_PER_TURN && !conn->net->enough; turn++)
        if (conn->state != AME__CONN_OPEN || conn->paused || !read_once(conn)) return;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct ame__conn *conn = poll->data;
    if (status < 0) { /* libuv has stopped watching: EPOLLERR; recv tells the cause */
        conn->watched = 0;
        conn->paused = 0; /* it is dead: read what is left and hear of it */
        events = UV_READABLE;
    }
    if (conn->state != AME__CONN_OPEN) {
        ame__handshake_read(conn);
        return;
    }
    if (events & UV_WRITABLE) ame__conn_flush(conn);
    if (events & UV_READABLE) ame__conn_read(conn);
    if (conn->state == AME__CONN_OPEN) watch_open(conn);
}
