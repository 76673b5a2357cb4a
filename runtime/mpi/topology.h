/* topology.h - the arithmetic of MPI's virtual topologies: Cartesian grids, graphs, distributed graphs.
 *
 * Pure functions on caller's arrays; no communicator, no handle, no message. What needs the other ranks (collecting the
 * edges of a distributed graph) is the caller's: ame__dist_graph_* says what to send and what to make of what arrived.
 * Ranks that do not exist are AME__TOPO_NONE, which the caller turns into MPI_PROC_NULL.
 */
#ifndef AME_MPI_TOPOLOGY_H
#define AME_MPI_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

enum ame__topo_error {
    AME__TOPO_OK = 0,
    AME__TOPO_E_DIMS,   /* a dimension is negative, or the grid does not fit (MPI_ERR_DIMS) */
    AME__TOPO_E_ARG,    /* another argument is out of its range (MPI_ERR_ARG) */
    AME__TOPO_E_RANK,   /* a rank is none of this topology (MPI_ERR_RANK) */
    AME__TOPO_E_MEMORY, /* malloc failed (MPI_ERR_NO_MEM) */
};
/* A sentence without a full stop, for the text of an error. */
const char *ame__topo_strerror(enum ame__topo_error error);

#define AME__TOPO_NONE (-1)

/* MPI_Dims_create: fills the zeros of dims[ndims] so that the product of all is nnodes, as close to each other as possible,
 * in non-increasing order. E_DIMS if the given ones do not divide nnodes, or one is negative. */
enum ame__topo_error ame__dims_create(int nnodes, int ndims, int dims[]);

/* ---- Cartesian; ranks are in row-major order: the last dimension varies fastest. ndims may be 0: one rank ---- */
struct ame__cart {
    int ndims, size; /* size: product of dims */
    int *dims;
    bool *periods;
};
/* Copies; E_DIMS if a dimension is not positive, or the grid has more than `available` ranks. periods: 0 or not 0. */
enum ame__topo_error ame__cart_init(struct ame__cart *cart, int ndims, const int dims[], const int periods[],
                                    int available);
void ame__cart_finish(struct ame__cart *cart);
/* Coordinates out of range: wrapped in a periodic dimension, else E_ARG. */
enum ame__topo_error ame__cart_rank(const struct ame__cart *cart, const int coords[], int *rank);
/* The first `maxdims` coordinates of `rank`. */
enum ame__topo_error ame__cart_coords(const struct ame__cart *cart, int rank, int maxdims, int coords[]);
enum ame__topo_error ame__cart_shift(const struct ame__cart *cart, int rank, int direction, int displacement,
                                     int *source, int *dest);
/* The grid of the dimensions that remain, and which of the new grids (colour) and where in it (key) `rank` is. */
enum ame__topo_error ame__cart_sub(const struct ame__cart *cart, int rank, const int remain[], struct ame__cart *sub,
                                   int *color, int *key);
/* Neighbours in the standard's order: per dimension the one before, then the one after; 2 * ndims ranks, also for sources
 * and destinations of neighbourhood collectives. */
void ame__cart_neighbors(const struct ame__cart *cart, int rank, int neighbors[]);

/* ---- graphs (MPI_Graph_create): index[i] is the number of neighbours of nodes 0 .. i, edges are all their lists ---- */
struct ame__graph {
    int nodes, edges_length;
    int *index, *edges;
};
/* Copies and checks: index non-decreasing, edges within the graph, at most `available` nodes. */
enum ame__topo_error ame__graph_init(struct ame__graph *graph, int nodes, const int index[], const int edges[],
                                     int available);
void ame__graph_finish(struct ame__graph *graph);
/* *neighbors points into the graph. */
enum ame__topo_error ame__graph_neighbors(const struct ame__graph *graph, int rank, int *count, const int **neighbors);

/* ---- distributed graphs: what one rank knows of its own edges ---- */
struct ame__dist_graph {
    bool weighted;
    int indegree, outdegree;
    int *sources, *sourceweights, *destinations, *destweights; /* weights: NULL if not weighted */
};
/* MPI_Dist_graph_create_adjacent. size: ranks of the communicator; weights NULL: unweighted. */
enum ame__topo_error ame__dist_graph_init(struct ame__dist_graph *graph, int size, int indegree, const int sources[],
                                          const int sourceweights[], int outdegree, const int destinations[],
                                          const int destweights[]);
void ame__dist_graph_finish(struct ame__dist_graph *graph);

/* MPI_Dist_graph_create: every rank names some edges of the graph. These become triples (source, destination, weight),
 * which the ranks exchange (an allgatherv of ints is enough); `collect` then picks those of `rank`. Edges keep the order
 * in which they stand in `triples`, so that all ranks agree on it. weights NULL: unweighted, weight 1. */
enum ame__topo_error ame__dist_graph_triples(int size, int n, const int sources[], const int degrees[],
                                             const int destinations[], const int weights[], int **triples,
                                             int64_t *length);
enum ame__topo_error ame__dist_graph_collect(struct ame__dist_graph *graph, int rank, bool weighted,
                                             const int triples[], int64_t length);

#endif
