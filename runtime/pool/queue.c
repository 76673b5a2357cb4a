/* queue.c - tasks that nobody has: heaps by priority and age, one for all and one per rank that tasks prefer, and the
 * generator, which makes indices as they are needed. The lock is held. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pool/journal.h"

struct ame__piece *ame__piece_create(uint64_t first, uint64_t count)
{
    struct ame__piece *piece = calloc(1, sizeof *piece);
    if (!piece) {
        ame__fail(AME_E_NOMEM, "out of memory for a task of a pool");
        return NULL;
    }
    ame__list_init(&piece->link);
    piece->first = first;
    piece->count = count;
    piece->prefers = AME_POOL_ANYONE;
    return piece;
}

void ame__piece_destroy(struct ame__piece *piece)
{
    if (!piece) return;
    if (piece->send) (void) ame_wait(&piece->send, NULL); /* its receiver has it, or is gone */
    free(piece->data);
    free(piece);
}

/* ---- heaps --------------------------------------------------------------------------------------- */

static bool before(const struct ame__piece *a, const struct ame__piece *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->stamp < b->stamp;
}

static int heap_push(struct ame__heap *heap, struct ame__piece *piece)
{
    if (heap->count == heap->room) {
        size_t room = heap->room ? 2 * heap->room : 64;
        struct ame__piece **items = realloc(heap->items, room * sizeof *items);
        if (!items) return ame__fail(AME_E_NOMEM, "out of memory for the tasks of a pool");
        heap->items = items;
        heap->room = room;
    }
    size_t at = heap->count++;
    for (; at && before(piece, heap->items[(at - 1) / 2]); at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = piece;
    return AME_OK;
}

static struct ame__piece *heap_pop(struct ame__heap *heap)
{
    struct ame__piece *top = heap->items[0], *last = heap->items[--heap->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child])) child++;
        if (!before(heap->items[child], last)) break;
        heap->items[at] = heap->items[child];
    }
    if (heap->count) heap->items[at] = last;
    return top;
}

static struct ame__piece *heap_top(const struct ame__heap *heap)
{
    return heap->count ? heap->items[0] : NULL;
}

void ame__heap_free(struct ame__heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) ame__piece_destroy(heap->items[i]);
    free(heap->items);
    *heap = (struct ame__heap){0};
}

/* ---- adding -------------------------------------------------------------------------------------- */

static struct ame__heap *heap_for(struct ame_pool *pool, const struct ame__piece *piece)
{
    struct ame__manager *manager = pool->manager;
    if (piece->prefers == AME_POOL_ANYONE || manager->links[piece->prefers].gone) return &manager->heap;
    if (piece->prefers == 0 && !ame__root_works(pool)) return &manager->heap;
    return &manager->links[piece->prefers].own;
}

int ame__queue_add(struct ame_pool *pool, struct ame__piece *piece)
{
    struct ame__run *run = &pool->manager->run;
    int code = heap_push(heap_for(pool, piece), piece);
    if (code) {
        ame__piece_destroy(piece);
        return code;
    }
    run->queued += piece->count;
    run->queued_bytes += piece->length;
    return AME_OK;
}

void ame__queue_release(struct ame_pool *pool, int rank)
{
    struct ame__heap *own = &pool->manager->links[rank].own;
    while (own->count) {
        struct ame__piece *piece = heap_pop(own);
        piece->prefers = AME_POOL_ANYONE;
        if (heap_push(&pool->manager->heap, piece)) ame__piece_destroy(piece);
    }
}

void ame__queue_drop(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    ame__heap_free(&manager->heap);
    for (int r = 0; r < pool->size; r++) ame__heap_free(&manager->links[r].own);
    manager->run.queued = manager->run.queued_bytes = 0;
}

/* ---- taking -------------------------------------------------------------------------------------- */

/* Indices that the generator may give now. */
static uint64_t generator_room(const struct ame_pool *pool)
{
    const struct ame__run *run = &pool->manager->run;
    if (run->source || run->count == AME_POOL_OPEN || run->next >= run->count) return 0;
    uint64_t left = run->count - run->next;
    if (run->how == AME__POOL_LOOP) return left;
    uint64_t window = (uint64_t) pool->options.window;
    uint64_t used = run->ordered ? run->next - run->deliver : run->outstanding + run->queued + run->stored;
    if (used >= window || (double) run->stored_bytes >= pool->options.window_bytes) return 0;
    return left < window - used ? left : window - used;
}

void ame__queue_skip(struct ame_pool *pool)
{
    struct ame__run *run = &pool->manager->run;
    uint64_t present, missing;
    if (!pool->manager->journal || run->source || run->count == AME_POOL_OPEN) return;
    ame__journal_gap(pool->manager->journal, run->next, &present, &missing);
    run->next += present;
    run->resumed += present;
    run->gap = missing;
}

/* The heap whose first task `rank` should do, or NULL. A task that another one would like better is taken only when there
 * is nothing else. */
static struct ame__heap *best_heap(struct ame_pool *pool, int rank)
{
    struct ame__manager *manager = pool->manager;
    struct ame__heap *common = &manager->heap, *own = &manager->links[rank].own;
    if (common->count && own->count) return before(heap_top(common), heap_top(own)) ? common : own;
    if (own->count) return own;
    return common->count ? common : NULL;
}

static struct ame__heap *other_heap(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    for (int r = 0; manager->run.queued && r < pool->size; r++) {
        struct ame__link *link = &manager->links[r];
        if (link->own.count && !heap_top(&link->own)->only && !ame__list_empty(&link->granted)) return &link->own;
    }
    return NULL;
}

static struct ame__piece *split(struct ame__piece *piece, uint64_t count)
{
    struct ame__piece *part = ame__piece_create(piece->first, count);
    if (!part) return NULL;
    struct ame__list link = part->link;
    *part = *piece;
    part->link = link;
    ame__list_init(&part->link);
    part->count = count;
    part->data = NULL;
    part->length = 0;
    part->send = NULL;
    piece->first += count;
    piece->count -= count;
    return part;
}

static struct ame__piece *take_from_heap(struct ame_pool *pool, struct ame__heap *heap, uint64_t most)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__piece *piece = heap_top(heap);
    if (piece->solo) most = 1;
    if (piece->count <= most)
        heap_pop(heap);
    else if (!(piece = split(piece, most)))
        return NULL;
    run->queued -= piece->count;
    run->queued_bytes -= piece->length;
    return piece;
}

struct ame__piece *ame__queue_take(struct ame_pool *pool, int rank, uint64_t most)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__heap *heap = best_heap(pool, rank);
    uint64_t room = generator_room(pool);
    if (heap && (room == 0 || heap_top(heap)->priority >= 0)) return take_from_heap(pool, heap, most);
    if (room == 0) {
        heap = other_heap(pool);
        return heap ? take_from_heap(pool, heap, most) : NULL;
    }
    if (pool->manager->journal && room > run->gap) room = run->gap;
    struct ame__piece *piece = ame__piece_create(run->next, most < room ? most : room);
    if (!piece) return NULL;
    piece->stamp = pool->manager->stamps++;
    run->next += piece->count;
    run->gap -= piece->count;
    if (run->gap == 0) ame__queue_skip(pool);
    return piece;
}

uint64_t ame__queue_left(const struct ame_pool *pool)
{
    const struct ame__run *run = &pool->manager->run;
    if (run->count == AME_POOL_OPEN) return run->queued;
    return run->count - run->next + run->queued;
}
