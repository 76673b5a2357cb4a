/* session.c - started by Open MPI's mpirun, or by srun --mpi=pmix, on one host and without libpmix: the ranks meet in
 * the launcher's directory for this job, which is private, new and removed with the job.
 *
 * That is PMIX_SERVER_TMPDIR (Open MPI: also OMPI_MCA_orte_jobfam_session_dir), never Open MPI's top directory, in which
 * every mpirun of the user deletes what it finds. It is of one host; where there are several another way is needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#include "env.h"
#include "file.h"
#include "ways.h"

static const char *directory(void)
{
    const char *path = getenv("OMPI_MCA_orte_jobfam_session_dir");
    return path && *path ? path : getenv("PMIX_SERVER_TMPDIR");
}

static bool is_one(const char *name)
{
    const char *text = getenv(name);
    return text && !strcmp(text, "1");
}

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    static const char *const rank[] = {"PMIX_NAMESPACE", "PMIX_RANK", NULL};
    const char *missing = ame__env_missing(rank), *path = directory();
    bool ompi = ame__env_is_set("OMPI_COMM_WORLD_SIZE");
    if (missing) {
        snprintf(why, AME__BOOT_WHY_MAX, "%s is not set", missing);
    } else if (!ompi && !ame__env_is_set("SLURM_STEP_NUM_TASKS")) {
        snprintf(why, AME__BOOT_WHY_MAX, "neither OMPI_COMM_WORLD_SIZE nor SLURM_STEP_NUM_TASKS says how many ranks");
    } else if (!path || ame__boot_file_check_directory(path)) {
        snprintf(why, AME__BOOT_WHY_MAX, "%.150s", path ? ame__error_text() : "PMIX_SERVER_TMPDIR is not set");
    } else if (!is_one(ompi ? "OMPI_MCA_orte_num_nodes" : "SLURM_STEP_NUM_NODES")) {
        snprintf(why, AME__BOOT_WHY_MAX, "the job may be on several hosts, which do not share %.100s", path);
    } else if (ame__env_is_ancestors(rank)) {
        snprintf(why, AME__BOOT_WHY_MAX, "PMIX_NAMESPACE and PMIX_RANK are for the rank that has started this process");
    } else {
        snprintf(why, AME__BOOT_WHY_MAX, "one host, and %.150s is this job's own", path);
        return true;
    }
    return false;
}

static int open_session(struct ame__boot *boot)
{
    char name[AME__BOOT_WHY_MAX];
    bool ompi = ame__env_is_set("OMPI_COMM_WORLD_SIZE");
    int code = ame__env_number(ompi ? "OMPI_COMM_WORLD_SIZE" : "SLURM_STEP_NUM_TASKS", 1, 1 << 24, &boot->size);
    if (!code) code = ame__env_number("PMIX_RANK", 0, boot->size - 1, &boot->rank);
    if (code) return code;
    boot->hosts = 1;
    boot->local_rank = boot->rank;
    boot->local_size = boot->size;
    snprintf(name, sizeof name, "ame.%.100s", getenv("PMIX_NAMESPACE"));
    return ame__boot_file_open(boot, directory(), true, name);
}

const struct ame__boot_way ame__boot_session = {
    .name = "session",
    .text = "Open MPI's mpirun, or srun --mpi=pmix, on one host without libpmix: a file in their directory",
    .probe = probe,
    .open = open_session,
    .put = ame__boot_file_put,
    .get = ame__boot_file_get,
    .connected = ame__boot_file_connected};
