/* coll.h - collective calls of the MPI layer.
 *
 * A generated entry point puts the arguments into a struct mpi__coll, has mpi__X (mpi__Bcast, ...) check and complete it, and
 * then runs it, starts it, or keeps it as a persistent request. It becomes a schedule of libame (coll/sched.h), which is what
 * all three forms are. Its `build` puts together: local packing of what is not one run of bytes; libame's algorithm for the call, or steps
 * of its own (intercommunicators, neighbourhoods, operations of the program); and `after`, what is to be done with what has
 * come, when the program asks for the result: unpacking.
 */
#ifndef AME_MPI_COLL_H
#define AME_MPI_COLL_H

#include "layer.h"

/* Memory of a call, and what it is for. */
struct mpi__after {
    struct mpi__after *next;
    enum { MPI__SCRATCH, MPI__PACKED, MPI__IMAGE } what; /* MPI__IMAGE: lies as the type says, but elsewhere */
    void *to;
    int64_t count, begin;   /* begin: of the image, relative to the address that the type counts from */
    struct mpi__type *type; /* held */
    unsigned char *bytes;   /* of this block */
    size_t length;
    _Alignas(16) unsigned char memory[];
};

struct mpi__coll;
typedef void mpi__build(struct ame__sched *sched, struct mpi__coll *call);

struct mpi__coll {
    const char *name;
    mpi__build *build;
    struct mpi__comm *comm;
    enum ame__coll_kind kind;
    int root;
    bool rooted;
    const void *sendbuf;
    void *recvbuf;
    int64_t sendcount, recvcount;
    struct mpi__type *sendtype, *recvtype;
    struct ame__counts sendcounts, senddispls, recvcounts, recvdispls;
    const MPI_Datatype *sendtypes, *recvtypes; /* of the w forms */
    bool in_bytes;                             /* displacements are in bytes */
    struct mpi__op *op;
    ame_comm *own;  /* of a persistent call, whose messages must not be taken for those of others started in between */
    bool neighbors; /* of a neighbourhood: then these many blocks go out and come in, else one for each peer */
    int blocks_out, blocks_in;
    bool held;    /* types and operation are counted: the call outlives the function */
    void *arrays; /* copies of counts, displacements and types of a persistent call */
    struct mpi__after *after;
    int failure; /* of `build`: a class */
};

int mpi__coll_run(struct mpi__coll *call);
int mpi__coll_start(struct mpi__coll *call, struct mpi__request **request);
int mpi__coll_init(struct mpi__coll *call, struct mpi__info *info, struct mpi__request **request);
/* The schedule has ended with `code` of libame: unpacks what has come, and frees the memory of the call. */
int mpi__coll_finish(struct mpi__coll *call, int code);
void mpi__coll_free(struct mpi__coll *call);

/* ---- for `build` --------------------------------------------------------------------------------- */
/* On failure all of these remember it in the call, and give what does no harm. */

/* Memory until mpi__coll_finish. */
void *mpi__coll_memory(struct mpi__coll *call, size_t size);
/* Bytes to send for `count` times `type` at `buf`, packed if need be. */
const void *mpi__coll_out(struct mpi__coll *call, const void *buf, int64_t count, const struct mpi__type *type,
                          size_t *length);
/* A packed copy, even if that is one run. */
const void *mpi__coll_copy_out(struct mpi__coll *call, const void *buf, int64_t count, const struct mpi__type *type,
                               size_t *length);
/* Where to receive. */
void *mpi__coll_in(struct mpi__coll *call, void *buf, int64_t count, const struct mpi__type *type, size_t *length);
/* Memory that looks like `count` times `type` at an address that is returned, whose bytes are at *bytes; with the data of
 * `from` in it (NULL: none). If `to` is given, the data goes there at the end. */
void *mpi__coll_image(struct mpi__coll *call, const void *from, void *to, int64_t count, const struct mpi__type *type,
                      unsigned char **bytes, size_t *length);
/* Bytes of `count` times `type`. */
size_t mpi__coll_length(struct mpi__coll *call, int64_t count, const struct mpi__type *type);
/* Can `type` be taken as bytes, whatever the count and displacement? */
bool mpi__dense(const struct mpi__type *type);
static inline void *mpi__at(const void *buf, int64_t offset)
{
    return (void *) ((uintptr_t) buf + (uintptr_t) offset);
}
/* The address of block `i` in a v or w form. */
void *mpi__block(const void *buf, struct ame__counts displs, int i, const struct mpi__type *type, bool in_bytes);
/* What goes to (`receives`: comes from) rank or neighbour `i`, in any of the three forms. */
void mpi__coll_block(const struct mpi__coll *call, bool receives, int i, void **buf, int64_t *count,
                     const struct mpi__type **type);
/* An inner call, for libame's build functions. */
struct ame__coll mpi__inner(const struct mpi__coll *call);

int mpi__coll_check_w(struct mpi__coll *call, int sends, int receives);
void mpi__build_inter(struct ame__sched *sched, struct mpi__coll *call);
void mpi__build_inter_reduction(struct ame__sched *sched, struct mpi__coll *call);
/* Combination of the contributions of ranks base .. base + size - 1 of the schedule's communicator, in their order, at
 * the first of them: the address of its image there, NULL elsewhere. */
void *mpi__build_tree(struct ame__sched *sched, struct mpi__coll *call, int me, int base, int size, const void *from,
                      int64_t count, unsigned char **bytes, size_t *length);
/* A step: acc = in op acc. */
void mpi__build_apply(struct ame__sched *sched, struct mpi__coll *call, const void *in, void *acc, int64_t count);

#endif
