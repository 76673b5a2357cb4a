/* plan.h - which rank runs what, where and with which environment: made by the front from the options, before anything
 * runs.
 *
 * A host daemon gets its part of it (work.h) and only carries it out. Everything that can be known to be wrong (program not found, directory
 * missing, a rank that does not exist) is found while the plan is made.
 */
#ifndef AME_LAUNCHER_PLAN_H
#define AME_LAUNCHER_PLAN_H

#include "affinity.h"
#include "options.h"
#include "work.h"

struct ame__rank_plan {
    int app, host;
    enum ame__input_kind input; /* DIRECT: ameexec's own standard input, unread */
    bool direct_output;         /* ameexec's own standard output and error */
    bool pty;
};

struct ame__plan {
    const struct ame__options *options;
    int size;
    struct ame__rank_plan *ranks;
    struct ame__hosts hosts; /* that have ranks; slots: how many */
    char **programs;         /* resolved, by app */
    char ***argvs;           /* by app, each ends with NULL */
    char ***envs;            /* by app: what the program gets in addition */
    char **base_env;         /* what all ranks get of ameexec's environment and -genv */
    char *directory;         /* ameexec's; NULL: unknown */
    char host[256];          /* this one */
    double heartbeat, stall; /* AME_HEARTBEAT, AME_STALL_WARN: seconds, 0: off */
    char job_id[80];
    char authkey[96];
};

/* On failure the error text is set and the result is the exit code: 127, 126 or 1; else 0. */
int ame__plan_make(struct ame__plan *plan, const struct ame__options *options);
/* The name of the rank's host. */
static inline const char *ame__plan_host(const struct ame__plan *plan, int rank)
{
    return plan->hosts.items[plan->ranks[rank].host].name;
}
/* What host `host` has to do, with the address and port of rank 0, and `files` left 0. Only `ranks` and `apps` are to be freed; the rest
 * belongs to the plan. */
void ame__plan_work(const struct ame__plan *plan, int host, const char *address, int port, struct ame__work *work);
/* Where a rank has ameexec's own standard input: lets go of it in this process, so that its writer sees the rank close
 * it. */
void ame__plan_release_input(const struct ame__plan *plan);
/* A port that the system gave a moment ago and that is free again, or 0; see plan.c. */
int ame__plan_free_port(void);
/* The file that execvp() would take: 0, ENOENT or EACCES. `path`: a value of PATH, or NULL. */
int ame__plan_search(const char *path, const char *name, char **result);
void ame__plan_print(const struct ame__plan *plan);
void ame__plan_finish(struct ame__plan *plan);

#endif
