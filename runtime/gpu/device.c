/* device.c - finds, chooses and binds the device of this process. See device.h. */
#include "device.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

enum state { UNTOUCHED, NONE, BOUND, CLOSED };

/* File scope because a process has one device, as the public interface says. Everything but `lost` is written under the
 * lock, and only before `ame__gpu_bound`. */
static struct {
    pthread_mutex_t lock;
    enum state state;
    const struct ame__cuda *cuda;
    ame_gpu_device device;
    ame__cu_context context;
    ame__cu_device handle;
    ame__cu_stream stream;
    char why[AME__GPU_WHY_MAX];
    atomic_bool lost;
    char lost_text[AME__ERROR_TEXT_MAX];
} gpu = {.lock = PTHREAD_MUTEX_INITIALIZER};

atomic_bool ame__gpu_bound;
void (*ame__gpu_on_close)(const struct ame__cuda *cuda);

/* ---- what is wanted ------------------------------------------------------------------------------ */

int ame__gpu_wish(struct ame__gpu_wish *wish)
{
    static const char *const words[] = {"auto", "off", "require", "exclusive"};
    const char *text = ame__var_text(AME__VAR_GPU);
    memset(wish, 0, sizeof *wish);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i])) continue;
        wish->kind = (enum ame__gpu_wish_kind) i;
        return AME_OK;
    }
    char *end;
    long ordinal = strtol(text, &end, 10);
    if (isdigit((unsigned char) *text) && !*end && ordinal < AME__GPU_DEVICES_MAX) {
        wish->kind = AME__GPU_ORDINAL;
        wish->ordinal = (int) ordinal;
        return AME_OK;
    }
    if ((!strncasecmp(text, "GPU-", 4) || !strncasecmp(text, "MIG-", 4)) && strlen(text) < sizeof wish->uuid) {
        wish->kind = AME__GPU_UUID;
        strcpy(wish->uuid, text);
        return AME_OK;
    }
    return ame__fail(AME_E_CONFIG,
                     "AME_GPU='%s': must be auto, off, require, exclusive, the number of a device, or a UUID "
                     "(GPU-..., MIG-...)",
                     text);
}

int ame__gpu_local_rank(void)
{
    static const char *const names[] = {"AME_LOCAL_RANK",    "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "MPI_LOCALRANKID",   "MV2_COMM_WORLD_LOCAL_RANK",
                                        "SLURM_LOCALID",     "LOCAL_RANK",
                                        "PALS_LOCAL_RANKID", "JSM_NAMESPACE_LOCAL_RANK",
                                        "FLUX_TASK_LOCAL_ID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        char *end;
        if (!text || !isdigit((unsigned char) *text)) continue;
        long value = strtol(text, &end, 10);
        if (!*end && value < 1 << 24) return (int) value;
    }
    return 0;
}

/* ---- what is there ------------------------------------------------------------------------------- */

static int numa_node(const char *pci)
{
    char path[96];
    int node = -1;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", pci);
    for (char *c = path; *c; c++) *c = (char) tolower((unsigned char) *c);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    if (fscanf(file, "%d", &node) != 1) node = -1; /* NOLINT(cert-err34-c): the kernel's own number */
    fclose(file);
    return node;
}

static void format_uuid(const unsigned char *bytes, bool mig, char *text, size_t size)
{
    static const int lengths[] = {4, 2, 2, 2, 6};
    size_t used = (size_t) snprintf(text, size, "%s", mig ? "MIG" : "GPU");
    for (int group = 0; group < 5; group++) {
        used += (size_t) snprintf(text + used, size - used, "-");
        for (int i = 0; i < lengths[group]; i++) used += (size_t) snprintf(text + used, size - used, "%02x", *bytes++);
    }
}

static ame__cu_result describe(const struct ame__cuda *cuda, int ordinal, struct ame__gpu_listed *listed)
{
    ame_gpu_device *device = &listed->device;
    unsigned char uuid[16] = {0};
    int major = 0, minor = 0, mode = 0;
    size_t memory = 0;
    ame__cu_device handle;
    ame__cu_result result = cuda->device_get(&handle, ordinal);
    if (!result) result = cuda->device_name(device->name, sizeof device->name, handle);
    if (!result) result = cuda->device_uuid((struct CUuuid_st *) (void *) uuid, handle);
    if (!result) result = cuda->device_pci(device->pci, sizeof device->pci, handle);
    if (!result) result = cuda->device_memory(&memory, handle);
    if (!result) result = cuda->device_attribute(&major, AME__CU_ATTRIBUTE_MAJOR, handle);
    if (!result) result = cuda->device_attribute(&minor, AME__CU_ATTRIBUTE_MINOR, handle);
    if (!result) result = cuda->device_attribute(&mode, AME__CU_ATTRIBUTE_COMPUTE_MODE, handle);
    if (!result) result = cuda->device_attribute(&device->multiprocessors, AME__CU_ATTRIBUTE_MULTIPROCESSORS, handle);
    if (result) return result;
    device->name[sizeof device->name - 1] = '\0';
    device->pci[sizeof device->pci - 1] = '\0';
    format_uuid(uuid, strstr(device->name, " MIG ") != NULL, device->uuid, sizeof device->uuid);
    device->ordinal = ordinal;
    device->numa = numa_node(device->pci);
    device->architecture = 10 * major + minor;
    device->sharing = 1;
    device->memory = memory;
    listed->prohibited = mode == AME__CU_COMPUTEMODE_PROHIBITED;
    return AME__CU_SUCCESS;
}

int ame__gpu_list(struct ame__gpu_listed *list, char *why)
{
    const char *reason = "";
    char text[200];
    int visible = 0, count = 0;
    const struct ame__cuda *cuda = ame__cuda_load(&reason);
    if (!cuda) {
        snprintf(why, AME__GPU_WHY_MAX, "%s", reason);
        return 0;
    }
    ame__cu_result result = cuda->device_count(&visible);
    if (!result && visible == 0) snprintf(why, AME__GPU_WHY_MAX, "the CUDA driver shows this process no device");
    if (visible > AME__GPU_DEVICES_MAX) visible = AME__GPU_DEVICES_MAX;
    memset(list, 0, AME__GPU_DEVICES_MAX * sizeof *list);
    for (int ordinal = 0; ordinal < visible && !result; ordinal++) {
        result = describe(cuda, ordinal, &list[count]);
        list[count].device.visible = visible;
        if (!result) count++;
    }
    if (result == AME__CU_SUCCESS) return count;
    ame__cuda_describe(result, text, sizeof text);
    snprintf(why, AME__GPU_WHY_MAX, "the devices cannot be listed: %s", text);
    return 0;
}

bool ame__gpu_named(const ame_gpu_device *device, const char *uuid)
{
    return !strncasecmp(device->uuid, uuid, strlen(uuid));
}

static int choose_uuid(const char *uuid, const struct ame__gpu_listed *list, int count, char *why)
{
    int found = -1;
    for (int i = 0; i < count; i++) {
        if (!ame__gpu_named(&list[i].device, uuid)) continue;
        if (found >= 0) {
            snprintf(why, AME__GPU_WHY_MAX, "AME_GPU=%s: both device %d and device %d begin like that", uuid, found, i);
            return -1;
        }
        found = i;
    }
    if (found < 0)
        snprintf(why, AME__GPU_WHY_MAX, "AME_GPU=%s: none of the %d visible devices has this UUID", uuid, count);
    return found;
}

int ame__gpu_choose(const struct ame__gpu_wish *wish, const struct ame__gpu_listed *list, int count, int local,
                    char *why)
{
    int found = -1, open = 0, place = 0;
    if (wish->kind == AME__GPU_UUID) {
        found = choose_uuid(wish->uuid, list, count, why);
    } else if (wish->kind == AME__GPU_ORDINAL) {
        if (wish->ordinal < count)
            found = wish->ordinal;
        else
            snprintf(why, AME__GPU_WHY_MAX, "AME_GPU=%d: no such device; this process sees %d", wish->ordinal, count);
    } else {
        for (int i = 0; i < count; i++) open += !list[i].prohibited;
        for (int i = 0; i < count && open; i++)
            if (!list[i].prohibited && place++ == local % open) found = i;
        if (!open) snprintf(why, AME__GPU_WHY_MAX, "the compute mode of all %d visible devices is 'prohibited'", count);
    }
    return found;
}

/* ---- binding ------------------------------------------------------------------------------------- */

void ame__gpu_who(char *text, size_t size)
{
    char host[256] = "";
    int rank = ame__log_rank();
    if (rank < 0)
        rank = ame__var_text(AME__VAR_RANK) ? atoi(ame__var_text(AME__VAR_RANK)) : 0; /* NOLINT(cert-err34-c) */
    gethostname(host, sizeof host - 1);
    snprintf(text, size, "rank %d on host %s", rank, host);
}

static void refuse(const char *why)
{
    gpu.state = NONE;
    snprintf(gpu.why, sizeof gpu.why, "%s", why);
    ame__log(gpu, INFO, "no GPU: %s", why);
}

static const char *hint(ame__cu_result result)
{
    switch (result) {
    case AME__CU_DEVICE_UNAVAILABLE:
        return "; another process has it for itself (compute mode exclusive-process): use another device, or MPS";
    case AME__CU_NO_BINARY_FOR_GPU:
        return "; the image has no code for this architecture: build with -Dgpu_arch=..., or compute on the CPU";
    case AME__CU_UNSUPPORTED_PTX_VERSION:
        return "; the image has PTX only, newer than this driver: update the driver, or build with -Dgpu_arch=...";
    default: return "";
    }
}

static void pop(const struct ame__cuda *cuda)
{
    ame__cu_context popped;
    (void) cuda->context_pop(&popped);
}

/* With the lock. */
static int take(const ame_gpu_device *device)
{
    const char *reason = "";
    char what[200], why[AME__GPU_WHY_MAX];
    const struct ame__cuda *cuda = ame__cuda_load(&reason);
    if (!cuda) {
        refuse(reason);
        return AME_E_GPU;
    }
    ame__cu_result result = cuda->device_get(&gpu.handle, device->ordinal);
    if (!result) result = cuda->context_retain(&gpu.context, gpu.handle);
    bool retained = !result;
    if (!result) result = cuda->context_push(gpu.context);
    if (!result) {
        result = cuda->stream_create(&gpu.stream, AME__CU_STREAM_NON_BLOCKING);
        pop(cuda);
    }
    if (result) {
        if (retained) (void) cuda->context_release(gpu.handle);
        ame__cuda_describe(result, what, sizeof what);
        snprintf(why, sizeof why, "device %d (%s, %s) gives no context: %s%s", device->ordinal, device->name,
                 device->uuid, what, hint(result));
        refuse(why);
        return AME_E_GPU;
    }
    gpu.cuda = cuda;
    gpu.device = *device;
    gpu.state = BOUND;
    atomic_store(&ame__gpu_bound, true);
    ame__log(gpu, INFO, "bound to device %d, %s, %s, %s", device->ordinal, device->name, device->uuid, device->pci);
    return AME_OK;
}

/* Without ame_gpu_bind: by this process's own place. With the lock. */
static void decide(void)
{
    struct ame__gpu_wish wish;
    char why[AME__GPU_WHY_MAX];
    if (gpu.state != UNTOUCHED) return;
    if (ame__gpu_wish(&wish)) {
        refuse(ame__error_text());
        return;
    }
    if (wish.kind == AME__GPU_OFF) {
        refuse("AME_GPU=off");
        return;
    }
    struct ame__gpu_listed *list = calloc(AME__GPU_DEVICES_MAX, sizeof *list);
    int count = list ? ame__gpu_list(list, why) : 0, chosen = -1;
    if (!list) snprintf(why, sizeof why, "out of memory");
    if (count) chosen = ame__gpu_choose(&wish, list, count, ame__gpu_local_rank(), why);
    if (chosen < 0)
        refuse(why);
    else
        (void) take(&list[chosen].device);
    free(list);
}

bool ame__gpu_untouched(void)
{
    pthread_mutex_lock(&gpu.lock);
    bool untouched = gpu.state == UNTOUCHED;
    pthread_mutex_unlock(&gpu.lock);
    return untouched;
}

int ame__gpu_take(const ame_gpu_device *device)
{
    pthread_mutex_lock(&gpu.lock);
    int code = take(device);
    pthread_mutex_unlock(&gpu.lock);
    return code;
}

void ame__gpu_refuse(const char *why)
{
    pthread_mutex_lock(&gpu.lock);
    refuse(why);
    pthread_mutex_unlock(&gpu.lock);
}

void ame__gpu_set_sharing(int sharing)
{
    pthread_mutex_lock(&gpu.lock);
    if (sharing > 0) gpu.device.sharing = sharing;
    pthread_mutex_unlock(&gpu.lock);
}

/* ---- calls --------------------------------------------------------------------------------------- */

static bool is_sticky(ame__cu_result result)
{
    return result == AME__CU_ECC_UNCORRECTABLE || result == AME__CU_NVLINK_UNCORRECTABLE ||
           result == AME__CU_ILLEGAL_ADDRESS || result == AME__CU_LAUNCH_TIMEOUT ||
           result == AME__CU_CONTEXT_IS_DESTROYED || result == AME__CU_ASSERT ||
           (result >= AME__CU_HARDWARE_STACK_ERROR && result <= AME__CU_LAUNCH_FAILED);
}

int ame__gpu_enter(const char *function, const struct ame__cuda **cuda)
{
    char who[300], what[200];
    if (!atomic_load_explicit(&ame__gpu_bound, memory_order_acquire)) {
        pthread_mutex_lock(&gpu.lock);
        decide();
        bool bound = gpu.state == BOUND;
        pthread_mutex_unlock(&gpu.lock);
        if (!bound) {
            ame__gpu_who(who, sizeof who);
            return ame__fail(AME_E_GPU, "%s: %s has no GPU: %s", function, who, gpu.why);
        }
    }
    if (atomic_load_explicit(&gpu.lost, memory_order_acquire))
        return ame__fail(AME_E_GPU_LOST, "%s: the GPU is lost for this process since: %.800s", function, gpu.lost_text);
    ame__cu_result result = gpu.cuda->context_push(gpu.context);
    *cuda = gpu.cuda;
    if (result == AME__CU_SUCCESS) return AME_OK;
    ame__cuda_describe(result, what, sizeof what);
    ame__gpu_who(who, sizeof who);
    return ame__fail(AME_E_GPU, "%s: %s: the context of device %d cannot be made current: %s", function, who,
                     gpu.device.ordinal, what);
}

static int word(ame__cu_result result, const char *function, const char *done)
{
    char who[300], what[200], memory[80] = "";
    size_t free_bytes = 0, total = 0;
    ame__cuda_describe(result, what, sizeof what);
    ame__gpu_who(who, sizeof who);
    if (result == AME__CU_OUT_OF_MEMORY && !gpu.cuda->memory_info(&free_bytes, &total))
        snprintf(memory, sizeof memory, "; %zu MiB of %zu are free", free_bytes >> 20, total >> 20);
    int code = is_sticky(result) ? AME_E_GPU_LOST : result == AME__CU_OUT_OF_MEMORY ? AME_E_NOMEM : AME_E_GPU;
    return ame__fail(code, "%s: %s, device %d (%s, %s): %s: %s%s%s", function, who, gpu.device.ordinal, gpu.device.name,
                     gpu.device.uuid, done, what, memory, hint(result));
}

int ame__gpu_leave(ame__cu_result result, const char *function, const char *format, ...)
{
    int code = AME_OK;
    if (result) {
        char done[300];
        va_list args;
        va_start(args, format);
        vsnprintf(done, sizeof done, format, args);
        va_end(args);
        code = word(result, function, done);
        pthread_mutex_lock(&gpu.lock);
        if (code == AME_E_GPU_LOST && !atomic_load(&gpu.lost)) {
            snprintf(gpu.lost_text, sizeof gpu.lost_text, "%s", ame__error_text());
            atomic_store_explicit(&gpu.lost, true, memory_order_release);
            ame__log(gpu, WARN, "%s", gpu.lost_text);
        }
        pthread_mutex_unlock(&gpu.lock);
    }
    pop(gpu.cuda);
    return code;
}

ame__cu_result ame__gpu_drain(const struct ame__cuda *cuda, ame__cu_stream stream)
{
    ame__cu_event event;
    ame__cu_result result = cuda->event_create(&event, AME__CU_EVENT_BLOCKING_SYNC | AME__CU_EVENT_DISABLE_TIMING);
    if (result) return result;
    result = cuda->event_record(event, stream);
    if (!result) result = cuda->event_synchronize(event);
    (void) cuda->event_destroy(event);
    return result;
}

ame__cu_stream ame__gpu_stream(const ame_gpu_stream *stream)
{
    return stream ? (ame__cu_stream) (uintptr_t) stream : gpu.stream;
}

/* ---- public -------------------------------------------------------------------------------------- */

int ame_gpu_usable(void)
{
    if (atomic_load_explicit(&gpu.lost, memory_order_acquire)) return 0;
    if (atomic_load_explicit(&ame__gpu_bound, memory_order_acquire)) return 1;
    pthread_mutex_lock(&gpu.lock);
    decide();
    int usable = gpu.state == BOUND;
    pthread_mutex_unlock(&gpu.lock);
    return usable;
}

const char *ame_gpu_why(void)
{
    if (ame_gpu_usable()) return "";
    return atomic_load_explicit(&gpu.lost, memory_order_acquire) ? gpu.lost_text : gpu.why;
}

int ame_gpu_get(ame_gpu_device *device)
{
    static const char function[] = "ame_gpu_get";
    const struct ame__cuda *cuda;
    if (!device) return ame__fail(AME_E_ARG, "%s: argument 'device' is NULL", function);
    int code = ame__gpu_enter(function, &cuda);
    if (code) return code;
    pthread_mutex_lock(&gpu.lock);
    *device = gpu.device;
    pthread_mutex_unlock(&gpu.lock);
    return ame__gpu_leave(AME__CU_SUCCESS, function, " ");
}

int ame_gpu_lost(void)
{
    return atomic_load_explicit(&gpu.lost, memory_order_acquire);
}

void ame_gpu_close(void)
{
    pthread_mutex_lock(&gpu.lock);
    bool bound = gpu.state == BOUND;
    atomic_store(&ame__gpu_bound, false);
    gpu.state = CLOSED;
    snprintf(gpu.why, sizeof gpu.why, "ame_gpu_close has been called");
    if (bound && !gpu.cuda->context_push(gpu.context)) {
        if (ame__gpu_on_close) ame__gpu_on_close(gpu.cuda);
        (void) gpu.cuda->stream_destroy(gpu.stream);
        pop(gpu.cuda);
    }
    if (bound) (void) gpu.cuda->context_release(gpu.handle);
    pthread_mutex_unlock(&gpu.lock);
}
