/* type_pack.c - moves the data of messages: pack, unpack, pieces for sendmsg, and walks over basics.
 *
 * Everything descends the tree from a position in the packed data: in a loop by division, in runs and lists by binary search.
 * So no call keeps state for the next one, and a large message can be moved in parts of any size at that small price. The
 * innermost loops over runs of 1, 2, 4, 8 and 16 bytes copy with fixed sizes, which compilers turn into single moves.
 *
 * Addresses are numbers here, since MPI_BOTTOM plus a displacement is no pointer arithmetic that C allows.
 */
#include "mpi/type_flat.h"

#include <string.h>

enum { COPY_STEP = 16384 }; /* ame__type_copy between two that have gaps */

/* The message as one piece; *storage is the node it may need. */
static struct ame__piece message(struct ame__piece one, int64_t extent, int64_t count, struct ame__node *storage)
{
    if (one.size == 0 || count <= 0) return (struct ame__piece){0};
    if (count == 1) return one;
    struct ame__piece all = one;
    all.size = one.size * count;
    if (!one.node && one.size == extent) return all;
    *storage = (struct ame__node){.kind = AME__NODE_LOOP, .count = count, .stride = extent, .piece = one};
    storage->piece.offset = 0;
    if (one.node && one.node->kind == AME__NODE_LOOP && one.node->count * one.node->stride == extent) {
        storage->count = count * one.node->count;
        storage->stride = one.node->stride;
        storage->piece = one.node->piece;
    }
    all.node = storage;
    return all;
}

static struct ame__piece flat_message(const struct ame__datatype *type, int64_t count, struct ame__node *storage)
{
    return message(type->flat, ame__type_extent(type), count, storage);
}

enum ame__type_error ame__type_total(const struct ame__datatype *type, int64_t count, int64_t *bytes)
{
    int64_t total;
    if (count < 0) return AME__TYPE_E_COUNT;
    if (__builtin_mul_overflow(type->size, count, &total)) return AME__TYPE_E_OVERFLOW;
    *bytes = total;
    return AME__TYPE_OK;
}

void *ame__type_direct(const struct ame__datatype *type, int64_t count, const void *buf)
{
    if (type->size == 0 || count == 0) return (void *) (uintptr_t) buf;
    if (type->flat.node || (count > 1 && type->size != ame__type_extent(type))) return NULL;
    return (void *) ((uintptr_t) buf + (uintptr_t) type->flat.offset);
}

void ame__type_span(const struct ame__datatype *type, int64_t count, int64_t *begin, int64_t *length)
{
    *begin = *length = 0;
    if (type->size == 0 || count <= 0) return;
    int64_t last = (count - 1) * ame__type_extent(type);
    *begin = type->true_lb + (last < 0 ? last : 0);
    *length = type->true_ub - type->true_lb + (last < 0 ? -last : last);
}

/* ---- pack and unpack ---- */

static void move(uintptr_t memory, char *packed, int64_t length, bool packing)
{
    if (packing)
        memcpy(packed, (const void *) memory, (size_t) length);
    else
        memcpy((void *) memory, packed, (size_t) length);
}

#define STRIDED(size)                                                                                                  \
    case size:                                                                                                         \
        if (packing)                                                                                                   \
            for (int64_t i = 0; i < count; i++, at += step, packed += (size)) memcpy(packed, (const void *) at, size); \
        else                                                                                                           \
            for (int64_t i = 0; i < count; i++, at += step, packed += (size)) memcpy((void *) at, packed, size);       \
        return;

/* `count` runs of `length` bytes, `stride` apart. */
static void move_strided(uintptr_t at, int64_t stride, int64_t length, int64_t count, char *packed, bool packing)
{
    uintptr_t step = (uintptr_t) stride;
    switch (length) {
        STRIDED(1)
        STRIDED(2)
        STRIDED(4)
        STRIDED(8)
        STRIDED(16)
    default:
        for (int64_t i = 0; i < count; i++, at += step, packed += length) move(at, packed, length, packing);
    }
}

/* The last of the runs that begin at or before `position`. */
static int64_t find_run(const struct ame__node *node, int64_t position)
{
    int64_t low = 0, high = node->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (node->runs[middle].start <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int64_t find_entry(const struct ame__node *node, int64_t position)
{
    int64_t low = 0, high = node->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (node->entries[middle].start <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void copy_runs(const struct ame__node *node, uintptr_t base, int64_t skip, int64_t take, char *packed,
                      bool packing)
{
    int64_t i = skip ? find_run(node, skip) : 0;
    skip -= node->runs[i].start;
    for (; take > 0; i++, skip = 0) {
        int64_t length = least(node->runs[i + 1].start - node->runs[i].start - skip, take);
        uintptr_t at = base + (uintptr_t) node->runs[i].offset + (uintptr_t) skip;
        if (length == 8)
            move(at, packed, 8, packing);
        else if (length == 4)
            move(at, packed, 4, packing);
        else
            move(at, packed, length, packing);
        packed += length;
        take -= length;
    }
}

/* Moves `take` bytes, beginning `skip` bytes into the piece; both are within it. The depth is that of the type's nest. */
static void copy(const struct ame__piece *piece, uintptr_t base, int64_t skip, int64_t take, char *packed, bool packing)
{
    const struct ame__node *node = piece->node;
    base += (uintptr_t) piece->offset;
    if (!node) {
        move(base + (uintptr_t) skip, packed, take, packing);
        return;
    }
    if (node->kind == AME__NODE_RUNS) {
        copy_runs(node, base, skip, take, packed, packing);
        return;
    }
    if (node->kind == AME__NODE_LIST) {
        int64_t i = skip ? find_entry(node, skip) : 0;
        skip -= node->entries[i].start;
        for (; take > 0; i++, skip = 0) {
            const struct ame__piece *child = &node->entries[i].piece;
            int64_t length = least(child->size - skip, take);
            copy(child, base, skip, length, packed, packing);
            packed += length;
            take -= length;
        }
        return;
    }
    const struct ame__piece *child = &node->piece;
    if (skip) {
        base += (uintptr_t) (skip / child->size) * (uintptr_t) node->stride;
        skip %= child->size;
    }
    if (skip) {
        int64_t length = least(child->size - skip, take);
        copy(child, base, skip, length, packed, packing);
        base += (uintptr_t) node->stride;
        packed += length;
        take -= length;
    }
    int64_t whole = take == piece->size ? node->count : take / child->size;
    if (!child->node) {
        move_strided(base + (uintptr_t) child->offset, node->stride, child->size, whole, packed, packing);
        base += (uintptr_t) whole * (uintptr_t) node->stride;
    } else {
        char *at = packed;
        for (int64_t i = 0; i < whole; i++, base += (uintptr_t) node->stride, at += child->size)
            copy(child, base, 0, child->size, at, packing);
    }
    int64_t rest = take - whole * child->size;
    if (rest > 0) copy(child, base, 0, rest, packed + whole * child->size, packing);
}

static int64_t pack_or_unpack(const struct ame__datatype *type, int64_t count, uintptr_t buf, int64_t position,
                              char *packed, int64_t length, bool packing)
{
    struct ame__node storage;
    struct ame__piece piece = flat_message(type, count, &storage);
    if (position < 0 || position >= piece.size || length <= 0) return 0;
    length = least(length, piece.size - position);
    copy(&piece, buf, position, length, packed, packing);
    return length;
}

int64_t ame__type_pack(const struct ame__datatype *type, int64_t count, const void *buf, int64_t position, void *packed,
                       int64_t length)
{
    return pack_or_unpack(type, count, (uintptr_t) buf, position, packed, length, true);
}

int64_t ame__type_unpack(const struct ame__datatype *type, int64_t count, void *buf, int64_t position,
                         const void *packed, int64_t length)
{
    return pack_or_unpack(type, count, (uintptr_t) buf, position, (char *) (uintptr_t) packed, length, false);
}

int64_t ame__type_copy(const struct ame__datatype *to_type, int64_t to_count, void *to,
                       const struct ame__datatype *type, int64_t count, const void *from)
{
    int64_t length = least(to_type->size * to_count, type->size * count);
    void *to_direct = ame__type_direct(to_type, to_count, to);
    const void *from_direct = ame__type_direct(type, count, from);
    if (length <= 0) return 0;
    if (to_direct && from_direct)
        memmove(to_direct, from_direct, (size_t) length);
    else if (to_direct)
        ame__type_pack(type, count, from, 0, to_direct, length);
    else if (from_direct)
        ame__type_unpack(to_type, to_count, to, 0, from_direct, length);
    else {
        char step[COPY_STEP];
        for (int64_t done = 0; done < length;) {
            int64_t moved = ame__type_pack(type, count, from, done, step, least(COPY_STEP, length - done));
            done += ame__type_unpack(to_type, to_count, to, done, step, moved);
        }
    }
    return length;
}

/* ---- walks: a call for each run ---- */

struct walk {
    ame__type_visitor *visit;
    void *context;
};

static bool walk(const struct walk *walker, const struct ame__piece *piece, uintptr_t base, int64_t skip, int64_t take)
{
    const struct ame__node *node = piece->node;
    base += (uintptr_t) piece->offset;
    if (!node) return walker->visit(walker->context, piece->basic, (void *) (base + (uintptr_t) skip), take);
    if (node->kind == AME__NODE_LOOP) {
        const struct ame__piece *child = &node->piece;
        base += (uintptr_t) (skip / child->size) * (uintptr_t) node->stride;
        for (skip %= child->size; take > 0; skip = 0, base += (uintptr_t) node->stride) {
            int64_t length = least(child->size - skip, take);
            if (!walk(walker, child, base, skip, length)) return false;
            take -= length;
        }
        return true;
    }
    bool runs = node->kind == AME__NODE_RUNS;
    int64_t i = runs ? find_run(node, skip) : find_entry(node, skip);
    for (skip -= runs ? node->runs[i].start : node->entries[i].start; take > 0; i++, skip = 0) {
        struct ame__piece child = runs ? (struct ame__piece){.offset = node->runs[i].offset,
                                                             .size = node->runs[i + 1].start - node->runs[i].start,
                                                             .basic = piece->basic}
                                       : node->entries[i].piece;
        int64_t length = least(child.size - skip, take);
        if (!walk(walker, &child, base, skip, length)) return false;
        take -= length;
    }
    return true;
}

bool ame__type_visit(const struct ame__datatype *type, int64_t count, const void *buf, ame__type_visitor *visit,
                     void *context)
{
    struct ame__node storage;
    struct ame__piece piece = message(type->map, ame__type_extent(type), count, &storage);
    if (piece.size == 0) return true;
    return walk(&(struct walk){visit, context}, &piece, (uintptr_t) buf, 0, piece.size);
}

struct vector {
    struct iovec *iov;
    size_t length, max;
    int64_t covered;
};

static bool add_to_vector(void *context, const struct ame__basic *basic, void *data, int64_t length)
{
    struct vector *vector = context;
    struct iovec *last = vector->length ? &vector->iov[vector->length - 1] : NULL;
    (void) basic;
    if (last && (uintptr_t) last->iov_base + last->iov_len == (uintptr_t) data) {
        last->iov_len += (size_t) length;
    } else {
        if (vector->length == vector->max) return false;
        vector->iov[vector->length++] = (struct iovec){data, (size_t) length};
    }
    vector->covered += length;
    return true;
}

size_t ame__type_iovec(const struct ame__datatype *type, int64_t count, const void *buf, int64_t position,
                       int64_t length, struct iovec iov[], size_t max, int64_t *covered)
{
    struct ame__node storage;
    struct ame__piece piece = flat_message(type, count, &storage);
    if (position < 0 || position >= piece.size || length <= 0) return 0;
    struct vector vector = {iov, 0, max, 0};
    walk(&(struct walk){add_to_vector, &vector}, &piece, (uintptr_t) buf, position,
         least(length, piece.size - position));
    *covered += vector.covered;
    return vector.length;
}

/* ---- how much has arrived ---- */

int64_t ame__type_count(const struct ame__datatype *type, int64_t bytes)
{
    if (type->size == 0) return bytes == 0 ? 0 : -1;
    return bytes % type->size == 0 ? bytes / type->size : -1;
}

/* Basic elements in the first `take` bytes of a piece; -1 if one is cut. */
static int64_t elements_of(const struct ame__piece *piece, int64_t take)
{
    if (take == 0) return 0;
    if (piece->basic) return take % piece->basic->size == 0 ? take / piece->basic->size : -1;
    const struct ame__node *node = piece->node;
    if (node->kind == AME__NODE_LOOP) {
        int64_t each = node->piece.size, whole = take / each;
        int64_t rest = elements_of(&node->piece, take % each);
        return rest < 0 ? -1 : rest + (whole ? whole * elements_of(&node->piece, each) : 0);
    }
    int64_t sum = 0;
    for (int64_t i = 0; take > 0; i++) { /* a LIST: RUNS are of one basic */
        int64_t length = least(node->entries[i].piece.size, take);
        int64_t here = elements_of(&node->entries[i].piece, length);
        if (here < 0) return -1;
        sum += here;
        take -= length;
    }
    return sum;
}

int64_t ame__type_elements(const struct ame__datatype *type, int64_t bytes)
{
    if (type->size == 0) return bytes == 0 ? 0 : -1;
    int64_t rest = elements_of(&type->map, bytes % type->size);
    return rest < 0 ? -1 : rest + bytes / type->size * type->elements;
}

struct elements {
    int64_t left, bytes;
};

static bool take_elements(void *context, const struct ame__basic *basic, void *data, int64_t length)
{
    struct elements *elements = context;
    int64_t here = least(length / basic->size, elements->left);
    (void) data;
    elements->left -= here;
    elements->bytes += here * basic->size;
    return elements->left > 0;
}

int64_t ame__type_elements_bytes(const struct ame__datatype *type, int64_t elements)
{
    if (type->elements == 0) return elements == 0 ? 0 : -1;
    struct elements rest = {elements % type->elements, 0};
    int64_t bytes;
    if (elements < 0 || __builtin_mul_overflow(elements / type->elements, type->size, &bytes)) return -1;
    if (rest.left) ame__type_visit(type, 1, NULL, take_elements, &rest);
    return bytes + rest.bytes;
}
