/* options.h - the command line of ameexec: one table, from which --help and the suggestions for misspelt names come
 * too. */
#ifndef AME_LAUNCHER_OPTIONS_H
#define AME_LAUNCHER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "hosts.h"

#define AME__RANKS_MAX 65536

/* One change to the environment. `value` NULL: hand the variable on (name may end in '*'). */
struct ame__setting {
    char *name, *value;
};
struct ame__settings {
    struct ame__setting *items;
    size_t count;
};

/* One program of the job: what stands between two ':'. */
struct ame__app {
    int ranks; /* 0: not given */
    char *directory;
    struct ame__settings env;
    char **argv;
    int argc;
};

enum ame__bind { AME__BIND_NONE, AME__BIND_HWTHREAD, AME__BIND_CORE, AME__BIND_NUMA, AME__BIND_SOCKET };
enum ame__stdin_mode { AME__STDIN_RANK, AME__STDIN_ALL, AME__STDIN_NONE };
enum ame__launcher { AME__LAUNCHER_DEFAULT, AME__LAUNCHER_SSH, AME__LAUNCHER_SLURM, AME__LAUNCHER_FORK };
enum ame__env_policy { AME__ENV_ALL, AME__ENV_NONE, AME__ENV_LIST };
/* What the failure of a rank does to the others; DEFAULT: as the program says (ame_tolerate_failures), else END. */
enum ame__on_failure { AME__ON_FAILURE_DEFAULT, AME__ON_FAILURE_END, AME__ON_FAILURE_CONTINUE };

/* --map and what belongs to it; `tries` is a number as text. */
struct ame__mapping {
    char *command, *file, *joblog, *tries;
    bool resume, ordered;
    char *program, **argv; /* made of these */
};

struct ame__options {
    struct ame__app *apps;
    size_t app_count;
    struct ame__settings env; /* for all programs */
    struct ame__hosts hosts;  /* empty: none given */
    char *allocation;         /* the variable that they were taken from, or NULL: from the command line */
    enum ame__map map;
    int per_host; /* ranks on each host; 0: its slots */
    enum ame__launcher launcher;
    char *launcher_exec; /* NULL: ssh or srun from PATH */
    enum ame__env_policy env_policy;
    char *env_list;
    char *tag; /* pattern at the start of each line, or NULL */
    char *out_pattern, *err_pattern;
    bool raw;
    char *only; /* --output-from: list of ranks whose output is shown, or NULL */
    enum ame__stdin_mode stdin_mode;
    int stdin_rank;
    int pty_rank;   /* -1: none */
    double timeout; /* seconds; 0: none */
    double grace;   /* seconds between TERM and KILL */
    enum ame__on_failure on_failure;
    enum ame__bind bind;
    bool bind_given;
    int cpus_per_rank; /* pe=N; 0: not given */
    bool report_bindings;
    int gpus_per_rank; /* 0: not given */
    struct ame__mapping mapping;
    bool no_mpi; /* ranks are not told of AME's MPI libraries */
    bool verbose, quiet, dry_run, print_exits;
    void **kept; /* memory that the programs' arguments point into (-configfile) */
    size_t kept_count;
    char *ignored; /* options accepted without effect, for -v */
};

enum ame__parse_result { AME__PARSE_RUN, AME__PARSE_DONE, AME__PARSE_ERROR };

/* Fills `options` from the command line. DONE: help or version was printed. ERROR: the error text says why. */
enum ame__parse_result ame__options_parse(int argc, char **argv, struct ame__options *options);

void ame__options_finish(struct ame__options *options);

#endif
