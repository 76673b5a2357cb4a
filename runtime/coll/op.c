/* op.c - the arithmetic of reductions: one function for each operation and type.
 *
 * Integer arithmetic is done without signs where a signed overflow would be undefined: sums and products wrap around.
 */
#include "coll.h"

#include "base/error.h"

#define INTEGER_TYPES(X, op)                                                                                           \
    X(op, INT8, int8_t, uint8_t)                                                                                       \
    X(op, INT16, int16_t, uint16_t)                                                                                    \
    X(op, INT32, int32_t, uint32_t)                                                                                    \
    X(op, INT64, int64_t, uint64_t)                                                                                    \
    X(op, UINT8, uint8_t, uint8_t)                                                                                     \
    X(op, UINT16, uint16_t, uint16_t)                                                                                  \
    X(op, UINT32, uint32_t, uint32_t)                                                                                  \
    X(op, UINT64, uint64_t, uint64_t)
#define FLOAT_TYPES(X, op) X(op, FLOAT, float, float) X(op, DOUBLE, double, double)
#define ALL_TYPES(X, op)   INTEGER_TYPES(X, op) FLOAT_TYPES(X, op)
#define ALL_OPS(X)                                                                                                     \
    ALL_TYPES(X, SUM)                                                                                                  \
    ALL_TYPES(X, PROD)                                                                                                 \
    ALL_TYPES(X, MIN)                                                                                                  \
    ALL_TYPES(X, MAX)                                                                                                  \
    INTEGER_TYPES(X, LAND)                                                                                             \
    INTEGER_TYPES(X, LOR)                                                                                              \
    INTEGER_TYPES(X, LXOR)                                                                                             \
    INTEGER_TYPES(X, BAND)                                                                                             \
    INTEGER_TYPES(X, BOR)                                                                                              \
    INTEGER_TYPES(X, BXOR)

/* T: the type, U: the same without sign. */
#define DO_SUM(T, U, a, b)  (T)((U) (a) + (U) (b))
#define DO_PROD(T, U, a, b) (T)((U) (a) *1u * (U) (b)) /* 1u: 16 bits must not become a signed int */
#define DO_MIN(T, U, a, b)  ((b) < (a) ? (b) : (a))
#define DO_MAX(T, U, a, b)  ((b) > (a) ? (b) : (a))
#define DO_LAND(T, U, a, b) (T)((a) && (b))
#define DO_LOR(T, U, a, b)  (T)((a) || (b))
#define DO_LXOR(T, U, a, b) (T)(!(a) != !(b))
#define DO_BAND(T, U, a, b) (T)((a) & (b))
#define DO_BOR(T, U, a, b)  (T)((a) | (b))
#define DO_BXOR(T, U, a, b) (T)((a) ^ (b))

#define DEFINE(op, name, T, U)                                                                                         \
    static void op##_##name(const void *in, void *acc, size_t count)                                                   \
    {                                                                                                                  \
        const T *b = in;                                                                                               \
        T *a = acc;                                                                                                    \
        for (size_t i = 0; i < count; i++) a[i] = DO_##op(T, U, a[i], b[i]);                                           \
    }
ALL_OPS(DEFINE)

ame__combine_fn ame__combine(ame_op op, ame_type type)
{
#define ROW(op, name, T, U) [AME_##op][AME_##name] = op##_##name,
    static const ame__combine_fn table[AME_BXOR + 1][AME_DOUBLE + 1] = {ALL_OPS(ROW)};
    if (op < AME_SUM || op > AME_BXOR || type < AME_INT8 || type > AME_DOUBLE) return NULL;
    return table[op][type];
}

size_t ame_type_size(ame_type type)
{
    static const size_t sizes[] = {0, 1, 2, 4, 8, 1, 2, 4, 8, sizeof(float), sizeof(double)};
    return type < AME_INT8 || type > AME_DOUBLE ? 0 : sizes[type];
}

int ame__check_reduction(const struct ame__coll *call)
{
    size_t bytes;
    if (ame_type_size(call->type) == 0)
        return ame__fail(AME_E_TYPE, "%s: argument 'type' is %d, which is no element type", call->function,
                         (int) call->type);
    if (!ame__combine(call->op, call->type))
        return ame__fail(AME_E_TYPE, "%s: argument 'op' is %d, which is %s", call->function, (int) call->op,
                         call->op >= AME_SUM && call->op <= AME_BXOR ? "not defined for floating-point types"
                                                                     : "no operation");
    if (__builtin_mul_overflow(call->count, ame_type_size(call->type), &bytes))
        return ame__fail(AME_E_ARG, "%s: argument 'count' is %zu, more than a buffer can hold", call->function,
                         call->count);
    return AME_OK;
}
