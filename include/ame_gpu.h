/* ame_gpu.h - GPUs for the ranks of a job: which device a rank has, its memory, kernels, streams.
 *
 * The CUDA driver is loaded when it is first needed (libcuda.so.1, or AME_CUDA_LIB), and nothing of CUDA is linked: one
 * binary runs on machines with and without a GPU. Kernels are compiled by nvcc to an image (a fatbin) that is embedded in
 * the program; they are launched here by name. What this costs where there is no GPU is one failed dlopen.
 *
 *     ame_init();
 *     ame_gpu_bind(AME_COMM_WORLD, works, stderr);       every rank; rank 0 prints who has which device
 *     if (ame_gpu_usable()) {
 *         ame_gpu_module_load(image, size, &module);
 *         ame_gpu_kernel_get(module, "my_kernel", &kernel);
 *         ame_gpu_malloc(bytes, &memory);
 *         void *arguments[] = {&memory, &count};
 *         ame_gpu_launch(kernel, &(ame_gpu_grid){.blocks = {64, 1, 1}, .threads = {128, 1, 1}}, arguments, NULL);
 *         ame_gpu_synchronize(NULL);
 *         ame_send(memory, bytes, 0, tag, AME_COMM_WORLD);   device memory may be given to sends and receives
 *     } else {
 *         fprintf(stderr, "CPU: %s\n", ame_gpu_why());
 *     }
 *
 * Which device. A process has at most one, its own, and never makes a context on another. ame_gpu_bind shares them out
 * among the ranks of a host by their identities (UUIDs), whatever CUDA_VISIBLE_DEVICES says. A process that uses the other
 * functions without it gets the device of its place among the ranks of its host. AME_GPU says what is wanted:
 *     auto        a device if there is one; else the CPU, and ame_gpu_why() says why
 *     off         no device; libcuda is not even loaded
 *     require     a device, or ame_gpu_bind fails (on all ranks)
 *     exclusive   the same, and no two ranks share one
 *     <ordinal>   this one of the visible devices, or it fails
 *     <uuid>      this one (GPU-... or MIG-..., the beginning is enough), or it fails
 * The context is the device's primary one, which programs with CUDA's runtime library (cudaMalloc, <<<>>>) use too.
 *
 * Streams. ame_gpu_stream NULL stands for the stream of this library, which does not wait for CUDA's default stream, nor
 * the other way round. What is given to one stream runs in order.
 *
 * Messages. ame_send and ame_recv in all their forms, ame_bcast, gather, scatter, allgather, alltoall, reduce, allreduce,
 * scan and their v and non-blocking forms take device pointers as buffers once this process has a device. Lengths, counts
 * and displacements stay in host memory. The data of a buffer to be sent must be complete when the call is made
 * (ame_gpu_synchronize, cudaStreamSynchronize); a receive has completed when the data is in device memory, so any stream
 * may use it then. While an operation is going on, its buffer must not be freed. Managed memory counts as host memory.
 *
 * Results are AME_OK or a negative code, as in ame.h:
 *     AME_E_GPU        no usable device, or the driver refused; the text names rank, host, device, call and cause
 *     AME_E_GPU_LOST   a kernel has gone wrong in a way after which the driver serves this process no more (errors 700, 719
 *                      and their like): all device memory is lost and each further call fails in the same way. End the
 *                      process; another one can use the device.
 *     AME_E_NOMEM      out of device memory; the text says how much is free
 * The functions may be called from any thread at any time, except ame_gpu_bind, which is a collective call.
 */
#ifndef AME_GPU_H
#define AME_GPU_H

#include <stdio.h>

#include <ame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the device ---------------------------------------------------------------------------------- */

typedef struct ame_gpu_device {
    char name[96];             /* "NVIDIA H100 80GB HBM3" */
    char uuid[48];             /* "GPU-8a4a2c7e-..."; of a MIG instance "MIG-..." */
    char pci[24];              /* "0000:3b:00.0" */
    int ordinal;               /* its number among the devices that this process sees */
    int visible;               /* how many these are */
    int numa;                  /* NUMA node; -1: not known, or there is one only */
    int architecture;          /* 90 for compute capability 9.0 */
    int multiprocessors;       /* their number */
    int sharing;               /* ranks of the job that use it, this one included (1 before ame_gpu_bind) */
    unsigned long long memory; /* bytes of device memory */
} ame_gpu_device;

/* Collective over `comm`: shares out the devices of each host among the ranks of `comm` on it that give a `works` other
 * than 0. If there are fewer devices than such ranks they share them in turn. A rank that does not work touches no GPU,
 * not even the driver. Rank 0 of `comm` prints the table (rank, host, device, UUID, PCI address, NUMA node, ranks that
 * share it, or why a rank computes on the CPU) to `table`, which matters there only; NULL: nowhere.
 * AME_OK also for the ranks that get none while AME_GPU is auto or off; see ame_gpu_usable. AME_E_GPU on all ranks, with the
 * first such rank in the text, if a rank that needs a device (see AME_GPU above) gets none. A process that has used a
 * device already keeps it. */
AME_API int ame_gpu_bind(ame_comm *comm, int works, FILE *table);
/* 1 if this process has a usable device (one is chosen now if none is yet), 0 if it is to use the CPU. */
AME_API int ame_gpu_usable(void);
/* Why ame_gpu_usable is 0, in one line; "" if it is 1. Valid until the process ends. */
AME_API const char *ame_gpu_why(void);
/* This process's device. AME_E_GPU, with the reason, if it has none. */
AME_API int ame_gpu_get(ame_gpu_device *device);
/* 1 after an error that the driver does not recover from in this process (AME_E_GPU_LOST), else 0. */
AME_API int ame_gpu_lost(void);
/* Frees streams and staging memory of this library and gives the context back. Nothing on the device may be used by this
 * process afterwards, and none of these functions gives it a device again. Not needed at the end of a process. */
AME_API void ame_gpu_close(void);

/* ---- memory -------------------------------------------------------------------------------------- */

/* Device memory of this process's device. Aligned to 256 bytes; `bytes` 0 gives NULL. */
AME_API int ame_gpu_malloc(size_t bytes, void **memory);
/* Frees what ame_gpu_malloc gave; NULL is nothing to free. Waits for what uses it. */
AME_API int ame_gpu_free(void *memory);
/* Host memory that is pinned: copies between it and the device are fast and run beside other work. */
AME_API int ame_gpu_malloc_host(size_t bytes, void **memory);
AME_API int ame_gpu_free_host(void *memory);
/* Bytes of device memory that are free, and in all. */
AME_API int ame_gpu_memory(unsigned long long *free_bytes, unsigned long long *total);
/* 1 if `pointer` is device memory that the CPU cannot read, else 0. Always 0 before this process has a device. */
AME_API int ame_gpu_is_device(const void *pointer);

typedef struct ame_gpu_stream ame_gpu_stream;
/* Copies between any two of device and host memory. Has completed when it returns if `stream` is NULL or one side is
 * host memory that is not pinned; else it has been given to the stream. */
AME_API int ame_gpu_copy(void *to, const void *from, size_t bytes, ame_gpu_stream *stream);
/* Sets device memory to the byte `value`, in the order of the stream. */
AME_API int ame_gpu_fill(void *memory, unsigned char value, size_t bytes, ame_gpu_stream *stream);

/* ---- kernels ------------------------------------------------------------------------------------- */

typedef struct ame_gpu_module ame_gpu_module;
typedef struct ame_gpu_kernel ame_gpu_kernel;

/* Loads a fatbin, cubin or PTX text (which ends with a 0 byte) of `size` bytes. An image without code for this device
 * (209), or with PTX that is too new for this driver (222), is AME_E_GPU: compute on the CPU then. */
AME_API int ame_gpu_module_load(const void *image, size_t size, ame_gpu_module **module);
/* Unloads it and sets *module to NULL; its kernels become invalid. */
AME_API int ame_gpu_module_unload(ame_gpu_module **module);
/* The kernel with this name (declared extern "C" in the .cu). Belongs to the module. */
AME_API int ame_gpu_kernel_get(ame_gpu_module *module, const char *name, ame_gpu_kernel **kernel);
/* How many threads per block, and how many such blocks per multiprocessor, fit best with `shared` bytes of dynamic shared
 * memory; `threads` 0 on entry: the library chooses, else it is taken as given. */
AME_API int ame_gpu_occupancy(ame_gpu_kernel *kernel, size_t shared, int *threads, int *blocks);

typedef struct ame_gpu_grid {
    unsigned blocks[3], threads[3]; /* 0 stands for 1 */
    unsigned shared;                /* bytes of dynamic shared memory */
} ame_gpu_grid;
/* Gives a kernel to the stream: arguments[i] points to the i-th argument. An error in the kernel is told by the call that
 * waits for it. */
AME_API int ame_gpu_launch(ame_gpu_kernel *kernel, const ame_gpu_grid *grid, void *arguments[], ame_gpu_stream *stream);

AME_API int ame_gpu_stream_create(ame_gpu_stream **stream);
/* Waits for what is in it, then frees it and sets *stream to NULL. */
AME_API int ame_gpu_stream_destroy(ame_gpu_stream **stream);
/* Waits for what the stream was given, asleep: it costs no processor time. */
AME_API int ame_gpu_synchronize(ame_gpu_stream *stream);
/* *done = 1 if all that the stream was given has completed, else 0. Does not wait. */
AME_API int ame_gpu_query(ame_gpu_stream *stream, int *done);

/* A point in a stream, to measure time on the device. */
typedef struct ame_gpu_event ame_gpu_event;
AME_API int ame_gpu_event_create(ame_gpu_event **event);
AME_API int ame_gpu_event_destroy(ame_gpu_event **event);
AME_API int ame_gpu_event_record(ame_gpu_event *event, ame_gpu_stream *stream);
/* Seconds between two points, both reached already (ame_gpu_synchronize); resolution about 0.5 us. */
AME_API int ame_gpu_event_elapsed(ame_gpu_event *from, ame_gpu_event *to, double *seconds);

#ifdef __cplusplus
}
#endif
#endif
