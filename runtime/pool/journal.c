#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

static const unsigned char magic[8] = {'A', 'M', 'E', 'P', 'O', 'O', 'L', 0};
static const unsigned char record_magic[4] = {'A', 'M', 'E', 'J'};
/* Checksums find damage, they do not prove who wrote it: the key is no secret. */
static const unsigned char key[crypto_shorthash_KEYBYTES] = "AME pool journal";

enum { BUFFER = 256 << 10 };

struct entry {
    uint64_t index, count;
    size_t at; /* of the record in the file */
};

struct ame__journal {
    int fd;
    char *path;
    bool dirty;
    unsigned char *buffer;
    size_t used, room;
    unsigned char *map; /* the file as it was found */
    size_t map_size;
    struct entry *entries; /* by index, disjoint */
    size_t count, cursor;  /* of ame__journal_gap */
    size_t replay;         /* of ame__journal_replay, and how far within that entry */
    uint64_t replayed;
};

/* ---- bytes --------------------------------------------------------------------------------------- */

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char) (value >> 8 * i);
}

static uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t) at[i] << 8 * i;
    return value;
}

uint64_t ame__journal_hash(const void *data, uint64_t length)
{
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, length ? data : key, length, key);
    return get(hash, 8);
}

static void encode_header(unsigned char bytes[AME__JOURNAL_HEADER], uint64_t count, uint64_t job)
{
    memset(bytes, 0, AME__JOURNAL_HEADER);
    memcpy(bytes, magic, sizeof magic);
    put(bytes + 8, AME__JOURNAL_VERSION, 4);
    put(bytes + 16, count, 8);
    put(bytes + 24, job, 8);
    put(bytes + 56, ame__journal_hash(bytes, 56), 8);
}

bool ame__journal_header(const unsigned char bytes[AME__JOURNAL_HEADER], uint64_t *count, uint64_t *job)
{
    if (memcmp(bytes, magic, sizeof magic) || get(bytes + 8, 4) != AME__JOURNAL_VERSION) return false;
    if (get(bytes + 56, 8) != ame__journal_hash(bytes, 56)) return false;
    *count = get(bytes + 16, 8);
    *job = get(bytes + 24, 8);
    return true;
}

static void encode_record(unsigned char bytes[AME__JOURNAL_RECORD], const struct ame__journal_record *record)
{
    uint32_t bits;
    memcpy(&bits, &record->seconds, sizeof bits);
    memset(bytes, 0, AME__JOURNAL_RECORD);
    memcpy(bytes, record_magic, sizeof record_magic);
    put(bytes + 4, record->rank, 4);
    put(bytes + 8, record->index, 8);
    put(bytes + 16, record->count, 8);
    put(bytes + 24, record->length, 8);
    put(bytes + 32, record->task_hash, 8);
    put(bytes + 40, bits, 4);
    put(bytes + 56, ame__journal_hash(bytes, 56), 8);
}

int ame__journal_next(const unsigned char *bytes, size_t size, size_t *at, struct ame__journal_record *record)
{
    const unsigned char *head = bytes + *at;
    size_t left = size - *at;
    if (left < AME__JOURNAL_RECORD) return 0;
    if (memcmp(head, record_magic, sizeof record_magic) || get(head + 56, 8) != ame__journal_hash(head, 56)) return -1;
    uint32_t bits = (uint32_t) get(head + 40, 4);
    *record = (struct ame__journal_record){.rank = (uint32_t) get(head + 4, 4),
                                           .index = get(head + 8, 8),
                                           .count = get(head + 16, 8),
                                           .length = get(head + 24, 8),
                                           .task_hash = get(head + 32, 8),
                                           .data = head + AME__JOURNAL_RECORD};
    memcpy(&record->seconds, &bits, sizeof bits);
    if (record->count == 0 || record->count > UINT64_MAX - record->index || (record->count > 1 && record->length))
        return -1;
    left -= AME__JOURNAL_RECORD;
    if (record->length == 0) {
        *at += AME__JOURNAL_RECORD;
        return 1;
    }
    if (left < 8 || record->length > left - 8) return 0;
    if (get(record->data + record->length, 8) != ame__journal_hash(record->data, record->length)) return -1;
    *at += AME__JOURNAL_RECORD + record->length + 8;
    return 1;
}

/* ---- reading an old one -------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int add_entry(struct ame__journal *journal, const struct entry *entry, size_t *room)
{
    if (journal->count == *room) {
        size_t more = *room ? 2 * *room : 256;
        struct entry *entries = realloc(journal->entries, more * sizeof *entries);
        if (!entries) return ame__fail(AME_E_NOMEM, "journal '%s': out of memory for its index", journal->path);
        journal->entries = entries;
        *room = more;
    }
    journal->entries[journal->count++] = *entry;
    return AME_OK;
}

/* Sorts, and makes the entries disjoint: a task may be there twice when its worker was thought dead. */
static void tidy(struct ame__journal *journal)
{
    size_t kept = 0;
    if (journal->count) qsort(journal->entries, journal->count, sizeof *journal->entries, compare);
    for (size_t i = 0; i < journal->count; i++) {
        struct entry entry = journal->entries[i];
        uint64_t end = kept ? journal->entries[kept - 1].index + journal->entries[kept - 1].count : 0;
        if (entry.index + entry.count <= end) continue;
        if (entry.index < end) {
            entry.count -= end - entry.index;
            entry.index = end;
        }
        journal->entries[kept++] = entry;
    }
    journal->count = kept;
}

/* Whether a good record begins anywhere behind `at`: then what is at `at` is damage, not the torn end of the file. */
static bool more_behind(const struct ame__journal *journal, size_t at)
{
    struct ame__journal_record record;
    for (size_t next = at + 1; next + AME__JOURNAL_RECORD <= journal->map_size; next++) {
        size_t end = next;
        if (!memcmp(journal->map + next, record_magic, sizeof record_magic) &&
            ame__journal_next(journal->map, journal->map_size, &end, &record) == 1)
            return true;
    }
    return false;
}

static int read_records(struct ame__journal *journal, uint64_t count)
{
    struct ame__journal_record record;
    size_t at = AME__JOURNAL_HEADER, room = 0;
    for (;;) {
        size_t begin = at;
        int got = ame__journal_next(journal->map, journal->map_size, &at, &record);
        if (got == 1 && record.index + record.count > count) got = -1;
        if (got == 1) {
            struct entry entry = {.index = record.index, .count = record.count, .at = begin};
            int code = add_entry(journal, &entry, &room);
            if (code) return code;
            continue;
        }
        if (got < 0 && (at != begin || more_behind(journal, begin)))
            return ame__fail(
                AME_E_PROTOCOL,
                "journal '%s' is damaged at byte %zu; what is before it is good: cut the file off there to go on "
                "from that",
                journal->path, begin);
        tidy(journal);
        if (begin == journal->map_size) return AME_OK;
        if (ftruncate(journal->fd, (off_t) begin) == 0) return AME_OK;
        return ame__fail_errno(errno, "journal '%s': its torn last record cannot be removed", journal->path);
    }
}

static const char *describe_count(uint64_t count, char *text, size_t size)
{
    if (count == UINT64_MAX) return "an unknown number of"; /* AME_POOL_OPEN */
    snprintf(text, size, "%llu", (unsigned long long) count);
    return text;
}

static int read_old(struct ame__journal *journal, size_t size, uint64_t count, uint64_t job)
{
    uint64_t old_count, old_job;
    journal->map = mmap(NULL, size, PROT_READ, MAP_SHARED, journal->fd, 0);
    if (journal->map == MAP_FAILED) {
        journal->map = NULL;
        return ame__fail_errno(errno, "journal '%s' cannot be read", journal->path);
    }
    journal->map_size = size;
    if (!ame__journal_header(journal->map, &old_count, &old_job))
        return ame__fail(AME_E_CONFIG, "'%s' is not a journal of a pool, or one of another version", journal->path);
    if (old_job != job) return ame__fail(AME_E_MISMATCH, "journal '%s' is of another job (option job)", journal->path);
    if (old_count != count) {
        char old[40], present[40];
        return ame__fail(AME_E_MISMATCH, "journal '%s' is of a job of %s tasks, this one has %s tasks", journal->path,
                         describe_count(old_count, old, sizeof old), describe_count(count, present, sizeof present));
    }
    return read_records(journal, count);
}

/* ---- opening and closing ------------------------------------------------------------------------- */

static int write_all(const struct ame__journal *journal, const unsigned char *bytes, size_t size)
{
    while (size) {
        ssize_t done = write(journal->fd, bytes, size);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return ame__fail_errno(errno, "journal '%s' cannot be written", journal->path);
        bytes += done;
        size -= (size_t) done;
    }
    return AME_OK;
}

static int begin_new(struct ame__journal *journal, uint64_t count, uint64_t job)
{
    unsigned char bytes[AME__JOURNAL_HEADER];
    encode_header(bytes, count, job);
    int code =
        ftruncate(journal->fd, 0) ? ame__fail_errno(errno, "journal '%s' cannot be begun", journal->path) : AME_OK;
    if (!code) code = write_all(journal, bytes, sizeof bytes);
    if (!code && fdatasync(journal->fd)) code = ame__fail_errno(errno, "journal '%s' cannot be synced", journal->path);
    return code;
}

static int open_file(struct ame__journal *journal, bool resume, uint64_t count, uint64_t job)
{
    struct stat status;
    journal->fd = open(journal->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (journal->fd < 0) return ame__fail_errno(errno, "journal '%s' cannot be opened", journal->path);
    if (flock(journal->fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return ame__fail(AME_E_STATE, "journal '%s' is in use by another process", journal->path);
        return ame__fail_errno(errno, "journal '%s' cannot be locked", journal->path);
    }
    if (fstat(journal->fd, &status)) return ame__fail_errno(errno, "journal '%s' cannot be read", journal->path);
    if (status.st_size < AME__JOURNAL_HEADER) { /* new, or killed in its first moment */
        unsigned char bytes[AME__JOURNAL_HEADER];
        ssize_t got = pread(journal->fd, bytes, sizeof bytes, 0);
        if (got > 0 && memcmp(bytes, magic, (size_t) got < sizeof magic ? (size_t) got : sizeof magic))
            return ame__fail(AME_E_CONFIG, "'%s' is not a journal of a pool", journal->path);
        return begin_new(journal, count, job);
    }
    if (!resume)
        return ame__fail(AME_E_STATE, "journal '%s' exists: go on from it with the option resume=1, or remove it",
                         journal->path);
    return read_old(journal, (size_t) status.st_size, count, job);
}

static void destroy(struct ame__journal *journal)
{
    if (journal->map) munmap(journal->map, journal->map_size);
    if (journal->fd >= 0) close(journal->fd);
    free(journal->entries);
    free(journal->buffer);
    free(journal->path);
    free(journal);
}

int ame__journal_open(const char *path, bool resume, uint64_t count, const char *job, struct ame__journal **handle)
{
    struct ame__journal *journal = calloc(1, sizeof *journal);
    if (!journal || !(journal->path = strdup(path))) {
        free(journal);
        return ame__fail(AME_E_NOMEM, "journal '%s': out of memory", path);
    }
    int code = open_file(journal, resume, count, ame__journal_hash(job ? job : "", job ? strlen(job) : 0));
    if (code) {
        destroy(journal);
        return code;
    }
    *handle = journal;
    return AME_OK;
}

int ame__journal_close(struct ame__journal *journal)
{
    if (!journal) return AME_OK;
    int code = ame__journal_sync(journal);
    destroy(journal);
    return code;
}

int ame__journal_sync(struct ame__journal *journal)
{
    int code = ame__journal_flush(journal), fd = ame__journal_unsynced(journal);
    if (!code && fd >= 0 && fdatasync(fd))
        code = ame__fail_errno(errno, "journal '%s' cannot be synced", journal->path);
    return code;
}

int ame__journal_rename(struct ame__journal *journal, const char *path)
{
    char folder[PATH_MAX], *copy = strdup(path);
    if (!copy) return ame__fail(AME_E_NOMEM, "journal '%s': out of memory", path);
    if (rename(journal->path, path)) {
        free(copy);
        return ame__fail_errno(errno, "journal '%s' cannot become '%s'", journal->path, path);
    }
    free(journal->path);
    journal->path = copy;
    snprintf(folder, sizeof folder, "%s", path);
    int fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return AME_OK; /* the file itself is safe, its name perhaps not yet */
    (void) fsync(fd);
    close(fd);
    return AME_OK;
}

const char *ame__journal_path(const struct ame__journal *journal)
{
    return journal->path;
}

/* ---- writing ------------------------------------------------------------------------------------- */

int ame__journal_flush(struct ame__journal *journal)
{
    if (!journal || journal->used == 0) return AME_OK;
    size_t used = journal->used;
    journal->used = 0;
    journal->dirty = true;
    return write_all(journal, journal->buffer, used);
}

int ame__journal_unsynced(struct ame__journal *journal)
{
    if (!journal || !journal->dirty) return -1;
    journal->dirty = false;
    return journal->fd;
}

int ame__journal_add(struct ame__journal *journal, const struct ame__journal_record *record)
{
    size_t size = AME__JOURNAL_RECORD + (record->length ? record->length + 8 : 0);
    int code = journal->used + size > BUFFER ? ame__journal_flush(journal) : AME_OK;
    if (code) return code;
    if (journal->used + size > journal->room) {
        size_t room = size > BUFFER ? size : BUFFER;
        unsigned char *buffer = realloc(journal->buffer, room);
        if (!buffer) return ame__fail(AME_E_NOMEM, "journal '%s': out of memory", journal->path);
        journal->buffer = buffer;
        journal->room = room;
    }
    unsigned char *at = journal->buffer + journal->used;
    encode_record(at, record);
    if (record->length) {
        memcpy(at + AME__JOURNAL_RECORD, record->data, record->length);
        put(at + AME__JOURNAL_RECORD + record->length, ame__journal_hash(record->data, record->length), 8);
    }
    journal->used += size;
    return AME_OK;
}

/* ---- what was there ------------------------------------------------------------------------------ */

static void describe(const struct ame__journal *journal, const struct entry *entry, struct ame__journal_record *record)
{
    size_t at = entry->at;
    (void) ame__journal_next(journal->map, journal->map_size, &at, record);
}

bool ame__journal_has(const struct ame__journal *journal, uint64_t index, struct ame__journal_record *record)
{
    size_t low = 0, high = journal ? journal->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &journal->entries[middle];
        if (index < entry->index) {
            high = middle;
        } else if (index - entry->index >= entry->count) {
            low = middle + 1;
        } else {
            if (record) describe(journal, entry, record);
            return true;
        }
    }
    return false;
}

void ame__journal_gap(struct ame__journal *journal, uint64_t index, uint64_t *present, uint64_t *missing)
{
    *present = 0;
    *missing = UINT64_MAX;
    for (; journal && journal->cursor < journal->count; journal->cursor++) {
        const struct entry *entry = &journal->entries[journal->cursor];
        if (entry->index + entry->count <= index + *present) continue;
        if (entry->index > index + *present) {
            *missing = entry->index - index - *present;
            return;
        }
        *present = entry->index + entry->count - index;
    }
}

bool ame__journal_replay(struct ame__journal *journal, uint64_t end, struct ame__journal_record *record)
{
    if (!journal || journal->replay == journal->count) return false;
    const struct entry *entry = &journal->entries[journal->replay];
    if (entry->index + journal->replayed >= end) return false;
    describe(journal, entry, record);
    record->index = entry->index + journal->replayed;
    if (++journal->replayed == entry->count) {
        journal->replay++;
        journal->replayed = 0;
    }
    return true;
}
