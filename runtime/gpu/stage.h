/* stage.h - device memory as the buffer of a message or a copy: its bytes go through slots of pinned host memory, in parts.
 *
 * The engine calls this, and nothing else of the GPU. A request whose buffer is device memory has a stage, any other has
 * none, and then nothing here is called. Whether a pointer is one of device memory is asked only when a context has been
 * bound in this process (ame__gpu_bound): programs without a GPU pay one branch per message.
 *
 *     short send    all of it is copied to host memory before the message starts; from then on it is like any other
 *     long send     part by part: while one part is written to the socket the next one is copied from the device
 *     receive       each frame is read into a slot; while the next one is read, it is copied to the device
 *
 * Waiting. Nothing here waits for the device: a copy is started, and asked for again later (engine/staged.c). Asking takes
 * some microseconds at most, in which most copies end.
 *
 * Slots. There are AME_GPU_SLOTS of pinned memory, made when first needed.
 *     sends     take two when their data begins to flow, not before, so that messages nobody receives hold none. All sends
 *               together have no more than there are (but two); one that finds none waits for one that another send holds.
 *               That one ends, since every rank always reads what arrives.
 *     receives  give a slot back when its copy has ended, and never wait for one, or two ranks could wait for each other:
 *               if there is none, they use ordinary memory, and so do short sends. Then the driver copies before it returns.
 *
 * All functions want the engine's lock. Errors are AME_E_GPU, AME_E_GPU_LOST, AME_E_NOMEM with text; after the second no
 * copy is under way.
 */
#ifndef AME_GPU_STAGE_H
#define AME_GPU_STAGE_H

#include "device.h"

enum {
    AME__GPU_SLOT_BYTES = 1 << 20, /* at least what one frame can carry */
    AME__GPU_AHEAD = 2             /* parts that are copied at a time for one message */
};

struct ame__gpu_stage;

/* Must the buffer at `pointer` be staged? */
static inline bool ame__gpu_stages(const void *pointer)
{
    return __builtin_expect(atomic_load_explicit(&ame__gpu_bound, memory_order_acquire), 0) &&
           ame_gpu_is_device(pointer);
}

/* Bytes of a part, but for the last. */
size_t ame__gpu_chunk(void);
/* AME_OK, or why device memory cannot be used in a message now. */
int ame__gpu_stage_ready(void);

/* For one message or copy from or to `device`. Does not touch the device. NULL: out of memory. */
struct ame__gpu_stage *ame__gpu_stage_make(const void *device);
/* Gives everything back. NULL: nothing. If copies are under way, which is so at ame_finalize only, waits for them. */
void ame__gpu_stage_close(struct ame__gpu_stage *stage);

/* How many copies were under way when last asked. */
unsigned ame__gpu_stage_flying(const struct ame__gpu_stage *stage);
/* Asks which have ended. */
int ame__gpu_stage_look(struct ame__gpu_stage *stage);

/* Begins to copy `length` bytes to *host, which belongs to the stage. */
int ame__gpu_stage_whole(struct ame__gpu_stage *stage, size_t length, unsigned char **host);
/* *part: the bytes [offset, offset + length) of `total`; NULL: not yet, call again. Call after call, when the part before
 * has been used. Also begins to copy the part after it. */
int ame__gpu_stage_part(struct ame__gpu_stage *stage, size_t offset, size_t length, size_t total,
                        const unsigned char **part);
/* *sink: where to put the next `length` bytes. */
int ame__gpu_stage_sink(struct ame__gpu_stage *stage, size_t length, unsigned char **sink);
/* They are there: begins to copy them to `offset` of the device memory. */
int ame__gpu_stage_store(struct ame__gpu_stage *stage, size_t offset, size_t length);
/* Begins to copy `length` bytes of other device memory to that of the stage. */
int ame__gpu_stage_direct(struct ame__gpu_stage *stage, const void *from, size_t length);

/* Copies, where one side or both are device memory, and waits for it: messages of a rank to itself. */
int ame__gpu_move(void *to, const void *from, size_t bytes);

#endif
