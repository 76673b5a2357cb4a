/* topo.c - communicators with a topology, over the arithmetic of topology.h; neighbourhood collectives. */
#include "coll.h"

#include <stdlib.h>
#include <string.h>

#include "mpi/topology.h"

struct mpi__topology {
    enum { CARTESIAN, GRAPH, DISTRIBUTED } what;
    atomic_int references; /* a topology does not change, so copies of a communicator share it */
    struct ame__cart cart;
    struct ame__graph graph;
    struct ame__dist_graph distributed;
};

void mpi__topology_drop(struct mpi__topology *topology)
{
    if (!topology || atomic_fetch_sub(&topology->references, 1) > 1) return;
    if (topology->what == CARTESIAN) ame__cart_finish(&topology->cart);
    if (topology->what == GRAPH) ame__graph_finish(&topology->graph);
    if (topology->what == DISTRIBUTED) ame__dist_graph_finish(&topology->distributed);
    free(topology);
}

int mpi__topology_copy(const struct mpi__topology *from, struct mpi__topology **to)
{
    *to = (struct mpi__topology *) (uintptr_t) from;
    atomic_fetch_add(&(*to)->references, 1);
    return MPI_SUCCESS;
}

static int topo_error(enum ame__topo_error error)
{
    static const int table[] = {[AME__TOPO_OK] = MPI_SUCCESS,
                                [AME__TOPO_E_DIMS] = MPI_ERR_DIMS,
                                [AME__TOPO_E_ARG] = MPI_ERR_ARG,
                                [AME__TOPO_E_RANK] = MPI_ERR_RANK,
                                [AME__TOPO_E_MEMORY] = MPI_ERR_NO_MEM};
    return error ? mpi__fail(table[error], "%s", ame__topo_strerror(error)) : MPI_SUCCESS;
}

static struct mpi__topology *topology_new(int what)
{
    struct mpi__topology *topology = calloc(1, sizeof *topology);
    if (!topology) return NULL;
    topology->references = 1;
    *(int *) &topology->what = what;
    return topology;
}

static int check_intra(const struct mpi__comm *comm)
{
    return comm->inter ? mpi__fail(MPI_ERR_COMM, "the communicator is an intercommunicator") : MPI_SUCCESS;
}

/* The first `size` ranks become a communicator with this topology (which is taken over); the others get none. */
static int create(struct mpi__comm *old, int size, struct mpi__topology *topology, struct mpi__comm **newcomm)
{
    uint64_t lineage = ame__seam_child(old->ame, (uint64_t) (uint32_t) size);
    *newcomm = NULL;
    if (old->rank >= size) {
        mpi__topology_drop(topology);
        return MPI_SUCCESS;
    }
    struct mpi__group *group = mpi__group_new(size);
    int code = group ? MPI_SUCCESS : mpi__no_memory();
    if (!code) {
        memcpy(group->world, old->group->world, (size_t) size * sizeof *group->world);
        mpi__group_find(group);
        code = mpi__comm_new(lineage, group, newcomm);
    }
    mpi__group_drop(group);
    if (code) {
        mpi__topology_drop(topology);
        return code;
    }
    (*newcomm)->topology = topology;
    mpi__errhandler_set(&(*newcomm)->errhandler, old->errhandler);
    return MPI_SUCCESS;
}

static int has(const struct mpi__comm *comm, int what, struct mpi__topology **topology)
{
    *topology = comm->topology;
    if (*topology && (int) (*topology)->what == what) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_TOPOLOGY, "the communicator has %s",
                     *topology ? "a topology of another kind" : "no topology");
}

static int rank_or_none(int rank)
{
    return rank == AME__TOPO_NONE ? MPI_PROC_NULL : rank;
}

/* ---- Cartesian ----------------------------------------------------------------------------------- */

int mpi__Cart_create(struct mpi__comm *old, int ndims, const int dims[], const int periods[], int reorder,
                     struct mpi__comm **newcomm)
{
    (void) reorder;
    int code = check_intra(old);
    if (!code && ndims < 0) code = mpi__fail(MPI_ERR_DIMS, "argument 'ndims' is %d", ndims);
    if (!code && ndims && (!dims || !periods)) code = mpi__fail(MPI_ERR_ARG, "argument 'dims' or 'periods' is NULL");
    if (code) return code;
    struct mpi__topology *topology = topology_new(CARTESIAN);
    if (!topology) return mpi__no_memory();
    code = topo_error(ame__cart_init(&topology->cart, ndims, dims, periods, old->size));
    if (code) {
        free(topology);
        return code;
    }
    return create(old, topology->cart.size, topology, newcomm);
}

int mpi__Cartdim_get(struct mpi__comm *comm, int *ndims)
{
    struct mpi__topology *topology;
    int code = has(comm, CARTESIAN, &topology);
    if (!code) *ndims = topology->cart.ndims;
    return code;
}

int mpi__Cart_get(struct mpi__comm *comm, int maxdims, int dims[], int periods[], int coords[])
{
    struct mpi__topology *topology;
    int code = has(comm, CARTESIAN, &topology);
    if (!code && maxdims < topology->cart.ndims)
        code =
            mpi__fail(MPI_ERR_ARG, "argument 'maxdims' is %d; there are %d dimensions", maxdims, topology->cart.ndims);
    if (code) return code;
    for (int i = 0; i < topology->cart.ndims; i++) {
        dims[i] = topology->cart.dims[i];
        periods[i] = topology->cart.periods[i];
    }
    return topo_error(ame__cart_coords(&topology->cart, comm->rank, maxdims, coords));
}

int mpi__Cart_rank(struct mpi__comm *comm, const int coords[], int *rank)
{
    struct mpi__topology *topology;
    int code = has(comm, CARTESIAN, &topology);
    return code ? code : topo_error(ame__cart_rank(&topology->cart, coords, rank));
}

int mpi__Cart_coords(struct mpi__comm *comm, int rank, int maxdims, int coords[])
{
    struct mpi__topology *topology;
    int code = has(comm, CARTESIAN, &topology);
    return code ? code : topo_error(ame__cart_coords(&topology->cart, rank, maxdims, coords));
}

int mpi__Cart_shift(struct mpi__comm *comm, int direction, int disp, int *source, int *dest)
{
    struct mpi__topology *topology;
    int code = has(comm, CARTESIAN, &topology);
    if (!code) code = topo_error(ame__cart_shift(&topology->cart, comm->rank, direction, disp, source, dest));
    if (code) return code;
    *source = rank_or_none(*source);
    *dest = rank_or_none(*dest);
    return MPI_SUCCESS;
}

int mpi__Cart_sub(struct mpi__comm *comm, const int remain[], struct mpi__comm **newcomm)
{
    struct mpi__topology *topology;
    int color, key, code = has(comm, CARTESIAN, &topology);
    struct mpi__topology *part = code ? NULL : topology_new(CARTESIAN);
    if (!code && !part) code = mpi__no_memory();
    if (!code) code = topo_error(ame__cart_sub(&topology->cart, comm->rank, remain, &part->cart, &color, &key));
    if (code) {
        free(part);
        return code;
    }
    code = mpi__Comm_split(comm, color, key, newcomm);
    if (code)
        mpi__topology_drop(part);
    else
        (*newcomm)->topology = part;
    return code;
}

int mpi__Cart_map(struct mpi__comm *comm, int ndims, const int dims[], const int periods[], int *newrank)
{
    struct ame__cart cart;
    int code = check_intra(comm);
    if (!code && ndims < 0) code = mpi__fail(MPI_ERR_DIMS, "argument 'ndims' is %d", ndims);
    if (!code) code = topo_error(ame__cart_init(&cart, ndims, dims, periods, comm->size));
    if (code) return code;
    *newrank = comm->rank < cart.size ? comm->rank : MPI_UNDEFINED;
    ame__cart_finish(&cart);
    return MPI_SUCCESS;
}

int mpi__Dims_create(int nnodes, int ndims, int dims[])
{
    if (nnodes < 1) return mpi__fail(MPI_ERR_ARG, "argument 'nnodes' is %d", nnodes);
    if (ndims < 0) return mpi__fail(MPI_ERR_DIMS, "argument 'ndims' is %d", ndims);
    return ndims ? topo_error(ame__dims_create(nnodes, ndims, dims)) : MPI_SUCCESS;
}

/* ---- graphs -------------------------------------------------------------------------------------- */

int mpi__Graph_create(struct mpi__comm *old, int nnodes, const int index[], const int edges[], int reorder,
                      struct mpi__comm **newcomm)
{
    (void) reorder;
    int code = check_intra(old);
    if (!code && nnodes < 0) code = mpi__fail(MPI_ERR_ARG, "argument 'nnodes' is %d", nnodes);
    if (code) return code;
    if (nnodes == 0) {
        *newcomm = NULL;
        (void) ame__seam_child(old->ame, 0);
        return MPI_SUCCESS;
    }
    struct mpi__topology *topology = topology_new(GRAPH);
    if (!topology) return mpi__no_memory();
    code = topo_error(ame__graph_init(&topology->graph, nnodes, index, edges, old->size));
    if (code) {
        free(topology);
        return code;
    }
    return create(old, nnodes, topology, newcomm);
}

int mpi__Graphdims_get(struct mpi__comm *comm, int *nnodes, int *nedges)
{
    struct mpi__topology *topology;
    int code = has(comm, GRAPH, &topology);
    if (code) return code;
    *nnodes = topology->graph.nodes;
    *nedges = topology->graph.edges_length;
    return MPI_SUCCESS;
}

int mpi__Graph_get(struct mpi__comm *comm, int maxindex, int maxedges, int index[], int edges[])
{
    struct mpi__topology *topology;
    int code = has(comm, GRAPH, &topology);
    if (!code && (maxindex < topology->graph.nodes || maxedges < topology->graph.edges_length))
        code = mpi__fail(MPI_ERR_ARG, "the graph has %d nodes and %d edges", topology->graph.nodes,
                         topology->graph.edges_length);
    if (code) return code;
    memcpy(index, topology->graph.index, (size_t) topology->graph.nodes * sizeof *index);
    if (topology->graph.edges_length)
        memcpy(edges, topology->graph.edges, (size_t) topology->graph.edges_length * sizeof *edges);
    return MPI_SUCCESS;
}

int mpi__Graph_map(struct mpi__comm *comm, int nnodes, const int index[], const int edges[], int *newrank)
{
    struct ame__graph graph;
    int code = check_intra(comm);
    if (!code && nnodes < 1) code = mpi__fail(MPI_ERR_ARG, "argument 'nnodes' is %d", nnodes);
    if (!code) code = topo_error(ame__graph_init(&graph, nnodes, index, edges, comm->size));
    if (code) return code;
    *newrank = comm->rank < nnodes ? comm->rank : MPI_UNDEFINED;
    ame__graph_finish(&graph);
    return MPI_SUCCESS;
}

int mpi__Graph_neighbors_count(struct mpi__comm *comm, int rank, int *count)
{
    struct mpi__topology *topology;
    const int *neighbors;
    int code = has(comm, GRAPH, &topology);
    return code ? code : topo_error(ame__graph_neighbors(&topology->graph, rank, count, &neighbors));
}

int mpi__Graph_neighbors(struct mpi__comm *comm, int rank, int max, int neighbors[])
{
    struct mpi__topology *topology;
    const int *all;
    int count, code = has(comm, GRAPH, &topology);
    if (!code) code = topo_error(ame__graph_neighbors(&topology->graph, rank, &count, &all));
    for (int i = 0; !code && i < count && i < max; i++) neighbors[i] = all[i];
    return code;
}

int mpi__Topo_test(struct mpi__comm *comm, int *status)
{
    *status = !comm->topology                     ? MPI_UNDEFINED
              : comm->topology->what == CARTESIAN ? MPI_CART
              : comm->topology->what == GRAPH     ? MPI_GRAPH
                                                  : MPI_DIST_GRAPH;
    return MPI_SUCCESS;
}

/* ---- distributed graphs -------------------------------------------------------------------------- */

static bool weighted(const int weights[])
{
    return weights != MPI_UNWEIGHTED && weights != MPI_WEIGHTS_EMPTY;
}

int mpi__Dist_graph_create_adjacent(struct mpi__comm *old, int indegree, const int sources[], const int sourceweights[],
                                    int outdegree, const int destinations[], const int destweights[],
                                    struct mpi__info *info, int reorder, struct mpi__comm **newcomm)
{
    (void) info;
    (void) reorder;
    int code = check_intra(old);
    if (!code && (indegree < 0 || outdegree < 0)) code = mpi__fail(MPI_ERR_ARG, "a degree is negative");
    if (code) return code;
    struct mpi__topology *topology = topology_new(DISTRIBUTED);
    if (!topology) return mpi__no_memory();
    code = topo_error(ame__dist_graph_init(&topology->distributed, old->size, indegree, sources,
                                           weighted(sourceweights) ? sourceweights : NULL, outdegree, destinations,
                                           weighted(destweights) ? destweights : NULL));
    if (code) {
        free(topology);
        return code;
    }
    topology->distributed.weighted = sourceweights != MPI_UNWEIGHTED;
    return create(old, old->size, topology, newcomm);
}

/* All ranks learn all edges. *all: to be freed. */
static int gather_edges(struct mpi__comm *comm, const int *triples, int64_t length, int **all, int64_t *total)
{
    uint64_t mine = (uint64_t) length * sizeof *triples, sum = 0;
    size_t *lengths = malloc((size_t) comm->size * sizeof *lengths);
    if (!lengths) return mpi__no_memory();
    int code = mpi__fail_ame(ame_allgather(&mine, sizeof mine, lengths, comm->ame));
    for (int rank = 0; !code && rank < comm->size; rank++) sum += lengths[rank];
    *all = code ? NULL : malloc(sum + 1);
    if (!code && !*all) code = mpi__no_memory();
    if (!code) code = mpi__fail_ame(ame_allgatherv(triples, mine, *all, lengths, NULL, comm->ame));
    *total = (int64_t) (sum / sizeof **all);
    free(lengths);
    return code;
}

int mpi__Dist_graph_create(struct mpi__comm *old, int n, const int sources[], const int degrees[],
                           const int destinations[], const int weights[], struct mpi__info *info, int reorder,
                           struct mpi__comm **newcomm)
{
    (void) info;
    (void) reorder;
    int code = check_intra(old), *triples = NULL, *all = NULL;
    int64_t length = 0, total = 0;
    if (!code && n < 0) code = mpi__fail(MPI_ERR_ARG, "argument 'n' is %d", n);
    struct mpi__topology *topology = code ? NULL : topology_new(DISTRIBUTED);
    if (!code && !topology) code = mpi__no_memory();
    if (!code)
        code = topo_error(ame__dist_graph_triples(old->size, n, sources, degrees, destinations,
                                                  weighted(weights) ? weights : NULL, &triples, &length));
    if (!code) code = gather_edges(old, triples, length, &all, &total);
    if (!code)
        code = topo_error(
            ame__dist_graph_collect(&topology->distributed, old->rank, weights != MPI_UNWEIGHTED, all, total));
    free(triples);
    free(all);
    if (code) {
        free(topology);
        return code;
    }
    return create(old, old->size, topology, newcomm);
}

int mpi__Dist_graph_neighbors_count(struct mpi__comm *comm, int *indegree, int *outdegree, int *is_weighted)
{
    struct mpi__topology *topology;
    int code = has(comm, DISTRIBUTED, &topology);
    if (code) return code;
    *indegree = topology->distributed.indegree;
    *outdegree = topology->distributed.outdegree;
    *is_weighted = topology->distributed.weighted;
    return MPI_SUCCESS;
}

static int copy_edges(int max, int degree, const int from[], const int weights[], int to[], int to_weights[])
{
    if (max < 0) return mpi__fail(MPI_ERR_ARG, "a maximal degree is %d", max);
    for (int i = 0; i < degree && i < max; i++) {
        to[i] = from[i];
        if (weights && weighted(to_weights)) to_weights[i] = weights[i];
    }
    return MPI_SUCCESS;
}

int mpi__Dist_graph_neighbors(struct mpi__comm *comm, int maxindegree, int sources[], int sourceweights[],
                              int maxoutdegree, int destinations[], int destweights[])
{
    struct mpi__topology *topology;
    int code = has(comm, DISTRIBUTED, &topology);
    if (code) return code;
    const struct ame__dist_graph *graph = &topology->distributed;
    code = copy_edges(maxindegree, graph->indegree, graph->sources, graph->sourceweights, sources, sourceweights);
    if (code) return code;
    return copy_edges(maxoutdegree, graph->outdegree, graph->destinations, graph->destweights, destinations,
                      destweights);
}

/* ---- neighbourhood collectives ------------------------------------------------------------------- */

struct neighborhood {
    int in, out;
    const int *sources, *destinations;
    int *own; /* memory of sources and destinations, to be freed; NULL: the topology's */
    bool cartesian;
};

static int neighborhood_of(const struct mpi__comm *comm, struct neighborhood *around)
{
    const struct mpi__topology *topology = comm->topology;
    *around = (struct neighborhood){0};
    if (!topology) return mpi__fail(MPI_ERR_TOPOLOGY, "the communicator has no topology");
    if (topology->what == DISTRIBUTED) {
        around->in = topology->distributed.indegree;
        around->out = topology->distributed.outdegree;
        around->sources = topology->distributed.sources;
        around->destinations = topology->distributed.destinations;
    } else if (topology->what == GRAPH) {
        (void) ame__graph_neighbors(&topology->graph, comm->rank, &around->in, &around->sources);
        around->out = around->in;
        around->destinations = around->sources;
    } else {
        around->cartesian = true;
        around->in = around->out = 2 * topology->cart.ndims;
        around->own = malloc(((size_t) around->in + 1) * sizeof *around->own);
        if (!around->own) return mpi__no_memory();
        ame__cart_neighbors(&topology->cart, comm->rank, around->own);
        around->sources = around->destinations = around->own;
    }
    return MPI_SUCCESS;
}

/* Several messages between two ranks are matched in the order in which they are sent and received. In a grid, what goes to
 * the neighbour before comes from the neighbour after, so that the two of a dimension, where they are the same rank, are
 * received in reverse order. */
static int in_order(const struct neighborhood *around, int i)
{
    return around->cartesian ? i ^ 1 : i;
}

static void build_neighbors(struct ame__sched *sched, struct mpi__coll *call)
{
    struct neighborhood around;
    const struct mpi__type *type, *own_type;
    void *buf, *own;
    int64_t count, own_count;
    size_t length;
    int me = call->comm->rank, own_next = 0;
    call->failure = neighborhood_of(call->comm, &around);
    for (int i = 0; i < around.in && !call->failure; i++) {
        int at = in_order(&around, i);
        if (around.sources[at] == AME__TOPO_NONE) continue;
        mpi__coll_block(call, true, at, &buf, &count, &type);
        if (around.sources[at] == me) { /* the next message to itself */
            while (around.destinations[own_next] != me) own_next++;
            mpi__coll_block(call, false, own_next++, &own, &own_count, &own_type);
            ame__type_copy(type->data, count, buf, own_type->data, own_count, own);
            continue;
        }
        void *in = mpi__coll_in(call, buf, count, type, &length);
        ame__sched_recv(sched, in, length, around.sources[at]);
    }
    for (int i = 0; i < around.out && !call->failure; i++) {
        if (around.destinations[i] == AME__TOPO_NONE || around.destinations[i] == me) continue;
        mpi__coll_block(call, false, i, &buf, &count, &type);
        const void *out = mpi__coll_out(call, buf, count, type, &length);
        ame__sched_send(sched, out, length, around.destinations[i]);
    }
    free(around.own);
}

static int neighbor_call(struct mpi__coll *call, enum ame__coll_kind kind)
{
    struct neighborhood around;
    call->kind = kind;
    call->build = build_neighbors;
    int code = neighborhood_of(call->comm, &around);
    if (code) return code;
    call->neighbors = true;
    call->blocks_out = around.out;
    call->blocks_in = around.in;
    free(around.own);
    const struct mpi__type *out = call->sendtype, *in = call->recvtype;
    if (out) code = mpi__type_usable(out, call->sendcount, around.out ? call->sendbuf : MPI_IN_PLACE);
    if (!code && in) code = mpi__type_usable(in, call->recvcount, around.in ? call->recvbuf : MPI_IN_PLACE);
    if (!code && call->sendbuf == MPI_IN_PLACE) code = mpi__fail(MPI_ERR_BUFFER, "argument 'sendbuf' is MPI_IN_PLACE");
    return code;
}

int mpi__Neighbor_allgather(struct mpi__coll *call)
{
    return neighbor_call(call, AME__ALLGATHER);
}

int mpi__Neighbor_allgatherv(struct mpi__coll *call)
{
    return neighbor_call(call, AME__ALLGATHERV);
}

int mpi__Neighbor_alltoall(struct mpi__coll *call)
{
    return neighbor_call(call, AME__ALLTOALL);
}

int mpi__Neighbor_alltoallv(struct mpi__coll *call)
{
    return neighbor_call(call, AME__ALLTOALLV);
}

int mpi__Neighbor_alltoallw(struct mpi__coll *call)
{
    int code = neighbor_call(call, AME__ALLTOALLV);
    return code ? code : mpi__coll_check_w(call, call->blocks_out, call->blocks_in);
}
