/* check.h - what the test programs share: checks that tell rank, file and line, and buffers with known contents.
 *
 * A check that fails prints one line and ends the whole job with code 1. All is static: a test is one file.
 */
#ifndef TEST_JOB_CHECK_H
#define TEST_JOB_CHECK_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ame.h>

static int check_rank = -1; /* of this process in AME_COMM_WORLD, and their number; from check_begin on */
static int check_size;

/* Exit status of a program that cannot test its subject here; meson counts it as skipped. */
enum { CHECK_SKIP = 77 };

#define CHECK_UNUSED __attribute__((unused))

__attribute__((format(printf, 3, 4), noreturn)) static void check_failed(const char *file, int line, const char *format,
                                                                         ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "rank %d: %s:%d: %s\n", check_rank, file, line, text);
    fflush(stderr);
    ame_abort(1);
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) check_failed(__FILE__, __LINE__, "not true: %s", #condition);                                \
    } while (0)

/* CHECK that says what it was about, printf-like. */
#define CHECK_SAY(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            char check_text[512];                                                                                      \
            snprintf(check_text, sizeof check_text, __VA_ARGS__);                                                      \
            check_failed(__FILE__, __LINE__, "not true: %s (%s)", #condition, check_text);                             \
        }                                                                                                              \
    } while (0)

/* Two integers are equal; prints both. */
#define CHECK_EQUAL(have, want)                                                                                        \
    do {                                                                                                               \
        long long check_have = (long long) (have), check_want = (long long) (want);                                    \
        if (check_have != check_want)                                                                                  \
            check_failed(__FILE__, __LINE__, "%s is %lld, must be %s = %lld", #have, check_have, #want, check_want);   \
    } while (0)

#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        int check_code = (call);                                                                                       \
        if (check_code != AME_OK)                                                                                      \
            check_failed(__FILE__, __LINE__, "%s: %s: %s", #call, ame_errname(check_code), ame_last_error());          \
    } while (0)

/* `call` fails with `code`, and ame_last_error() contains the word(s) `name`. */
#define CHECK_CODE(call, code, name)                                                                                   \
    do {                                                                                                               \
        int check_code = (call);                                                                                       \
        if (check_code != (code))                                                                                      \
            check_failed(__FILE__, __LINE__, "%s gave %s (%s), must be %s", #call, ame_errname(check_code),            \
                         check_code == AME_OK ? "" : ame_last_error(), #code);                                         \
        if (!strstr(ame_last_error(), (name)))                                                                         \
            check_failed(__FILE__, __LINE__, "%s: the text '%s' does not name '%s'", #call, ame_last_error(), (name)); \
    } while (0)

CHECK_UNUSED static void *check_alloc(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) check_failed(__FILE__, __LINE__, "no memory for %zu bytes", bytes);
    return memory;
}

/* SplitMix64's finalizer: a good hash of 64 bits. */
CHECK_UNUSED static uint64_t check_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

CHECK_UNUSED static uint64_t check_random(uint64_t *state)
{
    return check_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* Writes `length` bytes that depend on `seed` and position, so that a swapped, shifted or foreign block is noticed. */
CHECK_UNUSED static void check_fill(void *buf, size_t length, uint64_t seed)
{
    unsigned char *at = buf;
    uint64_t base = check_mix(seed + 1), word;
    size_t i = 0;
    for (; i + sizeof word <= length; i += sizeof word) {
        word = (base + i) * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(at + i, &word, sizeof word);
    }
    word = (base + i) * UINT64_C(0x9e3779b97f4a7c15);
    if (i < length) memcpy(at + i, &word, length - i);
}

/* Position of the first byte that check_fill would not have written, or `length`. */
CHECK_UNUSED static size_t check_differs(const void *buf, size_t length, uint64_t seed)
{
    const unsigned char *at = buf;
    uint64_t base = check_mix(seed + 1), word;
    for (size_t i = 0; i < length; i += sizeof word) {
        size_t piece = length - i < sizeof word ? length - i : sizeof word;
        word = (base + i) * UINT64_C(0x9e3779b97f4a7c15);
        if (memcmp(at + i, &word, piece)) return i;
    }
    return length;
}

#define CHECK_FILLED(buf, length, seed)                                                                                \
    do {                                                                                                               \
        size_t check_length = (length), check_at = check_differs((buf), check_length, (seed));                         \
        if (check_at != check_length)                                                                                  \
            check_failed(__FILE__, __LINE__, "%s: wrong contents from byte %zu of %zu", #buf, check_at, check_length); \
    } while (0)

/* All `length` bytes are `value`: memory that nobody may have written to. */
#define CHECK_ALL(buf, length, value)                                                                                  \
    do {                                                                                                               \
        const unsigned char *check_buf = (const void *) (buf);                                                         \
        for (size_t check_i = 0; check_i < (length); check_i++)                                                        \
            if (check_buf[check_i] != (value))                                                                         \
                check_failed(__FILE__, __LINE__, "%s: byte %zu has been written to", #buf, check_i);                   \
    } while (0)

/* Joins the job. */
CHECK_UNUSED static void check_begin(void)
{
    int code = ame_init();
    if (code != AME_OK) check_failed(__FILE__, __LINE__, "ame_init: %s: %s", ame_errname(code), ame_last_error());
    check_rank = ame_comm_rank(AME_COMM_WORLD);
    check_size = ame_comm_size(AME_COMM_WORLD);
    CHECK(check_size >= 1 && check_rank >= 0 && check_rank < check_size);
}

/* Leaves the job; the value is main's. */
CHECK_UNUSED static int check_end(void)
{
    CHECK_OK(ame_finalize());
    return 0;
}

#endif
