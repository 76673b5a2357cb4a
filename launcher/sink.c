/* sink.c - writing without ever blocking the loop.
 *
 * ameexec's standard output is shared with the shell and others, so O_NONBLOCK must not be set on it. Pipes and
 * terminals are opened a second time through /proc/self/fd, which gives a description of our own that may be
 * non-blocking; sockets have MSG_DONTWAIT; regular files do not block for long. What cannot be opened again (a terminal
 * of another user) is asked with poll() and then written in pieces that a pipe takes whole.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_WRITE 4096

static void init(struct ame__sink *sink, uv_loop_t *loop, int fd)
{
    memset(sink, 0, sizeof *sink);
    sink->fd = fd;
    sink->loop = loop;
    sink->last = '\n';
    sink->rank = -1;
}

void ame__sink_open_fd(struct ame__sink *sink, uv_loop_t *loop, int fd)
{
    struct stat info;
    char path[40];
    init(sink, loop, fd);
    if (fstat(fd, &info)) return;
    sink->is_socket = S_ISSOCK(info.st_mode);
    sink->is_terminal = S_ISCHR(info.st_mode) && isatty(fd);
    if (!S_ISFIFO(info.st_mode) && !sink->is_terminal) return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    sink->wait_first = again < 0;
    sink->own_fd = again >= 0;
    if (again >= 0) sink->fd = again;
}

bool ame__sink_open_file(struct ame__sink *sink, uv_loop_t *loop, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    init(sink, loop, fd);
    sink->own_fd = true;
    sink->path = ame__xstrdup(path);
    return true;
}

void ame__sink_put(struct ame__sink *sink, const char *data, size_t length)
{
    if (sink->failed || !length) return;
    ame__bytes_append(&sink->queue, data, length);
    sink->last = data[length - 1];
}

static ssize_t write_some(struct ame__sink *sink)
{
    const char *data = ame__bytes_data(&sink->queue);
    size_t length = ame__bytes_length(&sink->queue);
    if (sink->is_socket) return send(sink->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sink->wait_first) {
        struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
        if (poll(&ready, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        if (length > SMALL_WRITE) length = SMALL_WRITE;
    }
    return write(sink->fd, data, length);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct ame__sink *sink = poll->data;
    (void) status, (void) events;
    uv_poll_stop(poll);
    ame__sink_flush(sink);
    if (sink->on_progress) sink->on_progress(sink);
}

void ame__sink_discard(struct ame__sink *sink)
{
    sink->failed = true;
    ame__bytes_finish(&sink->queue);
    if (sink->watched) uv_poll_stop(&sink->poll);
}

static void fail(struct ame__sink *sink, int error)
{
    ame__sink_discard(sink);
    if (sink->on_failure) sink->on_failure(sink, error);
}

void ame__sink_flush(struct ame__sink *sink)
{
    while (ame__bytes_length(&sink->queue)) {
        ssize_t done = write_some(sink);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && errno != EAGAIN) {
            fail(sink, errno);
            return;
        }
        if (done < 0) break;
        ame__bytes_consume(&sink->queue, (size_t) done);
    }
    if (!ame__bytes_length(&sink->queue)) return;
    if (!sink->watched && uv_poll_init(sink->loop, &sink->poll, sink->fd)) {
        fail(sink, EIO);
        return;
    }
    sink->watched = true;
    sink->poll.data = sink;
    uv_poll_start(&sink->poll, UV_WRITABLE, on_writable);
}

void ame__sink_close(struct ame__sink *sink)
{
    if (sink->watched) uv_close((uv_handle_t *) &sink->poll, NULL);
    if (sink->own_fd) close(sink->fd);
    free(sink->path);
    sink->path = NULL;
    ame__bytes_finish(&sink->queue);
}
