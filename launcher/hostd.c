/* hostd.c - the life of a host daemon.
 *
 * It is a process of its own, in a session of its own, between the front and the ranks of one host. It owns the ranks'
 * pipes, terminals and PMI sockets (task.c) and their processes, and decides nothing: what happens it reports in
 * frames, what is to be done it is told. Only one thing it does by itself: when the control channel ends, because the
 * front was killed or its host lost, it ends everything and leaves.
 *
 *     STARTING --all started--> RUNNING --all ranks ended, or END--> ENDING --grace over--> KILLING
 *         \______________________ END _______________________________/  \______ nothing left ____\--> drained: GONE,
 * exit
 *
 * The daemon is the subreaper of its descendants, so "nothing left" is exactly waitpid() saying ECHILD; as long as it
 * does not, the KILLING state walks the tree of processes and kills, again after each death and each 50 ms (a process
 * may be born while the walk passes). What survives that for 5 s (a process stuck in the kernel) is reported as STUCK,
 * and the daemon leaves it.
 *
 * The ranks get SIGKILL from the kernel when the daemon dies; what they started is then inherited and ended by the
 * front.
 */
#include "hostd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel.h"
#include "reap.h"
#include "task.h"

#define STARTS_PER_TURN  16
#define GRACE_ALONE_MS   200 /* when the front is gone */
#define KILL_AGAIN_MS    50
#define KILL_PATIENCE_NS (5 * 1000000000ll)

enum state { STARTING, RUNNING, ENDING, KILLING };

struct hostd {
    enum state state;
    const struct ame__plan *plan;
    uv_loop_t loop;
    uv_signal_t on_child;
    uv_idle_t starter;
    uv_timer_t timer;
    struct ame__channel channel;
    struct ame__host_io io;
    struct ame__task *tasks; /* by rank */
    int started, running;
    bool childless;
    int64_t killing_since;
};

static void leave(struct hostd *hostd)
{
    ame__channel_flush(&hostd->channel);
    _exit(0);
}

/* Once nothing runs any more: reads what is left in the pipes, as far as the front takes it, then says goodbye. */
static void try_leave(struct hostd *hostd)
{
    if (!hostd->childless) return;
    for (int rank = 0; rank < hostd->started; rank++)
        if (!ame__task_drain(&hostd->tasks[rank])) return;
    ame__channel_send(&hostd->channel, AME__FRAME_GONE, 0, AME__FRAME_ALL, NULL, 0);
    leave(hostd);
}

static void on_timer(uv_timer_t *timer);

static void kill_all(struct hostd *hostd)
{
    char names[2048];
    if (hostd->state != KILLING) hostd->killing_since = ame__now_ns();
    hostd->state = KILLING;
    size_t left = ame__descendants_signal(SIGKILL, names, sizeof names);
    if (left && ame__now_ns() - hostd->killing_since > KILL_PATIENCE_NS) {
        ame__channel_send(&hostd->channel, AME__FRAME_STUCK, 0, AME__FRAME_ALL, names, strlen(names));
        ame__channel_send(&hostd->channel, AME__FRAME_GONE, 0, AME__FRAME_ALL, NULL, 0);
        leave(hostd);
    }
    uv_timer_start(&hostd->timer, on_timer, KILL_AGAIN_MS, 0);
}

static void end_all(struct hostd *hostd, int signal, uint64_t grace_ms)
{
    ame__log(launcher, DEBUG, "host daemon: ending all with signal %d, %d ms until KILL", signal, (int) grace_ms);
    if (hostd->state == STARTING) uv_idle_stop(&hostd->starter);
    if (hostd->state == KILLING) return;
    if (!hostd->running && waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD) hostd->childless = true;
    if (hostd->childless) {
        hostd->state = KILLING;
        try_leave(hostd);
        return;
    }
    if (signal == SIGKILL || !grace_ms) {
        kill_all(hostd);
        return;
    }
    hostd->state = ENDING;
    ame__descendants_signal(signal, NULL, 0);
    ame__descendants_signal(SIGCONT, NULL, 0); /* a stopped process would not see it */
    uv_timer_start(&hostd->timer, on_timer, grace_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    kill_all(timer->data);
}

/* ---- processes ----------------------------------------------------------------------------------- */

static struct ame__task *find_task(struct hostd *hostd, pid_t pid)
{
    for (int rank = 0; rank < hostd->started; rank++)
        if (hostd->tasks[rank].pid == pid) return &hostd->tasks[rank];
    return NULL;
}

/* Of ranks found dead at the same time, those killed by a signal are reported first: they are more likely the cause of
 * the others' end than the other way round. */
static void reap(struct hostd *hostd)
{
    struct {
        struct ame__task *task;
        int status;
    } dead[64];
    for (;;) {
        int count = 0, status = 0;
        pid_t pid = 1;
        while (count < 64 && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
            dead[count].task = find_task(hostd, pid);
            dead[count].status = status;
            if (dead[count].task) count++;
        }
        if (pid < 0 && errno == ECHILD && hostd->state != STARTING) hostd->childless = true;
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < count; i++)
                if (WIFSIGNALED(dead[i].status) == !pass) {
                    ame__task_ended(dead[i].task, dead[i].status);
                    hostd->running--;
                }
        if (pid <= 0) return;
    }
}

static void on_child(uv_signal_t *handle, int number)
{
    struct hostd *hostd = handle->data;
    (void) number;
    reap(hostd);
    if (hostd->childless)
        try_leave(hostd);
    else if (hostd->state == KILLING)
        kill_all(hostd);
    else if (hostd->state == RUNNING && !hostd->running)
        end_all(hostd, SIGTERM, (uint64_t) (hostd->plan->options->grace * 1000));
}

static void on_start(uv_idle_t *idle)
{
    struct hostd *hostd = idle->data;
    for (int i = 0; i < STARTS_PER_TURN && hostd->started < hostd->plan->size; i++) {
        if (!ame__task_start(&hostd->tasks[hostd->started], &hostd->io, hostd->started)) {
            uv_idle_stop(idle); /* the front will end the job */
            return;
        }
        hostd->started++;
        hostd->running++;
    }
    if (hostd->started < hostd->plan->size) return;
    uv_idle_stop(idle);
    ame__plan_release_input(hostd->plan);
    hostd->state = RUNNING;
    on_child(&hostd->on_child, SIGCHLD); /* all may have ended meanwhile */
}

/* ---- the front ----------------------------------------------------------------------------------- */

static void on_closed(struct ame__channel *channel)
{
    struct hostd *hostd = channel->owner;
    ame__log(launcher, WARN, "host daemon: ameexec is gone, ending all ranks");
    hostd->io.credit = INT64_MAX / 2; /* nobody reads: everything is thrown away */
    end_all(hostd, SIGTERM, GRACE_ALONE_MS);
}

static void signal_ranks(struct hostd *hostd, uint32_t rank, int signal)
{
    for (int i = 0; i < hostd->started; i++)
        if ((rank == AME__FRAME_ALL || rank == (uint32_t) i) && !hostd->tasks[i].ended)
            kill(-hostd->tasks[i].pid, signal);
}

static void on_frame(struct ame__channel *channel, const struct ame__frame *frame)
{
    struct hostd *hostd = channel->owner;
    struct ame__task *task = frame->rank < (uint32_t) hostd->started ? &hostd->tasks[frame->rank] : NULL;
    switch (frame->kind) {
    case AME__FRAME_PMI_REPLY:
        for (int i = 0; frame->rank == AME__FRAME_ALL && i < hostd->started; i++)
            if (hostd->tasks[i].pmi_waiting) ame__task_pmi_reply(&hostd->tasks[i], frame->payload, frame->length);
        if (task) ame__task_pmi_reply(task, frame->payload, frame->length);
        break;
    case AME__FRAME_PMI_CLOSE:
        if (task) ame__task_pmi_close(task);
        break;
    case AME__FRAME_INPUT:
        if (task) ame__task_input(task, frame->payload, frame->length);
        break;
    case AME__FRAME_INPUT_END:
        if (task) ame__task_input_end(task);
        break;
    case AME__FRAME_CREDIT:
        ame__host_io_credit(&hostd->io, ame__u64_get(frame->payload), hostd->tasks, hostd->started);
        try_leave(hostd);
        break;
    case AME__FRAME_SIGNAL: signal_ranks(hostd, frame->rank, (int) ame__u64_get(frame->payload)); break;
    case AME__FRAME_WINDOW_SIZE:
        if (task) ame__task_window_size(task, ame__u64_get(frame->payload), ame__u64_get(frame->payload + 8));
        break;
    case AME__FRAME_END: end_all(hostd, (int) ame__u64_get(frame->payload), ame__u64_get(frame->payload + 8)); break;
    default: ame__log(launcher, WARN, "host daemon: unexpected frame %s", ame__frame_name(frame->kind));
    }
}

static void do_nothing(int number)
{
    (void) number;
}

/* Signals are the front's business; `killall ameexec` reaches the daemon as well. A handler, because ranks would
 * inherit an ignored signal; but what was ignored from the start stays so. */
static void set_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        sigaction(numbers[i], NULL, &action);
        if (action.sa_handler == SIG_IGN) continue;
        action = (struct sigaction){.sa_handler = do_nothing, .sa_flags = SA_RESTART};
        sigaction(numbers[i], &action, NULL);
    }
}

void ame__hostd_run(const struct ame__plan *plan, const struct ame__inherited *inherited, int control)
{
    struct hostd *hostd = ame__xalloc(sizeof *hostd);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "ameexec-hostd");
    set_signals();
    hostd->plan = plan;
    hostd->tasks = ame__xalloc((size_t) plan->size * sizeof *hostd->tasks);
    hostd->channel.on_frame = on_frame;
    hostd->channel.on_closed = on_closed;
    hostd->channel.owner = hostd;
    uv_loop_init(&hostd->loop);
    if (ame__channel_open(&hostd->channel, &hostd->loop, control)) _exit(1);
    ame__host_io_init(&hostd->io, &hostd->loop, plan, inherited, &hostd->channel);
    uv_signal_init(&hostd->loop, &hostd->on_child);
    uv_timer_init(&hostd->loop, &hostd->timer);
    uv_idle_init(&hostd->loop, &hostd->starter);
    hostd->on_child.data = hostd->timer.data = hostd->starter.data = hostd;
    uv_signal_start(&hostd->on_child, on_child, SIGCHLD);
    uv_idle_start(&hostd->starter, on_start);
    uv_run(&hostd->loop, UV_RUN_DEFAULT);
    _exit(0);
}
