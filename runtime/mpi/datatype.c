/* datatype.c - datatypes as objects: life, bounds, contents, and all constructors but those of arrays (type_array.c).
 *
 * A constructor is: check the arguments, `begin` an object, add its blocks (`count` of a type at a displacement), `finish`.
 * Blocks are added to the trees and to the bounds at the same time. A type whose basics are all the same has one tree for
 * both purposes; only where they differ is there a second one, `flat`, whose runs join across different basics.
 *
 * Bounds (MPI 4.1, section 5.1.6 and following): a bound that was set by a resize, here or deeper, counts before those that
 * data have. The extent of a struct without such an upper bound is rounded up to the strictest alignment in it, as C does;
 * other types are not rounded, as in MPICH.
 */
#include "mpi/type_make.h"

#include <stdlib.h>
#include <string.h>

const char *ame__type_strerror(enum ame__type_error error)
{
    switch (error) {
    case AME__TYPE_OK: return "no error";
    case AME__TYPE_E_COUNT: return "a count or block length is negative";
    case AME__TYPE_E_ARG: return "an argument is out of its range";
    case AME__TYPE_E_TYPE: return "this datatype cannot be used here";
    case AME__TYPE_E_OVERFLOW: return "the size, extent or position does not fit into 64 bits";
    case AME__TYPE_E_MEMORY: return "out of memory";
    case AME__TYPE_E_TRUNCATED: return "the buffer for the packed data is too small";
    }
    return "unknown error";
}

/* ---- predefined types ---- */

/* A pair as its two parts. */
#define PAIR_NODE(name_, value_type, index_type, value_name, index_name)                                               \
    struct pair_##name_ {                                                                                              \
        value_type value;                                                                                              \
        index_type index;                                                                                              \
    };                                                                                                                 \
    static struct ame__entry entries_##name_[3] = {                                                                    \
        {.piece = {.size = sizeof(value_type), .basic = &ame__basics[AME__BASIC_##value_name]}},                       \
        {.piece = {.offset = offsetof(struct pair_##name_, index),                                                     \
                   .size = sizeof(index_type),                                                                         \
                   .basic = &ame__basics[AME__BASIC_##index_name]},                                                    \
         .start = sizeof(value_type)},                                                                                 \
        {.start = sizeof(value_type) + sizeof(index_type)}};                                                           \
    static const struct ame__node node_##name_ = {.kind = AME__NODE_LIST, .count = 2, .entries = entries_##name_};
AME__PAIRS(PAIR_NODE)

#define PAIR_ENTRY(name_, ...) [AME__BASIC_##name_] = &node_##name_,
static const struct ame__node *const pair_nodes[AME__BASIC_END] = {AME__PAIRS(PAIR_ENTRY)};

static void from_basic(struct ame__datatype *type, const struct ame__basic *basic)
{
    *type = (struct ame__datatype){.committed = true,
                                   .basic = basic,
                                   .size = basic->size,
                                   .elements = 1,
                                   .external32 = basic->external32,
                                   .ub = basic->extent,
                                   .alignment = basic->alignment,
                                   .contents.combiner = AME__COMBINER_NAMED};
    struct ame__piece run = {.size = basic->size, .basic = basic};
    type->map = type->flat = run;
    type->true_ub = basic->size;
    if (basic->kind == AME__KIND_PAIR) {
        bool gap = basic->index_at != basic->value->size;
        run.basic = basic->value == basic->index ? basic->value : NULL;
        struct ame__piece parts = {.size = basic->size, .node = pair_nodes[basic->id]};
        type->map = run.basic ? run : parts;
        type->flat = gap ? type->map : run;
        type->elements = 2;
        type->external32 = (int64_t) basic->value->external32 + basic->index->external32;
        type->true_ub = (int64_t) basic->index_at + basic->index->size;
    } else if (basic->kind == AME__KIND_MARKER) {
        type->map = type->flat = (struct ame__piece){0};
        type->elements = 0;
        type->lb_set = basic->id == AME__BASIC_LB;
        type->ub_set = basic->id == AME__BASIC_UB;
    }
}

void ame__type_init_named(struct ame__datatype *type, const struct ame__basic *basic)
{
    from_basic(type, basic);
}

/* ---- life ---- */

struct ame__datatype *ame__type_ref(struct ame__datatype *type)
{
    if (atomic_load_explicit(&type->references, memory_order_relaxed))
        atomic_fetch_add_explicit(&type->references, 1, memory_order_relaxed);
    return type;
}

static void release(struct ame__datatype *type)
{
    ame__nodes_free(type->nodes);
    free(type->contents.ints);
    free(type->contents.addresses);
    free(type->contents.counts);
    free(type->contents.types);
    free(type);
}

void ame__type_unref(struct ame__datatype *type)
{
    /* Deep nests are given up in a loop: `pending` holds those whose last reference is gone, linked by `user`. */
    struct ame__datatype *pending = NULL;
    while (true) {
        if (type && atomic_load_explicit(&type->references, memory_order_relaxed) &&
            atomic_fetch_sub_explicit(&type->references, 1, memory_order_acq_rel) == 1) {
            if (type->user_free) type->user_free(type);
            type->user = pending;
            pending = type;
        }
        while (pending && pending->contents.types_length == 0) {
            struct ame__datatype *next = pending->user;
            release(pending);
            pending = next;
        }
        if (!pending) return;
        type = pending->contents.types[--pending->contents.types_length];
    }
}

/* ---- making: what all constructors share ---- */

enum ame__type_error ame__make_begin(struct ame__make *make, bool mixed)
{
    *make = (struct ame__make){.mixed = mixed};
    make->type = calloc(1, sizeof *make->type);
    if (!make->type) return AME__TYPE_E_MEMORY;
    atomic_init(&make->type->references, 1);
    make->type->alignment = 1;
    ame__gather_begin(&make->map, &make->type->nodes, false);
    ame__gather_begin(&make->flat, &make->type->nodes, true);
    return AME__TYPE_OK;
}

enum ame__type_error ame__make_drop(struct ame__make *make, enum ame__type_error error)
{
    ame__gather_end(&make->map, NULL);
    ame__gather_end(&make->flat, NULL);
    if (make->type) {
        for (int64_t i = 0; i < make->type->contents.types_length; i++) ame__type_unref(make->type->contents.types[i]);
        release(make->type);
    }
    return error;
}

static void lower(int64_t *low, bool *known, int64_t value)
{
    if (!*known || value < *low) *low = value;
    *known = true;
}

static void higher(int64_t *high, bool *known, int64_t value)
{
    if (!*known || value > *high) *high = value;
    *known = true;
}

/* from and to of `count` things, `stride` apart, of which the first reaches from *from to *to. */
static enum ame__type_error spread(int64_t *from, int64_t *to, int64_t displacement, int64_t count, int64_t stride)
{
    int64_t last;
    if (__builtin_mul_overflow(count - 1, stride, &last)) return AME__TYPE_E_OVERFLOW;
    if (__builtin_add_overflow(*from, displacement, from) || __builtin_add_overflow(*to, displacement, to) ||
        __builtin_add_overflow(last < 0 ? *from : *to, last, last < 0 ? from : to))
        return AME__TYPE_E_OVERFLOW;
    return AME__TYPE_OK;
}

enum ame__type_error ame__make_bounds(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                      int64_t displacement)
{
    if (count == 0) return AME__TYPE_OK;
    struct ame__bounds *bounds = &make->bounds;
    int64_t lb = old->lb, ub = old->ub, true_lb = old->true_lb, true_ub = old->true_ub;
    int64_t extent = ame__type_extent(old);
    if (spread(&lb, &ub, displacement, count, extent)) return AME__TYPE_E_OVERFLOW;
    if (old->size > 0) {
        if (spread(&true_lb, &true_ub, displacement, count, extent)) return AME__TYPE_E_OVERFLOW;
        lower(&bounds->true_lb, &bounds->true_lb_known, true_lb);
        higher(&bounds->true_ub, &bounds->true_ub_known, true_ub);
    }
    if (old->lb_set)
        lower(&bounds->set_lb, &bounds->lb_set, lb);
    else if (old->size > 0)
        lower(&bounds->lb, &bounds->lb_known, lb);
    if (old->ub_set)
        higher(&bounds->set_ub, &bounds->ub_set, ub);
    else if (old->size > 0)
        higher(&bounds->ub, &bounds->ub_known, ub);
    if (old->alignment > make->type->alignment) make->type->alignment = old->alignment;
    return AME__TYPE_OK;
}

enum ame__type_error ame__make_amount(struct ame__make *make, const struct ame__datatype *old, int64_t count)
{
    struct ame__datatype *type = make->type;
    int64_t bytes;
    if (__builtin_mul_overflow(old->size, count, &bytes) || __builtin_add_overflow(type->size, bytes, &type->size))
        return AME__TYPE_E_OVERFLOW;
    type->elements += old->elements * count; /* neither is larger than the number of bytes */
    type->external32 += old->external32 * count;
    return AME__TYPE_OK;
}

static enum ame__type_error block_of(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                     struct ame__block *block)
{
    if (make->last.old == old && make->last.count == count) {
        *block = make->last;
        return AME__TYPE_OK;
    }
    struct ame__node **owner = &make->type->nodes;
    *block = (struct ame__block){.old = old, .count = count};
    enum ame__type_error error = ame__piece_loop(owner, old->map, count, ame__type_extent(old), &block->map);
    if (!error && make->mixed) error = ame__piece_loop(owner, old->flat, count, ame__type_extent(old), &block->flat);
    if (!error) make->last = *block;
    return error;
}

enum ame__type_error ame__make_add(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                   int64_t displacement)
{
    if (count < 0) return AME__TYPE_E_COUNT;
    struct ame__block block;
    enum ame__type_error error = ame__make_amount(make, old, count);
    if (!error) error = ame__make_bounds(make, old, count, displacement);
    if (!error) error = block_of(make, old, count, &block);
    if (error || block.map.size == 0) return error;
    block.map.offset += displacement; /* within true_lb, true_ub, which have been checked */
    error = ame__gather_add(&make->map, block.map);
    if (error || !make->mixed) return error;
    block.flat.offset += displacement;
    return ame__gather_add(&make->flat, block.flat);
}

static int64_t arguments_length(const struct ame__argument arguments[], int n, bool large, enum ame__argument_kind kind)
{
    int64_t length = 0;
    for (int i = 0; i < n; i++) {
        enum ame__argument_kind as = arguments[i].kind;
        if (as == AME__ARGUMENT_COUNT && !large) as = AME__ARGUMENT_INT;
        if (as == AME__ARGUMENT_ADDRESS && large) as = AME__ARGUMENT_COUNT;
        if (as == kind) length += arguments[i].length;
    }
    return length;
}

enum ame__type_error ame__make_contents(struct ame__make *make, enum ame__combiner combiner, bool large,
                                        const struct ame__argument arguments[], int n, int64_t types_length,
                                        struct ame__datatype *const types[])
{
    struct ame__type_contents *contents = &make->type->contents;
    contents->combiner = combiner;
    contents->large = large;
    int64_t ints = arguments_length(arguments, n, large, AME__ARGUMENT_INT);
    int64_t addresses = arguments_length(arguments, n, large, AME__ARGUMENT_ADDRESS);
    int64_t counts = arguments_length(arguments, n, large, AME__ARGUMENT_COUNT);
    contents->ints = calloc((size_t) ints + 1, sizeof *contents->ints);
    contents->addresses = calloc((size_t) addresses + 1, sizeof *contents->addresses);
    contents->counts = calloc((size_t) counts + 1, sizeof *contents->counts);
    contents->types = calloc((size_t) types_length + 1, sizeof(struct ame__datatype *));
    if (!contents->ints || !contents->addresses || !contents->counts || !contents->types) return AME__TYPE_E_MEMORY;
    for (int a = 0; a < n; a++)
        for (int64_t i = 0; i < arguments[a].length; i++) {
            int64_t value = ame__count_at(arguments[a].values, i);
            if (arguments[a].kind == AME__ARGUMENT_INT || (arguments[a].kind == AME__ARGUMENT_COUNT && !large))
                contents->ints[contents->ints_length++] = (int) value;
            else if (arguments[a].kind == AME__ARGUMENT_COUNT || large)
                contents->counts[contents->counts_length++] = value;
            else
                contents->addresses[contents->addresses_length++] = value;
        }
    for (int64_t i = 0; i < types_length; i++) contents->types[contents->types_length++] = ame__type_ref(types[i]);
    return AME__TYPE_OK;
}

static enum ame__type_error round_up(struct ame__datatype *type)
{
    int64_t over = ame__type_extent(type) % type->alignment;
    if (type->ub_set || over <= 0) return AME__TYPE_OK;
    return __builtin_add_overflow(type->ub, type->alignment - over, &type->ub) ? AME__TYPE_E_OVERFLOW : AME__TYPE_OK;
}

enum ame__type_error ame__make_finish(struct ame__make *make, bool rounded, struct ame__datatype **out)
{
    struct ame__datatype *type = make->type;
    const struct ame__bounds *bounds = &make->bounds;
    enum ame__type_error error = ame__gather_end(&make->map, &type->map);
    if (!error && make->mixed)
        error = ame__gather_end(&make->flat, &type->flat);
    else
        type->flat = type->map;
    type->lb_set = bounds->lb_set;
    type->ub_set = bounds->ub_set;
    bool lb_known = bounds->lb_set || bounds->lb_known, ub_known = bounds->ub_set || bounds->ub_known;
    if (lb_known) type->lb = bounds->lb_set ? bounds->set_lb : bounds->lb;
    if (ub_known) type->ub = bounds->ub_set ? bounds->set_ub : bounds->ub;
    if (bounds->true_lb_known) {
        type->true_lb = bounds->true_lb;
        type->true_ub = bounds->true_ub;
    }
    int64_t extent;
    if (!error && __builtin_sub_overflow(type->ub, type->lb, &extent)) error = AME__TYPE_E_OVERFLOW;
    if (!error && rounded) error = round_up(type);
    if (error) return ame__make_drop(make, error);
    *out = type;
    return AME__TYPE_OK;
}

/* ---- constructors ---- */

#define ONE(value) ((struct ame__counts){.wide = &(int64_t){value}})

static bool is_mixed(const struct ame__datatype *old)
{
    return old->size > 0 && !old->map.basic;
}

enum ame__type_error ame__type_contiguous(int64_t count, struct ame__datatype *old, bool large,
                                          struct ame__datatype **out)
{
    if (count < 0) return AME__TYPE_E_COUNT;
    struct ame__make make;
    const struct ame__argument arguments[] = {{AME__ARGUMENT_COUNT, 1, ONE(count)}};
    enum ame__type_error error = ame__make_begin(&make, is_mixed(old));
    if (!error) error = ame__make_add(&make, old, count, 0);
    if (!error) error = ame__make_contents(&make, AME__COMBINER_CONTIGUOUS, large, arguments, 1, 1, &old);
    return error ? ame__make_drop(&make, error) : ame__make_finish(&make, false, out);
}

/* Blocks of `blocklength` at 0, stride, 2 * stride ...: one loop around the block. */
static enum ame__type_error add_vector(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                       int64_t blocklength, int64_t stride)
{
    struct ame__node **owner = &make->type->nodes;
    struct ame__block block;
    struct ame__piece piece;
    int64_t all, last;
    if (count == 0 || blocklength == 0) return AME__TYPE_OK;
    if (__builtin_mul_overflow(count, blocklength, &all) || __builtin_mul_overflow(count - 1, stride, &last))
        return AME__TYPE_E_OVERFLOW;
    enum ame__type_error error = ame__make_amount(make, old, all);
    if (!error) error = ame__make_bounds(make, old, blocklength, 0);
    if (!error) error = ame__make_bounds(make, old, blocklength, last);
    if (!error) error = block_of(make, old, blocklength, &block);
    if (!error) error = ame__piece_loop(owner, block.map, count, stride, &piece);
    if (!error) error = ame__gather_add(&make->map, piece);
    if (error || !make->mixed) return error;
    error = ame__piece_loop(owner, block.flat, count, stride, &piece);
    return error ? error : ame__gather_add(&make->flat, piece);
}

static enum ame__type_error make_vector(enum ame__combiner combiner, int64_t count, int64_t blocklength, int64_t stride,
                                        struct ame__datatype *old, bool large, struct ame__datatype **out)
{
    if (count < 0 || blocklength < 0) return AME__TYPE_E_COUNT;
    bool bytes = combiner == AME__COMBINER_HVECTOR;
    int64_t stride_bytes = stride;
    if (!bytes && __builtin_mul_overflow(stride, ame__type_extent(old), &stride_bytes)) return AME__TYPE_E_OVERFLOW;
    struct ame__make make;
    const struct ame__argument arguments[] = {
        {AME__ARGUMENT_COUNT, 1, ONE(count)},
        {AME__ARGUMENT_COUNT, 1, ONE(blocklength)},
        {bytes ? AME__ARGUMENT_ADDRESS : AME__ARGUMENT_COUNT, 1, ONE(stride)},
    };
    enum ame__type_error error = ame__make_begin(&make, is_mixed(old));
    if (!error) error = add_vector(&make, old, count, blocklength, stride_bytes);
    if (!error) error = ame__make_contents(&make, combiner, large, arguments, 3, 1, &old);
    return error ? ame__make_drop(&make, error) : ame__make_finish(&make, false, out);
}

enum ame__type_error ame__type_vector(int64_t count, int64_t blocklength, int64_t stride, struct ame__datatype *old,
                                      bool large, struct ame__datatype **out)
{
    return make_vector(AME__COMBINER_VECTOR, count, blocklength, stride, old, large, out);
}

enum ame__type_error ame__type_hvector(int64_t count, int64_t blocklength, int64_t stride, struct ame__datatype *old,
                                       bool large, struct ame__datatype **out)
{
    return make_vector(AME__COMBINER_HVECTOR, count, blocklength, stride, old, large, out);
}

/* Blocks of old at displacements * unit. lengths: one for each, or `length` for all. */
static enum ame__type_error add_indexed(struct ame__make *make, const struct ame__datatype *old, int64_t count,
                                        const struct ame__counts *lengths, int64_t length,
                                        struct ame__counts displacements, int64_t unit)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t blocklength = lengths ? ame__count_at(*lengths, i) : length, displacement;
        if (__builtin_mul_overflow(ame__count_at(displacements, i), unit, &displacement)) return AME__TYPE_E_OVERFLOW;
        enum ame__type_error error = ame__make_add(make, old, blocklength, displacement);
        if (error) return error;
    }
    return AME__TYPE_OK;
}

static enum ame__type_error make_indexed(enum ame__combiner combiner, int64_t count, struct ame__counts lengths,
                                         struct ame__counts displacements, struct ame__datatype *old, bool large,
                                         struct ame__datatype **out)
{
    if (count < 0) return AME__TYPE_E_COUNT;
    bool bytes = combiner == AME__COMBINER_HINDEXED;
    struct ame__make make;
    const struct ame__argument arguments[] = {
        {AME__ARGUMENT_COUNT, 1, ONE(count)},
        {AME__ARGUMENT_COUNT, count, lengths},
        {bytes ? AME__ARGUMENT_ADDRESS : AME__ARGUMENT_COUNT, count, displacements},
    };
    enum ame__type_error error = ame__make_begin(&make, is_mixed(old));
    if (!error) error = add_indexed(&make, old, count, &lengths, 0, displacements, bytes ? 1 : ame__type_extent(old));
    if (!error) error = ame__make_contents(&make, combiner, large, arguments, 3, 1, &old);
    return error ? ame__make_drop(&make, error) : ame__make_finish(&make, false, out);
}

enum ame__type_error ame__type_indexed(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                                       struct ame__datatype *old, bool large, struct ame__datatype **out)
{
    return make_indexed(AME__COMBINER_INDEXED, count, blocklengths, displacements, old, large, out);
}

enum ame__type_error ame__type_hindexed(int64_t count, struct ame__counts blocklengths,
                                        struct ame__counts displacements, struct ame__datatype *old, bool large,
                                        struct ame__datatype **out)
{
    return make_indexed(AME__COMBINER_HINDEXED, count, blocklengths, displacements, old, large, out);
}

static enum ame__type_error make_blocks(enum ame__combiner combiner, int64_t count, int64_t length,
                                        struct ame__counts displacements, struct ame__datatype *old, bool large,
                                        struct ame__datatype **out)
{
    if (count < 0 || length < 0) return AME__TYPE_E_COUNT;
    bool bytes = combiner == AME__COMBINER_HINDEXED_BLOCK;
    struct ame__make make;
    const struct ame__argument arguments[] = {
        {AME__ARGUMENT_COUNT, 1, ONE(count)},
        {AME__ARGUMENT_COUNT, 1, ONE(length)},
        {bytes ? AME__ARGUMENT_ADDRESS : AME__ARGUMENT_COUNT, count, displacements},
    };
    enum ame__type_error error = ame__make_begin(&make, is_mixed(old));
    if (!error) error = add_indexed(&make, old, count, NULL, length, displacements, bytes ? 1 : ame__type_extent(old));
    if (!error) error = ame__make_contents(&make, combiner, large, arguments, 3, 1, &old);
    return error ? ame__make_drop(&make, error) : ame__make_finish(&make, false, out);
}

enum ame__type_error ame__type_indexed_block(int64_t count, int64_t blocklength, struct ame__counts displacements,
                                             struct ame__datatype *old, bool large, struct ame__datatype **out)
{
    return make_blocks(AME__COMBINER_INDEXED_BLOCK, count, blocklength, displacements, old, large, out);
}

enum ame__type_error ame__type_hindexed_block(int64_t count, int64_t blocklength, struct ame__counts displacements,
                                              struct ame__datatype *old, bool large, struct ame__datatype **out)
{
    return make_blocks(AME__COMBINER_HINDEXED_BLOCK, count, blocklength, displacements, old, large, out);
}

enum ame__type_error ame__type_struct(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                                      struct ame__datatype *const types[], bool large, struct ame__datatype **out)
{
    if (count < 0) return AME__TYPE_E_COUNT;
    const struct ame__basic *basic = NULL;
    bool mixed = false;
    for (int64_t i = 0; i < count; i++) {
        if (types[i]->size == 0 || ame__count_at(blocklengths, i) == 0) continue;
        if (!basic) basic = types[i]->map.basic;
        if (!basic || types[i]->map.basic != basic) mixed = true;
    }
    struct ame__make make;
    const struct ame__argument arguments[] = {
        {AME__ARGUMENT_COUNT, 1, ONE(count)},
        {AME__ARGUMENT_COUNT, count, blocklengths},
        {AME__ARGUMENT_ADDRESS, count, displacements},
    };
    enum ame__type_error error = ame__make_begin(&make, mixed);
    for (int64_t i = 0; !error && i < count; i++)
        error = ame__make_add(&make, types[i], ame__count_at(blocklengths, i), ame__count_at(displacements, i));
    if (!error) error = ame__make_contents(&make, AME__COMBINER_STRUCT, large, arguments, 3, count, types);
    return error ? ame__make_drop(&make, error) : ame__make_finish(&make, true, out);
}

/* ---- the same data under other properties: the trees are those of `old` ---- */

static enum ame__type_error alike(struct ame__datatype *old, enum ame__combiner combiner, bool large,
                                  const struct ame__argument arguments[], int n, struct ame__datatype **out)
{
    struct ame__make make;
    enum ame__type_error error = ame__make_begin(&make, false);
    if (!error) error = ame__make_contents(&make, combiner, large, arguments, n, 1, &old);
    if (error) return ame__make_drop(&make, error);
    struct ame__datatype *type = make.type;
    type->lb_set = old->lb_set;
    type->ub_set = old->ub_set;
    type->size = old->size;
    type->elements = old->elements;
    type->external32 = old->external32;
    type->lb = old->lb;
    type->ub = old->ub;
    type->true_lb = old->true_lb;
    type->true_ub = old->true_ub;
    type->alignment = old->alignment;
    type->map = old->map;
    type->flat = old->flat;
    *out = type;
    return AME__TYPE_OK;
}

enum ame__type_error ame__type_dup(struct ame__datatype *old, struct ame__datatype **out)
{
    enum ame__type_error error = alike(old, AME__COMBINER_DUP, false, NULL, 0, out);
    if (error) return error;
    (*out)->committed = old->committed;
    (*out)->basic = old->basic;
    return AME__TYPE_OK;
}

enum ame__type_error ame__type_resized(struct ame__datatype *old, int64_t lb, int64_t extent, bool large,
                                       struct ame__datatype **out)
{
    const struct ame__argument arguments[] = {{AME__ARGUMENT_ADDRESS, 1, ONE(lb)},
                                              {AME__ARGUMENT_ADDRESS, 1, ONE(extent)}};
    int64_t ub;
    if (__builtin_add_overflow(lb, extent, &ub)) return AME__TYPE_E_OVERFLOW;
    enum ame__type_error error = alike(old, AME__COMBINER_RESIZED, large, arguments, 2, out);
    if (error) return error;
    (*out)->lb_set = (*out)->ub_set = true;
    (*out)->lb = lb;
    (*out)->ub = ub;
    return AME__TYPE_OK;
}

enum ame__type_error ame__type_f90(enum ame__combiner combiner, const struct ame__basic *basic, int count,
                                   const int ints[], struct ame__datatype **out)
{
    const struct ame__argument argument = {AME__ARGUMENT_INT, count, AME__NARROW(ints)};
    struct ame__make make;
    enum ame__type_error error = ame__make_begin(&make, false);
    if (!error) error = ame__make_contents(&make, combiner, false, &argument, 1, 0, NULL);
    if (error) return ame__make_drop(&make, error);
    struct ame__type_contents contents = make.type->contents;
    from_basic(make.type, basic);
    atomic_init(&make.type->references, 1);
    make.type->contents = contents;
    *out = make.type;
    return AME__TYPE_OK;
}
