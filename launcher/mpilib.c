/* mpilib.c - what ranks are told so that they find AME's MPI libraries.
 *
 * A program built for MPICH's ABI or the standard one finds its library through LD_LIBRARY_PATH. mpi4py looks for a
 * libmpi.so of its own accord, and would find a system's MPI before ours, unless MPI4PY_LIBMPI says which to take; the
 * released wheels know MPICH's ABI, not yet the standard one. Open MPI's own library is told of the folder of a component
 * that refuses to run as one of several ranks (runtime/mpi/openmpi). Nothing is set where there are no such libraries, nor
 * what the user has set.
 */
#include "mpilib.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "environ.h"

#define LIBRARY        "libmpi.so.12"
#define COMPONENT_PATH "OMPI_MCA_mca_base_component_path"

/* The directory of the libraries, to be freed: beside this program as it was installed, or in a build; NULL: none. */
static char *find_directory(void)
{
    char here[4096];
    ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
    if (length <= 0) return NULL;
    here[length] = '\0';
    *strrchr(here, '/') = '\0';
    size_t end = strlen(here), bin = strlen("/" AME__BINDIR);
    char *directory = NULL;
    if (end > bin && strcmp(here + end - bin, "/" AME__BINDIR) == 0)
        directory = ame__xprintf("%.*s/%s/ame-mpi", (int) (end - bin), here, AME__LIBDIR);
    else
        directory = ame__xprintf("%s/../runtime/mpi", here);
    char *library = ame__xprintf("%s/%s", directory, LIBRARY), *real = realpath(directory, NULL);
    if (access(library, R_OK)) {
        free(real);
        real = NULL;
    }
    free(directory);
    free(library);
    return real;
}

static bool has_entry(const char *path, const char *directory)
{
    for (size_t length = strlen(directory); *path; path += *path == ':') {
        size_t entry = strcspn(path, ":");
        if (entry == length && !strncmp(path, directory, length)) return true;
        path += entry;
    }
    return false;
}

void ame__mpi_environ(char ***env, size_t *room)
{
    char *directory = find_directory();
    if (!directory) return;
    const char *path = ame__environ_get(*env, "LD_LIBRARY_PATH");
    if (!path || !has_entry(path, directory)) {
        char *with = ame__xprintf("%s%s%s", directory, path && *path ? ":" : "", path ? path : "");
        ame__environ_set(env, room, "LD_LIBRARY_PATH", with);
        free(with);
    }
    if (!ame__environ_get(*env, "MPI4PY_LIBMPI") && !ame__environ_get(*env, "MPI4PY_MPIABI")) {
        char *library = ame__xprintf("%s/%s", directory, LIBRARY);
        ame__environ_set(env, room, "MPI4PY_LIBMPI", library);
        free(library);
    }
    if (!ame__environ_get(*env, COMPONENT_PATH)) {
        char *folders = ame__xprintf("%s/openmpi:SYS_DEFAULT:USER_DEFAULT", directory);
        ame__environ_set(env, room, COMPONENT_PATH, folders);
        free(folders);
    }
    free(directory);
}
