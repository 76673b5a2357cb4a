/* state.h - what a rank is doing, in a page of memory that it shares with its host daemon.
 *
 * The daemon makes one page per rank and hands it over as descriptor AME_STATE_FD; libame writes, the daemon reads, and so a
 * rank can be looked at without being asked: while it computes, spins, is stopped, and after it has died. A rank that was not
 * started by ameexec has no page, and all calls here do nothing then.
 *
 * One writer at a time (libame: under the lock of the engine). Readers are kept from half-written reports by a sequence number,
 * odd while the writer is at it. A rank can write what it likes into its page, so a reader trusts no field: enums and texts
 * are checked where they are copied.
 */
#ifndef AME_BASE_STATE_H
#define AME_BASE_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, word) */
#define AME__DOINGS(X)                                                                                                 \
    X(NOTHING, "running") /* has not called ame_init */                                                                \
    X(STARTING, "starting")                                                                                            \
    X(COMPUTING, "computing") /* outside of libame, or not waiting there */                                            \
    X(WAITING, "waiting")                                                                                              \
    X(LEAVING, "leaving") /* in ame_finalize */                                                                        \
    X(LEFT, "finalized")

enum ame__doing {
#define AME__DOING_ENUM(name, word) AME__DOING_##name,
    AME__DOINGS(AME__DOING_ENUM)
#undef AME__DOING_ENUM
        AME__DOING_COUNT
};

enum ame__wait_kind {
    AME__WAIT_OTHER,
    AME__WAIT_SEND,
    AME__WAIT_RECV,
    AME__WAIT_PROBE,
    AME__WAIT_SEVERAL, /* requests; `number` of them */
    AME__WAIT_COLL,
    AME__WAIT_KINDS
};

#define AME__CALL_MAX 24

struct ame__report {
    uint32_t doing, kind; /* enum ame__doing, enum ame__wait_kind */
    char call[AME__CALL_MAX];
    int32_t peer, tag; /* rank in the world or AME_ANY_SOURCE; tag or AME_ANY_TAG */
    uint64_t number;   /* collective call: which one of its communicator, from 1 */
    uint64_t length;   /* of the message, or room for it */
    int32_t members;   /* ranks of the communicator */
    int32_t threads;   /* that wait in calls; the report is about the one that has waited longest */
    int64_t since_ns;  /* on ame__now_ns(): when `doing` began */
    int64_t heard_ns;  /* when something came from another rank last, at the latest; 0: never */
    uint64_t queued;   /* bytes that connections have not taken yet */
    uint64_t stored;   /* bytes here that no receive has asked for, with AME__MESSAGE_COST for each message */
};

struct ame__state;

/* For the daemon: makes the page of `rank`. The descriptor, above 4 and closed on exec, is for the rank. -1: no page. */
struct ame__state *ame__state_create(int rank, int *fd);
/* A consistent copy. False where there is none (no page, a rank with another version of libame). */
bool ame__state_read(const struct ame__state *state, struct ame__report *report);
void ame__state_destroy(struct ame__state *state);

/* For libame: takes the page of this rank, if there is one. */
void ame__state_attach(int rank);
void ame__state_detach(void);
bool ame__state_attached(void);
void ame__state_write(const struct ame__report *report);

#endif
