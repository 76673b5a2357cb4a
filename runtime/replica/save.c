/* save.c - checkpoints: a journal (pool/journal.h) of all that rank 0 knows of a set.
 *
 * Each save is one record, numbered from 0: the numbers of struct head, parameters (if there were any), states, what the
 * program adds. The last whole record is the checkpoint. The journal sees to the rest: a record that a killed job did not
 * finish is removed, damage is found, a journal of another job (number of replicas, kind, sizes, seed) is refused, and so is
 * one that another process has open. It grows by a record with each save; in place of the KEPT-th a new one is begun beside
 * it and renamed over it. The order of bytes is the machine's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "replica/frame.h"
#include "replica/replica.h"

enum { KEPT = 8, JOB_MAX = 300 };

struct head {
    uint64_t steps, runs, has_parameters, has_states, extra;
};

static void describe(const ame_replicas *set, char job[JOB_MAX])
{
    snprintf(job, JOB_MAX, "%llu replicas of kind %s with %llu, %llu and %llu bytes, seed %llu",
             (unsigned long long) set->count, set->name, (unsigned long long) set->kind.parameters_size,
             (unsigned long long) set->kind.state_size, (unsigned long long) set->kind.result_size,
             (unsigned long long) set->seed);
}

/* Opens or begins the journal; its last record, if it has any, is in *last. */
static int open_journal(const ame_replicas *set, const char *path, struct ame__journal **journal,
                        struct ame__journal_record *last, uint64_t *records)
{
    char job[JOB_MAX];
    describe(set, job);
    int code = ame__journal_open(path, true, AME_POOL_OPEN, job, journal);
    if (code) return ame__error_prefix(code, "this set is %s", job);
    for (*records = 0; ame__journal_replay(*journal, UINT64_MAX, last);) ++*records;
    return AME_OK;
}

/* ---- save ---------------------------------------------------------------------------------------- */

static void encode(const ame_replicas *set, const void *extra, uint64_t length, struct ame__writer *writer)
{
    const struct head head = {.steps = set->report.steps,
                              .runs = set->report.runs,
                              .has_parameters = set->parameters != NULL,
                              .has_states = set->good != 0,
                              .extra = length};
    ame__write(writer, &head, sizeof head);
    if (set->parameters) ame__write(writer, set->parameters, set->count * set->kind.parameters_size);
    for (uint64_t id = 0; set->good && id < set->count; id++)
        ame__write(writer, set->known[id].base, set->kind.state_size);
    ame__write(writer, extra, length);
}

static int append(struct ame__checkpoint *checkpoint, const struct ame__writer *writer)
{
    const struct ame__journal_record record = {
        .index = checkpoint->saves, .count = 1, .data = writer->data, .length = writer->length};
    int code = ame__journal_add(checkpoint->journal, &record);
    if (!code) code = ame__journal_sync(checkpoint->journal);
    if (!code) checkpoint->saves++, checkpoint->kept++;
    return code;
}

/* The journal at the path is the one that is open, or it is new. */
static int begin(const ame_replicas *set, struct ame__checkpoint *checkpoint, const char *path)
{
    struct ame__journal_record last;
    if (checkpoint->journal && strcmp(ame__journal_path(checkpoint->journal), path) == 0) return AME_OK;
    struct ame__checkpoint other = {0};
    int code = open_journal(set, path, &other.journal, &last, &other.kept);
    if (!code && other.kept) {
        (void) ame__journal_close(other.journal);
        return ame__fail(AME_E_STATE,
                         "journal '%s' has a checkpoint already: go on from it with ame_replicas_load, or remove it",
                         path);
    }
    if (code) return code;
    (void) ame__journal_close(checkpoint->journal); /* all of it is synced */
    *checkpoint = other;
    return AME_OK;
}

/* Puts a journal that has only this record in the place of the one that is open. */
static int renew(const ame_replicas *set, struct ame__checkpoint *checkpoint, const char *path,
                 const struct ame__writer *writer)
{
    struct ame__checkpoint fresh = {.saves = checkpoint->saves};
    struct ame__journal_record last;
    size_t size = strlen(path) + sizeof ".new";
    char *beside = malloc(size);
    if (!beside) return ame__fail(AME_E_NOMEM, "out of memory");
    snprintf(beside, size, "%s.new", path);
    (void) unlink(beside); /* of a job that was killed here */
    int code = open_journal(set, beside, &fresh.journal, &last, &fresh.kept);
    if (!code) code = append(&fresh, writer);
    if (!code) code = ame__journal_rename(fresh.journal, path);
    free(beside);
    if (code) {
        char text[AME__ERROR_TEXT_MAX];
        snprintf(text, sizeof text, "%s", ame__error_text());
        (void) ame__journal_close(fresh.journal);
        return ame__error_adopt(code, text);
    }
    (void) ame__journal_close(checkpoint->journal);
    *checkpoint = fresh;
    return AME_OK;
}

int ame_replicas_save(ame_replicas *set, const char *path, const void *extra, uint64_t length)
{
    static const char function[] = "ame_replicas_save";
    if (!set || set->rank != 0) return ame__fail(AME_E_ARG, "%s: only for rank 0 of a set", function);
    if (!path || (!extra && length))
        return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, path ? "extra" : "path");
    int code = set->good ? ame__replica_advance(set, 0, NULL, NULL, true) : AME_OK;
    if (code) return code;
    struct ame__checkpoint *checkpoint = &set->checkpoint;
    struct ame__writer writer = {0};
    encode(set, extra, length, &writer);
    code = writer.failed ? ame__fail(AME_E_NOMEM, "out of memory for a checkpoint") : begin(set, checkpoint, path);
    if (!code) code = checkpoint->kept < KEPT ? append(checkpoint, &writer) : renew(set, checkpoint, path, &writer);
    free(writer.data);
    return code ? ame__error_prefix(code, "%s", function) : AME_OK;
}

/* ---- load ---------------------------------------------------------------------------------------- */

/* Puts what the record says into the set. */
static int restore(ame_replicas *set, const struct head *head, struct ame__reader *reader)
{
    const void *parameters = head->has_parameters ? ame__read(reader, set->count * set->kind.parameters_size) : NULL;
    if (parameters) {
        set->parameters = malloc(set->count * set->kind.parameters_size + 1);
        if (!set->parameters) return ame__fail(AME_E_NOMEM, "out of memory");
        memcpy(set->parameters, parameters, set->count * set->kind.parameters_size);
    }
    set->report.steps = head->steps;
    set->report.runs = head->runs;
    if (!head->has_states) return AME_OK;
    set->serial = set->good = 1;
    for (uint64_t id = 0; id < set->count; id++) {
        const void *state = ame__read(reader, set->kind.state_size);
        struct ame__known *known = &set->known[id];
        known->base = malloc(set->kind.state_size + 1);
        if (!known->base) return ame__fail(AME_E_NOMEM, "out of memory");
        if (state) memcpy(known->base, state, set->kind.state_size);
        known->serial = 1;
        known->step = head->steps;
    }
    return AME_OK;
}

static int take(ame_replicas *set, const struct ame__journal_record *record, void **extra, uint64_t *length)
{
    struct head head = {0};
    struct ame__reader reader = {.next = record->data, .left = record->length};
    const void *begin = ame__read(&reader, sizeof head);
    if (begin) memcpy(&head, begin, sizeof head);
    int code = restore(set, &head, &reader);
    const void *added = code ? NULL : ame__read(&reader, head.extra);
    if (!code && (reader.failed || reader.left))
        code = ame__fail(AME_E_PROTOCOL, "a record is not as long as it must be");
    if (!code && extra && head.extra) {
        *extra = malloc(head.extra);
        if (!*extra) return ame__fail(AME_E_NOMEM, "out of memory");
        memcpy(*extra, added, head.extra);
    }
    if (!code && length) *length = head.extra;
    return code;
}

int ame_replicas_load(ame_replicas *set, const char *path, void **extra, uint64_t *length)
{
    static const char function[] = "ame_replicas_load";
    struct ame__journal_record last = {0};
    uint64_t records = 0;
    if (!set || set->rank != 0) return ame__fail(AME_E_ARG, "%s: only for rank 0 of a set", function);
    if (!path) return ame__fail(AME_E_ARG, "%s: argument 'path' is NULL", function);
    if (set->serial || set->report.runs || set->checkpoint.journal)
        return ame__fail(AME_E_STATE, "%s: the set has made runs, or has a checkpoint, already", function);
    if (access(path, F_OK)) return ame__fail_errno(errno, "%s: %s", function, path);
    if (extra) *extra = NULL;
    if (length) *length = 0;
    int code = open_journal(set, path, &set->checkpoint.journal, &last, &records);
    if (!code && records) {
        code = take(set, &last, extra, length);
        set->checkpoint.saves = last.index + 1;
        set->checkpoint.kept = records;
    }
    return code ? ame__error_prefix(code, "%s", function) : AME_OK;
}
