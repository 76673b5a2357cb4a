/* pmi1.c - started by a launcher that speaks PMI-1 on the inherited descriptor PMI_FD: ameexec, MPICH's Hydra, and
 * Slurm's pmi2 plug-in; or that listens on PMI_PORT: Hydra with -pmi-port.
 *
 * The protocol is lines of key=value pairs, "cmd=..." first; every request has one reply. Replies are parsed by key,
 * since the order and extra pairs differ between launchers. Under ameexec the connection is kept until ame_finalize, so
 * that the launcher knows which ranks have finalized and can be asked to abort; others are left right after the
 * exchange, because their reaction to what comes later is not ours.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/vars.h"

#include "env.h"
#include "pmi.h"
#include "ways.h"

enum { LINE_MAX_BYTES = 1024 };

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    const char *fd = getenv("PMI_FD"), *port = getenv("PMI_PORT");
    static const char *const rank_and_size[] = {"PMI_RANK", "PMI_SIZE", NULL};
    if (fd && ame__env_is_socket(fd)) {
        const char *missing = ame__env_missing(rank_and_size);
        if (missing)
            snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD=%.20s is set, but %s is not", fd, missing);
        else
            snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD=%.20s is an open socket to the launcher", fd);
        return !missing;
    }
    if (port && ame__env_is_set("PMI_ID")) {
        static const char *const place[] = {"PMI_PORT", "PMI_ID", NULL};
        bool stale = ame__env_is_ancestors(place);
        snprintf(why, AME__BOOT_WHY_MAX, "PMI_PORT=%.80s is %s", port,
                 stale ? "for the rank that has started this process" : "where the launcher listens");
        return !stale;
    }
    if (fd)
        snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD=%.20s is not an open socket (left over from an outer launcher?)", fd);
    else
        snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD is not set");
    return false;
}

static int receive_line(struct ame__boot *boot, char line[LINE_MAX_BYTES + 1])
{
    for (;;) {
        char *newline = memchr(boot->input, '\n', boot->input_length);
        if (newline) {
            size_t length = (size_t) (newline - boot->input);
            if (length > LINE_MAX_BYTES) break;
            memcpy(line, boot->input, length);
            line[length] = '\0';
            ame__pmi_consume(boot, length + 1);
            return AME_OK;
        }
        if (boot->input_length == sizeof boot->input) break;
        int code = ame__pmi_receive(boot);
        if (code) return code;
    }
    return ame__fail(AME_E_PROTOCOL, "rank %d: the launcher sent a line of more than %d bytes", boot->rank,
                     LINE_MAX_BYTES);
}

/* Copies the value of " key=" in `line` (up to the next blank) to `value`; false if it is not there. */
static bool value_of(const char *line, const char *key, char *value, size_t size)
{
    size_t key_length = strlen(key);
    for (const char *at = line; at; at = strchr(at, ' ')) {
        while (*at == ' ') at++;
        if (strncmp(at, key, key_length) || at[key_length] != '=') continue;
        at += key_length + 1;
        size_t length = strcspn(at, " ");
        if (length >= size) return false;
        memcpy(value, at, length);
        value[length] = '\0';
        return true;
    }
    return false;
}

/* Sends a request and reads the reply, which must be cmd=`expected` with rc=0 or no rc. */
static int request(struct ame__boot *boot, const char *expected, char reply[LINE_MAX_BYTES + 1], const char *format,
                   ...) __attribute__((format(printf, 4, 5)));
static int request(struct ame__boot *boot, const char *expected, char reply[LINE_MAX_BYTES + 1], const char *format,
                   ...)
{
    char line[LINE_MAX_BYTES + 1], command[64], rc[16];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length >= LINE_MAX_BYTES) return ame__fail(AME_E_INTERNAL, "PMI-1 request of %d bytes", length);
    int code = ame__pmi_send(boot, line, (size_t) length);
    if (!code) code = receive_line(boot, reply);
    if (code) return code;
    if (!value_of(reply, "cmd", command, sizeof command) || strcmp(command, expected))
        return ame__fail(AME_E_PROTOCOL, "rank %d: the launcher answered '%.100s' to '%.*s'", boot->rank, reply,
                         (int) strcspn(line, "\n"), line);
    if (value_of(reply, "rc", rc, sizeof rc) && strcmp(rc, "0"))
        return ame__fail(AME_E_BOOT, "rank %d: the launcher refused '%.*s': '%.100s'", boot->rank,
                         (int) strcspn(line, "\n"), line, reply);
    return AME_OK;
}

/* A launcher that listens on PMI_PORT tells rank and size when it has heard the number PMI_ID. */
static int introduce(struct ame__boot *boot)
{
    char line[LINE_MAX_BYTES + 1], number[20];
    int id, known = 0;
    int code = ame__env_number("PMI_ID", 0, 1 << 24, &id);
    if (!code) code = ame__pmi_connect(boot, getenv("PMI_PORT"));
    if (code) return code;
    int length = snprintf(line, sizeof line, "cmd=initack pmiid=%d\n", id);
    code = ame__pmi_send(boot, line, (size_t) length);
    for (int lines = 0; !code && known < 3 && lines < 10; lines++) {
        code = receive_line(boot, line);
        if (code) break;
        if (value_of(line, "size", number, sizeof number))
            boot->size = (int) strtol(number, NULL, 10), known++;
        else if (value_of(line, "rank", number, sizeof number))
            boot->rank = (int) strtol(number, NULL, 10), known++;
        else if (value_of(line, "debug", number, sizeof number))
            known++; /* the last one */
    }
    if (!code && (known < 3 || boot->size < 1 || boot->size > 1 << 24 || boot->rank < 0 || boot->rank >= boot->size))
        code = ame__fail(AME_E_PROTOCOL, "the launcher at PMI_PORT=%.80s does not say who PMI_ID=%d is",
                         getenv("PMI_PORT"), id);
    return code;
}

static int find_launcher(struct ame__boot *boot)
{
    const char *fd = getenv("PMI_FD");
    if (!fd || !ame__env_is_socket(fd)) return introduce(boot);
    int code = ame__env_number("PMI_SIZE", 1, 1 << 24, &boot->size);
    if (!code) code = ame__env_number("PMI_RANK", 0, boot->size - 1, &boot->rank);
    if (!code) boot->fd = (int) strtol(fd, NULL, 10);
    if (!code) fcntl(boot->fd, F_SETFD, FD_CLOEXEC); /* a subprocess of this rank is not this rank */
    return code;
}

/* Which ranks are on this host? Hydra and ameexec say it in variables, Slurm in a value. */
static int find_place(struct ame__boot *boot)
{
    char reply[LINE_MAX_BYTES + 1], mapping[LINE_MAX_BYTES];
    int code = AME_OK;
    boot->local_rank = boot->rank;
    boot->local_size = boot->size;
    if (ame__env_is_set("MPI_LOCALNRANKS")) {
        if (!ame__env_number("MPI_LOCALNRANKS", 1, boot->size, &boot->local_size) && ame__env_is_set("MPI_LOCALRANKID"))
            code = ame__env_number("MPI_LOCALRANKID", 0, boot->local_size - 1, &boot->local_rank);
        if (boot->local_size == boot->size) boot->hosts = 1;
        return code;
    }
    code = request(boot, "get_result", reply, "cmd=get kvsname=%s key=PMI_process_mapping\n", boot->name);
    if (code == AME_E_BOOT) return boot->lost ? code : AME_OK; /* it does not say: perhaps several hosts */
    if (!code && value_of(reply, "value", mapping, sizeof mapping))
        (void) ame__env_mapping(mapping, boot->rank, boot->size, &boot->hosts, &boot->local_rank, &boot->local_size);
    return code;
}

static int open_pmi1(struct ame__boot *boot)
{
    char reply[LINE_MAX_BYTES + 1];
    int code = find_launcher(boot);
    if (!code) code = request(boot, "response_to_init", reply, "cmd=init pmi_version=1 pmi_subversion=1\n");
    if (code == AME_E_BOOT && !boot->lost) { /* it is there, and refuses this version */
        snprintf(boot->why, sizeof boot->why, "the launcher refuses PMI-1: %.80s", reply);
        boot->way = &ame__boot_pmi2;
        return boot->way->open(boot);
    }
    if (code && boot->lost && boot->size == 1) { /* "srun --pty bash": an earlier program has used it, none is needed */
        snprintf(boot->why, sizeof boot->why, "the launcher is gone, but had started one rank only");
        ame__boot_close(boot);
        return AME_OK;
    }
    if (!code) code = request(boot, "my_kvsname", reply, "cmd=get_my_kvsname\n");
    if (code) return code;
    if (!value_of(reply, "kvsname", boot->name, sizeof boot->name))
        return ame__fail(AME_E_PROTOCOL, "rank %d: no kvsname in '%.100s' of the launcher", boot->rank, reply);
    return find_place(boot);
}

/* AME_JOB_ID alone does not tell: Hydra hands it on where mpiexec is itself a rank of ameexec. */
static bool under_ameexec(const struct ame__boot *boot)
{
    const char *job = ame__var_is_set(AME__VAR_JOB_ID) ? ame__var_text(AME__VAR_JOB_ID) : NULL;
    return boot->fd >= 0 && job && !strncmp(boot->name, "kvs_", 4) && !strcmp(boot->name + 4, job);
}

static int put(struct ame__boot *boot, const char *key, const char *value)
{
    char reply[LINE_MAX_BYTES + 1];
    return request(boot, "put_result", reply, "cmd=put kvsname=%s key=%s value=%s\n", boot->name, key, value);
}

static int fence(struct ame__boot *boot)
{
    char reply[LINE_MAX_BYTES + 1];
    return request(boot, "barrier_out", reply, "cmd=barrier_in\n");
}

static int get(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX])
{
    char reply[LINE_MAX_BYTES + 1];
    int code = request(boot, "get_result", reply, "cmd=get kvsname=%s key=%s\n", boot->name, key);
    if (!code && !value_of(reply, "value", value, AME__BOOT_VALUE_MAX))
        code =
            ame__fail(AME_E_PROTOCOL, "rank %d: no usable value in the launcher's answer for key %s", boot->rank, key);
    return code;
}

/* What follows are extensions that only ameexec knows; the connection of any other launcher has been released. */
enum { PATIENCE_NS = 2000000000 }; /* for an answer of ameexec */

/* Rank 0: if ranks fail from here on, the others need not. */
static void connected(struct ame__boot *boot)
{
    static const char line[] = "cmd=ame_connected\n";
    if (under_ameexec(boot) && boot->rank == 0) (void) ame__pmi_send(boot, line, sizeof line - 1);
}

static int tolerate(struct ame__boot *boot, bool on, bool *agreed)
{
    char reply[LINE_MAX_BYTES + 1], number[20];
    if (!under_ameexec(boot)) return AME_OK;
    int64_t deadline = boot->deadline;
    boot->deadline = ame__now_ns() + PATIENCE_NS;
    int code = request(boot, "ame_tolerate_result", reply, "cmd=ame_tolerate on=%d\n", on);
    boot->deadline = deadline;
    if (!code) *agreed = value_of(reply, "agreed", number, sizeof number) && !strcmp(number, "1");
    return code;
}

static void release(struct ame__boot *boot, bool leaving)
{
    char reply[LINE_MAX_BYTES + 1];
    if (boot->fd < 0 || (!leaving && under_ameexec(boot))) return;
    int64_t deadline = boot->deadline;
    boot->deadline = ame__now_ns() + 5000000000;
    /* A launcher that does not answer any more has nothing to tell us. */
    (void) request(boot, "finalize_ack", reply, "cmd=finalize\n");
    boot->deadline = deadline; /* the connections still have theirs */
    ame__boot_close(boot);
}

static void blame(struct ame__boot *boot, int failed)
{
    char line[64];
    int length = snprintf(line, sizeof line, "cmd=ame_failed rank=%d\n", failed);
    if (boot->fd >= 0) (void) ame__pmi_send(boot, line, (size_t) length);
}

static void abort_job(struct ame__boot *boot, int code)
{
    char line[64];
    int length = snprintf(line, sizeof line, "cmd=abort exitcode=%d\n", code);
    if (boot->fd >= 0) (void) ame__pmi_send(boot, line, (size_t) length);
}

const struct ame__boot_way ame__boot_pmi1 = {
    .name = "pmi1",
    .text = "ameexec, MPICH's mpiexec, or srun --mpi=pmi2 (PMI-1 on PMI_FD or PMI_PORT)",
    .probe = probe,
    .open = open_pmi1,
    .put = put,
    .fence = fence,
    .get = get,
    .connected = connected,
    .release = release,
    .blame = blame,
    .tolerate = tolerate,
    .abort = abort_job};
