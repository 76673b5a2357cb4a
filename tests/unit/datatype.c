/* Unit tests of runtime/mpi/datatype.h. First types whose properties the standard gives or that are known to go wrong; then
 * random nests of all constructors, against a reference that does what the standard's definitions say, word for word: it
 * writes out every basic with its displacement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/type_flat.h"

static struct ame__datatype named[AME__BASIC_END];
static int made; /* derived types that user_free has not seen */

static void count_free(struct ame__datatype *type)
{
    (void) type;
    made--;
}

static struct ame__datatype *counted(struct ame__datatype *type)
{
    type->user_free = count_free;
    made++;
    return type;
}

#define TYPE(name) (&named[AME__BASIC_##name])
#define MAKE(out, call)                                                                                                \
    do {                                                                                                               \
        assert_int_equal(call, AME__TYPE_OK);                                                                          \
        counted(out);                                                                                                  \
    } while (0)

static void check_shape(const struct ame__datatype *type, int64_t size, int64_t lb, int64_t extent, int64_t true_lb,
                        int64_t true_extent)
{
    assert_int_equal(type->size, size);
    assert_int_equal(type->lb, lb);
    assert_int_equal(ame__type_extent(type), extent);
    assert_int_equal(type->true_lb, true_lb);
    assert_int_equal(type->true_ub - type->true_lb, true_extent);
}

static void predefined(void **state)
{
    (void) state;
    for (int id = AME__BASIC_NONE + 1; id < AME__BASIC_END; id++) {
        const struct ame__basic *basic = &ame__basics[id];
        assert_ptr_equal(ame__basic_named(basic->name), basic);
        assert_int_equal(basic->id, id);
        if (basic->kind == AME__KIND_MARKER) continue;
        assert_true(basic->extent >= basic->size && basic->extent % basic->alignment == 0);
        assert_int_equal(named[id].size, basic->size);
    }
    assert_int_equal(ame__basics[AME__BASIC_INT].size, sizeof(int));
    assert_int_equal(ame__basics[AME__BASIC_DOUBLE_INT].size, 12);
    assert_int_equal(ame__basics[AME__BASIC_DOUBLE_INT].extent, 16);
    assert_int_equal(ame__basics[AME__BASIC_SHORT_INT].size, 6);
    assert_int_equal(ame__basics[AME__BASIC_SHORT_INT].index_at, 4);
    assert_string_equal(ame__basics[AME__BASIC_2INT].name, "MPI_2INT");
    assert_int_equal(ame__basic_named("MPI_LONG_LONG_INT")->id, AME__BASIC_LONG_LONG);
    assert_null(ame__basic_named("MPI_INTERGER"));
}

static void one_run_stays_one(void **state)
{
    struct ame__datatype *a, *b, *c, *d;
    char buf[1000];
    (void) state;
    MAKE(a, ame__type_contiguous(10, TYPE(INT), false, &a));
    MAKE(b, ame__type_vector(3, 2, 2, a, false, &b));
    MAKE(c, ame__type_struct(2, AME__NARROW(((int[]){1, 3})), AME__WIDE(((int64_t[]){0, 240})),
                             (struct ame__datatype *[]){b, TYPE(DOUBLE)}, false, &c));
    MAKE(d, ame__type_dup(c, &d));
    ame__type_unref(a);
    ame__type_unref(b);
    ame__type_unref(c);
    check_shape(d, 264, 0, 264, 0, 264);
    assert_null(d->flat.node);
    assert_non_null(d->map.node); /* two basics */
    assert_ptr_equal(ame__type_direct(d, 3, buf), buf);
    assert_int_equal(d->elements, 63);
    ame__type_unref(d);
    assert_int_equal(made, 0);
}

static void millions_are_one_node(void **state)
{
    struct ame__datatype *column, *moved, *matrix;
    struct iovec iov[4];
    int64_t covered = 0;
    (void) state;
    MAKE(column, ame__type_vector(1000000000, 1, 1000000000, TYPE(DOUBLE), true, &column));
    check_shape(column, 8000000000, 0, 8 * (999999999 * (int64_t) 1000000000 + 1), 0,
                8 * (999999999 * (int64_t) 1000000000 + 1));
    assert_non_null(column->flat.node);
    assert_null(column->nodes->next);
    MAKE(moved, ame__type_resized(column, 0, 8, false, &moved));
    MAKE(matrix, ame__type_contiguous(3, moved, false, &matrix));
    assert_int_equal(ame__type_iovec(matrix, 1, (void *) 4096, 8000000000 - 8 - 3, 20, iov, 4, &covered), 4);
    assert_int_equal(covered, 20);
    assert_int_equal(iov[0].iov_len, 3);
    assert_int_equal((uintptr_t) iov[0].iov_base, 4096 + 999999998 * (int64_t) 8000000000 + 5);
    assert_int_equal(iov[2].iov_len, 8);
    assert_int_equal((uintptr_t) iov[2].iov_base, 4096 + 8);
    ame__type_unref(matrix);
    ame__type_unref(moved);
    ame__type_unref(column);
    assert_int_equal(made, 0);
}

/* MPI 4.1, examples of section 5.1 */
static void bounds_of_the_standard(void **state)
{
    struct ame__datatype *type, *one, *two;
    (void) state;
    MAKE(type, ame__type_struct(2, AME__NARROW(((int[]){1, 1})), AME__WIDE(((int64_t[]){0, 8})),
                                (struct ame__datatype *[]){TYPE(DOUBLE), TYPE(CHAR)}, false, &type));
    check_shape(type, 9, 0, 16, 0, 9);
    ame__type_unref(type);
    /* markers: {(lb, -3), (int, 0), (ub, 6)} and two of it */
    MAKE(one, ame__type_resized(TYPE(INT), -3, 9, false, &one));
    check_shape(one, 4, -3, 9, 0, 4);
    MAKE(two, ame__type_contiguous(2, one, false, &two));
    check_shape(two, 8, -3, 18, 0, 13);
    ame__type_unref(two);
    /* bounds that were set go before those of data */
    MAKE(two, ame__type_struct(2, AME__NARROW(((int[]){1, 1})), AME__WIDE(((int64_t[]){-100, 0})),
                               (struct ame__datatype *[]){TYPE(DOUBLE), one}, false, &two));
    check_shape(two, 12, -3, 9, -100, 104);
    ame__type_unref(two);
    ame__type_unref(one);
    MAKE(one, ame__type_struct(3, AME__NARROW(((int[]){1, 1, 1})), AME__WIDE(((int64_t[]){-3, 0, 6})),
                               (struct ame__datatype *[]){TYPE(LB), TYPE(INT), TYPE(UB)}, false, &one));
    check_shape(one, 4, -3, 9, 0, 4);
    ame__type_unref(one);
    /* without data the other bound is 0 */
    MAKE(one, ame__type_struct(1, AME__NARROW(((int[]){1})), AME__WIDE(((int64_t[]){10})),
                               (struct ame__datatype *[]){TYPE(LB)}, false, &one));
    check_shape(one, 0, 10, -10, 0, 0);
    ame__type_unref(one);
    MAKE(one, ame__type_struct(1, AME__NARROW(((int[]){1})), AME__WIDE(((int64_t[]){10})),
                               (struct ame__datatype *[]){TYPE(UB)}, false, &one));
    check_shape(one, 0, 0, 10, 0, 0);
    ame__type_unref(one);
    /* negative strides */
    MAKE(one, ame__type_vector(3, 2, -4, TYPE(INT), false, &one));
    check_shape(one, 24, -32, 40, -32, 40);
    ame__type_unref(one);
    assert_int_equal(made, 0);
}

static void nothing_in_it(void **state)
{
    struct ame__datatype *type, *more;
    char buf[8];
    int64_t begin, length;
    (void) state;
    MAKE(type, ame__type_struct(0, AME__NARROW(NULL), AME__WIDE(NULL), NULL, false, &type));
    check_shape(type, 0, 0, 0, 0, 0);
    MAKE(more, ame__type_vector(5, 1, 7, type, false, &more));
    check_shape(more, 0, 0, 0, 0, 0);
    assert_int_equal(ame__type_pack(more, 9, buf, 0, buf, 8), 0);
    assert_ptr_equal(ame__type_direct(more, 9, buf), buf);
    assert_int_equal(ame__type_count(more, 0), 0);
    assert_int_equal(ame__type_count(more, 4), -1);
    assert_int_equal(ame__type_elements(more, 0), 0);
    ame__type_span(more, 3, &begin, &length);
    assert_int_equal(length, 0);
    ame__type_unref(more);
    ame__type_unref(type);
    MAKE(type, ame__type_hindexed(3, AME__NARROW(((int[]){0, 1, 0})), AME__WIDE(((int64_t[]){-50, 8, 100})), TYPE(INT),
                                  false, &type));
    check_shape(type, 4, 8, 4, 8, 4);
    ame__type_unref(type);
    assert_int_equal(made, 0);
}

static void refused(void **state)
{
    struct ame__datatype *type = NULL;
    (void) state;
    assert_int_equal(ame__type_contiguous(-1, TYPE(INT), false, &type), AME__TYPE_E_COUNT);
    assert_int_equal(ame__type_vector(1, -1, 1, TYPE(INT), false, &type), AME__TYPE_E_COUNT);
    assert_int_equal(
        ame__type_indexed(2, AME__NARROW(((int[]){1, -1})), AME__NARROW(((int[]){0, 4})), TYPE(INT), false, &type),
        AME__TYPE_E_COUNT);
    assert_int_equal(ame__type_contiguous(INT64_MAX / 2, TYPE(INT), true, &type), AME__TYPE_E_OVERFLOW);
    assert_int_equal(ame__type_vector(3, 1, INT64_MAX / 3, TYPE(INT), true, &type), AME__TYPE_E_OVERFLOW);
    assert_int_equal(ame__type_hindexed(2, AME__NARROW(((int[]){1, 1})),
                                        AME__WIDE(((int64_t[]){INT64_MIN, INT64_MAX - 4})), TYPE(INT), true, &type),
                     AME__TYPE_E_OVERFLOW);
    assert_int_equal(ame__type_hindexed(1, AME__NARROW(((int[]){1})), AME__WIDE(((int64_t[]){INT64_MAX - 2})),
                                        TYPE(INT), true, &type),
                     AME__TYPE_E_OVERFLOW);
    assert_int_equal(ame__type_resized(TYPE(INT), INT64_MAX, 2, true, &type), AME__TYPE_E_OVERFLOW);
    assert_int_equal(ame__type_subarray(1, AME__NARROW(((int[]){4})), AME__NARROW(((int[]){3})),
                                        AME__NARROW(((int[]){2})), AME__ORDER_C, TYPE(INT), false, &type),
                     AME__TYPE_E_ARG);
    assert_int_equal(ame__type_darray(4, 0, 1, AME__NARROW(((int[]){10})), (int[]){AME__DISTRIBUTE_BLOCK}, (int[]){2},
                                      (int[]){4}, AME__ORDER_C, TYPE(INT), false, &type),
                     AME__TYPE_E_ARG);
    assert_int_equal(ame__type_darray(4, 0, 1, AME__NARROW(((int[]){10})), (int[]){AME__DISTRIBUTE_NONE}, (int[]){-1},
                                      (int[]){4}, AME__ORDER_C, TYPE(INT), false, &type),
                     AME__TYPE_E_ARG);
    assert_null(type);
    for (int error = AME__TYPE_OK; error <= AME__TYPE_E_TRUNCATED; error++)
        assert_string_not_equal(ame__type_strerror((enum ame__type_error) error), "unknown error");
}

static void contents(void **state)
{
    struct ame__datatype *type;
    const struct ame__type_contents *is;
    (void) state;
    MAKE(type, ame__type_hvector(3, 2, 100, TYPE(INT), false, &type));
    is = &type->contents;
    assert_int_equal(is->combiner, AME__COMBINER_HVECTOR);
    assert_int_equal(is->ints_length, 2);
    assert_int_equal(is->ints[1], 2);
    assert_int_equal(is->addresses_length, 1);
    assert_int_equal(is->addresses[0], 100);
    assert_ptr_equal(is->types[0], TYPE(INT));
    ame__type_unref(type);
    MAKE(type, ame__type_hvector(3, 2, 100, TYPE(INT), true, &type));
    is = &type->contents;
    assert_int_equal(is->ints_length, 0);
    assert_int_equal(is->addresses_length, 0);
    assert_int_equal(is->counts_length, 3);
    assert_int_equal(is->counts[2], 100);
    ame__type_unref(type);
    int gsizes[] = {10, 20}, distributions[] = {AME__DISTRIBUTE_BLOCK, AME__DISTRIBUTE_CYCLIC}, darguments[] = {-1, 3};
    MAKE(type, ame__type_darray(6, 4, 2, AME__NARROW(gsizes), distributions, darguments, (int[]){2, 3},
                                AME__ORDER_FORTRAN, TYPE(CHAR), false, &type));
    is = &type->contents;
    assert_int_equal(is->ints_length, 12);
    const int expected[] = {
        6, 4, 2, 10, 20, AME__DISTRIBUTE_BLOCK, AME__DISTRIBUTE_CYCLIC, -1, 3, 2, 3, AME__ORDER_FORTRAN};
    assert_memory_equal(is->ints, expected, sizeof expected);
    ame__type_unref(type);
    MAKE(type, ame__type_f90(AME__COMBINER_F90_REAL, &ame__basics[AME__BASIC_DOUBLE], 2, (int[]){15, 300}, &type));
    assert_int_equal(type->contents.ints[1], 300);
    assert_int_equal(type->contents.types_length, 0);
    assert_ptr_equal(type->basic, &ame__basics[AME__BASIC_DOUBLE]);
    ame__type_unref(type);
    assert_int_equal(made, 0);
}

static void deep_nests_are_freed(void **state)
{
    struct ame__datatype *type = TYPE(INT), *outer;
    (void) state;
    for (int i = 0; i < 200000; i++) {
        MAKE(outer, ame__type_dup(type, &outer));
        ame__type_unref(type);
        type = outer;
    }
    ame__type_unref(type);
    assert_int_equal(made, 0);
}

static void external32(void **state)
{
    struct {
        short a;
        long b;
        long double c;
        float _Complex d;
        wchar_t e;
    } in = {-2, -3, 1.0L, 1.0f, 65}, out;
    struct ame__datatype *type;
    unsigned char packed[64];
    const unsigned char expected[] = {0xff, 0xfe, 0xff, 0xff, 0xff, 0xfd, 0x3f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0,
                                      0,    0,    0,    0,    0,    0,    0x3f, 0x80, 0, 0, 0, 0, 0, 0, 0, 65};
    int64_t bytes, position = 3;
    (void) state;
    MAKE(type, ame__type_struct(5, AME__NARROW(((int[]){1, 1, 1, 1, 1})),
                                AME__WIDE(((int64_t[]){(char *) &in.a - (char *) &in, (char *) &in.b - (char *) &in,
                                                       (char *) &in.c - (char *) &in, (char *) &in.d - (char *) &in,
                                                       (char *) &in.e - (char *) &in})),
                                (struct ame__datatype *[]){TYPE(SHORT), TYPE(LONG), TYPE(LONG_DOUBLE),
                                                           TYPE(C_FLOAT_COMPLEX), TYPE(WCHAR)},
                                false, &type));
    assert_int_equal(ame__type_external32_size(type, 1, &bytes), 0);
    assert_int_equal(bytes, sizeof expected);
    assert_int_equal(ame__type_external32_pack(type, 1, &in, packed, 3 + bytes - 1, &position), AME__TYPE_E_TRUNCATED);
    assert_int_equal(position, 3);
    assert_int_equal(ame__type_external32_pack(type, 1, &in, packed, sizeof packed, &position), 0);
    assert_int_equal(position, 3 + bytes);
    assert_memory_equal(packed + 3, expected, sizeof expected);
    position = 3;
    assert_int_equal(ame__type_external32_unpack(type, 1, &out, packed, sizeof packed, &position), 0);
    assert_int_equal(out.a, in.a);
    assert_int_equal(out.b, in.b);
    assert_true(out.c == in.c && out.d == in.d && out.e == in.e);
    ame__type_unref(type);
    assert_int_equal(made, 0);
}

static void elements_of_pairs(void **state)
{
    (void) state;
    assert_int_equal(ame__type_elements(TYPE(DOUBLE_INT), 24), 4);
    assert_int_equal(ame__type_elements(TYPE(DOUBLE_INT), 20), 3);
    assert_int_equal(ame__type_elements(TYPE(DOUBLE_INT), 16), -1);
    assert_int_equal(ame__type_count(TYPE(DOUBLE_INT), 20), -1);
    assert_int_equal(ame__type_elements_bytes(TYPE(DOUBLE_INT), 3), 20);
    assert_int_equal(ame__type_elements(TYPE(2INT), 4), 1);
}

/* ---- random types against the definitions ---- */

struct place {
    const struct ame__basic *basic; /* a part of a pair by itself */
    int64_t at;
};

struct reference {
    struct ame__datatype *type;
    int64_t length;
    struct place places[6000];
    bool lb_set, ub_set;
    int64_t lb, ub, alignment;
};

enum { PLACES_MAX = 6000, SPAN_MAX = 100000, ARENA = 1000000, COUNT_MAX = 3 };

static unsigned seed;
static int64_t dice(int64_t low, int64_t high)
{
    seed = seed * 1103515245u + 12345u;
    return low + (int64_t) ((seed >> 8) % (unsigned) (high - low + 1));
}

static void reference_bounds(struct reference *r, bool lb_set, int64_t lb, bool ub_set, int64_t ub)
{
    r->lb_set = lb_set;
    r->ub_set = ub_set;
    for (int64_t i = 0; i < r->length; i++) {
        int64_t at = r->places[i].at, end = at + r->places[i].basic->size;
        if (!lb_set && (i == 0 || at < lb)) lb = at;
        if (!ub_set && (i == 0 || end > ub)) ub = end;
    }
    if (r->length == 0 && !lb_set) lb = ub_set ? ub : 0;
    if (r->length == 0 && !ub_set) ub = lb;
    r->lb = lb;
    r->ub = ub;
}

static void reference_basic(struct reference *r)
{
    static const enum ame__basic_id ids[] = {
        AME__BASIC_CHAR,        AME__BASIC_SHORT,           AME__BASIC_INT,        AME__BASIC_INT,
        AME__BASIC_DOUBLE,      AME__BASIC_SHORT_INT,       AME__BASIC_DOUBLE_INT, AME__BASIC_2INT,
        AME__BASIC_LONG_DOUBLE, AME__BASIC_C_DOUBLE_COMPLEX};
    const struct ame__basic *basic = &ame__basics[ids[dice(0, sizeof ids / sizeof *ids - 1)]];
    bool pair = basic->kind == AME__KIND_PAIR;
    r->type = &named[basic->id];
    r->length = pair ? 2 : 1;
    r->places[0] = (struct place){pair ? basic->value : basic, 0};
    if (pair) r->places[1] = (struct place){basic->index, basic->index_at};
    r->lb_set = r->ub_set = false;
    r->lb = 0;
    r->ub = basic->extent;
    r->alignment = basic->alignment;
}

/* Bounds as the definitions have them for blocks of `old`, which may have bounds beyond its data without having set any
 * (rounded structs, pairs): each repetition then counts with its own lb and ub. */
struct limits {
    bool lb_set, ub_set, lb_known, ub_known;
    int64_t lb, ub;
};

static void limit(struct limits *limits, const struct reference *old, int64_t at)
{
    bool counts_lb = old->lb_set || old->length, counts_ub = old->ub_set || old->length;
    if (counts_lb && (!limits->lb_set || old->lb_set)) {
        if (!limits->lb_known || (old->lb_set && !limits->lb_set) || at + old->lb < limits->lb)
            limits->lb = at + old->lb;
        limits->lb_known = true;
        limits->lb_set = limits->lb_set || old->lb_set;
    }
    if (counts_ub && (!limits->ub_set || old->ub_set)) {
        if (!limits->ub_known || (old->ub_set && !limits->ub_set) || at + old->ub > limits->ub)
            limits->ub = at + old->ub;
        limits->ub_known = true;
        limits->ub_set = limits->ub_set || old->ub_set;
    }
}

/* One more repetition of `old` at `at`. False when it becomes too much. */
static bool put(struct reference *r, struct limits *limits, const struct reference *old, int64_t at)
{
    if (r->length + old->length > PLACES_MAX) return false;
    for (int64_t i = 0; i < old->length; i++)
        r->places[r->length++] = (struct place){old->places[i].basic, old->places[i].at + at};
    limit(limits, old, at);
    if (old->alignment > r->alignment) r->alignment = old->alignment;
    return true;
}

static bool put_block(struct reference *r, struct limits *limits, const struct reference *old, int64_t count,
                      int64_t at)
{
    for (int64_t i = 0; i < count; i++)
        if (!put(r, limits, old, at + i * (old->ub - old->lb))) return false;
    return true;
}

static void set_limits(struct reference *r, const struct limits *limits)
{
    r->lb_set = limits->lb_set;
    r->ub_set = limits->ub_set;
    r->lb = limits->lb_known ? limits->lb : limits->ub_known ? limits->ub : 0;
    r->ub = limits->ub_known ? limits->ub : r->lb;
}

static bool random_vector(struct reference *r, const struct reference *old)
{
    bool bytes = dice(0, 1);
    int64_t count = dice(0, 4), blocklength = dice(0, 3), stride = bytes ? dice(-40, 60) : dice(-3, 5);
    struct limits limits = {0};
    MAKE(r->type,
         (bytes ? ame__type_hvector : ame__type_vector)(count, blocklength, stride, old->type, dice(0, 1), &r->type));
    for (int64_t i = 0; i < count; i++)
        if (!put_block(r, &limits, old, blocklength, i * stride * (bytes ? 1 : old->ub - old->lb))) return false;
    set_limits(r, &limits);
    return true;
}

static bool random_indexed(struct reference *r, const struct reference *old)
{
    bool bytes = dice(0, 1), block = dice(0, 1);
    int64_t count = dice(0, 5), lengths[5], at[5], length = dice(0, 3);
    int narrow[5];
    struct limits limits = {0};
    for (int i = 0; i < 5; i++) {
        lengths[i] = dice(0, 3);
        at[i] = bytes ? dice(-60, 90) : dice(-4, 8);
        if (i > 0 && dice(0, 2)) at[i] = at[i - 1] + (bytes ? 8 : 1) * dice(1, 3);
        narrow[i] = (int) lengths[i];
    }
    struct ame__counts of = dice(0, 1) ? AME__NARROW(narrow) : AME__WIDE(lengths);
    if (block)
        MAKE(r->type, (bytes ? ame__type_hindexed_block : ame__type_indexed_block)(count, length, AME__WIDE(at),
                                                                                   old->type, dice(0, 1), &r->type));
    else
        MAKE(r->type, (bytes ? ame__type_hindexed : ame__type_indexed)(count, of, AME__WIDE(at), old->type, dice(0, 1),
                                                                       &r->type));
    for (int64_t i = 0; i < count; i++)
        if (!put_block(r, &limits, old, block ? length : lengths[i], at[i] * (bytes ? 1 : old->ub - old->lb)))
            return false;
    set_limits(r, &limits);
    return true;
}

static bool random_struct(struct reference *r, const struct reference *old[2])
{
    int64_t count = dice(0, 4), lengths[4], at[4];
    struct ame__datatype *types[4];
    const struct reference *from[4];
    struct limits limits = {0};
    for (int i = 0; i < 4; i++) {
        lengths[i] = dice(0, 2);
        at[i] = dice(-50, 100);
        from[i] = old[dice(0, 1)];
        if (i > 0 && dice(0, 1)) at[i] = at[i - 1] + lengths[i - 1] * (from[i - 1]->ub - from[i - 1]->lb);
        types[i] = from[i]->type;
    }
    MAKE(r->type, ame__type_struct(count, AME__WIDE(lengths), AME__WIDE(at), types, dice(0, 1), &r->type));
    for (int64_t i = 0; i < count; i++)
        if (!put_block(r, &limits, from[i], lengths[i], at[i])) return false;
    set_limits(r, &limits);
    int64_t over = (r->ub - r->lb) % r->alignment;
    if (!r->ub_set && over > 0) r->ub += r->alignment - over;
    return true;
}

/* Whether process `coord` of `procs` has step i of a dimension. */
static bool owns(int distribution, int argument, int64_t size, int procs, int coord, int64_t i)
{
    int64_t block = argument;
    if (distribution == AME__DISTRIBUTE_NONE) return true;
    if (argument == AME__DISTRIBUTE_DEFAULT)
        block = distribution == AME__DISTRIBUTE_CYCLIC ? 1 : (size + procs - 1) / procs;
    return i / block % procs == coord;
}

static bool random_array(struct reference *r, const struct reference *old)
{
    int ndims = (int) dice(1, 3), sizes[3], subsizes[3], starts[3], how[3], arguments[3], procs[3], coords[3], all = 1;
    bool darray = dice(0, 1);
    enum ame__order order = dice(0, 1) ? AME__ORDER_C : AME__ORDER_FORTRAN;
    struct limits limits = {0};
    for (int d = 0; d < ndims; d++) {
        sizes[d] = (int) dice(1, 7);
        subsizes[d] = (int) dice(1, sizes[d]);
        starts[d] = (int) dice(0, sizes[d] - subsizes[d]);
        how[d] = (int) dice(AME__DISTRIBUTE_NONE, AME__DISTRIBUTE_CYCLIC);
        procs[d] = how[d] == AME__DISTRIBUTE_NONE ? 1 : (int) dice(1, 3);
        coords[d] = (int) dice(0, procs[d] - 1);
        arguments[d] = how[d] == AME__DISTRIBUTE_CYCLIC && dice(0, 1) ? (int) dice(1, 3) : AME__DISTRIBUTE_DEFAULT;
        if (how[d] == AME__DISTRIBUTE_BLOCK && dice(0, 1))
            arguments[d] = (int) dice((sizes[d] + procs[d] - 1) / procs[d], 8);
        all *= procs[d];
    }
    int rank = 0;
    for (int d = 0; d < ndims; d++) rank = rank * procs[d] + coords[d];
    if (darray)
        MAKE(r->type, ame__type_darray(all, rank, ndims, AME__NARROW(sizes), how, arguments, procs, order, old->type,
                                       dice(0, 1), &r->type));
    else
        MAKE(r->type, ame__type_subarray(ndims, AME__NARROW(sizes), AME__NARROW(subsizes), AME__NARROW(starts), order,
                                         old->type, dice(0, 1), &r->type));
    int64_t total = 1, extent = old->ub - old->lb;
    for (int d = 0; d < ndims; d++) total *= sizes[d];
    for (int64_t step = 0; step < total; step++) {
        int64_t rest = step;
        bool mine = true;
        for (int i = 0; i < ndims; i++) {
            int d = order == AME__ORDER_C ? ndims - 1 - i : i;
            int64_t at = rest % sizes[d];
            rest /= sizes[d];
            mine = mine && (darray ? owns(how[d], arguments[d], sizes[d], procs[d], coords[d], at)
                                   : at >= starts[d] && at < starts[d] + subsizes[d]);
        }
        if (mine && !put(r, &limits, old, step * extent)) return false;
    }
    r->lb_set = r->ub_set = true;
    r->lb = 0;
    r->ub = total * extent;
    if (old->alignment > r->alignment) r->alignment = old->alignment;
    return true;
}

static bool random_other(struct reference *r, const struct reference *old)
{
    struct limits limits = {0};
    int64_t count = dice(0, 5), lb = dice(-20, 20), extent = dice(-10, 80);
    switch (dice(0, 2)) {
    case 0:
        MAKE(r->type, ame__type_contiguous(count, old->type, dice(0, 1), &r->type));
        if (!put_block(r, &limits, old, count, 0)) return false;
        set_limits(r, &limits);
        return true;
    case 1:
        MAKE(r->type, ame__type_resized(old->type, lb, extent, dice(0, 1), &r->type));
        put(r, &limits, old, 0);
        reference_bounds(r, true, lb, true, lb + extent);
        return true;
    default:
        MAKE(r->type, ame__type_dup(old->type, &r->type));
        put(r, &limits, old, 0);
        r->lb_set = old->lb_set;
        r->ub_set = old->ub_set;
        r->lb = old->lb;
        r->ub = old->ub;
        return true;
    }
}

static bool random_type(struct reference *r, int depth)
{
    *r = (struct reference){.alignment = 1};
    if (depth == 0) {
        reference_basic(r);
        return true;
    }
    struct reference *old = malloc(2 * sizeof *old);
    assert_non_null(old);
    bool fits = random_type(&old[0], depth - 1);
    fits = random_type(&old[1], (int) dice(0, depth - 1)) && fits;
    if (fits) {
        switch (dice(0, 4)) {
        case 0: fits = random_vector(r, &old[0]); break;
        case 1: fits = random_indexed(r, &old[0]); break;
        case 2: fits = random_struct(r, (const struct reference *[]){&old[0], &old[1]}); break;
        case 3: fits = random_array(r, &old[0]); break;
        default: fits = random_other(r, &old[0]); break;
        }
    }
    ame__type_unref(old[0].type);
    ame__type_unref(old[1].type);
    free(old);
    return fits;
}

static unsigned char arena[2][2 * ARENA], packed[2][PLACES_MAX * COUNT_MAX * 32];

static int64_t reference_copy(const struct reference *r, int64_t count, unsigned char *buf, unsigned char *bytes,
                              bool pack)
{
    int64_t done = 0;
    for (int64_t c = 0; c < count; c++)
        for (int64_t i = 0; i < r->length; i++) {
            unsigned char *at = buf + c * (r->ub - r->lb) + r->places[i].at;
            memcpy(pack ? bytes + done : at, pack ? at : bytes + done, (size_t) r->places[i].basic->size);
            done += r->places[i].basic->size;
        }
    return done;
}

static bool check_description(const struct reference *r)
{
    const struct ame__datatype *type = r->type;
    int64_t size = 0, low = 0, high = 0;
    for (int64_t i = 0; i < r->length; i++) {
        int64_t at = r->places[i].at, end = at + r->places[i].basic->size;
        size += r->places[i].basic->size;
        if (i == 0 || at < low) low = at;
        if (i == 0 || end > high) high = end;
    }
    if (low < -SPAN_MAX || high > SPAN_MAX || llabs(r->ub - r->lb) > SPAN_MAX) return false;
    check_shape(type, size, r->lb, r->ub - r->lb, low, high - low);
    assert_int_equal(type->elements, r->length);
    assert_int_equal(type->lb_set, r->lb_set);
    assert_int_equal(type->ub_set, r->ub_set);
    if (r->length) assert_int_equal(type->alignment, r->alignment);
    /* every prefix: elements, or cut */
    int64_t before = 0;
    for (int64_t i = 0; i < r->length; i++) {
        assert_int_equal(ame__type_elements(type, before), i);
        assert_int_equal(ame__type_elements_bytes(type, i), before);
        if (r->places[i].basic->size > 1) assert_int_equal(ame__type_elements(type, before + 1), -1);
        before += r->places[i].basic->size;
    }
    return true;
}

static void check_data(const struct reference *r)
{
    int64_t count = dice(1, COUNT_MAX), total = 0;
    const struct ame__datatype *type = r->type;
    for (size_t i = 0; i < sizeof arena[0]; i += 4)
        memcpy(&arena[0][i], &(unsigned){seed + (unsigned) i * 2654435761u}, 4);
    assert_int_equal(ame__type_total(type, count, &total), 0);
    assert_int_equal(reference_copy(r, count, arena[0] + ARENA, packed[0], true), total);
    for (int64_t done = 0; done < total;) {
        int64_t part = dice(1, dice(0, 1) ? total : 40);
        done += ame__type_pack(type, count, arena[0] + ARENA, done, packed[1] + done, part);
    }
    assert_memory_equal(packed[0], packed[1], total);
    if (ame__type_direct(type, count, arena[0] + ARENA))
        assert_memory_equal(ame__type_direct(type, count, arena[0] + ARENA), packed[0], total);
    int64_t begin, length, done = 0;
    ame__type_span(type, count, &begin, &length);
    while (done < total) {
        struct iovec iov[7];
        int64_t covered = 0;
        size_t n =
            ame__type_iovec(type, count, arena[0] + ARENA, done, dice(1, total), iov, (size_t) dice(1, 7), &covered);
        assert_true(n > 0 && covered > 0);
        for (size_t i = 0; i < n; i++) {
            assert_memory_equal(iov[i].iov_base, packed[0] + done, iov[i].iov_len);
            assert_true((unsigned char *) iov[i].iov_base - arena[0] - ARENA >= begin);
            done += (int64_t) iov[i].iov_len;
        }
    }
    memset(arena[0], 0, sizeof arena[0]);
    memset(arena[1], 0, sizeof arena[1]);
    reference_copy(r, count, arena[0] + ARENA, packed[0], false);
    for (done = 0; done < total;)
        done +=
            ame__type_unpack(type, count, arena[1] + ARENA, done, packed[0] + done, dice(1, dice(0, 1) ? total : 40));
    assert_memory_equal(arena[0], arena[1], sizeof arena[0]);
}

struct visited {
    const struct reference *r;
    int64_t i;
    const unsigned char *buf;
};

static bool visit(void *context, const struct ame__basic *basic, void *data, int64_t length)
{
    struct visited *visited = context;
    for (unsigned char *at = data; length > 0; length -= basic->size, at += basic->size, visited->i++) {
        const struct place *place = &visited->r->places[visited->i % visited->r->length];
        int64_t shift = visited->i / visited->r->length * (visited->r->ub - visited->r->lb);
        assert_ptr_equal(place->basic, basic);
        assert_ptr_equal(visited->buf + place->at + shift, at);
    }
    assert_int_equal(length, 0);
    return true;
}

static void check_visit(const struct reference *r)
{
    struct visited visited = {r, 0, arena[0] + ARENA};
    int64_t bytes, position = 0;
    assert_true(ame__type_visit(r->type, 2, arena[0] + ARENA, visit, &visited));
    assert_int_equal(visited.i, 2 * r->length);
    assert_int_equal(ame__type_external32_size(r->type, 2, &bytes), 0);
    assert_int_equal(ame__type_external32_pack(r->type, 2, arena[0] + ARENA, packed[0], sizeof packed[0], &position),
                     0);
    assert_int_equal(position, bytes);
}

static void random_types(void **state)
{
    struct reference *r = malloc(sizeof *r);
    int checked = 0, rounds = getenv("AME_TEST_ROUNDS") ? atoi(getenv("AME_TEST_ROUNDS")) : 600;
    (void) state;
    assert_non_null(r);
    for (int round = 0; round < rounds; round++) {
        seed = (unsigned) round;
        dice(0, 1);
        if (random_type(r, round % 5) && check_description(r)) {
            check_data(r);
            check_visit(r);
            checked++;
        }
        if (r->type) ame__type_unref(r->type);
        assert_int_equal(made, 0);
    }
    free(r);
    assert_true(checked > rounds / 2);
}

static void copies_between_types(void **state)
{
    struct ame__datatype *a, *b;
    static int from[20000], to[20000];
    (void) state;
    for (int i = 0; i < 20000; i++) from[i] = i;
    MAKE(a, ame__type_vector(5000, 1, 2, TYPE(INT), false, &a));
    MAKE(b, ame__type_vector(1000, 5, 7, TYPE(INT), false, &b));
    assert_int_equal(ame__type_copy(b, 1, to, a, 1, from), 20000);
    for (int i = 0; i < 5000; i++) assert_int_equal(to[i / 5 * 7 + i % 5], 2 * i);
    assert_int_equal(ame__type_copy(TYPE(INT), 100, to, a, 1, from), 400);
    assert_int_equal(to[99], 198);
    assert_int_equal(ame__type_copy(a, 1, to, TYPE(INT), 7, from), 28);
    assert_int_equal(to[12], 6);
    ame__type_unref(a);
    ame__type_unref(b);
}

int main(void)
{
    for (int id = AME__BASIC_NONE + 1; id < AME__BASIC_END; id++) ame__type_init_named(&named[id], &ame__basics[id]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predefined),
        cmocka_unit_test(one_run_stays_one),
        cmocka_unit_test(millions_are_one_node),
        cmocka_unit_test(bounds_of_the_standard),
        cmocka_unit_test(nothing_in_it),
        cmocka_unit_test(refused),
        cmocka_unit_test(contents),
        cmocka_unit_test(deep_nests_are_freed),
        cmocka_unit_test(external32),
        cmocka_unit_test(elements_of_pairs),
        cmocka_unit_test(random_types),
        cmocka_unit_test(copies_between_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
