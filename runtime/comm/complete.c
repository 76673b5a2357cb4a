/* complete.c - wait, test and their relatives; the hand-over of results to the calling thread. */
#include "comm.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const ame_status empty_status = {.source = AME_ANY_SOURCE, .tag = AME_ANY_TAG};

bool ame__request_ready(void *request)
{
    return ame__request_is_over(request);
}

int ame__request_hint(const struct ame_request *request)
{
    if (request->kind == AME__COLL || request->peer == ame__engine.rank) return -1;
    return request->peer;
}

void ame__fill_status(const struct ame_request *request, ame_status *status)
{
    if (!status) return;
    *status = empty_status;
    status->error = request->code;
    if (request->kind != AME__RECV) return;
    status->cancelled = request->cancelled;
    if (request->cancelled || (request->code && request->code != AME_E_TRUNCATED)) return;
    status->source = request->source;
    status->tag = request->got_tag;
    status->length = request->got_length;
}

int ame__take_result(const struct ame_request *request, const char *function)
{
    if (request->code == AME_OK) return AME_OK;
    if (request->blame) ame__peer_blamed(request->blame - 1);
    return ame__fail(request->code, "%s: %s", function, request->text ? request->text : ame_strerror(request->code));
}

int ame__finish(struct ame_request *request, const char *function, ame_status *status)
{
    struct ame__wait wait = {.call = function, .request = request};
    if (!ame__request_is_done(request)) ame__wait_until(ame__request_ready, request, ame__request_hint(request), &wait);
    int code = ame__take_result(request, function);
    if (!code || code == AME_E_TRUNCATED) ame__fill_status(request, status);
    free(request->text);
    request->text = NULL;
    return code;
}

static int check_request(struct ame_request *request, const char *function, size_t index)
{
    if (!request || request->magic == AME__REQUEST_MAGIC) return AME_OK;
    return ame__fail(AME_E_REQUEST, "%s: request %zu is not a valid one (completed already?)", function, index);
}

static int check_requests(size_t count, ame_request *requests[], const char *function)
{
    if (count && !requests) return ame__fail(AME_E_ARG, "%s: argument 'requests' is NULL", function);
    for (size_t i = 0; i < count; i++) {
        int code = check_request(requests[i], function, i);
        if (code) return code;
    }
    return AME_OK;
}

/* Reports a completed request and gives its handle back. */
static int retire(ame_request **handle, const char *function, ame_status *status)
{
    struct ame_request *request = *handle;
    ame__fill_status(request, status);
    int code = ame__take_result(request, function);
    ame__request_release(request);
    *handle = AME_REQUEST_NULL;
    return code;
}

int ame_wait(ame_request **request, ame_status *status)
{
    static const char function[] = "ame_wait";
    int code = ame__enter(function);
    if (code) return code;
    code = request ? check_request(*request, function, 0)
                   : ame__fail(AME_E_ARG, "%s: argument 'request' is NULL", function);
    if (!code && !*request) {
        if (status) *status = empty_status;
    } else if (!code) {
        struct ame__wait wait = {.call = function, .request = *request};
        ame__wait_until(ame__request_ready, *request, ame__request_hint(*request), &wait);
        code = retire(request, function, status);
    }
    ame__leave();
    return code;
}

int ame_test(ame_request **request, int *done, ame_status *status)
{
    static const char function[] = "ame_test";
    int code = ame__enter(function);
    if (code) return code;
    if (!request || !done)
        code = ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, request ? "done" : "request");
    else
        code = check_request(*request, function, 0);
    if (!code && !*request) {
        if (status) *status = empty_status;
        *done = 1;
    } else if (!code) {
        if (!ame__request_is_over(*request)) ame__progress();
        *done = ame__request_is_over(*request);
        if (*done) code = retire(request, function, status);
    }
    ame__leave();
    return code;
}

/* ---- several requests ---------------------------------------------------------------------------- */

struct several {
    size_t count;
    ame_request **requests;
    size_t next; /* waitall: those before it are done */
};

static bool all_done(void *arg)
{
    struct several *several = arg;
    for (; several->next < several->count; several->next++) {
        struct ame_request *request = several->requests[several->next];
        if (request && !ame__request_is_over(request)) return false;
    }
    return true;
}

static bool any_done(void *arg)
{
    const struct several *several = arg;
    bool active = false;
    for (size_t i = 0; i < several->count; i++) {
        if (!several->requests[i]) continue;
        if (ame__request_is_over(several->requests[i])) return true;
        active = true;
    }
    return !active;
}

/* Retires all; the first failure is the result, and its text is this thread's. */
static int retire_all(size_t count, ame_request *requests[], ame_status statuses[], const char *function)
{
    int result = AME_OK;
    char text[AME__ERROR_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        if (!requests[i]) {
            if (statuses) statuses[i] = empty_status;
            continue;
        }
        int code = check_request(requests[i], function, i); /* the same handle twice */
        if (!code) code = retire(&requests[i], function, statuses ? &statuses[i] : NULL);
        if (code && !result) {
            result = code;
            memcpy(text, ame__error_text(), sizeof text);
        }
    }
    return result ? ame__error_adopt(result, text) : AME_OK;
}

int ame_waitall(size_t count, ame_request *requests[], ame_status statuses[])
{
    static const char function[] = "ame_waitall";
    int code = ame__enter(function);
    if (code) return code;
    code = check_requests(count, requests, function);
    if (!code) {
        struct several several = {.count = count, .requests = requests};
        struct ame__wait wait = {.call = function, .requests = requests, .count = count};
        ame__wait_until(all_done, &several, -1, &wait);
        code = retire_all(count, requests, statuses, function);
    }
    ame__leave();
    return code;
}

int ame_testall(size_t count, ame_request *requests[], int *done, ame_status statuses[])
{
    static const char function[] = "ame_testall";
    int code = ame__enter(function);
    if (code) return code;
    code = check_requests(count, requests, function);
    if (!code && !done) code = ame__fail(AME_E_ARG, "%s: argument 'done' is NULL", function);
    if (!code) {
        struct several several = {.count = count, .requests = requests};
        if (!all_done(&several)) ame__progress();
        several.next = 0;
        *done = all_done(&several);
        if (*done) code = retire_all(count, requests, statuses, function);
    }
    ame__leave();
    return code;
}

int ame_waitany(size_t count, ame_request *requests[], int *index, ame_status *status)
{
    static const char function[] = "ame_waitany";
    int code = ame__enter(function);
    if (code) return code;
    code = check_requests(count, requests, function);
    if (!code && !index) code = ame__fail(AME_E_ARG, "%s: argument 'index' is NULL", function);
    if (!code) {
        struct several several = {.count = count, .requests = requests};
        struct ame__wait wait = {.call = function, .requests = requests, .count = count};
        ame__wait_until(any_done, &several, -1, &wait);
        *index = AME_UNDEFINED;
        if (status) *status = empty_status;
        for (size_t i = 0; i < count; i++) {
            if (!requests[i] || !ame__request_is_done(requests[i])) continue;
            *index = (int) i;
            code = retire(&requests[i], function, status);
            break;
        }
    }
    ame__leave();
    return code;
}

int ame_waitsome(size_t count, ame_request *requests[], int *outcount, int indices[], ame_status statuses[])
{
    static const char function[] = "ame_waitsome";
    int code = ame__enter(function);
    if (code) return code;
    code = check_requests(count, requests, function);
    if (!code && (!outcount || (count && !indices)))
        code = ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, outcount ? "indices" : "outcount");
    if (!code) {
        struct several several = {.count = count, .requests = requests};
        char text[AME__ERROR_TEXT_MAX] = "";
        int found = 0;
        struct ame__wait wait = {.call = function, .requests = requests, .count = count};
        ame__wait_until(any_done, &several, -1, &wait);
        for (size_t i = 0; i < count; i++) {
            if (!requests[i] || !ame__request_is_done(requests[i])) continue;
            int one = retire(&requests[i], function, statuses ? &statuses[found] : NULL);
            indices[found++] = (int) i;
            if (!one || code) continue;
            code = one;
            memcpy(text, ame__error_text(), sizeof text);
        }
        *outcount = found ? found : AME_UNDEFINED;
        if (code) ame__error_adopt(code, text);
    }
    ame__leave();
    return code;
}

int ame_cancel(ame_request *request)
{
    static const char function[] = "ame_cancel";
    int code = ame__enter(function);
    if (code) return code;
    code = request ? check_request(request, function, 0)
                   : ame__fail(AME_E_REQUEST, "%s: argument 'request' is AME_REQUEST_NULL", function);
    if (!code) (void) ame__recv_cancel(request);
    ame__leave();
    return code;
}
