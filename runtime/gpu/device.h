/* device.h - the one device of this process: found, chosen, bound; and how its errors are told.
 *
 * States of a process, one after the other:
 *     UNTOUCHED  nothing has been asked for
 *     NONE       it is to use the CPU; the reason is kept
 *     BOUND      it holds the primary context of its device
 *     CLOSED     ame_gpu_close has been called
 * LOST is not one of them: a context that the driver has given up stays BOUND, and each call fails with the text of the
 * first error, because nothing of it can be given back any more.
 *
 * The context is pushed at the beginning of each call and popped at its end, in whatever thread, so that what the program
 * has made current itself is not disturbed.
 */
#ifndef AME_GPU_DEVICE_H
#define AME_GPU_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <ame_gpu.h>

#include "driver.h"

enum { AME__GPU_DEVICES_MAX = 128, AME__GPU_WHY_MAX = 640 };

/* What AME_GPU asks for. */
enum ame__gpu_wish_kind {
    AME__GPU_AUTO,
    AME__GPU_OFF,
    AME__GPU_REQUIRE,
    AME__GPU_EXCLUSIVE,
    AME__GPU_ORDINAL,
    AME__GPU_UUID
};
struct ame__gpu_wish {
    enum ame__gpu_wish_kind kind;
    int ordinal;
    char uuid[48]; /* its beginning */
};
/* AME_E_CONFIG if AME_GPU cannot be understood. */
int ame__gpu_wish(struct ame__gpu_wish *wish);
static inline bool ame__gpu_required(const struct ame__gpu_wish *wish)
{
    return wish->kind >= AME__GPU_REQUIRE;
}

/* A device that this process sees. All from the driver's lists: no context is made. */
struct ame__gpu_listed {
    ame_gpu_device device;
    bool prohibited; /* its compute mode permits no contexts */
};
/* Fills `list` (of AME__GPU_DEVICES_MAX) and returns how many; 0: `why` (of AME__GPU_WHY_MAX) says why there are none. */
int ame__gpu_list(struct ame__gpu_listed *list, char *why);
/* Whether `device` is the one that `uuid` (its beginning, any case) names. */
bool ame__gpu_named(const ame_gpu_device *device, const char *uuid);
/* Which of `count` devices a process takes that decides alone, as the `local`-th rank of its host; -1: none, see `why`. */
int ame__gpu_choose(const struct ame__gpu_wish *wish, const struct ame__gpu_listed *list, int count, int local,
                    char *why);
/* The place of this process among the ranks of its host, as launchers tell it; 0 if none does. */
int ame__gpu_local_rank(void);

/* True until something has been decided. */
bool ame__gpu_untouched(void);
/* Takes this device for the process. A failure is remembered as the reason for NONE. */
int ame__gpu_take(const ame_gpu_device *device);
/* The process is to use the CPU. */
void ame__gpu_refuse(const char *why);

/* How many ranks use the device, for ame_gpu_get. */
void ame__gpu_set_sharing(int sharing);

/* True from the moment on in which a context was bound: until then no pointer can be one of device memory. */
extern atomic_bool ame__gpu_bound;

/* Begins a call: binds a device if none is decided on, pushes the context. AME_E_GPU, AME_E_GPU_LOST: the text is set. */
int ame__gpu_enter(const char *function, const struct ame__cuda **cuda);
/* Ends it: pops the context; if `result` is an error words it, with what was done as `format`, and remembers it if it is
 * one of those that never go away. */
int ame__gpu_leave(ame__cu_result result, const char *function, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The stream that NULL stands for. */
ame__cu_stream ame__gpu_stream(const ame_gpu_stream *stream);
/* Waits, asleep, for all that `stream` was given so far. Between enter and leave. */
ame__cu_result ame__gpu_drain(const struct ame__cuda *cuda, ame__cu_stream stream);
/* Called by ame_gpu_close before the context is given back; set by what has memory there. */
extern void (*ame__gpu_on_close)(const struct ame__cuda *cuda);
/* "rank 3 on host n2" */
void ame__gpu_who(char *text, size_t size);

#endif
