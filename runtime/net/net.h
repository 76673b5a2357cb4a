/* net.h - connections between ranks: the libuv loop, the listener, dialling, mutual proof of the job key, and one
 * connection object with its send queue and its receiver that places payload straight into the buffer it is meant for.
 *
 * Who may call: everything here, struct members included, only under the engine's lock. There is one loop, and it is
 * only run without waiting (ame__net_poll); whoever wants to sleep does so outside the lock on the descriptor that
 * ame__net_fd gives. libuv adds new or changed watchers to the kernel's set only when the loop runs, so `changed` says
 * that it must run once more before anybody sleeps or leaves the library.
 *
 * States of a connection (enum ame__conn_state):
 *     DIALLING -> GREETING -> OPEN -> CLOSED      the side that dials: connect, HELLO sent, proof seen and given
 *     ACCEPTED -> ANSWERED -> OPEN -> CLOSED      the side that listens: waiting for HELLO, for CONFIRM
 * In every state but OPEN the other side is a stranger: limited in number, bytes and time, and dropped at debug level.
 *
 * Failure: a connection that breaks is closed after everything that had arrived has been read; the owner hears of it
 * once, by `closed` (it was OPEN) or `dial_failed` (it never was). What was still queued is reported to its `done` with
 * that code. The object is freed by the loop after it was closed.
 */
#ifndef AME_NET_NET_H
#define AME_NET_NET_H

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "wire/frame.h"

#include "addr.h"
#include "crypt.h"

enum {
    AME__STRANGERS_MAX = 256,    /* connections that have not proved the key yet, at the same time */
    AME__LOST_AFTER_MS = 13000,  /* another host from which not even an acknowledgement comes is lost */
    AME__END_SECONDS = 1,        /* for the end of a connection whose other side is known to be gone */
    AME__HANDSHAKE_SECONDS = 10, /* time for a handshake */
    AME__STAGE_SIZE = 64 << 10,  /* bytes read ahead where no payload is placed directly */
    AME__LARGE_PAYLOAD =
        8 << 10,         /* after a payload this long the next header is read alone, to place its payload directly */
    AME__SWEEP_MS = 250, /* how often handshakes are looked after */
    AME__SWEEP_LATE_MS = 2000, /* if that was not possible for so long, the time does not count */
    AME__LISTENERS_MAX = 16    /* sockets to listen on */
};

enum ame__conn_state {
    AME__CONN_DIALLING,
    AME__CONN_GREETING,
    AME__CONN_ACCEPTED,
    AME__CONN_ANSWERED,
    AME__CONN_OPEN,
    AME__CONN_CLOSED
};

struct ame__net;
struct ame__conn;
struct ame__dial;

/* One frame on its way out. Belongs to whoever sends it until `done` is called. */
struct ame__out {
    struct ame__list link;
    unsigned char header[AME__HEADER_SIZE];
    const void *payload;
    size_t length; /* of the payload */
    size_t sent;   /* of header and payload together */
    void (*done)(struct ame__out *out, int code, const char *text);
};

/* What the owner of the net is told. All are called under the lock, from ame__net_poll, ame__conn_read or
 * ame__conn_send. */
struct ame__net_events {
    /* A dialler says that it is rank `from`: may it go on? Its proof comes later. */
    enum ame__refusal (*welcome)(struct ame__net *net, const struct ame__hello *hello);
    /* conn->peer has proved the key. */
    void (*opened)(struct ame__conn *conn);
    /* None of the addresses of `peer` has led to it; the text names them all. */
    void (*dial_failed)(struct ame__net *net, int peer, int code, const char *text);
    /* A header has arrived (conn->header): sets conn->sink and conn->sink_size for its payload; more than that is
     * dropped. */
    void (*frame_begin)(struct ame__conn *conn);
    /* After a long payload: where would the payload of a frame like the last one go now? NULL if that is not known. It is
     * read ahead to there, and moved away if another frame comes. */
    unsigned char *(*frame_guess)(struct ame__conn *conn);
    /* Its payload is complete. */
    void (*frame_end)(struct ame__conn *conn);
    void (*closed)(struct ame__conn *conn, int code, const char *text);
    /* The send queue has become empty. */
    void (*drained)(struct ame__conn *conn);
};

/* What all connections of a net share while they seal and open. */
struct ame__crypt_room {
    unsigned char plain[AME__BODY_MAX], sealed[AME__SEALED_MAX]; /* of what is sent */
    unsigned char arrived[AME__UNIT_MAX + AME__STAGE_SIZE];      /* what was left of before, and a read */
};

struct ame__conn {
    struct ame__net *net;
    struct ame__list link; /* in net->conns */
    enum ame__conn_state state;
    int fd;
    uv_poll_t poll;
    int watched; /* events given to uv_poll_start */
    int peer;    /* rank of the other side; while it is a stranger, the one it should be (-1: not known) */
    int64_t deadline;
    uint64_t window;        /* what the other side grants */
    struct ame__dial *dial; /* while it is one of the attempts of a dial */
    char address[AME__ADDRESS_MAX];

    struct ame__list queue; /* struct ame__out, the first one may be partly sent */
    size_t queued;          /* bytes in it */
    bool remote;            /* on another host */
    bool ending;            /* it has AME__END_SECONDS from the last byte on to end by itself */
    bool send_broken;       /* a send failed: what is left to read is read, then the connection is closed */

    struct ame__header header;
    struct ame__header last_long; /* the last header with a long payload */
    bool in_payload;
    size_t payload_left;
    unsigned char *sink; /* where the next payload byte goes */
    size_t sink_size;    /* room there */
    bool large;
    unsigned paused;       /* enum ame__pause: nothing is read */
    size_t partial_length; /* of a handshake message or header */
    unsigned char partial[AME__ANSWER_SIZE];
    unsigned char hello[AME__HELLO_SIZE], answer[AME__ANSWER_SIZE]; /* the bytes of the handshake, for the proofs */
    unsigned char secret[crypto_scalarmult_SCALARBYTES];            /* of this side's nonce, during the handshake */
    struct ame__crypt *crypt;                                       /* NULL: what is sent is not sealed */

    /* The engine's: what the frame that is arriving belongs to. */
    int target_kind;
    void *target;
};

struct ame__net {
    uv_loop_t loop;
    bool loop_open, changed;
    int rank, size;
    uint64_t window; /* granted to every other side */
    unsigned char key[AME__KEY_SIZE];
    enum ame__encrypt encrypt;
    const struct ame__net_events *events;
    struct ame__list conns;
    int strangers;
    uv_timer_t watcher; /* runs in jobs on several hosts */
    uv_timer_t sweeper; /* runs while there are strangers */
    int64_t swept_ns;   /* when it ran last */
    int spare_fd;       /* given up to accept and close a connection when there are no descriptors left */
    struct ame__list dials;
    bool one_host;               /* all ranks are known to share this host: loopback only */
    char host[AME__HOST_ID_MAX]; /* ame__host_identity */
    struct ame__listener {
        int fd;
        uv_poll_t poll;
    } listeners[AME__LISTENERS_MAX];
    int listener_count, listen_code; /* why there are none */
    char offer[AME__ADDRESSES_MAX];  /* where this rank listens */
    unsigned char *stage;
    struct ame__crypt_room *room; /* for sealing and opening; NULL: not needed */
    bool enough; /* set by the owner while frames are handled: what follows can wait, there is something to tell */
};

/* `one_host`: all ranks are known to share this host. */
int ame__net_open(struct ame__net *net, int rank, int size, bool one_host, uint64_t window,
                  const struct ame__net_events *events);
/* Closes every connection without a word, and the loop; proves that no handle is left. */
void ame__net_close(struct ame__net *net);
/* Closes the descriptors only: for the child of a fork, which shares them with its parent. */
void ame__net_abandon(struct ame__net *net);
/* Listens, if it does not yet, and fills in net->offer, best address first. On one host only loopback, on several every
 * interface or those that AME_IFACE chooses, on ports chosen by the system or of AME_PORT_RANGE. */
int ame__net_listen(struct ame__net *net);
/* Begins to dial rank `peer` at what it offers; `opened` or `dial_failed` follows. `same_host`: it has the same
 * ame__host_identity. */
int ame__net_dial(struct ame__net *net, int peer, const char *addresses, bool same_host, int64_t deadline);
/* Serves what is ready, without waiting. */
void ame__net_poll(struct ame__net *net);
/* The descriptor that becomes readable when ame__net_poll has work, and how long one may sleep at most (ms, -1: for
 * ever). */
int ame__net_fd(const struct ame__net *net);
int ame__net_timeout(const struct ame__net *net);

/* Sends a frame; `done` may be called before this returns. */
void ame__conn_send(struct ame__conn *conn, struct ame__out *out);
/* Sends a frame when the loop runs next, after what else is waiting. */
void ame__conn_queue(struct ame__conn *conn, struct ame__out *out);
/* Sends a frame whose payload (may be NULL) is copied if it cannot go out at once. */
void ame__conn_send_copy(struct ame__conn *conn, const struct ame__header *header, const void *payload);
/* Sends of what is queued as much as the kernel takes now. */
void ame__conn_flush(struct ame__conn *conn);
/* Reads what has arrived; not while a frame is being handled. */
void ame__conn_read(struct ame__conn *conn);
/* Why a connection is not read for a while. */
enum ame__pause {
    AME__PAUSE_RELAY = 1, /* too much waits for where its frames go */
    AME__PAUSE_DEVICE = 2 /* the device is behind */
};
void ame__conn_pause(struct ame__conn *conn, enum ame__pause why, bool paused);
/* This side sends no more; what the other side has sent is still read, then its end closes the connection. A host that is
 * lost sends no end: after AME__END_SECONDS without a byte the connection is closed all the same. */
void ame__conn_end(struct ame__conn *conn);
/* Closes; tells `closed` or `dial_failed`. */
void ame__conn_close(struct ame__conn *conn, int code, const char *text);

/* conn.c for net.c and handshake.c */
struct ame__conn *ame__conn_create(struct ame__net *net, int fd, enum ame__conn_state state, int peer);
void ame__conn_watch(struct ame__conn *conn, int events);
/* watch.c: closes connections to hosts that are lost, from now on. */
void ame__watch_hosts(struct ame__net *net);
/* handshake.c for conn.c: reads and answers what belongs to the handshake. */
void ame__handshake_begin(struct ame__conn *conn);
void ame__handshake_read(struct ame__conn *conn);
void ame__handshake_strangers(struct ame__net *net, int change);
/* dial.c for the others */
void ame__dial_failed(struct ame__conn *conn, int code, const char *text);
void ame__dial_won(struct ame__conn *winner);
/* Until when the handshake may last, now that the address has answered. */
int64_t ame__dial_deadline(const struct ame__conn *conn);
/* All that is to be done until a time may take `by` ns longer. */
void ame__dial_postpone(struct ame__net *net, int64_t by);
/* Begins with further addresses where it is time. */
void ame__dial_next(struct ame__net *net);
void ame__dial_forget(struct ame__net *net);
/* Options of a new socket; `peer` is the address of the other side. Returns whether that is on another host. */
bool ame__net_options(int fd, const struct sockaddr *peer);

#endif
