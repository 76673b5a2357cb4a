/* op.c - operations of reductions: the predefined ones for each basic type, and those of the program.
 *
 * The functions are libame's where ame.h knows operation and type; those for long double, complex numbers and pairs are
 * here, in libame's form: acc[i] = acc[i] op in[i]. They commute, so that nobody can tell left from right. A function of
 * the program is called as MPI says, with the left operand as `in`.
 */
#include "layer.h"

#include <complex.h>
#include <stdlib.h>
#include <string.h>

/* As libame numbers them, and those that it does not have. */
enum number {
    SUM = AME_SUM,
    PROD = AME_PROD,
    MIN = AME_MIN,
    MAX = AME_MAX,
    LAND = AME_LAND,
    LOR = AME_LOR,
    LXOR = AME_LXOR,
    BAND = AME_BAND,
    BOR = AME_BOR,
    BXOR = AME_BXOR,
    MINLOC,
    MAXLOC,
    REPLACE,
    NO_OP,
    NUMBERS
};

/* ---- arithmetic that libame does not have ---------------------------------------------------------- */

#define FUNCTIONS(X)                                                                                                   \
    X(SUM, float_complex, float _Complex, a + b)                                                                       \
    X(PROD, float_complex, float _Complex, a *b)                                                                       \
    X(SUM, double_complex, double _Complex, a + b)                                                                     \
    X(PROD, double_complex, double _Complex, a *b)                                                                     \
    X(SUM, long_double_complex, long double _Complex, a + b)                                                           \
    X(PROD, long_double_complex, long double _Complex, a *b)                                                           \
    X(SUM, long_double, long double, a + b)                                                                            \
    X(PROD, long_double, long double, a *b)                                                                            \
    X(MIN, long_double, long double, b < a ? b : a)                                                                    \
    X(MAX, long_double, long double, b > a ? b : a)
enum column { float_complex, double_complex, long_double_complex, long_double, COLUMNS };

#define DEFINE(op, name, T, value)                                                                                     \
    static void op##_##name(const void *in, void *acc, size_t count)                                                   \
    {                                                                                                                  \
        for (size_t i = 0; i < count; i++) {                                                                           \
            T a = ((T *) acc)[i], b = ((const T *) in)[i];                                                             \
            ((T *) acc)[i] = (value);                                                                                  \
        }                                                                                                              \
    }
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

static enum column column_of(const struct ame__basic *basic)
{
    if (basic->id == AME__BASIC_LONG_DOUBLE) return long_double;
    if (basic->id == AME__BASIC_C_LONG_DOUBLE_COMPLEX || basic->id == AME__BASIC_CXX_LONG_DOUBLE_COMPLEX)
        return long_double_complex;
    if (basic->kind != AME__KIND_COMPLEX) return COLUMNS;
    return basic->size == sizeof(float _Complex)    ? float_complex
           : basic->size == sizeof(double _Complex) ? double_complex
                                                    : COLUMNS;
}

/* The type of libame that computes as this one does, or 0. */
static ame_type libame_type(const struct ame__basic *basic)
{
    static const ame_type by_size[][9] = {{[1] = AME_INT8, [2] = AME_INT16, [4] = AME_INT32, [8] = AME_INT64},
                                          {[1] = AME_UINT8, [2] = AME_UINT16, [4] = AME_UINT32, [8] = AME_UINT64},
                                          {[sizeof(float)] = AME_FLOAT, [sizeof(double)] = AME_DOUBLE}};
    if (basic->size > 8) return 0;
    switch (basic->kind) {
    case AME__KIND_SIGNED:
    case AME__KIND_ADDRESS:
    case AME__KIND_TEXT: return by_size[0][basic->size];
    case AME__KIND_UNSIGNED:
    case AME__KIND_LOGICAL:
    case AME__KIND_BYTE: return by_size[1][basic->size];
    case AME__KIND_FLOAT: return by_size[2][basic->size];
    case AME__KIND_COMPLEX:
    case AME__KIND_PACKED:
    case AME__KIND_PAIR:
    case AME__KIND_MARKER: break;
    }
    return 0;
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
#define CELL(op, name, ...) [op][name] = op##_##name,
    static const ame__combine_fn table[NUMBERS][COLUMNS + 1] = {FUNCTIONS(CELL)};
#undef CELL
    if (op->number < 0 || !basic) return NULL;
    enum number number = (enum number) op->number;
    if (basic->kind == AME__KIND_PAIR) return pair_function(number, basic->id);
    if (!is_for(number, basic->kind)) return NULL;
    ame_type type = libame_type(basic);
    return type ? ame__seam_combine((ame_op) number, type) : table[number][column_of(basic)];
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
    for (int i = SUM; i < NUMBERS; i++) {
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
