/* queue.c - tasks that nobody has: queues by priority and age, one for all and one per rank that tasks prefer, and the
 * generator, which makes indices as they are needed. The lock is held.
 *
 * Nearly all tasks come in the order in which they will go. These stand in a row; the others, those of another priority and
 * repeated ones, are in a heap beside it. */
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

/* ---- queues -------------------------------------------------------------------------------------- */

static bool before(const struct ame__piece *a, const struct ame__piece *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->stamp < b->stamp;
}

static int heap_push(struct ame__queue *queue, struct ame__piece *piece)
{
    if (queue->count == queue->room) {
        size_t room = queue->room ? 2 * queue->room : 64;
        struct ame__piece **heap = realloc(queue->heap, room * sizeof *heap);
        if (!heap) return ame__fail(AME_E_NOMEM, "out of memory for the tasks of a pool");
        queue->heap = heap;
        queue->room = room;
    }
    struct ame__piece **heap = queue->heap;
    size_t at = queue->count++;
    for (; at && before(piece, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = piece;
    return AME_OK;
}

static void heap_pop(struct ame__queue *queue)
{
    struct ame__piece **heap = queue->heap, *last = heap[--queue->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < queue->count; at = child) {
        if (child + 1 < queue->count && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], last)) break;
        heap[at] = heap[child];
    }
    if (queue->count) heap[at] = last;
}

static struct ame__piece *in_row(struct ame__list *node)
{
    return ame__container_of(node, struct ame__piece, link);
}

static int push(struct ame__queue *queue, struct ame__piece *piece)
{
    if (!ame__list_empty(&queue->row) && !before(in_row(queue->row.prev), piece)) return heap_push(queue, piece);
    ame__list_append(&queue->row, &piece->link);
    return AME_OK;
}

static struct ame__piece *first(const struct ame__queue *queue)
{
    struct ame__list *node = ame__list_first(&queue->row);
    if (!queue->count) return node ? in_row(node) : NULL;
    return node && before(in_row(node), queue->heap[0]) ? in_row(node) : queue->heap[0];
}

static void drop_first(struct ame__queue *queue)
{
    struct ame__piece *piece = first(queue);
    if (queue->count && piece == queue->heap[0])
        heap_pop(queue);
    else
        ame__list_remove(&piece->link);
}

void ame__queue_init(struct ame__queue *queue)
{
    *queue = (struct ame__queue){0};
    ame__list_init(&queue->row);
}

static void empty(struct ame__queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) ame__piece_destroy(queue->heap[i]);
    ame__list_for_each(node, &queue->row) ame__piece_destroy(in_row(node));
    free(queue->heap);
    ame__queue_init(queue);
}

/* ---- adding -------------------------------------------------------------------------------------- */

static struct ame__queue *queue_for(struct ame_pool *pool, const struct ame__piece *piece)
{
    struct ame__manager *manager = pool->manager;
    if (piece->prefers == AME_POOL_ANYONE || manager->links[piece->prefers].gone) return &manager->queue;
    if (piece->prefers == 0 && !ame__root_works(pool)) return &manager->queue;
    return &manager->links[piece->prefers].own;
}

int ame__queue_add(struct ame_pool *pool, struct ame__piece *piece)
{
    struct ame__run *run = &pool->manager->run;
    int code = push(queue_for(pool, piece), piece);
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
    struct ame__queue *own = &pool->manager->links[rank].own;
    for (struct ame__piece *piece; (piece = first(own));) {
        drop_first(own);
        piece->prefers = AME_POOL_ANYONE;
        if (push(&pool->manager->queue, piece)) ame__piece_destroy(piece);
    }
}

void ame__queue_drop(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    empty(&manager->queue);
    for (int r = 0; r < pool->size; r++) empty(&manager->links[r].own);
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

/* The queue whose first task `rank` should do, or NULL. A task that another one would like better is taken only when there
 * is nothing else. */
static struct ame__queue *best_queue(struct ame_pool *pool, int rank)
{
    struct ame__queue *common = &pool->manager->queue, *own = &pool->manager->links[rank].own;
    const struct ame__piece *anybodys = first(common), *mine = first(own);
    if (anybodys && mine) return before(anybodys, mine) ? common : own;
    if (mine) return own;
    return anybodys ? common : NULL;
}

static struct ame__queue *other_queue(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    for (int r = 0; manager->run.queued && r < pool->size; r++) {
        struct ame__link *link = &manager->links[r];
        const struct ame__piece *piece = first(&link->own);
        if (piece && !piece->only && !ame__list_empty(&link->granted)) return &link->own;
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

static struct ame__piece *take_from(struct ame_pool *pool, struct ame__queue *queue, uint64_t most)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__piece *piece = first(queue);
    if (piece->solo) most = 1;
    if (piece->count <= most)
        drop_first(queue);
    else if (!(piece = split(piece, most)))
        return NULL;
    run->queued -= piece->count;
    run->queued_bytes -= piece->length;
    return piece;
}

struct ame__piece *ame__queue_take(struct ame_pool *pool, int rank, uint64_t most)
{
    struct ame__run *run = &pool->manager->run;
    struct ame__queue *queue = best_queue(pool, rank);
    uint64_t room = generator_room(pool);
    if (queue && (room == 0 || first(queue)->priority >= 0)) return take_from(pool, queue, most);
    if (room == 0) {
        queue = other_queue(pool);
        return queue ? take_from(pool, queue, most) : NULL;
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
