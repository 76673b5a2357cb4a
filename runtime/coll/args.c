/* args.c - checks of arguments that several collective calls share, and the layout of their buffers. */
#include "coll.h"

#include "base/error.h"

int ame__check_total(const struct ame__coll *call, size_t length, const char *argument)
{
    size_t total;
    if (!__builtin_mul_overflow(length, (size_t) call->comm->size, &total)) return AME_OK;
    return ame__fail(AME_E_ARG, "%s: argument '%s' is %zu, which for %d ranks is more than a buffer can hold",
                     call->function, argument, length, call->comm->size);
}

int ame__check_pointer(const struct ame__coll *call, const void *pointer, size_t length, const char *argument)
{
    return ame__check_buffer(pointer, length, argument, call->function);
}

int ame__check_own(const struct ame__coll *call, const void *own, size_t bytes, const char *argument)
{
    if (own == AME_IN_PLACE && call->rooted && !ame__is_root(call))
        return ame__fail(AME_E_ARG, "%s: argument '%s' is AME_IN_PLACE, which only the root (rank %d) may give",
                         call->function, argument, call->root);
    return ame__check_pointer(call, own, bytes, argument);
}

int ame__check_lengths(const struct ame__coll *call, const size_t *lengths, const void *buffer, const char *argument,
                       const char *buffer_name)
{
    size_t total = 0;
    if (!lengths) return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", call->function, argument);
    for (int rank = 0; rank < call->comm->size; rank++)
        if (__builtin_add_overflow(total, lengths[rank], &total))
            return ame__fail(AME_E_ARG, "%s: argument '%s' adds up to more than a buffer can hold", call->function,
                             argument);
    return ame__check_buffer(buffer, total, buffer_name, call->function);
}

bool ame__layout(struct ame__sched *sched, int size, size_t length, const size_t *lengths, const size_t *displs,
                 const size_t **all_lengths, const size_t **all_offsets, size_t *total)
{
    size_t *made = ame__sched_memory(sched, 2 * (size_t) size * sizeof *made);
    size_t end = 0;
    if (!made) return false;
    *total = 0;
    for (int rank = 0; rank < size; rank++) {
        made[rank] = lengths ? lengths[rank] : length;
        made[size + rank] = displs ? displs[rank] : end;
        end = made[size + rank] + made[rank];
        if (end > *total) *total = end;
    }
    *all_lengths = made;
    *all_offsets = made + size;
    return true;
}
