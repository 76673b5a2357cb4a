/* topology.c - Cartesian grids, graphs and distributed graphs as arithmetic; MPI_Dims_create is in dims.c. */
#include "mpi/topology.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *ame__topo_strerror(enum ame__topo_error error)
{
    switch (error) {
    case AME__TOPO_OK: return "no error";
    case AME__TOPO_E_DIMS: return "the dimensions do not fit the number of processes";
    case AME__TOPO_E_ARG: return "an argument is out of its range";
    case AME__TOPO_E_RANK: return "a rank is not in this topology";
    case AME__TOPO_E_MEMORY: return "out of memory";
    }
    return "unknown error";
}

/* A copy of `length` ints, never NULL for length 0; NULL if there is no memory. */
static int *copy_ints(const int *from, int64_t length)
{
    int *copy = malloc(((size_t) length + 1) * sizeof *copy);
    if (copy && length) memcpy(copy, from, (size_t) length * sizeof *copy);
    return copy;
}

/* ---- Cartesian ---- */

enum ame__topo_error ame__cart_init(struct ame__cart *cart, int ndims, const int dims[], const int periods[],
                                    int available)
{
    if (ndims < 0) return AME__TOPO_E_ARG;
    int64_t size = 1;
    for (int i = 0; i < ndims; i++) {
        if (dims[i] <= 0) return AME__TOPO_E_DIMS;
        size *= dims[i];
        if (size > available) return AME__TOPO_E_DIMS;
    }
    if (size > available) return AME__TOPO_E_DIMS;
    struct ame__cart made = {.ndims = ndims, .size = (int) size, .dims = copy_ints(dims, ndims)};
    made.periods = calloc((size_t) ndims + 1, sizeof *made.periods);
    if (!made.dims || !made.periods) {
        ame__cart_finish(&made);
        return AME__TOPO_E_MEMORY;
    }
    for (int i = 0; i < ndims; i++) made.periods[i] = periods[i] != 0;
    *cart = made;
    return AME__TOPO_OK;
}

void ame__cart_finish(struct ame__cart *cart)
{
    free(cart->dims);
    free(cart->periods);
    *cart = (struct ame__cart){0};
}

enum ame__topo_error ame__cart_rank(const struct ame__cart *cart, const int coords[], int *rank)
{
    int result = 0;
    for (int i = 0; i < cart->ndims; i++) {
        int at = coords[i];
        if (at < 0 || at >= cart->dims[i]) {
            if (!cart->periods[i]) return AME__TOPO_E_ARG;
            at %= cart->dims[i];
            if (at < 0) at += cart->dims[i];
        }
        result = result * cart->dims[i] + at;
    }
    *rank = result;
    return AME__TOPO_OK;
}

enum ame__topo_error ame__cart_coords(const struct ame__cart *cart, int rank, int maxdims, int coords[])
{
    if (rank < 0 || rank >= cart->size) return AME__TOPO_E_RANK;
    if (maxdims < 0) return AME__TOPO_E_ARG;
    for (int i = cart->ndims - 1; i >= 0; i--) {
        if (i < maxdims) coords[i] = rank % cart->dims[i];
        rank /= cart->dims[i];
    }
    return AME__TOPO_OK;
}

/* How many ranks lie between neighbours in this dimension. */
static int step_of(const struct ame__cart *cart, int direction)
{
    int step = 1;
    for (int i = direction + 1; i < cart->ndims; i++) step *= cart->dims[i];
    return step;
}

/* The rank `displacement` away, or none. */
static int moved(const struct ame__cart *cart, int rank, int direction, int64_t displacement)
{
    int step = step_of(cart, direction), dim = cart->dims[direction];
    int at = rank / step % dim;
    int64_t to = at + displacement;
    if (to < 0 || to >= dim) {
        if (!cart->periods[direction]) return AME__TOPO_NONE;
        to %= dim;
        if (to < 0) to += dim;
    }
    return rank + (int) (to - at) * step;
}

enum ame__topo_error ame__cart_shift(const struct ame__cart *cart, int rank, int direction, int displacement,
                                     int *source, int *dest)
{
    if (rank < 0 || rank >= cart->size) return AME__TOPO_E_RANK;
    if (direction < 0 || direction >= cart->ndims) return AME__TOPO_E_ARG;
    *source = moved(cart, rank, direction, -(int64_t) displacement);
    *dest = moved(cart, rank, direction, displacement);
    return AME__TOPO_OK;
}

enum ame__topo_error ame__cart_sub(const struct ame__cart *cart, int rank, const int remain[], struct ame__cart *sub,
                                   int *color, int *key)
{
    if (rank < 0 || rank >= cart->size) return AME__TOPO_E_RANK;
    struct ame__cart made = {.size = 1};
    made.dims = calloc((size_t) cart->ndims + 1, sizeof *made.dims);
    made.periods = calloc((size_t) cart->ndims + 1, sizeof *made.periods);
    if (!made.dims || !made.periods) {
        ame__cart_finish(&made);
        return AME__TOPO_E_MEMORY;
    }
    *color = *key = 0;
    for (int i = 0; i < cart->ndims; i++) {
        int dim = cart->dims[i], at = rank / step_of(cart, i) % dim;
        if (remain[i]) {
            made.dims[made.ndims] = dim;
            made.periods[made.ndims++] = cart->periods[i];
            made.size *= dim;
            *key = *key * dim + at;
        } else {
            *color = *color * dim + at;
        }
    }
    *sub = made;
    return AME__TOPO_OK;
}

void ame__cart_neighbors(const struct ame__cart *cart, int rank, int neighbors[])
{
    for (int i = 0; i < cart->ndims; i++) {
        *neighbors++ = moved(cart, rank, i, -1);
        *neighbors++ = moved(cart, rank, i, 1);
    }
}

/* ---- graphs ---- */

enum ame__topo_error ame__graph_init(struct ame__graph *graph, int nodes, const int index[], const int edges[],
                                     int available)
{
    if (nodes < 0 || nodes > available) return AME__TOPO_E_ARG;
    for (int i = 0; i < nodes; i++)
        if (index[i] < (i ? index[i - 1] : 0)) return AME__TOPO_E_ARG;
    int length = nodes ? index[nodes - 1] : 0;
    for (int i = 0; i < length; i++)
        if (edges[i] < 0 || edges[i] >= nodes) return AME__TOPO_E_ARG;
    struct ame__graph made = {nodes, length, copy_ints(index, nodes), copy_ints(edges, length)};
    if (!made.index || !made.edges) {
        ame__graph_finish(&made);
        return AME__TOPO_E_MEMORY;
    }
    *graph = made;
    return AME__TOPO_OK;
}

void ame__graph_finish(struct ame__graph *graph)
{
    free(graph->index);
    free(graph->edges);
    *graph = (struct ame__graph){0};
}

enum ame__topo_error ame__graph_neighbors(const struct ame__graph *graph, int rank, int *count, const int **neighbors)
{
    if (rank < 0 || rank >= graph->nodes) return AME__TOPO_E_RANK;
    int begin = rank ? graph->index[rank - 1] : 0;
    *count = graph->index[rank] - begin;
    *neighbors = graph->edges + begin;
    return AME__TOPO_OK;
}

/* ---- distributed graphs ---- */

static enum ame__topo_error check_ranks(int size, int length, const int ranks[], const int weights[])
{
    if (length < 0) return AME__TOPO_E_ARG;
    for (int i = 0; i < length; i++) {
        if (ranks[i] < 0 || ranks[i] >= size) return AME__TOPO_E_RANK;
        if (weights && weights[i] < 0) return AME__TOPO_E_ARG;
    }
    return AME__TOPO_OK;
}

static enum ame__topo_error keep(struct ame__dist_graph *graph, const struct ame__dist_graph *from)
{
    *graph = (struct ame__dist_graph){from->weighted, from->indegree, from->outdegree, NULL, NULL, NULL, NULL};
    graph->sources = copy_ints(from->sources, from->indegree);
    graph->destinations = copy_ints(from->destinations, from->outdegree);
    if (from->weighted) graph->sourceweights = copy_ints(from->sourceweights, from->indegree);
    if (from->weighted) graph->destweights = copy_ints(from->destweights, from->outdegree);
    if (graph->sources && graph->destinations && (!from->weighted || (graph->sourceweights && graph->destweights)))
        return AME__TOPO_OK;
    ame__dist_graph_finish(graph);
    return AME__TOPO_E_MEMORY;
}

enum ame__topo_error ame__dist_graph_init(struct ame__dist_graph *graph, int size, int indegree, const int sources[],
                                          const int sourceweights[], int outdegree, const int destinations[],
                                          const int destweights[])
{
    enum ame__topo_error error = check_ranks(size, indegree, sources, sourceweights);
    if (!error) error = check_ranks(size, outdegree, destinations, destweights);
    if (error) return error;
    /* A side without edges may have its weights missing: only one of the two tells. */
    bool weighted =
        (sourceweights || indegree == 0) && (destweights || outdegree == 0) && (sourceweights || destweights);
    struct ame__dist_graph from = {weighted,
                                   indegree,
                                   outdegree,
                                   (int *) (uintptr_t) sources,
                                   (int *) (uintptr_t) sourceweights,
                                   (int *) (uintptr_t) destinations,
                                   (int *) (uintptr_t) destweights};
    return keep(graph, &from);
}

void ame__dist_graph_finish(struct ame__dist_graph *graph)
{
    free(graph->sources);
    free(graph->sourceweights);
    free(graph->destinations);
    free(graph->destweights);
    *graph = (struct ame__dist_graph){0};
}

enum ame__topo_error ame__dist_graph_triples(int size, int n, const int sources[], const int degrees[],
                                             const int destinations[], const int weights[], int **triples,
                                             int64_t *length)
{
    int64_t edges = 0;
    enum ame__topo_error error = check_ranks(size, n, sources, NULL);
    if (error) return error;
    for (int i = 0; i < n; i++) {
        if (degrees[i] < 0) return AME__TOPO_E_ARG;
        error = check_ranks(size, degrees[i], destinations + edges, weights ? weights + edges : NULL);
        if (error) return error;
        edges += degrees[i];
    }
    int *made = malloc((3 * (size_t) edges + 1) * sizeof *made);
    if (!made) return AME__TOPO_E_MEMORY;
    int64_t edge = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < degrees[i]; j++, edge++) {
            made[3 * edge] = sources[i];
            made[3 * edge + 1] = destinations[edge];
            made[3 * edge + 2] = weights ? weights[edge] : 1;
        }
    *triples = made;
    *length = 3 * edges;
    return AME__TOPO_OK;
}

enum ame__topo_error ame__dist_graph_collect(struct ame__dist_graph *graph, int rank, bool weighted,
                                             const int triples[], int64_t length)
{
    ptrdiff_t in = 0, out = 0;
    for (int64_t i = 0; i + 2 < length; i += 3) {
        in += triples[i + 1] == rank;
        out += triples[i] == rank;
    }
    int *all = malloc((2 * (size_t) (in + out) + 1) * sizeof *all);
    if (!all) return AME__TOPO_E_MEMORY;
    struct ame__dist_graph from = {weighted, (int) in, (int) out, all, all + in, all + 2 * in, all + 2 * in + out};
    in = out = 0;
    for (int64_t i = 0; i + 2 < length; i += 3) {
        if (triples[i + 1] == rank) {
            from.sources[in] = triples[i];
            from.sourceweights[in++] = triples[i + 2];
        }
        if (triples[i] == rank) {
            from.destinations[out] = triples[i + 1];
            from.destweights[out++] = triples[i + 2];
        }
    }
    enum ame__topo_error error = keep(graph, &from);
    free(all);
    return error;
}
