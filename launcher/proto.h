/* proto.h - the frames between the front of ameexec and its host daemons: pure encode and decode, no I/O.
 *
 * A frame is a header of 12 bytes and a payload:
 *
 *     bytes 0-3  length of the payload, little endian, at most AME__FRAME_PAYLOAD_MAX
 *     byte  4    kind
 *     byte  5    stream (1 standard output, 2 standard error) where the kind has one, else 0
 *     bytes 6-7  zero
 *     bytes 8-11 rank, or AME__FRAME_ALL
 *
 * Numbers in payloads are 8 bytes, little endian. A frame with an unknown kind, a nonzero reserved byte or a length
 * outside of its kind's limits is an error: the channel is then given up, as after the death of the other side.
 */
#ifndef AME_LAUNCHER_PROTO_H
#define AME_LAUNCHER_PROTO_H

#include <stddef.h>
#include <stdint.h>

#define AME__FRAME_HEADER      12
#define AME__FRAME_PAYLOAD_MAX 65536
#define AME__FRAME_ALL         0xffffffffu
#define AME__SEEN_SIZE         136 /* payload of REPORT, see report.h */
/* Output that a host daemon may have sent without AME__FRAME_CREDIT for it, and input likewise. */
#define AME__OUTPUT_WINDOW (1 << 20)
#define AME__INPUT_WINDOW  65536
#define AME__PMI_LINE_MAX  2048
/* Between hosts: how often ALIVE is sent, and after which silence the other side counts as lost. */
#define AME__BEAT_MS    4000
#define AME__SILENCE_MS 13000
#define AME__LOOK_MS    1000 /* how often that is looked at; so it is noticed within 15 s */
/* What a host daemon says before its first frame: this, the protocol's number, the version of ameexec, then three words
 * for dlp_mpi's own back end, and a newline: an address of that host, the address of the front as seen from there ("-":
 * not known), and a port that was free a moment ago. What comes before it is the noise of somebody's login shell. */
#define AME__HELLO     "AME-HOST-DAEMON "
#define AME__HELLO_MAX 512
#define AME__PROTOCOL  2
#define AME__NOISE_MAX 65536

/* X(name, shortest payload, longest payload, meaning) */
#define AME__FRAMES(X)                                                                                                 \
    /* host daemon to front */                                                                                         \
    X(STARTED, 8, 8, "rank runs; process id")                                                                          \
    X(START_FAILED, 9, 4096, "rank cannot be started; exit code, then what failed")                                    \
    X(OUTPUT, 1, AME__FRAME_PAYLOAD_MAX, "bytes that the rank wrote")                                                  \
    X(PMI_LINE, 0, AME__PMI_LINE_MAX, "one request of the rank, without its newline")                                  \
    X(PMI_BROKEN, 0, 0, "rank sent what cannot be a request; its connection was closed")                               \
    X(INPUT_TAKEN, 8, 8, "number of bytes of input that went to the rank")                                             \
    X(INPUT_CLOSED, 0, 0, "rank does not read its standard input any more")                                            \
    X(EXITED, 8, 8, "rank ended; status as of waitpid")                                                                \
    X(REPORT, AME__SEEN_SIZE, AME__SEEN_SIZE, "what the rank is doing, or was when it died, see report.h")             \
    X(REPORTED, 0, 0, "that was told of all ranks here")                                                               \
    X(STOPPED, 8, 8, "rank has been stopped for so many ms and is now killed")                                         \
    X(BINDING, 1, 4096, "CPUs that the rank is bound to")                                                              \
    X(REFUSED, 9, 4096, "this host cannot do its part; exit code, then why")                                           \
    X(STUCK, 1, 4096, "these processes cannot be killed")                                                              \
    X(GONE, 0, 0, "nothing of the job is left on this host")                                                           \
    /* front to host daemon */                                                                                         \
    X(PLAN, 1, AME__FRAME_PAYLOAD_MAX, "the next part of what this host has to do, see work.h")                        \
    X(START, 8, 8, "that was all; its length")                                                                         \
    X(PMI_REPLY, 0, AME__PMI_LINE_MAX, "the answer to the rank's request; for all: to those in the barrier")           \
    X(PMI_CLOSE, 0, 0, "the rank breaks the protocol; close its connection")                                           \
    X(INPUT, 1, AME__INPUT_WINDOW, "standard input for the rank")                                                      \
    X(INPUT_END, 0, 0, "no more standard input")                                                                       \
    X(CREDIT, 8, 8, "number of bytes of output that may be sent in addition")                                          \
    X(SIGNAL, 8, 8, "signal for the rank's process group")                                                             \
    X(ASK, 0, 0, "REPORT of all ranks, then REPORTED")                                                                 \
    X(WINDOW_SIZE, 16, 16, "rows and columns of the terminal")                                                         \
    X(END, 16, 16, "end the job: signal to send first, milliseconds until KILL")                                       \
    /* both ways, between hosts */                                                                                     \
    X(ALIVE, 0, 0, "each AME__BEAT_MS, so that the loss of the other side is noticed")                                 \
    X(PAUSE, 0, 0, "the front is being stopped: silence means nothing until its next frame")

enum ame__frame_kind {
    AME__FRAME_NONE,
#define AME__FRAME_ENUM(name, least, most, meaning) AME__FRAME_##name,
    AME__FRAMES(AME__FRAME_ENUM)
#undef AME__FRAME_ENUM
        AME__FRAME_KINDS
};

struct ame__frame {
    enum ame__frame_kind kind;
    unsigned stream;
    uint32_t rank;
    uint32_t length;
    const char *payload;
};

const char *ame__frame_name(enum ame__frame_kind kind);
void ame__frame_encode(const struct ame__frame *frame, unsigned char header[AME__FRAME_HEADER]);
/* Bytes of the first frame in `data`, 0 when it is not complete, -1 when it is none. The payload points into `data`. */
long ame__frame_decode(const char *data, size_t length, struct ame__frame *frame);

void ame__u64_put(char *at, uint64_t value);
uint64_t ame__u64_get(const char *at);

#endif
