/* op.c - operations of reductions: the predefined ones for each basic type, and those of the program.
 *
 * Functions here combine as libame's do: acc[i] = acc[i] op in[i]; those that exist for a type commute, so that nobody can
 * tell left from right. A function of the program is called as MPI says, with the left operand as `in`.
 */
#include "layer.h"

#include <complex.h>
#include <stdlib.h>
#include <string.h>

enum number { SUM, MIN, MAX, PROD, BAND, BOR, BXOR, LAND, LOR, LXOR, MINLOC, MAXLOC, REPLACE, NO_OP, NUMBERS };

/* ---- arithmetic ---------------------------------------------------------------------------------- */
/* U: the same type without sign, in which an overflow is defined. */

#define INTEGERS(X, op)                                                                                                \
    X(op, i8, int8_t, uint8_t)                                                                                         \
    X(op, i16, int16_t, uint16_t)                                                                                      \
    X(op, i32, int32_t, uint32_t)                                                                                      \
    X(op, i64, int64_t, uint64_t)                                                                                      \
    X(op, u8, uint8_t, uint8_t)                                                                                        \
    X(op, u16, uint16_t, uint16_t)                                                                                     \
    X(op, u32, uint32_t, uint32_t)                                                                                     \
    X(op, u64, uint64_t, uint64_t)
#define FLOATS(X, op) X(op, f, float, float) X(op, d, double, double) X(op, l, long double, long double)
#define COMPLEXES(X, op)                                                                                               \
    X(op, cf, float _Complex, float _Complex)                                                                          \
    X(op, cd, double _Complex, double _Complex)                                                                        \
    X(op, cl, long double _Complex, long double _Complex)
#define FUNCTIONS(X)                                                                                                   \
    INTEGERS(X, SUM)                                                                                                   \
    INTEGERS(X, PROD)                                                                                                  \
    INTEGERS(X, MIN)                                                                                                   \
    INTEGERS(X, MAX)                                                                                                   \
    INTEGERS(X, BAND)                                                                                                  \
    INTEGERS(X, BOR)                                                                                                   \
    INTEGERS(X, BXOR)                                                                                                  \
    INTEGERS(X, LAND)                                                                                                  \
    INTEGERS(X, LOR)                                                                                                   \
    INTEGERS(X, LXOR)                                                                                                  \
    FLOATS(X, SUM)                                                                                                     \
    FLOATS(X, PROD)                                                                                                    \
    FLOATS(X, MIN)                                                                                                     \
    FLOATS(X, MAX)                                                                                                     \
    COMPLEXES(X, SUM)                                                                                                  \
    COMPLEXES(X, PROD)

#define DO_SUM(T, U, a, b)  (T)((U) (a) + (U) (b))
#define DO_MIN(T, U, a, b)  ((b) < (a) ? (b) : (a))
#define DO_MAX(T, U, a, b)  ((b) > (a) ? (b) : (a))
#define DO_BAND(T, U, a, b) (T)((a) & (b))
#define DO_BOR(T, U, a, b)  (T)((a) | (b))
#define DO_BXOR(T, U, a, b) (T)((a) ^ (b))
#define DO_LAND(T, U, a, b) (T)((a) && (b))
#define DO_LOR(T, U, a, b)  (T)((a) || (b))
#define DO_LXOR(T, U, a, b) (T)(!(a) != !(b))

#define DEFINE(op, name, T, U)                                                                                         \
    static void op##_##name(const void *in, void *acc, size_t count)                                                   \
    {                                                                                                                  \
        const T *b = in;                                                                                               \
        T *a = acc;                                                                                                    \
        for (size_t i = 0; i < count; i++) a[i] = DO_##op(T, U, a[i], b[i]);                                           \
    }
#define DO_PROD(T, U, a, b) (T)((U) (a) *PROMOTE(U) * (U) (b))
#define PROMOTE(U)          _Generic((U) 0, uint8_t : 1u, uint16_t : 1u, uint32_t : 1u, uint64_t : 1u, default : 1.0f)
FUNCTIONS(DEFINE)

/* Value and index: where values are equal, the lower index. */
#define LOC(op, name, V, I, compare)                                                                                   \
    static void op##_##name(const void *in, void *acc, size_t count)                                                   \
    {                                                                                                                  \
        struct pair {                                                                                                  \
            V value;                                                                                                   \
            I index;                                                                                                   \
        } *a = acc;                                                                                                    \
        const struct pair *b = in;                                                                                     \
        for (size_t i = 0; i < count; i++)                                                                             \
            if (b[i].value compare a[i].value || (b[i].value == a[i].value && b[i].index < a[i].index)) {              \
                a[i].value = b[i].value;                                                                               \
                a[i].index = b[i].index;                                                                               \
            }                                                                                                          \
    }
#define LOCS(name, V, I, ...) LOC(MINLOC, name, V, I, <) LOC(MAXLOC, name, V, I, >)
AME__PAIRS(LOCS)

/* The columns of the table below: a type of C. */
#define COLUMN(op, name, T, U) C_##name,
enum column { INTEGERS(COLUMN, ) FLOATS(COLUMN, ) COMPLEXES(COLUMN, ) COLUMNS };
#undef COLUMN

static enum column column_of(const struct ame__basic *basic)
{
    static const enum column by_size[3][17] = {{[1] = C_i8, [2] = C_i16, [4] = C_i32, [8] = C_i64},
                                               {[1] = C_u8, [2] = C_u16, [4] = C_u32, [8] = C_u64}};
    size_t size = (size_t) basic->size;
    if (basic->size > 8 || (size & (size - 1))) size = 0;
    switch (basic->kind) {
    case AME__KIND_SIGNED:
    case AME__KIND_ADDRESS:
    case AME__KIND_TEXT: return size ? by_size[0][size] : COLUMNS;
    case AME__KIND_UNSIGNED:
    case AME__KIND_LOGICAL:
    case AME__KIND_BYTE: return size ? by_size[1][size] : COLUMNS;
    case AME__KIND_FLOAT:
        if (basic->id == AME__BASIC_LONG_DOUBLE) return C_l;
        return basic->size == sizeof(float) ? C_f : basic->size == sizeof(double) ? C_d : COLUMNS;
    case AME__KIND_COMPLEX:
        if (basic->id == AME__BASIC_C_LONG_DOUBLE_COMPLEX || basic->id == AME__BASIC_CXX_LONG_DOUBLE_COMPLEX)
            return C_cl;
        return basic->size == sizeof(float _Complex) ? C_cf : basic->size == sizeof(double _Complex) ? C_cd : COLUMNS;
    case AME__KIND_PACKED:
    case AME__KIND_PAIR:
    case AME__KIND_MARKER: break;
    }
    return COLUMNS;
}

/* Which operations a kind of type is for (MPI 4.1, 6.9.2); MPI_CHAR is taken as a number, as MPICH does. */
static bool is_for(enum number number, enum ame__kind kind)
{
    bool number_kind =
        kind == AME__KIND_SIGNED || kind == AME__KIND_UNSIGNED || kind == AME__KIND_ADDRESS || kind == AME__KIND_TEXT;
    switch (number) {
    case SUM:
    case PROD: return number_kind || kind == AME__KIND_FLOAT || kind == AME__KIND_COMPLEX;
    case MIN:
    case MAX: return number_kind || kind == AME__KIND_FLOAT;
    case BAND:
    case BOR:
    case BXOR: return number_kind || kind == AME__KIND_BYTE;
    case LAND:
    case LOR:
    case LXOR: return number_kind || kind == AME__KIND_LOGICAL;
    default: return false;
    }
}

static ame__combine_fn pair_function(enum number number, enum ame__basic_id id)
{
#define PAIR(name, ...) [AME__BASIC_##name] = {MINLOC_##name, MAXLOC_##name},
    static const ame__combine_fn table[AME__BASIC_END][2] = {AME__PAIRS(PAIR)};
#undef PAIR
    return number == MINLOC ? table[id][0] : number == MAXLOC ? table[id][1] : NULL;
}

ame__combine_fn mpi__op_combine(const struct mpi__op *op, const struct ame__basic *basic)
{
#define CELL(op, name, T, U) [op][C_##name] = op##_##name,
    static const ame__combine_fn table[NUMBERS][COLUMNS + 1] = {FUNCTIONS(CELL)};
#undef CELL
    if (op->number < 0 || !basic) return NULL;
    enum number number = (enum number) op->number;
    if (basic->kind == AME__KIND_PAIR) return pair_function(number, basic->id);
    return is_for(number, basic->kind) ? table[number][column_of(basic)] : NULL;
}

/* ---- objects ------------------------------------------------------------------------------------- */

void mpi__ops_open(void)
{
    static const struct {
        MPI_Op handle;
        const char *name;
    } predefined[NUMBERS] = {[SUM] = {MPI_SUM, "MPI_SUM"},
                             [MIN] = {MPI_MIN, "MPI_MIN"},
                             [MAX] = {MPI_MAX, "MPI_MAX"},
                             [PROD] = {MPI_PROD, "MPI_PROD"},
                             [BAND] = {MPI_BAND, "MPI_BAND"},
                             [BOR] = {MPI_BOR, "MPI_BOR"},
                             [BXOR] = {MPI_BXOR, "MPI_BXOR"},
                             [LAND] = {MPI_LAND, "MPI_LAND"},
                             [LOR] = {MPI_LOR, "MPI_LOR"},
                             [LXOR] = {MPI_LXOR, "MPI_LXOR"},
                             [MINLOC] = {MPI_MINLOC, "MPI_MINLOC"},
                             [MAXLOC] = {MPI_MAXLOC, "MPI_MAXLOC"},
                             [REPLACE] = {MPI_REPLACE, "MPI_REPLACE"},
                             [NO_OP] = {MPI_NO_OP, "MPI_NO_OP"}};
    static struct mpi__op ops[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        ops[i].number = i;
        ops[i].commutative = i != REPLACE && i != NO_OP;
        ops[i].name = predefined[i].name;
        mpi__object_predefine(&ops[i].object, MPI__OP, MPI__BITS(predefined[i].handle));
    }
}

void mpi__op_drop(struct mpi__op *op)
{
    if (op && mpi__object_drop(&op->object)) free(op);
}

int mpi__op_check(const struct mpi__op *op, const struct mpi__type *type)
{
    if (op->number < 0 || mpi__op_combine(op, type->data->basic)) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_OP, "%s is not defined for %s", op->name,
                     type->data->basic ? type->data->basic->name : "derived datatypes");
}

void mpi__op_apply(const struct mpi__op *op, struct mpi__type *type, const void *in, void *acc, int64_t count)
{
    ame__combine_fn combine = mpi__op_combine(op, type->data->basic);
    MPI_Datatype handle = mpi__out_datatype(type);
    void *left = (void *) (uintptr_t) in; /* the program promises not to write */
    if (combine) {
        combine(in, acc, (size_t) count);
    } else if (op->large) {
        MPI_Count length = count;
        ((MPI_User_function_c *) op->function)(left, acc, &length, &handle);
    } else {
        int64_t extent = ame__type_extent(type->data);
        for (int64_t at = 0; at < count; at += INT32_MAX) {
            int length = (int) (count - at < INT32_MAX ? count - at : INT32_MAX);
            ((MPI_User_function *) op->function)((char *) left + at * extent, (char *) acc + at * extent, &length,
                                                 &handle);
        }
    }
}

int mpi__Op_create(void (*function)(void), int commute, struct mpi__op **op, bool large)
{
    if (!function) return mpi__fail(MPI_ERR_ARG, "argument 'user_fn' is NULL");
    struct mpi__op *made = calloc(1, sizeof *made);
    if (!made || mpi__object_init(&made->object, MPI__OP)) {
        free(made);
        return mpi__no_memory();
    }
    made->number = -1;
    made->commutative = commute;
    made->large = large;
    made->function = function;
    *op = made;
    return MPI_SUCCESS;
}

int mpi__Op_free(struct mpi__op *op)
{
    if (op->object.predefined) return mpi__fail(MPI_ERR_OP, "%s cannot be freed", op->name);
    mpi__op_drop(op);
    return MPI_SUCCESS;
}

int mpi__Op_commutative(struct mpi__op *op, int *commute)
{
    *commute = op->commutative;
    return MPI_SUCCESS;
}

int mpi__Reduce_local(const void *inbuf, void *inoutbuf, int64_t count, struct mpi__type *type, struct mpi__op *op)
{
    int code = mpi__type_usable(type, count, inbuf);
    if (!code) code = mpi__op_check(op, type);
    if (!code && count) mpi__op_apply(op, type, inbuf, inoutbuf, count);
    return code;
}
