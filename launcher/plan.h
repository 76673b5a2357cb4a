/* plan.h - which rank runs what, where and with which environment: made by the front from the options, before anything
 * runs.
 *
 * The host daemon only carries a plan out. Everything that can be known to be wrong (program not found, directory
 * missing, a rank that does not exist) is found while the plan is made.
 */
#ifndef AME_LAUNCHER_PLAN_H
#define AME_LAUNCHER_PLAN_H

#include <sys/resource.h>

#include "affinity.h"
#include "options.h"

enum ame__input_kind { AME__INPUT_NULL, AME__INPUT_DIRECT, AME__INPUT_PIPE };

struct ame__rank_plan {
    int app;
    enum ame__input_kind input; /* DIRECT: ameexec's own standard input, unread */
    bool direct_output;         /* ameexec's own standard output and error */
    bool pty;
    const struct ame__cpus *cpus; /* NULL: not bound */
};

struct ame__plan {
    const struct ame__options *options;
    int size;
    struct ame__rank_plan *ranks;
    char **programs; /* resolved, by app */
    char ***argvs;   /* by app, each ends with NULL */
    char **base_env; /* what all ranks get of ameexec's environment and -genv */
    struct ame__cpus *cpus;
    int share; /* default for OMP_NUM_THREADS where a rank is not bound */
    char host[256];
    char job_id[80];
    char authkey[96];
    int port;
    struct rlimit files; /* the limit of open files that ranks get back */
};

/* On failure the error text is set and the result is the exit code: 127, 126 or 1; else 0. */
int ame__plan_make(struct ame__plan *plan, const struct ame__options *options);
/* The environment of a rank on this host; freed with ame__plan_env_free. */
char **ame__plan_env(const struct ame__plan *plan, int rank);
void ame__plan_env_free(char **env);
/* Where a rank has ameexec's own standard input: lets go of it in this process, so that its writer sees the rank close
 * it. */
void ame__plan_release_input(const struct ame__plan *plan);
void ame__plan_print(const struct ame__plan *plan);
void ame__plan_report_bindings(const struct ame__plan *plan);
void ame__plan_finish(struct ame__plan *plan);

#endif
