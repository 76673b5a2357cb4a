/* type_flat.h - the tree of runs that a datatype is held as; inside of the datatype module only.
 *
 * A piece is a run of bytes or a reference to a node, at an offset. A node is one of
 *
 *   LOOP  `count` times the same piece, `stride` bytes apart
 *   RUNS  many runs of one basic: an offset each, and where each begins in the packed data
 *   LIST  many pieces, each with where it begins in the packed data
 *
 * Nodes are made by the constructor functions below, which bring trees into a normal form: nothing empty, no node for one
 * thing, neighbouring runs joined, loops of loops without gaps between them joined, evenly spaced equal pieces as a loop.
 * So what is one run of bytes in memory is a piece without a node, however it was described, and an evenly strided array
 * is a LOOP of a run.
 *
 * A node belongs to the datatype in whose making it arose (ame__datatype.nodes). Trees of derived types point into those of
 * the types they consist of, which they keep alive as their contents.
 */
#ifndef AME_MPI_TYPE_FLAT_H
#define AME_MPI_TYPE_FLAT_H

#include "mpi/datatype.h"

enum ame__node_kind { AME__NODE_LOOP = 1, AME__NODE_RUNS, AME__NODE_LIST };

struct ame__run {
    int64_t offset, start; /* its length is the next one's start less its own */
};

struct ame__entry {
    struct ame__piece piece;
    int64_t start;
};

struct ame__node {
    enum ame__node_kind kind;
    struct ame__node *next;     /* of the same owner */
    int64_t count;              /* of repetitions, runs, or entries */
    int64_t stride;             /* LOOP */
    struct ame__piece piece;    /* LOOP */
    struct ame__run *runs;      /* RUNS: count + 1 of them, the last one only to tell the end */
    struct ame__entry *entries; /* LIST: likewise */
};

/* Pieces that are to become one: see ame__gather_add. */
struct ame__gather {
    struct ame__node **owner;
    bool joined; /* runs of different basics are joined, and basics not remembered: for `flat` */
    int64_t count, space;
    struct ame__piece *pieces;
};

/* *out = `count` times `piece`, `stride` bytes apart. A new node goes to *owner. */
enum ame__type_error ame__piece_loop(struct ame__node **owner, struct ame__piece piece, int64_t count, int64_t stride,
                                     struct ame__piece *out);

/* A list of pieces in the order of the data: begin, add each, end. `end` makes *out of them and frees the list, which
 * must be done in case of errors as well (with out NULL). */
void ame__gather_begin(struct ame__gather *gather, struct ame__node **owner, bool joined);
enum ame__type_error ame__gather_add(struct ame__gather *gather, struct ame__piece piece);
enum ame__type_error ame__gather_end(struct ame__gather *gather, struct ame__piece *out);

void ame__nodes_free(struct ame__node *nodes);

#endif
