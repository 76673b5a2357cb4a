/* split.c - ame_comm_split: everybody learns everybody's colour and key (allgather), the rest is local. */
#include "coll.h"

#include <stdlib.h>

#include "base/error.h"

struct member {
    int32_t color, key;
    int rank;
};

static int by_key(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    if (left->key != right->key) return left->key < right->key ? -1 : 1;
    return left->rank < right->rank ? -1 : 1;
}

/* From everybody's colour and key: the communicator of this rank's colour. */
static int make_split(struct ame_comm *comm, struct member *all, int color, uint64_t lineage, struct ame_comm **newcomm)
{
    int count = 0, rank = -1;
    if (color == AME_UNDEFINED) {
        *newcomm = NULL;
        return AME_OK;
    }
    for (int i = 0; i < comm->size; i++)
        if (all[i].color == color) all[count] = all[i], all[count++].rank = i;
    qsort(all, (size_t) count, sizeof *all, by_key);
    int *members = malloc((size_t) count * sizeof *members);
    if (!members) {
        for (int i = 0; i < count; i++) ame__comm_absent(lineage, ame__comm_to_world(comm, all[i].rank));
        return ame__fail(AME_E_NOMEM, "ame_comm_split: out of memory for %d ranks", count);
    }
    for (int i = 0; i < count; i++) {
        members[i] = ame__comm_to_world(comm, all[i].rank);
        if (all[i].rank == comm->rank) rank = i;
    }
    struct ame_comm *part = ame__comm_create(lineage, rank, count, members);
    if (!part) {
        for (int i = 0; i < count; i++) ame__comm_absent(lineage, members[i]);
        free(members);
        return AME_E_NOMEM;
    }
    *newcomm = part;
    return AME_OK;
}

int ame_comm_split(ame_comm *comm, int color, int key, ame_comm **newcomm)
{
    static const char function[] = "ame_comm_split";
    int code = ame__enter(function);
    if (code) return code;
    code = ame__comm_check(comm, function);
    if (!code && color < 0 && color != AME_UNDEFINED)
        code =
            ame__fail(AME_E_ARG, "%s: argument 'color' is %d; it must be 0 or more, or AME_UNDEFINED", function, color);
    if (!code && !newcomm) code = ame__fail(AME_E_ARG, "%s: argument 'newcomm' is NULL", function);
    /* Before anything can fail on some ranks only: all count their children alike. */
    uint64_t lineage = code ? 0 : ame__comm_child_lineage(comm, (uint64_t) (uint32_t) color);
    struct member *all = code ? NULL : calloc((size_t) comm->size, sizeof *all);
    if (!code && !all) code = ame__coll_give_up(comm, function);
    ame__leave();
    if (code) return code;

    struct member mine = {.color = color, .key = key};
    code = ame_allgather(&mine, sizeof mine, all, comm);
    if (!code) code = ame__enter(function);
    if (!code) {
        code = make_split(comm, all, color, lineage, newcomm);
        ame__leave();
    }
    free(all);
    return code;
}
