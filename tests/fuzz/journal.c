/* Fuzzing runtime/pool/journal.c: a file as a job that was killed, a full disk or a user left it. The input says which
 * records it has, good ones with their checksums and bytes of its own; then it is opened, read, added to, and opened again.
 */
#include "pool/journal.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "fuzz.h"

enum { FILE_MAX_SIZE = 1 << 16, LOOKS = 200 };

static size_t add_number(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char) (value >> 8 * i);
    return (size_t) bytes;
}

static void make_header(unsigned char *bytes, uint64_t count)
{
    memset(bytes, 0, AME__JOURNAL_HEADER);
    memcpy(bytes, "AMEPOOL", 8);
    add_number(bytes + 8, AME__JOURNAL_VERSION, 4);
    add_number(bytes + 16, count, 8);
    add_number(bytes + 24, ame__journal_hash("", 0), 8);
    add_number(bytes + 56, ame__journal_hash(bytes, 56), 8);
}

/* A record with good checksums; what it says is the input's. */
static size_t make_record(struct fuzz *input, unsigned char *at)
{
    unsigned how = fuzz_byte(input), length = how & 1 ? fuzz_byte(input) : 0;
    uint64_t index = how & 2 ? fuzz_number(input) : fuzz_byte(input), count = how & 4 ? fuzz_number(input) : how >> 5;
    memset(at, 0, AME__JOURNAL_RECORD);
    memcpy(at, "AMEJ", 4);
    at[4] = (unsigned char) (how >> 3);
    add_number(at + 8, index, 8);
    add_number(at + 16, count, 8);
    add_number(at + 24, how & 8 ? fuzz_number(input) : length, 8);
    add_number(at + 56, ame__journal_hash(at, 56), 8);
    if (!length) return AME__JOURNAL_RECORD;
    memset(at + AME__JOURNAL_RECORD, (int) how, length);
    add_number(at + AME__JOURNAL_RECORD + length, ame__journal_hash(at + AME__JOURNAL_RECORD, length), 8);
    return AME__JOURNAL_RECORD + length + 8;
}

static size_t make_file(struct fuzz *input, unsigned char *bytes, uint64_t count)
{
    size_t size = AME__JOURNAL_HEADER, given;
    make_header(bytes, count);
    while (input->left && size < FILE_MAX_SIZE - 1024) {
        unsigned what = fuzz_byte(input);
        if (what & 1) {
            size += make_record(input, bytes + size);
        } else if (what & 2) {
            const uint8_t *raw = fuzz_bytes(input, what >> 2, &given);
            memcpy(bytes + size, raw, given);
            size += given;
        } else if (what & 4) { /* cut off */
            size -= what % (size - AME__JOURNAL_HEADER / 2);
        } else {
            bytes[size - 1 - what % size] ^= 1;
        }
    }
    return size;
}

static void read_all(struct ame__journal *journal, uint64_t count)
{
    struct ame__journal_record record;
    uint64_t index = 0, present, missing, before = 0;
    for (int i = 0; i < LOOKS && index < count; i++) {
        ame__journal_gap(journal, index, &present, &missing);
        if (present) FUZZ_CHECK(ame__journal_has(journal, index, &record) && index + present <= count);
        if (missing) FUZZ_CHECK(!ame__journal_has(journal, index + present, NULL) || index + present == count);
        if (missing == UINT64_MAX) break;
        index += present + missing;
    }
    for (int i = 0; i < LOOKS && ame__journal_replay(journal, count, &record); i++) {
        FUZZ_CHECK(record.index < count && (i == 0 || record.index > before));
        before = record.index;
        unsigned sum = 0;
        for (uint64_t k = 0; k < record.length; k++) sum += record.data[k]; /* all of it is there */
        FUZZ_CHECK(sum <= 255 * record.length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char bytes[FILE_MAX_SIZE + 1024];
    struct fuzz input = {data, size};
    struct ame__journal *journal = NULL;
    struct ame__journal_record record = {.index = 3, .count = 1, .length = 5, .data = (const unsigned char *) "hello"};
    unsigned how = fuzz_byte(&input);
    uint64_t count = how & 1 ? 200 : UINT64_MAX;
    char path[40];
    int file = memfd_create("journal", MFD_CLOEXEC);
    FUZZ_CHECK(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    size_t length = make_file(&input, bytes, how & 2 ? fuzz_byte(&input) : count);
    FUZZ_CHECK(write(file, bytes, length) == (ssize_t) length);
    if (ame__journal_open(path, true, count, NULL, &journal) == AME_OK) {
        read_all(journal, count);
        FUZZ_CHECK(!ame__journal_add(journal, &record) && !ame__journal_close(journal));
        FUZZ_CHECK(!ame__journal_open(path, true, count, NULL, &journal)); /* what is written can be read */
        FUZZ_CHECK(ame__journal_has(journal, 3, NULL));
        FUZZ_CHECK(!ame__journal_close(journal));
    }
    close(file);
    return 0;
}
