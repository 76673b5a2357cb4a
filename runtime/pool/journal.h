/* journal.h - a file of the tasks that are done, from which a later run goes on.
 *
 *     header   "AMEPOOL" 0, version, number of tasks, hash of the option `job`, checksum
 *     record   magic, rank, first index, number of indices, length of the result, hash of the task's data, seconds,
 *              checksum of these; then the result and a checksum of it, if it has any bytes
 *
 * The file only grows, by whole records in one write. Numbers are bytes, least significant first. A record that the end of
 * the file cuts off is what a killed job leaves: it is removed. Anything else that is wrong is refused, and nothing is
 * changed then. One process at a time has a journal open (flock).
 *
 * What is written survives the death of the job at once; that of the host after the next sync, which the ticker makes.
 * Decoding is pure (ame__journal_next), so that it can be tested with any bytes. The rest expects one thread at a time: of a
 * pool who has manager->lock. Checkpoints of replicas are journals too (replica/save.c).
 */
#ifndef AME_POOL_JOURNAL_H
#define AME_POOL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AME__JOURNAL_VERSION = 1, AME__JOURNAL_HEADER = 64, AME__JOURNAL_RECORD = 64 };

struct ame__journal_record {
    uint64_t index, count, length, task_hash;
    uint32_t rank;
    float seconds;
    const unsigned char *data; /* `length` bytes */
};

/* Decodes the record at bytes + *at and moves *at behind it. 1: a record; 0: the end, or a record that is cut off (*at then
 * tells where); -1: damaged. */
int ame__journal_next(const unsigned char *bytes, size_t size, size_t *at, struct ame__journal_record *record);
/* Decodes the header: false if it is none of this version. */
bool ame__journal_header(const unsigned char bytes[AME__JOURNAL_HEADER], uint64_t *count, uint64_t *job);

struct ame__journal;

/* Opens or makes the journal at `path`. An existing one is refused unless `resume`; if it is of another job (`job`, may be
 * NULL) or number of tasks, it is refused in any case. */
int ame__journal_open(const char *path, bool resume, uint64_t count, const char *job, struct ame__journal **handle);
/* Writes what is left, syncs, and frees; AME_E_SYSTEM if it could not be written. NULL: nothing. */
int ame__journal_close(struct ame__journal *journal);

uint64_t ame__journal_hash(const void *data, uint64_t length);
/* Adds a record, which ame__journal_flush writes. */
int ame__journal_add(struct ame__journal *journal, const struct ame__journal_record *record);
int ame__journal_flush(struct ame__journal *journal);
/* Descriptor to be synced, or -1 if all is; it counts as synced from now on. */
int ame__journal_unsynced(struct ame__journal *journal);
/* Writes what is left and syncs. */
int ame__journal_sync(struct ame__journal *journal);
/* Puts the file, which should be synced, in the place of `path`. */
int ame__journal_rename(struct ame__journal *journal, const char *path);

/* Whether task `index` was in the file when it was opened. */
bool ame__journal_has(const struct ame__journal *journal, uint64_t index, struct ame__journal_record *record);
/* From `index` on: how many tasks in a row are in the file, and how many after these are not (as far as
 * the next that is; UINT64_MAX: none is). `index` must grow from call to call. */
void ame__journal_gap(struct ame__journal *journal, uint64_t index, uint64_t *present, uint64_t *missing);
/* The next task of the file below `end`, in order of their indices, each once; false: none (yet). */
bool ame__journal_replay(struct ame__journal *journal, uint64_t end, struct ame__journal_record *record);
const char *ame__journal_path(const struct ame__journal *journal);

#endif
