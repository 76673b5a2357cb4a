/* work.h - what one host has to do: the part of the plan that its host daemon gets, and how it looks on the channel.
 *
 * On the channel it is a sequence of numbers (8 bytes, little endian) and strings (a number that is their length, then
 * the bytes); a list begins with the number of its items. It is cut into PLAN frames and ended by START, which carries
 * the total length. Both sides are the same version of ameexec, so there is no version in it.
 */
#ifndef AME_LAUNCHER_WORK_H
#define AME_LAUNCHER_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "options.h"

#define AME__WORK_MAX ((size_t) 64 << 20)

enum ame__input_kind { AME__INPUT_NULL, AME__INPUT_DIRECT, AME__INPUT_PIPE };

struct ame__work_app {
    char *program;   /* as the front found it */
    char *directory; /* NULL: that of the job */
    char **argv;
    char **env; /* in addition to that of the job */
};

struct ame__work_rank {
    int rank, app;
    enum ame__input_kind input;
    bool direct_output, pty;
};

struct ame__work {
    int size, count;              /* ranks of the job, ranks here */
    struct ame__work_rank *ranks; /* in ascending order */
    int app_count;
    struct ame__work_app *apps;
    char **env;
    char *directory; /* NULL: where the daemon is */
    char *job_id, *authkey, *address;
    int port;                 /* of rank 0, for dlp_mpi's own back end; 0: none */
    int bind, units;          /* enum ame__bind */
    uint64_t grace_ms, files; /* files: limit of open files for ranks */
    uint64_t heartbeat_ms;    /* AME_HEARTBEAT; 0: a rank may be stopped */
    bool report_bindings;
    int gpus_per_rank; /* 0: all see all */
    bool gpus_named;   /* the user has given CUDA_VISIBLE_DEVICES for this job */
};

void ame__work_encode(const struct ame__work *work, struct ame__bytes *bytes);
/* False when the bytes are none; `work` is then empty. All memory belongs to `work`. */
bool ame__work_decode(struct ame__work *work, const char *data, size_t length);
void ame__work_finish(struct ame__work *work);
/* The index of this rank of the job among the ranks here, or -1. */
int ame__work_find(const struct ame__work *work, uint32_t rank);

#endif
