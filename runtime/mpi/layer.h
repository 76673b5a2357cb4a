/* layer.h - the MPI layer: what an MPI program sees, made of libame's communicators, messages and collective calls.
 *
 * The layer is written once, over the objects below, and compiled once for each ABI (mpi.h of the standard ABI, or of
 * MPICH's). What differs between ABIs is in three places: constants (the generated mpi.h), how a handle stands for an object
 * (object.c), and the layout of a status (abi.h). An entry point MPI_X is generated from functions.txt: it turns handles
 * into objects and 32-bit counts into 64-bit ones, calls mpi__X, and on failure calls the error handler. mpi__X thus knows
 * neither handles nor counts of two widths, and returns an error class, having worded the details with mpi__fail.
 *
 * Objects are counted (references): a handle holds one, and so does every operation that has not ended, so that a program
 * may free a handle as soon as MPI allows it. Locks: the lock in object.c for tables of handles, the one in attr.c for
 * attributes, in error.c for texts; no lock is held while a function of the program or of libame is called. All waiting is
 * libame's.
 */
#ifndef AME_MPI_LAYER_H
#define AME_MPI_LAYER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ame.h>
#include <mpi.h>

#include "coll/seam.h"
#include "mpi/datatype.h"

/* ---- objects ------------------------------------------------------------------------------------- */

/* As MPICH numbers them, whose handles hold the kind. */
enum mpi__kind {
    MPI__COMM = 1,
    MPI__GROUP,
    MPI__DATATYPE,
    MPI__FILE,
    MPI__ERRHANDLER,
    MPI__OP,
    MPI__INFO,
    MPI__WIN,
    MPI__REQUEST = 11,
    MPI__MESSAGE,
    MPI__SESSION = 14,
    MPI__KINDS
};

struct mpi__comm;

struct mpi__object {
    uint32_t magic;  /* MPI__MAGIC + kind, as long as it lives */
    bool predefined; /* lives for ever */
    atomic_int references;
    uintptr_t handle; /* what the program calls it */
    uint32_t index;   /* in the table of those that need a number; 0: none */
};
#define MPI__MAGIC 0x4d504900u

/* Gives a new object its kind, one reference and a handle. */
int mpi__object_init(struct mpi__object *object, enum mpi__kind kind);
/* The object with this predefined handle. */
void mpi__object_predefine(struct mpi__object *object, enum mpi__kind kind, uintptr_t handle);
void mpi__object_hold(struct mpi__object *object);
/* One reference less: true if it was the last, and the caller frees what belongs to it, and it. */
bool mpi__object_drop(struct mpi__object *object);
/* The object of this kind behind a handle; NULL: none. */
struct mpi__object *mpi__object_find(enum mpi__kind kind, uintptr_t handle);
int mpi__toint(uintptr_t handle);
uintptr_t mpi__fromint(enum mpi__kind kind, int number, uintptr_t null);

/* ---- errors -------------------------------------------------------------------------------------- */

/* Words what is wrong and returns `class`. The name of the function and the place are added by mpi__raise. */
int mpi__fail(int class, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The class for a code of libame, whose text becomes the details; AME_OK: MPI_SUCCESS. */
int mpi__fail_ame(int code);
int mpi__no_memory(void);
/* The code that stands for `class` and the details just worded, for a status; MPI_SUCCESS stays. */
int mpi__code(int class, const char *function);
/* Calls the error handler of `object` (a communicator, file or session; NULL: that of MPI_COMM_SELF) and returns the code. */
int mpi__raise(struct mpi__object *object, int class, const char *function);
/* The same for an error that has got its code already. */
int mpi__raise_code(struct mpi__object *object, int code, const char *function);
/* The failure that the calling function is about to return belongs to `comm` (NULL: to none). */
void mpi__raise_on(struct mpi__comm *comm);
int mpi__unsupported(const char *function);
/* MPI_SUCCESS between MPI_Init and MPI_Finalize. */
int mpi__running(void);

struct mpi__errhandler {
    struct mpi__object object;
    enum mpi__kind kind; /* of the objects it is for */
    enum { MPI__FATAL, MPI__ABORT, MPI__RETURN, MPI__USER } what;
    void (*function)(void *object, int *code, ...);
};
extern struct mpi__errhandler mpi__errors_are_fatal, mpi__errors_return, mpi__errors_abort;
/* Replaces *place, holding the new one. */
void mpi__errhandler_set(struct mpi__errhandler **place, struct mpi__errhandler *errhandler);

/* ---- info ---------------------------------------------------------------------------------------- */

struct mpi__info {
    struct mpi__object object;
    struct mpi__pair {
        char *key, *value;
    } * pairs;
    int count, room;
};
struct mpi__info *mpi__info_new(void);
struct mpi__info *mpi__info_copy(const struct mpi__info *info); /* NULL: an empty one */
int mpi__info_put(struct mpi__info *info, const char *key, const char *value);
const char *mpi__info_find(const struct mpi__info *info, const char *key);
void mpi__info_drop(struct mpi__info *info);

/* ---- attributes ---------------------------------------------------------------------------------- */

struct mpi__attribute;
/* Copies the attributes of one object to a new one, by the program's functions. */
int mpi__attributes_copy(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute *from,
                         struct mpi__attribute **to);
/* Deletes all, the one set last first; stops at a function that refuses. */
int mpi__attributes_delete(enum mpi__kind kind, uintptr_t handle, struct mpi__attribute **attributes);

/* ---- groups, communicators ----------------------------------------------------------------------- */

struct mpi__group {
    struct mpi__object object;
    int size, rank; /* rank: this process's, or MPI_UNDEFINED */
    int world[];    /* rank in the world of each */
};
struct mpi__group *mpi__group_new(int size); /* the caller fills in world and calls mpi__group_find */
void mpi__group_find(struct mpi__group *group);
void mpi__group_drop(struct mpi__group *group);
int mpi__group_result(const struct mpi__group *a, const struct mpi__group *b); /* MPI_IDENT, MPI_SIMILAR, MPI_UNEQUAL */

struct mpi__topology;
struct mpi__buffer;

/* An intercommunicator is a communicator of libame over both groups, in an order on which they agree: ranks of the local
 * group begin there at local_base, those of the remote one at remote_base. */
struct mpi__comm {
    struct mpi__object object;
    ame_comm *ame;
    bool inter;
    int rank, size; /* of the local group */
    int local_base, remote_base;
    struct mpi__group *group, *remote; /* remote: of an intercommunicator, else NULL */
    struct mpi__comm *local;           /* of an intercommunicator: its local group as a communicator */
    struct mpi__errhandler *errhandler;
    struct mpi__attribute *attributes;
    struct mpi__topology *topology;
    struct mpi__info *info;
    struct mpi__buffer *buffer; /* MPI_Comm_attach_buffer */
    struct mpi__named {
        uint64_t key;
        uint64_t count;
    } * named; /* calls of MPI_Comm_create_group so far, by group and tag */
    int named_count;
    char name[MPI_MAX_OBJECT_NAME];
};
extern struct mpi__comm mpi__world, mpi__self;
/* How many ranks MPI_Send can name: those of the other group. */
static inline int mpi__comm_peers(const struct mpi__comm *comm)
{
    return comm->inter ? comm->remote->size : comm->size;
}
int mpi__comms_open(void);
void mpi__comms_close(void);
/* A new intracommunicator of `group` (which is held) with messages of its own (`lineage`). */
int mpi__comm_new(uint64_t lineage, struct mpi__group *group, struct mpi__comm **newcomm);
void mpi__comm_drop(struct mpi__comm *comm);

void mpi__topology_drop(struct mpi__topology *topology);
int mpi__topology_copy(const struct mpi__topology *from, struct mpi__topology **to);

/* ---- datatypes, operations ----------------------------------------------------------------------- */

struct mpi__type {
    struct mpi__object object;
    struct ame__datatype *data; /* whose `user` is this */
    struct mpi__attribute *attributes;
    char name[MPI_MAX_OBJECT_NAME];
};
/* A message in memory as libame wants it: one run of bytes. `temporary`: a packed copy, to be freed. */
struct mpi__run {
    void *bytes;
    size_t length;
    void *temporary;
};
int mpi__type_usable(const struct mpi__type *type, int64_t count, const void *buf);
/* What is to be sent, packed if it is not one run. */
int mpi__run_out(struct mpi__run *run, const void *buf, int64_t count, const struct mpi__type *type);
/* Where to receive; after that mpi__run_back puts `length` bytes where they belong and frees the copy. */
int mpi__run_in(struct mpi__run *run, void *buf, int64_t count, const struct mpi__type *type);
void mpi__run_back(struct mpi__run *run, size_t length, void *buf, int64_t count, const struct mpi__type *type);
void mpi__types_open(void);
struct mpi__type *mpi__type_named(enum ame__basic_id id);
/* An object for a new datatype (whose reference it takes over). */
int mpi__type_new(struct ame__datatype *data, struct mpi__type **newtype);
void mpi__type_drop(struct mpi__type *type);
int mpi__type_error(enum ame__type_error error);

struct mpi__op {
    struct mpi__object object;
    int number; /* of a predefined one: see op.c; -1 */
    bool commutative, large;
    const char *name;
    void (*function)(void);
};
void mpi__ops_open(void);
void mpi__op_drop(struct mpi__op *op);
/* Combines elements of `basic`; NULL: not defined. The left operand is `in`. */
ame__combine_fn mpi__op_combine(const struct mpi__op *op, const struct ame__basic *basic);
/* acc[i] = in[i] op acc[i], by any operation. */
void mpi__op_apply(const struct mpi__op *op, struct mpi__type *type, const void *in, void *acc, int64_t count);
int mpi__op_check(const struct mpi__op *op, const struct mpi__type *type);

/* ---- status and requests ------------------------------------------------------------------------- */

/* What a status tells. */
struct mpi__result {
    int source, tag, error;
    bool cancelled;
    int64_t length;
};
void mpi__status_set(MPI_Status *status, const struct mpi__result *result); /* all but the error; may be ignored */
int64_t mpi__status_length(const MPI_Status *status);
void mpi__status_set_length(MPI_Status *status, int64_t length);
bool mpi__status_cancelled(const MPI_Status *status);
void mpi__status_set_cancelled(MPI_Status *status, bool cancelled);
extern const struct mpi__result mpi__empty, mpi__from_nobody; /* of an inactive request; of MPI_PROC_NULL */

struct mpi__coll;

struct mpi__request {
    struct mpi__object object;
    bool persistent, active;
    bool complete;    /* there is no `ame` to wait for: `result` is what happened */
    ame_request *ame; /* what is under way */
    struct mpi__result result;
    struct mpi__comm *comm; /* held; NULL: none */
    struct mpi__type *type; /* held */
    void *buf;
    int64_t count;
    struct mpi__run run;
    bool receives;
    int (*start)(struct mpi__request *request); /* of a persistent one */
    int peer, tag, mode;                        /* its arguments */
    struct mpi__coll *coll;                     /* of a collective call, owned */
    struct mpi__grequest *generalized;
    struct mpi__request *pair; /* MPI_Isendrecv: the receive, which is waited for after this, the send */
    struct mpi__partitions *partitions;
    struct mpi__buffer *flushes; /* completes when all of this has been sent */
    struct mpi__request *next;   /* among those the program has given up */
};
int mpi__request_new(struct mpi__comm *comm, struct mpi__request **request);
/* A request that has completed already. */
int mpi__request_done(const struct mpi__result *result, struct mpi__request **request);
void mpi__request_drop(struct mpi__request *request);
/* Gives up a request under way: it is dropped once it has completed. */
void mpi__request_give_up(struct mpi__request *request);
void mpi__partitions_free(struct mpi__partitions *partitions);
/* At MPI_Finalize: waits for what was sent and given up. */
void mpi__requests_close(void);
/* Sees whether requests that were given up have ended. */
void mpi__requests_sweep(void);

struct mpi__message {
    struct mpi__object object;
    ame_message *ame;
    struct mpi__comm *comm;
};

struct mpi__session {
    struct mpi__object object;
    struct mpi__errhandler *errhandler;
    struct mpi__info *info;
};
struct mpi__file {
    struct mpi__object object;
    struct mpi__errhandler *errhandler;
};
struct mpi__win {
    struct mpi__object object;
    struct mpi__errhandler *errhandler;
};
extern struct mpi__file mpi__no_file;

void mpi__groups_open(void);
void mpi__messages_open(void);
/* Copies the message and sends the copy. */
int mpi__buffered_send(const struct mpi__run *run, int dest, int tag, struct mpi__comm *comm);
/* A send that has not completed; NULL: there is none. */
ame_request *mpi__buffer_pending(struct mpi__buffer *buffer);
/* After all of it has been sent. */
void mpi__buffer_free(struct mpi__buffer *buffer);
void mpi__buffers_close(void);

#include "mpi/abi.h"
#include "mpi-internal.h"

#endif
