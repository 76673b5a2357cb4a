/* Unit tests of runtime/pool/journal: what a journal gives back, and what it makes of a file that was cut off, damaged, or is
 * of another job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "pool/journal.h"

enum { COUNT = 100, FILE_MAX = 4096 };

static char path[40];                /* a file in memory, so that syncing takes no time */
static unsigned char good[FILE_MAX]; /* the file that write_good has written, and where its records end */
static size_t good_size, ends[8];
static int records;

static void add(struct ame__journal *journal, uint64_t index, uint64_t count, const char *text)
{
    const struct ame__journal_record record = {.index = index,
                                               .count = count,
                                               .length = strlen(text),
                                               .task_hash = index + 7,
                                               .rank = 3,
                                               .seconds = 0.5F,
                                               .data = (const unsigned char *) text};
    assert_int_equal(ame__journal_add(journal, &record), AME_OK);
    assert_int_equal(ame__journal_flush(journal), AME_OK);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    ends[records++] = (size_t) status.st_size;
}

static size_t read_file(unsigned char *bytes)
{
    int file = open(path, O_RDONLY);
    ssize_t got = read(file, bytes, FILE_MAX);
    assert_true(file >= 0 && got >= 0);
    close(file);
    return (size_t) got;
}

static void write_file(const unsigned char *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, size), size);
    close(file);
}

/* Four records: 5 with a result, 10..29 without, 40 with one of one byte, 41 with one. */
static void write_good(void)
{
    struct ame__journal *journal = NULL;
    records = 0;
    write_file(good, 0);
    assert_int_equal(ame__journal_open(path, false, COUNT, "unit", &journal), AME_OK);
    add(journal, 5, 1, "the result of task five");
    add(journal, 10, 20, "");
    add(journal, 40, 1, "x");
    add(journal, 41, 1, "the last one");
    assert_int_equal(ame__journal_close(journal), AME_OK);
    good_size = read_file(good);
}

static int open_old(struct ame__journal **journal)
{
    return ame__journal_open(path, true, COUNT, "unit", journal);
}

/* The file is refused with these words and has not changed. */
static void refused(const unsigned char *bytes, size_t size, int code, const char *words)
{
    struct ame__journal *journal = NULL;
    unsigned char after[FILE_MAX];
    write_file(bytes, size);
    assert_int_equal(open_old(&journal), code);
    assert_null(journal);
    assert_non_null(strstr(ame__error_text(), words));
    assert_non_null(strstr(ame__error_text(), path));
    assert_int_equal(read_file(after), size);
    assert_memory_equal(after, bytes, size);
}

/* The first `kept` records are there, the file ends with them, and it can be added to. */
static void resumes(const unsigned char *bytes, size_t size, int kept)
{
    static const uint64_t indices[] = {5, 10, 40, 41};
    struct ame__journal *journal = NULL;
    unsigned char after[FILE_MAX];
    size_t end = kept ? ends[kept - 1] : AME__JOURNAL_HEADER;
    write_file(bytes, size);
    assert_int_equal(open_old(&journal), AME_OK);
    for (int i = 0; i < 4; i++) assert_int_equal(ame__journal_has(journal, indices[i], NULL), i < kept);
    assert_int_equal(read_file(after), end);
    const struct ame__journal_record more = {.index = 77, .count = 1, .data = (const unsigned char *) ""};
    assert_int_equal(ame__journal_add(journal, &more), AME_OK);
    assert_int_equal(ame__journal_close(journal), AME_OK);
    assert_int_equal(open_old(&journal), AME_OK);
    assert_true(ame__journal_has(journal, 77, NULL));
    assert_int_equal(ame__journal_close(journal), AME_OK);
}

static void what_is_written_is_read(void **state)
{
    (void) state;
    struct ame__journal *journal = NULL;
    struct ame__journal_record record;
    uint64_t present, missing;
    write_good();
    assert_int_equal(open_old(&journal), AME_OK);
    assert_true(ame__journal_has(journal, 5, &record));
    assert_int_equal(record.rank, 3);
    assert_int_equal(record.task_hash, 12);
    assert_true(record.seconds == 0.5F);
    assert_int_equal(record.length, 23);
    assert_memory_equal(record.data, "the result of task five", 23);
    for (uint64_t i = 0; i < COUNT; i++)
        assert_int_equal(ame__journal_has(journal, i, NULL), i == 5 || (i >= 10 && i < 30) || i == 40 || i == 41);
    ame__journal_gap(journal, 0, &present, &missing);
    assert_true(present == 0 && missing == 5);
    ame__journal_gap(journal, 10, &present, &missing);
    assert_true(present == 20 && missing == 10);
    ame__journal_gap(journal, 42, &present, &missing);
    assert_true(present == 0 && missing == UINT64_MAX);
    int replayed = 0;
    for (uint64_t before = 0; ame__journal_replay(journal, COUNT, &record); before = record.index, replayed++)
        assert_true(replayed == 0 || record.index > before);
    assert_int_equal(replayed, 23);
    assert_int_equal(ame__journal_close(journal), AME_OK);
}

/* What a job leaves that is killed while it writes: the file ends anywhere. */
static void a_torn_end_is_cut_off(void **state)
{
    (void) state;
    write_good();
    for (size_t size = AME__JOURNAL_HEADER; size <= good_size; size++) {
        int kept = 0;
        while (kept < records && ends[kept] <= size) kept++;
        resumes(good, size, kept);
    }
    /* not even the header: it is begun anew */
    for (size_t size = 0; size < AME__JOURNAL_HEADER; size += 7) resumes(good, size, 0);
}

/* A file system may leave zeros, or what was there before, where the last write was to be. */
static void rubbish_at_the_end_is_cut_off(void **state)
{
    (void) state;
    unsigned char bytes[FILE_MAX];
    write_good();
    for (int rubbish = 0; rubbish < 256; rubbish += 51) {
        memcpy(bytes, good, good_size);
        memset(bytes + ends[2] + 5, rubbish, 300);
        resumes(bytes, ends[2] + 305, 3);
    }
}

/* Each bit that is wrong is found; if good records follow, the file is refused, else its end is cut off. */
static void flipped_bits_are_found(void **state)
{
    (void) state;
    unsigned char bytes[FILE_MAX];
    write_good();
    memcpy(bytes, good, good_size);
    for (size_t at = 0; at < good_size; at++) {
        unsigned char bit = (unsigned char) (1 << at % 8);
        bytes[at] ^= bit;
        if (at < AME__JOURNAL_HEADER) {
            refused(bytes, good_size, AME_E_CONFIG, "is not a journal of a pool");
        } else if (at < ends[2]) {
            refused(bytes, good_size, AME_E_PROTOCOL, "is damaged at byte");
        } else {
            struct ame__journal *journal = NULL;
            write_file(bytes, good_size);
            int code = open_old(&journal);
            if (code == AME_OK)
                assert_false(ame__journal_has(journal, 41, NULL));
            else
                assert_int_equal(code, AME_E_PROTOCOL);
            assert_int_equal(ame__journal_close(journal), AME_OK);
        }
        bytes[at] ^= bit;
    }
}

static void foreign_journals_are_refused(void **state)
{
    (void) state;
    struct ame__journal *journal = NULL;
    write_good();
    assert_int_equal(ame__journal_open(path, true, COUNT, "another", &journal), AME_E_MISMATCH);
    assert_non_null(strstr(ame__error_text(), "is of another job"));
    assert_int_equal(ame__journal_open(path, true, COUNT, NULL, &journal), AME_E_MISMATCH);
    assert_int_equal(ame__journal_open(path, true, COUNT + 1, "unit", &journal), AME_E_MISMATCH);
    assert_non_null(strstr(ame__error_text(), "is of a job of 100 tasks, this one has 101"));
    assert_int_equal(ame__journal_open(path, true, UINT64_MAX, "unit", &journal), AME_E_MISMATCH);
    assert_int_equal(ame__journal_open(path, false, COUNT, "unit", &journal), AME_E_STATE);
    assert_non_null(strstr(ame__error_text(), "exists: go on from it"));
    unsigned char after[FILE_MAX];
    assert_int_equal(read_file(after), good_size);
    assert_memory_equal(after, good, good_size);
    refused((const unsigned char *) "#!/bin/sh\n# somebody's script\n", 30, AME_E_CONFIG, "is not a journal of a pool");
}

/* The head of a record, its checksum right. */
static size_t put_head(unsigned char *at, uint64_t index, uint64_t count, uint64_t length)
{
    memset(at, 0, AME__JOURNAL_RECORD);
    memcpy(at, "AMEJ", 4);
    for (int i = 0; i < 8; i++) {
        at[8 + i] = (unsigned char) (index >> 8 * i);
        at[16 + i] = (unsigned char) (count >> 8 * i);
        at[24 + i] = (unsigned char) (length >> 8 * i);
    }
    uint64_t hash = ame__journal_hash(at, 56);
    for (int i = 0; i < 8; i++) at[56 + i] = (unsigned char) (hash >> 8 * i);
    return AME__JOURNAL_RECORD;
}

/* Numbers that no record can have, though its checksum is right. */
static void absurd_numbers_are_harmless(void **state)
{
    (void) state;
    unsigned char bytes[FILE_MAX];
    write_good();
    static const uint64_t lengths[] = {FILE_MAX, UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 71, INT64_MAX, 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) { /* longer than the file: torn */
        struct ame__journal_record record;
        memcpy(bytes, good, ends[1]);
        size_t size = ends[1] + put_head(bytes + ends[1], 50, 1, lengths[i]), at = ends[1];
        assert_true(ame__journal_next(bytes, size, &at, &record) <= 0);
        write_file(bytes, size);
        struct ame__journal *journal = NULL;
        int code = open_old(&journal);
        assert_true(code == AME_OK || code == AME_E_PROTOCOL);
        if (code == AME_OK) assert_false(ame__journal_has(journal, 50, NULL));
        assert_int_equal(ame__journal_close(journal), AME_OK);
    }
    static const uint64_t ranges[][2] = {{COUNT, 1}, {0, COUNT + 1}, {COUNT - 1, 2}, {UINT64_MAX - 5, 5}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) { /* tasks that the job does not have */
        memcpy(bytes, good, ends[1]);
        size_t size = ends[1] + put_head(bytes + ends[1], ranges[i][0], ranges[i][1], 0);
        refused(bytes, size, AME_E_PROTOCOL, "is damaged at byte");
    }
    static const uint64_t none[][2] = {{UINT64_MAX, 2}, {5, 0}, {1, UINT64_MAX}};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) { /* no range at all: refused, or at the end removed */
        memcpy(bytes, good, good_size);
        put_head(bytes + ends[0], none[i][0], none[i][1], 0);
        refused(bytes, good_size, AME_E_PROTOCOL, "is damaged at byte");
        resumes(bytes, ends[0] + AME__JOURNAL_RECORD, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),       cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(rubbish_at_the_end_is_cut_off), cmocka_unit_test(flipped_bits_are_found),
        cmocka_unit_test(foreign_journals_are_refused),  cmocka_unit_test(absurd_numbers_are_harmless),
    };
    int file = memfd_create("journal", MFD_CLOEXEC);
    if (file < 0) return 1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
