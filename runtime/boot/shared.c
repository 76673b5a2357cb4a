/* shared.c - started by anything at all: the ranks meet in a directory that all hosts share.
 *
 * The user says everything: AME_SHARED_DIR, a name for the job that no other job has (AME_JOB_TOKEN), and rank and size,
 * for which some schedulers have variables of their own. It comes first in the table because it is said for this very
 * job; but ranks of ameexec started inside such a job are not meant.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/vars.h"

#include "env.h"
#include "file.h"
#include "ways.h"

static const struct pair {
    const char *rank, *size;
} pairs[] = {{"AME_RANK", "AME_SIZE"}, {"RANK", "WORLD_SIZE"}, {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static const struct pair *find_pair(void)
{
    for (int i = 0; i < PAIRS; i++)
        if (ame__env_is_set(pairs[i].rank) && ame__env_is_set(pairs[i].size)) return &pairs[i];
    return NULL;
}

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    static const char *const settings[] = {"AME_SHARED_DIR", "AME_JOB_TOKEN", NULL};
    const char *missing = ame__env_missing(settings), *fd = getenv("PMI_FD");
    const struct pair *pair = find_pair();
    if (missing) {
        snprintf(why, AME__BOOT_WHY_MAX, "%s is not set", missing);
        return false;
    }
    if (!pair) {
        snprintf(why, AME__BOOT_WHY_MAX, "AME_SHARED_DIR and AME_JOB_TOKEN are set, AME_RANK and AME_SIZE are not");
        return false;
    }
    if (ame__var_is_set(AME__VAR_JOB_ID) && fd && ame__env_is_socket(fd)) {
        snprintf(why, AME__BOOT_WHY_MAX, "ameexec has started this process, inside another job");
        return false;
    }
    const char *const rank[] = {"AME_JOB_TOKEN", pair->rank, NULL};
    if (ame__env_is_ancestors(rank)) {
        snprintf(why, AME__BOOT_WHY_MAX, "AME_JOB_TOKEN and %s are for the rank that has started this process",
                 pair->rank);
        return false;
    }
    snprintf(why, AME__BOOT_WHY_MAX, "AME_SHARED_DIR and AME_JOB_TOKEN are set, with %s=%.12s of %s=%.12s", pair->rank,
             getenv(pair->rank), pair->size, getenv(pair->size));
    return true;
}

static int open_shared(struct ame__boot *boot)
{
    const struct pair *pair = find_pair();
    int code = ame__env_number(pair->size, 1, 1 << 24, &boot->size);
    if (!code) code = ame__env_number(pair->rank, 0, boot->size - 1, &boot->rank);
    boot->local_rank = 0;
    boot->local_size = 1;
    if (!code && ame__var_is_set(AME__VAR_LOCAL_SIZE))
        code = ame__env_number("AME_LOCAL_SIZE", 1, boot->size, &boot->local_size);
    if (!code && ame__var_is_set(AME__VAR_LOCAL_RANK))
        code = ame__env_number("AME_LOCAL_RANK", 0, boot->local_size - 1, &boot->local_rank);
    if (!code && boot->local_size == boot->size) boot->hosts = 1;
    boot->stale_values = true;
    return code ? code
                : ame__boot_file_open(boot, ame__var_text(AME__VAR_SHARED_DIR), false,
                                      ame__var_text(AME__VAR_JOB_TOKEN));
}

const struct ame__boot_way ame__boot_shared = {
    .name = "shared",
    .text = "anything: AME_SHARED_DIR, AME_JOB_TOKEN, AME_RANK and AME_SIZE (or RANK and WORLD_SIZE)",
    .probe = probe,
    .open = open_shared,
    .put = ame__boot_file_put,
    .get = ame__boot_file_get,
    .connected = ame__boot_file_connected};
