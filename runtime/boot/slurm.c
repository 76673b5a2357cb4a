/* slurm.c - started by srun with --mpi=none, or with any --mpi that cannot be used: SLURM_* says who this is, and the
 * ranks meet through a file.
 *
 * The step's own variables count, not those of the job, and SLURM_STEP_ID must be there: the script of a batch job has
 * SLURM_PROCID and SLURM_NTASKS too but is not a task. The file is named after cluster, job, step and the port of the
 * srun, so that two steps at once do not meet, nor jobs of a controller that counts from 1 again. It lies in AME_SHARED_DIR; without that in /tmp for a step on one node,
 * else in the home directory, which clusters share as a rule.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/vars.h"

#include "env.h"
#include "file.h"
#include "ways.h"

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    static const char *const task[] = {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", NULL};
    static const char *const rank[] = {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", NULL};
    const char *missing = ame__env_missing(task);
    if (missing) {
        snprintf(why, AME__BOOT_WHY_MAX, "%s is not set%s", missing,
                 ame__env_is_set("SLURM_JOB_ID") ? " (inside a job of Slurm, but not started by srun)" : "");
        return false;
    }
    if (ame__env_is_ancestors(rank)) {
        snprintf(why, AME__BOOT_WHY_MAX,
                 "SLURM_STEP_ID and SLURM_PROCID are for the rank that has started this process");
        return false;
    }
    snprintf(why, AME__BOOT_WHY_MAX, "task %.12s of %.12s of step %.20s.%.12s of Slurm", getenv("SLURM_PROCID"),
             getenv("SLURM_STEP_NUM_TASKS"), getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"));
    return true;
}

/* A step of several parts ("srun A : B"), which have ports, and in some versions job numbers, of their own. */
static bool is_heterogeneous(void)
{
    return ame__env_is_set("SLURM_HET_SIZE") || ame__env_is_set("SLURM_PACK_SIZE");
}

static const char *job_number(void)
{
    const char *first = getenv("SLURM_JOB_ID_HET_GROUP_0"), *older = getenv("SLURM_JOB_ID_PACK_GROUP_0");
    if (!is_heterogeneous()) return getenv("SLURM_JOB_ID");
    return first ? first : older ? older : getenv("SLURM_JOB_ID");
}

static void find_place(struct ame__boot *boot)
{
    const char *tasks = getenv("SLURM_STEP_TASKS_PER_NODE");
    int node = 0, local = 0;
    boot->local_rank = 0;
    boot->local_size = 1;
    if (ame__env_is_set("SLURM_STEP_NUM_NODES"))
        (void) ame__env_number("SLURM_STEP_NUM_NODES", 1, 1 << 24, &boot->hosts);
    if (boot->hosts == 1 && is_heterogeneous()) boot->hosts = 0; /* it may be said of one part */
    if (!tasks || !ame__env_is_set("SLURM_NODEID") || !ame__env_is_set("SLURM_LOCALID") ||
        ame__env_number("SLURM_NODEID", 0, 1 << 24, &node) || ame__env_number("SLURM_LOCALID", 0, 1 << 24, &local))
        return;
    int here = ame__env_tasks_on(tasks, node);
    if (here <= local || here > boot->size) return;
    boot->local_rank = local;
    boot->local_size = here;
}

/* ~/.cache, made if need be. */
static int home(char *path, size_t size)
{
    const char *text = getenv("HOME");
    const struct passwd *user = text && *text == '/' ? NULL : getpwuid(geteuid());
    if (user) text = user->pw_dir;
    if (!text || *text != '/')
        return ame__fail(AME_E_BOOT, "a step on several nodes needs a directory that they share: set AME_SHARED_DIR");
    snprintf(path, size, "%s/.cache", text);
    mkdir(path, 0700);
    return AME_OK;
}

static int open_slurm(struct ame__boot *boot)
{
    char parent[200] = "/tmp", name[300];
    const char *cluster = getenv("SLURM_CLUSTER_NAME"), *port = getenv("SLURM_STEP_LAUNCHER_PORT"),
               *shared = ame__var_text(AME__VAR_SHARED_DIR);
    int code = ame__env_number("SLURM_STEP_NUM_TASKS", 1, 1 << 24, &boot->size);
    if (!code) code = ame__env_number("SLURM_PROCID", 0, boot->size - 1, &boot->rank);
    if (code) return code;
    find_place(boot);
    if (boot->size == 1) return AME_OK;
    boot->stale_values = true;
    if (!*shared && boot->hosts != 1) code = home(parent, sizeof parent);
    snprintf(name, sizeof name, "slurm.%.40s.%.20s.%.20s.%.10s", cluster ? cluster : "-", job_number(),
             getenv("SLURM_STEP_ID"), port && !is_heterogeneous() ? port : "-");
    return code ? code : ame__boot_file_open(boot, *shared ? shared : parent, false, name);
}

const struct ame__boot_way ame__boot_slurm = {
    .name = "slurm",
    .text = "srun --mpi=none: SLURM_*, and a file in AME_SHARED_DIR, ~/.cache, or /tmp if there is one node",
    .probe = probe,
    .open = open_slurm,
    .put = ame__boot_file_put,
    .get = ame__boot_file_get,
    .connected = ame__boot_file_connected};
