/* stage.c - see stage.h. */
#include "stage.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

enum { SLOTS_MOST = 256, BOUNCES = 4, BOUNCE_BYTES_MAX = 256 << 20, QUERIES = 200 /* before waiting asleep */ };

struct slot {
    unsigned char *memory;
    ame__cu_event event;
    bool used;
    bool copying; /* `event` has been recorded behind a copy and not been waited for */
};

struct ame__gpu_stage {
    unsigned char *device;
    void *whole; /* of a short send */
    struct slot *slots[2];
    unsigned turn;  /* which slot is next */
    size_t fetched; /* long send: end of what has been asked for from the device */
};

struct bounce {
    void *memory;
    size_t bytes;
    bool used;
};

/* File scope as the device is (device.c). The lock is for ame_gpu_close; all else has the engine's lock. */
static struct {
    pthread_mutex_t lock;
    bool ready;
    int limit; /* pinned slots there may be */
    size_t chunk;
    struct slot slots[SLOTS_MOST];
    int count;
    struct bounce bounces[BOUNCES];
    ame__cu_stream stream;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char words[] = "a message in device memory";

/* ---- the pool ------------------------------------------------------------------------------------ */

static void close_pool(const struct ame__cuda *cuda)
{
    pthread_mutex_lock(&pool.lock);
    for (int i = 0; i < pool.count; i++) {
        (void) cuda->event_destroy(pool.slots[i].event);
        (void) cuda->host_free(pool.slots[i].memory);
    }
    for (int i = 0; i < BOUNCES; i++)
        if (pool.bounces[i].memory) (void) cuda->host_free(pool.bounces[i].memory);
    if (pool.ready) (void) cuda->stream_destroy(pool.stream);
    memset(pool.slots, 0, sizeof pool.slots);
    memset(pool.bounces, 0, sizeof pool.bounces);
    pool.count = 0;
    pool.ready = false;
    pthread_mutex_unlock(&pool.lock);
}

/* With a pushed context. */
static ame__cu_result open_pool(const struct ame__cuda *cuda)
{
    double slots = 0;
    if (pool.ready) return AME__CU_SUCCESS;
    if (ame__var_number(AME__VAR_GPU_SLOTS, &slots) || ame__var_bytes(AME__VAR_GPU_CHUNK, &pool.chunk)) {
        ame__log(gpu, ERROR, "%s; the default is used", ame__error_text());
        slots = atof(ame__var_table[AME__VAR_GPU_SLOTS].default_text); /* NOLINT(cert-err34-c) */
        pool.chunk = AME__GPU_SLOT_BYTES / 2;
    }
    pool.limit = (int) slots;
    ame__cu_result result = cuda->stream_create(&pool.stream, AME__CU_STREAM_NON_BLOCKING);
    pool.ready = !result;
    ame__gpu_on_close = close_pool;
    return result;
}

static ame__cu_result make_event(const struct ame__cuda *cuda, struct slot *slot)
{
    return cuda->event_create(&slot->event, AME__CU_EVENT_BLOCKING_SYNC | AME__CU_EVENT_DISABLE_TIMING);
}

/* A slot of the pool, or NULL. */
static struct slot *take_pinned(const struct ame__cuda *cuda)
{
    for (int i = 0; i < pool.count; i++) {
        if (pool.slots[i].used) continue;
        pool.slots[i].used = true;
        return &pool.slots[i];
    }
    if (pool.count >= pool.limit) return NULL;
    struct slot *slot = &pool.slots[pool.count];
    void *memory;
    if (cuda->host_alloc(&memory, AME__GPU_SLOT_BYTES, AME__CU_HOSTALLOC_PORTABLE)) return NULL;
    if (make_event(cuda, slot)) {
        (void) cuda->host_free(memory);
        return NULL;
    }
    slot->memory = memory;
    slot->used = true;
    pool.count++;
    return slot;
}

static struct slot *take_slot(const struct ame__cuda *cuda)
{
    struct slot *slot = take_pinned(cuda);
    if (slot) return slot;
    slot = calloc(1, sizeof *slot);
    if (!slot) return NULL;
    slot->memory = malloc(AME__GPU_SLOT_BYTES);
    if (slot->memory && !make_event(cuda, slot)) return slot;
    free(slot->memory);
    free(slot);
    return NULL;
}

static void give_slot(const struct ame__cuda *cuda, struct slot *slot)
{
    if (!slot) return;
    if (slot >= pool.slots && slot < pool.slots + SLOTS_MOST) {
        slot->used = false;
        return;
    }
    if (cuda) (void) cuda->event_destroy(slot->event);
    free(slot->memory);
    free(slot);
}

/* ---- copies -------------------------------------------------------------------------------------- */

static ame__cu_pointer address(const void *pointer)
{
    return (ame__cu_pointer) (uintptr_t) pointer;
}

static ame__cu_result begin_copy(const struct ame__cuda *cuda, struct slot *slot, void *to, const void *from,
                                 size_t bytes)
{
    ame__cu_result result = cuda->copy(address(to), address(from), bytes, pool.stream);
    if (!result) result = cuda->event_record(slot->event, pool.stream);
    if (!result) slot->copying = true;
    return result;
}

/* First by asking, since it is nearly always done or about to be; asleep if not. */
static ame__cu_result wait_copy(const struct ame__cuda *cuda, struct slot *slot)
{
    ame__cu_result result = AME__CU_NOT_READY;
    if (!slot || !slot->copying) return AME__CU_SUCCESS;
    slot->copying = false;
    for (int i = 0; i < QUERIES && result == AME__CU_NOT_READY; i++) result = cuda->event_query(slot->event);
    return result == AME__CU_NOT_READY ? cuda->event_synchronize(slot->event) : result;
}

/* Both slots of a stage; false: out of memory. */
static bool take_slots(const struct ame__cuda *cuda, struct ame__gpu_stage *stage)
{
    for (int i = 0; i < 2; i++)
        if (!stage->slots[i] && !(stage->slots[i] = take_slot(cuda))) return false;
    return true;
}

static int no_memory(void)
{
    return ame__fail(AME_E_NOMEM, "out of memory for %s", words);
}

int ame__gpu_move(void *to, const void *from, size_t bytes)
{
    const struct ame__cuda *cuda;
    if (bytes == 0) return AME_OK;
    int code = ame__gpu_enter(words, &cuda);
    if (code) return code;
    ame__cu_result result = open_pool(cuda);
    if (!result) result = cuda->copy(address(to), address(from), bytes, pool.stream);
    if (!result) result = ame__gpu_drain(cuda, pool.stream);
    return ame__gpu_leave(result, words, "copying %zu bytes", bytes);
}

/* ---- sending ------------------------------------------------------------------------------------- */

/* A stage, with the pool ready. */
static int make_stage(const void *device, struct ame__gpu_stage **stage)
{
    const struct ame__cuda *cuda;
    int code = ame__gpu_enter(words, &cuda);
    if (!code) code = ame__gpu_leave(open_pool(cuda), words, "making a stream");
    if (code) return code;
    *stage = calloc(1, sizeof **stage);
    if (!*stage) return no_memory();
    (*stage)->device = (unsigned char *) (uintptr_t) device; /* of a send: is only read */
    return AME_OK;
}

/* Copies all of a short message to host memory. */
static int fetch_all(struct ame__gpu_stage *stage, size_t length, unsigned char **host)
{
    const struct ame__cuda *cuda;
    int code = ame__gpu_enter(words, &cuda);
    if (code) return code;
    struct slot *slot = length > AME__GPU_SLOT_BYTES ? NULL : take_pinned(cuda);
    ame__cu_result result = AME__CU_SUCCESS;
    stage->slots[0] = slot;
    if (!slot) stage->whole = malloc(length);
    unsigned char *to = slot ? slot->memory : stage->whole;
    if (slot) {
        result = begin_copy(cuda, slot, to, stage->device, length);
        if (!result) result = wait_copy(cuda, slot);
    } else if (to) {
        result = cuda->copy(address(to), address(stage->device), length, pool.stream);
        if (!result) result = ame__gpu_drain(cuda, pool.stream);
    }
    code = ame__gpu_leave(result, words, "copying %zu bytes from the device", length);
    if (!code && !to) code = no_memory();
    if (!code) *host = to;
    return code;
}

int ame__gpu_stage_send(const void *device, size_t length, size_t whole, struct ame__gpu_stage **stage,
                        unsigned char **host)
{
    struct ame__gpu_stage *made = NULL;
    int code = make_stage(device, &made);
    if (!code && length <= whole) code = fetch_all(made, length, host);
    if (code) {
        ame__gpu_stage_close(made);
        return code;
    }
    *stage = made;
    return AME_OK;
}

size_t ame__gpu_chunk(void)
{
    return pool.chunk ? pool.chunk : AME__GPU_SLOT_BYTES / 2;
}

static ame__cu_result fetch(const struct ame__cuda *cuda, struct ame__gpu_stage *stage, struct slot *slot,
                            size_t length)
{
    ame__cu_result result = begin_copy(cuda, slot, slot->memory, stage->device + stage->fetched, length);
    if (!result) stage->fetched += length;
    return result;
}

int ame__gpu_stage_part(struct ame__gpu_stage *stage, size_t offset, size_t length, size_t total,
                        const unsigned char **part)
{
    const struct ame__cuda *cuda;
    int code = ame__gpu_enter(words, &cuda);
    if (code) return code;
    bool memory = take_slots(cuda, stage);
    struct slot *slot = stage->slots[stage->turn], *other = stage->slots[1 - stage->turn];
    ame__cu_result result = AME__CU_SUCCESS;
    if (memory && stage->fetched == offset) result = fetch(cuda, stage, slot, length); /* the first part */
    if (!result && memory && stage->fetched < total) {
        size_t left = total - stage->fetched;
        result = fetch(cuda, stage, other, left < length ? left : length);
    }
    if (!result && memory) result = wait_copy(cuda, slot);
    stage->turn = 1 - stage->turn;
    code = ame__gpu_leave(result, words, "copying part of %zu bytes from the device", total);
    if (!code && !memory) code = no_memory();
    if (!code) *part = slot->memory;
    return code;
}

/* ---- receiving ----------------------------------------------------------------------------------- */

int ame__gpu_stage_recv(void *device, struct ame__gpu_stage **stage)
{
    struct ame__gpu_stage *made = NULL;
    int code = make_stage(device, &made);
    if (!code) *stage = made;
    return code;
}

int ame__gpu_stage_sink(struct ame__gpu_stage *stage, size_t length, unsigned char **sink)
{
    const struct ame__cuda *cuda;
    if (length > AME__GPU_SLOT_BYTES) return ame__fail(AME_E_INTERNAL, "%s: a frame of %zu bytes", words, length);
    int code = ame__gpu_enter(words, &cuda);
    if (code) return code;
    if (!stage->slots[stage->turn]) stage->slots[stage->turn] = take_slot(cuda);
    struct slot *slot = stage->slots[stage->turn];
    code = ame__gpu_leave(wait_copy(cuda, slot), words, "copying to the device");
    if (!code && !slot) code = no_memory();
    if (!code) *sink = slot->memory;
    return code;
}

int ame__gpu_stage_store(struct ame__gpu_stage *stage, size_t offset, size_t length)
{
    const struct ame__cuda *cuda;
    struct slot *slot = stage->slots[stage->turn];
    int code = ame__gpu_enter(words, &cuda);
    if (code) return code;
    stage->turn = 1 - stage->turn;
    return ame__gpu_leave(begin_copy(cuda, slot, stage->device + offset, slot->memory, length), words,
                          "copying %zu bytes to the device", length);
}

int ame__gpu_stage_finish(struct ame__gpu_stage *stage)
{
    const struct ame__cuda *cuda;
    int code = ame__gpu_enter(words, &cuda);
    if (code) return code;
    ame__cu_result result = wait_copy(cuda, stage->slots[0]);
    ame__cu_result second = wait_copy(cuda, stage->slots[1]);
    return ame__gpu_leave(result ? result : second, words, "copying to the device");
}

void ame__gpu_stage_close(struct ame__gpu_stage *stage)
{
    const struct ame__cuda *cuda = NULL;
    if (!stage) return;
    if (stage->slots[0] || stage->slots[1]) {
        char text[AME__ERROR_TEXT_MAX]; /* of what this operation has failed with, if it has */
        memcpy(text, ame__error_text(), sizeof text);
        bool entered = !ame__gpu_enter(words, &cuda);
        for (int i = 0; i < 2; i++) {
            if (entered) (void) wait_copy(cuda, stage->slots[i]);
            give_slot(entered ? cuda : NULL, stage->slots[i]);
        }
        if (entered) (void) ame__gpu_leave(AME__CU_SUCCESS, words, " ");
        ame__error_adopt(AME_OK, text);
    }
    free(stage->whole);
    free(stage);
}

/* ---- collective calls ---------------------------------------------------------------------------- */

/* A kept piece of pinned memory that fits and is not much too large; or a new one in place of one that does not. */
static void *take_bounce(const struct ame__cuda *cuda, size_t bytes)
{
    struct bounce *empty = NULL;
    for (int i = 0; i < BOUNCES; i++) {
        struct bounce *bounce = &pool.bounces[i];
        if (bounce->used) continue;
        if (bounce->bytes >= bytes) {
            bounce->used = true;
            return bounce->memory;
        }
        if (!empty || bounce->bytes < empty->bytes) empty = bounce;
    }
    if (!empty || bytes > BOUNCE_BYTES_MAX) return NULL;
    if (empty->memory) (void) cuda->host_free(empty->memory);
    memset(empty, 0, sizeof *empty);
    size_t room = AME__GPU_SLOT_BYTES / 16;
    while (room < bytes) room *= 2;
    if (cuda->host_alloc(&empty->memory, room, AME__CU_HOSTALLOC_PORTABLE)) {
        empty->memory = NULL;
        return NULL;
    }
    empty->bytes = room;
    empty->used = true;
    return empty->memory;
}

void *ame__gpu_bounce_take(size_t bytes)
{
    const struct ame__cuda *cuda;
    void *memory = NULL;
    if (!ame__gpu_enter(words, &cuda)) {
        if (!open_pool(cuda)) memory = take_bounce(cuda, bytes);
        (void) ame__gpu_leave(AME__CU_SUCCESS, words, " ");
    }
    return memory ? memory : malloc(bytes ? bytes : 1);
}

void ame__gpu_bounce_give(void *memory)
{
    for (int i = 0; i < BOUNCES; i++) {
        if (!memory || pool.bounces[i].memory != memory) continue;
        pool.bounces[i].used = false;
        return;
    }
    free(memory);
}
