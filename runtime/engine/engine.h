/* engine.h - the state of a rank: requests, matching, peers, progress. One per process.
 *
 * One lock (ame__engine.lock) guards everything below, and the net. A public call takes it with ame__enter and gives it
 * back with ame__leave; functions named ame__... in this folder expect it to be held.
 *
 * Who makes progress. A thread that has to wait becomes the driver if there is none: it reads the connections, first
 * spinning, then asleep in poll() without the lock. Others that wait are followers, asleep on `progressed`, which is
 * signalled when a request completes or the driver goes. While nobody waits inside the library the helper thread
 * watches the connections, so that messages, link set-up and notices are served while the program computes. It is in
 * one of three states:
 *     TICKING   calls that make progress come and go: looks again after a while, at first AME__TICK_MS_LEAST, then ever longer, so that
 *               it does not get in the way of a program that communicates; it takes over at the latest after as long
 *               as the program had been communicating
 *     WATCHING  no such call for a whole tick: asleep in poll() on the connections
 *     PARKED    a driver sleeps: asleep until the driver leaves
 *
 * Messages. Up to the eager limit a message is sent at once, as long as the receiver's program is not more than the
 * window behind (peer->ahead); otherwise RTS is sent and the data follows the CTS that tells that a receive has
 * matched. So what is stored at the receiver is bounded, and every rank always reads everything that arrives: nothing
 * can be stuck behind something else, and a relay never waits for ever.
 *
 * Order. Between two ranks there is one path at a time, a direct link or the relay, chosen before the first message and
 * kept; requests that cannot go yet wait in peer->held in order, and everything behind them does too.
 */
#ifndef AME_ENGINE_ENGINE_H
#define AME_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <ame.h>

#include "base/list.h"
#include "base/state.h"
#include "boot/boot.h"
#include "gpu/stage.h"
#include "net/net.h"

enum {
    AME__TICK_MS_LEAST = 5, /* of the helper thread */
    AME__TICK_MS_MOST = 80,
    AME__NOTICE_MS = 20,            /* ranks that finalize within this time are announced together */
    AME__ANNOUNCED_MAX = 1 << 16,   /* RTS to one rank that no receive has matched yet */
    AME__MESSAGE_COST = 128,        /* what a stored message costs beside its bytes */
    AME__RELAY_QUEUE_MAX = 4 << 20, /* bytes waiting at the relay for one rank before its senders are paused */
    AME__CONTEXT_BUCKETS = 256,
    AME__FREED_MAX = 4096,       /* contexts whose end is remembered, so that messages that come later are dropped */
    AME__POISON_LASTING = 1 << 8 /* in the id of a POISON: also all later calls on this communicator have failed */
};

/* ---- requests ------------------------------------------------------------------------------------ */

enum ame__request_kind { AME__SEND, AME__RECV, AME__COLL, AME__COPY /* of a schedule, from or to device memory */ };

/* Where a request is linked, and who else knows of it. */
enum ame__request_phase {
    AME__NEW,
    AME__HELD,      /* send: in peer->held */
    AME__ANNOUNCED, /* send: RTS is out; has a slot */
    AME__MOVING,    /* send: being written. receive: a message is arriving in it; with a slot if by DATA */
    AME__POSTED,    /* receive: in a lane or in context->any_posted */
    AME__DONE
};

struct ame_request {
    struct ame__list link;
    uint32_t magic; /* AME__REQUEST_MAGIC while a handle to it is valid */
    enum ame__request_kind kind;
    enum ame__request_phase phase;
    bool synchronous; /* send: completes when matched */
    bool out_busy;    /* `out` is with a connection: cannot complete yet */
    int *pump;        /* send_chunks is at it: where to tell what became of a frame */
    bool cancelled;
    int code;   /* the result */
    int blame;  /* of AME_E_PEER_...: the rank in the world whose end it is, plus 1; 0: none */
    char *text; /* of a failure; malloc'ed */
    void (*on_done)(struct ame_request *request);
    /* Set on a receive that takes only a message of exactly `length` bytes with the same `check`: words what is wrong.
     */
    void (*mismatch)(const struct ame_request *request, int source, uint64_t check, size_t length, char *text,
                     size_t size);
    void *owner;           /* the schedule of a collective */
    const char *name;      /* of a collective, which has its number as tag; for state.c */
    struct ame_comm *comm; /* NULL when done */

    struct ame__context *context;
    int peer;       /* rank in the world: destination, or source or AME_ANY_SOURCE */
    int tag;        /* or AME_ANY_TAG */
    uint64_t check; /* collective: what this rank thinks it is doing */
    unsigned char *buffer;
    size_t length;                /* to send, or room */
    struct ame__gpu_stage *stage; /* the message comes from or goes to device memory; else NULL */
    bool device;                  /* `buffer` is device memory (a short send's becomes a copy in host memory) */
    bool fetching;                /* short send: is being copied to `fetched`; what is sent after it waits */
    bool holds;                   /* receive: its connection is paused */
    unsigned char *fetched;
    struct ame__list on_device; /* in engine->on_device: goes on with resume(), see staged.c */
    void (*resume)(struct ame_request *request, int code);
    uint64_t stamp; /* order among the posted receives of a context */

    int source, got_tag; /* the message that was received, if one was: rank in the world, when done that in `comm` */
    size_t got_length;
    uint64_t slot, other; /* this request's name on the wire, and the one of its partner */
    size_t moved, accepted;
    struct ame__out out;
};
#define AME__REQUEST_MAGIC 0x616d6552u

struct ame_request *ame__request_create(void); /* NULL: out of memory (with error text) */
void ame__request_release(struct ame_request *request);
/* Frees the memory of all requests, those the program has not completed included. */
void ame__requests_free(void);
/* Completes: `text` (may be NULL) is copied. */
void ame__request_done(struct ame_request *request, int code, const char *text);
/* Completes with the error that rank `rank` of the world is gone. */
void ame__request_fail_peer(struct ame_request *request, int rank);
static inline bool ame__request_is_done(const struct ame_request *request)
{
    return request->phase == AME__DONE;
}
/* Ends a posted receive from any source if nobody else is left who could send; returns whether it did. */
bool ame__recv_ends(struct ame_request *request);
/* Is it done, for the calls of the program that wait for it or test it? Only then does a receive from any source end because
 * nobody is left to send: before, this rank itself may still do so. */
static inline bool ame__request_is_over(struct ame_request *request)
{
    return ame__request_is_done(request) || (request->peer == AME_ANY_SOURCE && ame__recv_ends(request));
}

/* ---- functions of the program --------------------------------------------------------------------- */

/* A function of the program that is to be called before something can go on, such as an operation of a reduction. It may
 * take locks of the program, which another thread may hold while it calls libame: so it is called without the lock of the
 * engine, and by a thread that is inside a call which waits or tests, never by the helper. */
struct ame__callout {
    struct ame__list link;
    const struct ame_request *request;           /* only by the thread that waits for it; NULL: by any */
    void (*run)(struct ame__callout *callout);   /* without the lock */
    void (*after)(struct ame__callout *callout); /* with it */
};
void ame__callout_add(struct ame__callout *callout);

/* ---- matching ------------------------------------------------------------------------------------ */

enum ame__message_kind {
    AME__MESSAGE_EAGER,  /* payload is, or will be, in `data` */
    AME__MESSAGE_RTS,    /* waits at its sender */
    AME__MESSAGE_LOCAL,  /* waits in `local`, a request of this rank to itself */
    AME__MESSAGE_POISON, /* the collective has failed at its sender */
};

/* A message that has arrived before its receive. */
struct ame_message {
    struct ame__list in_lane, in_context;
    enum ame__message_kind kind;
    int source, tag;
    uint64_t check, sender_slot;
    size_t length;               /* of the message */
    bool complete;               /* all of `data` is here */
    bool lasting;                /* POISON: for its tag and all later ones; stays */
    bool unwanted;               /* its communicator has been freed: drop it when it is complete */
    struct ame_request *claimed; /* a receive that waits for the rest of `data` */
    struct ame_request *local;
    struct ame_comm *comm; /* of the matched probe that took it; counts as an operation on it until it is received */
    unsigned char data[];
};

struct ame__lane {
    struct ame__list posted;  /* receives from this source */
    struct ame__list arrived; /* its messages */
};

struct ame__context {
    struct ame__context *next;
    uint64_t id;
    struct ame__lane *lanes; /* by source, rank in the world */
    struct ame__list any_posted, arrived;
    uint64_t stamp;
    bool closed; /* messages with the tag closed_from or a later one are not received any more */
    int closed_from;
};

/* The context with this id, made if need be (a message can be here before the communicator); NULL: out of memory. */
struct ame__context *ame__context_get(uint64_t id);
/* The same without making it: NULL if there is none. */
struct ame__context *ame__context_find(uint64_t id);
void ame__context_destroy(struct ame__context *context);
/* It has been destroyed not long ago: what arrives for it will never be received. */
bool ame__context_was_freed(uint64_t id);
/* From `tag` on nothing more is received: drops what is there, and what comes. For a collective context. */
void ame__context_close(struct ame__context *context, int tag);
/* The oldest posted receive that matches (AME_ANY_TAG: any from there), or NULL; and the same, taken. */
struct ame_request *ame__match_peek(struct ame__context *context, int source, int tag);
struct ame_request *ame__match_posted(struct ame__context *context, int source, int tag);
/* Any that was posted for this source with `tag` or a later one, taken. */
struct ame_request *ame__match_posted_from(struct ame__context *context, int source, int tag);
/* The oldest arrived message that matches, not taken; or NULL. */
struct ame_message *ame__match_arrived(struct ame__context *context, int source, int tag);
void ame__match_post(struct ame__context *context, struct ame_request *request);
void ame__match_store(struct ame__context *context, struct ame_message *message);
void ame__match_take(struct ame_message *message);
/* Drops a message that nobody will receive: its sender goes on as if it had been received. */
void ame__message_drop(struct ame_message *message);

/* ---- sending and receiving (p2p.c) --------------------------------------------------------------- */

void ame__send_start(struct ame_request *request);
/* Its second half, when its bytes are in host memory, or are to be copied part by part. */
void ame__send_launch(struct ame_request *request);
void ame__recv_start(struct ame_request *request);
/* Receives a message that a matched probe has taken. */
void ame__recv_message(struct ame_request *request, struct ame_message *message);
/* The receiver has matched the message of `request` and takes `accepted` bytes of it in its request `other`. */
void ame__send_accepted(struct ame_request *request, uint64_t other, size_t accepted);
/* Takes back a posted receive; false if it is not posted. */
bool ame__recv_cancel(struct ame_request *request);
/* The collective failed here: tells rank `peer`, which waits for a message. `lasting`: and so will all later ones. */
void ame__send_poison(struct ame__context *context, int rank, int tag, uint64_t check, int code, int blame,
                      const char *text, bool lasting);
/* Sends what waits in peer->held as far as possible. */
void ame__send_held(int rank);

/* ---- arriving frames (frames.c) ------------------------------------------------------------------ */

void ame__frame_begin(struct ame__conn *conn);
void ame__frame_end(struct ame__conn *conn);
unsigned char *ame__frame_guess(struct ame__conn *conn);
/* The connection closed with a frame half here. */
void ame__frame_broken(struct ame__conn *conn);
/* A receive into which a frame is arriving ends now: the rest of the frame is dropped. */
void ame__frame_cancel(struct ame__conn *conn, int code, const char *text);
/* A message has been received by the program: its bytes may be sent ahead again. */
void ame__give_credit(int source, size_t length);
/* Sets what a receive has got and checks it; false: it is done (with an error), the payload is not wanted. */
bool ame__recv_accepts(struct ame_request *request, int source, int tag, uint64_t check, size_t length);

/* ---- peers (peer.c, notice.c) -------------------------------------------------------------------- */

enum ame__path { AME__UNLINKED, AME__ASKED, AME__DIALLING, AME__DIRECT, AME__RELAYED };
enum ame__life { AME__ALIVE, AME__LEFT, AME__FAILED };

struct ame__peer {
    struct ame__conn *conn; /* when DIRECT */
    enum ame__path path;
    enum ame__life life;
    bool said_bye, bye_acked, blamed;
    struct ame__list held;
    uint64_t window; /* how much may be sent ahead */
    uint64_t ahead;  /* sent ahead and not yet received by the program there */
    uint64_t owed;   /* received by the program here, credit not sent yet */
    uint64_t stored; /* held here for the program */
    int announced;
    int paused_for; /* hub: this rank is not read until rank paused_for has taken what waits for it; -1: is read */
    char *cause;    /* of FAILED */
    int code;       /* of FAILED: AME_E_PEER_FAILED, or why this side has ended the connection */
    bool cut_off;   /* FAILED only because the hub is gone, through which it was reached */
    char *host;     /* its name; NULL: not known, or (not on rank 0) the same as here */
};

extern const struct ame__net_events ame__peer_events;
/* The connection on which frames for `rank` go. NULL: none yet. */
struct ame__conn *ame__peer_route(int rank);
/* Begins to open a path to `rank`. */
void ame__peer_link(int rank);
/* The news is that `rank` is gone: a link of which only its last handshake message is unread may hold what it had sent. */
void ame__peer_finish_link(int rank);
void ame__peer_control(int rank, enum ame__frame_kind kind, uint64_t length, uint64_t id, uint64_t other);
void ame__peer_gone(int rank, enum ame__life life, const char *cause);
/* The error of an operation with a peer that is not alive: sets the error text, returns the code. */
int ame__peer_error(int rank);
const char *ame__peer_host(int rank);
/* Whose end it is that `rank` is gone: its own, or that of rank 0, through which it was reached. */
int ame__peer_culprit(int rank);
/* A rank of the world that is gone if nobody in `comm` other than this rank could still send; -1 if somebody could. */
int ame__peers_left(const struct ame_comm *comm);
/* An operation of the program fails because `rank` is gone: tells the launcher, once. */
void ame__peer_blamed(int rank);
void ame__link_frame(struct ame__conn *conn, const struct ame__header *header, const unsigned char *payload);
void ame__notice_frame(struct ame__conn *conn, const struct ame__header *header, const unsigned char *payload);
/* Hub: tells the others. */
void ame__notice_ready(void);
/* Tells the hub on which host this rank is. */
void ame__notice_host(void);
void ame__notice_left(int rank);
void ame__notice_failed(int failed, const char *cause);
void ame__notice_abort(int from, int code);

/* ---- the engine ---------------------------------------------------------------------------------- */

enum ame__stage { AME__OFF, AME__STARTING, AME__RUNNING, AME__LEAVING, AME__ENDED, AME__FORKED };
enum ame__helper_state { AME__PARKED, AME__TICKING, AME__WATCHING };

struct ame__slot {
    struct ame_request *request;
    uint32_t generation;
    uint32_t next_free;
};

struct ame__engine {
    _Atomic enum ame__stage stage;
    pthread_mutex_t lock;
    atomic_int contenders;
    pthread_cond_t progressed;
    bool driving, asleep;
    int followers;
    int wake_fd; /* eventfd that wakes a sleeping driver or watching helper */
    bool woken;  /* it is readable */
    int64_t spin_ns;
    bool spin_chosen; /* by AME_SPIN_US */
    bool crowded;     /* more ranks than cores on this host */

    pthread_t helper;
    bool helper_started, helper_stop;
    enum ame__helper_state helper_state;
    pthread_cond_t helper_wake;
    uint64_t rounds;   /* of progress made by calls so far */
    int64_t looked_ns; /* when a call has looked at the connections last */

    int rank, size;
    char host[64];
    struct ame__boot boot;
    struct ame__net net;
    bool direct;
    size_t eager_limit;
    struct ame__peer *peers;
    struct ame__conn *hub; /* connection to rank 0; NULL on rank 0 */
    int abort_code, abort_rank;
    bool aborted;
    struct ame__list callouts;
    uint64_t failures;      /* requests that have failed so far */
    bool drops_to_left;     /* a message to a rank that has finalized is dropped, and is no error */
    bool ready;             /* all ranks are connected to rank 0 */
    int introduced, absent; /* hub: ranks that have said their host, and connections closed, so far */
    uv_timer_t notice_timer, device_timer;
    bool timer_open, device_open;
    struct ame__list on_device; /* requests that wait for a copy */
    int *leavers;               /* hub: finalized and not announced yet */
    int leaver_count;
    int paused_count;

    /* for state.c */
    struct ame__list waits; /* of calls that sleep, oldest first */
    enum ame__doing doing;  /* while there is none */
    int64_t doing_ns, summed_ns, heard_ns;
    uint64_t frames, frames_told; /* that have arrived */
    uint64_t queued, stored;

    struct ame__context *contexts[AME__CONTEXT_BUCKETS];
    uint64_t freed[AME__FREED_MAX]; /* the contexts destroyed last */
    uint32_t freed_count;
    struct ame__slot *slots;
    uint32_t slot_count, free_slot;
    struct ame__list free_requests, request_blocks;
};

/* File scope because a process is one rank, as the public interface says. */
extern struct ame__engine ame__engine;

/* life.c */
int ame__engine_open(void);
/* Says goodbye to all, waits for their answer, closes the net. */
void ame__engine_close(void);
/* Frees what is left; after the communicators have been freed. */
void ame__engine_free(void);
_Noreturn void ame__engine_abort(int code);

/* state.c: what the host daemon is told of this rank. */

/* What a waiting call waits for: a request, one of several, a message (`probe`), or something else. */
struct ame__wait {
    const char *call;
    const struct ame_request *request;
    ame_request *const *requests;
    size_t count;
    bool probe;
    int peer, tag;
    int64_t since_ns;      /* 0: has not slept yet */
    struct ame__list link; /* in engine->waits, then */
};

void ame__doing(enum ame__doing doing);
/* A thread is going to sleep, in this call (or NULL). */
void ame__wait_sleeps(struct ame__wait *wait);
void ame__wait_over(struct ame__wait *wait);

/* progress.c */
/* Takes the lock for a public call; AME_E_STATE outside of ame_init .. ame_finalize, AME_E_ABORTED after an abort. */
int ame__enter(const char *function);
void ame__leave(void);
/* Waits until ready(arg). `hint`: rank whose connection the news will probably come from, or -1. */
void ame__wait_until(bool (*ready)(void *arg), void *arg, int hint, struct ame__wait *wait);
/* One round of progress without waiting. */
void ame__progress(void);
/* Something has changed that a waiting thread may be waiting for. */
void ame__wake(void);
int ame__helper_start(void);
void ame__helper_stop(void);

/* staged.c */
bool ame__staged_begin(void);
void ame__staged_end(void);
/* Calls resume(request, code) when there may be news of its copies; `code` says what has become of them. */
void ame__staged_await(struct ame_request *request, void (*resume)(struct ame_request *request, int code));
void ame__staged_forget(struct ame_request *request);
/* The request is to end: true if that has to wait for copies; then ame__request_done is called once more. */
bool ame__staged_busy(struct ame_request *request);
/* It has ended. */
void ame__staged_close(struct ame_request *request);
/* A short send: copies its bytes to host memory, then launches it. */
void ame__staged_fetch(struct ame_request *request);
/* `length` bytes at request->moved are in the sink of the stage. */
int ame__staged_store(struct ame_request *request, size_t length, bool last);
/* Starts an AME__COPY of request->length bytes to request->buffer. */
void ame__staged_copy(struct ame_request *request, const void *from);

/* request.c: names of requests on the wire, which a wrong or late answer cannot confuse with another request */
int ame__slot_take(struct ame_request *request);
void ame__slot_drop(struct ame_request *request);
struct ame_request *ame__slot_find(uint64_t name, int peer, enum ame__request_kind kind);

/* What the engine needs to know of a communicator (comm.c sets it up). */
struct ame_comm {
    struct ame__list link;
    bool predefined;
    int rank, size;
    int *world; /* rank in the world of each rank; NULL: the same */
    int *local; /* rank here of each rank of the world, -1: none; NULL: the same */
    struct ame__context *context, *collective;
    uint64_t lineage; /* the context's id without its last bit */
    uint64_t children;
    uint32_t sequence; /* collective calls so far */
    int active;        /* operations that have not completed */
};

static inline int ame__comm_to_world(const struct ame_comm *comm, int rank)
{
    return comm->world ? comm->world[rank] : rank;
}
static inline int ame__comm_from_world(const struct ame_comm *comm, int rank)
{
    return comm->local ? comm->local[rank] : rank;
}

#endif
