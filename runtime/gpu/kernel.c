/* kernel.c - images, kernels, streams and events of the public interface.
 *
 * The handles are the driver's own under another name, so nothing has to be looked up or freed here.
 */
#include "device.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

static int missing(const char *function, const char *argument)
{
    return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, argument);
}

/* ---- images -------------------------------------------------------------------------------------- */

/* What stands in place of an image where there was no nvcc; as in runtime/gpu/embed. */
static const char no_kernels[] = "built without GPU kernels";

int ame_gpu_module_load(const void *image, size_t size, ame_gpu_module **module)
{
    static const char function[] = "ame_gpu_module_load";
    const struct ame__cuda *cuda;
    char log[400] = "";
    unsigned options[] = {AME__CU_JIT_ERROR_LOG_BUFFER, AME__CU_JIT_ERROR_LOG_BUFFER_SIZE};
    void *values[] = {log, (void *) (uintptr_t) sizeof log}; /* NOLINT(performance-no-int-to-ptr): the driver's way */
    ame__cu_module loaded = NULL;
    if (!image || !size) return missing(function, "image");
    bool none = size == strlen(no_kernels) && !memcmp(image, no_kernels, size);
    if (!module) return missing(function, "module");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    ame__cu_result result = cuda->module_load(&loaded, image, 2, options, values);
    log[sizeof log - 1] = '\0';
    for (char *c = log; *c; c++)
        if (*c == '\n') *c = ' ';
    code = none ? ame__gpu_leave(result, function, "this program was built without GPU kernels (see -Dgpu_kernels)")
                : ame__gpu_leave(result, function, "the image of %zu bytes%s%s", size, *log ? ": " : "", log);
    if (!code) *module = (ame_gpu_module *) (void *) loaded;
    return code;
}

int ame_gpu_module_unload(ame_gpu_module **module)
{
    static const char function[] = "ame_gpu_module_unload";
    const struct ame__cuda *cuda;
    if (!module) return missing(function, "module");
    if (!*module) return AME_OK;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->module_unload((ame__cu_module) (void *) *module), function, "unloading an image");
    *module = NULL;
    return code;
}

int ame_gpu_kernel_get(ame_gpu_module *module, const char *name, ame_gpu_kernel **kernel)
{
    static const char function[] = "ame_gpu_kernel_get";
    const struct ame__cuda *cuda;
    ame__cu_function found = NULL;
    if (!module || !name || !kernel) return missing(function, !module ? "module" : !name ? "name" : "kernel");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->module_function(&found, (ame__cu_module) (void *) module, name), function,
                          "kernel '%s'", name);
    if (!code) *kernel = (ame_gpu_kernel *) (void *) found;
    return code;
}

/* ---- launching ----------------------------------------------------------------------------------- */

int ame_gpu_occupancy(ame_gpu_kernel *kernel, size_t shared, int *threads, int *blocks)
{
    static const char function[] = "ame_gpu_occupancy";
    const struct ame__cuda *cuda;
    int per_grid = 0, size, fit = 0;
    if (!kernel || !threads || !blocks) return missing(function, !kernel ? "kernel" : !threads ? "threads" : "blocks");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    ame__cu_function of = (ame__cu_function) (void *) kernel;
    ame__cu_result result = AME__CU_SUCCESS;
    size = *threads;
    if (!size) result = cuda->block_size(&per_grid, &size, of, NULL, shared, 0);
    if (!result) result = cuda->blocks_per_mp(&fit, of, size, shared);
    code = ame__gpu_leave(result, function, "occupancy with %d threads a block", size);
    if (code) return code;
    *threads = size;
    *blocks = fit;
    return AME_OK;
}

static unsigned at_least_one(unsigned number)
{
    return number ? number : 1;
}

int ame_gpu_launch(ame_gpu_kernel *kernel, const ame_gpu_grid *grid, void *arguments[], ame_gpu_stream *stream)
{
    static const char function[] = "ame_gpu_launch";
    const struct ame__cuda *cuda;
    if (!kernel || !grid) return missing(function, kernel ? "grid" : "kernel");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    const unsigned *blocks = grid->blocks, *threads = grid->threads;
    ame__cu_result result =
        cuda->launch((ame__cu_function) (void *) kernel, at_least_one(blocks[0]), at_least_one(blocks[1]),
                     at_least_one(blocks[2]), at_least_one(threads[0]), at_least_one(threads[1]),
                     at_least_one(threads[2]), grid->shared, ame__gpu_stream(stream), arguments, NULL);
    return ame__gpu_leave(result, function, "launching %u x %u x %u blocks of %u x %u x %u threads", blocks[0],
                          blocks[1], blocks[2], threads[0], threads[1], threads[2]);
}

/* ---- streams ------------------------------------------------------------------------------------- */

int ame_gpu_stream_create(ame_gpu_stream **stream)
{
    static const char function[] = "ame_gpu_stream_create";
    const struct ame__cuda *cuda;
    ame__cu_stream made = NULL;
    if (!stream) return missing(function, "stream");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->stream_create(&made, AME__CU_STREAM_NON_BLOCKING), function, "making a stream");
    if (!code) *stream = (ame_gpu_stream *) (void *) made;
    return code;
}

int ame_gpu_stream_destroy(ame_gpu_stream **stream)
{
    static const char function[] = "ame_gpu_stream_destroy";
    const struct ame__cuda *cuda;
    if (!stream) return missing(function, "stream");
    if (!*stream) return AME_OK;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    ame__cu_result result = ame__gpu_drain(cuda, ame__gpu_stream(*stream));
    ame__cu_result freed = cuda->stream_destroy(ame__gpu_stream(*stream));
    *stream = NULL;
    return ame__gpu_leave(result ? result : freed, function, "the end of a stream");
}

int ame_gpu_synchronize(ame_gpu_stream *stream)
{
    static const char function[] = "ame_gpu_synchronize";
    const struct ame__cuda *cuda;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    return ame__gpu_leave(ame__gpu_drain(cuda, ame__gpu_stream(stream)), function, "waiting for a stream");
}

int ame_gpu_query(ame_gpu_stream *stream, int *done)
{
    static const char function[] = "ame_gpu_query";
    const struct ame__cuda *cuda;
    if (!done) return missing(function, "done");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    ame__cu_result result = cuda->stream_query(ame__gpu_stream(stream));
    code = ame__gpu_leave(result == AME__CU_NOT_READY ? AME__CU_SUCCESS : result, function, "asking a stream");
    if (!code) *done = result == AME__CU_SUCCESS;
    return code;
}

/* ---- events -------------------------------------------------------------------------------------- */

int ame_gpu_event_create(ame_gpu_event **event)
{
    static const char function[] = "ame_gpu_event_create";
    const struct ame__cuda *cuda;
    ame__cu_event made = NULL;
    if (!event) return missing(function, "event");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->event_create(&made, AME__CU_EVENT_BLOCKING_SYNC), function, "making an event");
    if (!code) *event = (ame_gpu_event *) (void *) made;
    return code;
}

int ame_gpu_event_destroy(ame_gpu_event **event)
{
    static const char function[] = "ame_gpu_event_destroy";
    const struct ame__cuda *cuda;
    if (!event) return missing(function, "event");
    if (!*event) return AME_OK;
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code = ame__gpu_leave(cuda->event_destroy((ame__cu_event) (void *) *event), function, "freeing an event");
    *event = NULL;
    return code;
}

int ame_gpu_event_record(ame_gpu_event *event, ame_gpu_stream *stream)
{
    static const char function[] = "ame_gpu_event_record";
    const struct ame__cuda *cuda;
    if (!event) return missing(function, "event");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    return ame__gpu_leave(cuda->event_record((ame__cu_event) (void *) event, ame__gpu_stream(stream)), function,
                          "recording an event");
}

int ame_gpu_event_elapsed(ame_gpu_event *from, ame_gpu_event *to, double *seconds)
{
    static const char function[] = "ame_gpu_event_elapsed";
    const struct ame__cuda *cuda;
    float milliseconds = 0;
    if (!from || !to || !seconds) return missing(function, !from ? "from" : !to ? "to" : "seconds");
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    code =
        ame__gpu_leave(cuda->event_elapsed(&milliseconds, (ame__cu_event) (void *) from, (ame__cu_event) (void *) to),
                       function, "the time between two events");
    if (!code) *seconds = milliseconds * 1e-3;
    return code;
}
