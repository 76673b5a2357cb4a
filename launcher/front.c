/* front.c - a job from start to verdict.
 *
 * The front starts a host daemon for each host (a fork of itself on its own host, through ssh or srun on others,
 * remote.c), serves PMI and output for all ranks, and decides.
 *
 *     RUNNING --a rank fails, signal, timeout: the verdict--> ENDING --GONE from every host--> DRAINING --all
 * written--> done
 *        \_____________________ GONE from every host ________________________________________/
 *
 * What the ends of ranks and hosts mean for the job is decided in verdict.c. The verdict is printed when nothing of the job
 * is left and all output has been written, so it is the last thing that the user sees.
 *
 * A host daemon that dies without GONE has been killed. Its ranks die with it (PR_SET_PDEATHSIG); what they had started
 * is inherited by the front, which is a subreaper too, and killed here in the same way (ORPHANS). The front itself
 * being killed is seen by the daemon. So no single death leaves anything behind.
 *
 * No rank is started anywhere before the daemons of all hosts have said HELLO; a host that cannot be reached has thus
 * started nothing. Across hosts silence is a sign too: a daemon that says nothing for AME__SILENCE_MS is lost, and so are
 * its ranks, which it ends itself when it hears nothing from here.
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
#include "base/vars.h"
#include "channel.h"
#include "hostd.h"
#include "input.h"
#include "output.h"
#include "pmi_server.h"
#include "reap.h"
#include "remote.h"
#include "report.h"
#include "status.h"
#include "verdict.h"

#define CONNECTION_END_MS   500
#define PATIENCE_MS         7000 /* more than the daemon's own for what cannot be killed */
#define ORPHANS_AGAIN_MS    20
#define ORPHANS_PATIENCE_NS (5 * 1000000000ll)

enum phase { RUNNING, ENDING, DRAINING, DONE };

enum host_state { CONNECTING, READY, WORKING, GONE };

struct host {
    struct front *front;
    int index; /* in the plan */
    enum host_state state;
    bool here;
    pid_t pid; /* of the daemon that was forked */
    struct ame__remote remote;
    struct ame__channel channel;
    uint64_t owed; /* output that arrived and is not given back as credit */
};

#define SIGNALS 10
struct front {
    enum phase phase;
    uv_loop_t loop;
    const struct ame__plan *plan;
    const struct ame__inherited *inherited;
    struct host *hosts;
    int host_count;
    struct ame__verdict verdict;
    struct ame__pmi_server pmi;
    struct ame__output *output;
    struct ame__status *status;
    struct ame__input input;
    uv_signal_t signals[SIGNALS];
    int signal_count;
    uv_timer_t limit, orphans, beat;
    int64_t started_ns, looked_ns, beat_ns;
    uv_prepare_t prepare;
    char *stuck;
    int64_t orphans_since;
};

/* ---- the end of the job ----------------------------------------------------------------------------- */

#define for_each_host(front, item)                                                                                     \
    for (struct host *item = (front)->hosts; item < (front)->hosts + (front)->host_count; item++)

static struct host *host_of(struct front *front, int rank)
{
    return &front->hosts[front->plan->ranks[rank].host];
}

static const char *host_name(const struct host *host)
{
    return host->front->plan->hosts.items[host->index].name;
}

static void give_credit(struct front *front)
{
    if (ame__output_queued(front->output) > AME__OUTPUT_WINDOW / 2) return;
    for_each_host(front, host)
    {
        if (host->owed < AME__OUTPUT_WINDOW / 4) continue;
        ame__channel_send_number(&host->channel, AME__FRAME_CREDIT, AME__FRAME_ALL, host->owed);
        host->owed = 0;
    }
}

static void check_drained(struct front *front);
static void drain(struct front *front);

/* Nothing of the job is left on this host, or it is lost. */
static void host_gone(struct host *host)
{
    struct front *front = host->front;
    host->state = GONE;
    for_each_host(front, other) if (other->state != GONE) return;
    drain(front);
}

static void end_hosts(struct front *front, int signal, double grace)
{
    for_each_host(front, host)
    {
        if (host->state == CONNECTING) { /* nothing runs there yet, and when the channel ends nothing ever will */
            ame__channel_close(&host->channel);
            if (host->remote.pid > 0) kill(host->remote.pid, SIGTERM);
            host->state = GONE;
        }
        ame__channel_send_numbers(&host->channel, AME__FRAME_END, AME__FRAME_ALL, (uint64_t) signal,
                                  (uint64_t) (grace * 1000));
    }
    for_each_host(front, host) if (host->state == GONE) host_gone(host);
}

/* The host daemons should have reported the end of everything by now. While output is blocked they cannot, because that
 * would lose output; a user who sent a signal does not want to wait for it, though. */
static void on_patience_over(uv_timer_t *timer)
{
    struct front *front = timer->data;
    bool blocked = ame__output_queued(front->output) != 0;
    if (front->phase >= DRAINING) return;
    if (blocked && front->verdict.signalled) {
        ame__output_discard(front->output);
        give_credit(front);
    } else if (!blocked) {
        for_each_host(front, host)
        {
            pid_t pid = host->here ? host->pid : host->remote.pid;
            if (host->state == GONE || pid <= 0) continue;
            ame__log(launcher, WARN, "host %s: the host daemon does not answer and is killed", host_name(host));
            kill(pid, SIGKILL);
        }
    }
    uv_timer_start(timer, on_patience_over, PATIENCE_MS, 0);
}

static void on_decided(void *owner, int signal)
{
    struct front *front = owner;
    double grace = front->plan->options->grace;
    if (front->phase != RUNNING) return;
    front->phase = ENDING;
    end_hosts(front, signal, grace);
    uv_timer_start(&front->limit, on_patience_over, (uint64_t) (grace * 1000) + PATIENCE_MS, 0);
}

static void on_told(void *owner, const char *message)
{
    struct front *front = owner;
    if (front->plan->options->quiet) return;
    fprintf(stderr, "%sameexec: %s\n", ame__output_mid_line(front->output) ? "\n" : "", message);
}

static const struct ame__seen *last_seen(void *owner, int rank)
{
    struct front *front = owner;
    return ame__status_last(front->status, rank);
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
    ame__verdict_settle(&front->verdict);
    ame__output_end_lines(front->output);
    check_drained(front);
}

/* ---- ranks --------------------------------------------------------------------------------------- */

static void on_exited(struct front *front, int rank, int status)
{
    ame__input_rank_closed(&front->input, rank);
    ame__verdict_exited(&front->verdict, rank, status);
}

static void send_window_size(struct front *front)
{
    struct winsize size;
    int rank = front->plan->options->pty_rank;
    if (rank < 0 || ioctl(STDIN_FILENO, TIOCGWINSZ, &size)) return;
    ame__channel_send_numbers(&host_of(front, rank)->channel, AME__FRAME_WINDOW_SIZE, (uint32_t) rank, size.ws_row,
                              size.ws_col);
}

static void on_started(struct front *front, int rank, pid_t pid)
{
    ame__verdict_started(&front->verdict, rank, pid);
    ame__output_started(front->output, rank, pid);
    if (front->plan->options->verbose)
        fprintf(stderr, "ameexec: rank %d is process %d on %s\n", rank, (int) pid, ame__plan_host(front->plan, rank));
    if (rank == front->plan->options->pty_rank) send_window_size(front);
    ame__input_rank_started(&front->input, rank);
}

static void on_start_failed(struct front *front, int rank, const struct ame__frame *frame)
{
    bool several = front->host_count > 1 || !front->hosts[0].here;
    ame__verdict_conclude(&front->verdict, (int) ame__u64_get(frame->payload), SIGTERM,
                          "rank %d cannot be started%s%s: %.*s", rank, several ? " on host " : "",
                          several ? ame__plan_host(front->plan, rank) : "", (int) frame->length - 8,
                          frame->payload + 8);
}

static void on_pmi_line(struct front *front, int rank, const struct ame__frame *frame)
{
    char reply[AME__PMI_REPLY_MAX];
    size_t length = 0;
    struct ame__channel *channel = &host_of(front, rank)->channel;
    const char *value =
        memmem(frame->payload, frame->length, " value=", 7); /* a secret: the key of the job is in one */
    ame__log(launcher, TRACE, "rank %d: %.*s", rank, value ? (int) (value - frame->payload) : (int) frame->length,
             frame->payload);
    switch (ame__pmi_server_handle(&front->pmi, rank, frame->payload, frame->length, reply, &length)) {
    case AME__PMI_CONTINUE:
    case AME__PMI_REPLY: ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, (uint32_t) rank, reply, length); break;
    case AME__PMI_RELEASE:
        for_each_host(front, host)
            ame__channel_send(&host->channel, AME__FRAME_PMI_REPLY, 0, AME__FRAME_ALL, reply, length);
        break;
    case AME__PMI_NO_REPLY: ame__verdict_check_barrier(&front->verdict); break;
    case AME__PMI_ABORT: ame__verdict_aborted(&front->verdict, rank, front->pmi.abort_code); break;
    case AME__PMI_NOTED: ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, (uint32_t) rank, NULL, 0); break;
    case AME__PMI_BLAME:
        ame__verdict_blames(&front->verdict, rank, front->pmi.blamed);
        ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, (uint32_t) rank, NULL, 0);
        break;
    case AME__PMI_DROP:
        ame__pmi_server_break(&front->pmi, rank);
        ame__channel_send(channel, AME__FRAME_PMI_CLOSE, 0, (uint32_t) rank, NULL, 0);
        break;
    }
}

/* ---- host daemons -------------------------------------------------------------------------------- */

static void on_frame(struct ame__channel *channel, const struct ame__frame *frame)
{
    struct host *host = channel->owner;
    struct front *front = host->front;
    int rank = (int) frame->rank;
    bool of_host = frame->rank < (uint32_t) front->plan->size && host_of(front, rank) == host;
    if (!of_host && frame->rank != AME__FRAME_ALL) return;
    switch (frame->kind) {
    case AME__FRAME_ALIVE: return;
    case AME__FRAME_REFUSED:
        ame__verdict_conclude(&front->verdict, (int) ame__u64_get(frame->payload), SIGTERM, "host %s: %.*s",
                              host_name(host), (int) frame->length - 8, frame->payload + 8);
        return;
    case AME__FRAME_STUCK:
        free(front->stuck);
        front->stuck = ame__xprintf("on host %s %.*s", host_name(host), (int) frame->length, frame->payload);
        return;
    case AME__FRAME_GONE: host_gone(host); return;
    case AME__FRAME_REPORTED: ame__status_answered(front->status); return;
    default: break;
    }
    if (!of_host) return;
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
    case AME__FRAME_REPORT: ame__status_seen(front->status, rank, frame->payload); break;
    case AME__FRAME_STOPPED: ame__verdict_stopped(&front->verdict, rank, ame__u64_get(frame->payload)); break;
    case AME__FRAME_BINDING:
        fprintf(stderr, "ameexec: rank %d on %s: %.*s\n", rank, host_name(host), (int) frame->length, frame->payload);
        break;
    default: ame__log(launcher, WARN, "unexpected frame %s", ame__frame_name(frame->kind));
    }
}

/* The daemon of this host was killed: its ranks are dead, and what they had started is now ours to end. What belongs to
 * the other hosts, ssh, is left alone. */
static void on_orphans(uv_timer_t *timer)
{
    struct front *front = timer->data;
    char names[2048];
    pid_t *pids = ame__xalloc((size_t) front->host_count * sizeof *pids), pid;
    struct ame__spared spared = {pids, 0};
    struct host *here = NULL;
    int status;
    for_each_host(front, host)
    {
        if (host->here) here = host;
        if (host->remote.pid > 0) pids[spared.count++] = host->remote.pid;
    }
    size_t left = ame__descendants_signal(SIGKILL, &spared, names, sizeof names);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) for_each_host(front, host)
        {
            if (host->remote.pid != pid) continue;
            host->remote.pid = 0;
            host->remote.status = status;
        }
    free(pids);
    bool late = ame__now_ns() - front->orphans_since > ORPHANS_PATIENCE_NS;
    if ((spared.count ? left : pid == 0) && !(late && left)) {
        uv_timer_start(timer, on_orphans, ORPHANS_AGAIN_MS, 0);
        return;
    }
    if (left && late) front->stuck = ame__xstrdup(names);
    here->pid = 0;
    host_gone(here);
}

/* The host cannot do its part any more; `how` says why. */
static void lose_host(struct host *host, const char *how)
{
    struct front *front = host->front;
    for (int rank = 0; rank < front->plan->size; rank++)
        if (host_of(front, rank) == host) ame__input_rank_closed(&front->input, rank);
    ame__channel_close(&host->channel);
    if (host->remote.pid > 0) kill(host->remote.pid, SIGKILL);
    ame__verdict_lost(&front->verdict, host->index, how);
    host_gone(host);
}

static void on_closed(struct ame__channel *channel)
{
    struct host *host = channel->owner;
    struct front *front = host->front;
    if (host->state == GONE) return;
    if (host->here) {
        ame__verdict_conclude(&front->verdict, 1, SIGKILL,
                              "the helper process of ameexec on host %s (pid %d) was killed; all ranks were ended",
                              host_name(host), (int) host->pid);
        front->orphans_since = ame__now_ns();
        on_orphans(&front->orphans);
        return;
    }
    ame__remote_wait(&host->remote, CONNECTION_END_MS);
    if (host->state == CONNECTING) {
        char *why = ame__remote_failure(&host->remote);
        host->state = GONE;
        ame__verdict_conclude(&front->verdict, 1, SIGTERM, "%s", why);
        free(why);
        host_gone(host);
        return;
    }
    const char *last = host->remote.last;
    char *how = ame__xprintf("the connection ended%s%s%s", *last ? " (" : "", last, *last ? ")" : "");
    lose_host(host, how);
    free(how);
}

/* Address and port for rank 0 of dlp_mpi's own back end, which has to know them before it starts. */
static const char *root_address(struct front *front, int *port)
{
    struct host *root = host_of(front, 0);
    *port = root->here ? ame__plan_free_port() : root->remote.port;
    if (front->host_count == 1) return "127.0.0.1";
    if (!root->here) return strcmp(root->remote.address, "-") ? root->remote.address : host_name(root);
    for_each_host(front, host) if (!host->here && strcmp(host->remote.peer, "-") != 0) return host->remote.peer;
    return front->plan->host;
}

static void send_plan(struct host *host, const char *address, int port)
{
    struct front *front = host->front;
    struct ame__bytes bytes = {0};
    struct ame__work work;
    ame__plan_work(front->plan, host->index, address, port, &work);
    work.files = front->inherited->files.rlim_cur;
    ame__work_encode(&work, &bytes);
    uint64_t length = ame__bytes_length(&bytes);
    while (ame__bytes_length(&bytes)) {
        size_t part = ame__bytes_length(&bytes);
        if (part > AME__FRAME_PAYLOAD_MAX) part = AME__FRAME_PAYLOAD_MAX;
        ame__channel_send(&host->channel, AME__FRAME_PLAN, 0, AME__FRAME_ALL, ame__bytes_data(&bytes), part);
        ame__bytes_consume(&bytes, part);
    }
    ame__bytes_finish(&bytes);
    ame__channel_send_number(&host->channel, AME__FRAME_START, AME__FRAME_ALL, length);
    host->state = WORKING;
    free(work.ranks);
    free(work.apps);
}

/* When all hosts are there, they begin. */
static void check_ready(struct front *front)
{
    int port;
    if (front->phase != RUNNING) return;
    for_each_host(front, host) if (host->state != READY) return;
    const char *address = root_address(front, &port);
    ame__log(launcher, DEBUG, "all hosts are there after %.3f s", (double) (ame__now_ns() - front->started_ns) / 1e9);
    for_each_host(front, host) send_plan(host, address, port);
}

static long on_hello(struct ame__channel *channel, const char *data, size_t length)
{
    struct host *host = channel->owner;
    long used = ame__remote_hello(&host->remote, data, length);
    if (used < 0) {
        char *why = ame__xstrdup(ame__error_text());
        host->state = GONE;
        if (host->remote.pid > 0) kill(host->remote.pid, SIGTERM);
        ame__verdict_conclude(&host->front->verdict, 1, SIGTERM, "%s", why);
        free(why);
        host_gone(host);
    }
    if (used <= 0) return used;
    host->state = READY;
    check_ready(host->front);
    return used;
}

/* The host daemon of this host; before the loop exists, of which a fork should have no copy. */
static bool fork_daemon(struct host *host)
{
    int pair[2];
    struct front *front = host->front;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) return false;
    host->pid = fork();
    if (host->pid < 0) return false;
    if (host->pid == 0) {
        close(pair[0]);
        ame__hostd_run(front->inherited, pair[1]);
    }
    close(pair[1]);
    ame__plan_release_input(front->plan);
    host->channel.fd = pair[0];
    host->state = READY;
    return true;
}

static bool prepare_hosts(struct front *front)
{
    front->host_count = (int) front->plan->hosts.count;
    front->hosts = ame__xalloc((size_t) front->host_count * sizeof *front->hosts);
    for_each_host(front, host)
    {
        host->front = front;
        host->index = (int) (host - front->hosts);
        host->here = front->plan->hosts.items[host->index].here;
        host->remote.err_fd = host->channel.fd = -1;
        host->channel.on_frame = on_frame;
        host->channel.on_closed = on_closed;
        host->channel.owner = host;
    }
    for_each_host(front, host) if (host->here && !fork_daemon(host)) return false;
    return true;
}

static void open_hosts(struct front *front)
{
    for_each_host(front, host)
    {
        int fd = host->channel.fd;
        if (!host->here) {
            fd = front->verdict.decided
                     ? -1
                     : ame__remote_start(&host->remote, &front->loop, front->plan, host->index, front->inherited);
            host->channel.on_hello = on_hello;
        }
        if (fd >= 0)
            ame__channel_open(&host->channel, &front->loop, fd, fd);
        else
            ame__verdict_conclude(&front->verdict, 1, SIGTERM, "%s", ame__error_text());
        if (fd < 0) host_gone(host);
    }
    check_ready(front);
}

/* Each second, between hosts; see the same in hostd.c. */
static void on_beat(uv_timer_t *timer)
{
    struct front *front = timer->data;
    int64_t now = ame__now_ns();
    bool slept = now - front->looked_ns > (int64_t) AME__BEAT_MS * 1000000;
    bool beat = now - front->beat_ns >= (int64_t) AME__BEAT_MS * 1000000;
    double limit = 60;
    ame__var_number(AME__VAR_CONNECT_TIMEOUT, &limit);
    front->looked_ns = now;
    if (beat) front->beat_ns = now;
    for_each_host(front, host)
    {
        if (host->here || host->state == GONE) continue;
        if (slept) host->channel.heard_ns = now;
        if (beat && host->state != CONNECTING)
            ame__channel_send(&host->channel, AME__FRAME_ALIVE, 0, AME__FRAME_ALL, NULL, 0);
        int64_t silence = now - host->channel.heard_ns;
        if (host->state == CONNECTING && (double) silence > limit * 1e9) {
            host->state = GONE;
            ame__verdict_conclude(&front->verdict, 1, SIGTERM,
                                  "host %s: %s has not started ameexec there within %g s (AME_CONNECT_TIMEOUT)",
                                  host_name(host), host->remote.tool, limit);
            kill(host->remote.pid, SIGKILL);
            host_gone(host);
        } else if (host->state != CONNECTING && silence > (int64_t) AME__SILENCE_MS * 1000000) {
            char *how = ame__xprintf("nothing was heard from it for %d s", (int) (silence / 1000000000));
            lose_host(host, how);
            free(how);
        }
    }
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
    struct front *front = owner;
    ame__verdict_conclude(&front->verdict, 1, SIGTERM, "%s", text);
}

static void on_reader_gone(void *owner)
{
    struct front *front = owner;
    ame__verdict_conclude(&front->verdict, AME__CODE_READER_GONE, SIGTERM, NULL);
}

static void on_limit(uv_timer_t *timer)
{
    struct front *front = timer->data;
    ame__verdict_conclude(&front->verdict, AME__CODE_TIMEOUT, SIGTERM,
                          "the time limit of %g s has passed; all ranks were ended", front->plan->options->timeout);
}

static void send_input(void *owner, int rank, enum ame__frame_kind kind, const char *data, size_t length)
{
    struct front *front = owner;
    ame__channel_send(&host_of(front, rank)->channel, kind, 0, (uint32_t) rank, data, length);
}

static void forward(struct front *front, int number)
{
    for_each_host(front, host)
        ame__channel_send_number(&host->channel, AME__FRAME_SIGNAL, AME__FRAME_ALL, (uint64_t) number);
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
        ame__verdict_signal(&front->verdict, number);
        break;
    case SIGTSTP:
        forward(front, SIGSTOP); /* ranks have no terminal: SIGTSTP would not stop all of them */
        for_each_host(front, host)
        {
            ame__channel_send(&host->channel, AME__FRAME_PAUSE, 0, AME__FRAME_ALL, NULL, 0);
            ame__channel_flush(&host->channel, PATIENCE_MS);
        }
        raise(SIGSTOP);
        break;
    case SIGWINCH: send_window_size(front); break;
    case SIGUSR1: ame__status_wanted(front->status); break;
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

/* ---- what the ranks are doing -------------------------------------------------------------------- */

static int ask_hosts(void *owner)
{
    struct front *front = owner;
    int asked = 0;
    for_each_host(front, host)
    {
        if (host->state != WORKING) continue;
        ame__channel_send(&host->channel, AME__FRAME_ASK, 0, AME__FRAME_ALL, NULL, 0);
        asked++;
    }
    return asked;
}

static void fill_row(void *owner, int rank, const struct ame__seen *seen, struct ame__row *row)
{
    struct front *front = owner;
    const struct ame__fate *one = &front->verdict.fates[rank];
    row->host = ame__plan_host(front->plan, rank);
    row->pid = one->pid;
    row->standing = AME__STANDING_ALIVE;
    if (one->ended) {
        bool bad = one->lost || one->status;
        row->standing = bad ? AME__STANDING_FAILED : AME__STANDING_ENDED;
        snprintf(row->state, sizeof row->state, bad ? "failed" : "ended");
        if (one->lost)
            snprintf(row->what, sizeof row->what, "lost with its host");
        else if (WIFSIGNALED(one->status))
            snprintf(row->what, sizeof row->what, "killed by signal %d", WTERMSIG(one->status));
        else
            snprintf(row->what, sizeof row->what, "exit code %d", WEXITSTATUS(one->status));
        if (one->ended_ns) row->since_ms = (ame__now_ns() - one->ended_ns) / 1000000;
    } else if (!one->pid) {
        snprintf(row->state, sizeof row->state, "not started");
    } else if (!seen) {
        row->standing = AME__STANDING_SILENT;
        snprintf(row->state, sizeof row->state, "silent");
        snprintf(row->what, sizeof row->what, "its host does not answer");
    } else {
        ame__row_of_seen(seen, row);
    }
}

static void print_text(void *owner, const char *text, size_t length)
{
    struct front *front = owner;
    fprintf(stderr, "%s%.*s", ame__output_mid_line(front->output) ? "\n" : "", (int) length, text);
}

static void open_status(struct front *front)
{
    struct ame__status_events events = {ask_hosts, fill_row, print_text, front};
    const struct ame__plan *plan = front->plan;
    front->status = ame__status_create(&front->loop, plan->job_id, plan->size, front->host_count, plan->stall, &events);
}

static bool open_front(struct front *front)
{
    struct ame__output_events events = {on_reader_gone, on_output_failure, on_output_progress, front};
    if (uv_loop_init(&front->loop)) ame__no_memory();
    front->output = ame__output_create(&front->loop, front->plan, &events);
    if (!ame__output_open_files(front->output)) return false;
    uv_timer_init(&front->loop, &front->limit);
    uv_timer_init(&front->loop, &front->orphans);
    uv_timer_init(&front->loop, &front->beat);
    uv_prepare_init(&front->loop, &front->prepare);
    front->limit.data = front->orphans.data = front->beat.data = front->prepare.data = front;
    uv_prepare_start(&front->prepare, on_prepare);
    if (front->plan->options->timeout > 0)
        uv_timer_start(&front->limit, on_limit, (uint64_t) (front->plan->options->timeout * 1000), 0);
    open_status(front);
    ame__verdict_open(&front->verdict, &front->loop);
    watch_signals(front);
    front->input.send = send_input;
    front->input.owner = front;
    open_hosts(front);
    for_each_host(front, host) if (!host->here && host->state != GONE && !uv_is_active((uv_handle_t *) &front->beat))
        uv_timer_start(&front->beat, on_beat, AME__LOOK_MS, AME__LOOK_MS);
    ame__input_open(&front->input, &front->loop, front->plan);
    return true;
}

static void free_front(struct front *front)
{
    ame__pmi_server_finish(&front->pmi);
    ame__verdict_free(&front->verdict);
    free(front->hosts);
    free(front->stuck);
    free(front);
}

static void close_front(struct front *front)
{
    ame__input_close(&front->input);
    for_each_host(front, host)
    {
        ame__channel_close(&host->channel);
        ame__bytes_finish(&host->channel.in);
        ame__bytes_finish(&host->channel.out);
        if (!host->here) ame__remote_close(&host->remote);
    }
    ame__output_close(front->output);
    ame__status_close(front->status);
    uv_close((uv_handle_t *) &front->limit, NULL);
    uv_close((uv_handle_t *) &front->orphans, NULL);
    ame__verdict_close(&front->verdict);
    uv_close((uv_handle_t *) &front->beat, NULL);
    uv_close((uv_handle_t *) &front->prepare, NULL);
    for (int i = 0; i < front->signal_count; i++) uv_close((uv_handle_t *) &front->signals[i], NULL);
    uv_run(&front->loop, UV_RUN_DEFAULT);
    uv_loop_close(&front->loop);
    ame__output_free(front->output);
    ame__status_free(front->status);
    free_front(front);
}

/* ---- what the user reads at the end -------------------------------------------------------------- */

static void print_verdict(const struct front *front)
{
    const struct ame__options *options = front->plan->options;
    if ((front->verdict.message || front->stuck || options->print_exits) && ame__output_mid_line(front->output))
        fputc('\n', stderr);
    if (options->print_exits) ame__verdict_print(&front->verdict);
    if (front->stuck) fprintf(stderr, "ameexec: these processes cannot be killed and were left: %s\n", front->stuck);
    if (front->verdict.message && !options->quiet) fprintf(stderr, "ameexec: %s\n", front->verdict.message);
}

static int program_of(const void *owner, int rank)
{
    const struct ame__plan *plan = owner;
    return plan->ranks[rank].app;
}

/* A mapping that is too long for a value is left out; ranks then compare the names of their hosts. */
static void init_pmi(struct front *front)
{
    const struct ame__plan *plan = front->plan;
    char mapping[AME__PMI_VALUE_MAX];
    int *hosts = ame__xalloc((size_t) plan->size * sizeof *hosts);
    for (int rank = 0; rank < plan->size; rank++) hosts[rank] = plan->ranks[rank].host;
    bool fits = ame__hosts_mapping(hosts, plan->size, mapping, sizeof mapping);
    ame__pmi_server_init(&front->pmi, plan->size, plan->job_id, fits ? mapping : NULL);
    front->pmi.intolerant = plan->options->on_failure == AME__ON_FAILURE_END;
    front->pmi.program_of = program_of;
    front->pmi.owner = plan;
    free(hosts);
}

/* Nothing has been started but the daemon of this host, which ends when its channel does. */
static void abandon(struct front *front)
{
    for_each_host(front, host)
    {
        if (host->channel.fd >= 0) close(host->channel.fd);
        if (host->pid > 0) waitpid(host->pid, NULL, 0);
    }
    if (front->output) {
        ame__output_close(front->output);
        uv_run(&front->loop, UV_RUN_DEFAULT);
        uv_loop_close(&front->loop);
        ame__output_free(front->output);
    }
    free_front(front);
}

int ame__front_run(const struct ame__plan *plan, const struct ame__inherited *inherited)
{
    struct front *front = ame__xalloc(sizeof *front);
    front->plan = plan;
    front->inherited = inherited;
    struct ame__verdict_events events = {on_decided, on_told, last_seen, front};
    ame__verdict_init(&front->verdict, plan, &front->pmi, &events);
    init_pmi(front);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    front->started_ns = front->looked_ns = front->beat_ns = ame__now_ns();
    if (!prepare_hosts(front)) {
        fprintf(stderr, "ameexec: cannot start the helper process: %s\n", strerror(errno));
        abandon(front);
        return 1;
    }
    if (!open_front(front)) {
        fprintf(stderr, "ameexec: %s\n", ame__error_text());
        abandon(front);
        return 1;
    }
    uv_run(&front->loop, UV_RUN_DEFAULT);
    ame__input_restore(&front->input);
    print_verdict(front);
    int code = ame__verdict_code(&front->verdict);
    if (!code && !front->verdict.decided && front->stuck) code = 1;
    for_each_host(front, host) if (host->pid > 0) waitpid(host->pid, NULL, 0);
    close_front(front);
    return code;
}
