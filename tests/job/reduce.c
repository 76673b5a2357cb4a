/* reduce.c - reduce, allreduce and scan: every type with every operation against a serial computation, exact for
 * integers; for floating-point numbers the same bits on all ranks and on each repetition.
 */
#include <math.h>

#include "check.h"

static const ame_type types[] = {AME_INT8,   AME_INT16,  AME_INT32,  AME_INT64, AME_UINT8,
                                 AME_UINT16, AME_UINT32, AME_UINT64, AME_FLOAT, AME_DOUBLE};
enum { TYPES = sizeof types / sizeof *types };

static bool is_floating(ame_type type)
{
    return type == AME_FLOAT || type == AME_DOUBLE;
}
static bool is_signed(ame_type type)
{
    return type <= AME_INT64;
}

/* Element i of rank r: any bits for integers; few different values sometimes, so that logical operations see zeros. */
static void element(void *at, ame_type type, int r, size_t i)
{
    uint64_t bits = check_mix((uint64_t) r * 1000003 + i * 17 + (uint64_t) type * 7);
    if (i % 3 == 0) bits %= 3;
    if (type == AME_FLOAT) {
        float x = (float) (int64_t) (bits % 4096) / 1024 - 1;
        memcpy(at, &x, sizeof x);
    } else if (type == AME_DOUBLE) {
        double x = (double) (int64_t) (bits >> 20) * 0x1p-43 - 1;
        memcpy(at, &x, sizeof x);
    } else {
        memcpy(at, &bits, ame_type_size(type)); /* little-endian: the low bytes */
    }
}

static void *elements(ame_type type, int r, size_t count)
{
    size_t width = ame_type_size(type);
    unsigned char *buf = check_alloc(count * width);
    for (size_t i = 0; i < count; i++) element(buf + i * width, type, r, i);
    return buf;
}

/* An integer of any type, widened by its sign. */
static int64_t load(const void *at, ame_type type)
{
    size_t width = ame_type_size(type);
    uint64_t bits = 0;
    memcpy(&bits, at, width);
    if (is_signed(type) && width < 8 && (bits >> (width * 8 - 1))) bits |= ~UINT64_C(0) << (width * 8);
    return (int64_t) bits;
}

static int64_t combine(int64_t a, int64_t b, ame_type type, ame_op op)
{
    uint64_t ua = (uint64_t) a, ub = (uint64_t) b;
    bool less = is_signed(type) ? a < b : ua < ub;
    switch (op) {
    case AME_SUM: return (int64_t) (ua + ub);
    case AME_PROD: return (int64_t) (ua * ub);
    case AME_MIN: return less ? a : b;
    case AME_MAX: return less ? b : a;
    case AME_LAND: return a && b;
    case AME_LOR: return a || b;
    case AME_LXOR: return !a != !b;
    case AME_BAND: return a & b;
    case AME_BOR: return a | b;
    case AME_BXOR: return a ^ b;
    }
    CHECK(!"an operation");
    return 0;
}

/* The combination of ranks 0 .. last in their order, exact for integers. On one rank a value is passed on as it is. */
static int64_t expected(ame_type type, ame_op op, int last, size_t i)
{
    uint64_t raw = 0;
    element(&raw, type, 0, i);
    int64_t result = load(&raw, type);
    for (int r = 1; r <= last; r++) {
        element(&raw, type, r, i);
        result = combine(result, load(&raw, type), type, op);
        memcpy(&raw, &result, sizeof raw); /* wraps to the width of the type */
        result = load(&raw, type);
    }
    return result;
}

static double expected_real(ame_type type, ame_op op, int last, size_t i, double *magnitude)
{
    double result = 0, sum = 0;
    for (int r = 0; r <= last; r++) {
        double x;
        float narrow;
        if (type == AME_FLOAT) {
            element(&narrow, type, r, i);
            x = (double) narrow;
        } else {
            element(&x, type, r, i);
        }
        sum += fabs(x);
        if (r == 0)
            result = x;
        else if (op == AME_SUM)
            result += x;
        else if (op == AME_PROD)
            result *= x;
        else if (op == AME_MIN)
            result = x < result ? x : result;
        else
            result = x > result ? x : result;
    }
    *magnitude = sum > 1 ? sum : 1;
    return result;
}

static void check_result(const void *buf, ame_type type, ame_op op, int last, size_t count)
{
    size_t width = ame_type_size(type);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = (const unsigned char *) buf + i * width;
        if (!is_floating(type)) {
            int64_t want = expected(type, op, last, i), have = load(at, type);
            CHECK_SAY(have == want, "type %d, op %d, element %zu of %zu: %lld instead of %lld", type, op, i, count,
                      (long long) have, (long long) want);
            continue;
        }
        float narrow;
        double have, magnitude, want = expected_real(type, op, last, i, &magnitude);
        if (type == AME_FLOAT) {
            memcpy(&narrow, at, sizeof narrow);
            have = (double) narrow;
        } else {
            memcpy(&have, at, sizeof have);
        }
        double allowed = op == AME_MIN || op == AME_MAX ? 0 : magnitude * (type == AME_FLOAT ? 1e-5 : 1e-13);
        if (op == AME_PROD) allowed *= exp2(last);
        CHECK_SAY(fabs(have - want) <= allowed, "type %d, op %d, element %zu: %.17g instead of %.17g", type, op, i,
                  have, want);
    }
}

/* `way` 0: blocking, 1: not blocking. */
static void reduce(const void *out, void *in, size_t count, ame_type type, ame_op op, int root, int way)
{
    ame_request *request;
    if (way == 0) {
        CHECK_OK(ame_reduce(out, in, count, type, op, root, AME_COMM_WORLD));
        return;
    }
    CHECK_OK(ame_ireduce(out, in, count, type, op, root, AME_COMM_WORLD, &request));
    CHECK_OK(ame_wait(&request, NULL));
}

static void allreduce(const void *out, void *in, size_t count, ame_type type, ame_op op, int way)
{
    ame_request *request;
    if (way == 0) {
        CHECK_OK(ame_allreduce(out, in, count, type, op, AME_COMM_WORLD));
        return;
    }
    CHECK_OK(ame_iallreduce(out, in, count, type, op, AME_COMM_WORLD, &request));
    CHECK_OK(ame_wait(&request, NULL));
}

static void scan(const void *out, void *in, size_t count, ame_type type, ame_op op, int way)
{
    ame_request *request;
    if (way == 0) {
        CHECK_OK(ame_scan(out, in, count, type, op, AME_COMM_WORLD));
        return;
    }
    CHECK_OK(ame_iscan(out, in, count, type, op, AME_COMM_WORLD, &request));
    CHECK_OK(ame_wait(&request, NULL));
}

static void one(ame_type type, ame_op op, size_t count, int root, int way)
{
    size_t bytes = count * ame_type_size(type);
    void *out = elements(type, check_rank, count), *in = check_alloc(bytes), *before = check_alloc(bytes);
    memcpy(before, out, bytes);

    reduce(out, check_rank == root ? in : NULL, count, type, op, root, way);
    if (check_rank == root) check_result(in, type, op, check_size - 1, count);
    if (check_rank == root) memcpy(in, out, bytes);
    reduce(check_rank == root ? AME_IN_PLACE : out, in, count, type, op, root, way);
    if (check_rank == root) check_result(in, type, op, check_size - 1, count);

    memset(in, 0, bytes);
    allreduce(out, in, count, type, op, way);
    check_result(in, type, op, check_size - 1, count);
    memcpy(in, out, bytes);
    allreduce(AME_IN_PLACE, in, count, type, op, way);
    check_result(in, type, op, check_size - 1, count);

    memset(in, 0, bytes);
    scan(out, in, count, type, op, way);
    check_result(in, type, op, check_rank, count);
    memcpy(in, out, bytes);
    scan(AME_IN_PLACE, in, count, type, op, way);
    check_result(in, type, op, check_rank, count);

    CHECK(!memcmp(before, out, bytes));
    free(out);
    free(in);
    free(before);
}

/* Sums whose value depends on the order of addition, largest elements with some that are no numbers: still the same bits on
 * every rank and every time, in place or not. */
static void same_bits(size_t count, ame_op op)
{
    double *out = check_alloc(count * sizeof *out), *first = check_alloc(count * sizeof *out);
    double *in = check_alloc(count * sizeof *out), *all = check_alloc(count * sizeof *out * (size_t) check_size);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = check_mix((uint64_t) check_rank * 99991 + i);
        out[i] = op == AME_MAX && bits % 5 == 0 ? NAN : ldexp((double) (int64_t) bits, (int) (bits % 61) - 30);
    }
    for (int turn = 0; turn < 5; turn++) {
        bool in_place = turn >= 3;
        if (in_place) memcpy(in, out, count * sizeof *out);
        allreduce(in_place ? AME_IN_PLACE : out, turn ? in : first, count, AME_DOUBLE, op, turn % 2);
        if (turn) CHECK(!memcmp(in, first, count * sizeof *in));
    }
    CHECK_OK(ame_allgather(first, count * sizeof *first, all, AME_COMM_WORLD));
    for (int r = 0; r < check_size; r++) CHECK(!memcmp(all + (size_t) r * count, first, count * sizeof *first));
    for (int root = 0; root < check_size; root++)
        for (int turn = 0; turn < 3; turn++) {
            reduce(out, turn ? in : first, count, AME_DOUBLE, op, root, turn % 2);
            if (turn && check_rank == root) CHECK(!memcmp(in, first, count * sizeof *in));
        }
    free(out);
    free(first);
    free(in);
    free(all);
}

int main(void)
{
    check_begin();
    static const size_t counts[] = {0, 1, 7, 100};
    int turn = 0;
    for (int t = 0; t < TYPES; t++)
        for (int op = AME_SUM; op <= (is_floating(types[t]) ? AME_MAX : AME_BXOR); op++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++, turn++)
                one(types[t], (ame_op) op, counts[c], turn % check_size, turn / check_size % 2);
    for (int root = 0; root < check_size; root++)
        for (int way = 0; way < 2; way++) one(AME_INT64, AME_SUM, 1000, root, way);
    one(AME_INT32, AME_MAX, 300001, check_size - 1, 0);
    one(AME_DOUBLE, AME_SUM, 131073, check_size / 2, 1);
    for (size_t count = 1000; count <= 100000; count *= 100) {
        same_bits(count, AME_SUM);
        same_bits(count, AME_MAX);
    }
    return check_end();
}
