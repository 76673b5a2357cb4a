/* environ.c - environments as lists of "NAME=VALUE".
 *
 * A rank must not see the variables with which another launcher (the mpirun or srun around this ameexec) described
 * ameexec's own place: it would take itself for a rank of that job. SLURM_* stays, programs read the allocation from
 * it, and PMI_FD counts more. Settings of the user, such as OMPI_MCA_btl or AME_LOG, stay too.
 */
#include "environ.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/vars.h"
#include "bytes.h"
#include "mpilib.h"
#include "gpus.h"
#include "spawn.h"

static bool is_stale(const char *item, size_t name)
{
    static const char *const prefixes[] = {"PMI_",
                                           "PMIX_",
                                           "HYDI_",
                                           "MPI_LOCAL",
                                           "OMPI_COMM_WORLD_",
                                           "OMPI_UNIVERSE_",
                                           "OMPI_FILE_LOCATION",
                                           "OMPI_APP_CTX_",
                                           "OMPI_NUM_APP_CTX",
                                           "OMPI_FIRST_RANKS",
                                           "OMPI_MCA_orte_",
                                           "OMPI_MCA_ess_",
                                           "OMPI_MCA_pmix",
                                           "PRTE_MCA_ess_",
                                           "MV2_COMM_WORLD_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (!strncmp(item, prefixes[i], strlen(prefixes[i]))) return true;
    for (size_t i = 0; i < AME__VAR_COUNT; i++)
        if (ame__var_table[i].group == AME__VAR_BY_LAUNCHER && strlen(ame__var_table[i].name) == name &&
            !strncmp(ame__var_table[i].name, item, name))
            return true;
    return false;
}

static char **find(char *const *env, const char *name, size_t length)
{
    for (char *const *item = env; *item; item++)
        if (!strncmp(*item, name, length) && (*item)[length] == '=') return (char **) item;
    return NULL;
}

const char *ame__environ_get(char *const *env, const char *name)
{
    char **item = find(env, name, strlen(name));
    return item ? *item + strlen(name) + 1 : NULL;
}

static void set_item(char ***env, size_t *room, char *text)
{
    char **old = find(*env, text, strcspn(text, "="));
    size_t count = 0;
    if (old) {
        free(*old);
        *old = text;
        return;
    }
    while ((*env)[count]) count++;
    if (count + 1 >= *room) {
        *room = *room * 2 + 16;
        *env = ame__xrealloc(*env, *room * sizeof **env);
    }
    (*env)[count] = text;
    (*env)[count + 1] = NULL;
}

void ame__environ_set(char ***env, size_t *room, const char *name, const char *value)
{
    set_item(env, room, ame__xprintf("%s=%s", name, value));
}

/* Hands on what matches `pattern`, a name that may end in '*'. */
static void copy_matching(char ***env, size_t *room, const char *pattern, size_t length)
{
    bool prefix = length && pattern[length - 1] == '*';
    for (char **item = environ; *item; item++) {
        size_t name = strcspn(*item, "=");
        if (!strncmp(*item, pattern, prefix ? length - 1 : length) && (prefix || name == length) && (*item)[name])
            set_item(env, room, ame__xstrdup(*item));
    }
}

static void apply(char ***env, size_t *room, const struct ame__settings *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct ame__setting *item = &settings->items[i];
        if (item->value)
            ame__environ_set(env, room, item->name, item->value);
        else
            copy_matching(env, room, item->name, strlen(item->name));
    }
}

static void set_number(char ***env, size_t *room, const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    ame__environ_set(env, room, name, text);
}

/* What ranks write to standard error appears on a terminal, though to them it is a pipe; as they write it, without tags. */
static void set_terminal(char ***env, size_t *room, const struct ame__options *options)
{
    struct winsize size;
    if (options->err_pattern || options->tag || ioctl(STDERR_FILENO, TIOCGWINSZ, &size)) return;
    set_number(env, room, "AME_TERMINAL", size.ws_col);
}

char **ame__environ_base(const struct ame__options *options)
{
    size_t count = 0, room;
    while (environ[count]) count++;
    room = count + 64;
    char **env = ame__xalloc(room * sizeof *env);
    size_t used = 0;
    if (options->env_policy == AME__ENV_ALL)
        for (char **item = environ; *item; item++) {
            size_t name = strcspn(*item, "=");
            if ((*item)[name] && name && !is_stale(*item, name)) env[used++] = ame__xstrdup(*item);
        }
    for (const char *at = options->env_policy == AME__ENV_LIST ? options->env_list : ""; *at; at += *at == ',') {
        size_t length = strcspn(at, ",");
        copy_matching(&env, &room, at, length);
        at += length;
    }
    /* Whatever is handed on: a rank that did not hear of this would not encrypt. */
    if (options->env_policy != AME__ENV_ALL) copy_matching(&env, &room, "AME_ENCRYPT", strlen("AME_ENCRYPT"));
    set_terminal(&env, &room, options);
    if (!options->no_mpi && options->env_policy != AME__ENV_NONE) ame__mpi_environ(&env, &room);
    apply(&env, &room, &options->env);
    return env;
}

char **ame__environ_added(const struct ame__settings *settings)
{
    size_t room = settings->count + 8;
    char **env = ame__xalloc(room * sizeof *env);
    apply(&env, &room, settings);
    return env;
}

static void set_threads(const struct ame__work *work, const struct ame__cpus *cpus, char ***env, size_t *room)
{
    static const char *const others[] = {"MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"};
    struct ame__cpus allowed;
    if (!ame__environ_get(*env, "OMP_NUM_THREADS")) {
        if (!cpus) ame__cpus_allowed(&allowed);
        int share = cpus ? ame__cpus_count(cpus) : ame__cpus_count(&allowed) / work->count;
        set_number(env, room, "OMP_NUM_THREADS", share ? share : 1);
    }
    char *threads = ame__xstrdup(ame__environ_get(*env, "OMP_NUM_THREADS"));
    threads[strcspn(threads, ",")] = '\0'; /* a list is one number per level of nesting */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!ame__environ_get(*env, others[i])) ame__environ_set(env, room, others[i], threads);
    free(threads);
}

char **ame__environ_rank(const struct ame__work *work, int i, const struct ame__cpus *cpus)
{
    static const char *const ranks[] = {"AME_RANK", "RANK", "PMI_RANK"};
    static const char *const local_ranks[] = {"AME_LOCAL_RANK", "LOCAL_RANK", "MPI_LOCALRANKID"};
    static const char *const sizes[] = {"AME_SIZE", "WORLD_SIZE", "PMI_SIZE"};
    static const char *const local_sizes[] = {"AME_LOCAL_SIZE", "LOCAL_WORLD_SIZE", "MPI_LOCALNRANKS"};
    size_t count = 0;
    while (work->env[count]) count++;
    size_t room = count + 64;
    char **env = ame__xalloc(room * sizeof *env);
    for (size_t k = 0; k < count; k++) env[k] = ame__xstrdup(work->env[k]);
    for (char **item = work->apps[work->ranks[i].app].env; *item; item++) set_item(&env, &room, ame__xstrdup(*item));
    for (int k = 0; k < 3; k++) {
        set_number(&env, &room, ranks[k], work->ranks[i].rank);
        set_number(&env, &room, local_ranks[k], i);
        set_number(&env, &room, sizes[k], work->size);
        set_number(&env, &room, local_sizes[k], work->count);
    }
    set_number(&env, &room, "PMI_FD", AME__SPAWN_PMI_FD);
    set_number(&env, &room, "AME_STATE_FD", AME__SPAWN_STATE_FD);
    ame__environ_set(&env, &room, "AME_JOB_ID", work->job_id);
    if (work->port) {
        ame__environ_set(&env, &room, "AME_HOST", work->address);
        set_number(&env, &room, "AME_PORT", work->port);
        ame__environ_set(&env, &room, "AME_AUTHKEY", work->authkey);
    }
    if (!ame__environ_get(env, "PYTHONUNBUFFERED")) ame__environ_set(&env, &room, "PYTHONUNBUFFERED", "1");
    set_threads(work, cpus, &env, &room);
    ame__gpus_set(work, i, &env, &room);
    return env;
}

void ame__environ_free(char **env)
{
    for (char **item = env; *item; item++) free(*item);
    free(env);
}
