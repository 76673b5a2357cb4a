/* stage.c - see stage.h. */
#include "stage.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

enum { SLOTS_MOST = 256, QUERIES = 64 /* at once, for one copy */ };

struct slot {
    struct slot *next;     /* in the stage */
    unsigned char *memory; /* NULL: only an event */
    ame__cu_event event;
    size_t begin; /* send: of the part */
    bool used;
    bool copying; /* `event` has been recorded behind a copy, which has not been seen to end */
    bool budgeted;
};

struct ame__gpu_stage {
    unsigned char *device;
    struct slot *first, *last; /* in the order in which their copies were begun */
    struct slot *filling;      /* receive: bytes are being read into it */
    unsigned flying;
    size_t fetched; /* long send: end of what has been asked for from the device */
};

/* File scope as the device is (device.c). The lock is for ame_gpu_close; all else has the engine's lock. */
static struct {
    pthread_mutex_t lock;
    bool ready;
    int limit; /* pinned slots there may be */
    size_t chunk;
    struct slot slots[SLOTS_MOST];
    int count;
    int sending; /* slots that sends have, pinned or not */
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
    if (pool.ready) (void) cuda->stream_destroy(pool.stream);
    memset(pool.slots, 0, sizeof pool.slots);
    pool.count = pool.sending = 0;
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

/* Begins a call: the device is there, and the pool is open. */
static int enter(const struct ame__cuda **cuda)
{
    int code = ame__gpu_enter(words, cuda);
    if (code || pool.ready) return code;
    ame__cu_result result = open_pool(*cuda);
    return result ? ame__gpu_leave(result, words, "making a stream") : AME_OK;
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

/* One in ordinary memory of `bytes`, which may be 0; or NULL. */
static struct slot *make_slot(const struct ame__cuda *cuda, size_t bytes)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot) return NULL;
    slot->memory = bytes ? malloc(bytes) : NULL;
    if ((slot->memory || !bytes) && !make_event(cuda, slot)) return slot;
    free(slot->memory);
    free(slot);
    return NULL;
}

static struct slot *take_slot(const struct ame__cuda *cuda)
{
    struct slot *slot = take_pinned(cuda);
    return slot ? slot : make_slot(cuda, AME__GPU_SLOT_BYTES);
}

static void give_slot(const struct ame__cuda *cuda, struct slot *slot)
{
    pool.sending -= slot->budgeted;
    slot->budgeted = false;
    if (slot >= pool.slots && slot < pool.slots + SLOTS_MOST) {
        slot->used = false;
        return;
    }
    if (cuda) (void) cuda->event_destroy(slot->event);
    free(slot->memory);
    free(slot);
}

/* One for a part of a send. NULL: other sends have all that there are (*wait), or out of memory. */
static struct slot *take_budgeted(const struct ame__cuda *cuda, bool *wait)
{
    *wait = pool.sending >= (pool.limit > AME__GPU_AHEAD ? pool.limit : AME__GPU_AHEAD);
    struct slot *slot = *wait ? NULL : take_slot(cuda);
    if (!slot) return NULL;
    slot->budgeted = true;
    pool.sending++;
    return slot;
}

size_t ame__gpu_chunk(void)
{
    return pool.chunk ? pool.chunk : AME__GPU_SLOT_BYTES / 2;
}

int ame__gpu_stage_ready(void)
{
    const struct ame__cuda *cuda;
    int code = enter(&cuda);
    return code ? code : ame__gpu_leave(AME__CU_SUCCESS, words, " ");
}

/* ---- copies -------------------------------------------------------------------------------------- */

static ame__cu_pointer address(const void *pointer)
{
    return (ame__cu_pointer) (uintptr_t) pointer;
}

/* The slot becomes the last of the stage. */
static ame__cu_result begin_copy(const struct ame__cuda *cuda, struct ame__gpu_stage *stage, struct slot *slot,
                                 void *to, const void *from, size_t bytes)
{
    slot->next = NULL;
    *(stage->first ? &stage->last->next : &stage->first) = slot;
    stage->last = slot;
    ame__cu_result result = cuda->copy(address(to), address(from), bytes, pool.stream);
    if (!result) result = cuda->event_record(slot->event, pool.stream);
    if (result) return result;
    slot->copying = true;
    stage->flying++;
    return AME__CU_SUCCESS;
}

/* Those of one stream end in order. `queries`: how often to ask for the first one. */
static ame__cu_result look(const struct ame__cuda *cuda, struct ame__gpu_stage *stage, int queries)
{
    for (struct slot *slot = stage->first; slot; slot = slot->next) {
        ame__cu_result result = AME__CU_NOT_READY;
        if (!slot->copying) continue;
        for (; queries > 0 && result == AME__CU_NOT_READY; queries--) result = cuda->event_query(slot->event);
        if (result == AME__CU_NOT_READY) break;
        slot->copying = false;
        stage->flying--;
        if (result) return result;
        queries = 1;
    }
    return AME__CU_SUCCESS;
}

/* After AME_E_GPU_LOST nothing is under way any more. */
static int settle(struct ame__gpu_stage *stage, int code)
{
    for (struct slot *slot = stage->first; slot && code == AME_E_GPU_LOST; slot = slot->next) slot->copying = false;
    if (code == AME_E_GPU_LOST) stage->flying = 0;
    return code;
}

static int no_memory(void)
{
    return ame__fail(AME_E_NOMEM, "out of memory for %s", words);
}

unsigned ame__gpu_stage_flying(const struct ame__gpu_stage *stage)
{
    return stage->flying;
}

int ame__gpu_stage_look(struct ame__gpu_stage *stage)
{
    const struct ame__cuda *cuda;
    if (!stage->flying) return AME_OK;
    int code = enter(&cuda);
    if (!code) code = ame__gpu_leave(look(cuda, stage, QUERIES), words, "copying");
    return settle(stage, code);
}

int ame__gpu_move(void *to, const void *from, size_t bytes)
{
    const struct ame__cuda *cuda;
    if (bytes == 0) return AME_OK;
    int code = enter(&cuda);
    if (code) return code;
    ame__cu_result result = cuda->copy(address(to), address(from), bytes, pool.stream);
    if (!result) result = ame__gpu_drain(cuda, pool.stream);
    return ame__gpu_leave(result, words, "copying %zu bytes", bytes);
}

/* ---- a stage ------------------------------------------------------------------------------------- */

struct ame__gpu_stage *ame__gpu_stage_make(const void *device)
{
    struct ame__gpu_stage *stage = calloc(1, sizeof *stage);
    if (stage) stage->device = (unsigned char *) (uintptr_t) device; /* of a send: is only read */
    return stage;
}

void ame__gpu_stage_close(struct ame__gpu_stage *stage)
{
    const struct ame__cuda *cuda = NULL;
    if (!stage) return;
    if (stage->first || stage->filling) {
        char text[AME__ERROR_TEXT_MAX]; /* of what this operation has failed with, if it has */
        memcpy(text, ame__error_text(), sizeof text);
        bool entered = !enter(&cuda);
        for (struct slot *slot = stage->first, *next; slot; slot = next) {
            next = slot->next;
            if (entered && slot->copying) (void) cuda->event_synchronize(slot->event);
            slot->copying = false;
            give_slot(entered ? cuda : NULL, slot);
        }
        if (stage->filling) give_slot(entered ? cuda : NULL, stage->filling);
        if (entered) (void) ame__gpu_leave(AME__CU_SUCCESS, words, " ");
        ame__error_adopt(AME_OK, text);
    }
    free(stage);
}

/* ---- sending ------------------------------------------------------------------------------------- */

int ame__gpu_stage_whole(struct ame__gpu_stage *stage, size_t length, unsigned char **host)
{
    const struct ame__cuda *cuda;
    int code = enter(&cuda);
    if (code) return code;
    struct slot *slot = length > AME__GPU_SLOT_BYTES ? NULL : take_pinned(cuda);
    if (!slot) slot = make_slot(cuda, length);
    ame__cu_result result = AME__CU_SUCCESS;
    if (slot) result = begin_copy(cuda, stage, slot, slot->memory, stage->device, length);
    code = ame__gpu_leave(result, words, "copying %zu bytes from the device", length);
    if (!code && !slot) code = no_memory();
    if (!code) *host = slot->memory;
    return settle(stage, code);
}

static void drop_first(const struct ame__cuda *cuda, struct ame__gpu_stage *stage)
{
    struct slot *slot = stage->first;
    stage->first = slot->next;
    give_slot(cuda, slot);
}

/* Begins to copy further parts of `length`. */
static ame__cu_result fetch(const struct ame__cuda *cuda, struct ame__gpu_stage *stage, size_t length, size_t total,
                            bool *memory)
{
    int parts = 0;
    ame__cu_result result = AME__CU_SUCCESS;
    for (struct slot *slot = stage->first; slot; slot = slot->next) parts++;
    for (; !result && parts < AME__GPU_AHEAD && stage->fetched < total; parts++) {
        bool wait;
        struct slot *slot = take_budgeted(cuda, &wait);
        if (!slot) {
            *memory = wait || stage->first;
            break;
        }
        size_t left = total - stage->fetched, bytes = left < length ? left : length;
        slot->begin = stage->fetched;
        result = begin_copy(cuda, stage, slot, slot->memory, stage->device + stage->fetched, bytes);
        stage->fetched += bytes;
    }
    return result;
}

int ame__gpu_stage_part(struct ame__gpu_stage *stage, size_t offset, size_t length, size_t total,
                        const unsigned char **part)
{
    const struct ame__cuda *cuda;
    bool memory = true;
    *part = NULL;
    int code = enter(&cuda);
    if (code) return settle(stage, code);
    while (stage->first && stage->first->begin < offset) drop_first(cuda, stage);
    ame__cu_result result = fetch(cuda, stage, length, total, &memory);
    if (!result && stage->first) result = look(cuda, stage, stage->first->copying ? QUERIES : 1);
    code = ame__gpu_leave(result, words, "copying part of %zu bytes from the device", total);
    if (!code && !memory) code = no_memory();
    if (!code && stage->first && !stage->first->copying) *part = stage->first->memory;
    return settle(stage, code);
}

/* ---- receiving ----------------------------------------------------------------------------------- */

/* Slots whose copy has ended are not needed any more. */
static ame__cu_result reap(const struct ame__cuda *cuda, struct ame__gpu_stage *stage)
{
    ame__cu_result result = look(cuda, stage, 1);
    while (stage->first && !stage->first->copying) drop_first(cuda, stage);
    return result;
}

int ame__gpu_stage_sink(struct ame__gpu_stage *stage, size_t length, unsigned char **sink)
{
    const struct ame__cuda *cuda;
    if (length > AME__GPU_SLOT_BYTES) return ame__fail(AME_E_INTERNAL, "%s: a frame of %zu bytes", words, length);
    int code = enter(&cuda);
    if (code) return settle(stage, code);
    ame__cu_result result = reap(cuda, stage);
    if (!result && !stage->filling) stage->filling = take_slot(cuda);
    code = ame__gpu_leave(result, words, "copying to the device");
    if (code) return settle(stage, code);
    if (!stage->filling) return no_memory();
    *sink = stage->filling->memory;
    return AME_OK;
}

int ame__gpu_stage_store(struct ame__gpu_stage *stage, size_t offset, size_t length)
{
    const struct ame__cuda *cuda;
    int code = enter(&cuda);
    if (code) return settle(stage, code);
    struct slot *slot = stage->filling;
    stage->filling = NULL;
    ame__cu_result result = begin_copy(cuda, stage, slot, stage->device + offset, slot->memory, length);
    if (!result) result = reap(cuda, stage);
    return settle(stage, ame__gpu_leave(result, words, "copying %zu bytes to the device", length));
}

int ame__gpu_stage_direct(struct ame__gpu_stage *stage, const void *from, size_t length)
{
    const struct ame__cuda *cuda;
    int code = enter(&cuda);
    if (code) return code;
    struct slot *slot = make_slot(cuda, 0);
    ame__cu_result result = AME__CU_SUCCESS;
    if (slot) result = begin_copy(cuda, stage, slot, stage->device, from, length);
    code = ame__gpu_leave(result, words, "copying %zu bytes within the device", length);
    return settle(stage, !code && !slot ? no_memory() : code);
}
