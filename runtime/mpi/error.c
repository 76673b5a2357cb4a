/* error.c - error classes and codes, their texts, and error handlers.
 *
 * A code that a function returns holds the class and the number of a slot in a ring of texts, where the details are until
 * RING_SIZE - 1 other errors have come: code = class | slot << CLASS_BITS. So MPI_Error_string tells what was wrong in this
 * very call, in which function and on which rank. Classes and codes that the program adds are above MPI_ERR_LASTCODE.
 */
#include "layer.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLASS_BITS = 7, RING_SIZE = 128, FIRST_ADDED = MPI_ERR_LASTCODE + 1, DETAILS_MAX = 320 };

#define CLASSES(X)                                                                                                     \
    X(SUCCESS, "no error")                                                                                             \
    X(ERR_BUFFER, "invalid buffer")                                                                                    \
    X(ERR_COUNT, "invalid count")                                                                                      \
    X(ERR_TYPE, "invalid datatype")                                                                                    \
    X(ERR_TAG, "invalid tag")                                                                                          \
    X(ERR_COMM, "invalid communicator")                                                                                \
    X(ERR_RANK, "invalid rank")                                                                                        \
    X(ERR_REQUEST, "invalid request")                                                                                  \
    X(ERR_ROOT, "invalid root")                                                                                        \
    X(ERR_GROUP, "invalid group")                                                                                      \
    X(ERR_OP, "invalid operation")                                                                                     \
    X(ERR_TOPOLOGY, "invalid topology")                                                                                \
    X(ERR_DIMS, "invalid dimension")                                                                                   \
    X(ERR_ARG, "invalid argument")                                                                                     \
    X(ERR_UNKNOWN, "unknown error")                                                                                    \
    X(ERR_TRUNCATE, "message longer than the receive buffer")                                                          \
    X(ERR_OTHER, "error")                                                                                              \
    X(ERR_INTERN, "internal error")                                                                                    \
    X(ERR_PENDING, "the request has not completed")                                                                    \
    X(ERR_IN_STATUS, "the error is in the status of a request")                                                        \
    X(ERR_ACCESS, "permission denied")                                                                                 \
    X(ERR_AMODE, "invalid access mode")                                                                                \
    X(ERR_ASSERT, "invalid assertion")                                                                                 \
    X(ERR_BAD_FILE, "invalid file name")                                                                               \
    X(ERR_BASE, "invalid base address")                                                                                \
    X(ERR_CONVERSION, "error in a data conversion function")                                                           \
    X(ERR_DISP, "invalid displacement")                                                                                \
    X(ERR_DUP_DATAREP, "the data representation is defined already")                                                   \
    X(ERR_FILE_EXISTS, "the file exists")                                                                              \
    X(ERR_FILE_IN_USE, "the file is in use")                                                                           \
    X(ERR_FILE, "invalid file handle")                                                                                 \
    X(ERR_INFO_KEY, "invalid key of an info object")                                                                   \
    X(ERR_INFO_NOKEY, "no such key in the info object")                                                                \
    X(ERR_INFO_VALUE, "invalid value for an info object")                                                              \
    X(ERR_INFO, "invalid info object")                                                                                 \
    X(ERR_IO, "input or output error")                                                                                 \
    X(ERR_KEYVAL, "invalid attribute key")                                                                             \
    X(ERR_LOCKTYPE, "invalid lock type")                                                                               \
    X(ERR_NAME, "no such service name")                                                                                \
    X(ERR_NO_MEM, "out of memory")                                                                                     \
    X(ERR_NOT_SAME, "an argument is not the same on all ranks")                                                        \
    X(ERR_NO_SPACE, "no space left")                                                                                   \
    X(ERR_NO_SUCH_FILE, "no such file")                                                                                \
    X(ERR_PORT, "invalid port name")                                                                                   \
    X(ERR_QUOTA, "quota exceeded")                                                                                     \
    X(ERR_READ_ONLY, "the file is read-only")                                                                          \
    X(ERR_RMA_ATTACH, "memory cannot be attached")                                                                     \
    X(ERR_RMA_CONFLICT, "conflicting accesses to a window")                                                            \
    X(ERR_RMA_RANGE, "outside of the window")                                                                          \
    X(ERR_RMA_SHARED, "memory cannot be shared")                                                                       \
    X(ERR_RMA_SYNC, "wrong synchronization of a window")                                                               \
    X(ERR_SERVICE, "invalid service name")                                                                             \
    X(ERR_SIZE, "invalid size")                                                                                        \
    X(ERR_SPAWN, "processes cannot be started")                                                                        \
    X(ERR_UNSUPPORTED_DATAREP, "unsupported data representation")                                                      \
    X(ERR_UNSUPPORTED_OPERATION, "not supported")                                                                      \
    X(ERR_WIN, "invalid window")                                                                                       \
    X(ERR_RMA_FLAVOR, "wrong kind of window")                                                                          \
    X(ERR_PROC_ABORTED, "another rank has ended")                                                                      \
    X(ERR_VALUE_TOO_LARGE, "the value is too large to be stored")                                                      \
    X(ERR_SESSION, "invalid session")                                                                                  \
    X(ERR_ERRHANDLER, "invalid error handler")                                                                         \
    X(ERR_ABI, "not possible with this ABI")                                                                           \
    X(T_ERR_CANNOT_INIT, "the tools interface cannot be initialized")                                                  \
    X(T_ERR_NOT_ACCESSIBLE, "not accessible")                                                                          \
    X(T_ERR_NOT_INITIALIZED, "the tools interface is not initialized")                                                 \
    X(T_ERR_NOT_SUPPORTED, "not supported")                                                                            \
    X(T_ERR_MEMORY, "out of memory")                                                                                   \
    X(T_ERR_INVALID, "invalid argument")                                                                               \
    X(T_ERR_INVALID_INDEX, "invalid index")                                                                            \
    X(T_ERR_INVALID_ITEM, "invalid item")                                                                              \
    X(T_ERR_INVALID_SESSION, "invalid session")                                                                        \
    X(T_ERR_INVALID_HANDLE, "invalid handle")                                                                          \
    X(T_ERR_INVALID_NAME, "no such name")                                                                              \
    X(T_ERR_OUT_OF_HANDLES, "no more handles")                                                                         \
    X(T_ERR_OUT_OF_SESSIONS, "no more sessions")                                                                       \
    X(T_ERR_CVAR_SET_NOT_NOW, "the variable cannot be set now")                                                        \
    X(T_ERR_CVAR_SET_NEVER, "the variable cannot be set")                                                              \
    X(T_ERR_PVAR_NO_WRITE, "the variable cannot be written")                                                           \
    X(T_ERR_PVAR_NO_STARTSTOP, "the variable cannot be started and stopped")                                           \
    X(T_ERR_PVAR_NO_ATOMIC, "the variable cannot be read and reset at once")

static const struct {
    int class;
    const char *name, *text;
} classes[] = {
#define CLASS(name, text) {MPI_##name, "MPI_" #name, text},
    CLASSES(CLASS)
#undef CLASS
};

/* A class or code that the program has added. */
struct added {
    bool used, is_class;
    int class;
    char *text;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char ring[RING_SIZE][MPI_MAX_ERROR_STRING];
static int ring_next = 1;
static struct added *added;
static int added_count;
int mpi__last_used_code = MPI_ERR_LASTCODE; /* behind MPI_LASTUSEDCODE */
static _Thread_local char details[DETAILS_MAX];
static _Thread_local struct mpi__comm *raised_on;
static _Thread_local bool job_has_ended;

struct mpi__errhandler mpi__errors_are_fatal = {.what = MPI__FATAL}, mpi__errors_abort = {.what = MPI__ABORT},
                       mpi__errors_return = {.what = MPI__RETURN};

/* ---- wording ------------------------------------------------------------------------------------- */

int mpi__fail(int class, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(details, sizeof details, format, arguments);
    va_end(arguments);
    return class;
}

int mpi__no_memory(void)
{
    return mpi__fail(MPI_ERR_NO_MEM, "out of memory");
}

int mpi__bad_handle(int class, const char *argument, bool null)
{
    return mpi__fail(class, "argument '%s' %s", argument,
                     null ? "is a null handle" : "is no valid handle of its kind (freed already?)");
}

int mpi__fail_ame(int code)
{
    static const struct {
        int code, class;
    } table[] = {{AME_E_ARG, MPI_ERR_ARG},
                 {AME_E_RANK, MPI_ERR_RANK},
                 {AME_E_TAG, MPI_ERR_TAG},
                 {AME_E_COMM, MPI_ERR_COMM},
                 {AME_E_REQUEST, MPI_ERR_REQUEST},
                 {AME_E_TYPE, MPI_ERR_OP},
                 {AME_E_TRUNCATED, MPI_ERR_TRUNCATE},
                 {AME_E_MISMATCH, MPI_ERR_TRUNCATE},
                 {AME_E_NOMEM, MPI_ERR_NO_MEM},
                 {AME_E_PEER_FAILED, MPI_ERR_PROC_ABORTED},
                 {AME_E_PEER_LEFT, MPI_ERR_PROC_ABORTED},
                 {AME_E_ABORTED, MPI_ERR_PROC_ABORTED},
                 {AME_E_INTERNAL, MPI_ERR_INTERN}};
    if (code == AME_OK) return MPI_SUCCESS;
    if (code == AME_E_ABORTED) job_has_ended = true;
    const char *text = ame_last_error();
    if (strncmp(text, "ame_", 4) == 0 && strstr(text, ": "))
        text = strstr(text, ": ") + 2; /* MPI's name is put there */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code) return mpi__fail(table[i].class, "%s", text);
    return mpi__fail(MPI_ERR_OTHER, "%s", text);
}

static const char *class_text(int class)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].class == class) return classes[i].text;
    return NULL;
}

static const char *class_name(int class)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].class == class) return classes[i].name;
    return "an error class of the program";
}

/* The slot of the ring in `code`; 0: it is a class. */
static int slot_of(int code)
{
    if (code <= 0 || code > MPI_ERR_LASTCODE || class_text(code)) return 0;
    return code >> CLASS_BITS < RING_SIZE ? code >> CLASS_BITS : 0;
}

int mpi__code(int class, const char *function)
{
    char host[48] = "?";
    if (class >= 1 << CLASS_BITS || class <= MPI_SUCCESS) return class; /* it has a text already, or is the program's */
    gethostname(host, sizeof host - 1);
    pthread_mutex_lock(&lock);
    int slot = ring_next;
    ring_next = ring_next + 1 < RING_SIZE ? ring_next + 1 : 1;
    int code = class | slot << CLASS_BITS;
    if (mpi__world.group)
        snprintf(ring[slot], sizeof ring[slot], "%s: %s: %s (rank %d on %s)", function, class_name(class),
                 *details ? details : class_text(class), mpi__world.rank, host);
    else
        snprintf(ring[slot], sizeof ring[slot], "%s: %s: %s (on %s)", function, class_name(class),
                 *details ? details : class_text(class), host);
    pthread_mutex_unlock(&lock);
    *details = 0;
    return code;
}

/* ---- error handlers ------------------------------------------------------------------------------ */

static _Noreturn void end_job(int code, const char *function)
{
    char text[MPI_MAX_ERROR_STRING];
    int length, class = MPI_ERR_OTHER;
    (void) mpi__Error_string(code, text, &length);
    (void) mpi__Error_class(code, &class);
    fflush(stdout);
    if (job_has_ended) ame_abort(class > 0 && class < 126 ? class : 1); /* the rank that ended it has said why */
    if (slot_of(code))
        fprintf(stderr, "%s\n", text);
    else
        fprintf(stderr, "%s: %s\n", function, text);
    ame_abort(class > 0 && class < 126 ? class : 1);
}

static struct mpi__errhandler *handler_of(struct mpi__object *object)
{
    struct mpi__errhandler *handler = NULL;
    switch (object ? object->magic - MPI__MAGIC : 0) {
    case MPI__COMM: handler = ((struct mpi__comm *) object)->errhandler; break;
    case MPI__FILE: handler = ((struct mpi__file *) object)->errhandler; break;
    case MPI__SESSION: handler = ((struct mpi__session *) object)->errhandler; break;
    default: break;
    }
    return handler ? handler : &mpi__errors_are_fatal;
}

/* Errors of calls without a communicator belong to MPI_COMM_SELF since MPI 4; before, to MPI_COMM_WORLD. A program that has
 * set a handler for one of the two means them. */
static struct mpi__object *default_object(void)
{
    return mpi__self.errhandler == &mpi__errors_are_fatal ? &mpi__world.object : &mpi__self.object;
}

int mpi__raise_code(struct mpi__object *object, int code, const char *function)
{
    if (code == MPI_SUCCESS) return code;
    if (!object) object = default_object();
    struct mpi__errhandler *handler = handler_of(object);
    switch (handler->what) {
    case MPI__RETURN: return code;
    case MPI__USER:
        mpi__object_hold(&handler->object);
        if (handler->kind == MPI__COMM) {
            MPI_Comm comm = MPI__FROM_BITS(MPI_Comm, object->handle);
            handler->function(&comm, &code, function);
        } else if (handler->kind == MPI__FILE) {
            MPI_File file = MPI__POINTER_FROM_BITS(MPI_File, object->handle);
            handler->function(&file, &code, function);
        } else {
            MPI_Session session = MPI__FROM_BITS(MPI_Session, object->handle);
            handler->function(&session, &code, function);
        }
        /* predefined ones, which are not allocated, are not MPI__USER */
        if (mpi__object_drop(&handler->object)) free(handler); // NOLINT(clang-analyzer-unix.Malloc)
        return code;
    case MPI__FATAL:
    case MPI__ABORT: break;
    }
    end_job(code, function);
}

void mpi__raise_on(struct mpi__comm *comm)
{
    if (comm) mpi__object_hold(&comm->object);
    mpi__comm_drop(raised_on);
    raised_on = comm;
}

int mpi__raise(struct mpi__object *object, int class, const char *function)
{
    struct mpi__comm *comm = raised_on;
    raised_on = NULL;
    int code = mpi__raise_code(comm ? &comm->object : object, mpi__code(class, function), function);
    mpi__comm_drop(comm);
    return code;
}

int mpi__unsupported(const char *function)
{
    int class =
        mpi__fail(MPI_ERR_UNSUPPORTED_OPERATION, "AME does not implement this function (ame-info --mpi lists all)");
    bool file = strncmp(function, "MPI_File_", 9) == 0;
    if (!file && mpi__running()) return mpi__code(class, function);
    return mpi__raise(file ? &mpi__no_file.object : NULL, class, function);
}

void mpi__errhandler_set(struct mpi__errhandler **place, struct mpi__errhandler *errhandler)
{
    struct mpi__errhandler *old = *place;
    if (errhandler) mpi__object_hold(&errhandler->object);
    *place = errhandler;
    if (old && mpi__object_drop(&old->object)) free(old);
}

static int create(enum mpi__kind kind, void (*function)(void *, int *, ...), struct mpi__errhandler **errhandler)
{
    struct mpi__errhandler *made = calloc(1, sizeof *made);
    if (!made || mpi__object_init(&made->object, MPI__ERRHANDLER)) {
        free(made);
        return mpi__no_memory();
    }
    made->kind = kind;
    made->what = MPI__USER;
    made->function = function;
    *errhandler = made;
    return MPI_SUCCESS;
}

typedef void generic_handler(void *, int *, ...);

int mpi__Comm_create_errhandler(MPI_Comm_errhandler_function *function, struct mpi__errhandler **errhandler)
{
    return create(MPI__COMM, (generic_handler *) function, errhandler);
}

int mpi__File_create_errhandler(MPI_File_errhandler_function *function, struct mpi__errhandler **errhandler)
{
    return create(MPI__FILE, (generic_handler *) function, errhandler);
}

int mpi__Win_create_errhandler(MPI_Win_errhandler_function *function, struct mpi__errhandler **errhandler)
{
    return create(MPI__WIN, (generic_handler *) function, errhandler);
}

int mpi__Session_create_errhandler(MPI_Session_errhandler_function *function, struct mpi__errhandler **errhandler)
{
    return create(MPI__SESSION, (generic_handler *) function, errhandler);
}

int mpi__Errhandler_create(MPI_Comm_errhandler_function *function, struct mpi__errhandler **errhandler)
{
    return mpi__Comm_create_errhandler(function, errhandler);
}

int mpi__Errhandler_free(struct mpi__errhandler *errhandler)
{
    if (mpi__object_drop(&errhandler->object)) free(errhandler);
    return MPI_SUCCESS;
}

static int set(struct mpi__errhandler **place, enum mpi__kind kind, struct mpi__errhandler *errhandler)
{
    if (errhandler->what == MPI__USER && errhandler->kind != kind)
        return mpi__fail(MPI_ERR_ARG, "argument 'errhandler' was created for another kind of object");
    mpi__errhandler_set(place, errhandler);
    return MPI_SUCCESS;
}

static int get(struct mpi__errhandler *current, struct mpi__errhandler **errhandler)
{
    *errhandler = current ? current : &mpi__errors_are_fatal;
    mpi__object_hold(&(*errhandler)->object);
    return MPI_SUCCESS;
}

static int call(struct mpi__object *object, int code)
{
    (void) mpi__raise_code(object, code, "MPI_Comm_call_errhandler");
    return MPI_SUCCESS;
}

int mpi__Comm_set_errhandler(struct mpi__comm *comm, struct mpi__errhandler *errhandler)
{
    return set(&comm->errhandler, MPI__COMM, errhandler);
}

int mpi__Comm_get_errhandler(struct mpi__comm *comm, struct mpi__errhandler **errhandler)
{
    return get(comm->errhandler, errhandler);
}

int mpi__Comm_call_errhandler(struct mpi__comm *comm, int code)
{
    return call(&comm->object, code);
}

int mpi__Errhandler_set(struct mpi__comm *comm, struct mpi__errhandler *errhandler)
{
    return mpi__Comm_set_errhandler(comm, errhandler);
}

int mpi__Errhandler_get(struct mpi__comm *comm, struct mpi__errhandler **errhandler)
{
    return mpi__Comm_get_errhandler(comm, errhandler);
}

int mpi__File_set_errhandler(struct mpi__file *file, struct mpi__errhandler *errhandler)
{
    return set(file ? &file->errhandler : &mpi__no_file.errhandler, MPI__FILE, errhandler);
}

int mpi__File_get_errhandler(struct mpi__file *file, struct mpi__errhandler **errhandler)
{
    return get(file ? file->errhandler : mpi__no_file.errhandler, errhandler);
}

int mpi__File_call_errhandler(struct mpi__file *file, int code)
{
    return call(file ? &file->object : &mpi__no_file.object, code);
}

int mpi__Session_set_errhandler(struct mpi__session *session, struct mpi__errhandler *errhandler)
{
    return set(&session->errhandler, MPI__SESSION, errhandler);
}

int mpi__Session_get_errhandler(struct mpi__session *session, struct mpi__errhandler **errhandler)
{
    return get(session->errhandler, errhandler);
}

int mpi__Session_call_errhandler(struct mpi__session *session, int code)
{
    return call(&session->object, code);
}

/* ---- classes and codes --------------------------------------------------------------------------- */

static struct added *added_of(int code)
{
    int at = code - FIRST_ADDED;
    return at >= 0 && at < added_count && added[at].used ? &added[at] : NULL;
}

int mpi__Error_class(int code, int *class)
{
    int result = MPI_SUCCESS;
    pthread_mutex_lock(&lock);
    struct added *own = added_of(code);
    if (own)
        *class = own->class;
    else if (class_text(code))
        *class = code;
    else if (slot_of(code) && class_text(code & ((1 << CLASS_BITS) - 1)))
        *class = code & ((1 << CLASS_BITS) - 1);
    else
        result = MPI_ERR_ARG;
    pthread_mutex_unlock(&lock);
    return result ? mpi__fail(result, "argument 'errorcode' is %d, which is no error code", code) : MPI_SUCCESS;
}

int mpi__Error_string(int code, char *string, int *length)
{
    int result = MPI_SUCCESS;
    pthread_mutex_lock(&lock);
    struct added *own = added_of(code);
    if (own)
        *length = snprintf(string, MPI_MAX_ERROR_STRING, "%s", own->text ? own->text : "");
    else if (class_text(code))
        *length = snprintf(string, MPI_MAX_ERROR_STRING, "%s: %s", class_name(code), class_text(code));
    else if (slot_of(code))
        *length = snprintf(string, MPI_MAX_ERROR_STRING, "%s", ring[slot_of(code)]);
    else
        result = MPI_ERR_ARG;
    pthread_mutex_unlock(&lock);
    if (!result && *length >= MPI_MAX_ERROR_STRING) *length = MPI_MAX_ERROR_STRING - 1;
    return result ? mpi__fail(result, "argument 'errorcode' is %d, which is no error code", code) : MPI_SUCCESS;
}

static int add(bool is_class, int class, int *code)
{
    pthread_mutex_lock(&lock);
    int at = added_count;
    struct added *more = realloc(added, (size_t) (at + 1) * sizeof *more);
    if (more) {
        added = more;
        added_count++;
        *code = FIRST_ADDED + at;
        added[at] = (struct added){.used = true, .is_class = is_class, .class = is_class ? *code : class};
        mpi__last_used_code = *code;
    }
    pthread_mutex_unlock(&lock);
    return more ? MPI_SUCCESS : mpi__no_memory();
}

int mpi__Add_error_class(int *class)
{
    return add(true, 0, class);
}

int mpi__Add_error_code(int class, int *code)
{
    int same = MPI_SUCCESS;
    if (mpi__Error_class(class, &same) || same != class)
        return mpi__fail(MPI_ERR_ARG, "argument 'errorclass' is %d, which is no error class", class);
    return add(false, class, code);
}

int mpi__Add_error_string(int code, const char *string)
{
    char *copy = string ? strdup(string) : NULL;
    if (!copy) return string ? mpi__no_memory() : mpi__fail(MPI_ERR_ARG, "argument 'string' is NULL");
    pthread_mutex_lock(&lock);
    struct added *own = added_of(code);
    if (own) {
        free(own->text);
        own->text = copy;
        if (strlen(copy) >= MPI_MAX_ERROR_STRING) copy[MPI_MAX_ERROR_STRING - 1] = 0;
    }
    pthread_mutex_unlock(&lock);
    if (own) return MPI_SUCCESS;
    free(copy);
    return mpi__fail(MPI_ERR_ARG, "argument 'errorcode' is %d, which was not made by MPI_Add_error_class or _code",
                     code);
}

static int remove_added(int code, int what, const char *argument)
{
    enum { CLASS_ITSELF, CODE_ITSELF, ITS_TEXT };
    int result = MPI_ERR_ARG;
    pthread_mutex_lock(&lock);
    struct added *own = added_of(code);
    bool in_use = false;
    if (own && what == CLASS_ITSELF)
        for (int i = 0; i < added_count; i++) in_use |= added[i].used && !added[i].is_class && added[i].class == code;
    if (own && what == ITS_TEXT && own->text) {
        free(own->text);
        own->text = NULL;
        result = MPI_SUCCESS;
    } else if (own && what != ITS_TEXT && own->is_class == (what == CLASS_ITSELF) && !own->text && !in_use) {
        own->used = false;
        result = MPI_SUCCESS;
        while (added_count && !added[added_count - 1].used) added_count--;
        mpi__last_used_code = MPI_ERR_LASTCODE + added_count;
    }
    pthread_mutex_unlock(&lock);
    if (!result) return result;
    return mpi__fail(result, "argument '%s' is %d, which cannot be removed (not made by the program, or in use)",
                     argument, code);
}

int mpi__Remove_error_class(int class)
{
    return remove_added(class, 0, "errorclass");
}

int mpi__Remove_error_code(int code)
{
    return remove_added(code, 1, "errorcode");
}

int mpi__Remove_error_string(int code)
{
    return remove_added(code, 2, "errorcode");
}
