/* boot.c - the table of the ways of being started, and the choice between them. See boot.h. */
#include "boot.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

#include "ways.h"

/* What the user says for this very job comes first; then the launcher nearest to this process: PMI_FD is a descriptor, and
 * is checked to be open, so that one left over from an outer launcher is passed over; Hydra and ameexec run inside
 * allocations of Slurm and under other launchers, whose variables they leave standing. Open MPI runs inside allocations
 * of Slurm, so PMIx stands before SLURM_*. See docs/design.md, "How a process finds out who it is". */
const struct ame__boot_way *const ame__boot_ways[] = {
    &ame__boot_shared,  &ame__boot_pmi1,  &ame__boot_pmi2,   &ame__boot_pmix,
    &ame__boot_session, &ame__boot_slurm, &ame__boot_single, NULL};

bool ame__boot_several(char text[AME__BOOT_WHY_MAX])
{
    static const char *const counts[] = {"AME_SIZE",        "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS",
                                         "MPI_LOCALNRANKS", NULL};
    static const char *const ranks[] = {"PMIX_RANK", "PMI_RANK", "AME_RANK", "OMPI_COMM_WORLD_RANK", NULL};
    for (const char *const *name = counts; *name; name++) {
        const char *value = getenv(*name);
        if (value && strtol(value, NULL, 10) > 1) {
            snprintf(text, AME__BOOT_WHY_MAX, "%s=%.40s", *name, value);
            return true;
        }
    }
    for (const char *const *name = ranks; *name; name++) {
        const char *value = getenv(*name);
        if (value && strtol(value, NULL, 10) > 0) {
            snprintf(text, AME__BOOT_WHY_MAX, "%s=%.40s", *name, value);
            return true;
        }
    }
    return false;
}

static long parent_of(long pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    const char *end = strrchr(line, ')'); /* the name may hold anything, also ')' */
    long parent = 0;
    if (!end || sscanf(end + 1, " %*c %ld", &parent) != 1) return 0;
    return parent;
}

static bool has_helper_thread(long pid)
{
    char path[300], name[32];
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    bool found = false;
    for (struct dirent *task; tasks && !found && (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%.20s/comm", pid, task->d_name);
        FILE *file = fopen(path, "re");
        if (!file) continue;
        if (fgets(name, sizeof name, file)) {
            name[strcspn(name, "\n")] = '\0';
            found = !strcmp(name, AME__BOOT_THREAD_NAME);
        }
        fclose(file);
    }
    if (tasks) closedir(tasks);
    return found;
}

long ame__boot_rank_above(long pid)
{
    pid = pid ? parent_of(pid) : getppid();
    for (int generations = 0; pid > 1 && generations < 64; generations++, pid = parent_of(pid))
        if (has_helper_thread(pid)) return pid;
    return 0;
}

bool ame__boot_inside_rank(void)
{
    return ame__boot_rank_above(0) > 0;
}

/* The way that AME_BOOT names; NULL: none. Under ameexec it says nothing: the variable is from outside the job. */
static int named_way(const struct ame__boot_way **named)
{
    const char *name = ame__var_text(AME__VAR_BOOT);
    *named = NULL;
    if (!strcmp(name, "auto") || ame__var_is_set(AME__VAR_JOB_ID)) return AME_OK;
    for (const struct ame__boot_way *const *way = ame__boot_ways; *way; way++)
        if (!strcmp((*way)->name, name)) *named = *way;
    if (*named) return AME_OK;
    return ame__fail(AME_E_CONFIG, "AME_BOOT='%.40s' is not a way of being started; ame-info lists them", name);
}

int ame__boot_open(struct ame__boot *boot)
{
    double seconds;
    const struct ame__boot_way *named;
    int code = ame__var_number(AME__VAR_CONNECT_TIMEOUT, &seconds);
    if (!code) code = named_way(&named);
    if (code) return code;
    memset(boot, 0, sizeof *boot);
    boot->fd = -1;
    boot->size = boot->local_size = 1;
    gethostname(boot->host, sizeof boot->host - 1);
    boot->deadline = ame__now_ns() + (int64_t) (seconds * 1e9);
    for (const struct ame__boot_way *const *way = ame__boot_ways; *way; way++) {
        if (named && *way != named) continue;
        bool chosen = (*way)->probe(boot->why);
        ame__log(boot, DEBUG, "%s: %s: %s", (*way)->name, chosen ? "chosen" : "not chosen", boot->why);
        if (!chosen) continue;
        boot->way = *way;
        code = boot->way->open(boot);
        if (code) ame__boot_close(boot);
        return code;
    }
    return ame__fail(AME_E_BOOT, "AME_BOOT=%s asks for a way of being started that does not apply: %s",
                     ame__var_text(AME__VAR_BOOT), boot->why);
}

int ame__boot_put(struct ame__boot *boot, const char *key, const char *value)
{
    return boot->way->put ? boot->way->put(boot, key, value) : AME_OK;
}

int ame__boot_fence(struct ame__boot *boot)
{
    return boot->way->fence ? boot->way->fence(boot) : AME_OK;
}

int ame__boot_get(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX])
{
    if (!boot->way->get) return ame__fail(AME_E_INTERNAL, "boot way %s has no values", boot->way->name);
    return boot->way->get(boot, key, value);
}

void ame__boot_connected(struct ame__boot *boot)
{
    if (boot->way->connected) boot->way->connected(boot);
}

void ame__boot_release(struct ame__boot *boot, bool leaving)
{
    if (boot->way && boot->way->release) boot->way->release(boot, leaving);
}

void ame__boot_close(struct ame__boot *boot)
{
    if (boot->fd >= 0) close(boot->fd);
    boot->fd = -1;
}

void ame__boot_blame(struct ame__boot *boot, int failed)
{
    if (boot->way && boot->way->blame) boot->way->blame(boot, failed);
}

int ame__boot_tolerate(struct ame__boot *boot, bool on, bool *agreed)
{
    *agreed = true;
    return boot->way && boot->way->tolerate ? boot->way->tolerate(boot, on, agreed) : AME_OK;
}

void ame__boot_abort(struct ame__boot *boot, int code)
{
    if (boot->way && boot->way->abort) boot->way->abort(boot, code);
}
