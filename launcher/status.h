/* status.h - what all ranks are doing, for SIGUSR1, `ameexec --status` and AME_STALL_WARN; the front's part.
 *
 *     IDLE --somebody wants to know: the host daemons are asked--> ASKED --all have answered, or ANSWER_MS over--> the table goes
 * to all who wanted it, IDLE
 *
 * `ameexec --status` comes by a socket in the abstract namespace, which leaves no file behind, however ameexec ends. Who
 * connects must have the same user, or be root; nothing that he sends is read. The socket's name says user, process and job;
 * /proc/net/unix is the list of jobs. Where it cannot be opened the job runs all the same.
 */
#ifndef AME_LAUNCHER_STATUS_H
#define AME_LAUNCHER_STATUS_H

#include <uv.h>

#include "report.h"

struct ame__status_events {
    /* Asks the daemons of all hosts where ranks may run; returns how many. */
    int (*ask)(void *owner);
    /* Fills in the row of a rank; `seen` NULL: nothing was heard of it. */
    void (*row)(void *owner, int rank, const struct ame__seen *seen, struct ame__row *row);
    /* For the user's terminal. */
    void (*print)(void *owner, const char *text, size_t length);
    void *owner;
};

struct ame__status;

/* `stall_seconds`: AME_STALL_WARN, 0: off. `events` is copied. */
struct ame__status *ame__status_create(uv_loop_t *loop, const char *job_id, int size, int hosts, double stall_seconds,
                                       const struct ame__status_events *events);
/* The table is to be printed. */
void ame__status_wanted(struct ame__status *status);
/* A daemon tells of a rank; it has told of all of its own. */
void ame__status_seen(struct ame__status *status, int rank, const char payload[AME__SEEN_SIZE]);
void ame__status_answered(struct ame__status *status);
/* What was told of the rank last, or NULL. */
const struct ame__seen *ame__status_last(const struct ame__status *status, int rank);
/* Two steps, the loop runs between them. */
void ame__status_close(struct ame__status *status);
void ame__status_free(struct ame__status *status);

/* ameexec --status: prints the table of a job of this user on this host, or lists them. `wanted`: process id or name (or its
 * beginning), NULL: the only one. Returns the exit code. */
int ame__status_show(const char *wanted);

#endif
