/* mockcuda.c - a CUDA driver without a GPU: a shared library that exports the functions of libcuda.so.1 that AME uses, so
 * that everything but the arithmetic of real kernels runs in CI. Set AME_CUDA_LIB to it.
 *
 * Device memory lies at addresses that the CPU may not touch (PROT_NONE): reading or writing a device pointer outside of a
 * kernel is SIGSEGV, as with a real device. The same pages are mapped a second time, for copies. While a kernel runs they
 * can be touched.
 *
 * Kernels are C functions of a shared library, named by MOCKCUDA_KERNELS, with the name of the kernel and this prototype:
 *
 *     void scale(const unsigned grid[6], void **arguments)      grid: blocks x, y, z, threads x, y, z
 *     {
 *         double *to = *(double **) arguments[0];               arguments as given to ame_gpu_launch
 *         ...
 *         for (unsigned block = 0; block < grid[0]; block++)    all blocks and threads, in a loop of the function's own
 *             for (unsigned thread = 0; thread < grid[3]; thread++) ...
 *     }
 *
 * tests/gpu/kernels.c is an example. Any image is accepted by cuModuleLoadDataEx. A kernel runs inside of cuLaunchKernel.
 * The library must be self-contained, or linked with what it needs; it may be the program's own code compiled once more.
 *
 * Copies and fills of a stream are not done when they are given to it but when somebody waits for the stream or an event
 * behind them (an event query does one step), so that a missing wait is noticed. A copy that involves host memory from
 * anywhere but cuMemHostAlloc is done at once, as the real driver does.
 *
 * A program may hold the device back: after mockcuda_hold(1) (dlsym) no operation of a stream is done until
 * mockcuda_hold(0); who waits for one meanwhile, or makes one that is done at once, is aborted with a message.
 *
 * Environment:
 *     MOCKCUDA_DEVICES   their number, or a list separated by commas of NAME[/UUID] where UUID is 32 hexadecimal digits;
 *                        default 1. A name with " MIG " in it is a MIG instance. Without UUID it is made from the position,
 *                        MOCKCUDA_HOST, and so the same for all processes of a host.
 *     MOCKCUDA_HOST      any text; different on each of several pretended hosts
 *     CUDA_VISIBLE_DEVICES  respected: ordinals, or UUIDs (GPU-..., MIG-..., the beginning is enough)
 *     MOCKCUDA_MEMORY    bytes of memory per device and process; default 256 MiB
 *     MOCKCUDA_FAIL      list, separated by commas, of FUNCTION:N:CODE: the N-th call (from 1) of FUNCTION (without its
 *                        version) in this process fails with CODE, such as cuLaunchKernel:3:719. N=0: every call.
 *                        FUNCTION@RANK: only in the process whose AME_RANK is RANK.
 *                        After one of 214, 700, 702, 710, 714 to 719 every call fails with the same code.
 *     MOCKCUDA_TRACE     file to which each process appends a line for each context that it makes: "context ORDINAL UUID".
 *
 * This is a test tool: limits are fixed, and it aborts with a message where it is used as a real driver would not permit.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600
};
enum { DEVICES_MAX = 64, RANGES_MAX = 65536, DEPTH_MAX = 16, OPERATIONS_MAX = 4096, FAILURES_MAX = 32 };

typedef unsigned result;
typedef unsigned long long pointer;

struct device {
    char name[96];
    unsigned char uuid[16];
    int physical;
    size_t used;
    int contexts;
};

struct range {
    unsigned char *address; /* of device memory what the program sees, of host memory the memory itself */
    unsigned char *shadow;  /* device memory: where copies find it */
    size_t bytes, mapped;
    int device;
    int pins; /* operations in streams that use it */
};

enum kind { COPY, FILL, EVENT };
struct operation {
    enum kind kind;
    unsigned char *to;
    const unsigned char *from;
    size_t bytes;
    unsigned char value;
    struct CUevent_st *event;
};

struct CUctx_st {
    int device;
};
struct CUstream_st {
    struct CUstream_st *next;
    struct operation queue[OPERATIONS_MAX];
    unsigned first, count;
};
struct CUevent_st {
    struct CUstream_st *stream; /* it waits there; NULL: reached */
    struct timespec time;
};
struct CUmod_st {
    struct CUmod_st *next;
};
struct CUfunc_st {
    struct CUfunc_st *next;
    void (*run)(const unsigned grid[6], void **arguments);
};

/* All under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialized;
static struct device devices[DEVICES_MAX];
static int device_count;
static struct CUctx_st contexts[DEVICES_MAX];
static struct range *device_ranges, *host_ranges;
static size_t device_range_count, host_range_count;
static struct CUstream_st *streams, default_stream;
static struct CUfunc_st *functions; /* kept to the end, as modules are: they belong to the context */
static struct CUmod_st *modules;
static void *kernels;
static result sticky;
static bool held;
static size_t memory_limit = 256u << 20;
static struct {
    char function[64];
    long at, calls;
    result code;
} failures[FAILURES_MAX];
static int failure_count;
static _Thread_local struct CUctx_st *stack[DEPTH_MAX];
static _Thread_local int depth;

static void die(const char *what)
{
    fprintf(stderr, "mockcuda: %s\n", what);
    abort();
}

/* ---- setting up ---------------------------------------------------------------------------------- */

static void read_failures(void)
{
    const char *text = getenv("MOCKCUDA_FAIL"), *rank = getenv("AME_RANK");
    for (; text && *text; text += strcspn(text, ","), text += *text == ',') {
        char function[64], *at;
        long call;
        unsigned code;
        if (sscanf(text, "%63[^:]:%ld:%u", function, &call, &code) != 3 || failure_count == FAILURES_MAX)
            die("MOCKCUDA_FAIL is not understood");
        if ((at = strchr(function, '@'))) {
            *at++ = '\0';
            if (!rank || strcmp(at, rank)) continue;
        }
        strcpy(failures[failure_count].function, function);
        failures[failure_count].at = call;
        failures[failure_count++].code = code;
    }
}

static void make_uuid(struct device *device, const char *given)
{
    const char *host = getenv("MOCKCUDA_HOST");
    uint64_t hash = 1469598103934665603u + (uint64_t) device->physical;
    unsigned byte;
    for (; host && *host; host++) hash = (hash ^ (unsigned char) *host) * 1099511628211u;
    for (int i = 0; i < 16; i++) {
        hash = (hash ^ (uint64_t) (i + 1)) * 1099511628211u;
        device->uuid[i] = (unsigned char) (hash >> 32);
        if (given && sscanf(given + 2 * i, "%2x", &byte) == 1) device->uuid[i] = (unsigned char) byte;
    }
}

static int read_devices(struct device *all)
{
    const char *text = getenv("MOCKCUDA_DEVICES");
    int count = 0;
    char *end;
    long number = text ? strtol(text, &end, 10) : 1;
    if (!text || !*end) {
        for (; count < number && count < DEVICES_MAX; count++) {
            all[count] = (struct device){.physical = count};
            strcpy(all[count].name, "Mock GPU");
            make_uuid(&all[count], NULL);
        }
        return count;
    }
    for (; *text && count < DEVICES_MAX; text += *text == ',') {
        char item[200];
        size_t length = strcspn(text, ",");
        snprintf(item, sizeof item, "%.*s", (int) length, text);
        char *uuid = strchr(item, '/');
        if (uuid) *uuid++ = '\0';
        all[count] = (struct device){.physical = count};
        snprintf(all[count].name, sizeof all[count].name, "%.90s", item);
        make_uuid(&all[count++], uuid);
        text += length;
    }
    return count;
}

static void print_uuid(const struct device *device, char text[48])
{
    int used = sprintf(text, "%s", strstr(device->name, " MIG ") ? "MIG" : "GPU");
    for (int i = 0; i < 16; i++)
        used +=
            sprintf(text + used, "%s%02x", i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", device->uuid[i]);
}

/* CUDA_VISIBLE_DEVICES ends at the first name that is not a device, as the real one does. */
static void choose_visible(const struct device *all, int count)
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    if (!text) {
        memcpy(devices, all, (size_t) count * sizeof *all);
        device_count = count;
        return;
    }
    while (*text && device_count < DEVICES_MAX) {
        size_t length = strcspn(text, ",");
        int found = -1;
        for (int i = 0; i < count; i++) {
            char uuid[48], ordinal[16];
            print_uuid(&all[i], uuid);
            snprintf(ordinal, sizeof ordinal, "%d", i);
            if ((isdigit((unsigned char) *text) && strlen(ordinal) == length && !strncmp(ordinal, text, length)) ||
                (length > 4 && !strncasecmp(uuid, text, length)))
                found = i;
        }
        if (found < 0) break;
        devices[device_count++] = all[found];
        text += length;
        if (*text == ',') text++;
    }
}

static bool injected(const char *function, result *code)
{
    *code = sticky;
    for (int i = 0; i < failure_count; i++) {
        if (strcmp(failures[i].function, function)) continue;
        failures[i].calls++;
        if (failures[i].at == 0 || failures[i].at == failures[i].calls) *code = failures[i].code;
    }
    if (*code == 214 || *code == 700 || *code == 702 || *code == 710 || (*code >= 714 && *code <= 719)) sticky = *code;
    return *code != SUCCESS;
}

/* Begins each function: takes the lock; leaves it with the injected error, if there is one. */
#define BEGIN(name)                                                                                                    \
    result code;                                                                                                       \
    pthread_mutex_lock(&lock);                                                                                         \
    if (injected(name, &code)) return leave(code)
#define NEED_CONTEXT()                                                                                                 \
    if (!depth) return leave(INVALID_CONTEXT)

static result leave(result code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT result cuInit(unsigned flags)
{
    static struct device all[DEVICES_MAX];
    pthread_mutex_lock(&lock);
    if (!initialized) {
        const char *limit = getenv("MOCKCUDA_MEMORY"), *library = getenv("MOCKCUDA_KERNELS");
        read_failures();
        if (limit) memory_limit = strtoull(limit, NULL, 10);
        if (library && !(kernels = dlopen(library, RTLD_NOW | RTLD_LOCAL))) die(dlerror());
        device_ranges = calloc(RANGES_MAX, sizeof *device_ranges);
        host_ranges = calloc(RANGES_MAX, sizeof *host_ranges);
        if (!device_ranges || !host_ranges) die("out of memory");
        choose_visible(all, read_devices(all));
        initialized = true;
    }
    result code;
    if (injected("cuInit", &code)) return leave(code);
    return leave(flags ? INVALID_VALUE : device_count ? SUCCESS : NO_DEVICE);
}

EXPORT result cuDriverGetVersion(int *version)
{
    *version = 12040;
    return SUCCESS;
}

EXPORT result cuGetErrorName(result error, const char **name)
{
    static const struct {
        result code;
        const char *name;
    } names[] = {{0, "CUDA_SUCCESS"},
                 {1, "CUDA_ERROR_INVALID_VALUE"},
                 {2, "CUDA_ERROR_OUT_OF_MEMORY"},
                 {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
                 {100, "CUDA_ERROR_NO_DEVICE"},
                 {200, "CUDA_ERROR_INVALID_IMAGE"},
                 {201, "CUDA_ERROR_INVALID_CONTEXT"},
                 {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
                 {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
                 {500, "CUDA_ERROR_NOT_FOUND"},
                 {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                 {719, "CUDA_ERROR_LAUNCH_FAILED"}};
    *name = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == error) *name = names[i].name;
    return *name ? SUCCESS : INVALID_VALUE;
}

EXPORT result cuGetErrorString(result error, const char **string)
{
    (void) error;
    *string = "mock";
    return SUCCESS;
}

/* ---- devices and contexts ------------------------------------------------------------------------ */

EXPORT result cuDeviceGetCount(int *count)
{
    BEGIN("cuDeviceGetCount");
    *count = device_count;
    return leave(SUCCESS);
}

EXPORT result cuDeviceGet(int *device, int ordinal)
{
    BEGIN("cuDeviceGet");
    if (ordinal < 0 || ordinal >= device_count) return leave(INVALID_DEVICE);
    *device = ordinal;
    return leave(SUCCESS);
}

EXPORT result cuDeviceGetName(char *name, int length, int device)
{
    BEGIN("cuDeviceGetName");
    snprintf(name, (size_t) length, "%s", devices[device].name);
    return leave(SUCCESS);
}

EXPORT result cuDeviceGetUuid_v2(void *uuid, int device)
{
    BEGIN("cuDeviceGetUuid");
    memcpy(uuid, devices[device].uuid, 16);
    return leave(SUCCESS);
}

EXPORT result cuDeviceGetPCIBusId(char *text, int length, int device)
{
    BEGIN("cuDeviceGetPCIBusId");
    snprintf(text, (size_t) length, "0000:%02x:00.0", 0xf0 + devices[device].physical);
    return leave(SUCCESS);
}

EXPORT result cuDeviceGetAttribute(int *value, unsigned attribute, int device)
{
    BEGIN("cuDeviceGetAttribute");
    (void) device;
    *value = attribute == 16 ? 4 : attribute == 75 ? 9 : 0;
    return leave(SUCCESS);
}

EXPORT result cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    BEGIN("cuDeviceTotalMem");
    (void) device;
    *bytes = memory_limit;
    return leave(SUCCESS);
}

EXPORT result cuDevicePrimaryCtxRetain(struct CUctx_st **context, int device)
{
    BEGIN("cuDevicePrimaryCtxRetain");
    const char *trace = getenv("MOCKCUDA_TRACE");
    if (device < 0 || device >= device_count) return leave(INVALID_DEVICE);
    if (trace && devices[device].contexts == 0) {
        char uuid[48];
        FILE *file = fopen(trace, "ae");
        print_uuid(&devices[device], uuid);
        if (file) fprintf(file, "context %d %s\n", device, uuid), fclose(file);
    }
    devices[device].contexts++;
    contexts[device].device = device;
    *context = &contexts[device];
    return leave(SUCCESS);
}

EXPORT result cuDevicePrimaryCtxRelease_v2(int device)
{
    BEGIN("cuDevicePrimaryCtxRelease");
    if (devices[device].contexts <= 0) return leave(INVALID_CONTEXT);
    devices[device].contexts--;
    return leave(SUCCESS);
}

EXPORT result cuCtxPushCurrent_v2(struct CUctx_st *context)
{
    if (!context) return INVALID_CONTEXT;
    if (depth == DEPTH_MAX) die("contexts are pushed and not popped");
    stack[depth++] = context;
    return SUCCESS;
}

EXPORT result cuCtxPopCurrent_v2(struct CUctx_st **context)
{
    if (!depth) return INVALID_CONTEXT;
    *context = stack[--depth];
    return SUCCESS;
}

/* ---- memory -------------------------------------------------------------------------------------- */

static struct range *find(struct range *ranges, size_t count, const void *address, size_t bytes)
{
    const unsigned char *at = address;
    for (size_t i = 0; i < count; i++)
        if (ranges[i].address && at >= ranges[i].address && at < ranges[i].address + ranges[i].bytes) {
            if (bytes > (size_t) (ranges[i].address + ranges[i].bytes - at)) die("a copy goes beyond its memory");
            return &ranges[i];
        }
    return NULL;
}

static struct range *find_device(const void *address, size_t bytes)
{
    return find(device_ranges, device_range_count, address, bytes);
}

static struct range *new_range(struct range *ranges, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (!ranges[i].address) return &ranges[i];
    if (*count == RANGES_MAX) die("too many allocations");
    return &ranges[(*count)++];
}

EXPORT result cuMemAlloc_v2(pointer *address, size_t bytes)
{
    BEGIN("cuMemAlloc");
    NEED_CONTEXT();
    struct device *device = &devices[stack[depth - 1]->device];
    size_t mapped = (bytes + 4095) & ~(size_t) 4095;
    if (bytes == 0) return leave(INVALID_VALUE);
    if (mapped > memory_limit - device->used) return leave(OUT_OF_MEMORY);
    int fd = memfd_create("mockcuda", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t) mapped)) die("no memory file");
    struct range *range = new_range(device_ranges, &device_range_count);
    range->address = mmap(NULL, mapped, PROT_NONE, MAP_SHARED, fd, 0);
    range->shadow = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (range->address == MAP_FAILED || range->shadow == MAP_FAILED) die("no memory");
    memset(range->shadow, 0xa5, mapped);
    range->bytes = bytes;
    range->mapped = mapped;
    range->device = stack[depth - 1]->device;
    device->used += mapped;
    *address = (pointer) (uintptr_t) range->address;
    return leave(SUCCESS);
}

static void run_all(void);

EXPORT result cuMemFree_v2(pointer address)
{
    BEGIN("cuMemFree");
    NEED_CONTEXT();
    struct range *range = find_device((void *) (uintptr_t) address, 0);
    if (!range || (uintptr_t) range->address != address) return leave(INVALID_VALUE);
    run_all();
    munmap(range->address, range->mapped);
    munmap(range->shadow, range->mapped);
    devices[range->device].used -= range->mapped;
    memset(range, 0, sizeof *range);
    return leave(SUCCESS);
}

EXPORT result cuMemGetInfo_v2(size_t *unused, size_t *total)
{
    BEGIN("cuMemGetInfo");
    NEED_CONTEXT();
    *total = memory_limit;
    *unused = memory_limit - devices[stack[depth - 1]->device].used;
    return leave(SUCCESS);
}

EXPORT result cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    BEGIN("cuMemHostAlloc");
    NEED_CONTEXT();
    (void) flags;
    struct range *range = new_range(host_ranges, &host_range_count);
    range->address = aligned_alloc(4096, (bytes + 4095) & ~(size_t) 4095);
    if (!range->address) return leave(OUT_OF_MEMORY);
    range->bytes = bytes;
    *address = range->address;
    return leave(SUCCESS);
}

EXPORT result cuMemFreeHost(void *address)
{
    BEGIN("cuMemFreeHost");
    NEED_CONTEXT();
    struct range *range = find(host_ranges, host_range_count, address, 0);
    if (!range || range->address != address) return leave(INVALID_VALUE);
    run_all();
    free(address);
    memset(range, 0, sizeof *range);
    return leave(SUCCESS);
}

EXPORT result cuPointerGetAttributes(unsigned count, unsigned *attributes, void **values, pointer address)
{
    BEGIN("cuPointerGetAttributes");
    NEED_CONTEXT();
    bool device = find_device((void *) (uintptr_t) address, 0);
    bool host = find(host_ranges, host_range_count, (void *) (uintptr_t) address, 0);
    for (unsigned i = 0; i < count; i++) {
        if (attributes[i] != 2 && attributes[i] != 8) die("an attribute that is not known here");
        *(unsigned *) values[i] = attributes[i] == 8 ? 0 : device ? 2 : host ? 1 : 0;
    }
    return leave(SUCCESS);
}

/* ---- streams ------------------------------------------------------------------------------------- */

EXPORT void mockcuda_hold(int hold)
{
    pthread_mutex_lock(&lock);
    held = hold;
    pthread_mutex_unlock(&lock);
}

/* Bytes of pinned memory that there are now. */
EXPORT size_t mockcuda_pinned(void)
{
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < host_range_count; i++) bytes += host_ranges[i].bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}

static void run_one(struct CUstream_st *stream)
{
    if (held) die("somebody waits for a device that is held back");
    struct operation *operation = &stream->queue[stream->first % OPERATIONS_MAX];
    if (operation->kind == COPY) memmove(operation->to, operation->from, operation->bytes);
    if (operation->kind == FILL) memset(operation->to, operation->value, operation->bytes);
    if (operation->kind == EVENT && operation->event) {
        clock_gettime(CLOCK_MONOTONIC, &operation->event->time);
        operation->event->stream = NULL;
    }
    stream->first++;
    stream->count--;
}

static void run_stream(struct CUstream_st *stream)
{
    while (stream->count) run_one(stream);
}

static void run_all(void)
{
    run_stream(&default_stream);
    for (struct CUstream_st *stream = streams; stream; stream = stream->next) run_stream(stream);
}

static void append(struct CUstream_st *stream, struct operation operation)
{
    if (stream->count == OPERATIONS_MAX) run_one(stream);
    stream->queue[(stream->first + stream->count++) % OPERATIONS_MAX] = operation;
}

static struct CUstream_st *or_default(struct CUstream_st *stream)
{
    return stream ? stream : &default_stream;
}

/* Where the bytes are, and whether a copy of them has to be done at once. */
static unsigned char *place(pointer address, size_t bytes, bool *now)
{
    unsigned char *at = (unsigned char *) (uintptr_t) address;
    struct range *range = find_device(at, bytes);
    if (range) return range->shadow + (at - range->address);
    if (!find(host_ranges, host_range_count, at, bytes)) *now = true;
    return at;
}

EXPORT result cuMemcpyAsync(pointer to, pointer from, size_t bytes, struct CUstream_st *stream)
{
    BEGIN("cuMemcpyAsync");
    NEED_CONTEXT();
    bool now = false;
    struct operation operation = {
        .kind = COPY, .to = place(to, bytes, &now), .from = place(from, bytes, &now), .bytes = bytes};
    append(or_default(stream), operation);
    if (now) run_stream(or_default(stream));
    return leave(SUCCESS);
}

EXPORT result cuMemsetD8Async(pointer to, unsigned char value, size_t bytes, struct CUstream_st *stream)
{
    BEGIN("cuMemsetD8Async");
    NEED_CONTEXT();
    bool now = false;
    unsigned char *at = place(to, bytes, &now);
    if (!find_device((void *) (uintptr_t) to, bytes)) return leave(INVALID_VALUE);
    append(or_default(stream), (struct operation){.kind = FILL, .to = at, .bytes = bytes, .value = value});
    return leave(SUCCESS);
}

EXPORT result cuStreamCreate(struct CUstream_st **stream, unsigned flags)
{
    BEGIN("cuStreamCreate");
    NEED_CONTEXT();
    (void) flags;
    struct CUstream_st *made = calloc(1, sizeof *made);
    if (!made) return leave(OUT_OF_MEMORY);
    made->next = streams;
    streams = made;
    *stream = made;
    return leave(SUCCESS);
}

EXPORT result cuStreamDestroy_v2(struct CUstream_st *stream)
{
    BEGIN("cuStreamDestroy");
    NEED_CONTEXT();
    struct CUstream_st **link = &streams;
    while (*link && *link != stream) link = &(*link)->next;
    if (!*link) return leave(INVALID_HANDLE);
    run_stream(stream);
    *link = stream->next;
    free(stream);
    return leave(SUCCESS);
}

EXPORT result cuStreamQuery(struct CUstream_st *stream)
{
    BEGIN("cuStreamQuery");
    NEED_CONTEXT();
    stream = or_default(stream);
    if (stream->count && !held) run_one(stream);
    return leave(stream->count ? NOT_READY : SUCCESS);
}

EXPORT result cuEventCreate(struct CUevent_st **event, unsigned flags)
{
    BEGIN("cuEventCreate");
    NEED_CONTEXT();
    (void) flags;
    *event = calloc(1, sizeof **event);
    return leave(*event ? SUCCESS : OUT_OF_MEMORY);
}

static void forget(struct CUstream_st *stream, const struct CUevent_st *event)
{
    for (unsigned i = 0; i < stream->count; i++) {
        struct operation *operation = &stream->queue[(stream->first + i) % OPERATIONS_MAX];
        if (operation->event == event) operation->event = NULL;
    }
}

EXPORT result cuEventDestroy_v2(struct CUevent_st *event)
{
    BEGIN("cuEventDestroy");
    NEED_CONTEXT();
    if (event->stream) forget(event->stream, event);
    free(event);
    return leave(SUCCESS);
}

EXPORT result cuEventRecord(struct CUevent_st *event, struct CUstream_st *stream)
{
    BEGIN("cuEventRecord");
    NEED_CONTEXT();
    if (event->stream) forget(event->stream, event);
    event->stream = or_default(stream);
    append(event->stream, (struct operation){.kind = EVENT, .event = event});
    return leave(SUCCESS);
}

EXPORT result cuEventQuery(struct CUevent_st *event)
{
    BEGIN("cuEventQuery");
    NEED_CONTEXT();
    if (event->stream && !held) run_one(event->stream);
    return leave(event->stream ? NOT_READY : SUCCESS);
}

EXPORT result cuEventSynchronize(struct CUevent_st *event)
{
    BEGIN("cuEventSynchronize");
    NEED_CONTEXT();
    while (event->stream) run_one(event->stream);
    return leave(SUCCESS);
}

EXPORT result cuEventElapsedTime(float *milliseconds, struct CUevent_st *from, struct CUevent_st *to)
{
    BEGIN("cuEventElapsedTime");
    NEED_CONTEXT();
    if (from->stream || to->stream) return leave(NOT_READY);
    *milliseconds = (float) ((double) (to->time.tv_sec - from->time.tv_sec) * 1e3 +
                             (double) (to->time.tv_nsec - from->time.tv_nsec) * 1e-6);
    return leave(SUCCESS);
}

/* ---- kernels ------------------------------------------------------------------------------------- */

EXPORT result cuModuleLoadDataEx(struct CUmod_st **module, const void *image, unsigned count, unsigned *options,
                                 void **values)
{
    BEGIN("cuModuleLoadDataEx");
    NEED_CONTEXT();
    (void) image, (void) count, (void) options, (void) values;
    struct CUmod_st *made = calloc(1, sizeof *made);
    if (!made) return leave(OUT_OF_MEMORY);
    made->next = modules;
    *module = modules = made;
    return leave(SUCCESS);
}

EXPORT result cuModuleUnload(struct CUmod_st *module)
{
    BEGIN("cuModuleUnload");
    NEED_CONTEXT();
    struct CUmod_st **link = &modules;
    while (*link && *link != module) link = &(*link)->next;
    if (!*link) return leave(INVALID_HANDLE);
    *link = module->next;
    free(module);
    return leave(SUCCESS);
}

EXPORT result cuModuleGetFunction(struct CUfunc_st **function, struct CUmod_st *module, const char *name)
{
    BEGIN("cuModuleGetFunction");
    NEED_CONTEXT();
    (void) module;
    void *found = kernels ? dlsym(kernels, name) : NULL;
    if (!found) return leave(NOT_FOUND);
    struct CUfunc_st *made = calloc(1, sizeof *made);
    if (!made) return leave(OUT_OF_MEMORY);
    memcpy(&made->run, &found, sizeof found);
    made->next = functions;
    functions = made;
    *function = made;
    return leave(SUCCESS);
}

EXPORT result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, struct CUfunc_st *function, int threads,
                                                          size_t shared)
{
    BEGIN("cuOccupancyMaxActiveBlocksPerMultiprocessor");
    NEED_CONTEXT();
    (void) function, (void) shared;
    *blocks = threads > 0 && threads <= 1024 ? 2048 / threads : 0;
    return leave(SUCCESS);
}

EXPORT result cuOccupancyMaxPotentialBlockSize(int *grid, int *threads, struct CUfunc_st *function,
                                               size_t (*shared_of)(int), size_t shared, int limit)
{
    BEGIN("cuOccupancyMaxPotentialBlockSize");
    NEED_CONTEXT();
    (void) function, (void) shared_of, (void) shared, (void) limit;
    *threads = 128;
    *grid = 64;
    return leave(SUCCESS);
}

static void open_memory(int protection)
{
    for (size_t i = 0; i < device_range_count; i++)
        if (device_ranges[i].address && mprotect(device_ranges[i].address, device_ranges[i].mapped, protection))
            die("mprotect failed");
}

EXPORT result cuLaunchKernel(struct CUfunc_st *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                             unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared,
                             struct CUstream_st *stream, void **arguments, void **extra)
{
    BEGIN("cuLaunchKernel");
    NEED_CONTEXT();
    (void) shared, (void) extra;
    const unsigned grid[6] = {blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z};
    if (threads_x * threads_y * threads_z > 1024) return leave(INVALID_VALUE);
    run_stream(or_default(stream));
    open_memory(PROT_READ | PROT_WRITE);
    function->run(grid, arguments);
    open_memory(PROT_NONE);
    return leave(SUCCESS);
}
