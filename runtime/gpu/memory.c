/* memory.c - memory of the device and pinned memory of the host, and copies between them. */
#include "device.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

/* What ame_gpu_malloc gave, so that a pointer is still known when the driver says nothing any more (AME_E_GPU_LOST). */
struct piece {
    struct piece *next;
    uintptr_t address;
    size_t bytes;
};
static struct piece *pieces; /* file scope as the device is; under the lock */
static pthread_mutex_t pieces_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_known(const void *pointer)
{
    uintptr_t at = (uintptr_t) pointer;
    bool known = false;
    pthread_mutex_lock(&pieces_lock);
    for (const struct piece *piece = pieces; piece && !known; piece = piece->next)
        known = at >= piece->address && at - piece->address < piece->bytes;
    pthread_mutex_unlock(&pieces_lock);
    return known;
}

static void remember(struct piece *piece, ame__cu_pointer address, size_t bytes)
{
    piece->address = (uintptr_t) address;
    piece->bytes = bytes;
    pthread_mutex_lock(&pieces_lock);
    piece->next = pieces;
    pieces = piece;
    pthread_mutex_unlock(&pieces_lock);
}

static void forget(const void *memory)
{
    pthread_mutex_lock(&pieces_lock);
    struct piece **link = &pieces;
    while (*link && (*link)->address != (uintptr_t) memory) link = &(*link)->next;
    struct piece *piece = *link;
    if (piece) *link = piece->next;
    pthread_mutex_unlock(&pieces_lock);
    free(piece);
}

static int missing(const char *function, const char *argument)
{
    return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, argument);
}

int ame_gpu_malloc(size_t bytes, void **memory)
{
    static const char function[] = "ame_gpu_malloc";
    const struct ame__cuda *cuda;
    ame__cu_pointer address = 0;
    if (!memory) return missing(function, "memory");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    struct piece *piece = calloc(1, sizeof *piece);
    code = ame__gpu_leave(bytes && piece ? cuda->memory_alloc(&address, bytes) : AME__CU_SUCCESS, function,
                          "device memory of %zu bytes", bytes);
    if (!code && !piece) code = ame__fail(AME_E_NOMEM, "%s: out of memory", function);
    if (code || !bytes)
        free(piece);
    else
        remember(piece, address, bytes);
    if (!code) *memory = (void *) (uintptr_t) address; /* NOLINT(performance-no-int-to-ptr) */
    return code;
}

int ame_gpu_free(void *memory)
{
    static const char function[] = "ame_gpu_free";
    const struct ame__cuda *cuda;
    if (!memory) return AME_OK;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->memory_free((ame__cu_pointer) (uintptr_t) memory), function, "freeing device memory");
    if (!code) forget(memory);
    return code;
}

int ame_gpu_malloc_host(size_t bytes, void **memory)
{
    static const char function[] = "ame_gpu_malloc_host";
    const struct ame__cuda *cuda;
    void *address = NULL;
    if (!memory) return missing(function, "memory");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(bytes ? cuda->host_alloc(&address, bytes, AME__CU_HOSTALLOC_PORTABLE) : AME__CU_SUCCESS,
                          function, "pinned host memory of %zu bytes", bytes);
    if (!code) *memory = address;
    return code;
}

int ame_gpu_free_host(void *memory)
{
    static const char function[] = "ame_gpu_free_host";
    const struct ame__cuda *cuda;
    if (!memory) return AME_OK;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    return ame__gpu_leave(cuda->host_free(memory), function, "freeing pinned host memory");
}

int ame_gpu_memory(unsigned long long *free_bytes, unsigned long long *total)
{
    static const char function[] = "ame_gpu_memory";
    const struct ame__cuda *cuda;
    size_t unused = 0, all = 0;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->memory_info(&unused, &all), function, "asking for free memory");
    if (code) return code;
    if (free_bytes) *free_bytes = unused;
    if (total) *total = all;
    return AME_OK;
}

int ame_gpu_is_device(const void *pointer)
{
    const struct ame__cuda *cuda;
    unsigned type = 0, managed = 0, wanted[] = {AME__CU_POINTER_MEMORY_TYPE, AME__CU_POINTER_IS_MANAGED};
    void *values[] = {&type, &managed};
    if (!pointer || !atomic_load_explicit(&ame__gpu_bound, memory_order_acquire)) return 0;
    if (ame_gpu_lost()) return is_known(pointer);
    if (ame__gpu_enter("ame_gpu_is_device", &cuda)) return 0;
    ame__cu_result result = cuda->pointer_attributes(2, wanted, values, (ame__cu_pointer) (uintptr_t) pointer);
    (void) ame__gpu_leave(AME__CU_SUCCESS, "ame_gpu_is_device", " ");
    return !result && type == AME__CU_MEMORYTYPE_DEVICE && !managed;
}

int ame_gpu_copy(void *to, const void *from, size_t bytes, ame_gpu_stream *stream)
{
    static const char function[] = "ame_gpu_copy";
    const struct ame__cuda *cuda;
    if (bytes && (!to || !from)) return missing(function, to ? "from" : "to");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    ame__cu_stream on = ame__gpu_stream(stream);
    ame__cu_result result =
        bytes ? cuda->copy((ame__cu_pointer) (uintptr_t) to, (ame__cu_pointer) (uintptr_t) from, bytes, on)
              : AME__CU_SUCCESS;
    if (!result && !stream) result = ame__gpu_drain(cuda, on);
    return ame__gpu_leave(result, function, "copying %zu bytes", bytes);
}

int ame_gpu_fill(void *memory, unsigned char value, size_t bytes, ame_gpu_stream *stream)
{
    static const char function[] = "ame_gpu_fill";
    const struct ame__cuda *cuda;
    if (bytes && !memory) return missing(function, "memory");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    ame__cu_result result = AME__CU_SUCCESS;
    if (bytes) result = cuda->fill((ame__cu_pointer) (uintptr_t) memory, value, bytes, ame__gpu_stream(stream));
    return ame__gpu_leave(result, function, "filling %zu bytes", bytes);
}
