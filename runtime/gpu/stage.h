/* stage.h - device memory as the buffer of a message: its bytes go through slots of pinned host memory.
 *
 * The engine calls this; nothing else of the GPU is known there. A request whose buffer is device memory has a stage, any
 * other has none, and then nothing here is called. Whether a pointer is one of device memory is asked only when a context
 * has been bound in this process (ame__gpu_bound): programs without a GPU pay one branch per message.
 *
 *     short send    all of it is copied to host memory before the message starts; from then on it is like any other
 *     long send     part by part: while one part is written to the socket the next one is copied from the device
 *     receive       each frame is read into a slot; while the next one is read, it is copied to the device
 *
 * Slots. There are AME_GPU_SLOTS of pinned memory, made when first needed; a long message takes two when its data begins to
 * flow, not before, so that messages nobody receives hold none. If none is left it uses ordinary memory, which is slower:
 * nobody ever waits for a slot, or two ranks could wait for each other's.
 *
 * Waiting. A part is waited for where it is needed, under the engine's lock: it was started one part earlier, and takes a
 * tenth of the time that the network takes, so it is there. Data has to be complete when the message is started, so no
 * copy waits for a kernel.
 *
 * All functions want the engine's lock. Errors are AME_E_GPU, AME_E_GPU_LOST, AME_E_NOMEM with text.
 */
#ifndef AME_GPU_STAGE_H
#define AME_GPU_STAGE_H

#include "device.h"

enum { AME__GPU_SLOT_BYTES = 1 << 20 /* at least what one frame can carry */ };

struct ame__gpu_stage;

/* Must the buffer at `pointer` be staged? */
static inline bool ame__gpu_stages(const void *pointer)
{
    return __builtin_expect(atomic_load_explicit(&ame__gpu_bound, memory_order_acquire), 0) &&
           ame_gpu_is_device(pointer);
}

/* For a send of `length` bytes at `device`. Up to `whole` bytes: copies all, *host is where to. */
int ame__gpu_stage_send(const void *device, size_t length, size_t whole, struct ame__gpu_stage **stage,
                        unsigned char **host);
/* *part: the bytes [offset, offset + length) of `total`. Call after call, when the part before has been used. Also begins to
 * copy the part after it. */
int ame__gpu_stage_part(struct ame__gpu_stage *stage, size_t offset, size_t length, size_t total,
                        const unsigned char **part);
/* Bytes of a part, but for the last. */
size_t ame__gpu_chunk(void);

/* For a receive into device memory. */
int ame__gpu_stage_recv(void *device, struct ame__gpu_stage **stage);
/* *sink: where to read the next `length` bytes. */
int ame__gpu_stage_sink(struct ame__gpu_stage *stage, size_t length, unsigned char **sink);
/* They are there: begins to copy them to `offset` of the device memory. */
int ame__gpu_stage_store(struct ame__gpu_stage *stage, size_t offset, size_t length);
/* Waits until all that was stored is in device memory. */
int ame__gpu_stage_finish(struct ame__gpu_stage *stage);

/* Waits for copies under way and gives everything back. NULL: nothing. */
void ame__gpu_stage_close(struct ame__gpu_stage *stage);

/* Copies, where one side or both are device memory; has completed when it returns. */
int ame__gpu_move(void *to, const void *from, size_t bytes);

/* Host memory for a collective call on device memory, pinned if possible. NULL: out of memory. */
void *ame__gpu_bounce_take(size_t bytes);
void ame__gpu_bounce_give(void *memory);

#endif
