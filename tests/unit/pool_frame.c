/* Unit tests of runtime/pool/frame.c: what is written is read again, and bytes that are no frame are refused. Each frame
 * is read from memory of exactly its size, so that the address sanitizer sees a byte too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "pool/frame.h"

static const char text[] = "why it failed";
enum { TEXT_LENGTH = sizeof text - 1, HELLO = AME__POOL_HELLO, DISMISS = AME__POOL_DISMISS };

/* ---- helpers ------------------------------------------------------------------------------------- */

static struct ame__pool_frame sample_frame(enum ame__pool_frame_kind kind)
{
    struct ame__pool_frame frame = {.kind = kind};
    bool texts = kind == AME__POOL_HELLO || kind == AME__POOL_END;
    if (kind == AME__POOL_HELLO) frame.version = AME__POOL_VERSION;
    if (kind == AME__POOL_HELLO || kind == AME__POOL_REPORT) frame.flags = 9;
    if (kind == AME__POOL_READY) frame.how = AME__POOL_SERVE;
    if (kind == AME__POOL_READY) frame.count = UINT64_MAX;
    if (kind != AME__POOL_HELLO && kind != AME__POOL_BYE) frame.run = 0xfedcba98;
    if (kind == AME__POOL_REPORT) frame.busy_ns = 0x1122334455667788;
    if (kind == AME__POOL_END) frame.code = -17;
    if (kind == AME__POOL_GRANT) frame.batch = 7, frame.limit_ms = 1500, frame.result_max = UINT64_MAX;
    if (texts) frame.text = text, frame.text_length = TEXT_LENGTH;
    return frame;
}

static struct ame__pool_record sample_record(enum ame__pool_record_kind kind)
{
    struct ame__pool_record record = {.kind = kind, .count = 1};
    bool down = kind == AME__POOL_RANGE || kind == AME__POOL_TASK || kind == AME__POOL_BODY_DOWN;
    bool fails = kind == AME__POOL_FAILED || kind == AME__POOL_BODY_UP;
    bool body = kind == AME__POOL_BODY_UP || kind == AME__POOL_BODY_DOWN;
    if (down) record.index = 0x8000000000000001;
    if (kind == AME__POOL_DONE || kind == AME__POOL_RANGE) record.count = 1ull << 40;
    if (kind == AME__POOL_TASK || kind == AME__POOL_BODY_DOWN) record.attempt = 3;
    if (fails) record.code = -5, record.text = text, record.text_length = TEXT_LENGTH;
    if (fails || kind == AME__POOL_RESULT) record.seconds = 0.25F;
    if (body) record.length = INT64_MAX;
    if (kind == AME__POOL_RESULT || kind == AME__POOL_FAILED || kind == AME__POOL_TASK)
        record.length = 5, record.data = (const unsigned char *) "12345";
    return record;
}

/* `length` bytes in memory of just that size. */
static struct ame__cursor exactly(const void *bytes, size_t length)
{
    unsigned char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return ame__cursor_on(copy, length);
}

static bool frame_is_read(const unsigned char *bytes, size_t length, struct ame__pool_frame *frame)
{
    struct ame__cursor cursor = exactly(bytes, length);
    unsigned char *begin = cursor.at;
    bool got = ame__pool_frame_get(&cursor, frame);
    assert_true(cursor.at >= begin && cursor.at <= cursor.end);
    frame->text = NULL; /* was in `begin` */
    free(begin);
    return got;
}

static int record_is_read(const unsigned char *bytes, size_t length)
{
    struct ame__cursor cursor = exactly(bytes, length);
    struct ame__pool_record record;
    unsigned char *begin = cursor.at;
    int got = ame__pool_record_get(&cursor, &record);
    assert_true(cursor.at >= begin && cursor.at <= cursor.end);
    free(begin);
    return got;
}

static size_t put_frame(unsigned char *bytes, enum ame__pool_frame_kind kind)
{
    struct ame__cursor cursor = ame__cursor_on(bytes, AME__POOL_FRAME_MAX);
    struct ame__pool_frame frame = sample_frame(kind);
    ame__pool_frame_put(&cursor, &frame);
    return (size_t) (cursor.at - bytes);
}

static size_t put_record(unsigned char *bytes, enum ame__pool_record_kind kind)
{
    struct ame__cursor cursor = ame__cursor_on(bytes, AME__POOL_FRAME_MAX);
    struct ame__pool_record record = sample_record(kind);
    assert_true(ame__pool_record_put(&cursor, &record));
    return (size_t) (cursor.at - bytes);
}

/* ---- frames -------------------------------------------------------------------------------------- */

static void frames_round_trip(void **state)
{
    (void) state;
    for (int kind = HELLO; kind <= DISMISS; kind++) {
        unsigned char bytes[AME__POOL_FRAME_MAX];
        size_t length = put_frame(bytes, (enum ame__pool_frame_kind) kind);
        struct ame__cursor cursor = ame__cursor_on(bytes, length);
        struct ame__pool_frame in = sample_frame((enum ame__pool_frame_kind) kind), out;
        assert_true(ame__pool_frame_get(&cursor, &out));
        assert_ptr_equal(cursor.at, cursor.end);
        assert_int_equal(out.text_length, in.text_length);
        if (in.text_length) assert_memory_equal(out.text, in.text, in.text_length);
        assert_int_equal(out.kind, in.kind);
        assert_int_equal(out.version, in.version);
        assert_int_equal(out.flags, in.flags);
        assert_int_equal(out.how, in.how);
        assert_int_equal(out.run, in.run);
        assert_int_equal(out.batch, in.batch);
        assert_int_equal(out.count, in.count);
        assert_int_equal(out.busy_ns, in.busy_ns);
        assert_int_equal(out.limit_ms, in.limit_ms);
        assert_int_equal(out.result_max, in.result_max);
        assert_int_equal(out.code, in.code);
    }
}

static void the_layout_is_fixed(void **state)
{
    static const unsigned char expected[] = {5, 0x98, 0xba, 0xdc, 0xfe, 7,    0,    0,    0,    0xdc, 5,    0, 0, 0,
                                             0, 0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 1, 0,
                                             0, 0,    0,    0,    0,    0x80, 0,    0,    0,    0,    0,    1, 0, 0};
    unsigned char bytes[AME__POOL_FRAME_MAX];
    size_t length = put_frame(bytes, AME__POOL_GRANT);
    (void) state;
    length += put_record(bytes + length, AME__POOL_RANGE);
    assert_int_equal(length, sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void a_frame_cut_short_is_refused(void **state)
{
    (void) state;
    for (int kind = HELLO; kind <= DISMISS; kind++) {
        unsigned char bytes[AME__POOL_FRAME_MAX];
        struct ame__pool_frame frame;
        size_t length = put_frame(bytes, (enum ame__pool_frame_kind) kind);
        assert_true(frame_is_read(bytes, length, &frame));
        for (size_t cut = 0; cut < length; cut++) assert_false(frame_is_read(bytes, cut, &frame));
    }
}

static void bad_frames_are_refused(void **state)
{
    static const size_t text_at[] = {[AME__POOL_HELLO] = 6, [AME__POOL_END] = 9};
    unsigned char bytes[AME__POOL_FRAME_MAX] = {0};
    struct ame__pool_frame frame;
    (void) state;
    for (int kind = 0; kind < 256; kind++) {
        bytes[0] = (unsigned char) kind;
        if (kind < HELLO || kind > DISMISS) assert_false(frame_is_read(bytes, sizeof bytes, &frame));
    }
    put_frame(bytes, AME__POOL_READY);
    for (int how = 0; how < 256; how++) {
        bytes[1] = (unsigned char) how;
        assert_int_equal(frame_is_read(bytes, sizeof bytes, &frame), how >= AME__POOL_LOOP && how <= AME__POOL_SERVE);
    }
    for (int kind = HELLO; kind <= AME__POOL_END; kind += AME__POOL_END - HELLO) { /* those with a text */
        put_frame(bytes, (enum ame__pool_frame_kind) kind);
        memcpy(bytes + text_at[kind], "\x00\x04\x00\x00", 4); /* 1024, as long as it may be */
        assert_true(frame_is_read(bytes, sizeof bytes, &frame));
        memcpy(bytes + text_at[kind], "\x01\x04\x00\x00", 4);
        assert_false(frame_is_read(bytes, sizeof bytes, &frame));
        memcpy(bytes + text_at[kind], "\xff\xff\xff\xff", 4);
        assert_false(frame_is_read(bytes, sizeof bytes, &frame));
    }
}

/* ---- records ------------------------------------------------------------------------------------- */

static void records_round_trip(void **state)
{
    (void) state;
    for (int kind = AME__POOL_DONE; kind <= AME__POOL_BODY_DOWN; kind++) {
        unsigned char bytes[AME__POOL_FRAME_MAX];
        size_t length = put_record(bytes, (enum ame__pool_record_kind) kind);
        struct ame__cursor cursor = ame__cursor_on(bytes, length);
        struct ame__pool_record in = sample_record((enum ame__pool_record_kind) kind), out;
        assert_int_equal(ame__pool_record_get(&cursor, &out), 1);
        if (in.text_length) assert_memory_equal(out.text, in.text, in.text_length);
        if (in.data) assert_memory_equal(out.data, in.data, in.length);
        assert_int_equal(out.kind, in.kind);
        assert_int_equal(out.index, in.index);
        assert_int_equal(out.count, in.count);
        assert_int_equal(out.attempt, in.attempt);
        assert_int_equal(out.code, in.code);
        assert_true(out.seconds == in.seconds);
        assert_int_equal(out.text_length, in.text_length);
        assert_int_equal(out.length, in.length);
        assert_int_equal(ame__pool_record_get(&cursor, &out), 0);
    }
}

static void a_record_cut_short_is_refused(void **state)
{
    (void) state;
    for (int kind = AME__POOL_DONE; kind <= AME__POOL_BODY_DOWN; kind++) {
        unsigned char bytes[AME__POOL_FRAME_MAX];
        size_t length = put_record(bytes, (enum ame__pool_record_kind) kind);
        assert_int_equal(record_is_read(bytes, length), 1);
        assert_int_equal(record_is_read(bytes, 0), 0);
        for (size_t cut = 1; cut < length; cut++) assert_int_equal(record_is_read(bytes, cut), -1);
    }
}

/* Overwrites `size` bytes at `at` of a good record. */
static int spoilt(enum ame__pool_record_kind kind, size_t at, const char *with, size_t size)
{
    unsigned char bytes[AME__POOL_FRAME_MAX] = {0};
    put_record(bytes, kind);
    memcpy(bytes + at, with, size);
    return record_is_read(bytes, sizeof bytes);
}

static void bad_records_are_refused(void **state)
{
    static const char most[] = "\x00\x10\x00\x00", more[] = "\x01\x10\x00\x00", negative[] = "\0\0\0\0\0\0\0\x80";
    (void) state;
    for (int kind = 0; kind < 256; kind++) {
        const char byte = (char) kind;
        bool good = kind >= AME__POOL_DONE && kind <= AME__POOL_BODY_DOWN;
        if (!good) assert_int_equal(spoilt(AME__POOL_DONE, 0, &byte, 1), -1);
    }
    assert_int_equal(spoilt(AME__POOL_DONE, 1, "\0\0\0\0\0\0\0\0", 8), -1);
    assert_int_equal(spoilt(AME__POOL_RANGE, 9, "\0\0\0\0\0\0\0\0", 8), -1);
    assert_int_equal(spoilt(AME__POOL_RESULT, 5, most, 4), 1);
    assert_int_equal(spoilt(AME__POOL_RESULT, 5, more, 4), -1);
    assert_int_equal(spoilt(AME__POOL_RESULT, 5, "\xff\xff\xff\xff", 4), -1);
    assert_int_equal(spoilt(AME__POOL_TASK, 13, most, 4), 1);
    assert_int_equal(spoilt(AME__POOL_TASK, 13, more, 4), -1);
    assert_int_equal(spoilt(AME__POOL_FAILED, 9, "\x01\x04\x00\x00", 4), -1);
    assert_int_equal(spoilt(AME__POOL_FAILED, 13 + TEXT_LENGTH, most, 4), 1);
    assert_int_equal(spoilt(AME__POOL_FAILED, 13 + TEXT_LENGTH, more, 4), -1);
    assert_int_equal(spoilt(AME__POOL_BODY_UP, 13 + TEXT_LENGTH, negative, 8), -1);
    assert_int_equal(spoilt(AME__POOL_BODY_DOWN, 13, negative, 8), -1);
}

static void a_full_frame_takes_no_more(void **state)
{
    enum { RESULT_SIZE = 14, LEFT = 8 };
    unsigned char bytes[4 * RESULT_SIZE + LEFT], before[sizeof bytes];
    struct ame__cursor cursor = ame__cursor_on(bytes, sizeof bytes);
    struct ame__pool_record result = sample_record(AME__POOL_RESULT), record;
    (void) state;
    for (int i = 0; i < 4; i++) assert_true(ame__pool_record_put(&cursor, &result));
    memcpy(before, bytes, sizeof bytes);
    assert_false(ame__pool_record_put(&cursor, &result));
    assert_false(cursor.bad);
    assert_ptr_equal(cursor.at, bytes + 4 * RESULT_SIZE);
    assert_memory_equal(bytes, before, 4 * RESULT_SIZE);
    cursor = ame__cursor_on(bytes, 4 * RESULT_SIZE);
    for (int i = 0; i < 4; i++) assert_int_equal(ame__pool_record_get(&cursor, &record), 1);
    assert_int_equal(ame__pool_record_get(&cursor, &record), 0);
}

/* Whatever arrives: what is read keeps within the limits and within the frame. */
static void random_bytes_are_survived(void **state)
{
    (void) state;
    srand(7);
    for (int round = 0; round < 100000; round++) {
        unsigned char bytes[96];
        size_t length = (size_t) rand() % sizeof bytes + 1;
        for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char) (rand() >> 4) & (rand() & 64 ? 0xff : 7);
        struct ame__cursor cursor = exactly(bytes, length);
        unsigned char *begin = cursor.at;
        struct ame__pool_frame frame;
        struct ame__pool_record record;
        if (ame__pool_frame_get(&cursor, &frame)) assert_true(frame.text_length <= AME__POOL_TEXT_MAX);
        cursor.at = begin;
        cursor.bad = false;
        while (ame__pool_record_get(&cursor, &record) == 1) {
            assert_in_range(record.kind, AME__POOL_DONE, AME__POOL_BODY_DOWN);
            assert_true(record.count > 0 && record.length <= INT64_MAX && record.text_length <= AME__POOL_TEXT_MAX);
            if (record.data) assert_true(record.data >= begin && record.data + record.length <= cursor.end);
        }
        free(begin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames_round_trip),
                                       cmocka_unit_test(the_layout_is_fixed),
                                       cmocka_unit_test(a_frame_cut_short_is_refused),
                                       cmocka_unit_test(bad_frames_are_refused),
                                       cmocka_unit_test(records_round_trip),
                                       cmocka_unit_test(a_record_cut_short_is_refused),
                                       cmocka_unit_test(bad_records_are_refused),
                                       cmocka_unit_test(a_full_frame_takes_no_more),
                                       cmocka_unit_test(random_bytes_are_survived)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
