/* split.c - shares of a list that need no manager: arithmetic only. */
#include <ame_pool.h>

#include "base/error.h"

/* Rank and size of `comm`; the share is made empty first, so that a caller who does not look at the code does nothing. */
static int begin(ame_comm *comm, ame_split *split, uint64_t *rank, uint64_t *size, const char *function)
{
    if (!split) return ame__fail(AME_E_ARG, "%s: argument 'split' is NULL", function);
    *split = (ame_split){.step = 1};
    int r = ame_comm_rank(comm), n = r < 0 ? r : ame_comm_size(comm);
    if (n < 0) return ame__error_prefix(n, "%s", function);
    *rank = (uint64_t) r;
    *size = (uint64_t) n;
    return AME_OK;
}

int ame_split_round_robin(ame_comm *comm, uint64_t count, ame_split *split)
{
    uint64_t rank = 0, size = 1;
    int code = begin(comm, split, &rank, &size, "ame_split_round_robin");
    if (code) return code;
    *split = (ame_split){.next = rank, .step = size, .left = count / size + (rank < count % size)};
    return AME_OK;
}

int ame_split_block(ame_comm *comm, uint64_t count, ame_split *split)
{
    uint64_t rank = 0, size = 1;
    int code = begin(comm, split, &rank, &size, "ame_split_block");
    if (code) return code;
    uint64_t least = count / size, rest = count % size;
    *split = (ame_split){.next = rank * least + (rank < rest ? rank : rest), .step = 1, .left = least + (rank < rest)};
    return AME_OK;
}

int ame_split_next(ame_split *split, uint64_t *index)
{
    if (!split || !index || split->left == 0) return 0;
    *index = split->next;
    split->next += split->step;
    split->left--;
    return 1;
}
