/* group.c - groups: immutable lists of ranks of the world. */
#include "layer.h"

#include <stdlib.h>
#include <string.h>

static struct mpi__group no_members = {.rank = MPI_UNDEFINED};

struct mpi__group *mpi__group_new(int size)
{
    struct mpi__group *group = calloc(1, sizeof *group + (size_t) size * sizeof *group->world);
    if (group && mpi__object_init(&group->object, MPI__GROUP)) {
        free(group);
        return NULL;
    }
    if (group) group->size = size;
    return group;
}

void mpi__group_find(struct mpi__group *group)
{
    int me = ame__seam_world_rank();
    group->rank = MPI_UNDEFINED;
    for (int i = 0; i < group->size; i++)
        if (group->world[i] == me) group->rank = i;
}

void mpi__group_drop(struct mpi__group *group)
{
    if (group && mpi__object_drop(&group->object)) free(group);
}

void mpi__groups_open(void)
{
    mpi__object_predefine(&no_members.object, MPI__GROUP, MPI__BITS(MPI_GROUP_EMPTY));
}

/* Rank in `group` of each rank of the world, MPI_UNDEFINED where there is none; to be freed. */
static int *inverse_of(const struct mpi__group *group)
{
    int *inverse = malloc((size_t) mpi__world.size * sizeof *inverse);
    for (int i = 0; inverse && i < mpi__world.size; i++) inverse[i] = MPI_UNDEFINED;
    for (int i = 0; inverse && i < group->size; i++) inverse[group->world[i]] = i;
    return inverse;
}

/* A group of world[0 .. size-1]. */
static int make(const int world[], int size, struct mpi__group **newgroup)
{
    if (size == 0) {
        *newgroup = &no_members;
        return MPI_SUCCESS;
    }
    struct mpi__group *group = mpi__group_new(size);
    if (!group) return mpi__no_memory();
    memcpy(group->world, world, (size_t) size * sizeof *world);
    mpi__group_find(group);
    *newgroup = group;
    return MPI_SUCCESS;
}

int mpi__group_result(const struct mpi__group *a, const struct mpi__group *b)
{
    if (a->size != b->size) return MPI_UNEQUAL;
    if (memcmp(a->world, b->world, (size_t) a->size * sizeof *a->world) == 0) return MPI_IDENT;
    int *inverse = inverse_of(a), result = MPI_SIMILAR;
    for (int i = 0; inverse && i < b->size; i++)
        if (inverse[b->world[i]] == MPI_UNDEFINED) result = MPI_UNEQUAL;
    free(inverse);
    return result;
}

int mpi__Group_size(struct mpi__group *group, int *size)
{
    *size = group->size;
    return MPI_SUCCESS;
}

int mpi__Group_rank(struct mpi__group *group, int *rank)
{
    *rank = group->rank;
    return MPI_SUCCESS;
}

static int check_rank(const struct mpi__group *group, int rank, const char *argument, int at)
{
    if (rank >= 0 && rank < group->size) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_RANK, "argument '%s[%d]' is %d; the group has %d ranks", argument, at, rank, group->size);
}

int mpi__Group_translate_ranks(struct mpi__group *group1, int n, const int ranks1[], struct mpi__group *group2,
                               int ranks2[])
{
    if (n < 0) return mpi__fail(MPI_ERR_ARG, "argument 'n' is %d", n);
    for (int i = 0; i < n; i++) {
        int code = ranks1[i] == MPI_PROC_NULL ? MPI_SUCCESS : check_rank(group1, ranks1[i], "ranks1", i);
        if (code) return code;
    }
    int *inverse = inverse_of(group2);
    if (!inverse) return mpi__no_memory();
    for (int i = 0; i < n; i++)
        ranks2[i] = ranks1[i] == MPI_PROC_NULL ? MPI_PROC_NULL : inverse[group1->world[ranks1[i]]];
    free(inverse);
    return MPI_SUCCESS;
}

int mpi__Group_compare(struct mpi__group *group1, struct mpi__group *group2, int *result)
{
    *result = mpi__group_result(group1, group2);
    return MPI_SUCCESS;
}

/* Those of `first` (all, or those that are or are not in `second`), then, for a union, those only in `second`. */
static int combine(const struct mpi__group *first, const struct mpi__group *second, bool common, bool others, bool rest,
                   struct mpi__group **newgroup)
{
    int *in_first = inverse_of(first), *in_second = inverse_of(second), size = 0;
    int *world = malloc((size_t) (first->size + second->size + 1) * sizeof *world);
    int code = in_first && in_second && world ? MPI_SUCCESS : mpi__no_memory();
    for (int i = 0; !code && i < first->size; i++) {
        bool shared = in_second[first->world[i]] != MPI_UNDEFINED;
        if (shared ? common : others) world[size++] = first->world[i];
    }
    for (int i = 0; !code && rest && i < second->size; i++)
        if (in_first[second->world[i]] == MPI_UNDEFINED) world[size++] = second->world[i];
    if (!code) code = make(world, size, newgroup);
    free(in_first);
    free(in_second);
    free(world);
    return code;
}

int mpi__Group_union(struct mpi__group *group1, struct mpi__group *group2, struct mpi__group **newgroup)
{
    return combine(group1, group2, true, true, true, newgroup);
}

int mpi__Group_intersection(struct mpi__group *group1, struct mpi__group *group2, struct mpi__group **newgroup)
{
    return combine(group1, group2, true, false, false, newgroup);
}

int mpi__Group_difference(struct mpi__group *group1, struct mpi__group *group2, struct mpi__group **newgroup)
{
    return combine(group1, group2, false, true, false, newgroup);
}

/* A list of ranks of `group`, each at most once: those, or all others. */
static int select_ranks(const struct mpi__group *group, int n, const int ranks[], bool these,
                        struct mpi__group **newgroup)
{
    bool *listed = calloc((size_t) group->size + 1, sizeof *listed);
    int *world = malloc(((size_t) group->size + 1) * sizeof *world), size = 0;
    int code = listed && world ? MPI_SUCCESS : mpi__no_memory();
    for (int i = 0; !code && i < n; i++) {
        code = check_rank(group, ranks[i], "ranks", i);
        if (!code && listed[ranks[i]]) code = mpi__fail(MPI_ERR_RANK, "argument 'ranks' has %d twice", ranks[i]);
        if (code) break;
        listed[ranks[i]] = true;
        if (these) world[size++] = group->world[ranks[i]];
    }
    for (int i = 0; !code && !these && i < group->size; i++)
        if (!listed[i]) world[size++] = group->world[i];
    if (!code) code = make(world, size, newgroup);
    free(listed);
    free(world);
    return code;
}

static int check_n(int n, const void *array, const char *name)
{
    if (n < 0) return mpi__fail(MPI_ERR_ARG, "argument 'n' is %d", n);
    if (n > 0 && !array) return mpi__fail(MPI_ERR_ARG, "argument '%s' is NULL", name);
    return MPI_SUCCESS;
}

int mpi__Group_incl(struct mpi__group *group, int n, const int ranks[], struct mpi__group **newgroup)
{
    int code = check_n(n, ranks, "ranks");
    return code ? code : select_ranks(group, n, ranks, true, newgroup);
}

int mpi__Group_excl(struct mpi__group *group, int n, const int ranks[], struct mpi__group **newgroup)
{
    int code = check_n(n, ranks, "ranks");
    return code ? code : select_ranks(group, n, ranks, false, newgroup);
}

static int select_ranges(const struct mpi__group *group, int n, int ranges[][3], bool these,
                         struct mpi__group **newgroup)
{
    int code = check_n(n, ranges, "ranges"), count = 0;
    int *ranks = malloc(((size_t) group->size + 1) * sizeof *ranks);
    if (!ranks) return mpi__no_memory();
    for (int i = 0; !code && i < n; i++) {
        int first = ranges[i][0], last = ranges[i][1], stride = ranges[i][2];
        if (stride == 0) code = mpi__fail(MPI_ERR_ARG, "argument 'ranges[%d]' has stride 0", i);
        for (int rank = first; !code && (stride > 0 ? rank <= last : rank >= last); rank += stride) {
            code = check_rank(group, rank, "ranges", i);
            if (!code && count == group->size)
                code = mpi__fail(MPI_ERR_RANK, "argument 'ranges' has some ranks more than once");
            if (!code) ranks[count++] = rank;
        }
    }
    if (!code) code = select_ranks(group, count, ranks, these, newgroup);
    free(ranks);
    return code;
}

int mpi__Group_range_incl(struct mpi__group *group, int n, int ranges[][3], struct mpi__group **newgroup)
{
    return select_ranges(group, n, ranges, true, newgroup);
}

int mpi__Group_range_excl(struct mpi__group *group, int n, int ranges[][3], struct mpi__group **newgroup)
{
    return select_ranges(group, n, ranges, false, newgroup);
}

int mpi__Group_free(struct mpi__group *group)
{
    mpi__group_drop(group);
    return MPI_SUCCESS;
}
