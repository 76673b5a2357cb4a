/* verdict.c - see verdict.h. It ends nobody itself and prints nothing but the table of ends. */
#include "verdict.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#define BLAME_MS 500

/* ---- begin and end ------------------------------------------------------------------------------- */

void ame__verdict_init(struct ame__verdict *verdict, const struct ame__plan *plan, struct ame__pmi_server *pmi,
                       const struct ame__verdict_events *events)
{
    *verdict = (struct ame__verdict){.plan = plan, .pmi = pmi, .events = *events, .suspect = -1, .survived = -1};
    verdict->fates = ame__xalloc((size_t) plan->size * sizeof *verdict->fates);
    for (int rank = 0; rank < plan->size; rank++) verdict->fates[rank].blames = -1;
}

void ame__verdict_open(struct ame__verdict *verdict, uv_loop_t *loop)
{
    uv_timer_init(loop, &verdict->blame);
    verdict->blame.data = verdict;
}

void ame__verdict_close(struct ame__verdict *verdict)
{
    uv_close((uv_handle_t *) &verdict->blame, NULL);
}

void ame__verdict_free(struct ame__verdict *verdict)
{
    free(verdict->fates);
    free(verdict->message);
    free(verdict->suspect_message);
}

/* ---- the decision -------------------------------------------------------------------------------- */

void ame__verdict_conclude(struct ame__verdict *verdict, int code, int signal, const char *format, ...)
{
    if (verdict->decided) return;
    verdict->decided = true;
    verdict->code = code;
    if (format) {
        va_list args;
        va_start(args, format);
        if (vasprintf(&verdict->message, format, args) < 0) verdict->message = NULL;
        va_end(args);
    }
    ame__log(launcher, DEBUG, "verdict %d: %s", code, verdict->message ? verdict->message : "");
    if (!verdict->settled) verdict->events.decided(verdict->events.owner, signal);
}

static void convict(struct ame__verdict *verdict)
{
    if (verdict->suspect >= 0)
        ame__verdict_conclude(verdict, verdict->suspect_code, SIGTERM, "%s", verdict->suspect_message);
}

static void on_blame_over(uv_timer_t *timer)
{
    convict(timer->data);
}

/* Is its failure the program's own affair? */
static bool tolerated(const struct ame__verdict *verdict, int rank)
{
    return verdict->pmi->tolerates || verdict->fates[rank].tolerated;
}

/* May the others go on without this rank? A program that has not joined the job needs no other rank. */
static bool expendable(const struct ame__verdict *verdict, int rank)
{
    const struct ame__pmi_server *pmi = verdict->pmi;
    if (verdict->plan->options->on_failure != AME__ON_FAILURE_CONTINUE && !tolerated(verdict, rank)) return false;
    return !pmi->joined || (pmi->connected && rank != 0);
}

/* Where the failure of a rank began: it has met that of the rank which it blames, that one the failure of another, and so on.
 * A rank that blames nobody is its own; of ranks that blame each other, one. */
static int origin(const struct ame__verdict *verdict, int rank)
{
    int first = rank, blamed;
    for (int step = 0; step < verdict->plan->size; step++, first = blamed) {
        blamed = verdict->fates[first].blames;
        if (blamed < 0 || blamed == rank) break;
    }
    return first;
}

/* A failure after which the others go on. It counts for the exit code of the job unless the program gets along with it.
 * The rank where that of the first one began was before it. */
static void survive(struct ame__verdict *verdict, int rank, int code, const char *message)
{
    int first = verdict->survived;
    if (!tolerated(verdict, rank) && (first < 0 || origin(verdict, first) == rank)) {
        verdict->survived = rank;
        verdict->survived_code = code;
    }
    verdict->events.told(verdict->events.owner, message);
    ame__verdict_check_barrier(verdict);
}

/* Rank `rank` has failed: the verdict, unless the end of the rank where that began is not known yet, or the others go on.
 * They do not when it `ends` the job itself. */
static void judge(struct ame__verdict *verdict, int rank, int code, bool ends, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static void judge(struct ame__verdict *verdict, int rank, int code, bool ends, const char *format, ...)
{
    int first = origin(verdict, rank);
    char *message = NULL;
    if (verdict->suspect == rank) return; /* it has been judged, and only its end was to come */
    va_list args;
    va_start(args, format);
    if (vasprintf(&message, format, args) < 0) message = ame__xstrdup("out of memory");
    va_end(args);
    if (!ends && expendable(verdict, rank)) {
        survive(verdict, rank, code, message);
    } else if (first == rank || verdict->fates[first].ended) {
        ame__verdict_conclude(verdict, code, SIGTERM, "%s", message);
    } else if (verdict->suspect < 0) {
        verdict->suspect = rank;
        verdict->suspect_code = code;
        verdict->suspect_message = message;
        uv_timer_start(&verdict->blame, on_blame_over, BLAME_MS, 0);
        return;
    }
    free(message);
}

static char *rank_name(const struct ame__verdict *verdict, int rank)
{
    return ame__xprintf("rank %d (host %s, pid %d)", rank, ame__plan_host(verdict->plan, rank),
                        (int) verdict->fates[rank].pid);
}

static const char *others(const struct ame__verdict *verdict, int rank)
{
    if (verdict->plan->size == 1) return "";
    return expendable(verdict, rank) ? "; the other ranks go on" : "; the other ranks were ended";
}

/* ---- what happens to ranks ----------------------------------------------------------------------- */

void ame__verdict_started(struct ame__verdict *verdict, int rank, pid_t pid)
{
    verdict->fates[rank].pid = pid;
    verdict->fates[rank].started_ns = ame__now_ns();
}

void ame__verdict_blames(struct ame__verdict *verdict, int rank, int other)
{
    if (verdict->fates[rank].blames < 0) verdict->fates[rank].blames = other;
    if (rank == 0 && verdict->pmi->tolerates) verdict->fates[other].tolerated = true;
}

void ame__verdict_stopped(struct ame__verdict *verdict, int rank, uint64_t milliseconds)
{
    verdict->fates[rank].stopped_ms = milliseconds;
}

void ame__verdict_aborted(struct ame__verdict *verdict, int rank, int code)
{
    char *name = rank_name(verdict, rank);
    judge(verdict, rank, code, true, "%s aborted the job with code %d", name, code);
    free(name);
}

void ame__verdict_check_barrier(struct ame__verdict *verdict)
{
    int waiter = ame__pmi_server_waiter(verdict->pmi);
    if (waiter < 0 || verdict->decided) return;
    for (int rank = 0; rank < verdict->plan->size; rank++) {
        if (!verdict->fates[rank].ended) continue;
        char *name = rank_name(verdict, rank);
        bool joined = ame__pmi_server_state(verdict->pmi, rank) != AME__PMI_SILENT;
        ame__verdict_conclude(verdict, 1, SIGTERM, "%s %s %s; rank %d waits for it; the other ranks were ended", name,
                              verdict->fates[rank].status ? "ended" : "exited with 0",
                              joined ? "and left the job" : "before it had joined the job", waiter);
        free(name);
        return;
    }
}

static void judge_exit(struct ame__verdict *verdict, int rank, int status)
{
    char *name = rank_name(verdict, rank), where[160] = "";
    const struct ame__seen *seen = verdict->events.last_seen(verdict->events.owner, rank);
    enum ame__pmi_state state = ame__pmi_server_state(verdict->pmi, rank);
    if (seen && WIFSIGNALED(status)) ame__seen_where(seen, where, sizeof where);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE && verdict->plan->ranks[rank].direct_output)
        ame__verdict_conclude(verdict, AME__CODE_READER_GONE, SIGTERM,
                              NULL); /* the reader of ameexec's output has gone */
    else if (verdict->fates[rank].stopped_ms)
        judge(verdict, rank, 128 + SIGKILL, false,
              "%s had been stopped for %.1f s%s%s and was killed (AME_HEARTBEAT)%s", name,
              (double) verdict->fates[rank].stopped_ms / 1e3, *where ? " " : "", where, others(verdict, rank));
    else if (WIFSIGNALED(status))
        judge(verdict, rank, 128 + WTERMSIG(status), false, "%s was killed by signal %d (%s%s)%s%s%s", name,
              WTERMSIG(status), strsignal(WTERMSIG(status)), WCOREDUMP(status) ? ", core dumped" : "",
              *where ? " " : "", where, others(verdict, rank));
    else if (WEXITSTATUS(status) && rank == 0 && verdict->plan->options->mapping.command)
        ame__verdict_conclude(verdict, WEXITSTATUS(status), SIGTERM, NULL); /* ame-map has said why */
    else if (WEXITSTATUS(status))
        judge(verdict, rank, WEXITSTATUS(status), false, "%s exited with code %d%s", name, WEXITSTATUS(status),
              others(verdict, rank));
    else if (state == AME__PMI_JOINED || state == AME__PMI_WAITING)
        judge(verdict, rank, 1, false, "%s exited with 0 before it had finalized%s", name, others(verdict, rank));
    else if (state == AME__PMI_BROKEN)
        judge(verdict, rank, 1, false, "%s broke the PMI protocol%s", name, others(verdict, rank));
    else if (verdict->suspect >= 0 && origin(verdict, verdict->suspect) == rank)
        convict(verdict); /* this one has ended as it should */
    else
        ame__verdict_check_barrier(verdict);
    free(name);
}

static void mark_ended(struct ame__fate *fate)
{
    fate->ended = true;
    fate->ended_ns = ame__now_ns();
}

void ame__verdict_exited(struct ame__verdict *verdict, int rank, int status)
{
    struct ame__fate *fate = &verdict->fates[rank];
    if (fate->ended) return;
    mark_ended(fate);
    fate->status = status;
    ame__log(launcher, DEBUG, "rank %d (pid %d) ended, status %#x", rank, (int) fate->pid, (unsigned) status);
    if (!verdict->decided && !verdict->settled)
        judge_exit(verdict, rank, status);
    else if (verdict->signalled && rank == 0 && WIFEXITED(status) && WEXITSTATUS(status) == AME__CODE_NOT_DONE)
        verdict->code = AME__CODE_NOT_DONE; /* it has ended in order after the signal, and says so */
}

/* ---- what happens to the job --------------------------------------------------------------------- */

/* "rank 4, 5 and 120 more" */
static char *ranks_of(const struct ame__plan *plan, int host)
{
    int count = plan->hosts.items[host].slots, listed = 0;
    char text[200];
    size_t used = 0;
    for (int rank = 0; rank < plan->size && listed < 8; rank++)
        if (plan->ranks[rank].host == host)
            used += (size_t) snprintf(text + used, sizeof text - used, "%s%d", listed++ ? ", " : "", rank);
    if (listed < count) return ame__xprintf("ranks %s and %d more", text, count - listed);
    return ame__xprintf("rank%s %s", count > 1 ? "s" : "", text);
}

void ame__verdict_lost(struct ame__verdict *verdict, int host, const char *how)
{
    const struct ame__plan *plan = verdict->plan;
    bool all = plan->hosts.count == 1, goes_on = !all && !verdict->decided;
    int first = -1;
    for (int rank = plan->size - 1; rank >= 0; rank--) {
        struct ame__fate *fate = &verdict->fates[rank];
        if (plan->ranks[rank].host != host || fate->ended) continue;
        goes_on = goes_on && expendable(verdict, rank);
        mark_ended(fate);
        fate->lost = true;
        first = rank;
    }
    char *ranks = ranks_of(plan, host);
    char *message = ame__xprintf("host %s (%s) was lost: %s%s", plan->hosts.items[host].name, ranks, how,
                                 all       ? ""
                                 : goes_on ? "; the other ranks go on"
                                           : "; the other ranks were ended");
    if (goes_on && first >= 0)
        survive(verdict, first, 1, message);
    else
        ame__verdict_conclude(verdict, 1, SIGTERM, "%s", message);
    free(message);
    free(ranks);
}

void ame__verdict_signal(struct ame__verdict *verdict, int number)
{
    verdict->signalled = true;
    ame__verdict_conclude(verdict, 128 + number, number, "ended by signal %d (%s)", number, strsignal(number));
}

void ame__verdict_settle(struct ame__verdict *verdict)
{
    verdict->settled = true;
    convict(verdict); /* the one that it blames has not failed, and all have ended */
}

/* ---- the end ------------------------------------------------------------------------------------- */

int ame__verdict_code(const struct ame__verdict *verdict)
{
    if (verdict->decided) return verdict->code;
    return verdict->survived >= 0 ? verdict->survived_code : 0;
}

void ame__verdict_print(const struct ame__verdict *verdict)
{
    fprintf(stderr, "%6s %10s %10s  %s\n", "rank", "pid", "seconds", "end");
    for (int rank = 0; rank < verdict->plan->size; rank++) {
        const struct ame__fate *fate = &verdict->fates[rank];
        double seconds = (double) (fate->ended_ns - fate->started_ns) / 1e9;
        if (!fate->pid)
            fprintf(stderr, "%6d %10s %10s  not started\n", rank, "-", "-");
        else if (!fate->ended || fate->lost)
            fprintf(stderr, "%6d %10d %10s  unknown\n", rank, (int) fate->pid, "-");
        else if (WIFSIGNALED(fate->status))
            fprintf(stderr, "%6d %10d %10.3f  signal %d (%s)\n", rank, (int) fate->pid, seconds, WTERMSIG(fate->status),
                    strsignal(WTERMSIG(fate->status)));
        else
            fprintf(stderr, "%6d %10d %10.3f  code %d\n", rank, (int) fate->pid, seconds, WEXITSTATUS(fate->status));
    }
}
