/* task.h - one rank as its host daemon sees it: a process, its pipes or terminal, its PMI socket. */
#ifndef AME_LAUNCHER_TASK_H
#define AME_LAUNCHER_TASK_H

#include <stdint.h>
#include <uv.h>

#include "bytes.h"
#include "channel.h"
#include "spawn.h"
#include "work.h"

/* What all ranks of a host share. `credit` is the number of bytes of output that may still be sent to the front; at 0
 * the ranks' pipes are left alone until the front gives more, so that a blocked terminal stops the ranks and nothing is
 * lost. */
struct ame__host_io {
    uv_loop_t *loop;
    const struct ame__work *work;
    const struct ame__cpus *cpus; /* by rank of this host; NULL: not bound */
    const struct ame__inherited *inherited;
    struct ame__channel *channel;
    int64_t credit;
    bool paused;
    int null_fd;
};

struct ame__stream {
    int fd; /* -1: closed */
    int events;
    uv_poll_t poll;
};

struct ame__task {
    struct ame__host_io *io;
    int rank; /* in the job */
    pid_t pid;
    bool ended, pty;
    struct ame__stream out, err, pmi, in;
    struct ame__bytes pmi_request, pmi_reply, input;
    bool pmi_waiting; /* a request is with the front */
    bool input_ended;
    struct ame__state *state; /* what the rank tells of itself; NULL: no page */
    int64_t stopped_ns;       /* since when it has been seen stopped; 0: it is not */
};

void ame__host_io_init(struct ame__host_io *io, uv_loop_t *loop, const struct ame__inherited *inherited,
                       struct ame__channel *channel);
void ame__host_io_credit(struct ame__host_io *io, uint64_t bytes, struct ame__task *tasks, int count);

/* Starts the `index`th rank of this host and tells the front STARTED or START_FAILED (then false). */
bool ame__task_start(struct ame__task *task, struct ame__host_io *io, int index);
/* The process has been waited for. Hands its last PMI requests on, then EXITED. */
void ame__task_ended(struct ame__task *task, int status);
/* Reads what the rank has written until there is no more now; false when credit ran out before. */
bool ame__task_drain(struct ame__task *task);
/* Tells the front what the rank is doing. */
void ame__task_report(const struct ame__task *task);
/* Kills the rank if it has been stopped for `limit_ms`. */
void ame__task_check_stopped(struct ame__task *task, int64_t limit_ms);
void ame__task_pmi_reply(struct ame__task *task, const char *text, size_t length);
void ame__task_pmi_close(struct ame__task *task);
void ame__task_input(struct ame__task *task, const char *data, size_t length);
void ame__task_input_end(struct ame__task *task);
void ame__task_window_size(struct ame__task *task, uint64_t rows, uint64_t columns);

#endif
