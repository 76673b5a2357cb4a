/* type_make.h - what the constructors of datatypes share; inside of the datatype module only.
 *
 * A constructor begins, adds blocks, keeps its arguments as contents, and finishes; or drops what it has, with the error,
 * at any point after `begin`. */
#ifndef AME_MPI_TYPE_MAKE_H
#define AME_MPI_TYPE_MAKE_H

#include "mpi/type_flat.h"

struct ame__bounds {
    int64_t lb, ub, set_lb, set_ub, true_lb, true_ub; /* of data; of types that have set bounds; of the bytes */
    bool lb_known, ub_known, lb_set, ub_set, true_lb_known, true_ub_known; /* which of them are valid */
};

/* `count` times `old`, one after the other. */
struct ame__block {
    const struct ame__datatype *old;
    int64_t count;
    struct ame__piece map, flat;
};

struct ame__make {
    struct ame__datatype *type;
    bool mixed; /* of several basics, so that flat is made as well */
    struct ame__gather map, flat;
    struct ame__bounds bounds;
    struct ame__block last; /* the one before, since most are alike */
};

enum ame__type_error ame__make_begin(struct ame__make *make, bool mixed);
/* A block: amount, bounds, and trees. */
enum ame__type_error ame__make_add(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                   int64_t displacement);
/* The parts of it, for constructors that make their own trees. */
enum ame__type_error ame__make_amount(struct ame__make *make, const struct ame__datatype *old, int64_t count);
enum ame__type_error ame__make_bounds(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                      int64_t displacement);

/* An argument of the MPI function: int in both forms; int or MPI_Count; MPI_Aint or MPI_Count. */
enum ame__argument_kind { AME__ARGUMENT_INT, AME__ARGUMENT_COUNT, AME__ARGUMENT_ADDRESS };
struct ame__argument {
    enum ame__argument_kind kind;
    int64_t length;
    struct ame__counts values;
};
enum ame__type_error ame__make_contents(struct ame__make *make, enum ame__combiner combiner, bool large,
                                        const struct ame__argument arguments[], int n, int64_t types_length,
                                        struct ame__datatype *const types[]);

/* rounded: the extent is rounded up to the alignment, unless the upper bound was set. */
enum ame__type_error ame__make_finish(struct ame__make *make, bool rounded, struct ame__datatype **out);
/* Frees what there is; returns `error`. */
enum ame__type_error ame__make_drop(struct ame__make *make, enum ame__type_error error);

#endif
