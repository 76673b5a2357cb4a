/* pmi1.c - started by a launcher that speaks PMI-1 on the inherited descriptor PMI_FD: ameexec, MPICH's Hydra, and
 * Slurm's pmi2 plug-in.
 *
 * The protocol is lines of key=value pairs, "cmd=..." first; every request has one reply. Replies are parsed by key,
 * since the order and extra pairs differ between launchers. Under ameexec the connection is kept until ame_finalize, so
 * that the launcher knows which ranks have finalized and can be asked to abort; others are left right after the
 * exchange, because their reaction to what comes later is not ours.
 */
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/vars.h"

enum { LINE_MAX_BYTES = 1024 };

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    const char *text = getenv("PMI_FD");
    struct stat status;
    if (!text || !*text) {
        snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD is not set");
        return false;
    }
    char *end;
    long fd = strtol(text, &end, 10);
    if (*end || fd < 0 || fd > 1 << 20 || fstat((int) fd, &status) || !S_ISSOCK(status.st_mode)) {
        snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD=%.20s is not an open socket (left over from an outer launcher?)",
                 text);
        return false;
    }
    if (!getenv("PMI_RANK") || !getenv("PMI_SIZE")) {
        snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD=%.20s is set, but PMI_RANK or PMI_SIZE is not", text);
        return false;
    }
    snprintf(why, AME__BOOT_WHY_MAX, "PMI_FD=%.20s is an open socket to the launcher", text);
    return true;
}

static int send_line(struct ame__boot *boot, const char *line, size_t length)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t n = send(boot->fd, line + sent, length - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t) n;
        else if (n < 0 && errno != EINTR && errno != EAGAIN)
            return ame__fail(AME_E_BOOT, "rank %d of %d: the launcher is gone (write to PMI_FD=%d: %s)", boot->rank,
                             boot->size, boot->fd, ame__errno_name(errno));
    }
    return AME_OK;
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
            boot->input_length -= length + 1;
            memmove(boot->input, newline + 1, boot->input_length);
            return AME_OK;
        }
        if (boot->input_length == sizeof boot->input) break;
        int64_t left = (boot->deadline - ame__now_ns()) / 1000000;
        struct pollfd poller = {.fd = boot->fd, .events = POLLIN};
        int ready = left > 0 ? poll(&poller, 1, left > 60000 ? 60000 : (int) left) : 0;
        if (left <= 0)
            return ame__fail(AME_E_TIMEOUT,
                             "rank %d of %d: the other ranks did not get as far as ame_init in the time of "
                             "AME_CONNECT_TIMEOUT=%s s (waiting for the launcher at PMI_FD=%d)",
                             boot->rank, boot->size, ame__var_text(AME__VAR_CONNECT_TIMEOUT), boot->fd);
        if (ready <= 0) continue;
        ssize_t n = recv(boot->fd, boot->input + boot->input_length, sizeof boot->input - boot->input_length, 0);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return ame__fail(AME_E_BOOT,
                             "rank %d of %d: the launcher closed the connection PMI_FD=%d (%s). Has another program "
                             "of this rank used it already?",
                             boot->rank, boot->size, boot->fd, n ? ame__errno_name(errno) : "end of file");
        if (n > 0) boot->input_length += (size_t) n;
    }
    return ame__fail(AME_E_PROTOCOL, "rank %d: the launcher sent a line of more than %d bytes on PMI_FD", boot->rank,
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
    int code = send_line(boot, line, (size_t) length);
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

static int number_from(const char *name, int minimum, int maximum, int *number)
{
    const char *text = getenv(name);
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    if (!text || end == text || *end || value < minimum || value > maximum)
        return ame__fail(AME_E_BOOT, "%s='%s' is not a number from %d to %d", name, text ? text : "", minimum, maximum);
    *number = (int) value;
    return AME_OK;
}

static int open_pmi1(struct ame__boot *boot)
{
    char reply[LINE_MAX_BYTES + 1];
    int code = number_from("PMI_SIZE", 1, 1 << 24, &boot->size);
    if (!code) code = number_from("PMI_RANK", 0, boot->size - 1, &boot->rank);
    if (code) return code;
    boot->fd = (int) strtol(getenv("PMI_FD"), NULL, 10);
    fcntl(boot->fd, F_SETFD, FD_CLOEXEC); /* a subprocess of this rank is not this rank */
    code = request(boot, "response_to_init", reply, "cmd=init pmi_version=1 pmi_subversion=1\n");
    if (!code) code = request(boot, "my_kvsname", reply, "cmd=get_my_kvsname\n");
    if (code) return code;
    if (!value_of(reply, "kvsname", boot->name, sizeof boot->name))
        return ame__fail(AME_E_PROTOCOL, "rank %d: no kvsname in '%.100s' of the launcher", boot->rank, reply);
    boot->local_rank = boot->rank;
    boot->local_size = boot->size;
    if (getenv("MPI_LOCALNRANKS") && !number_from("MPI_LOCALNRANKS", 1, boot->size, &boot->local_size) &&
        getenv("MPI_LOCALRANKID"))
        code = number_from("MPI_LOCALRANKID", 0, boot->local_size - 1, &boot->local_rank);
    return code;
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

static void release(struct ame__boot *boot, bool leaving)
{
    char reply[LINE_MAX_BYTES + 1];
    if (boot->fd < 0 || (!leaving && ame__var_is_set(AME__VAR_JOB_ID))) return;
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
    /* An extension that only ameexec knows; the connection of any other launcher has been released. */
    if (boot->fd >= 0) (void) send_line(boot, line, (size_t) length);
}

static void abort_job(struct ame__boot *boot, int code)
{
    char line[64];
    int length = snprintf(line, sizeof line, "cmd=abort exitcode=%d\n", code);
    if (boot->fd >= 0) (void) send_line(boot, line, (size_t) length);
}

const struct ame__boot_way ame__boot_pmi1 = {.name = "pmi1",
                                             .text = "ameexec, MPICH's mpiexec, or srun --mpi=pmi2 (PMI-1 on PMI_FD)",
                                             .probe = probe,
                                             .open = open_pmi1,
                                             .put = put,
                                             .fence = fence,
                                             .get = get,
                                             .release = release,
                                             .blame = blame,
                                             .abort = abort_job};
