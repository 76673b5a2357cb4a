/* hostd.c - the life of a host daemon.
 *
 * It is a process of its own, in a session of its own, between the front and the ranks of one host. It owns the ranks'
 * pipes, terminals and PMI sockets (task.c) and their processes, and decides nothing: what happens it reports in
 * frames, what is to be done it is told. Only one thing it does by itself: when the control channel ends, because the
 * front was killed or its host lost, it ends everything and leaves.
 *
 * On the front's host it is a fork of the front, on another one it was started through ssh or srun, whose standard input
 * and output are the channel: no port is opened, and who may talk to it has been settled by them. There it first says
 * HELLO, and silence for AME__SILENCE_MS counts as the end of the channel. What it has to do comes in PLAN frames in both
 * cases.
 *
 *     IDLE --START--> STARTING --all started--> RUNNING --all ranks ended, or END--> ENDING --grace over--> KILLING
 *                        \______________________ END _______________________________/  \______ nothing left ____\--> drained: GONE,
 * exit
 *
 * The daemon is the subreaper of its descendants, so "nothing left" is exactly waitpid() saying ECHILD; as long as it
 * does not, the KILLING state walks the tree of processes and kills, again after each death and each 50 ms (a process
 * may be born while the walk passes). What survives that for 5 s (a process stuck in the kernel) is reported as STUCK,
 * and the daemon leaves it.
 *
 * The ranks get SIGKILL from the kernel when the daemon dies; what they started is then inherited and ended by the
 * front, or on another host by the guard, the process that ssh started and whose child the daemon is.
 */
#include "hostd.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel.h"
#include "plan.h"
#include "reap.h"
#include "task.h"

#define STARTS_PER_TURN   16
#define GRACE_ALONE_MS    200 /* when the front is gone */
#define KILL_AGAIN_MS     50
#define STOPPED_LOOK_MS   500
#define KILL_PATIENCE_NS  (5 * 1000000000ll)
#define GUARD_PATIENCE_MS 8000 /* more than the daemon needs to end everything */

enum state { IDLE, STARTING, RUNNING, ENDING, KILLING };

struct hostd {
    enum state state;
    struct ame__work work;
    struct ame__bytes plan; /* what has come of it */
    struct ame__cpus *cpus;
    struct ame__inherited inherited;
    uv_loop_t loop;
    uv_signal_t on_child;
    uv_idle_t starter;
    uv_timer_t timer, beat, stopped;
    bool remote, paused; /* paused: the front said that it will be silent */
    int64_t looked_ns, beat_ns;
    struct ame__channel channel;
    struct ame__host_io io;
    struct ame__task *tasks; /* by rank of this host */
    int started, running;
    bool childless;
    int64_t killing_since;
};

static void leave(struct hostd *hostd)
{
    ame__channel_flush(&hostd->channel, hostd->remote ? AME__SILENCE_MS : -1);
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
    size_t left = ame__descendants_signal(SIGKILL, NULL, names, sizeof names);
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
    ame__descendants_signal(signal, NULL, NULL, 0);
    ame__descendants_signal(SIGCONT, NULL, NULL, 0); /* a stopped process would not see it */
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
        end_all(hostd, SIGTERM, hostd->work.grace_ms);
}

/* A rank that has ameexec's own standard input shall be the only one who has it. */
static void release_input(const struct hostd *hostd)
{
    for (int i = 0; i < hostd->work.count; i++)
        if (hostd->work.ranks[i].input == AME__INPUT_DIRECT) dup2(hostd->io.null_fd, STDIN_FILENO);
}

/* Where a stopped rank counts as failed. While the front has stopped the whole job it does not. */
static void on_stopped(uv_timer_t *timer)
{
    struct hostd *hostd = timer->data;
    for (int i = 0; i < hostd->started && !hostd->paused; i++)
        ame__task_check_stopped(&hostd->tasks[i], (int64_t) hostd->work.heartbeat_ms);
}

static void on_start(uv_idle_t *idle)
{
    struct hostd *hostd = idle->data;
    for (int i = 0; i < STARTS_PER_TURN && hostd->started < hostd->work.count; i++) {
        if (!ame__task_start(&hostd->tasks[hostd->started], &hostd->io, hostd->started)) {
            uv_idle_stop(idle); /* the front will end the job */
            return;
        }
        hostd->started++;
        hostd->running++;
    }
    if (hostd->started < hostd->work.count) return;
    uv_idle_stop(idle);
    release_input(hostd);
    hostd->state = RUNNING;
    on_child(&hostd->on_child, SIGCHLD); /* all may have ended meanwhile */
}

/* ---- the plan ------------------------------------------------------------------------------------ */

static void refuse(struct hostd *hostd, const char *text)
{
    char *payload = ame__xprintf("12345678%.4000s", text);
    ame__u64_put(payload, 1);
    ame__channel_send(&hostd->channel, AME__FRAME_REFUSED, 0, AME__FRAME_ALL, payload, 8 + strlen(payload + 8));
    free(payload);
}

/* False when a program would not run where it would run on the front's host. */
static bool enter_directory(struct hostd *hostd)
{
    const struct ame__work *work = &hostd->work;
    if (!work->directory || chdir(work->directory) == 0) return true;
    int error = errno;
    for (int i = 0; i < work->app_count; i++) {
        if (work->apps[i].directory && work->apps[i].directory[0] == '/') continue;
        char *text = ame__xprintf("working directory '%s': %s; give one that this host has with -wdir", work->directory,
                                  strerror(error));
        refuse(hostd, text);
        free(text);
        return false;
    }
    return true;
}

static void bind_ranks(struct hostd *hostd)
{
    const struct ame__work *work = &hostd->work;
    char text[512];
    if (work->bind != AME__BIND_NONE) {
        hostd->cpus = ame__xalloc((size_t) work->count * sizeof *hostd->cpus);
        ame__affinity_place((enum ame__bind) work->bind, work->units, work->count, hostd->cpus);
    }
    for (int i = 0; i < work->count && work->report_bindings; i++) {
        strcpy(text, "not bound");
        if (hostd->cpus) {
            strcpy(text, "bound to CPU ");
            ame__cpus_format(&hostd->cpus[i], text + strlen(text), sizeof text - strlen(text));
        }
        ame__channel_send(&hostd->channel, AME__FRAME_BINDING, 0, (uint32_t) work->ranks[i].rank, text, strlen(text));
    }
}

static void begin(struct hostd *hostd, uint64_t length)
{
    struct ame__work *work = &hostd->work;
    if (hostd->state != IDLE) return;
    if (length != ame__bytes_length(&hostd->plan) ||
        !ame__work_decode(work, ame__bytes_data(&hostd->plan), ame__bytes_length(&hostd->plan))) {
        refuse(hostd, "the plan cannot be understood");
        return;
    }
    ame__bytes_finish(&hostd->plan);
    if (!enter_directory(hostd)) return;
    if (hostd->remote && work->files < hostd->inherited.files.rlim_max) hostd->inherited.files.rlim_cur = work->files;
    hostd->tasks = ame__xalloc((size_t) work->count * sizeof *hostd->tasks);
    bind_ranks(hostd);
    hostd->io.work = work;
    hostd->io.cpus = hostd->cpus;
    hostd->state = STARTING;
    uv_idle_start(&hostd->starter, on_start);
    if (work->heartbeat_ms) uv_timer_start(&hostd->stopped, on_stopped, STOPPED_LOOK_MS, STOPPED_LOOK_MS);
}

static void add_to_plan(struct hostd *hostd, const struct ame__frame *frame)
{
    if (hostd->state != IDLE || ame__bytes_length(&hostd->plan) + frame->length > AME__WORK_MAX) return;
    ame__bytes_append(&hostd->plan, frame->payload, frame->length);
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
        if ((rank == AME__FRAME_ALL || rank == (uint32_t) hostd->tasks[i].rank) && !hostd->tasks[i].ended)
            kill(-hostd->tasks[i].pid, signal);
}

static void report_all(struct hostd *hostd)
{
    for (int i = 0; i < hostd->started; i++)
        if (!hostd->tasks[i].ended) ame__task_report(&hostd->tasks[i]);
    ame__channel_send(&hostd->channel, AME__FRAME_REPORTED, 0, AME__FRAME_ALL, NULL, 0);
}

static void on_frame(struct ame__channel *channel, const struct ame__frame *frame)
{
    struct hostd *hostd = channel->owner;
    int index = frame->rank == AME__FRAME_ALL ? -1 : ame__work_find(&hostd->work, frame->rank);
    struct ame__task *task = index >= 0 && index < hostd->started ? &hostd->tasks[index] : NULL;
    hostd->paused = frame->kind == AME__FRAME_PAUSE;
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
    case AME__FRAME_ASK: report_all(hostd); break;
    case AME__FRAME_PLAN: add_to_plan(hostd, frame); break;
    case AME__FRAME_START: begin(hostd, ame__u64_get(frame->payload)); break;
    case AME__FRAME_ALIVE:
    case AME__FRAME_PAUSE: break;
    case AME__FRAME_SIGNAL: signal_ranks(hostd, frame->rank, (int) ame__u64_get(frame->payload)); break;
    case AME__FRAME_WINDOW_SIZE:
        if (task) ame__task_window_size(task, ame__u64_get(frame->payload), ame__u64_get(frame->payload + 8));
        break;
    case AME__FRAME_END: end_all(hostd, (int) ame__u64_get(frame->payload), ame__u64_get(frame->payload + 8)); break;
    default: ame__log(launcher, WARN, "host daemon: unexpected frame %s", ame__frame_name(frame->kind));
    }
}

/* Each second, between hosts. Where this process itself has not run for a while (stopped, or its host suspended),
 * silence says nothing about the other side. */
static void on_beat(uv_timer_t *timer)
{
    struct hostd *hostd = timer->data;
    struct ame__channel *channel = &hostd->channel;
    int64_t now = ame__now_ns();
    if (!channel->open) return;
    if (now - hostd->looked_ns > (int64_t) AME__BEAT_MS * 1000000 || hostd->paused) channel->heard_ns = now;
    hostd->looked_ns = now;
    if (now - hostd->beat_ns >= (int64_t) AME__BEAT_MS * 1000000) {
        hostd->beat_ns = now;
        ame__channel_send(channel, AME__FRAME_ALIVE, 0, AME__FRAME_ALL, NULL, 0);
    }
    if (now - channel->heard_ns < (int64_t) AME__SILENCE_MS * 1000000) return;
    ame__channel_close(channel);
    on_closed(channel);
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

static void open_hostd(struct hostd *hostd, int in, int out)
{
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "ameexec-hostd");
    set_signals();
    hostd->channel.on_frame = on_frame;
    hostd->channel.on_closed = on_closed;
    hostd->channel.owner = hostd;
    if (uv_loop_init(&hostd->loop)) ame__no_memory();
    if (ame__channel_open(&hostd->channel, &hostd->loop, in, out)) _exit(1);
    ame__host_io_init(&hostd->io, &hostd->loop, &hostd->inherited, &hostd->channel);
    uv_signal_init(&hostd->loop, &hostd->on_child);
    uv_timer_init(&hostd->loop, &hostd->timer);
    uv_timer_init(&hostd->loop, &hostd->beat);
    uv_timer_init(&hostd->loop, &hostd->stopped);
    uv_idle_init(&hostd->loop, &hostd->starter);
    hostd->on_child.data = hostd->timer.data = hostd->beat.data = hostd->stopped.data = hostd->starter.data = hostd;
    uv_signal_start(&hostd->on_child, on_child, SIGCHLD);
}

void ame__hostd_run(const struct ame__inherited *inherited, int control)
{
    struct hostd *hostd = ame__xalloc(sizeof *hostd);
    hostd->inherited = *inherited;
    open_hostd(hostd, control, control);
    uv_run(&hostd->loop, UV_RUN_DEFAULT);
    _exit(0);
}

/* ---- on another host ----------------------------------------------------------------------------- */

/* Waits until the daemon has ended, or until it has let the end of the channel pass without ending (it is stopped). */
static void wait_for_daemon(pid_t daemon, int *status)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    struct pollfd events[] = {{.fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLRDHUP}};
    int patience_ms = events[0].fd < 0 ? KILL_AGAIN_MS : -1;
    while (waitpid(daemon, status, WNOHANG) == 0) {
        struct signalfd_siginfo info;
        if (poll(events, 2, patience_ms) == 0 && events[1].fd < 0) kill(daemon, SIGKILL);
        while (read(events[0].fd, &info, sizeof info) > 0) {
        }
        if (!(events[1].revents & (POLLHUP | POLLRDHUP | POLLERR))) continue;
        events[1].fd = -1;
        patience_ms = GUARD_PATIENCE_MS;
    }
}

/* The parent of the daemon: ends what it leaves behind when it is killed. */
static void guard(pid_t daemon) __attribute__((noreturn));
static void guard(pid_t daemon)
{
    int status = 0, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    set_signals();
    dup2(null, STDOUT_FILENO);
    wait_for_daemon(daemon, &status);
    int64_t end = ame__now_ns() + KILL_PATIENCE_NS;
    while (ame__descendants_signal(SIGKILL, NULL, NULL, 0) && ame__now_ns() < end) {
        poll(NULL, 0, 5);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* The address of this host that is used towards `peer`. */
static void own_address(const char *peer, char *text, size_t size)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getaddrinfo(peer, "9", &hints, &found)) return;
    int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, found->ai_addr, found->ai_addrlen) && /* sends nothing */
        !getsockname(fd, (struct sockaddr *) &address, &length))
        getnameinfo((struct sockaddr *) &address, length, text, (socklen_t) size, NULL, 0, NI_NUMERICHOST);
    if (fd >= 0) close(fd);
    freeaddrinfo(found);
}

/* The words of HELLO that dlp_mpi's own back end needs; see proto.h. sshd and Slurm say from where we were called. */
static void say_hello(int out)
{
    char peer[64] = "-", own[64] = "-", text[AME__HELLO_MAX];
    const char *connection = getenv("SSH_CONNECTION"), *node = getenv("SLURM_LAUNCH_NODE_IPADDR");
    if (connection ? sscanf(connection, "%63s", peer) == 1 : node && sscanf(node, "%63s", peer) == 1)
        own_address(peer, own, sizeof own);
    int length = snprintf(text, sizeof text, "%s%d %.64s %s %s %d\n", AME__HELLO, AME__PROTOCOL, AME__VERSION, own,
                          peer, ame__plan_free_port());
    if (write(out, text, (size_t) length) != length) _exit(1);
}

void ame__hostd_serve(const struct ame__inherited *inherited)
{
    sigset_t child, old;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigprocmask(SIG_BLOCK, &child, &old); /* the guard reads it */
    pid_t daemon = fork();
    if (daemon < 0) _exit(1);
    if (daemon > 0) guard(daemon);
    sigprocmask(SIG_SETMASK, &old, NULL);
    int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (in < 0 || out < 0 || null < 0) _exit(1);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
    say_hello(out);
    fcntl(in, F_SETFL, O_NONBLOCK);
    fcntl(out, F_SETFL, O_NONBLOCK);
    struct hostd *hostd = ame__xalloc(sizeof *hostd);
    hostd->inherited = *inherited;
    hostd->remote = true;
    open_hostd(hostd, in, out);
    hostd->looked_ns = hostd->beat_ns = ame__now_ns();
    uv_timer_start(&hostd->beat, on_beat, AME__LOOK_MS, AME__LOOK_MS);
    uv_run(&hostd->loop, UV_RUN_DEFAULT);
    _exit(0);
}
