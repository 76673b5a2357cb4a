/* datatype.h - MPI's derived datatypes: made, described, and used to move data, without any knowledge of handles.
 *
 * A datatype is an immutable object that is counted. What an ABI gives to its users is a handle for such an object; this
 * module knows neither handles, nor constants of an ABI, nor libame, nor any global state. Errors are codes of its own
 * (enum ame__type_error), which the caller turns into MPI's error classes. All counts and lengths are 64 bits wide and
 * checked for overflow when a type is made.
 *
 * A type is held as a tree of runs (type_flat.h), built from the trees of the types that it consists of: the work and the
 * memory of a constructor are of the size of its arguments, never of what they describe, and a vector of millions of blocks
 * is one node. Every node knows how many bytes of data it stands for, so that pack, unpack and iovec start at any byte of a
 * message without keeping state between calls.
 *
 * Locks: none are needed. The count of references is atomic, and nothing else changes after a constructor has returned, but
 * `committed` and `user`, which belong to the caller.
 *
 * Addresses: displacements may be absolute addresses, with NULL as the buffer (MPI_BOTTOM).
 */
#ifndef AME_MPI_DATATYPE_H
#define AME_MPI_DATATYPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mpi/type_basic.h"

/* What can be wrong; 0 is success. */
enum ame__type_error {
    AME__TYPE_OK = 0,
    AME__TYPE_E_COUNT,     /* a count or block length is negative (MPI_ERR_COUNT, MPI_ERR_ARG) */
    AME__TYPE_E_ARG,       /* another argument is out of its range (MPI_ERR_ARG) */
    AME__TYPE_E_TYPE,      /* the type cannot be used for this (MPI_ERR_TYPE) */
    AME__TYPE_E_OVERFLOW,  /* size, extent or position does not fit into 64 bits (MPI_ERR_ARG) */
    AME__TYPE_E_MEMORY,    /* malloc failed (MPI_ERR_NO_MEM) */
    AME__TYPE_E_TRUNCATED, /* the buffer for packed data is too small (MPI_ERR_TRUNCATE) */
};
/* A sentence without a full stop, for the text of an error. */
const char *ame__type_strerror(enum ame__type_error error);

enum ame__combiner {
    AME__COMBINER_NAMED = 1,
    AME__COMBINER_DUP,
    AME__COMBINER_CONTIGUOUS,
    AME__COMBINER_VECTOR,
    AME__COMBINER_HVECTOR,
    AME__COMBINER_INDEXED,
    AME__COMBINER_HINDEXED,
    AME__COMBINER_INDEXED_BLOCK,
    AME__COMBINER_HINDEXED_BLOCK,
    AME__COMBINER_STRUCT,
    AME__COMBINER_SUBARRAY,
    AME__COMBINER_DARRAY,
    AME__COMBINER_F90_REAL,
    AME__COMBINER_F90_COMPLEX,
    AME__COMBINER_F90_INTEGER,
    AME__COMBINER_RESIZED,
};

/* Arguments of subarray and darray, and so in the contents of such types. The caller translates. */
enum ame__order { AME__ORDER_C = 1, AME__ORDER_FORTRAN };
enum ame__distribution { AME__DISTRIBUTE_NONE = 1, AME__DISTRIBUTE_BLOCK, AME__DISTRIBUTE_CYCLIC };
#define AME__DISTRIBUTE_DEFAULT (-1) /* as the argument of a distribution: MPI_DISTRIBUTE_DFLT_DARG */

/* An array of counts as an MPI function gets it: int[] or MPI_Count[] (MPI_Aint[]). One of the two is set. */
struct ame__counts {
    const int *narrow;
    const int64_t *wide;
};
static inline int64_t ame__count_at(struct ame__counts counts, int64_t i)
{
    return counts.wide ? counts.wide[i] : counts.narrow[i];
}
#define AME__NARROW(array) ((struct ame__counts){.narrow = (array)})
#define AME__WIDE(array)   ((struct ame__counts){.wide = (array)})

struct ame__datatype;
struct ame__node;

/* A part of a tree: a run of bytes, or a node, `offset` bytes from where the type begins. See type_flat.h. */
struct ame__piece {
    int64_t offset;
    int64_t size;                   /* bytes of data; 0: nothing is there, the rest is of no meaning */
    const struct ame__node *node;   /* NULL: a run of `size` bytes */
    const struct ame__basic *basic; /* of a run, or of all that is below the node; NULL: different ones */
};

/* What MPI_Type_get_envelope and MPI_Type_get_contents tell. `large`: made by a function with _c; then what such a function
 * takes as MPI_Count is in `counts`. All is in the order that the standard gives. */
struct ame__type_contents {
    enum ame__combiner combiner;
    bool large;
    int64_t ints_length, addresses_length, counts_length, types_length;
    int *ints;
    int64_t *addresses, *counts;
    struct ame__datatype **types; /* each counted */
};

struct ame__datatype {
    _Atomic int64_t references; /* predefined types are not counted: 0 */
    bool committed;
    bool lb_set, ub_set;            /* lb, ub come from a resize (MPI: "markers") and count before natural bounds */
    const struct ame__basic *basic; /* a predefined type, or dup or f90 of one; else NULL */
    int64_t size;                   /* bytes of data: MPI_Type_size */
    int64_t elements;               /* basic elements, of a pair two */
    int64_t external32;             /* bytes of data in external32 */
    int64_t lb, ub;                 /* MPI_Type_get_extent: lb, ub - lb */
    int64_t true_lb, true_ub;       /* where data begins and ends */
    int64_t alignment;              /* the strictest of its basics */
    struct ame__piece map;          /* with the basic of each run */
    struct ame__piece flat;         /* the same bytes in the same order, runs of different basics joined */
    struct ame__node *nodes;        /* those of map and flat that this object owns */
    struct ame__type_contents contents;
    void *user;                                    /* the caller's */
    void (*user_free)(struct ame__datatype *type); /* called before the object is released, if set */
};

static inline int64_t ame__type_extent(const struct ame__datatype *type)
{
    return type->ub - type->lb;
}

/* ---- objects ---- */
/* Makes a predefined type in the caller's memory, committed. It lives as long as that memory and is not counted. */
void ame__type_init_named(struct ame__datatype *type, const struct ame__basic *basic);
/* One more reference; returns `type`. */
struct ame__datatype *ame__type_ref(struct ame__datatype *type);
/* One less; the last one frees the object and gives up those it consists of. Nothing for a predefined type or NULL. */
void ame__type_unref(struct ame__datatype *type);

/* ---- constructors ----
 * *out is a new object with one reference, not committed; untouched on failure. `old` gets references of its own and may
 * be given up at once. `large`: made by the form with _c (see contents). Strides and displacements are in bytes for the
 * h-forms, in extents of `old` for the others. */
enum ame__type_error ame__type_dup(struct ame__datatype *old, struct ame__datatype **out);
enum ame__type_error ame__type_contiguous(int64_t count, struct ame__datatype *old, bool large,
                                          struct ame__datatype **out);
enum ame__type_error ame__type_vector(int64_t count, int64_t blocklength, int64_t stride, struct ame__datatype *old,
                                      bool large, struct ame__datatype **out);
enum ame__type_error ame__type_hvector(int64_t count, int64_t blocklength, int64_t stride, struct ame__datatype *old,
                                       bool large, struct ame__datatype **out);
enum ame__type_error ame__type_indexed(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                                       struct ame__datatype *old, bool large, struct ame__datatype **out);
enum ame__type_error ame__type_hindexed(int64_t count, struct ame__counts blocklengths,
                                        struct ame__counts displacements, struct ame__datatype *old, bool large,
                                        struct ame__datatype **out);
enum ame__type_error ame__type_indexed_block(int64_t count, int64_t blocklength, struct ame__counts displacements,
                                             struct ame__datatype *old, bool large, struct ame__datatype **out);
enum ame__type_error ame__type_hindexed_block(int64_t count, int64_t blocklength, struct ame__counts displacements,
                                              struct ame__datatype *old, bool large, struct ame__datatype **out);
enum ame__type_error ame__type_struct(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                                      struct ame__datatype *const types[], bool large, struct ame__datatype **out);
enum ame__type_error ame__type_resized(struct ame__datatype *old, int64_t lb, int64_t extent, bool large,
                                       struct ame__datatype **out);
enum ame__type_error ame__type_subarray(int ndims, struct ame__counts sizes, struct ame__counts subsizes,
                                        struct ame__counts starts, enum ame__order order, struct ame__datatype *old,
                                        bool large, struct ame__datatype **out);
/* The part that belongs to process `rank` of `size` of a global array; distributions are enum ame__distribution. */
enum ame__type_error ame__type_darray(int size, int rank, int ndims, struct ame__counts gsizes,
                                      const int distributions[], const int arguments[], const int psizes[],
                                      enum ame__order order, struct ame__datatype *old, bool large,
                                      struct ame__datatype **out);
/* MPI_Type_create_f90_real and its like: as `basic`, but with this combiner and these ints as contents; committed. */
enum ame__type_error ame__type_f90(enum ame__combiner combiner, const struct ame__basic *basic, int count,
                                   const int ints[], struct ame__datatype **out);

/* ---- what a message consists of: `count` times `type` at `buf` ---- */
/* Bytes of data of the message. */
enum ame__type_error ame__type_total(const struct ame__datatype *type, int64_t count, int64_t *bytes);
/* Where the message lies if it is one run of bytes in memory, else NULL. Nothing to send counts as one run, at `buf`. */
void *ame__type_direct(const struct ame__datatype *type, int64_t count, const void *buf);
/* Bytes from the first to the last byte of data, and where the first lies relative to `buf`: for a temporary copy. */
void ame__type_span(const struct ame__datatype *type, int64_t count, int64_t *begin, int64_t *length);

/* ---- moving data ----
 * Position counts bytes of data from the beginning of the message. Each call does as much as there is, up to `length`
 * bytes, and returns how many; one that begins at the end of the message does nothing. */
int64_t ame__type_pack(const struct ame__datatype *type, int64_t count, const void *buf, int64_t position, void *packed,
                       int64_t length);
int64_t ame__type_unpack(const struct ame__datatype *type, int64_t count, void *buf, int64_t position,
                         const void *packed, int64_t length);
/* The pieces of memory of up to `length` bytes from `position` on, at most `max` of them. Returns how many; their bytes
 * are added to *covered. */
size_t ame__type_iovec(const struct ame__datatype *type, int64_t count, const void *buf, int64_t position,
                       int64_t length, struct iovec iov[], size_t max, int64_t *covered);
/* Copies one message to where another describes, both of this process: the shorter of the two ends it. Returns the bytes
 * copied. The two must not overlap, save where both are one run of bytes. */
int64_t ame__type_copy(const struct ame__datatype *to_type, int64_t to_count, void *to,
                       const struct ame__datatype *type, int64_t count, const void *from);

/* Calls `visit` for each run of one basic type in the message, in order, until one returns false (then so does this).
 * `length` is in bytes; a pair comes as its two parts. For operations on derived types, and conversions. */
typedef bool ame__type_visitor(void *context, const struct ame__basic *basic, void *data, int64_t length);
bool ame__type_visit(const struct ame__datatype *type, int64_t count, const void *buf, ame__type_visitor *visit,
                     void *context);

/* ---- how much has arrived ---- */
/* Whole instances of `type` in `bytes` bytes, or -1 (MPI_UNDEFINED) if they are not a whole number. */
int64_t ame__type_count(const struct ame__datatype *type, int64_t bytes);
/* Basic elements in `bytes` bytes of a message of `type`, or -1 if the last one is cut. */
int64_t ame__type_elements(const struct ame__datatype *type, int64_t bytes);
/* The bytes that `elements` basic elements take, or -1 if there is no such number: MPI_Status_set_elements. */
int64_t ame__type_elements_bytes(const struct ame__datatype *type, int64_t elements);

/* ---- external32 (type_external32.c) ---- */
enum ame__type_error ame__type_external32_size(const struct ame__datatype *type, int64_t count, int64_t *bytes);
/* *position is where in `packed` (of `length` bytes) to begin, and then where it ended; untouched on failure. */
enum ame__type_error ame__type_external32_pack(const struct ame__datatype *type, int64_t count, const void *buf,
                                               void *packed, int64_t length, int64_t *position);
enum ame__type_error ame__type_external32_unpack(const struct ame__datatype *type, int64_t count, void *buf,
                                                 const void *packed, int64_t length, int64_t *position);

#endif
