/* trap.h - faults at exact places, for tests/fault/matrix: the n-th call of a kind that a process makes ends it, stops it,
 * fails, or is cut in the middle.
 *
 * trap.c takes the place of the system calls and of malloc that libame and the launcher use. It is linked into the test
 * program place.c, and preloaded into ameexec, where it tells the front from the host daemon, which is a fork of it. The
 * environment says what is to happen to whom:
 *
 *     FAULT_PAGE     the file that all share with the driver (struct trap_page)
 *     TRAP_WHO       a rank, `front` or `hostd`
 *     TRAP_EVENTS    which calls count, one letter each:
 *                        p  the first thread goes to sleep in poll()       c  connect()      a  accept()
 *                        s  sends over TCP     r  receives over TCP, when there is something
 *                        u  writes and sends over anything else            m  malloc(), calloc(), realloc()
 *     TRAP_COUNT     at which of them it happens
 *     TRAP_FROM      `start`: from the begin of the process on; `place`: from trap_arm() on; `signal`: from the signal
 *                    TRAP_SIGNAL on, and an action that needs no call happens there and then
 *     TRAP_ACTION    exit0 exit3 segv kill stop; nomem: this allocation fails; nomem-all: it and all after it;
 *                    cut: half of this is sent or read, then the connection is shut down; count: nothing
 */
#ifndef TEST_FAULT_TRAP_H
#define TEST_FAULT_TRAP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#define TRAP_SIGNAL (SIGRTMIN + 5)

enum { TRAP_RANKS = 8, TRAP_TEXT = 464 };

/* What is known of a rank's call at the place; written by place.c. */
enum trap_state { TRAP_ABSENT, TRAP_JOINED, TRAP_IN_PLACE, TRAP_RETURNED, TRAP_ENDED };

struct trap_rank {
    atomic_int pid, state;
    atomic_int asleep; /* its first thread sleeps in poll() */
    atomic_int code;   /* what the call returned */
    double called, returned;
    char text[TRAP_TEXT];
};

struct trap_page {
    double died;      /* when it happened (CLOCK_MONOTONIC) */
    atomic_int fired; /* how often */
    atomic_int go;    /* set by the driver: whoever waits for it goes on */
    atomic_int calls; /* that have counted */
    atomic_int front, hostd;
    int unused;
    struct trap_rank ranks[TRAP_RANKS];
};

/* The page; never NULL. */
struct trap_page *trap_page(void);
double trap_now(void);
/* From now on the calls of this process count, if it is the one (TRAP_FROM=place). */
void trap_arm(int rank);
/* No call counts any more. */
void trap_disarm(void);
/* It happens now, if this is the victim and it has not happened yet. */
void trap_fire(void);
/* One TCP connection of the victim is cut now, between two calls. */
void trap_cut_now(void);

#endif
