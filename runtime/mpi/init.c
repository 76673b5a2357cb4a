/* init.c - begin and end, the environment, the ABI's own functions.
 *
 * Predefined objects that may be used before MPI_Init (error handlers, info, types' names) are made when the library is
 * loaded; communicators by MPI_Init or the first MPI_Session_init.
 */
#include "layer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum state { BEFORE, RUNNING, AFTER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic enum state world_state, ame_state; /* of MPI_Init, and of libame, which sessions use too */
static int sessions, level = MPI_THREAD_SINGLE;
static pthread_t main_thread;
static struct mpi__info env_info;
struct mpi__file mpi__no_file;

__attribute__((constructor)) static void open_library(void)
{
    mpi__object_predefine(&mpi__errors_are_fatal.object, MPI__ERRHANDLER, MPI__BITS(MPI_ERRORS_ARE_FATAL));
    mpi__object_predefine(&mpi__errors_abort.object, MPI__ERRHANDLER, MPI__BITS(MPI_ERRORS_ABORT));
    mpi__object_predefine(&mpi__errors_return.object, MPI__ERRHANDLER, MPI__BITS(MPI_ERRORS_RETURN));
    mpi__object_predefine(&env_info.object, MPI__INFO, MPI__BITS(MPI_INFO_ENV));
    mpi__object_predefine(&mpi__no_file.object, MPI__FILE, MPI__POINTER_BITS(MPI_FILE_NULL));
#ifndef MPICH_ABI_OF_AME
    mpi__predefined[MPI__POINTER_BITS(MPI_FILE_NULL)] = NULL; /* a null handle, which only has an error handler */
#endif
    mpi__no_file.errhandler = &mpi__errors_return;
    mpi__groups_open();
    mpi__messages_open();
    mpi__types_open();
    mpi__ops_open();
}

/* ---- libame -------------------------------------------------------------------------------------- */

static int fill_env(void)
{
    struct mpi__info *told = NULL;
    char *arguments[] = {(char *) (uintptr_t) program_invocation_name, NULL};
    int code = mpi__Info_create_env(1, arguments, &told);
    for (int i = 0; !code && i < told->count; i++)
        code = mpi__info_put(&env_info, told->pairs[i].key, told->pairs[i].value);
    mpi__info_drop(told);
    return code;
}

/* With the lock. */
static int open_ame(void)
{
    if (ame_state == RUNNING) return MPI_SUCCESS;
    if (ame_state == AFTER)
        return mpi__fail(MPI_ERR_OTHER, "MPI has been finalized in this process, and cannot be initialized again");
    if (!ame_initialized() && ame_init() != AME_OK) return mpi__fail(MPI_ERR_OTHER, "%s", ame_last_error());
    ame__seam_open();
    int code = mpi__comms_open();
    if (!code) code = fill_env();
    if (!code) ame_state = RUNNING;
    return code;
}

static void close_ame(void)
{
    if (sessions || world_state == RUNNING || ame_state != RUNNING) return;
    mpi__buffers_close();
    mpi__requests_close();
    mpi__comms_close();
    ame_state = AFTER;
    (void) ame_finalize();
    for (int i = 0; i < env_info.count; i++) {
        free(env_info.pairs[i].key);
        free(env_info.pairs[i].value);
    }
    free(env_info.pairs);
    env_info.pairs = NULL;
    env_info.count = env_info.room = 0;
}

int mpi__running(void)
{
    if (ame_state == RUNNING) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_OTHER, "%s", ame_state == AFTER ? "called after MPI_Finalize" : "called before MPI_Init");
}

/* ---- begin and end ------------------------------------------------------------------------------- */

int mpi__Init_thread(int *argc, char ***argv, int required, int *provided)
{
    (void) argc;
    (void) argv;
    pthread_mutex_lock(&lock);
    int code = world_state == BEFORE
                   ? open_ame()
                   : mpi__fail(MPI_ERR_OTHER, world_state == RUNNING ? "MPI has been initialized already"
                                                                     : "MPI has been finalized in this process");
    if (!code) {
        main_thread = pthread_self();
        level = required < MPI_THREAD_SINGLE     ? MPI_THREAD_SINGLE
                : required > MPI_THREAD_MULTIPLE ? MPI_THREAD_MULTIPLE
                                                 : required;
        world_state = RUNNING;
        *provided = level;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int mpi__Init(int *argc, char ***argv)
{
    int provided;
    return mpi__Init_thread(argc, argv, MPI_THREAD_SINGLE, &provided);
}

int mpi__Finalize(void)
{
    if (world_state != RUNNING)
        return mpi__fail(MPI_ERR_OTHER, "%s", world_state == AFTER ? "called a second time" : "called before MPI_Init");
    int code = mpi__attributes_delete(MPI__COMM, mpi__self.object.handle, &mpi__self.attributes);
    if (!code) code = mpi__attributes_delete(MPI__COMM, mpi__world.object.handle, &mpi__world.attributes);
    if (code) return code;
    fflush(stdout);
    pthread_mutex_lock(&lock);
    world_state = AFTER;
    close_ame();
    pthread_mutex_unlock(&lock);
    return MPI_SUCCESS;
}

int mpi__Initialized(int *flag)
{
    *flag = world_state != BEFORE;
    return MPI_SUCCESS;
}

int mpi__Finalized(int *flag)
{
    *flag = world_state == AFTER;
    return MPI_SUCCESS;
}

int mpi__Query_thread(int *provided)
{
    *provided = level;
    return MPI_SUCCESS;
}

int mpi__Is_thread_main(int *flag)
{
    *flag = pthread_equal(main_thread, pthread_self());
    return MPI_SUCCESS;
}

int mpi__Abort(struct mpi__comm *comm, int errorcode)
{
    (void) comm;
    fflush(stdout);
    fprintf(stderr, "MPI_Abort: rank %d has ended the job with code %d\n", mpi__world.rank, errorcode);
    ame_abort(errorcode);
}

/* ---- sessions ------------------------------------------------------------------------------------ */

int mpi__Session_init(struct mpi__info *info, struct mpi__errhandler *errhandler, struct mpi__session **session)
{
    struct mpi__session *made = calloc(1, sizeof *made);
    if (!made || mpi__object_init(&made->object, MPI__SESSION)) {
        free(made);
        return mpi__no_memory();
    }
    mpi__errhandler_set(&made->errhandler, errhandler);
    made->info = mpi__info_copy(info);
    pthread_mutex_lock(&lock);
    int code = open_ame();
    if (!code) sessions++;
    pthread_mutex_unlock(&lock);
    if (code) {
        mpi__info_drop(made->info);
        free(made);
        return code;
    }
    (void) mpi__info_put(made->info, "thread_level", "MPI_THREAD_MULTIPLE");
    *session = made;
    return MPI_SUCCESS;
}

int mpi__Session_finalize(struct mpi__session *session)
{
    pthread_mutex_lock(&lock);
    sessions--;
    /* Another session may come: libame ends with MPI_Finalize, or with the process. */
    pthread_mutex_unlock(&lock);
    mpi__info_drop(session->info);
    mpi__errhandler_set(&session->errhandler, NULL);
    if (mpi__object_drop(&session->object)) free(session);
    return MPI_SUCCESS;
}

/* A process that has used sessions only ends in order. */
__attribute__((destructor)) static void close_library(void)
{
    if (ame_state == RUNNING && world_state == BEFORE && sessions == 0) close_ame();
}

static const char *const sets[] = {"mpi://WORLD", "mpi://SELF"};

int mpi__Session_get_num_psets(struct mpi__session *session, struct mpi__info *info, int *count)
{
    (void) session;
    (void) info;
    *count = (int) (sizeof sets / sizeof *sets);
    return MPI_SUCCESS;
}

int mpi__Session_get_nth_pset(struct mpi__session *session, struct mpi__info *info, int n, int *length, char *name)
{
    (void) session;
    (void) info;
    if (n < 0 || n >= (int) (sizeof sets / sizeof *sets)) return mpi__fail(MPI_ERR_ARG, "argument 'n' is %d", n);
    if (*length > 0 && name) snprintf(name, (size_t) *length, "%s", sets[n]);
    *length = (int) strlen(sets[n]) + 1;
    return MPI_SUCCESS;
}

int mpi__Session_get_info(struct mpi__session *session, struct mpi__info **info)
{
    *info = mpi__info_copy(session->info);
    return *info ? MPI_SUCCESS : mpi__no_memory();
}

static struct mpi__comm *comm_of_set(const char *name)
{
    if (name && strcmp(name, sets[0]) == 0) return &mpi__world;
    return name && strcmp(name, sets[1]) == 0 ? &mpi__self : NULL;
}

int mpi__Session_get_pset_info(struct mpi__session *session, const char *name, struct mpi__info **info)
{
    (void) session;
    char size[16];
    const struct mpi__comm *comm = comm_of_set(name);
    if (!comm) return mpi__fail(MPI_ERR_ARG, "there is no set of processes '%s'", name ? name : "NULL");
    *info = mpi__info_new();
    if (!*info) return mpi__no_memory();
    snprintf(size, sizeof size, "%d", comm->size);
    return mpi__info_put(*info, "mpi_size", size);
}

int mpi__Group_from_session_pset(struct mpi__session *session, const char *name, struct mpi__group **group)
{
    (void) session;
    const struct mpi__comm *comm = comm_of_set(name);
    if (!comm) return mpi__fail(MPI_ERR_ARG, "there is no set of processes '%s'", name ? name : "NULL");
    mpi__object_hold(&comm->group->object);
    *group = comm->group;
    return MPI_SUCCESS;
}

/* ---- environment --------------------------------------------------------------------------------- */

int mpi__Get_version(int *version, int *subversion)
{
    *version = MPI_VERSION;
    *subversion = MPI_SUBVERSION;
    return MPI_SUCCESS;
}

int mpi__Get_library_version(char *version, int *length)
{
    *length = snprintf(version, MPI_MAX_LIBRARY_VERSION_STRING, "AME %s, MPI %d.%d", ame_version(), MPI_VERSION,
                       MPI_SUBVERSION);
    return MPI_SUCCESS;
}

int mpi__Get_hw_resource_info(struct mpi__info **info)
{
    *info = mpi__info_new();
    return *info ? MPI_SUCCESS : mpi__no_memory();
}

int mpi__Get_processor_name(char *name, int *length)
{
    if (!name || !length) return mpi__fail(MPI_ERR_ARG, "argument '%s' is NULL", name ? "resultlen" : "name");
    if (gethostname(name, MPI_MAX_PROCESSOR_NAME) < 0) return mpi__fail(MPI_ERR_OTHER, "the host has no name");
    name[MPI_MAX_PROCESSOR_NAME - 1] = 0;
    *length = (int) strlen(name);
    return MPI_SUCCESS;
}

double mpi__Wtime(void)
{
    return ame_wtime();
}

double mpi__Wtick(void)
{
    struct timespec tick;
    return clock_getres(CLOCK_MONOTONIC, &tick) == 0 ? (double) tick.tv_sec + (double) tick.tv_nsec * 1e-9 : 1e-9;
}

int mpi__Alloc_mem(MPI_Aint size, struct mpi__info *info, void *baseptr)
{
    enum { ALIGNMENT = 64 };
    (void) info;
    if (size < 0 || !baseptr) return mpi__fail(MPI_ERR_ARG, "argument '%s' is wrong", baseptr ? "size" : "baseptr");
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, size ? (size_t) size : 1))
        return mpi__fail(MPI_ERR_NO_MEM, "out of memory for %lld bytes", (long long) size);
    *(void **) baseptr = memory;
    return MPI_SUCCESS;
}

int mpi__Free_mem(void *base)
{
    free(base);
    return MPI_SUCCESS;
}

int mpi__Get_address(const void *location, MPI_Aint *address)
{
    *address = (MPI_Aint) (uintptr_t) location;
    return MPI_SUCCESS;
}

int mpi__Address(void *location, MPI_Aint *address)
{
    return mpi__Get_address(location, address);
}

MPI_Aint mpi__Aint_add(MPI_Aint base, MPI_Aint disp)
{
    return (MPI_Aint) ((uintptr_t) base + (uintptr_t) disp);
}

MPI_Aint mpi__Aint_diff(MPI_Aint a, MPI_Aint b)
{
    return (MPI_Aint) ((uintptr_t) a - (uintptr_t) b);
}

/* ---- the ABI ------------------------------------------------------------------------------------- */
#ifdef MPICH_ABI_OF_AME
static int no_weights[2];
int *const MPI_UNWEIGHTED = &no_weights[0];
int *const MPI_WEIGHTS_EMPTY = &no_weights[1];
struct MPI_ABI_T_pvar_handle *const MPI_T_PVAR_ALL_HANDLES = (void *) no_weights;

int MPIR_Dup_fn(MPI_Comm comm, int keyval, void *extra, void *in, void *out, int *flag)
{
    (void) comm;
    (void) keyval;
    (void) extra;
    *(void **) out = in;
    *flag = 1;
    return MPI_SUCCESS;
}

/* Fortran's status is the same five integers. There are no files, so none but MPI_FILE_NULL has a number. */
int mpi__Status_c2f(const MPI_Status *c_status, MPI_Fint f_status[])
{
    memcpy(f_status, c_status, sizeof *c_status);
    return MPI_SUCCESS;
}

int mpi__Status_f2c(const MPI_Fint f_status[], MPI_Status *c_status)
{
    memcpy(c_status, f_status, sizeof *c_status);
    return MPI_SUCCESS;
}

MPI_Fint mpi__File_c2f(MPI_File file)
{
    (void) file;
    return 0;
}

MPI_File mpi__File_f2c(MPI_Fint file)
{
    (void) file;
    return MPI_FILE_NULL;
}
#else
int mpi__Abi_get_version(int *major, int *minor)
{
    *major = MPI_ABI_VERSION;
    *minor = MPI_ABI_SUBVERSION;
    return MPI_SUCCESS;
}

int mpi__Abi_get_info(struct mpi__info **info)
{
    struct mpi__info *made = mpi__info_new();
    int code = made ? mpi__info_put(made, "mpi_aint_size", "8") : mpi__no_memory();
    if (!code) code = mpi__info_put(made, "mpi_count_size", "8");
    if (!code) code = mpi__info_put(made, "mpi_offset_size", "8");
    if (code) {
        mpi__info_drop(made);
        return code;
    }
    *info = made;
    return MPI_SUCCESS;
}

static struct mpi__info *fortran; /* set by the program */
static struct {
    bool set;
    int size;
    unsigned char yes[16], no[16];
} booleans;

int mpi__Abi_get_fortran_info(struct mpi__info **info)
{
    *info = fortran ? mpi__info_copy(fortran) : NULL;
    return MPI_SUCCESS;
}

int mpi__Abi_set_fortran_info(struct mpi__info *info)
{
    if (fortran || ame_state != BEFORE)
        return mpi__fail(MPI_ERR_ABI, "the sizes of Fortran types have been set already");
    fortran = mpi__info_copy(info);
    return fortran ? MPI_SUCCESS : mpi__no_memory();
}

int mpi__Abi_get_fortran_booleans(int size, void *yes, void *no, int *is_set)
{
    *is_set = booleans.set && booleans.size == size;
    if (*is_set) {
        memcpy(yes, booleans.yes, (size_t) size);
        memcpy(no, booleans.no, (size_t) size);
    }
    return MPI_SUCCESS;
}

int mpi__Abi_set_fortran_booleans(int size, void *yes, void *no)
{
    if (booleans.set || ame_state != BEFORE) return mpi__fail(MPI_ERR_ABI, "they have been set already");
    if (size < 1 || size > 16) return mpi__fail(MPI_ERR_ARG, "argument 'logical_size' is %d", size);
    booleans.set = true;
    booleans.size = size;
    memcpy(booleans.yes, yes, (size_t) size);
    memcpy(booleans.no, no, (size_t) size);
    return MPI_SUCCESS;
}
#endif
