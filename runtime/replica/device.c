/* device.c - replicas on this process's GPU.
 *
 * States stay in device memory, one allocation each. For a launch there are three arrays in device memory: the ame_replica
 * structs with device pointers, the parameters, and the results, which are cleared before and copied back after. blockIdx.y is
 * the replica; more than a grid can have in y go in several launches.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "replica/replica.h"

enum { GRID_Y_MAX = 65535 };

int ame__device_open(ame_replicas *set)
{
    struct ame__device *device = &set->device;
    int code = ame_gpu_module_load(set->kind.image, set->kind.image_size, &device->module);
    if (!code) code = ame_gpu_kernel_get(device->module, set->kind.kernel, &device->kernel);
    if (!code && set->kind.summary) code = ame_gpu_kernel_get(device->module, set->kind.summary, &device->summary);
    if (code && device->module) ame_gpu_module_unload(&device->module);
    return code;
}

static void free_buffers(struct ame__device *device)
{
    ame_gpu_free(device->replicas);
    ame_gpu_free(device->parameters);
    ame_gpu_free(device->results);
    device->replicas = device->parameters = device->results = NULL;
    device->room = 0;
}

void ame__device_close(ame_replicas *set)
{
    if (!set->device.module) return;
    free_buffers(&set->device);
    ame_gpu_module_unload(&set->device.module);
}

static int make_room(ame_replicas *set, size_t count)
{
    struct ame__device *device = &set->device;
    if (count <= device->room) return AME_OK;
    free_buffers(device);
    int code = ame_gpu_malloc(count * sizeof(ame_replica), &device->replicas);
    if (!code) code = ame_gpu_malloc(count * set->parameters_stride, &device->parameters);
    if (!code) code = ame_gpu_malloc(count * set->result_stride, &device->results);
    if (code)
        free_buffers(device);
    else
        device->room = count;
    return code;
}

/* Gives `count` replicas, from number `first` on, to the stream of the library. */
static int launch(ame_replicas *set, size_t first, unsigned count)
{
    const ame_replica_kind *kind = &set->kind;
    void *replicas = (ame_replica *) set->device.replicas + first;
    void *arguments[] = {&replicas, &count};
    unsigned threads = kind->threads ? kind->threads : 128, lanes = kind->lanes ? kind->lanes : 1;
    const ame_gpu_grid grid = {
        .blocks = {(lanes + threads - 1) / threads, count, 1}, .threads = {threads, 1, 1}, .shared = kind->shared};
    int code = ame_gpu_launch(set->device.kernel, &grid, arguments, NULL);
    if (code || !kind->summary) return code;
    const ame_gpu_grid second = {.blocks = {1, count, 1}, .threads = {kind->summary_threads, 1, 1}};
    return ame_gpu_launch(set->device.summary, &second, arguments, NULL);
}

/* The structs for the device: pointers to parameters and results there. */
static int upload(ame_replicas *set, const ame_replica *replicas, size_t count)
{
    struct ame__device *device = &set->device;
    ame_replica *copies = malloc(count * sizeof *copies);
    unsigned char *parameters = malloc(count * set->parameters_stride);
    int code = copies && parameters ? AME_OK : ame__fail(AME_E_NOMEM, "out of memory for %zu replicas", count);
    for (size_t i = 0; !code && i < count; i++) {
        copies[i] = replicas[i];
        copies[i].parameters = (char *) device->parameters + i * set->parameters_stride;
        copies[i].result = (char *) device->results + i * set->result_stride;
        memcpy(parameters + i * set->parameters_stride, replicas[i].parameters, set->parameters_stride);
    }
    if (!code) code = ame_gpu_copy(device->parameters, parameters, count * set->parameters_stride, NULL);
    if (!code) code = ame_gpu_copy(device->replicas, copies, count * sizeof *copies, NULL);
    if (!code) code = ame_gpu_fill(device->results, 0, count * set->result_stride, NULL);
    free(parameters);
    free(copies);
    return code;
}

int ame__device_run(ame_replicas *set, ame_replica *replicas, size_t count)
{
    int code = make_room(set, count);
    if (!code) code = upload(set, replicas, count);
    for (size_t first = 0; !code && first < count; first += GRID_Y_MAX)
        code = launch(set, first, (unsigned) (count - first < GRID_Y_MAX ? count - first : GRID_Y_MAX));
    if (!code) code = ame_gpu_synchronize(NULL);
    unsigned char *results = code ? NULL : malloc(count * set->result_stride);
    if (!code && !results) code = ame__fail(AME_E_NOMEM, "out of memory for %zu results", count);
    if (!code) code = ame_gpu_copy(results, set->device.results, count * set->result_stride, NULL);
    for (size_t i = 0; !code && i < count; i++)
        memcpy(replicas[i].result, results + i * set->result_stride, set->kind.result_size);
    free(results);
    return code;
}
