/* collectives.c - collective calls whose buffers are device memory, on some ranks or all, in place or not, with gaps.
 *
 *     gpu_collectives [LONGEST | failing LENGTH RANK]
 *
 * Each rank's memory is chosen from a number that all count up: bit r: rank r sends from the device, bit r+1: receives there.
 */
#include <ame_gpu.h>

#include "../job/check.h"

static unsigned turn; /* the same on all ranks */

static bool on_device(int which)
{
    return check_mix(turn * 8u + (unsigned) which + 64u * (unsigned) check_rank) & 1;
}

/* Memory with `length` bytes at the device or here, filled with `value`. */
static unsigned char *make(int which, size_t length, unsigned char value)
{
    void *memory = NULL;
    if (!on_device(which)) {
        memory = check_alloc(length);
        memset(memory, value, length);
        return memory;
    }
    CHECK_OK(ame_gpu_malloc(length ? length : 1, &memory));
    CHECK_OK(ame_gpu_fill(memory, value, length ? length : 1, NULL));
    CHECK_OK(ame_gpu_synchronize(NULL));
    return memory;
}

static void release(unsigned char *memory)
{
    if (ame_gpu_is_device(memory))
        CHECK_OK(ame_gpu_free(memory));
    else
        free(memory);
}

static void put(unsigned char *at, size_t length, uint64_t seed)
{
    unsigned char *host = check_alloc(length);
    check_fill(host, length, seed);
    CHECK_OK(ame_gpu_copy(at, host, length, NULL));
    free(host);
}

static void expect(const unsigned char *at, size_t length, uint64_t seed)
{
    unsigned char *host = check_alloc(length);
    CHECK_OK(ame_gpu_copy(host, at, length, NULL));
    CHECK_FILLED(host, length, seed);
    free(host);
}

static void expect_all(const unsigned char *at, size_t length, unsigned char value)
{
    unsigned char *host = check_alloc(length);
    CHECK_OK(ame_gpu_copy(host, at, length, NULL));
    CHECK_ALL(host, length, value);
    free(host);
}

static void bcast(size_t length, int root)
{
    unsigned char *buf = make(0, length, 1);
    if (check_rank == root) put(buf, length, 40);
    CHECK_OK(ame_bcast(buf, length, root, AME_COMM_WORLD));
    expect(buf, length, 40);
    release(buf);
}

static void gather(size_t length, int root, bool all, bool in_place)
{
    size_t size = (size_t) check_size;
    bool here = all || check_rank == root;
    unsigned char *own = make(0, length, 1), *result = make(1, size * length, 2);
    put(own, length, (uint64_t) check_rank);
    if (in_place && here) put(result + (size_t) check_rank * length, length, (uint64_t) check_rank);
    const void *send = in_place && here ? AME_IN_PLACE : own;
    if (all)
        CHECK_OK(ame_allgather(send, length, result, AME_COMM_WORLD));
    else
        CHECK_OK(ame_gather(send, length, result, root, AME_COMM_WORLD));
    for (size_t r = 0; r < size && here; r++) expect(result + r * length, length, r);
    if (!here) expect_all(result, size * length, 2);
    release(own);
    release(result);
}

/* Blocks of different lengths, in reverse order, with gaps between them that stay as they are. */
static void gatherv(size_t length, int root, bool all, bool in_place)
{
    size_t lengths[16], places[16], total = 5;
    for (int r = check_size - 1; r >= 0; r--) {
        lengths[r] = (size_t) r % 3 * length + (size_t) r;
        places[r] = total;
        total += lengths[r] + 5;
    }
    bool here = all || check_rank == root;
    size_t mine = lengths[check_rank];
    unsigned char *own = make(0, mine, 1), *result = make(1, total, 2);
    put(own, mine, (uint64_t) check_rank);
    if (in_place && here) put(result + places[check_rank], mine, (uint64_t) check_rank);
    const void *send = in_place && here ? AME_IN_PLACE : own;
    ame_request *request = NULL;
    if (all)
        CHECK_OK(ame_iallgatherv(send, mine, result, lengths, places, AME_COMM_WORLD, &request));
    else
        CHECK_OK(ame_igatherv(send, mine, result, lengths, places, root, AME_COMM_WORLD, &request));
    CHECK_OK(ame_wait(&request, NULL));
    for (int r = 0; r < check_size && here; r++) {
        expect(result + places[r], lengths[r], (uint64_t) r);
        expect_all(result + places[r] - 5, 5, 2);
        expect_all(result + places[r] + lengths[r], 5, 2);
    }
    release(own);
    release(result);
}

static void scatter(size_t length, int root, bool in_place)
{
    size_t size = (size_t) check_size, lengths[16], places[16];
    unsigned char *all = make(0, size * length, 1), *own = make(1, length, 2);
    bool root_here = check_rank == root;
    for (size_t r = 0; r < size && root_here; r++) put(all + r * length, length, r);
    CHECK_OK(ame_scatter(all, in_place && root_here ? AME_IN_PLACE : own, length, root, AME_COMM_WORLD));
    if (in_place && root_here)
        expect_all(own, length, 2);
    else
        expect(own, length, (uint64_t) check_rank);
    for (size_t r = 0; r < size; r++) {
        lengths[r] = length / (r + 1);
        places[r] = (size - 1 - r) * length;
        if (root_here) put(all + places[r], lengths[r], 70 + r);
    }
    CHECK_OK(ame_scatterv(all, lengths, places, own, lengths[check_rank], root, AME_COMM_WORLD));
    expect(own, lengths[check_rank], 70 + (uint64_t) check_rank);
    release(all);
    release(own);
}

static void alltoall(size_t length)
{
    size_t size = (size_t) check_size, lengths[16], places[16];
    unsigned char *out = make(0, size * length, 1), *in = make(1, size * length, 2);
    for (size_t r = 0; r < size; r++) put(out + r * length, length, 16 * (uint64_t) check_rank + r);
    CHECK_OK(ame_alltoall(out, length, in, AME_COMM_WORLD));
    for (size_t r = 0; r < size; r++) expect(in + r * length, length, 16 * r + (uint64_t) check_rank);
    CHECK_OK(ame_alltoall(AME_IN_PLACE, length, in, AME_COMM_WORLD));
    for (size_t r = 0; r < size; r++) expect(in + r * length, length, 16 * (uint64_t) check_rank + r);
    for (size_t r = 0; r < size; r++) {
        lengths[r] = length;
        places[r] = (size - 1 - r) * length;
        put(out + places[r], length, 90 + 16 * (uint64_t) check_rank + r);
    }
    CHECK_OK(ame_alltoallv(out, lengths, places, in, lengths, places, AME_COMM_WORLD));
    for (size_t r = 0; r < size; r++) expect(in + places[r], length, 90 + 16 * r + (uint64_t) check_rank);
    release(out);
    release(in);
}

/* ---- reductions ---------------------------------------------------------------------------------- */

#define REDUCTION(name, type, constant)                                                                                \
    static void reduce_##name(size_t count, ame_op op, int root, int kind, bool in_place)                              \
    {                                                                                                                  \
        size_t bytes = count * sizeof(type);                                                                           \
        type *host = check_alloc(bytes);                                                                               \
        unsigned char *own = make(0, bytes, 1), *result = make(1, bytes, 2);                                           \
        bool here = kind > 0 || check_rank == root;                                                                    \
        for (size_t i = 0; i < count; i++) host[i] = (type) ((i + 3 * (size_t) check_rank) % 20);                      \
        CHECK_OK(ame_gpu_copy(in_place &&here ? result : own, host, bytes, NULL));                                     \
        const void *send = in_place && here ? AME_IN_PLACE : own;                                                      \
        if (kind == 0) CHECK_OK(ame_reduce(send, result, count, constant, op, root, AME_COMM_WORLD));                  \
        if (kind == 1) CHECK_OK(ame_allreduce(send, result, count, constant, op, AME_COMM_WORLD));                     \
        if (kind == 2) CHECK_OK(ame_scan(send, result, count, constant, op, AME_COMM_WORLD));                          \
        CHECK_OK(ame_gpu_copy(host, result, bytes, NULL));                                                             \
        int ranks = kind == 2 ? check_rank + 1 : check_size;                                                           \
        for (size_t i = 0; i < count && here; i++) {                                                                   \
            type want = (type) (i % 20);                                                                               \
            for (int r = 1; r < ranks; r++) {                                                                          \
                type value = (type) ((i + 3 * (size_t) r) % 20);                                                       \
                if (op == AME_SUM) want = (type) (want + value);                                                       \
                if (op == AME_MIN && value < want) want = value;                                                       \
                if (op == AME_MAX && value > want) want = value;                                                       \
            }                                                                                                          \
            CHECK_SAY(host[i] == want, "element %zu of %zu, op %d, kind %d", i, count, (int) op, kind);                \
        }                                                                                                              \
        release(own);                                                                                                  \
        release(result);                                                                                               \
        free(host);                                                                                                    \
    }
REDUCTION(int8, int8_t, AME_INT8)
REDUCTION(int16, int16_t, AME_INT16)
REDUCTION(int32, int32_t, AME_INT32)
REDUCTION(int64, int64_t, AME_INT64)
REDUCTION(uint8, uint8_t, AME_UINT8)
REDUCTION(uint16, uint16_t, AME_UINT16)
REDUCTION(uint32, uint32_t, AME_UINT32)
REDUCTION(uint64, uint64_t, AME_UINT64)
REDUCTION(float, float, AME_FLOAT)
REDUCTION(double, double, AME_DOUBLE)

static void reductions(size_t count, int root)
{
    static void (*const all[])(size_t, ame_op, int, int,
                               bool) = {reduce_int8,   reduce_int16,  reduce_int32,  reduce_int64, reduce_uint8,
                                        reduce_uint16, reduce_uint32, reduce_uint64, reduce_float, reduce_double};
    static const ame_op ops[] = {AME_SUM, AME_MIN, AME_MAX};
    for (size_t type = 0; type < sizeof all / sizeof *all; type++)
        for (size_t op = 0; op < 3; op++)
            for (int kind = 0; kind < 3; kind++) {
                turn++;
                all[type](count, ops[op], root, kind, turn % 2);
            }
}

/* Rank `rank`'s device fails in a broadcast of `length` bytes from device to device memory: it and those that wait for its
 * bytes learn of it, others have all of them, and the next call works. */
static void failing(size_t length, int rank)
{
    void *memory = NULL;
    int failed[2] = {0}, all[2];
    CHECK_OK(ame_gpu_malloc(length, &memory));
    CHECK_OK(ame_gpu_fill(memory, check_rank == 0, length, NULL));
    CHECK_OK(ame_gpu_synchronize(NULL));
    int code = ame_bcast(memory, length, 0, AME_COMM_WORLD);
    if (code) {
        char who[40];
        snprintf(who, sizeof who, "rank %d on host", rank);
        CHECK_SAY(code == AME_E_GPU && strstr(ame_last_error(), who) && strstr(ame_last_error(), "CUDA"), "%d %s", code,
                  ame_last_error());
        failed[check_rank != rank] = 1;
    } else {
        expect_all(memory, length, 1);
    }
    CHECK_OK(ame_allreduce(failed, all, 2, AME_INT32, AME_SUM, AME_COMM_WORLD));
    CHECK_SAY(all[0] == 1 && (all[1] > 0) == (rank == 0), "%d and %d", all[0], all[1]);
    CHECK_OK(ame_gpu_fill(memory, 1, length, NULL));
    CHECK_OK(ame_gpu_synchronize(NULL));
    for (int root = 0; root < check_size; root++) CHECK_OK(ame_bcast(memory, length, root, AME_COMM_WORLD));
    expect_all(memory, length, 1);
    CHECK_OK(ame_gpu_free(memory));
}

int main(int argc, char **argv)
{
    static const size_t lengths[] = {1, 1000, 70000, 1100001};
    check_begin();
    CHECK_OK(ame_gpu_bind(AME_COMM_WORLD, 1, NULL));
    if (!ame_gpu_usable()) {
        printf("no GPU: %s\n", ame_gpu_why());
        CHECK_OK(ame_finalize());
        return CHECK_SKIP;
    }
    if (argc > 3 && !strcmp(argv[1], "failing")) failing(strtoull(argv[2], NULL, 10), atoi(argv[3]));
    size_t longest = argc > 1 ? strtoull(argv[1], NULL, 10) : SIZE_MAX;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths && lengths[i] <= longest; i++)
        for (int repeat = 0; repeat < 6; repeat++) {
            int root = repeat % check_size;
            size_t length = lengths[i];
            turn++;
            bcast(length, root);
            for (int form = 0; form < 4; form++) {
                turn++;
                gather(length, root, form & 1, form & 2);
                gatherv(length, root, form & 1, form & 2);
                if (form < 2) scatter(length, root, form & 1);
            }
            alltoall(length);
            if (repeat < 2) reductions(i == 3 ? 20000 : i == 2 ? 3 : length, root);
        }
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    int code = check_end();
    ame_gpu_close();
    return code;
}
