/* remote.h - reaching another host: the ssh or srun that runs the host daemon there. */
#ifndef AME_LAUNCHER_REMOTE_H
#define AME_LAUNCHER_REMOTE_H

#include <uv.h>

#include "bytes.h"
#include "plan.h"
#include "spawn.h"

struct ame__remote {
    const struct ame__host *host;
    const char *tool; /* "ssh", "srun" or what -launcher-exec names */
    pid_t pid;        /* 0: it has been waited for */
    int status;
    int err_fd;
    uv_poll_t err_poll;
    struct ame__bytes err;
    char last[400]; /* line that it wrote to its standard error */
    bool verbose;
    /* from HELLO */
    char address[128], peer[128];
    int port;
};

/* Starts it; returns our end of the channel, or -1 with the error text. */
int ame__remote_start(struct ame__remote *remote, uv_loop_t *loop, const struct ame__plan *plan, int host,
                      const struct ame__inherited *inherited);
/* Reads HELLO: how many bytes were used, 0 when more is needed, -1 with the error text when it is of another version or
 * there is none. */
long ame__remote_hello(struct ame__remote *remote, const char *data, size_t length);
/* Waits until it has ended, at most `limit_ms`, then kills it. */
void ame__remote_wait(struct ame__remote *remote, int limit_ms);
/* Why the host could not be reached and what to do, once it has ended before HELLO. Freed by the caller. */
char *ame__remote_failure(const struct ame__remote *remote);
void ame__remote_close(struct ame__remote *remote);

#endif
