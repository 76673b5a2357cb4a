/* task.c - one task of a map is executed, on a worker or on rank 0. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool/trace.h"

int ame_pool_reply_copy(ame_pool_reply *reply, const void *data, uint64_t length)
{
    static const char function[] = "ame_pool_reply_copy";
    if (!reply || (!data && length))
        return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, reply ? "data" : "reply");
    void *copy = realloc(reply->data, length ? length : 1);
    if (!copy)
        return ame__fail(AME_E_NOMEM, "%s: out of memory for a result of %llu bytes", function,
                         (unsigned long long) length);
    if (length) memcpy(copy, data, length);
    reply->data = copy;
    reply->length = length;
    return AME_OK;
}

int ame_pool_reply_give(ame_pool_reply *reply, void *data, uint64_t length)
{
    static const char function[] = "ame_pool_reply_give";
    if (!reply || (!data && length)) {
        free(data);
        return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, reply ? "data" : "reply");
    }
    free(reply->data);
    reply->data = data;
    reply->length = length;
    return AME_OK;
}

int ame_pool_reply_text(ame_pool_reply *reply, const char *text)
{
    if (!reply || !text)
        return ame__fail(AME_E_ARG, "ame_pool_reply_text: argument '%s' is NULL", reply ? "text" : "reply");
    snprintf(reply->text, sizeof reply->text, "%s", text);
    return AME_OK;
}

uint64_t ame__task_execute(struct ame_pool *pool, const ame_pool_task *task, uint64_t result_max,
                           struct ame_pool_reply *reply, struct ame__pool_record *record)
{
    int64_t begin = ame__now_ns();
    reply->data = NULL;
    reply->length = 0;
    *reply->text = '\0';
    int code = pool->function(task, reply, pool->arg);
    int64_t end = ame__now_ns(), took = end - begin;
    ame__trace_add(pool->trace, code ? AME__TRACE_FAILED : AME__TRACE_TASK, task->index, begin, end);
    if (!code && reply->length > result_max) {
        snprintf(reply->text, sizeof reply->text,
                 "its result has %llu bytes, more than the %llu of the option result_max",
                 (unsigned long long) reply->length, (unsigned long long) result_max);
        code = AME_E_TRUNCATED;
        reply->length = 0;
    }
    *record = (struct ame__pool_record){.kind = code ? AME__POOL_FAILED : AME__POOL_RESULT,
                                        .count = 1,
                                        .code = code,
                                        .seconds = (float) ((double) took * 1e-9),
                                        .length = reply->length,
                                        .data = reply->data};
    if (code) {
        record->text = reply->text;
        record->text_length = (uint32_t) strlen(reply->text);
    }
    return (uint64_t) took;
}
