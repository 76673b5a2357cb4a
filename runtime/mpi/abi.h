/* abi.h - handles of this ABI to objects and back; included by layer.h.
 *
 * In the standard ABI a handle is a small number for what is predefined, else the address of the object. In MPICH's it is a
 * number with the kind in its upper bits, which is looked up in the table of object.c.
 */
#ifndef AME_MPI_ABI_H
#define AME_MPI_ABI_H

#include "mpi/layer.h"

enum { MPI__PREDEFINED = 1024 };
extern struct mpi__object *mpi__predefined[MPI__PREDEFINED];

#ifdef MPICH_ABI_OF_AME
#define MPI__BITS(handle)                  ((uintptr_t) (unsigned) (handle))
#define MPI__POINTER_BITS(handle)          ((uintptr_t) (handle))
#define MPI__FROM_BITS(type, bits)         ((type) (unsigned) (bits))
#define MPI__POINTER_FROM_BITS(type, bits) ((type) (bits))
#else
#define MPI__BITS(handle)                  ((uintptr_t) (handle))
#define MPI__POINTER_BITS(handle)          ((uintptr_t) (handle))
#define MPI__FROM_BITS(type, bits)         ((type) (bits))
#define MPI__POINTER_FROM_BITS(type, bits) ((type) (bits))
#endif

int mpi__bad_handle(int class, const char *argument, bool null);

#ifdef MPICH_ABI_OF_AME
#define MPI__FIND(kind, bits) mpi__object_find(kind, bits)
#else
static inline struct mpi__object *mpi__find(enum mpi__kind kind, uintptr_t bits)
{
    struct mpi__object *object = bits < MPI__PREDEFINED ? mpi__predefined[bits] : (struct mpi__object *) bits;
    return object && object->magic == MPI__MAGIC + kind ? object : NULL;
}
#define MPI__FIND(kind, bits) mpi__find(kind, bits)
#endif

/* For each kind: mpi__in_x (checked argument), mpi__in_x_or_null, mpi__out_x. */
#define MPI__HANDLE(lower, struct_name, Type, KIND, NULL_HANDLE, ERR, BITS, FROM)                                      \
    static inline struct struct_name *mpi__##lower##_of(Type handle)                                                   \
    {                                                                                                                  \
        return (struct struct_name *) MPI__FIND(KIND, BITS(handle));                                                   \
    }                                                                                                                  \
    static inline int mpi__in_##lower(Type handle, const char *argument, struct struct_name **object)                  \
    {                                                                                                                  \
        *object = mpi__##lower##_of(handle);                                                                           \
        return *object ? MPI_SUCCESS : mpi__bad_handle(ERR, argument, handle == NULL_HANDLE);                          \
    }                                                                                                                  \
    static inline int mpi__in_##lower##_or_null(Type handle, const char *argument, struct struct_name **object)        \
    {                                                                                                                  \
        *object = NULL;                                                                                                \
        return handle == NULL_HANDLE ? MPI_SUCCESS : mpi__in_##lower(handle, argument, object);                        \
    }                                                                                                                  \
    static inline Type mpi__out_##lower(const struct struct_name *object)                                              \
    {                                                                                                                  \
        return object ? FROM(Type, object->object.handle) : NULL_HANDLE;                                               \
    }
#define MPI__BY_NUMBER(lower, struct_name, Type, KIND, NULL_HANDLE, ERR)                                               \
    MPI__HANDLE(lower, struct_name, Type, KIND, NULL_HANDLE, ERR, MPI__BITS, MPI__FROM_BITS)

MPI__BY_NUMBER(comm, mpi__comm, MPI_Comm, MPI__COMM, MPI_COMM_NULL, MPI_ERR_COMM)
MPI__BY_NUMBER(group, mpi__group, MPI_Group, MPI__GROUP, MPI_GROUP_NULL, MPI_ERR_GROUP)
MPI__BY_NUMBER(datatype, mpi__type, MPI_Datatype, MPI__DATATYPE, MPI_DATATYPE_NULL, MPI_ERR_TYPE)
MPI__BY_NUMBER(op, mpi__op, MPI_Op, MPI__OP, MPI_OP_NULL, MPI_ERR_OP)
MPI__BY_NUMBER(request, mpi__request, MPI_Request, MPI__REQUEST, MPI_REQUEST_NULL, MPI_ERR_REQUEST)
MPI__BY_NUMBER(info, mpi__info, MPI_Info, MPI__INFO, MPI_INFO_NULL, MPI_ERR_INFO)
MPI__BY_NUMBER(errhandler, mpi__errhandler, MPI_Errhandler, MPI__ERRHANDLER, MPI_ERRHANDLER_NULL, MPI_ERR_ERRHANDLER)
MPI__BY_NUMBER(message, mpi__message, MPI_Message, MPI__MESSAGE, MPI_MESSAGE_NULL, MPI_ERR_REQUEST)
MPI__BY_NUMBER(win, mpi__win, MPI_Win, MPI__WIN, MPI_WIN_NULL, MPI_ERR_WIN)
MPI__BY_NUMBER(session, mpi__session, MPI_Session, MPI__SESSION, MPI_SESSION_NULL, MPI_ERR_SESSION)
MPI__HANDLE(file, mpi__file, MPI_File, MPI__FILE, MPI_FILE_NULL, MPI_ERR_FILE, MPI__POINTER_BITS,
            MPI__POINTER_FROM_BITS)

static inline int mpi__check_out(const void *pointer, const char *argument)
{
    return pointer ? MPI_SUCCESS : mpi__fail(MPI_ERR_ARG, "argument '%s' is NULL", argument);
}
/* A large result of a function with int counts. */
static inline int mpi__narrow(int64_t value)
{
    return value > INT32_MAX || value < INT32_MIN ? MPI_UNDEFINED : (int) value;
}

#endif
