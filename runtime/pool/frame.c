#include "frame.h"

#include <string.h>

/* ---- bytes, least significant first -------------------------------------------------------------- */

static void put(struct ame__cursor *cursor, uint64_t value, size_t bytes)
{
    if (cursor->bad || (size_t) (cursor->end - cursor->at) < bytes) {
        cursor->bad = true;
        return;
    }
    for (size_t i = 0; i < bytes; i++) *cursor->at++ = (unsigned char) (value >> 8 * i);
}

static uint64_t get(struct ame__cursor *cursor, size_t bytes)
{
    uint64_t value = 0;
    if (cursor->bad || (size_t) (cursor->end - cursor->at) < bytes) {
        cursor->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t) *cursor->at++ << 8 * i;
    return value;
}

static void put_bytes(struct ame__cursor *cursor, const void *bytes, size_t length)
{
    if (cursor->bad || (size_t) (cursor->end - cursor->at) < length) {
        cursor->bad = true;
        return;
    }
    if (length) memcpy(cursor->at, bytes, length);
    cursor->at += length;
}

static const unsigned char *get_bytes(struct ame__cursor *cursor, size_t length)
{
    const unsigned char *bytes = cursor->at;
    if (cursor->bad || (size_t) (cursor->end - cursor->at) < length) {
        cursor->bad = true;
        return NULL;
    }
    cursor->at += length;
    return bytes;
}

static void put_text(struct ame__cursor *cursor, const char *text, uint32_t length)
{
    put(cursor, length, 4);
    put_bytes(cursor, text, length);
}

static void get_text(struct ame__cursor *cursor, const char **text, uint32_t *length)
{
    *length = (uint32_t) get(cursor, 4);
    *text = (const char *) get_bytes(cursor, *length);
    if (*length > AME__POOL_TEXT_MAX) cursor->bad = true;
}

/* ---- frames -------------------------------------------------------------------------------------- */

void ame__pool_frame_put(struct ame__cursor *cursor, const struct ame__pool_frame *frame)
{
    put(cursor, frame->kind, 1);
    switch (frame->kind) {
    case AME__POOL_HELLO:
        put(cursor, frame->version, 4);
        put(cursor, frame->flags, 1);
        put_text(cursor, frame->text, frame->text_length);
        break;
    case AME__POOL_READY:
        put(cursor, frame->how, 1);
        put(cursor, frame->run, 4);
        put(cursor, frame->count, 8);
        break;
    case AME__POOL_REPORT:
        put(cursor, frame->flags, 1);
        put(cursor, frame->run, 4);
        put(cursor, frame->busy_ns, 8);
        break;
    case AME__POOL_GRANT:
        put(cursor, frame->run, 4);
        put(cursor, frame->batch, 4);
        put(cursor, frame->limit_ms, 8);
        put(cursor, frame->result_max, 8);
        break;
    case AME__POOL_END:
        put(cursor, frame->run, 4);
        put(cursor, (uint32_t) frame->code, 4);
        put_text(cursor, frame->text, frame->text_length);
        break;
    case AME__POOL_DISMISS: put(cursor, frame->run, 4); break;
    case AME__POOL_BYE: break;
    }
}

bool ame__pool_frame_get(struct ame__cursor *cursor, struct ame__pool_frame *frame)
{
    memset(frame, 0, sizeof *frame);
    frame->kind = (enum ame__pool_frame_kind) get(cursor, 1);
    switch (frame->kind) {
    case AME__POOL_HELLO:
        frame->version = (uint32_t) get(cursor, 4);
        frame->flags = (uint32_t) get(cursor, 1);
        get_text(cursor, &frame->text, &frame->text_length);
        break;
    case AME__POOL_READY:
        frame->how = (enum ame__pool_how) get(cursor, 1);
        frame->run = (uint32_t) get(cursor, 4);
        frame->count = get(cursor, 8);
        if (frame->how < AME__POOL_LOOP || frame->how > AME__POOL_SERVE) return false;
        break;
    case AME__POOL_REPORT:
        frame->flags = (uint32_t) get(cursor, 1);
        frame->run = (uint32_t) get(cursor, 4);
        frame->busy_ns = get(cursor, 8);
        break;
    case AME__POOL_GRANT:
        frame->run = (uint32_t) get(cursor, 4);
        frame->batch = (uint32_t) get(cursor, 4);
        frame->limit_ms = get(cursor, 8);
        frame->result_max = get(cursor, 8);
        break;
    case AME__POOL_END:
        frame->run = (uint32_t) get(cursor, 4);
        frame->code = (int32_t) get(cursor, 4);
        get_text(cursor, &frame->text, &frame->text_length);
        break;
    case AME__POOL_DISMISS: frame->run = (uint32_t) get(cursor, 4); break;
    case AME__POOL_BYE: break;
    default: return false;
    }
    return !cursor->bad;
}

/* ---- records ------------------------------------------------------------------------------------- */

static void put_seconds(struct ame__cursor *cursor, float seconds)
{
    uint32_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    put(cursor, bits, 4);
}

static float get_seconds(struct ame__cursor *cursor)
{
    uint32_t bits = (uint32_t) get(cursor, 4);
    float seconds;
    memcpy(&seconds, &bits, sizeof seconds);
    return seconds;
}

static void put_data(struct ame__cursor *cursor, const struct ame__pool_record *record)
{
    put(cursor, record->length, 4);
    put_bytes(cursor, record->data, record->length);
}

static void get_data(struct ame__cursor *cursor, struct ame__pool_record *record)
{
    record->length = get(cursor, 4);
    if (record->length > AME__POOL_INLINE_MAX) cursor->bad = true;
    record->data = get_bytes(cursor, record->length);
}

bool ame__pool_record_put(struct ame__cursor *cursor, const struct ame__pool_record *record)
{
    unsigned char *begin = cursor->at;
    put(cursor, record->kind, 1);
    switch (record->kind) {
    case AME__POOL_DONE: put(cursor, record->count, 8); break;
    case AME__POOL_RESULT:
        put_seconds(cursor, record->seconds);
        put_data(cursor, record);
        break;
    case AME__POOL_FAILED:
    case AME__POOL_BODY_UP:
        put(cursor, (uint32_t) record->code, 4);
        put_seconds(cursor, record->seconds);
        put_text(cursor, record->text, record->text_length);
        if (record->kind == AME__POOL_FAILED)
            put_data(cursor, record);
        else
            put(cursor, record->length, 8);
        break;
    case AME__POOL_RANGE:
        put(cursor, record->index, 8);
        put(cursor, record->count, 8);
        break;
    case AME__POOL_TASK:
    case AME__POOL_BODY_DOWN:
        put(cursor, record->index, 8);
        put(cursor, record->attempt, 4);
        if (record->kind == AME__POOL_TASK)
            put_data(cursor, record);
        else
            put(cursor, record->length, 8);
        break;
    }
    if (!cursor->bad) return true;
    cursor->bad = false;
    cursor->at = begin;
    return false;
}

int ame__pool_record_get(struct ame__cursor *cursor, struct ame__pool_record *record)
{
    if (cursor->at == cursor->end) return 0;
    memset(record, 0, sizeof *record);
    record->kind = (enum ame__pool_record_kind) get(cursor, 1);
    record->count = 1;
    switch (record->kind) {
    case AME__POOL_DONE: record->count = get(cursor, 8); break;
    case AME__POOL_RESULT:
        record->seconds = get_seconds(cursor);
        get_data(cursor, record);
        break;
    case AME__POOL_FAILED:
    case AME__POOL_BODY_UP:
        record->code = (int32_t) get(cursor, 4);
        record->seconds = get_seconds(cursor);
        get_text(cursor, &record->text, &record->text_length);
        if (record->kind == AME__POOL_FAILED)
            get_data(cursor, record);
        else
            record->length = get(cursor, 8);
        break;
    case AME__POOL_RANGE:
        record->index = get(cursor, 8);
        record->count = get(cursor, 8);
        break;
    case AME__POOL_TASK:
    case AME__POOL_BODY_DOWN:
        record->index = get(cursor, 8);
        record->attempt = (uint32_t) get(cursor, 4);
        if (record->kind == AME__POOL_TASK)
            get_data(cursor, record);
        else
            record->length = get(cursor, 8);
        break;
    default: return -1;
    }
    if (cursor->bad || record->count == 0 || (int64_t) record->length < 0) return -1;
    return 1;
}
