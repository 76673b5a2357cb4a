/* pmi2.c - started by a launcher that speaks PMI-2 on PMI_FD and refuses PMI-1, or where AME_BOOT=pmi2 asks for it.
 *
 * The first request and its reply are a line, as in PMI-1. Then frames: the length in six characters, padded with blanks
 * on either side, and that many bytes of "key=value;" pairs, "cmd=..." first. Every request has one reply. A launcher
 * does not answer what it does not know, so nothing is asked that Slurm and Hydra do not both know.
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

enum { FRAME_LONGEST = 1536, LENGTH_SIZE = 6 };

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    const char *fd = getenv("PMI_FD");
    static const char *const rank_and_size[] = {"PMI_RANK", "PMI_SIZE", NULL};
    if (!fd || !ame__env_is_socket(fd) || ame__env_missing(rank_and_size)) {
        snprintf(why, AME__BOOT_WHY_MAX, "there is no PMI_FD that is an open socket, with PMI_RANK and PMI_SIZE");
        return false;
    }
    bool asked = !strcmp(ame__var_text(AME__VAR_BOOT), "pmi2");
    snprintf(why, AME__BOOT_WHY_MAX,
             asked ? "AME_BOOT=pmi2 and PMI_FD=%.20s is an open socket to the launcher"
                   : "PMI-1 is tried first on PMI_FD=%.20s; this if the launcher refuses it, or AME_BOOT=pmi2 says so",
             fd);
    return asked;
}

/* Copies the value of "key=" in a frame (up to the next ';') to `value`; false if it is not there. */
static bool value_of(const char *frame, const char *key, char *value, size_t size)
{
    size_t key_length = strlen(key);
    for (const char *at = frame; at && *at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
        if (strncmp(at, key, key_length) || at[key_length] != '=') continue;
        at += key_length + 1;
        size_t length = strcspn(at, ";");
        if (length >= size) return false;
        memcpy(value, at, length);
        value[length] = '\0';
        return true;
    }
    return false;
}

static int receive_frame(struct ame__boot *boot, char frame[FRAME_LONGEST + 1])
{
    char digits[LENGTH_SIZE + 1], *end;
    long length = -1;
    for (;;) {
        if (boot->input_length >= LENGTH_SIZE) {
            memcpy(digits, boot->input, LENGTH_SIZE);
            digits[LENGTH_SIZE] = '\0';
            length = strtol(digits, &end, 10);
            if (end == digits || end[strspn(end, " ")] || length < 0 || length > FRAME_LONGEST)
                return ame__fail(AME_E_PROTOCOL, "rank %d: the launcher sent '%.6s' as the length of a PMI-2 frame",
                                 boot->rank, digits);
            if (boot->input_length >= LENGTH_SIZE + (size_t) length) break;
        }
        int code = ame__pmi_receive(boot);
        if (code) return code;
    }
    memcpy(frame, boot->input + LENGTH_SIZE, (size_t) length);
    frame[length] = '\0';
    ame__pmi_consume(boot, LENGTH_SIZE + (size_t) length);
    return AME_OK;
}

/* Sends a request and reads the reply, which must be cmd=`command`-response with rc=0. */
static int request(struct ame__boot *boot, const char *command, char reply[FRAME_LONGEST + 1], const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int request(struct ame__boot *boot, const char *command, char reply[FRAME_LONGEST + 1], const char *format, ...)
{
    char body[FRAME_LONGEST], frame[FRAME_LONGEST + 100], got[64], expected[64], rc[16];
    va_list args;
    va_start(args, format);
    vsnprintf(body, sizeof body, format, args);
    va_end(args);
    int length = snprintf(frame + LENGTH_SIZE, sizeof frame - LENGTH_SIZE, "cmd=%s;%s", command, body);
    snprintf(got, sizeof got, "%6d", length);
    memcpy(frame, got, LENGTH_SIZE);
    int code = ame__pmi_send(boot, frame, LENGTH_SIZE + (size_t) length);
    if (!code) code = receive_frame(boot, reply);
    if (code) return code;
    snprintf(expected, sizeof expected, "%s-response", command);
    if (!value_of(reply, "cmd", got, sizeof got) || strcmp(got, expected))
        return ame__fail(AME_E_PROTOCOL, "rank %d: the launcher answered '%.100s' to PMI-2 '%s'", boot->rank, reply,
                         command);
    if (!value_of(reply, "rc", rc, sizeof rc) || strcmp(rc, "0"))
        return ame__fail(AME_E_BOOT, "rank %d: the launcher refused PMI-2 '%s': '%.100s'", boot->rank, command, reply);
    return AME_OK;
}

static int begin_version_2(struct ame__boot *boot)
{
    static const char line[] = "cmd=init pmi_version=2 pmi_subversion=0\n";
    char *newline;
    int code = ame__pmi_send(boot, line, strlen(line));
    while (!code && !(newline = memchr(boot->input, '\n', boot->input_length))) {
        if (boot->input_length > FRAME_LONGEST) return ame__fail(AME_E_PROTOCOL, "the launcher sends too long a line");
        code = ame__pmi_receive(boot);
    }
    if (code) return code;
    *newline = '\0';
    if (!strstr(boot->input, "rc=0"))
        return ame__fail(AME_E_BOOT, "rank %d: the launcher refuses PMI-1 and PMI-2: '%.100s'", boot->rank,
                         boot->input);
    ame__pmi_consume(boot, (size_t) (newline + 1 - boot->input));
    return AME_OK;
}

static void find_place(struct ame__boot *boot)
{
    char reply[FRAME_LONGEST + 1], mapping[FRAME_LONGEST];
    boot->local_rank = boot->rank;
    boot->local_size = boot->size;
    if (!request(boot, "info-getjobattr", reply, "key=PMI_process_mapping;") &&
        value_of(reply, "value", mapping, sizeof mapping))
        (void) ame__env_mapping(mapping, boot->rank, boot->size, &boot->hosts, &boot->local_rank, &boot->local_size);
}

static int open_pmi2(struct ame__boot *boot)
{
    char reply[FRAME_LONGEST + 1];
    const char *job = getenv("PMI_JOBID");
    int code = ame__env_number("PMI_SIZE", 1, 1 << 24, &boot->size);
    if (!code) code = ame__env_number("PMI_RANK", 0, boot->size - 1, &boot->rank);
    if (code) return code;
    boot->fd = (int) strtol(getenv("PMI_FD"), NULL, 10);
    fcntl(boot->fd, F_SETFD, FD_CLOEXEC); /* a subprocess of this rank is not this rank */
    code = begin_version_2(boot);
    if (!code)
        code = request(boot, "fullinit", reply, "pmijobid=%s;pmirank=%d;threaded=FALSE;", job ? job : "", boot->rank);
    if (!code) find_place(boot);
    return code;
}

static int put(struct ame__boot *boot, const char *key, const char *value)
{
    char reply[FRAME_LONGEST + 1];
    return request(boot, "kvs-put", reply, "key=%s;value=%s;", key, value);
}

static int fence(struct ame__boot *boot)
{
    char reply[FRAME_LONGEST + 1];
    return request(boot, "kvs-fence", reply, "%s", "");
}

static int get(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX])
{
    char reply[FRAME_LONGEST + 1], found[16];
    int code = request(boot, "kvs-get", reply, "jobid=;srcid=-1;key=%s;", key);
    if (!code && (!value_of(reply, "found", found, sizeof found) || strcmp(found, "TRUE") ||
                  !value_of(reply, "value", value, AME__BOOT_VALUE_MAX)))
        code =
            ame__fail(AME_E_PROTOCOL, "rank %d: no usable value in the launcher's answer for key %s", boot->rank, key);
    return code;
}

static void release(struct ame__boot *boot, bool leaving)
{
    char reply[FRAME_LONGEST + 1];
    (void) leaving;
    if (boot->fd < 0) return;
    int64_t deadline = boot->deadline;
    boot->deadline = ame__now_ns() + 5000000000;
    /* A launcher that does not answer any more has nothing to tell us. */
    (void) request(boot, "finalize", reply, "%s", "");
    boot->deadline = deadline; /* the connections still have theirs */
    ame__boot_close(boot);
}

const struct ame__boot_way ame__boot_pmi2 = {.name = "pmi2",
                                             .text = "a launcher that speaks PMI-2 only (PMI_FD)",
                                             .probe = probe,
                                             .open = open_pmi2,
                                             .put = put,
                                             .fence = fence,
                                             .get = get,
                                             .release = release};
