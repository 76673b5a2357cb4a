/* staged.c - messages from and to device memory: what is done when a copy has ended.
 *
 * Nobody waits for the device while holding the lock, since all other messages would wait as well. A request that can go
 * on only when a copy has ended, or a slot is free (gpu/stage.h), is put into a list with what is to be done then; a timer
 * of the loop looks at it each LOOK_MS. Most copies have ended when they are asked for at once, and never come here.
 *
 * ame__request_done puts a request off in the same way while copies from or to its buffer are under way, so that nobody
 * uses the buffer before. A receive that is AME__GPU_AHEAD frames ahead of its device has its connection paused.
 *
 * Everything here wants the engine's lock.
 */
#include "engine.h"

#include <string.h>

#include "base/error.h"

enum { LOOK_MS = 1 };

static void tick(uv_timer_t *timer)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__list now;
    ame__list_init(&now);
    for (struct ame__list *node; (node = ame__list_take(&engine->on_device));) ame__list_append(&now, node);
    for (struct ame__list *node; (node = ame__list_take(&now));) {
        struct ame_request *request = ame__container_of(node, struct ame_request, on_device);
        int code = ame__gpu_stage_look(request->stage);
        request->resume(request, code);
    }
    if (ame__list_empty(&engine->on_device)) uv_timer_stop(timer);
}

static void look_in(uint64_t ms)
{
    struct ame__engine *engine = &ame__engine;
    uv_update_time(&engine->net.loop);
    uv_timer_start(&engine->device_timer, tick, ms, LOOK_MS);
    engine->net.changed = true; /* who sleeps has to know of the timer */
}

void ame__staged_await(struct ame_request *request, void (*resume)(struct ame_request *request, int code))
{
    struct ame__engine *engine = &ame__engine;
    ame__staged_forget(request);
    request->resume = resume;
    ame__list_append(&engine->on_device, &request->on_device);
    if (!uv_is_active((uv_handle_t *) &engine->device_timer)) look_in(LOOK_MS);
}

void ame__staged_forget(struct ame_request *request)
{
    if (request->on_device.next) ame__list_remove(&request->on_device);
}

/* ---- the end of a request ------------------------------------------------------------------------ */

static void ended(struct ame_request *request, int code)
{
    ame__request_done(request, code, code ? ame__error_text() : NULL);
}

static void hold(struct ame_request *request, bool held)
{
    struct ame__conn *conn = ame__peer_route(request->source);
    request->holds = held;
    if (conn) ame__conn_pause(conn, AME__PAUSE_DEVICE, held);
}

bool ame__staged_busy(struct ame_request *request)
{
    ame__staged_forget(request);
    if (request->holds) hold(request, false);
    if (!ame__gpu_stage_flying(request->stage)) return false;
    ame__staged_await(request, ended);
    return true;
}

void ame__staged_close(struct ame_request *request)
{
    ame__gpu_stage_close(request->stage);
    request->stage = NULL;
    if (!ame__list_empty(&ame__engine.on_device)) look_in(0); /* somebody may have waited for a slot */
}

/* ---- sending ------------------------------------------------------------------------------------- */

static void fetched(struct ame_request *request, int code)
{
    int peer = request->peer;
    bool held = request->fetching;
    if (!code && ame__gpu_stage_flying(request->stage)) {
        ame__staged_await(request, fetched);
        return;
    }
    request->fetching = false;
    if (!code) {
        request->buffer = request->fetched;
        request->device = false;
    }
    if (code)
        ame__request_done(request, code, ame__error_text());
    else if (!held)
        ame__send_launch(request);
    if (held) ame__send_held(peer); /* this one, or those behind it */
}

/* While its bytes come, a message keeps its place before those that the program sends after it to the same rank. In
 * collective calls order does not matter, as each has its own tag. */
void ame__staged_fetch(struct ame_request *request)
{
    int code = ame__gpu_stage_whole(request->stage, request->length, &request->fetched);
    request->phase = AME__HELD;
    if (!code) code = ame__gpu_stage_look(request->stage);
    if (!code && ame__gpu_stage_flying(request->stage) && !request->on_done) {
        request->fetching = true;
        ame__send_launch(request);
    }
    fetched(request, code);
}

/* ---- receiving ----------------------------------------------------------------------------------- */

static void caught_up(struct ame_request *request, int code)
{
    if (code)
        ame__request_done(request, code, ame__error_text());
    else if (ame__gpu_stage_flying(request->stage) >= AME__GPU_AHEAD)
        ame__staged_await(request, caught_up);
    else
        hold(request, false);
}

int ame__staged_store(struct ame_request *request, size_t length, bool last)
{
    int code = ame__gpu_stage_store(request->stage, request->moved, length);
    if (code || last || ame__gpu_stage_flying(request->stage) < AME__GPU_AHEAD || request->holds) return code;
    code = ame__gpu_stage_look(request->stage);
    if (code || ame__gpu_stage_flying(request->stage) < AME__GPU_AHEAD) return code;
    hold(request, true);
    ame__staged_await(request, caught_up);
    return AME_OK;
}

/* ---- copies of a schedule ------------------------------------------------------------------------ */

static int copy_parts(struct ame_request *request)
{
    struct ame__gpu_stage *stage = request->stage;
    while (request->moved < request->length) {
        size_t left = request->length - request->moved, most = ame__gpu_chunk(), length = left < most ? left : most;
        int code = AME_OK;
        if (request->device) { /* to it */
            unsigned char *sink;
            if (ame__gpu_stage_flying(stage) >= AME__GPU_AHEAD) return AME_OK;
            code = ame__gpu_stage_sink(stage, length, &sink);
            if (code) return code;
            memcpy(sink, request->fetched + request->moved, length);
            code = ame__gpu_stage_store(stage, request->moved, length);
        } else {
            const unsigned char *part;
            code = ame__gpu_stage_part(stage, request->moved, length, request->length, &part);
            if (!code && !part) return AME_OK;
            if (!code) memcpy(request->buffer + request->moved, part, length);
        }
        if (code) return code;
        request->moved += length;
    }
    return AME_OK;
}

static void copied(struct ame_request *request, int code)
{
    if (!code) code = copy_parts(request);
    if (!code) code = ame__gpu_stage_look(request->stage);
    if (code || request->moved == request->length)
        ame__request_done(request, code, code ? ame__error_text() : NULL); /* when the copies under way have ended */
    else
        ame__staged_await(request, copied);
}

void ame__staged_copy(struct ame_request *request, const void *from)
{
    int code = AME_OK;
    ame__list_init(&request->link);
    request->comm->active++;
    request->moved = 0;
    request->fetched = (unsigned char *) (uintptr_t) from; /* is only read */
    if (request->device && ame__gpu_stages(from)) {
        code = ame__gpu_stage_direct(request->stage, from, request->length);
        request->moved = request->length;
    }
    copied(request, code);
}

/* ---- begin and end of the engine ----------------------------------------------------------------- */

bool ame__staged_begin(void)
{
    ame__list_init(&ame__engine.on_device);
    return uv_timer_init(&ame__engine.net.loop, &ame__engine.device_timer) == 0;
}

void ame__staged_end(void)
{
    for (struct ame__list *node; (node = ame__list_take(&ame__engine.on_device));) {
        struct ame_request *request = ame__container_of(node, struct ame_request, on_device);
        ame__gpu_stage_close(request->stage);
        request->stage = NULL;
    }
    uv_close((uv_handle_t *) &ame__engine.device_timer, NULL);
}
