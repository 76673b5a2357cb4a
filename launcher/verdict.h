/* verdict.h - how each rank ended, who was first, and the exit code of the job; the front's part.
 *
 * The verdict is the exit code and the one line that explains it. It is set once, by what happened first; whatever
 * follows from ending the others cannot change it.
 *
 *     OPEN --a rank fails, a host is lost, ame__verdict_conclude()--> DECIDED
 *       \____a rank fails that blames another----> SUSPECT --the other one's end, or BLAME_MS over--> DECIDED
 *
 * Who was first? The kernel closes the connections of a dying rank before its parent can see it dead, so a rank that
 * got an error from that may well exit first. libame says whom it blames before it gives such an error to the program;
 * the verdict on a rank that blames another is held back for a moment until the other one's end is known. The other one may
 * itself blame a third; it is the end of the last in such a chain that is waited for.
 *
 * With --on-failure continue, or while the program says that it gets along without ranks that fail
 * (ame_tolerate_failures), there is no verdict on such a rank: it is told at once and the others go on. That holds for
 * ranks other than 0, when all are connected; before that no rank could do without it. What rank 0 has met while it got along
 * without a rank stays so: libame sees a host lost before its daemon counts as silent, and the program may be done by then.
 */
#ifndef AME_LAUNCHER_VERDICT_H
#define AME_LAUNCHER_VERDICT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "plan.h"
#include "pmi_server.h"
#include "report.h"

/* Exit codes of ameexec; else that of the rank, or 128 + its signal, or 1. */
#define AME__CODE_TIMEOUT     124
#define AME__CODE_READER_GONE (128 + SIGPIPE)
#define AME__CODE_NOT_DONE    75 /* EX_TEMPFAIL: what remains can be done by another run */

struct ame__fate {
    pid_t pid; /* 0: not started */
    bool ended;
    int status;          /* as of waitpid() */
    bool lost;           /* ended with its host */
    int blames;          /* the rank whose failure it has met, or -1 */
    bool tolerated;      /* rank 0 has met its failure, and got along without it */
    uint64_t stopped_ms; /* it has been killed because it had been stopped for so long */
    int64_t started_ns, ended_ns;
};

struct ame__verdict_events {
    /* The verdict is there; all ranks are to be ended by `signal`, if they run still. Once. */
    void (*decided)(void *owner, int signal);
    /* A failure after which the others go on, for the user's terminal. */
    void (*told)(void *owner, const char *message);
    /* What was known last of a rank's doing, or NULL. */
    const struct ame__seen *(*last_seen)(void *owner, int rank);
    void *owner;
};

struct ame__verdict {
    /* to be read */
    struct ame__fate *fates; /* of all ranks */
    bool decided;
    bool signalled; /* it came from outside */
    char *message;  /* NULL: nothing to say */

    /* for verdict.c */
    const struct ame__plan *plan;
    struct ame__pmi_server *pmi;
    struct ame__verdict_events events;
    uv_timer_t blame;
    bool settled; /* nothing of the job is left */
    int code;
    int suspect; /* its verdict is held back, or -1 */
    int suspect_code;
    char *suspect_message;
    int survived; /* the first rank whose failure the others survive, if that counts; else -1 */
    int survived_code;
};

void ame__verdict_init(struct ame__verdict *verdict, const struct ame__plan *plan, struct ame__pmi_server *pmi,
                       const struct ame__verdict_events *events);
void ame__verdict_open(struct ame__verdict *verdict, uv_loop_t *loop);
/* Two steps, the loop runs between them; the second is enough for one that was not opened. */
void ame__verdict_close(struct ame__verdict *verdict);
void ame__verdict_free(struct ame__verdict *verdict);

/* What happens to a rank. */
void ame__verdict_started(struct ame__verdict *verdict, int rank, pid_t pid);
void ame__verdict_blames(struct ame__verdict *verdict, int rank, int other);
void ame__verdict_aborted(struct ame__verdict *verdict, int rank, int code);
void ame__verdict_stopped(struct ame__verdict *verdict, int rank, uint64_t milliseconds);
void ame__verdict_exited(struct ame__verdict *verdict, int rank, int status);
/* A barrier of PMI that can never be complete, because a rank has ended, is a failure of that rank. To be called when one
 * may have begun to wait. */
void ame__verdict_check_barrier(struct ame__verdict *verdict);

/* All ranks of a host (its index in the plan) are lost; `how` says why. */
void ame__verdict_lost(struct ame__verdict *verdict, int host, const char *how);
/* A signal came from outside. */
void ame__verdict_signal(struct ame__verdict *verdict, int number);
/* Anything else that ends the job by `signal`. Without `format` there is nothing to say. The first call decides. */
void ame__verdict_conclude(struct ame__verdict *verdict, int code, int signal, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Nothing of the job is left: what was held back counts. */
void ame__verdict_settle(struct ame__verdict *verdict);

/* The exit code, at the end. */
int ame__verdict_code(const struct ame__verdict *verdict);
/* A line for each rank, to standard error. */
void ame__verdict_print(const struct ame__verdict *verdict);

#endif
