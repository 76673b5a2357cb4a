/* map.c - see map.h. */
#include "map.h"

#include <stdio.h>
#include <string.h>

static const char *uuid_of(const struct ame__gpu_rank *rank, int position)
{
    return rank->list[position].device.uuid;
}

/* Ranks that have the device `uuid` so far, and whether one of them wants it for itself. */
static int taken_by(const struct ame__gpu_rank *ranks, int count, const char *uuid, bool *exclusive)
{
    int taken = 0;
    *exclusive = false;
    for (int i = 0; i < count; i++) {
        if (ranks[i].chosen < 0 || strcmp(uuid_of(&ranks[i], ranks[i].chosen), uuid)) continue;
        taken++;
        *exclusive |= ranks[i].wish.kind == AME__GPU_EXCLUSIVE;
    }
    return taken;
}

static void choose_free(struct ame__gpu_rank *ranks, int count, struct ame__gpu_rank *rank)
{
    int best = -1, least = 0, open = 0;
    bool exclusive;
    for (int i = 0; i < rank->count; i++) {
        if (rank->list[i].prohibited) continue;
        open++;
        int taken = taken_by(ranks, count, uuid_of(rank, i), &exclusive);
        if (exclusive || (taken && rank->wish.kind == AME__GPU_EXCLUSIVE)) continue;
        if (best >= 0 && taken >= least) continue;
        best = i;
        least = taken;
    }
    rank->chosen = best;
    if (best >= 0) return;
    if (!open)
        snprintf(rank->why, sizeof rank->why, "the compute mode of all %d visible devices is 'prohibited'",
                 rank->count);
    else
        snprintf(rank->why, sizeof rank->why, "other ranks have the %d device%s that it sees, and AME_GPU=exclusive",
                 open, open > 1 ? "s" : "");
}

static void choose(struct ame__gpu_rank *ranks, int count, struct ame__gpu_rank *rank)
{
    bool exclusive;
    if (rank->wish.kind != AME__GPU_ORDINAL && rank->wish.kind != AME__GPU_UUID) {
        choose_free(ranks, count, rank);
        return;
    }
    int named = ame__gpu_choose(&rank->wish, rank->list, rank->count, 0, rank->why);
    if (named < 0) return;
    (void) taken_by(ranks, count, uuid_of(rank, named), &exclusive);
    if (!exclusive) rank->chosen = named;
}

/* Whose turn it is: small numbers first. */
static int turn_of(const struct ame__gpu_rank *rank)
{
    if (rank->wish.kind == AME__GPU_ORDINAL || rank->wish.kind == AME__GPU_UUID) return 0;
    return rank->count + (rank->wish.kind == AME__GPU_EXCLUSIVE ? 0 : AME__GPU_DEVICES_MAX);
}

void ame__gpu_map(struct ame__gpu_rank *ranks, int count)
{
    for (int i = 0; i < count; i++) ranks[i].chosen = -1;
    for (int turn = 0; turn <= 2 * AME__GPU_DEVICES_MAX; turn++)
        for (int i = 0; i < count; i++)
            if (ranks[i].works && ranks[i].count > 0 && turn_of(&ranks[i]) == turn) choose(ranks, count, &ranks[i]);
    ame__gpu_map_count(ranks, count);
}

void ame__gpu_map_count(struct ame__gpu_rank *ranks, int count)
{
    bool exclusive;
    for (int i = 0; i < count; i++)
        ranks[i].sharing =
            ranks[i].chosen < 0 ? 0 : taken_by(ranks, count, uuid_of(&ranks[i], ranks[i].chosen), &exclusive);
}
