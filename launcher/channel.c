#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define READ_SIZE ((size_t) 256 * 1024)

static void on_poll(uv_poll_t *poll, int status, int events);

static void fail(struct ame__channel *channel)
{
    if (!channel->open) return;
    ame__channel_close(channel);
    channel->on_closed(channel);
}

static void watch(struct ame__channel *channel)
{
    int writable = ame__bytes_length(&channel->out) ? UV_WRITABLE : 0;
    if (!channel->open) return;
    if (channel->fd == channel->out_fd) {
        uv_poll_start(&channel->poll, UV_READABLE | writable, on_poll);
        return;
    }
    uv_poll_start(&channel->poll, UV_READABLE, on_poll);
    if (writable)
        uv_poll_start(&channel->out_poll, UV_WRITABLE, on_poll);
    else
        uv_poll_stop(&channel->out_poll);
}

/* False when the other side is gone. */
static bool write_some(struct ame__channel *channel)
{
    while (ame__bytes_length(&channel->out)) {
        ssize_t done = write(channel->out_fd, ame__bytes_data(&channel->out), ame__bytes_length(&channel->out));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno == EAGAIN;
        ame__bytes_consume(&channel->out, (size_t) done);
    }
    return true;
}

/* False while there is more to wait for before the first frame. */
static bool handle_hello(struct ame__channel *channel)
{
    long used = channel->on_hello(channel, ame__bytes_data(&channel->in), ame__bytes_length(&channel->in));
    if (used < 0) fail(channel);
    if (used <= 0) return false;
    channel->on_hello = NULL;
    ame__bytes_consume(&channel->in, (size_t) used);
    return true;
}

static void handle_frames(struct ame__channel *channel)
{
    if (channel->on_hello && !handle_hello(channel)) return;
    while (channel->open) {
        struct ame__frame frame;
        long size = ame__frame_decode(ame__bytes_data(&channel->in), ame__bytes_length(&channel->in), &frame);
        if (size < 0) {
            ame__log(launcher, WARN, "control channel: a frame cannot be understood");
            fail(channel);
        }
        if (size <= 0) return;
        ame__log(launcher, TRACE, "frame %s rank %d length %u", ame__frame_name(frame.kind), (int) frame.rank,
                 frame.length);
        channel->on_frame(channel, &frame);
        if (channel->open) ame__bytes_consume(&channel->in, (size_t) size);
    }
}

static void read_some(struct ame__channel *channel)
{
    char *place = ame__bytes_reserve(&channel->in, READ_SIZE);
    ssize_t got = read(channel->fd, place, READ_SIZE);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        fail(channel);
        return;
    }
    channel->in.end += (size_t) got;
    channel->heard_ns = ame__now_ns();
    handle_frames(channel);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct ame__channel *channel = poll->data;
    if (poll == &channel->poll && (status < 0 || (events & UV_READABLE))) read_some(channel);
    if (!channel->open) return;
    if (!write_some(channel)) {
        if (channel->fd == channel->out_fd)
            read_some(channel);
        else
            fail(channel);
        return;
    }
    watch(channel);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct ame__channel *channel = prepare->data;
    if (!channel->open || !ame__bytes_length(&channel->out)) return;
    write_some(channel);
    if (ame__bytes_length(&channel->out)) watch(channel);
}

int ame__channel_open(struct ame__channel *channel, uv_loop_t *loop, int in_fd, int out_fd)
{
    int rc = uv_poll_init(loop, &channel->poll, in_fd);
    if (!rc && in_fd != out_fd) rc = uv_poll_init(loop, &channel->out_poll, out_fd);
    if (rc) return rc;
    channel->fd = in_fd;
    channel->out_fd = out_fd;
    channel->open = true;
    channel->heard_ns = ame__now_ns();
    uv_prepare_init(loop, &channel->prepare);
    channel->poll.data = channel->out_poll.data = channel->prepare.data = channel;
    uv_prepare_start(&channel->prepare, on_prepare);
    uv_unref((uv_handle_t *) &channel->prepare);
    watch(channel);
    return 0;
}

void ame__channel_send(struct ame__channel *channel, enum ame__frame_kind kind, unsigned stream, uint32_t rank,
                       const void *payload, size_t length)
{
    struct ame__frame frame = {.kind = kind, .stream = stream, .rank = rank, .length = (uint32_t) length};
    unsigned char header[AME__FRAME_HEADER];
    if (!channel->open) return;
    ame__frame_encode(&frame, header);
    ame__bytes_append(&channel->out, header, sizeof header);
    ame__bytes_append(&channel->out, payload, length);
}

void ame__channel_send_number(struct ame__channel *channel, enum ame__frame_kind kind, uint32_t rank, uint64_t value)
{
    char payload[8];
    ame__u64_put(payload, value);
    ame__channel_send(channel, kind, 0, rank, payload, sizeof payload);
}

void ame__channel_send_numbers(struct ame__channel *channel, enum ame__frame_kind kind, uint32_t rank, uint64_t a,
                               uint64_t b)
{
    char payload[16];
    ame__u64_put(payload, a);
    ame__u64_put(payload + 8, b);
    ame__channel_send(channel, kind, 0, rank, payload, sizeof payload);
}

void ame__channel_flush(struct ame__channel *channel, int patience_ms)
{
    while (channel->open && ame__bytes_length(&channel->out)) {
        struct pollfd wait = {.fd = channel->out_fd, .events = POLLOUT};
        if (!write_some(channel)) return;
        if (ame__bytes_length(&channel->out) && poll(&wait, 1, patience_ms) == 0) return;
    }
}

void ame__channel_close(struct ame__channel *channel)
{
    if (!channel->open) return;
    channel->open = false;
    uv_close((uv_handle_t *) &channel->poll, NULL);
    uv_close((uv_handle_t *) &channel->prepare, NULL);
    if (channel->fd != channel->out_fd) {
        uv_close((uv_handle_t *) &channel->out_poll, NULL);
        close(channel->out_fd);
    }
    close(channel->fd);
    channel->fd = channel->out_fd = -1;
}
