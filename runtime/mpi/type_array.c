/* type_array.c - subarray and darray: parts of a global array of several dimensions.
 *
 * Both are nests of loops, built from the fastest dimension outwards: at each level there is what is one step of the
 * dimension, `stride` bytes wide in the global array, and of which this process has some. The bounds of the result are those of the
 * whole array, set as by a resize (MPI 4.1, sections 5.1.3 and 5.1.4). */
#include "mpi/type_make.h"

#include <stdlib.h>

#define ONE(value) ((struct ame__counts){.wide = &(int64_t){value}})

/* What has been built so far. */
struct nest {
    struct ame__make make;
    struct ame__piece map, flat;
    int64_t stride;           /* of the next dimension, in bytes */
    int64_t true_lb, true_ub; /* of map */
};

static enum ame__type_error nest_begin(struct nest *nest, const struct ame__datatype *old)
{
    *nest = (struct nest){.map = old->map,
                          .flat = old->flat,
                          .stride = ame__type_extent(old),
                          .true_lb = old->true_lb,
                          .true_ub = old->true_ub};
    enum ame__type_error error = ame__make_begin(&nest->make, old->size > 0 && !old->map.basic);
    if (error) return error;
    struct ame__datatype *type = nest->make.type;
    type->size = old->size;
    type->elements = old->elements;
    type->external32 = old->external32;
    type->alignment = old->alignment;
    return AME__TYPE_OK;
}

/* Part of a dimension: from `start`, `blocks` blocks of `length` steps, the blocks `apart` steps apart, and a last one of
 * `rest` steps. */
struct part {
    int64_t start, blocks, length, apart, rest;
};

static int64_t part_steps(const struct part *part)
{
    return part->blocks * part->length + part->rest;
}

static enum ame__type_error shape(struct nest *nest, struct ame__piece *piece, const struct part *part, bool joined)
{
    struct ame__node **owner = &nest->make.type->nodes;
    struct ame__piece block, blocks, rest;
    struct ame__gather gather;
    enum ame__type_error error = ame__piece_loop(owner, *piece, part->length, nest->stride, &block);
    if (!error) error = ame__piece_loop(owner, block, part->blocks, part->apart * nest->stride, &blocks);
    if (!error) error = ame__piece_loop(owner, *piece, part->rest, nest->stride, &rest);
    if (error) return error;
    rest.offset += part->blocks * part->apart * nest->stride;
    ame__gather_begin(&gather, owner, joined);
    error = ame__gather_add(&gather, blocks);
    if (!error) error = ame__gather_add(&gather, rest);
    if (!error) error = ame__gather_end(&gather, piece);
    if (error) ame__gather_end(&gather, NULL);
    piece->offset += part->start * nest->stride;
    return error;
}

/* One more dimension, of `size` steps. All products below are within the array's bounds, which are checked here. */
static enum ame__type_error nest_add(struct nest *nest, int64_t size, const struct part *part)
{
    struct ame__datatype *type = nest->make.type;
    int64_t whole, steps = part_steps(part);
    if (__builtin_mul_overflow(nest->stride, size, &whole) || __builtin_mul_overflow(type->size, steps, &type->size))
        return AME__TYPE_E_OVERFLOW;
    type->elements *= steps;
    type->external32 *= steps;
    enum ame__type_error error = shape(nest, &nest->map, part, false);
    if (!error && nest->make.mixed) error = shape(nest, &nest->flat, part, true);
    if (error) return error;
    if (steps > 0) {
        int64_t last = part->rest ? part->blocks * part->apart + part->rest - 1
                                  : (part->blocks - 1) * part->apart + part->length - 1;
        int64_t first_at = part->start * nest->stride, last_at = (part->start + last) * nest->stride;
        bool backwards = last_at < first_at;
        if (__builtin_add_overflow(nest->true_lb, backwards ? last_at : first_at, &nest->true_lb) ||
            __builtin_add_overflow(nest->true_ub, backwards ? first_at : last_at, &nest->true_ub))
            return AME__TYPE_E_OVERFLOW;
    }
    nest->stride = whole;
    return AME__TYPE_OK;
}

static enum ame__type_error nest_finish(struct nest *nest, struct ame__datatype **out)
{
    struct ame__make *make = &nest->make;
    enum ame__type_error error = ame__gather_add(&make->map, nest->map);
    if (!error && make->mixed) error = ame__gather_add(&make->flat, nest->flat);
    if (error) return ame__make_drop(make, error);
    bool data = make->type->size > 0;
    make->bounds = (struct ame__bounds){.set_ub = nest->stride,
                                        .lb_set = true,
                                        .ub_set = true,
                                        .true_lb = nest->true_lb,
                                        .true_ub = nest->true_ub,
                                        .true_lb_known = data,
                                        .true_ub_known = data};
    return ame__make_finish(make, false, out);
}

/* The i-th dimension from the fastest one on. */
static int dimension(enum ame__order order, int ndims, int i)
{
    return order == AME__ORDER_C ? ndims - 1 - i : i;
}

enum ame__type_error ame__type_subarray(int ndims, struct ame__counts sizes, struct ame__counts subsizes,
                                        struct ame__counts starts, enum ame__order order, struct ame__datatype *old,
                                        bool large, struct ame__datatype **out)
{
    if (ndims < 1 || (order != AME__ORDER_C && order != AME__ORDER_FORTRAN)) return AME__TYPE_E_ARG;
    for (int i = 0; i < ndims; i++) {
        int64_t size = ame__count_at(sizes, i), subsize = ame__count_at(subsizes, i), start = ame__count_at(starts, i);
        if (size < 1 || subsize < 1 || start < 0 || subsize > size || start > size - subsize) return AME__TYPE_E_ARG;
    }
    const struct ame__argument arguments[] = {
        {AME__ARGUMENT_INT, 1, ONE(ndims)},           {AME__ARGUMENT_COUNT, ndims, sizes},
        {AME__ARGUMENT_COUNT, ndims, subsizes},       {AME__ARGUMENT_COUNT, ndims, starts},
        {AME__ARGUMENT_INT, 1, ONE((int64_t) order)},
    };
    struct nest nest;
    enum ame__type_error error = nest_begin(&nest, old);
    for (int i = 0; !error && i < ndims; i++) {
        int d = dimension(order, ndims, i);
        struct part part = {.start = ame__count_at(starts, d), .rest = ame__count_at(subsizes, d)};
        error = nest_add(&nest, ame__count_at(sizes, d), &part);
    }
    if (!error) error = ame__make_contents(&nest.make, AME__COMBINER_SUBARRAY, large, arguments, 5, 1, &old);
    return error ? ame__make_drop(&nest.make, error) : nest_finish(&nest, out);
}

/* What process `coord` of `procs` has of a dimension of `size` steps. */
static enum ame__type_error distribute(int64_t size, int distribution, int argument, int procs, int coord,
                                       struct part *part)
{
    *part = (struct part){0};
    if (distribution == AME__DISTRIBUTE_NONE) {
        if (procs != 1) return AME__TYPE_E_ARG;
        part->rest = size;
    } else if (distribution == AME__DISTRIBUTE_BLOCK) {
        int64_t block = argument == AME__DISTRIBUTE_DEFAULT ? (size + procs - 1) / procs : argument;
        if (block < 1 || block * procs < size) return AME__TYPE_E_ARG;
        part->start = block * coord < size ? block * coord : size;
        part->rest = size - part->start < block ? size - part->start : block;
    } else if (distribution == AME__DISTRIBUTE_CYCLIC) {
        int64_t block = argument == AME__DISTRIBUTE_DEFAULT ? 1 : argument;
        if (block < 1) return AME__TYPE_E_ARG;
        part->start = block * coord < size ? block * coord : size;
        part->length = block;
        part->apart = block * procs;
        int64_t left = size - part->start; /* whole rounds, and what there is of the last one */
        part->blocks = left / part->apart;
        left -= part->blocks * part->apart;
        if (left >= block)
            part->blocks++;
        else
            part->rest = left;
    } else {
        return AME__TYPE_E_ARG;
    }
    return AME__TYPE_OK;
}

static enum ame__type_error check_darray(int size, int rank, int ndims, struct ame__counts gsizes, const int psizes[],
                                         enum ame__order order)
{
    if (ndims < 1 || size < 1 || rank < 0 || rank >= size || (order != AME__ORDER_C && order != AME__ORDER_FORTRAN))
        return AME__TYPE_E_ARG;
    int64_t grid = 1;
    for (int i = 0; i < ndims; i++) {
        if (ame__count_at(gsizes, i) < 1 || psizes[i] < 1) return AME__TYPE_E_ARG;
        grid *= psizes[i];
        if (grid > size) return AME__TYPE_E_ARG;
    }
    return grid == size ? AME__TYPE_OK : AME__TYPE_E_ARG;
}

enum ame__type_error ame__type_darray(int size, int rank, int ndims, struct ame__counts gsizes,
                                      const int distributions[], const int arguments[], const int psizes[],
                                      enum ame__order order, struct ame__datatype *old, bool large,
                                      struct ame__datatype **out)
{
    enum ame__type_error error = check_darray(size, rank, ndims, gsizes, psizes, order);
    if (error) return error;
    struct part *parts = calloc((size_t) ndims, sizeof *parts);
    if (!parts) return AME__TYPE_E_MEMORY;
    int below = rank; /* the grid of processes is in row-major order whatever `order` is */
    for (int i = ndims - 1; !error && i >= 0; i--) {
        error = distribute(ame__count_at(gsizes, i), distributions[i], arguments[i], psizes[i], below % psizes[i],
                           &parts[i]);
        below /= psizes[i];
    }
    struct nest nest = {0};
    if (!error) error = nest_begin(&nest, old);
    for (int i = 0; !error && i < ndims; i++) {
        int d = dimension(order, ndims, i);
        error = nest_add(&nest, ame__count_at(gsizes, d), &parts[d]);
    }
    free(parts);
    const struct ame__argument kept[] = {
        {AME__ARGUMENT_INT, 1, ONE(size)},
        {AME__ARGUMENT_INT, 1, ONE(rank)},
        {AME__ARGUMENT_INT, 1, ONE(ndims)},
        {AME__ARGUMENT_COUNT, ndims, gsizes},
        {AME__ARGUMENT_INT, ndims, AME__NARROW(distributions)},
        {AME__ARGUMENT_INT, ndims, AME__NARROW(arguments)},
        {AME__ARGUMENT_INT, ndims, AME__NARROW(psizes)},
        {AME__ARGUMENT_INT, 1, ONE((int64_t) order)},
    };
    if (!error) error = ame__make_contents(&nest.make, AME__COMBINER_DARRAY, large, kept, 8, 1, &old);
    return error ? ame__make_drop(&nest.make, error) : nest_finish(&nest, out);
}
