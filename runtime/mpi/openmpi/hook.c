/* hook.c - a component that Open MPI's library loads in MPI_Init, when ameexec has named it the folder of this file.
 *
 * A program that was built for Open MPI cannot use AME's libraries. As a rank of ameexec it would be "rank 0 of 1", as would
 * every other rank, each doing the whole work. So this component ends it with a text that says what to do. It is in
 * nobody's way otherwise: nothing is put before Open MPI's own library, and it returns where
 *   - the job has one rank, or ameexec has not started it;
 *   - another launcher has, inside of the job (mpirun, srun --mpi=pmix): ameexec takes away what outer ones have said;
 *   - a rank has started it, for a part of its own work (boot/single.c has the same rule);
 *   - AME_ALLOW_SINGLETON says so;
 *   - the program only lists components.
 * "hook" is the first of Open MPI's frameworks that MPI_Init opens, and mpirun does not; it exists since Open MPI 3.0.
 *
 * All that is used of Open MPI is how a component describes itself, the same in its versions 1.10 to 5.0 (opal/mca/mca.h).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vars.h"
#include "boot/boot.h"

static bool only_lists(void)
{
    return !strncmp(program_invocation_short_name, "ompi_info", 9) ||
           !strncmp(program_invocation_short_name, "oshmem_info", 11);
}

static bool may_be_alone(void)
{
    const char *size = getenv("AME_SIZE");
    bool allowed = false;
    if (!ame__var_is_set(AME__VAR_JOB_ID) || !size || strtol(size, NULL, 10) < 2) return true;
    if (getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_NAMESPACE") || getenv("PMIX_RANK")) return true;
    return (!ame__var_flag(AME__VAR_ALLOW_SINGLETON, &allowed) && allowed) || only_lists() || ame__boot_inside_rank();
}

__attribute__((constructor)) static void refuse(void)
{
    if (may_be_alone()) return;
    fprintf(
        stderr,
        "ameexec: rank %s was built for Open MPI, whose library cannot find the other ranks of this job: each would be "
        "rank 0 of 1. Compile it with amecc; if it is Python, reinstall mpi4py from its wheel "
        "(pip install --force-reinstall --only-binary mpi4py mpi4py) or build it with MPICC=amecc; or start it with "
        "Open MPI's mpirun. AME_ALLOW_SINGLETON=1 lets each rank run by itself all the same\n",
        getenv("AME_RANK"));
    fflush(stdout);
    _exit(1);
}

enum { NOT_AVAILABLE = -16 };

static int not_available(void)
{
    return NOT_AVAILABLE;
}

struct component {
    int mca_version[3];
    char project[16];
    int project_version[3];
    char framework[32];
    int framework_version[3];
    char name[64];
    int version[3];
    int (*open)(void);
    int (*close)(void);
    int (*query)(void **module, int *priority);
    int (*register_parameters)(void);
    int32_t flags;
    char reserved[1024]; /* for this and for what frameworks add: none of it is set */
};
extern struct component mca_hook_ame_component;

/* Where it has not refused it says that it is of no use here. */
__attribute__((visibility("default"))) struct component mca_hook_ame_component = {
    .mca_version = {2, 1, 0},
    .project = "ompi",
    .framework = "hook",
    .framework_version = {1, 0, 0},
    .name = "ame",
    .open = not_available,
    .register_parameters = not_available,
};
