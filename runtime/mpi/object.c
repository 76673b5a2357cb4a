/* object.c - objects and the handles and numbers that stand for them.
 *
 * Predefined objects are in mpi__predefined, by the small number that is their handle in the standard ABI; MPICH's handles
 * of predefined objects are spread over it by slot_of. Objects that need a number (all in MPICH's ABI; those asked for by
 * MPI_X_toint in the standard one) are in a table of blocks, which never move, so that looking one up needs no lock.
 */
#include "layer.h"

#include <pthread.h>
#include <stdlib.h>

enum { BLOCK_BITS = 10, BLOCK_SIZE = 1 << BLOCK_BITS, BLOCKS = 1 << 14 };

struct mpi__object *mpi__predefined[MPI__PREDEFINED];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mpi__object **_Atomic blocks[BLOCKS]; /* by index; index 0 is not used */
static uint32_t *free_indices, free_count, free_room, used = 1;

static struct mpi__object **cell(uint32_t index)
{
    struct mpi__object **block = index >> BLOCK_BITS < BLOCKS ? blocks[index >> BLOCK_BITS] : NULL;
    return block ? &block[index & (BLOCK_SIZE - 1)] : NULL;
}

static int give_index(struct mpi__object *object)
{
    int result = MPI_SUCCESS;
    pthread_mutex_lock(&lock);
    if (!object->index) {
        uint32_t index = free_count ? free_indices[free_count - 1] : used;
        if (index >> BLOCK_BITS < BLOCKS && !blocks[index >> BLOCK_BITS])
            blocks[index >> BLOCK_BITS] = calloc(BLOCK_SIZE, sizeof(struct mpi__object *));
        struct mpi__object **place = cell(index);
        if (place) {
            *place = object;
            object->index = index;
            if (free_count)
                free_count--;
            else
                used++;
        } else {
            result = mpi__fail(MPI_ERR_NO_MEM, "out of memory for handles (%u in use)", used - 1);
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static void take_index(struct mpi__object *object)
{
    pthread_mutex_lock(&lock);
    if (free_count == free_room) {
        uint32_t room = free_room ? 2 * free_room : 64;
        uint32_t *more = realloc(free_indices, room * sizeof *more);
        if (more) {
            free_indices = more;
            free_room = room;
        }
    }
    *cell(object->index) = NULL;
    if (free_count < free_room) free_indices[free_count++] = object->index; /* else the number is lost, no more */
    object->index = 0;
    pthread_mutex_unlock(&lock);
}

#ifdef MPICH_ABI_OF_AME
enum { KIND_SHIFT = 26, KIND_MASK = 15, BUILT_IN = 1, DIRECT = 2, INDIRECT = 3, DIRECT_SLOTS = 240 };

static uint32_t kind_of(uintptr_t handle)
{
    return (uint32_t) handle >> KIND_SHIFT & KIND_MASK;
}

/* Datatypes have 256 slots: by the last byte, and from DIRECT_SLOTS on the pairs. Of other kinds there are few. */
static size_t slot_of(enum mpi__kind kind, uintptr_t handle)
{
    size_t low = (handle >> 30 == DIRECT ? DIRECT_SLOTS : 0) + (handle & 0xff);
    return kind == MPI__DATATYPE ? low % 256 : 256 + (size_t) kind * 32 + low % 32;
}

static uintptr_t handle_for(enum mpi__kind kind, const struct mpi__object *object)
{
    return (uintptr_t) INDIRECT << 30 | (uintptr_t) kind << KIND_SHIFT | object->index;
}

struct mpi__object *mpi__object_find(enum mpi__kind kind, uintptr_t handle)
{
    struct mpi__object *object;
    if (kind == MPI__FILE) return NULL;
    if (handle >> 30 == INDIRECT) {
        if (kind_of(handle) != (uint32_t) kind) return NULL;
        struct mpi__object **place = cell(handle & ((1u << KIND_SHIFT) - 1));
        object = place ? *place : NULL;
    } else {
        object = mpi__predefined[slot_of(kind, handle)];
        if (object && object->handle != handle) object = NULL;
    }
    return object && object->magic == MPI__MAGIC + kind ? object : NULL;
}

int mpi__object_init(struct mpi__object *object, enum mpi__kind kind)
{
    object->magic = MPI__MAGIC + kind;
    object->references = 1;
    object->predefined = false;
    object->index = 0;
    int code = give_index(object);
    object->handle = handle_for(kind, object);
    return code;
}
#else
static size_t slot_of(enum mpi__kind kind, uintptr_t handle)
{
    (void) kind;
    return handle;
}

struct mpi__object *mpi__object_find(enum mpi__kind kind, uintptr_t handle)
{
    return mpi__find(kind, handle);
}

int mpi__object_init(struct mpi__object *object, enum mpi__kind kind)
{
    object->magic = MPI__MAGIC + kind;
    object->references = 1;
    object->predefined = false;
    object->index = 0;
    object->handle = (uintptr_t) object;
    return MPI_SUCCESS;
}
#endif

void mpi__object_predefine(struct mpi__object *object, enum mpi__kind kind, uintptr_t handle)
{
    object->magic = MPI__MAGIC + kind;
    object->references = 1;
    object->predefined = true;
    object->handle = handle;
    mpi__predefined[slot_of(kind, handle)] = object;
}

void mpi__object_hold(struct mpi__object *object)
{
    if (!object->predefined) atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed);
}

bool mpi__object_drop(struct mpi__object *object)
{
    if (object->predefined) return false;
    if (atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) > 1) return false;
    if (object->index) take_index(object);
    object->magic = 0;
    return true;
}

/* ---- numbers, for Fortran ------------------------------------------------------------------------ */

int mpi__toint(uintptr_t handle)
{
    if (handle < MPI__PREDEFINED) return (int) handle;
    struct mpi__object *object = (struct mpi__object *) handle;
    return give_index(object) ? 0 : (int) (object->index + MPI__PREDEFINED);
}

uintptr_t mpi__fromint(enum mpi__kind kind, int number, uintptr_t null)
{
    if (number < 0) return null;
    if (number < MPI__PREDEFINED) return (uintptr_t) number;
    struct mpi__object **place = cell((uint32_t) number - MPI__PREDEFINED);
    struct mpi__object *object = place ? *place : NULL;
    return object && object->magic == MPI__MAGIC + kind ? object->handle : null;
}
