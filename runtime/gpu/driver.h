/* driver.h - the CUDA driver, loaded with dlopen: the functions used of it, by their exported names and with prototypes of
 * our own, so that neither headers nor libraries of CUDA are needed to build.
 *
 * The names are those of the library's symbols with their versions (cuMemAlloc_v2), never those of the macros in cuda.h,
 * which mean something else in each release. A symbol keeps its meaning for ever; the oldest driver that has all of these
 * is 11.4. tests/gpu/abi.c compares the prototypes with cuda.h where that is there.
 *
 * Loaded once per process and never unloaded. Who uses the table: this folder only.
 */
#ifndef AME_GPU_DRIVER_H
#define AME_GPU_DRIVER_H

#include <stddef.h>

/* The names of the types behind handles are those of cuda.h, so that the prototypes can be compared. */
typedef unsigned ame__cu_result; /* enum cudaError_enum */
typedef int ame__cu_device;
typedef unsigned long long ame__cu_pointer;
typedef struct CUctx_st *ame__cu_context;
typedef struct CUmod_st *ame__cu_module;
typedef struct CUfunc_st *ame__cu_function;
typedef struct CUstream_st *ame__cu_stream;
typedef struct CUevent_st *ame__cu_event;
struct CUuuid_st;

/* X(field, symbol, parameters) */
#define AME__CUDA_FUNCTIONS(X)                                                                                         \
    X(init, cuInit, (unsigned) )                                                                                       \
    X(driver_version, cuDriverGetVersion, (int *) )                                                                    \
    X(error_name, cuGetErrorName, (ame__cu_result, const char **) )                                                    \
    X(error_string, cuGetErrorString, (ame__cu_result, const char **) )                                                \
    X(device_count, cuDeviceGetCount, (int *) )                                                                        \
    X(device_get, cuDeviceGet, (ame__cu_device *, int) )                                                               \
    X(device_name, cuDeviceGetName, (char *, int, ame__cu_device))                                                     \
    X(device_uuid, cuDeviceGetUuid_v2, (struct CUuuid_st *, ame__cu_device))                                           \
    X(device_pci, cuDeviceGetPCIBusId, (char *, int, ame__cu_device))                                                  \
    X(device_attribute, cuDeviceGetAttribute, (int *, unsigned, ame__cu_device))                                       \
    X(device_memory, cuDeviceTotalMem_v2, (size_t *, ame__cu_device))                                                  \
    X(context_retain, cuDevicePrimaryCtxRetain, (ame__cu_context *, ame__cu_device))                                   \
    X(context_release, cuDevicePrimaryCtxRelease_v2, (ame__cu_device))                                                 \
    X(context_push, cuCtxPushCurrent_v2, (ame__cu_context))                                                            \
    X(context_pop, cuCtxPopCurrent_v2, (ame__cu_context *) )                                                           \
    X(module_load, cuModuleLoadDataEx, (ame__cu_module *, const void *, unsigned, unsigned *, void **) )               \
    X(module_unload, cuModuleUnload, (ame__cu_module))                                                                 \
    X(module_function, cuModuleGetFunction, (ame__cu_function *, ame__cu_module, const char *) )                       \
    X(launch, cuLaunchKernel,                                                                                          \
      (ame__cu_function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, ame__cu_stream,         \
       void **, void **) )                                                                                             \
    X(blocks_per_mp, cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *, ame__cu_function, int, size_t))              \
    X(block_size, cuOccupancyMaxPotentialBlockSize, (int *, int *, ame__cu_function, size_t (*)(int), size_t, int) )   \
    X(memory_info, cuMemGetInfo_v2, (size_t *, size_t *) )                                                             \
    X(memory_alloc, cuMemAlloc_v2, (ame__cu_pointer *, size_t))                                                        \
    X(memory_free, cuMemFree_v2, (ame__cu_pointer))                                                                    \
    X(host_alloc, cuMemHostAlloc, (void **, size_t, unsigned) )                                                        \
    X(host_free, cuMemFreeHost, (void *) )                                                                             \
    X(pointer_attributes, cuPointerGetAttributes, (unsigned, unsigned *, void **, ame__cu_pointer))                    \
    X(copy, cuMemcpyAsync, (ame__cu_pointer, ame__cu_pointer, size_t, ame__cu_stream))                                 \
    X(fill, cuMemsetD8Async, (ame__cu_pointer, unsigned char, size_t, ame__cu_stream))                                 \
    X(stream_create, cuStreamCreate, (ame__cu_stream *, unsigned) )                                                    \
    X(stream_destroy, cuStreamDestroy_v2, (ame__cu_stream))                                                            \
    X(stream_query, cuStreamQuery, (ame__cu_stream))                                                                   \
    X(event_create, cuEventCreate, (ame__cu_event *, unsigned) )                                                       \
    X(event_destroy, cuEventDestroy_v2, (ame__cu_event))                                                               \
    X(event_record, cuEventRecord, (ame__cu_event, ame__cu_stream))                                                    \
    X(event_query, cuEventQuery, (ame__cu_event))                                                                      \
    X(event_synchronize, cuEventSynchronize, (ame__cu_event))                                                          \
    X(event_elapsed, cuEventElapsedTime, (float *, ame__cu_event, ame__cu_event))

struct ame__cuda {
#define AME__CUDA_FIELD(field, symbol, parameters) ame__cu_result(*field) parameters;
    AME__CUDA_FUNCTIONS(AME__CUDA_FIELD)
#undef AME__CUDA_FIELD
};

/* The values of cuda.h that are used; tests/gpu/abi.c compares them. */
enum {
    AME__CU_SUCCESS = 0,
    AME__CU_OUT_OF_MEMORY = 2,
    AME__CU_STUB_LIBRARY = 34,
    AME__CU_DEVICE_UNAVAILABLE = 46,
    AME__CU_NO_DEVICE = 100,
    AME__CU_NO_BINARY_FOR_GPU = 209,
    AME__CU_ECC_UNCORRECTABLE = 214,
    AME__CU_NVLINK_UNCORRECTABLE = 220,
    AME__CU_UNSUPPORTED_PTX_VERSION = 222,
    AME__CU_NOT_READY = 600,
    AME__CU_ILLEGAL_ADDRESS = 700,
    AME__CU_LAUNCH_TIMEOUT = 702,
    AME__CU_CONTEXT_IS_DESTROYED = 709,
    AME__CU_ASSERT = 710,
    AME__CU_HARDWARE_STACK_ERROR = 714,
    AME__CU_LAUNCH_FAILED = 719,

    AME__CU_ATTRIBUTE_MULTIPROCESSORS = 16,
    AME__CU_ATTRIBUTE_COMPUTE_MODE = 20,
    AME__CU_ATTRIBUTE_MAJOR = 75,
    AME__CU_ATTRIBUTE_MINOR = 76,
    AME__CU_COMPUTEMODE_PROHIBITED = 2,

    AME__CU_POINTER_MEMORY_TYPE = 2,
    AME__CU_POINTER_IS_MANAGED = 8,
    AME__CU_MEMORYTYPE_DEVICE = 2,

    AME__CU_STREAM_NON_BLOCKING = 1,
    AME__CU_EVENT_BLOCKING_SYNC = 1,
    AME__CU_EVENT_DISABLE_TIMING = 2,
    AME__CU_HOSTALLOC_PORTABLE = 1,
    AME__CU_JIT_ERROR_LOG_BUFFER = 5,
    AME__CU_JIT_ERROR_LOG_BUFFER_SIZE = 6
};

/* Loads the driver and calls cuInit, the first time; NULL if that is not possible, then *why (of static duration) says
 * why. Loading asks no device for anything and makes no context. */
const struct ame__cuda *ame__cuda_load(const char **why);
/* "CUDA_ERROR_OUT_OF_MEMORY (2, out of memory)". */
void ame__cuda_describe(ame__cu_result result, char *text, size_t size);

#endif
