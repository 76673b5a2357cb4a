/* channel.h - one end of the control connection between front and host daemon.
 *
 * Frames sent are collected and written once per turn of the loop, just before it would sleep, so that a burst (the
 * barrier of 1000 ranks) costs few system calls. What is queued is bounded by the windows of proto.h and by one PMI
 * request per rank. The owner gets every frame in order, and then once `closed`: the other side is gone or broke the
 * protocol.
 */
#ifndef AME_LAUNCHER_CHANNEL_H
#define AME_LAUNCHER_CHANNEL_H

#include <uv.h>

#include "bytes.h"
#include "proto.h"

struct ame__channel {
    int fd, out_fd; /* often the same */
    bool open;
    uv_poll_t poll, out_poll; /* out_poll: only where out_fd differs */
    uv_prepare_t prepare;
    struct ame__bytes in, out;
    int64_t heard_ns; /* when something came last */
    /* Gets what comes before the first frame, if not NULL: returns how much of it was used (then frames begin), 0 when
     * more is needed, or -1. */
    long (*on_hello)(struct ame__channel *channel, const char *data, size_t length);
    void (*on_frame)(struct ame__channel *channel, const struct ame__frame *frame);
    void (*on_closed)(struct ame__channel *channel);
    void *owner;
};

/* Takes both descriptors over; they are non-blocking. The callbacks and owner are set by the caller before. */
int ame__channel_open(struct ame__channel *channel, uv_loop_t *loop, int in_fd, int out_fd);
void ame__channel_send(struct ame__channel *channel, enum ame__frame_kind kind, unsigned stream, uint32_t rank,
                       const void *payload, size_t length);
/* A frame whose payload is one or two numbers. */
void ame__channel_send_number(struct ame__channel *channel, enum ame__frame_kind kind, uint32_t rank, uint64_t value);
void ame__channel_send_numbers(struct ame__channel *channel, enum ame__frame_kind kind, uint32_t rank, uint64_t a,
                               uint64_t b);
/* Writes everything, waiting at most `patience_ms` (-1: as long as it takes) for the other side to take some of it. */
void ame__channel_flush(struct ame__channel *channel, int patience_ms);
void ame__channel_close(struct ame__channel *channel);

#endif
