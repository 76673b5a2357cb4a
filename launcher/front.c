/* front.c - a job from start to verdict.
 *
 * The front starts a host daemon for each host (today: one, a fork of itself), serves PMI and output for all ranks, and
 * decides.
 *
 *     RUNNING --a rank fails, signal, timeout: the verdict--> ENDING --GONE from every host--> DRAINING --all
 * written--> done
 *        \_____________________ GONE from every host ________________________________________/
 *
 * The verdict is the exit code and the one line that explains it. It is set once, by what happened first; whatever
 * follows from ending the others cannot change it. It is printed when nothing of the job is left and all output has
 * been written, so it is the last thing that the user sees.
 *
 * Who was first? The kernel closes the connections of a dying rank before its parent can see it dead, so a rank that
 * got an error from that may well exit first. libame says whom it blames before it gives such an error to the program;
 * the verdict on a rank that blames another is held back for a moment (BLAME_MS) until the other one's end is known.
 *
 * A host daemon that dies without GONE has been killed. Its ranks die with it (PR_SET_PDEATHSIG); what they had started
 * is inherited by the front, which is a subreaper too, and killed here in the same way (ORPHANS). The front itself
 * being killed is seen by the daemon. So no single death leaves anything behind.
 *
 * Output credit: bytes that arrived are given back to the daemon as soon as less than half a window is queued here.
 */
#include "front.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "channel.h"
#include "hostd.h"
#include "input.h"
#include "output.h"
#include "pmi_server.h"
#include "reap.h"

#define CODE_TIMEOUT        124
#define CODE_READER_GONE    (128 + SIGPIPE)
#define BLAME_MS            500
#define PATIENCE_MS         7000 /* more than the daemon's own for what cannot be killed */
#define ORPHANS_AGAIN_MS    20
#define ORPHANS_PATIENCE_NS (5 * 1000000000ll)

enum phase { RUNNING, ENDING, DRAINING, DONE };

struct rank {
    pid_t pid; /* 0: not started */
    bool ended;
    int status;
    int blames; /* the rank whose failure it has met, or -1 */
    int64_t started_ns, ended_ns;
};

struct host {
    struct front *front;
    pid_t pid;
    struct ame__channel channel;
    uint64_t owed; /* output that arrived and is not given back as credit */
    bool gone;
};

#define SIGNALS 10
struct front {
    enum phase phase;
    uv_loop_t loop;
    const struct ame__plan *plan;
    const struct ame__inherited *inherited;
    struct host host;
    struct rank *ranks;
    struct ame__pmi_server pmi;
    struct ame__output *output;
    struct ame__input input;
    uv_signal_t signals[SIGNALS];
    int signal_count;
    uv_timer_t limit, orphans, blame;
    int suspect; /* its verdict is held back, or -1 */
    int suspect_code;
    char *suspect_message;
    uv_prepare_t prepare;
    bool have_verdict, signalled; /* signalled: the verdict came from outside */
    int code;
    char *message; /* NULL: nothing to say */
    char *stuck;
    int64_t orphans_since;
};

/* ---- verdict and end ----------------------------------------------------------------------------- */

static void give_credit(struct front *front)
{
    struct host *host = &front->host;
    if (host->owed < AME__OUTPUT_WINDOW / 4 || ame__output_queued(front->output) > AME__OUTPUT_WINDOW / 2) return;
    ame__channel_send_number(&host->channel, AME__FRAME_CREDIT, AME__FRAME_ALL, host->owed);
    host->owed = 0;
}

static void end_hosts(struct front *front, int signal, double grace)
{
    if (!front->host.gone)
        ame__channel_send_numbers(&front->host.channel, AME__FRAME_END, AME__FRAME_ALL, (uint64_t) signal,
                                  (uint64_t) (grace * 1000));
}

/* The host daemon should have reported the end of everything by now. While output is blocked it cannot, because that
 * would lose output; a user who sent a signal does not want to wait for it, though. */
static void on_patience_over(uv_timer_t *timer)
{
    struct front *front = timer->data;
    bool blocked = ame__output_queued(front->output) != 0;
    if (front->phase == DONE || front->host.gone) return;
    if (blocked && front->signalled) {
        ame__output_discard(front->output);
        give_credit(front);
    } else if (!blocked && front->host.pid > 0) {
        ame__log(launcher, WARN, "the host daemon does not answer and is killed");
        kill(front->host.pid, SIGKILL);
        return;
    }
    uv_timer_start(timer, on_patience_over, PATIENCE_MS, 0);
}

/* The first call decides; see the head of the file. */
static void conclude(struct front *front, int code, int signal, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void conclude(struct front *front, int code, int signal, const char *format, ...)
{
    if (front->have_verdict) return;
    front->have_verdict = true;
    front->code = code;
    if (format) {
        va_list args;
        va_start(args, format);
        if (vasprintf(&front->message, format, args) < 0) front->message = NULL;
        va_end(args);
    }
    ame__log(launcher, DEBUG, "verdict %d: %s", code, front->message ? front->message : "");
    if (front->phase != RUNNING) return;
    front->phase = ENDING;
    end_hosts(front, signal, front->plan->options->grace);
    uv_timer_start(&front->limit, on_patience_over, (uint64_t) (front->plan->options->grace * 1000) + PATIENCE_MS, 0);
}

static void on_blame_over(uv_timer_t *timer)
{
    struct front *front = timer->data;
    if (front->suspect >= 0) conclude(front, front->suspect_code, SIGTERM, "%s", front->suspect_message);
}

/* Rank `rank` has failed: the verdict, unless it blames a rank whose end is not known yet. */
static void accuse(struct front *front, int rank, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void accuse(struct front *front, int rank, int code, const char *format, ...)
{
    int blames = front->ranks[rank].blames;
    char *message = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&message, format, args) < 0) message = NULL;
    va_end(args);
    if (blames < 0 || blames == rank || front->ranks[blames].ended) {
        conclude(front, code, SIGTERM, "%s", message ? message : "out of memory");
    } else if (front->suspect < 0) {
        front->suspect = rank;
        front->suspect_code = code;
        front->suspect_message = message;
        uv_timer_start(&front->blame, on_blame_over, BLAME_MS, 0);
        return;
    }
    free(message);
}

static char *rank_name(struct front *front, int rank)
{
    return ame__xprintf("rank %d (host %s, pid %d)", rank, front->plan->host, (int) front->ranks[rank].pid);
}

static const char *others(const struct front *front)
{
    return front->plan->size > 1 ? "; the other ranks were ended" : "";
}

static void check_drained(struct front *front)
{
    if (front->phase == DRAINING && !ame__output_queued(front->output)) {
        front->phase = DONE;
        uv_stop(&front->loop);
    }
}

static void drain(struct front *front)
{
    if (front->phase >= DRAINING) return;
    front->phase = DRAINING;
    ame__output_end_lines(front->output);
    check_drained(front);
}

/* ---- ranks --------------------------------------------------------------------------------------- */

/* A barrier that can never be complete, because a rank has ended, is a failure of that rank. */
static void check_barrier(struct front *front)
{
    int waiter = ame__pmi_server_waiter(&front->pmi);
    if (waiter < 0 || front->have_verdict) return;
    for (int rank = 0; rank < front->plan->size; rank++) {
        if (!front->ranks[rank].ended) continue;
        char *name = rank_name(front, rank);
        bool joined = ame__pmi_server_state(&front->pmi, rank) != AME__PMI_SILENT;
        conclude(front, 1, SIGTERM, "%s exited with 0 %s; rank %d waits for it%s", name,
                 joined ? "and left the job" : "before it had joined the job", waiter, others(front));
        free(name);
        return;
    }
}

static void judge_exit(struct front *front, int rank, int status)
{
    char *name = rank_name(front, rank);
    enum ame__pmi_state state = ame__pmi_server_state(&front->pmi, rank);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE && front->plan->ranks[rank].direct_output)
        conclude(front, CODE_READER_GONE, SIGTERM, NULL); /* the reader of ameexec's output has gone */
    else if (WIFSIGNALED(status))
        accuse(front, rank, 128 + WTERMSIG(status), "%s was killed by signal %d (%s%s)%s", name, WTERMSIG(status),
               strsignal(WTERMSIG(status)), WCOREDUMP(status) ? ", core dumped" : "", others(front));
    else if (WEXITSTATUS(status))
        accuse(front, rank, WEXITSTATUS(status), "%s exited with code %d%s", name, WEXITSTATUS(status), others(front));
    else if (state == AME__PMI_JOINED || state == AME__PMI_WAITING)
        accuse(front, rank, 1, "%s exited with 0 before it had finalized%s", name, others(front));
    else if (state == AME__PMI_BROKEN)
        accuse(front, rank, 1, "%s broke the PMI protocol%s", name, others(front));
    else if (front->suspect >= 0 && front->ranks[front->suspect].blames == rank)
        on_blame_over(&front->blame); /* this one has ended as it should */
    else
        check_barrier(front);
    free(name);
}

static void on_exited(struct front *front, int rank, int status)
{
    struct rank *one = &front->ranks[rank];
    if (one->ended) return;
    one->ended = true;
    one->status = status;
    one->ended_ns = ame__now_ns();
    ame__log(launcher, DEBUG, "rank %d (pid %d) ended, status %#x", rank, (int) one->pid, (unsigned) status);
    ame__input_rank_closed(&front->input, rank);
    if (front->phase == RUNNING) judge_exit(front, rank, status);
}

static void send_window_size(struct front *front)
{
    struct winsize size;
    int rank = front->plan->options->pty_rank;
    if (rank < 0 || ioctl(STDIN_FILENO, TIOCGWINSZ, &size)) return;
    ame__channel_send_numbers(&front->host.channel, AME__FRAME_WINDOW_SIZE, (uint32_t) rank, size.ws_row, size.ws_col);
}

static void on_started(struct front *front, int rank, pid_t pid)
{
    front->ranks[rank].pid = pid;
    front->ranks[rank].started_ns = ame__now_ns();
    ame__output_started(front->output, rank, pid);
    if (front->plan->options->verbose) fprintf(stderr, "ameexec: rank %d is process %d\n", rank, (int) pid);
    if (rank == front->plan->options->pty_rank) send_window_size(front);
}

static void on_start_failed(struct front *front, int rank, const struct ame__frame *frame)
{
    int error = (int) ame__u64_get(frame->payload);
    int code = error == ENOENT || error == ENOTDIR                     ? 127
               : error == EMFILE || error == EAGAIN || error == ENOMEM ? 1
                                                                       : 126;
    conclude(front, code, SIGTERM, "rank %d cannot be started: %.*s", rank, (int) frame->length - 8,
             frame->payload + 8);
}

static void on_pmi_line(struct front *front, int rank, const struct ame__frame *frame)
{
    char reply[AME__PMI_REPLY_MAX], *name;
    size_t length = 0;
    struct ame__channel *channel = &front->host.channel;
    ame__log(launcher, TRACE, "rank %d: %.*s", rank, (int) frame->length, frame->payload);
    switch (ame__pmi_server_handle(&front->pmi, rank, frame->payload, frame->length, reply, &length)) {
    case AME__PMI_CONTINUE:
    case AME__PMI_REPLY: ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, (uint32_t) rank, reply, length); break;
    case AME__PMI_RELEASE: ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, AME__FRAME_ALL, reply, length); break;
    case AME__PMI_NO_REPLY: check_barrier(front); break;
    case AME__PMI_ABORT:
        name = rank_name(front, rank);
        accuse(front, rank, front->pmi.abort_code, "%s aborted the job with code %d", name, front->pmi.abort_code);
        free(name);
        break;
    case AME__PMI_BLAME:
        if (front->ranks[rank].blames < 0) front->ranks[rank].blames = front->pmi.blamed;
        ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, (uint32_t) rank, NULL, 0);
        break;
    case AME__PMI_DROP:
        ame__pmi_server_break(&front->pmi, rank);
        ame__channel_send(channel, AME__FRAME_PMI_CLOSE, 0, (uint32_t) rank, NULL, 0);
        break;
    }
}

/* ---- the host daemon ----------------------------------------------------------------------------- */

static void on_frame(struct ame__channel *channel, const struct ame__frame *frame)
{
    struct host *host = channel->owner;
    struct front *front = host->front;
    int rank = (int) frame->rank;
    if (frame->rank >= (uint32_t) front->plan->size && frame->kind != AME__FRAME_GONE &&
        frame->kind != AME__FRAME_STUCK)
        return;
    switch (frame->kind) {
    case AME__FRAME_STARTED: on_started(front, rank, (pid_t) ame__u64_get(frame->payload)); break;
    case AME__FRAME_START_FAILED: on_start_failed(front, rank, frame); break;
    case AME__FRAME_OUTPUT:
        host->owed += frame->length;
        ame__output_feed(front->output, rank, frame->stream, frame->payload, frame->length);
        break;
    case AME__FRAME_PMI_LINE: on_pmi_line(front, rank, frame); break;
    case AME__FRAME_PMI_BROKEN: ame__pmi_server_break(&front->pmi, rank); break;
    case AME__FRAME_INPUT_TAKEN: ame__input_taken(&front->input, rank, ame__u64_get(frame->payload)); break;
    case AME__FRAME_INPUT_CLOSED: ame__input_rank_closed(&front->input, rank); break;
    case AME__FRAME_EXITED: on_exited(front, rank, (int) ame__u64_get(frame->payload)); break;
    case AME__FRAME_STUCK:
        free(front->stuck);
        front->stuck = ame__xprintf("%.*s", (int) frame->length, frame->payload);
        break;
    case AME__FRAME_GONE:
        host->gone = true;
        drain(front);
        break;
    default: ame__log(launcher, WARN, "unexpected frame %s", ame__frame_name(frame->kind));
    }
}

static void on_orphans(uv_timer_t *timer)
{
    struct front *front = timer->data;
    char names[2048];
    size_t left = ame__descendants_signal(SIGKILL, names, sizeof names);
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
    }
    bool late = ame__now_ns() - front->orphans_since > ORPHANS_PATIENCE_NS;
    if (pid == 0 && !(late && left)) {
        uv_timer_start(timer, on_orphans, ORPHANS_AGAIN_MS, 0);
        return;
    }
    if (left && late) front->stuck = ame__xstrdup(names);
    front->host.gone = true;
    front->host.pid = 0;
    drain(front);
}

static void on_closed(struct ame__channel *channel)
{
    struct host *host = channel->owner;
    struct front *front = host->front;
    if (host->gone) return;
    conclude(front, 1, SIGKILL, "the helper process of ameexec on host %s (pid %d) was killed; all ranks were ended",
             front->plan->host, (int) host->pid);
    front->orphans_since = ame__now_ns();
    on_orphans(&front->orphans);
}

static bool start_host(struct front *front)
{
    int pair[2];
    struct host *host = &front->host;
    host->front = front;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) return false;
    host->pid = fork();
    if (host->pid < 0) return false;
    if (host->pid == 0) {
        close(pair[0]);
        ame__hostd_run(front->plan, front->inherited, pair[1]);
    }
    close(pair[1]);
    ame__plan_release_input(front->plan);
    host->channel.fd = pair[0];
    host->channel.on_frame = on_frame;
    host->channel.on_closed = on_closed;
    host->channel.owner = host;
    return true;
}

/* ---- loop ---------------------------------------------------------------------------------------- */

/* Runs before the loop sleeps: what came in this turn is written at once. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct front *front = prepare->data;
    ame__output_flush(front->output);
    give_credit(front);
    check_drained(front);
}

static void on_output_progress(void *owner)
{
    struct front *front = owner;
    give_credit(front);
    check_drained(front);
}

static void on_output_failure(void *owner, const char *text)
{
    conclude(owner, 1, SIGTERM, "%s", text);
}

static void on_reader_gone(void *owner)
{
    conclude(owner, CODE_READER_GONE, SIGTERM, NULL);
}

static void on_limit(uv_timer_t *timer)
{
    struct front *front = timer->data;
    conclude(front, CODE_TIMEOUT, SIGTERM, "the time limit of %g s has passed; all ranks were ended",
             front->plan->options->timeout);
}

static void send_input(void *owner, int rank, enum ame__frame_kind kind, const char *data, size_t length)
{
    struct front *front = owner;
    ame__channel_send(&front->host.channel, kind, 0, (uint32_t) rank, data, length);
}

static void forward(struct front *front, int number)
{
    ame__channel_send_number(&front->host.channel, AME__FRAME_SIGNAL, AME__FRAME_ALL, (uint64_t) number);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct front *front = handle->data;
    switch (number) {
    case SIGINT:
    case SIGTERM:
    case SIGHUP:
    case SIGQUIT:
        if (front->phase == ENDING && number == SIGINT) end_hosts(front, SIGKILL, 0);
        if (front->phase >= DRAINING || (front->phase == ENDING && number == SIGINT))
            ame__output_discard(front->output); /* if nobody reads it, the user does not want to wait for it */
        front->signalled = true;
        conclude(front, 128 + number, number, "ended by signal %d (%s)", number, strsignal(number));
        break;
    case SIGTSTP:
        forward(front, SIGSTOP); /* ranks have no terminal: SIGTSTP would not stop all of them */
        ame__channel_flush(&front->host.channel);
        raise(SIGSTOP);
        break;
    case SIGWINCH: send_window_size(front); break;
    default: forward(front, number);
    }
}

static void watch_signals(struct front *front)
{
    static const int numbers[SIGNALS] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                         SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};
    for (int i = 0; i < SIGNALS && numbers[i]; i++) {
        struct sigaction action;
        sigaction(numbers[i], NULL, &action);
        if (action.sa_handler == SIG_IGN) continue; /* nohup, or a background job of a shell */
        uv_signal_t *signal = &front->signals[front->signal_count++];
        uv_signal_init(&front->loop, signal);
        signal->data = front;
        uv_signal_start(signal, on_signal, numbers[i]);
    }
}

static bool open_front(struct front *front)
{
    struct ame__output_events events = {on_reader_gone, on_output_failure, on_output_progress, front};
    uv_loop_init(&front->loop);
    front->output = ame__output_create(&front->loop, front->plan, &events);
    if (!front->output) return false;
    ame__channel_open(&front->host.channel, &front->loop, front->host.channel.fd);
    uv_timer_init(&front->loop, &front->limit);
    uv_timer_init(&front->loop, &front->orphans);
    uv_timer_init(&front->loop, &front->blame);
    uv_prepare_init(&front->loop, &front->prepare);
    front->limit.data = front->orphans.data = front->blame.data = front->prepare.data = front;
    uv_prepare_start(&front->prepare, on_prepare);
    if (front->plan->options->timeout > 0)
        uv_timer_start(&front->limit, on_limit, (uint64_t) (front->plan->options->timeout * 1000), 0);
    watch_signals(front);
    front->input.send = send_input;
    front->input.owner = front;
    ame__input_open(&front->input, &front->loop, front->plan);
    return true;
}

static void close_front(struct front *front)
{
    ame__input_close(&front->input);
    ame__channel_close(&front->host.channel);
    ame__bytes_finish(&front->host.channel.in);
    ame__bytes_finish(&front->host.channel.out);
    ame__output_close(front->output);
    uv_close((uv_handle_t *) &front->limit, NULL);
    uv_close((uv_handle_t *) &front->orphans, NULL);
    uv_close((uv_handle_t *) &front->blame, NULL);
    uv_close((uv_handle_t *) &front->prepare, NULL);
    for (int i = 0; i < front->signal_count; i++) uv_close((uv_handle_t *) &front->signals[i], NULL);
    uv_run(&front->loop, UV_RUN_DEFAULT);
    uv_loop_close(&front->loop);
    ame__output_free(front->output);
    ame__pmi_server_finish(&front->pmi);
    free(front->ranks);
    free(front->message);
    free(front->suspect_message);
    free(front->stuck);
}

/* ---- what the user reads at the end -------------------------------------------------------------- */

static void print_exits(const struct front *front)
{
    fprintf(stderr, "%6s %10s %10s  %s\n", "rank", "pid", "seconds", "end");
    for (int rank = 0; rank < front->plan->size; rank++) {
        const struct rank *one = &front->ranks[rank];
        double seconds = (double) (one->ended_ns - one->started_ns) / 1e9;
        if (!one->pid)
            fprintf(stderr, "%6d %10s %10s  not started\n", rank, "-", "-");
        else if (!one->ended)
            fprintf(stderr, "%6d %10d %10s  unknown\n", rank, (int) one->pid, "-");
        else if (WIFSIGNALED(one->status))
            fprintf(stderr, "%6d %10d %10.3f  signal %d (%s)\n", rank, (int) one->pid, seconds, WTERMSIG(one->status),
                    strsignal(WTERMSIG(one->status)));
        else
            fprintf(stderr, "%6d %10d %10.3f  code %d\n", rank, (int) one->pid, seconds, WEXITSTATUS(one->status));
    }
}

static void print_verdict(const struct front *front)
{
    const struct ame__options *options = front->plan->options;
    if ((front->message || front->stuck || options->print_exits) && ame__output_mid_line(front->output))
        fputc('\n', stderr);
    if (options->print_exits) print_exits(front);
    if (front->stuck) fprintf(stderr, "ameexec: these processes cannot be killed and were left: %s\n", front->stuck);
    if (front->message && !options->quiet) fprintf(stderr, "ameexec: %s\n", front->message);
}

static int program_of(const void *owner, int rank)
{
    const struct ame__plan *plan = owner;
    return plan->ranks[rank].app;
}

int ame__front_run(const struct ame__plan *plan, const struct ame__inherited *inherited)
{
    struct front *front = ame__xalloc(sizeof *front);
    front->plan = plan;
    front->inherited = inherited;
    front->ranks = ame__xalloc((size_t) plan->size * sizeof *front->ranks);
    front->suspect = -1;
    for (int rank = 0; rank < plan->size; rank++) front->ranks[rank].blames = -1;
    ame__pmi_server_init(&front->pmi, plan->size, plan->job_id);
    front->pmi.program_of = program_of;
    front->pmi.owner = plan;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!start_host(front)) {
        fprintf(stderr, "ameexec: cannot start the helper process: %s\n", strerror(errno));
        return 1;
    }
    if (!open_front(front)) {
        fprintf(stderr, "ameexec: %s\n", ame__error_text());
        return 1;
    }
    uv_run(&front->loop, UV_RUN_DEFAULT);
    ame__input_restore(&front->input);
    print_verdict(front);
    int code = front->have_verdict ? front->code : front->stuck ? 1 : 0;
    if (front->host.pid > 0) waitpid(front->host.pid, NULL, 0);
    close_front(front);
    free(front);
    return code;
}
