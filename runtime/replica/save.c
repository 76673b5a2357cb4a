/* save.c - checkpoints: one file with all that rank 0 knows of a set.
 *
 *   "AMErepl1", the numbers of struct head, the kind's name, then parameters (if there were any), states, what the program
 *   adds, and a BLAKE2b hash of all before it.
 *
 * It is written beside the old one, synced, and renamed over it, so that at any time one whole file is there; the hash tells
 * a damaged one. States are those after the last run; a set that has made no run has none. The order of bytes is the machine's.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/error.h"
#include "replica/frame.h"
#include "replica/replica.h"

enum { HASH_BYTES = 32 };

struct head {
    char magic[8];
    uint64_t parameters_size, state_size, result_size, count, seed;
    uint64_t steps, runs, has_parameters, has_states, extra;
    char name[AME__REPLICA_NAME_MAX];
};

static void hash(const void *bytes, size_t length, unsigned char out[HASH_BYTES])
{
    crypto_generichash(out, HASH_BYTES, bytes, length, NULL, 0);
}

/* ---- write --------------------------------------------------------------------------------------- */

static int write_all(int fd, const unsigned char *bytes, size_t length)
{
    while (length) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        bytes += n;
        length -= (size_t) n;
    }
    return 0;
}

static void sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return; /* the file itself is safe, its name perhaps not yet */
    (void) fsync(fd);
    close(fd);
}

static int write_file(const char *path, const unsigned char *bytes, size_t length)
{
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int) sizeof beside)
        return ame__fail(AME_E_ARG, "ame_replicas_save: the path is too long");
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return ame__fail_errno(errno, "ame_replicas_save: open %s", beside);
    int wrong = write_all(fd, bytes, length) || fsync(fd) ? errno : 0;
    if (close(fd) && !wrong) wrong = errno;
    if (!wrong && rename(beside, path)) wrong = errno;
    if (wrong) {
        unlink(beside);
        return ame__fail_errno(wrong, "ame_replicas_save: write %s", path);
    }
    sync_folder(path);
    return AME_OK;
}

int ame_replicas_save(ame_replicas *set, const char *path, const void *extra, uint64_t length)
{
    if (!set || set->rank != 0) return ame__fail(AME_E_ARG, "ame_replicas_save: only for rank 0 of a set");
    if (!path || (!extra && length))
        return ame__fail(AME_E_ARG, "ame_replicas_save: argument '%s' is NULL", path ? "extra" : "path");
    int code = set->good ? ame__replica_advance(set, 0, NULL, NULL, true) : AME_OK;
    if (code) return code;
    struct head head = {.parameters_size = set->kind.parameters_size,
                        .state_size = set->kind.state_size,
                        .result_size = set->kind.result_size,
                        .count = set->count,
                        .seed = set->seed,
                        .steps = set->report.steps,
                        .runs = set->report.runs,
                        .has_parameters = set->parameters != NULL,
                        .has_states = set->good != 0,
                        .extra = length};
    memcpy(head.magic, "AMErepl1", sizeof head.magic);
    snprintf(head.name, sizeof head.name, "%s", set->name);
    struct ame__writer writer = {0};
    ame__write(&writer, &head, sizeof head);
    if (set->parameters) ame__write(&writer, set->parameters, set->count * set->kind.parameters_size);
    for (uint64_t id = 0; set->good && id < set->count; id++)
        ame__write(&writer, set->known[id].base, set->kind.state_size);
    ame__write(&writer, extra, length);
    unsigned char sum[HASH_BYTES];
    if (!writer.failed) hash(writer.data, writer.length, sum);
    ame__write(&writer, sum, sizeof sum);
    code = writer.failed ? ame__fail(AME_E_NOMEM, "ame_replicas_save: out of memory")
                         : write_file(path, writer.data, writer.length);
    free(writer.data);
    return code;
}

/* ---- read ---------------------------------------------------------------------------------------- */

static int read_file(const char *path, unsigned char **bytes, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) {
        int wrong = errno;
        if (fd >= 0) close(fd);
        return ame__fail_errno(wrong, "ame_replicas_load: open %s", path);
    }
    size_t size = status.st_size > 0 ? (size_t) status.st_size : 0, done = 0;
    unsigned char *data = malloc(size + 1);
    int code = data ? AME_OK : ame__fail(AME_E_NOMEM, "ame_replicas_load: out of memory for %zu bytes", size);
    while (!code && done < size) {
        ssize_t n = read(fd, data + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) code = ame__fail_errno(errno, "ame_replicas_load: read %s", path);
        if (n <= 0) break;
        done += (size_t) n;
    }
    close(fd);
    if (code) {
        free(data);
        return code;
    }
    *bytes = data;
    *length = done;
    return AME_OK;
}

static int check_head(const ame_replicas *set, const char *path, const struct head *head)
{
    if (strncmp(head->name, set->name, sizeof head->name) != 0 || head->parameters_size != set->kind.parameters_size ||
        head->state_size != set->kind.state_size || head->result_size != set->kind.result_size ||
        head->count != set->count || head->seed != set->seed)
        return ame__fail(
            AME_E_MISMATCH,
            "ame_replicas_load: %s is of %llu replicas of kind %.63s, %llu bytes of state, seed %llu; this set has "
            "%llu of kind %s, %llu bytes, seed %llu",
            path, (unsigned long long) head->count, head->name, (unsigned long long) head->state_size,
            (unsigned long long) head->seed, (unsigned long long) set->count, set->name,
            (unsigned long long) set->kind.state_size, (unsigned long long) set->seed);
    return AME_OK;
}

/* Puts what the file says into the set. */
static int restore(ame_replicas *set, const struct head *head, struct ame__reader *reader)
{
    const void *parameters = head->has_parameters ? ame__read(reader, set->count * set->kind.parameters_size) : NULL;
    if (parameters) {
        set->parameters = malloc(set->count * set->kind.parameters_size + 1);
        if (!set->parameters) return ame__fail(AME_E_NOMEM, "ame_replicas_load: out of memory");
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
        if (!known->base) return ame__fail(AME_E_NOMEM, "ame_replicas_load: out of memory");
        if (state) memcpy(known->base, state, set->kind.state_size);
        known->serial = 1;
        known->step = head->steps;
    }
    return AME_OK;
}

static int take(ame_replicas *set, const char *path, const unsigned char *bytes, size_t length, void **extra,
                uint64_t *extra_length)
{
    struct head head;
    unsigned char sum[HASH_BYTES];
    size_t body = length < sizeof head + HASH_BYTES ? 0 : length - HASH_BYTES;
    if (body) memcpy(&head, bytes, sizeof head);
    if (!body || memcmp(head.magic, "AMErepl1", sizeof head.magic) != 0)
        return ame__fail(AME_E_ARG, "ame_replicas_load: %s is no checkpoint of replicas", path);
    hash(bytes, body, sum);
    if (memcmp(sum, bytes + body, HASH_BYTES) != 0)
        return ame__fail(AME_E_ARG, "ame_replicas_load: %s is damaged", path);
    int code = check_head(set, path, &head);
    if (code) return code;
    struct ame__reader reader = {.next = bytes + sizeof head, .left = body - sizeof head};
    code = restore(set, &head, &reader);
    const void *added = code ? NULL : ame__read(&reader, head.extra);
    if (!code && (reader.failed || reader.left)) code = ame__fail(AME_E_ARG, "ame_replicas_load: %s is damaged", path);
    if (!code && extra) {
        *extra = malloc(head.extra + 1);
        if (!*extra) return ame__fail(AME_E_NOMEM, "ame_replicas_load: out of memory");
        if (head.extra) memcpy(*extra, added, head.extra);
    }
    if (!code && extra_length) *extra_length = head.extra;
    return code;
}

int ame_replicas_load(ame_replicas *set, const char *path, void **extra, uint64_t *length)
{
    if (!set || set->rank != 0) return ame__fail(AME_E_ARG, "ame_replicas_load: only for rank 0 of a set");
    if (!path) return ame__fail(AME_E_ARG, "ame_replicas_load: argument 'path' is NULL");
    if (set->serial || set->report.runs)
        return ame__fail(AME_E_STATE, "ame_replicas_load: the set has made runs already");
    unsigned char *bytes = NULL;
    size_t size = 0;
    int code = read_file(path, &bytes, &size);
    if (code) return code;
    code = take(set, path, bytes, size, extra, length);
    free(bytes);
    return code;
}
