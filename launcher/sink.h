/* sink.h - one descriptor that output goes to, with a queue in front of it. */
#ifndef AME_LAUNCHER_SINK_H
#define AME_LAUNCHER_SINK_H

#include <uv.h>

#include "bytes.h"

struct ame__sink {
    int fd;
    bool own_fd, is_socket, is_terminal;
    bool wait_first; /* blocking, so ask before each small write */
    bool watched, failed;
    uv_poll_t poll;
    uv_loop_t *loop;
    struct ame__bytes queue;
    char last;  /* byte queued */
    char *path; /* of a file, else NULL */
    int rank;   /* whose file, or -1 */
    void *line; /* the stream in the middle of whose line the sink is; used by output.c */
    void (*on_failure)(struct ame__sink *sink, int error);
    void (*on_progress)(struct ame__sink *sink);
    void *owner;
};

/* For one of ameexec's own descriptors. */
void ame__sink_open_fd(struct ame__sink *sink, uv_loop_t *loop, int fd);
/* False with errno when the file cannot be created. */
bool ame__sink_open_file(struct ame__sink *sink, uv_loop_t *loop, const char *path);
void ame__sink_put(struct ame__sink *sink, const char *data, size_t length);
void ame__sink_flush(struct ame__sink *sink);
void ame__sink_discard(struct ame__sink *sink);
void ame__sink_close(struct ame__sink *sink);

#endif
