/* type_flat.c - builds the trees of type_flat.h in their normal form.
 *
 * What is joined: runs that touch (and, but for `flat`, are of one basic), loops of runs that touch, loops of loops that
 * continue with the same stride, and in lists anything evenly spaced and equal. The normal form is a matter of speed, not of
 * correctness: a struct whose last member touches the next element's first one is not joined across elements. */
#include "mpi/type_flat.h"

#include <stdlib.h>
#include <string.h>

static struct ame__node *node_new(struct ame__node **owner, enum ame__node_kind kind, int64_t count)
{
    struct ame__node *node = calloc(1, sizeof *node);
    if (!node) return NULL;
    node->kind = kind;
    node->count = count;
    node->next = *owner;
    *owner = node;
    return node;
}

void ame__nodes_free(struct ame__node *nodes)
{
    while (nodes) {
        struct ame__node *next = nodes->next;
        free(nodes->runs);
        free(nodes->entries);
        free(nodes);
        nodes = next;
    }
}

enum ame__type_error ame__piece_loop(struct ame__node **owner, struct ame__piece piece, int64_t count, int64_t stride,
                                     struct ame__piece *out)
{
    if (count == 0 || piece.size == 0) {
        *out = (struct ame__piece){0};
        return AME__TYPE_OK;
    }
    if (count == 1) {
        *out = piece;
        return AME__TYPE_OK;
    }
    struct ame__piece all = piece;
    if (__builtin_mul_overflow(piece.size, count, &all.size)) return AME__TYPE_E_OVERFLOW;
    if (!piece.node && stride == piece.size) {
        *out = all;
        return AME__TYPE_OK;
    }
    const struct ame__node *inner = piece.node;
    int64_t repeated = 0;
    bool continued = inner && inner->kind == AME__NODE_LOOP &&
                     !__builtin_mul_overflow(inner->stride, inner->count, &repeated) && repeated == stride &&
                     !__builtin_mul_overflow(inner->count, count, &repeated);
    struct ame__node *node = node_new(owner, AME__NODE_LOOP, continued ? repeated : count);
    if (!node) return AME__TYPE_E_MEMORY;
    node->stride = continued ? inner->stride : stride;
    node->piece = continued ? inner->piece : piece;
    if (continued) {
        all.offset = piece.offset; /* the inner piece keeps its own, relative to this node */
    } else {
        node->piece.offset = 0;
    }
    all.node = node;
    *out = all;
    return AME__TYPE_OK;
}

void ame__gather_begin(struct ame__gather *gather, struct ame__node **owner, bool joined)
{
    *gather = (struct ame__gather){.owner = owner, .joined = joined};
}

enum ame__type_error ame__gather_add(struct ame__gather *gather, struct ame__piece piece)
{
    if (piece.size == 0) return AME__TYPE_OK;
    if (gather->joined) piece.basic = NULL;
    if (gather->count > 0 && !piece.node) {
        struct ame__piece *last = &gather->pieces[gather->count - 1];
        if (!last->node && last->basic == piece.basic && last->offset + last->size == piece.offset) {
            last->size += piece.size; /* cannot overflow: the whole type's size is checked before */
            return AME__TYPE_OK;
        }
    }
    if (gather->count == gather->space) {
        int64_t space = gather->space ? 2 * gather->space : 8;
        struct ame__piece *pieces = realloc(gather->pieces, (size_t) space * sizeof *pieces);
        if (!pieces) return AME__TYPE_E_MEMORY;
        gather->pieces = pieces;
        gather->space = space;
    }
    gather->pieces[gather->count++] = piece;
    return AME__TYPE_OK;
}

static bool alike(const struct ame__piece *a, const struct ame__piece *b)
{
    return a->size == b->size && a->node == b->node && a->basic == b->basic;
}

/* All pieces equal and evenly spaced: *stride. */
static bool evenly_spaced(const struct ame__gather *gather, int64_t *stride)
{
    const struct ame__piece *pieces = gather->pieces;
    if (__builtin_sub_overflow(pieces[1].offset, pieces[0].offset, stride)) return false;
    for (int64_t i = 1; i < gather->count; i++) {
        int64_t here;
        if (!alike(&pieces[i], &pieces[0]) || __builtin_sub_overflow(pieces[i].offset, pieces[i - 1].offset, &here) ||
            here != *stride)
            return false;
    }
    return true;
}

static bool all_runs_of_one(const struct ame__gather *gather)
{
    for (int64_t i = 0; i < gather->count; i++)
        if (gather->pieces[i].node || gather->pieces[i].basic != gather->pieces[0].basic) return false;
    return true;
}

static enum ame__type_error make_runs(const struct ame__gather *gather, struct ame__piece *out)
{
    struct ame__node *node = node_new(gather->owner, AME__NODE_RUNS, gather->count);
    if (!node) return AME__TYPE_E_MEMORY;
    node->runs = malloc((size_t) (gather->count + 1) * sizeof *node->runs);
    if (!node->runs) return AME__TYPE_E_MEMORY;
    int64_t start = 0;
    for (int64_t i = 0; i < gather->count; i++) {
        node->runs[i] = (struct ame__run){gather->pieces[i].offset, start};
        start += gather->pieces[i].size;
    }
    node->runs[gather->count] = (struct ame__run){0, start};
    *out = (struct ame__piece){.size = start, .node = node, .basic = gather->pieces[0].basic};
    return AME__TYPE_OK;
}

static enum ame__type_error make_list(const struct ame__gather *gather, struct ame__piece *out)
{
    struct ame__node *node = node_new(gather->owner, AME__NODE_LIST, gather->count);
    if (!node) return AME__TYPE_E_MEMORY;
    node->entries = malloc((size_t) (gather->count + 1) * sizeof *node->entries);
    if (!node->entries) return AME__TYPE_E_MEMORY;
    int64_t start = 0;
    const struct ame__basic *basic = gather->pieces[0].basic;
    for (int64_t i = 0; i < gather->count; i++) {
        node->entries[i] = (struct ame__entry){gather->pieces[i], start};
        start += gather->pieces[i].size;
        if (gather->pieces[i].basic != basic) basic = NULL;
    }
    node->entries[gather->count] = (struct ame__entry){.start = start};
    *out = (struct ame__piece){.size = start, .node = node, .basic = basic};
    return AME__TYPE_OK;
}

enum ame__type_error ame__gather_end(struct ame__gather *gather, struct ame__piece *out)
{
    enum ame__type_error error = AME__TYPE_OK;
    int64_t stride;
    if (out) {
        if (gather->count == 0)
            *out = (struct ame__piece){0};
        else if (gather->count == 1)
            *out = gather->pieces[0];
        else if (evenly_spaced(gather, &stride))
            error = ame__piece_loop(gather->owner, gather->pieces[0], gather->count, stride, out);
        else if (all_runs_of_one(gather))
            error = make_runs(gather, out);
        else
            error = make_list(gather, out);
    }
    free(gather->pieces);
    *gather = (struct ame__gather){0};
    return error;
}
