/* held.c - nobody waits for the device while holding the lock: while the devices of all ranks are held back, operations on
 * device memory stay incomplete, and messages in host memory go on. Three ranks on the mock driver.
 *
 * The mock aborts a process that waits for its device meanwhile.
 */
#include <ame_gpu.h>
#include <dlfcn.h>

#include "../job/check.h"

enum { TALKS = 20, SHORT = 1000, LONG = 5000000, DOUBLES = 200000 };

static void (*hold)(int held);
static size_t (*pinned)(void);

static void *find(const char *name)
{
    void *library = dlopen(getenv("AME_CUDA_LIB"), RTLD_NOW | RTLD_NOLOAD);
    CHECK(library);
    void *address = dlsym(library, name);
    CHECK(address);
    return address;
}

/* Messages in host memory, to the rank before this one and from the one after it, among the ranks from `first` on. */
static void talk(int first)
{
    int count = check_size - first, place = check_rank - first;
    if (place < 0) return;
    int before = first + (place + count - 1) % count, after = first + (place + 1) % count;
    for (int i = 0; i < TALKS; i++) {
        int got = -1, mine = 100 * check_rank + i;
        CHECK_OK(ame_sendrecv(&mine, sizeof mine, before, 77, &got, sizeof got, after, 77, AME_COMM_WORLD, NULL));
        CHECK_EQUAL(got, 100 * after + i);
    }
}

static void *device(size_t length, int seed)
{
    unsigned char *host = check_alloc(length);
    void *memory;
    check_fill(host, length, (uint64_t) seed);
    CHECK_OK(ame_gpu_malloc(length, &memory));
    CHECK_OK(ame_gpu_copy(memory, host, length, NULL));
    free(host);
    return memory;
}

static void expect(const void *memory, size_t length, int seed)
{
    unsigned char *host = check_alloc(length);
    CHECK_OK(ame_gpu_copy(host, memory, length, NULL));
    CHECK_FILLED(host, length, (uint64_t) seed);
    free(host);
}

/* All ranks have started `count` requests while their devices are held. */
static void go_on(ame_request **requests, int count, int talkers, bool incomplete)
{
    int done = 0;
    talk(talkers);
    for (int i = 0; i < count && incomplete; i++) {
        CHECK_OK(ame_test(&requests[i], &done, NULL));
        CHECK_SAY(!done, "request %d", i);
    }
    hold(0);
    for (int i = 0; i < count; i++) CHECK_OK(ame_wait(&requests[i], NULL));
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

static void point_to_point(size_t length)
{
    ame_request *requests[2];
    int after = (check_rank + 1) % check_size, before = (check_rank + check_size - 1) % check_size;
    void *out = device(length, check_rank), *in = device(length, 50);
    hold(1);
    CHECK_OK(ame_irecv(in, length, before, 5, AME_COMM_WORLD, &requests[0]));
    CHECK_OK(ame_isend(out, length, after, 5, AME_COMM_WORLD, &requests[1]));
    go_on(requests, 2, 0, true);
    expect(in, length, before);
    CHECK_OK(ame_gpu_free(out));
    CHECK_OK(ame_gpu_free(in));
}

/* With `from_host` the receivers have to stop reading from the root, but not from each other. */
static void broadcast(size_t length, bool from_host)
{
    ame_request *request;
    void *memory = device(length, check_rank), *host = check_alloc(length);
    check_fill(host, length, 0);
    hold(1);
    CHECK_OK(ame_ibcast(from_host && check_rank == 0 ? host : memory, length, 0, AME_COMM_WORLD, &request));
    go_on(&request, 1, from_host, !from_host || check_rank > 0);
    expect(memory, length, 0);
    CHECK_OK(ame_gpu_free(memory));
    free(host);
}

static void gather(size_t length, bool all)
{
    ame_request *request;
    void *own = device(length, check_rank), *result = device(length * (size_t) check_size, 60);
    hold(1);
    if (all)
        CHECK_OK(ame_iallgather(own, length, result, AME_COMM_WORLD, &request));
    else
        CHECK_OK(ame_igather(own, length, result, 1, AME_COMM_WORLD, &request));
    go_on(&request, 1, 0, true);
    for (int r = 0; r < check_size && (all || check_rank == 1); r++)
        expect((char *) result + (size_t) r * length, length, r);
    CHECK_OK(ame_gpu_free(own));
    CHECK_OK(ame_gpu_free(result));
}

static void reduce(size_t count)
{
    ame_request *request;
    size_t bytes = count * sizeof(double);
    double *host = check_alloc(bytes);
    void *own, *result;
    for (size_t i = 0; i < count; i++) host[i] = (double) (i % 100) + check_rank;
    CHECK_OK(ame_gpu_malloc(bytes, &own));
    CHECK_OK(ame_gpu_malloc(bytes, &result));
    CHECK_OK(ame_gpu_copy(own, host, bytes, NULL));
    hold(1);
    CHECK_OK(ame_iallreduce(own, result, count, AME_DOUBLE, AME_SUM, AME_COMM_WORLD, &request));
    go_on(&request, 1, 0, true);
    CHECK_OK(ame_gpu_copy(host, result, bytes, NULL));
    for (size_t i = 0; i < count; i++) CHECK(host[i] == 3 * (double) (i % 100) + 3);
    CHECK_OK(ame_gpu_free(own));
    CHECK_OK(ame_gpu_free(result));
    free(host);
}

int main(void)
{
    check_begin();
    CHECK_OK(ame_gpu_bind(AME_COMM_WORLD, 1, NULL));
    CHECK(ame_gpu_usable() && check_size == 3);
    *(void **) (void *) &hold = find("mockcuda_hold");
    *(void **) (void *) &pinned = find("mockcuda_pinned");
    for (int repeat = 0; repeat < 3; repeat++) {
        point_to_point(SHORT);
        point_to_point(LONG);
        broadcast(SHORT, false);
        broadcast(LONG, false);
        broadcast(LONG, true);
        gather(SHORT, false);
        gather(LONG, false);
        gather(SHORT, true);
        gather(LONG, true);
        reduce(10);
        reduce(DOUBLES);
    }
    CHECK_SAY(pinned() <= (size_t) 4 << 20, "%zu bytes of pinned memory", pinned()); /* AME_GPU_SLOTS */
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    int code = check_end();
    ame_gpu_close();
    return code;
}
