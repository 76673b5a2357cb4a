/* spawn.h - starting one process of the job. */
#ifndef AME_LAUNCHER_SPAWN_H
#define AME_LAUNCHER_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "affinity.h"

#define AME__SPAWN_PMI_FD   3
#define AME__SPAWN_STATE_FD 4

/* What ameexec found when it was started and its ranks must find too. */
struct ame__inherited {
    sigset_t mask;
    bool ignores_pipe;
    struct rlimit files;
};

struct ame__spawn {
    const char *program;
    char **argv, **env;
    const char *directory;        /* NULL: stay */
    const struct ame__cpus *cpus; /* NULL: not bound */
    int fds[3];                   /* become 0, 1, 2 */
    int pmi_fd;                   /* becomes AME__SPAWN_PMI_FD; -1: none */
    int state_fd;                 /* above these; becomes AME__SPAWN_STATE_FD; -1: none */
    bool pty;                     /* fds are a terminal, which becomes the controlling one */
    bool session;                 /* a session of its own, without a terminal */
    const struct ame__inherited *inherited;
};

/* Starts the process as leader of a new process group; it gets SIGKILL when the caller dies. All other descriptors of
 * the caller must be close-on-exec. Returns its id, or -1 with `errno` and the step that failed ("execve", "chdir",
 * ...). */
pid_t ame__spawn(const struct ame__spawn *spawn, const char **step);

#endif
