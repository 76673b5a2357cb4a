/* fuzz.h - what the fuzz targets share: their entry point, and a reader that takes an input apart.
 *
 * Each target is a program with one function, LLVMFuzzerTestOneInput, which does with its input what the code under test
 * would do with bytes from a stranger, a broken peer or a user. With clang it is linked with libFuzzer; with any other
 * compiler with replay.c, which runs the inputs of the corpus. A target keeps nothing from one input to the next, and what
 * must not be is an abort() (or what the sanitizers find).
 */
#ifndef AME_TESTS_FUZZ_H
#define AME_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must be so, in each build. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) abort();                                                                                     \
    } while (0)

struct fuzz {
    const uint8_t *at;
    size_t left;
};

/* The next byte, 0 behind the end. */
static inline unsigned fuzz_byte(struct fuzz *fuzz)
{
    if (!fuzz->left) return 0;
    fuzz->left--;
    return *fuzz->at++;
}

static inline unsigned fuzz_word(struct fuzz *fuzz)
{
    unsigned low = fuzz_byte(fuzz);
    return low | fuzz_byte(fuzz) << 8;
}

static inline uint64_t fuzz_number(struct fuzz *fuzz)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t) fuzz_byte(fuzz) << (8 * i);
    return value;
}

/* Takes up to `size` bytes; `taken` is how many there are. */
static inline const uint8_t *fuzz_bytes(struct fuzz *fuzz, size_t size, size_t *taken)
{
    const uint8_t *from = fuzz->at;
    *taken = size < fuzz->left ? size : fuzz->left;
    fuzz->at += *taken;
    fuzz->left -= *taken;
    return from;
}

/* The rest as a string of its own. */
static inline char *fuzz_text(struct fuzz *fuzz)
{
    size_t length;
    const uint8_t *from = fuzz_bytes(fuzz, fuzz->left, &length);
    char *text = malloc(length + 1);
    FUZZ_CHECK(text);
    if (length) memcpy(text, from, length);
    text[length] = '\0';
    return text;
}

#endif
