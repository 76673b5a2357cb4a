/* task.c - the descriptors of one rank.
 *
 * Output: what the rank writes is read in pieces and sent on at once; lines are made by the front. PMI: one request at
 * a time goes to the front, and the next is read from the socket only when its reply has been written, so that a rank
 * that floods its socket fills nobody's memory. Input: at most the window of proto.h is held here; a reply INPUT_TAKEN
 * opens the window again.
 */
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "environ.h"
#include "plan.h"
#include "report.h"

#define LAST_REQUESTS_MAX 64

static void on_stream(uv_poll_t *poll, int status, int events);

/* ---- streams ------------------------------------------------------------------------------------- */

static void stream_watch(struct ame__stream *stream, int events)
{
    if (stream->fd < 0 || events == stream->events) return;
    stream->events = events;
    if (events)
        uv_poll_start(&stream->poll, events, on_stream);
    else
        uv_poll_stop(&stream->poll);
}

static void stream_open(struct ame__task *task, struct ame__stream *stream, int fd, int events)
{
    stream->fd = fd;
    stream->events = 0;
    uv_poll_init(task->io->loop, &stream->poll, fd);
    stream->poll.data = task;
    stream_watch(stream, events);
}

static void stream_close(struct ame__stream *stream)
{
    if (stream->fd < 0) return;
    uv_close((uv_handle_t *) &stream->poll, NULL);
    close(stream->fd);
    stream->fd = -1;
}

/* ---- output -------------------------------------------------------------------------------------- */

enum progress { MORE, NOTHING_NOW, NO_CREDIT };

static enum progress read_output(struct ame__task *task, struct ame__stream *stream)
{
    char data[AME__FRAME_PAYLOAD_MAX];
    struct ame__host_io *io = task->io;
    if (stream->fd < 0) return NOTHING_NOW;
    if (io->credit <= 0) return NO_CREDIT;
    size_t room = io->credit < (int64_t) sizeof data ? (size_t) io->credit : sizeof data;
    ssize_t got = read(stream->fd, data, room);
    if (got < 0 && errno == EINTR) return MORE;
    if (got < 0 && errno == EAGAIN) return NOTHING_NOW;
    if (got <= 0) { /* EOF; a terminal says EIO */
        stream_close(stream);
        return NOTHING_NOW;
    }
    io->credit -= got;
    ame__channel_send(io->channel, AME__FRAME_OUTPUT, stream == &task->err ? 2 : 1, (uint32_t) task->rank, data,
                      (size_t) got);
    return MORE;
}

static void on_output(struct ame__task *task, struct ame__stream *stream)
{
    if (read_output(task, stream) != NO_CREDIT) return;
    task->io->paused = true;
    stream_watch(stream, 0);
}

bool ame__task_drain(struct ame__task *task)
{
    struct ame__stream *streams[] = {&task->out, &task->err};
    for (int i = 0; i < 2; i++) {
        enum progress progress;
        do progress = read_output(task, streams[i]);
        while (progress == MORE);
        if (progress == NO_CREDIT) return false;
    }
    return true;
}

void ame__host_io_init(struct ame__host_io *io, uv_loop_t *loop, const struct ame__inherited *inherited,
                       struct ame__channel *channel)
{
    io->loop = loop;
    io->inherited = inherited;
    io->channel = channel;
    io->credit = AME__OUTPUT_WINDOW;
    io->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
}

void ame__host_io_credit(struct ame__host_io *io, uint64_t bytes, struct ame__task *tasks, int count)
{
    if (bytes > AME__OUTPUT_WINDOW) bytes = AME__OUTPUT_WINDOW;
    io->credit += (int64_t) bytes;
    if (!io->paused || io->credit < AME__OUTPUT_WINDOW / 4) return;
    io->paused = false;
    for (int i = 0; i < count; i++) {
        stream_watch(&tasks[i].out, UV_READABLE);
        stream_watch(&tasks[i].err, UV_READABLE);
    }
}

/* ---- PMI ----------------------------------------------------------------------------------------- */

static void pmi_break(struct ame__task *task)
{
    ame__log(launcher, DEBUG, "rank %d: what it sent is no PMI request", task->rank);
    ame__channel_send(task->io->channel, AME__FRAME_PMI_BROKEN, 0, (uint32_t) task->rank, NULL, 0);
    stream_close(&task->pmi);
}

/* Sends the first complete request that was read to the front; false when there is none. */
static bool pmi_forward(struct ame__task *task)
{
    const char *data = ame__bytes_data(&task->pmi_request);
    size_t length = ame__bytes_length(&task->pmi_request);
    const char *end = length ? memchr(data, '\n', length) : NULL;
    size_t line = end ? (size_t) (end - data) : length;
    if (line > AME__PMI_LINE_MAX || (line && memchr(data, '\0', line))) {
        pmi_break(task);
        return false;
    }
    if (!end) return false;
    ame__channel_send(task->io->channel, AME__FRAME_PMI_LINE, 0, (uint32_t) task->rank, data, line);
    ame__bytes_consume(&task->pmi_request, line + 1);
    task->pmi_waiting = true;
    return true;
}

static bool pmi_read(struct ame__task *task)
{
    char *place = ame__bytes_reserve(&task->pmi_request, AME__PMI_LINE_MAX + 1);
    ssize_t got = recv(task->pmi.fd, place, AME__PMI_LINE_MAX + 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
        stream_close(&task->pmi);
        return false;
    }
    task->pmi_request.end += (size_t) got;
    return true;
}

static void pmi_progress(struct ame__task *task)
{
    if (task->pmi.fd < 0) return;
    while (ame__bytes_length(&task->pmi_reply)) {
        ssize_t done = send(task->pmi.fd, ame__bytes_data(&task->pmi_reply), ame__bytes_length(&task->pmi_reply),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0 && errno == EAGAIN) {
            stream_watch(&task->pmi, UV_WRITABLE);
            return;
        }
        if (done < 0) {
            stream_close(&task->pmi);
            return;
        }
        ame__bytes_consume(&task->pmi_reply, (size_t) done);
    }
    while (!task->pmi_waiting && task->pmi.fd >= 0)
        if (!pmi_forward(task) && (task->pmi.fd < 0 || !pmi_read(task))) break;
    stream_watch(&task->pmi, task->pmi_waiting ? 0 : UV_READABLE);
}

void ame__task_pmi_reply(struct ame__task *task, const char *text, size_t length)
{
    if (!task->pmi_waiting) return;
    task->pmi_waiting = false;
    ame__bytes_append(&task->pmi_reply, text, length);
    pmi_progress(task);
}

void ame__task_pmi_close(struct ame__task *task)
{
    stream_close(&task->pmi);
}

/* ---- input --------------------------------------------------------------------------------------- */

static void input_close(struct ame__task *task)
{
    if (task->in.fd < 0) return;
    stream_close(&task->in);
    ame__bytes_finish(&task->input);
    ame__channel_send(task->io->channel, AME__FRAME_INPUT_CLOSED, 0, (uint32_t) task->rank, NULL, 0);
}

static void input_progress(struct ame__task *task)
{
    size_t taken = 0;
    while (task->in.fd >= 0 && ame__bytes_length(&task->input)) {
        ssize_t done = write(task->in.fd, ame__bytes_data(&task->input), ame__bytes_length(&task->input));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && errno == EAGAIN) break;
        if (done < 0) {
            input_close(task);
            return;
        }
        taken += (size_t) done;
        ame__bytes_consume(&task->input, (size_t) done);
    }
    if (taken) ame__channel_send_number(task->io->channel, AME__FRAME_INPUT_TAKEN, (uint32_t) task->rank, taken);
    if (task->in.fd < 0) return;
    bool left = ame__bytes_length(&task->input) != 0;
    if (!left && task->input_ended)
        stream_close(&task->in);
    else
        stream_watch(&task->in, left ? UV_WRITABLE : 0);
}

void ame__task_input(struct ame__task *task, const char *data, size_t length)
{
    if (task->in.fd < 0 || task->input_ended) return;
    if (ame__bytes_length(&task->input) + length > AME__INPUT_WINDOW) {
        ame__log(launcher, WARN, "rank %d: more input than the window allows", task->rank);
        return;
    }
    ame__bytes_append(&task->input, data, length);
    input_progress(task);
}

void ame__task_input_end(struct ame__task *task)
{
    if (task->in.fd < 0 || task->input_ended) return;
    if (task->pty) ame__bytes_append(&task->input, "\004", 1); /* end of file, as typed */
    task->input_ended = !task->pty;
    input_progress(task);
}

void ame__task_window_size(struct ame__task *task, uint64_t rows, uint64_t columns)
{
    struct winsize size = {.ws_row = (unsigned short) rows, .ws_col = (unsigned short) columns};
    if (task->pty && task->out.fd >= 0) ioctl(task->out.fd, TIOCSWINSZ, &size);
}

/* ---- start and end ------------------------------------------------------------------------------- */

static void on_stream(uv_poll_t *poll, int status, int events)
{
    struct ame__task *task = poll->data;
    (void) status, (void) events;
    if (poll == &task->out.poll)
        on_output(task, &task->out);
    else if (poll == &task->err.poll)
        on_output(task, &task->err);
    else if (poll == &task->pmi.poll)
        pmi_progress(task);
    else
        input_progress(task);
}

/* The descriptors of a rank while it is being started: ours and those that it gets. */
struct ends {
    int ours[4], theirs[4]; /* 0, 1, 2 and the PMI socket; -1: none of our own to close */
};

static bool open_pty(struct ends *ends, const char **step)
{
    int master, slave;
    *step = "openpty";
    if (openpty(&master, &slave, NULL, NULL, NULL)) return false;
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    fcntl(master, F_SETFL, O_NONBLOCK);
    ends->ours[1] = master;
    ends->theirs[0] = slave;
    ends->ours[0] = fcntl(master, F_DUPFD_CLOEXEC, 0);
    return ends->ours[0] >= 0;
}

static bool open_pair(int *ours, int *theirs, bool to_rank)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC)) return false;
    *ours = pair[to_rank];
    *theirs = pair[!to_rank];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool open_ends(const struct ame__work_rank *place, struct ends *ends, const char **step)
{
    int pair[2];
    memset(ends, -1, sizeof *ends);
    *step = "socketpair";
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return false;
    ends->ours[3] = pair[0];
    ends->theirs[3] = pair[1];
    if (place->pty) return open_pty(ends, step);
    *step = "pipe";
    if (place->input == AME__INPUT_PIPE && !open_pair(&ends->ours[0], &ends->theirs[0], true)) return false;
    if (place->direct_output) return true;
    return open_pair(&ends->ours[1], &ends->theirs[1], false) && open_pair(&ends->ours[2], &ends->theirs[2], false);
}

static void close_all(const int fds[4])
{
    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* The program as this host has it: where the front's path leads nowhere, the name is looked up here. */
static char *find_program(const struct ame__work_app *app, char **env)
{
    char *found;
    bool name_only = !strchr(app->argv[0], '/');
    if (!name_only || access(app->program, X_OK) == 0 ||
        ame__plan_search(ame__environ_get(env, "PATH"), app->argv[0], &found))
        return ame__xstrdup(app->program);
    return found;
}

static pid_t spawn(struct ame__task *task, int index, const struct ends *ends, const char **step)
{
    int state_fd;
    const struct ame__host_io *io = task->io;
    const struct ame__work_rank *place = &io->work->ranks[index];
    const struct ame__work_app *app = &io->work->apps[place->app];
    const struct ame__cpus *cpus = io->cpus ? &io->cpus[index] : NULL;
    char **env = ame__environ_rank(io->work, index, cpus);
    char *program = find_program(app, env);
    int in = ends->theirs[0] >= 0 ? ends->theirs[0] : place->input == AME__INPUT_DIRECT ? 0 : io->null_fd;
    task->state = ame__state_create(task->rank, &state_fd);
    struct ame__spawn spawn = {
        .program = program,
        .argv = app->argv,
        .env = env,
        .directory = app->directory,
        .cpus = cpus,
        .fds = {in,
                place->pty             ? in
                : place->direct_output ? 1
                                       : ends->theirs[1],
                place->pty             ? in
                : place->direct_output ? 2
                                       : ends->theirs[2]},
        .pmi_fd = ends->theirs[3],
        .state_fd = state_fd,
        .pty = place->pty,
        .inherited = io->inherited,
    };
    pid_t pid = ame__spawn(&spawn, step);
    int error = errno;
    if (state_fd >= 0) close(state_fd);
    free(program);
    ame__environ_free(env);
    errno = error;
    return pid;
}

static uint64_t exit_code_of(int error, const char *step)
{
    if (strcmp(step, "execve") != 0) return 1;
    if (error == ENOENT || error == ENOTDIR) return 127;
    return error == EMFILE || error == EAGAIN || error == ENOMEM ? 1 : 126;
}

static bool refuse(struct ame__task *task, int index, int error, const char *step)
{
    const struct ame__work_app *app = &task->io->work->apps[task->io->work->ranks[index].app];
    char payload[1024];
    int length;
    ame__u64_put(payload, exit_code_of(error, step));
    if (!strcmp(step, "chdir"))
        length =
            snprintf(payload + 8, sizeof payload - 8, "working directory '%s': %s", app->directory, strerror(error));
    else
        length = snprintf(payload + 8, sizeof payload - 8, "%s: %s: %s", app->program, step, strerror(error));
    if (error == EMFILE && length > 0 && length < 512)
        length += snprintf(payload + 8 + length, sizeof payload - 8 - (size_t) length,
                           "; a rank needs 3 open files, raise the limit (ulimit -n, now %llu)",
                           (unsigned long long) task->io->inherited->files.rlim_max);
    if (length > (int) sizeof payload - 9) length = (int) sizeof payload - 9;
    ame__channel_send(task->io->channel, AME__FRAME_START_FAILED, 0, (uint32_t) task->rank, payload,
                      8 + (size_t) length);
    return false;
}

bool ame__task_start(struct ame__task *task, struct ame__host_io *io, int index)
{
    struct ends ends;
    const char *step = "";
    const struct ame__work_rank *place = &io->work->ranks[index];
    task->io = io;
    task->rank = place->rank;
    task->pty = place->pty;
    task->out.fd = task->err.fd = task->pmi.fd = task->in.fd = -1;
    task->pid = open_ends(place, &ends, &step) ? spawn(task, index, &ends, &step) : -1;
    int error = errno;
    close_all(ends.theirs);
    if (task->pid < 0) {
        close_all(ends.ours);
        return refuse(task, index, error, step);
    }
    ame__channel_send_number(io->channel, AME__FRAME_STARTED, (uint32_t) task->rank, (uint64_t) task->pid);
    int events = io->paused ? 0 : UV_READABLE;
    if (ends.ours[0] >= 0) stream_open(task, &task->in, ends.ours[0], 0);
    if (ends.ours[1] >= 0) stream_open(task, &task->out, ends.ours[1], events);
    if (ends.ours[2] >= 0) stream_open(task, &task->err, ends.ours[2], events);
    stream_open(task, &task->pmi, ends.ours[3], UV_READABLE);
    return true;
}

/* The state as in /proc/PID/stat, behind the name in parentheses. */
static char process_state(pid_t pid)
{
    char path[40], text[512], *end;
    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (got <= 0) return 0;
    text[got] = '\0';
    end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : 0;
}

void ame__task_report(const struct ame__task *task)
{
    char payload[AME__SEEN_SIZE];
    struct ame__seen seen = {.since_ms = -1, .heard_ms = -1};
    int64_t now = ame__now_ns();
    seen.process = task->ended ? 0 : process_state(task->pid);
    seen.told = ame__state_read(task->state, &seen.report) && seen.report.doing != AME__DOING_NOTHING;
    if (!seen.told) memset(&seen.report, 0, sizeof seen.report);
    if (seen.told && seen.report.since_ns) seen.since_ms = (now - seen.report.since_ns) / 1000000;
    if (seen.told && seen.report.heard_ns) seen.heard_ms = (now - seen.report.heard_ns) / 1000000;
    ame__seen_encode(&seen, payload);
    ame__channel_send(task->io->channel, AME__FRAME_REPORT, 0, (uint32_t) task->rank, payload, sizeof payload);
}

void ame__task_check_stopped(struct ame__task *task, int64_t limit_ms)
{
    int64_t now = ame__now_ns();
    if (task->ended || process_state(task->pid) != 'T') { /* 't': by a debugger */
        task->stopped_ns = 0;
    } else if (!task->stopped_ns) {
        task->stopped_ns = now;
    } else if (now - task->stopped_ns >= limit_ms * 1000000) {
        ame__channel_send_number(task->io->channel, AME__FRAME_STOPPED, (uint32_t) task->rank,
                                 (uint64_t) ((now - task->stopped_ns) / 1000000));
        kill(-task->pid, SIGKILL);
    }
}

void ame__task_ended(struct ame__task *task, int status)
{
    task->ended = true;
    if (WIFSIGNALED(status)) ame__task_report(task);
    ame__state_destroy(task->state);
    task->state = NULL;
    for (int i = 0; i < LAST_REQUESTS_MAX && task->pmi.fd >= 0; i++)
        if (!pmi_forward(task) && (task->pmi.fd < 0 || !pmi_read(task))) break;
    stream_close(&task->pmi);
    stream_close(&task->in);
    ame__task_drain(task);
    ame__channel_send_number(task->io->channel, AME__FRAME_EXITED, (uint32_t) task->rank, (uint64_t) (unsigned) status);
}
