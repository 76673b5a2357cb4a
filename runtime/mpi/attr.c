/* attr.c - attributes: values that a program attaches to communicators, datatypes and windows, and the functions that copy
 * and delete them.
 *
 * A keyval is a number: in the table below, for keyvals of the program, or one of the predefined ones. The table only
 * grows; a freed keyval stays until the last attribute that uses it is gone. The functions are called without the lock.
 * MPI_NULL_COPY_FN, MPI_DUP_FN and MPI_NULL_DELETE_FN are values, not functions, and never called.
 */
#include "layer.h"

#include <pthread.h>
#include <stdlib.h>

typedef int copy_fn(uintptr_t handle, int keyval, void *extra, void *in, void *out, int *flag);

struct keyval {
    bool used, freed;
    enum mpi__kind kind;
    int references; /* attributes that use it, and one until it is freed */
    void (*copy)(void), (*delete)(void);
    void *extra;
};

struct mpi__attribute {
    struct mpi__attribute *next; /* the one set before */
    int keyval;
    void *value;
};

enum {
#ifdef MPICH_ABI_OF_AME
    FIRST_KEYVAL = 0x24000001
#else
    FIRST_KEYVAL = 1024
#endif
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct keyval *keyvals;
static int keyval_count;

static struct keyval *find_keyval(int number)
{
    int at = number - FIRST_KEYVAL;
    return at >= 0 && at < keyval_count && keyvals[at].used ? &keyvals[at] : NULL;
}

static int bad_keyval(int number)
{
    return mpi__fail(MPI_ERR_KEYVAL, "the keyval %d is not valid here (freed already, of another kind, or predefined)",
                     number);
}

static int keyval_create(enum mpi__kind kind, void (*copy)(void), void (*delete)(void), int *number, void *extra)
{
    pthread_mutex_lock(&lock);
    int at = 0;
    while (at < keyval_count && keyvals[at].used) at++;
    struct keyval *more = at < keyval_count ? keyvals : realloc(keyvals, (size_t) (at + 1) * sizeof *more);
    if (more) {
        keyvals = more;
        if (at == keyval_count) keyval_count++;
        keyvals[at] = (struct keyval){
            .used = true, .kind = kind, .references = 1, .copy = copy, .delete = delete, .extra = extra};
        *number = FIRST_KEYVAL + at;
    }
    pthread_mutex_unlock(&lock);
    return more ? MPI_SUCCESS : mpi__no_memory();
}

static void keyval_drop(int number)
{
    struct keyval *keyval = find_keyval(number);
    if (keyval && --keyval->references == 0) keyval->used = false;
}

static int keyval_free(enum mpi__kind kind, int *number)
{
    pthread_mutex_lock(&lock);
    struct keyval *keyval = find_keyval(*number);
    bool good = keyval && keyval->kind == kind; /* as long as attributes use it, it may be freed again */
    if (good && !keyval->freed) {
        keyval->freed = true;
        keyval_drop(*number);
    }
    pthread_mutex_unlock(&lock);
    if (!good) return bad_keyval(*number);
    *number = MPI_KEYVAL_INVALID;
    return MPI_SUCCESS;
}

/* ---- calling the program's functions ------------------------------------------------------------- */

static int call_delete(const struct keyval *keyval, int number, uintptr_t handle, void *value)
{
    if ((MPI_Delete_function *) keyval->delete == MPI_NULL_DELETE_FN) return MPI_SUCCESS;
    if (keyval->kind == MPI__DATATYPE)
        return ((MPI_Type_delete_attr_function *) keyval->delete)(MPI__FROM_BITS(MPI_Datatype, handle), number, value,
                                                                  keyval->extra);
    return ((MPI_Comm_delete_attr_function *) keyval->delete)(MPI__FROM_BITS(MPI_Comm, handle), number, value,
                                                              keyval->extra);
}

static int call_copy(const struct keyval *keyval, int number, uintptr_t handle, void *in, void *out, int *flag)
{
    *flag = 0;
    if ((MPI_Copy_function *) keyval->copy == MPI_NULL_COPY_FN) return MPI_SUCCESS;
    if ((MPI_Copy_function *) keyval->copy == MPI_DUP_FN) {
        *flag = 1;
        *(void **) out = in;
        return MPI_SUCCESS;
    }
    if (keyval->kind == MPI__DATATYPE)
        return ((MPI_Type_copy_attr_function *) keyval->copy)(MPI__FROM_BITS(MPI_Datatype, handle), number,
                                                              keyval->extra, in, out, flag);
    return ((MPI_Comm_copy_attr_function *) keyval->copy)(MPI__FROM_BITS(MPI_Comm, handle), number, keyval->extra, in,
                                                          out, flag);
}

static struct mpi__attribute **place_of(struct mpi__attribute **list, int number)
{
    while (*list && (*list)->keyval != number) list = &(*list)->next;
    return list;
}

/* A copy of the keyval, for use without the lock; false: there is none of this kind. */
static bool keyval_get(enum mpi__kind kind, int number, struct keyval *copy)
{
    pthread_mutex_lock(&lock);
    struct keyval *keyval = find_keyval(number);
    bool good = keyval && keyval->kind == kind;
    if (good) *copy = *keyval;
    pthread_mutex_unlock(&lock);
    return good;
}

static int delete_at(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute **list, int number)
{
    struct keyval keyval;
    struct mpi__attribute *attribute = *place_of(list, number);
    if (!attribute || !keyval_get(kind, number, &keyval)) return bad_keyval(number);
    int code = call_delete(&keyval, number, handle, attribute->value);
    if (code) return code;
    pthread_mutex_lock(&lock);
    struct mpi__attribute **place = place_of(list, number); /* the function may have changed the list */
    if (*place == attribute) *place = attribute->next;
    keyval_drop(number);
    pthread_mutex_unlock(&lock);
    free(attribute);
    return MPI_SUCCESS;
}

static int set(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute **list, int number, void *value)
{
    struct keyval keyval;
    if (!keyval_get(kind, number, &keyval) || keyval.freed) return bad_keyval(number);
    struct mpi__attribute *old = *place_of(list, number);
    if (old) {
        int code = call_delete(&keyval, number, handle, old->value);
        if (!code) old->value = value;
        return code;
    }
    struct mpi__attribute *attribute = calloc(1, sizeof *attribute);
    if (!attribute) return mpi__no_memory();
    *attribute = (struct mpi__attribute){.keyval = number, .value = value};
    pthread_mutex_lock(&lock);
    attribute->next = *list;
    *list = attribute;
    find_keyval(number)->references++;
    pthread_mutex_unlock(&lock);
    return MPI_SUCCESS;
}

static int get(enum mpi__kind kind, struct mpi__attribute *list, int number, void *value, int *flag)
{
    struct keyval keyval;
    if (!keyval_get(kind, number, &keyval)) return bad_keyval(number);
    struct mpi__attribute *attribute = *place_of(&list, number);
    *flag = attribute != NULL;
    if (attribute) *(void **) value = attribute->value;
    return MPI_SUCCESS;
}

int mpi__attributes_delete(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute **list)
{
    while (*list) {
        int code = delete_at(kind, handle, list, (*list)->keyval);
        if (code) return code;
    }
    return MPI_SUCCESS;
}

/* The oldest first, so that the order in the copy is the same. */
static int copy_from(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute *from, struct mpi__attribute **to)
{
    struct keyval keyval;
    void *value = NULL;
    int flag = 0;
    if (!from) return MPI_SUCCESS;
    int code = copy_from(kind, handle, from->next, to);
    if (code || !keyval_get(kind, from->keyval, &keyval)) return code;
    code = call_copy(&keyval, from->keyval, handle, from->value, &value, &flag);
    if (code || !flag) return code;
    struct mpi__attribute *attribute = calloc(1, sizeof *attribute);
    if (!attribute) return mpi__no_memory();
    *attribute = (struct mpi__attribute){.keyval = from->keyval, .value = value};
    pthread_mutex_lock(&lock);
    attribute->next = *to;
    *to = attribute;
    find_keyval(from->keyval)->references++;
    pthread_mutex_unlock(&lock);
    return MPI_SUCCESS;
}

int mpi__attributes_copy(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute *from, struct mpi__attribute **to)
{
    return copy_from(kind, handle, from, to);
}

/* ---- communicators ------------------------------------------------------------------------------- */

int mpi__Comm_create_keyval(MPI_Comm_copy_attr_function *copy, MPI_Comm_delete_attr_function *delete, int *keyval,
                            void *extra)
{
    return keyval_create(MPI__COMM, (void (*)(void)) copy, (void (*)(void)) delete, keyval, extra);
}

int mpi__Comm_free_keyval(int *keyval)
{
    return keyval_free(MPI__COMM, keyval);
}

int mpi__Comm_set_attr(struct mpi__comm *comm, int keyval, void *value)
{
    return set(MPI__COMM, comm->object.handle, &comm->attributes, keyval, value);
}

int mpi__Comm_delete_attr(struct mpi__comm *comm, int keyval)
{
    return delete_at(MPI__COMM, comm->object.handle, &comm->attributes, keyval);
}

extern int mpi__last_used_code;

/* The predefined attributes: the value is a pointer to an int. */
static int *predefined(int keyval, bool *known)
{
    static int tag_ub = AME_TAG_MAX, host = MPI_PROC_NULL, io = MPI_ANY_SOURCE, no = 0, size;
    *known = true;
    switch (keyval) {
    case MPI_TAG_UB: return &tag_ub;
    case MPI_HOST: return &host;
    case MPI_IO: return &io;
    case MPI_WTIME_IS_GLOBAL: return &no;
    case MPI_LASTUSEDCODE: return &mpi__last_used_code;
    case MPI_UNIVERSE_SIZE: size = mpi__world.size; return &size;
    case MPI_APPNUM: return &no;
    default: *known = false; return NULL;
    }
}

int mpi__Comm_get_attr(struct mpi__comm *comm, int keyval, void *value, int *flag)
{
    bool known;
    if (!value) return mpi__fail(MPI_ERR_ARG, "argument 'attribute_val' is NULL");
    int *attribute = predefined(keyval, &known);
    if (!known) return get(MPI__COMM, comm->attributes, keyval, value, flag);
    *flag = attribute != NULL;
    if (attribute) *(int **) value = attribute;
    return MPI_SUCCESS;
}

int mpi__Keyval_create(MPI_Copy_function *copy, MPI_Delete_function *delete, int *keyval, void *extra)
{
    return mpi__Comm_create_keyval(copy, delete, keyval, extra);
}

int mpi__Keyval_free(int *keyval)
{
    return mpi__Comm_free_keyval(keyval);
}

int mpi__Attr_put(struct mpi__comm *comm, int keyval, void *value)
{
    return mpi__Comm_set_attr(comm, keyval, value);
}

int mpi__Attr_get(struct mpi__comm *comm, int keyval, void *value, int *flag)
{
    return mpi__Comm_get_attr(comm, keyval, value, flag);
}

int mpi__Attr_delete(struct mpi__comm *comm, int keyval)
{
    return mpi__Comm_delete_attr(comm, keyval);
}

/* ---- datatypes, windows -------------------------------------------------------------------------- */

int mpi__Type_create_keyval(MPI_Type_copy_attr_function *copy, MPI_Type_delete_attr_function *delete, int *keyval,
                            void *extra)
{
    return keyval_create(MPI__DATATYPE, (void (*)(void)) copy, (void (*)(void)) delete, keyval, extra);
}

int mpi__Type_free_keyval(int *keyval)
{
    return keyval_free(MPI__DATATYPE, keyval);
}

int mpi__Type_set_attr(struct mpi__type *type, int keyval, void *value)
{
    return set(MPI__DATATYPE, type->object.handle, &type->attributes, keyval, value);
}

int mpi__Type_get_attr(struct mpi__type *type, int keyval, void *value, int *flag)
{
    if (!value) return mpi__fail(MPI_ERR_ARG, "argument 'attribute_val' is NULL");
    return get(MPI__DATATYPE, type->attributes, keyval, value, flag);
}

int mpi__Type_delete_attr(struct mpi__type *type, int keyval)
{
    return delete_at(MPI__DATATYPE, type->object.handle, &type->attributes, keyval);
}

int mpi__Win_create_keyval(MPI_Win_copy_attr_function *copy, MPI_Win_delete_attr_function *delete, int *keyval,
                           void *extra)
{
    return keyval_create(MPI__WIN, (void (*)(void)) copy, (void (*)(void)) delete, keyval, extra);
}

int mpi__Win_free_keyval(int *keyval)
{
    return keyval_free(MPI__WIN, keyval);
}
