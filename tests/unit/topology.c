/* Unit tests of runtime/mpi/topology.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>

#include "mpi/topology.h"

static void check_dims(int nnodes, int ndims, const int expected[])
{
    int dims[8] = {0};
    assert_int_equal(ame__dims_create(nnodes, ndims, dims), AME__TOPO_OK);
    for (int i = 0; i < ndims; i++) assert_int_equal(dims[i], expected[i]);
}

/* Among them cases where going by prime factors does not find the best. */
static void dims_are_balanced(void **state)
{
    (void) state;
    check_dims(1, 0, NULL);
    check_dims(1, 3, (int[]){1, 1, 1});
    check_dims(12, 1, (int[]){12});
    check_dims(13, 2, (int[]){13, 1});
    check_dims(6, 2, (int[]){3, 2});
    check_dims(72, 2, (int[]){9, 8});
    check_dims(2310, 2, (int[]){55, 42});
    check_dims(5040, 3, (int[]){21, 16, 15});
    check_dims(5616, 4, (int[]){13, 9, 8, 6});
    check_dims(98784, 5, (int[]){14, 14, 9, 8, 7});
    check_dims(20, 5, (int[]){5, 2, 2, 1, 1});
    check_dims(1000000000, 3, (int[]){1000, 1000, 1000});
    check_dims(INT_MAX, 2, (int[]){INT_MAX, 1});
    check_dims(1 << 30, 4, (int[]){256, 256, 128, 128});
}

/* Against all grids, for every number up to 300. */
static void no_grid_is_better(void **state)
{
    (void) state;
    for (int n = 1; n <= 300; n++) {
        int best = INT_MAX, dims[3] = {0};
        for (int a = 1; a <= n; a++)
            for (int b = 1; n % a == 0 && b <= a; b++)
                if (n / a % b == 0 && n / a / b <= b && a - n / a / b < best) best = a - n / a / b;
        assert_int_equal(ame__dims_create(n, 3, dims), AME__TOPO_OK);
        assert_int_equal(dims[0] * dims[1] * dims[2], n);
        assert_true(dims[0] >= dims[1] && dims[1] >= dims[2]);
        assert_int_equal(dims[0] - dims[2], best);
    }
}

static void dims_that_are_given(void **state)
{
    int dims[40] = {0, 4, 0, 1};
    (void) state;
    assert_int_equal(ame__dims_create(24, 4, dims), AME__TOPO_OK);
    assert_int_equal(dims[0], 3);
    assert_int_equal(dims[1], 4);
    assert_int_equal(dims[2], 2);
    assert_int_equal(ame__dims_create(24, 4, dims), AME__TOPO_OK);
    assert_int_equal(ame__dims_create(25, 4, dims), AME__TOPO_E_DIMS);
    assert_int_equal(ame__dims_create(48, 4, dims), AME__TOPO_E_DIMS);
    assert_int_equal(ame__dims_create(10, 2, (int[]){3, 0}), AME__TOPO_E_DIMS);
    assert_int_equal(ame__dims_create(10, 2, (int[]){-1, 0}), AME__TOPO_E_DIMS);
    assert_int_equal(ame__dims_create(10, 3, (int[]){INT_MAX, INT_MAX, 0}), AME__TOPO_E_DIMS);
    assert_int_equal(ame__dims_create(0, 1, (int[]){0}), AME__TOPO_E_ARG);
    assert_int_equal(ame__dims_create(2, 0, NULL), AME__TOPO_E_DIMS);
    for (int i = 0; i < 40; i++) dims[i] = 0;
    assert_int_equal(ame__dims_create(1 << 30, 40, dims), AME__TOPO_OK);
    for (int i = 0; i < 40; i++) assert_int_equal(dims[i], i < 30 ? 2 : 1);
}

static void cart_ranks_and_coords(void **state)
{
    struct ame__cart cart;
    int coords[3], rank;
    (void) state;
    assert_int_equal(ame__cart_init(&cart, 3, (int[]){2, 3, 4}, (int[]){0, 1, 7}, 24), AME__TOPO_OK);
    for (int r = 0; r < 24; r++) {
        assert_int_equal(ame__cart_coords(&cart, r, 3, coords), AME__TOPO_OK);
        assert_int_equal((coords[0] * 3 + coords[1]) * 4 + coords[2], r);
        assert_int_equal(ame__cart_rank(&cart, coords, &rank), AME__TOPO_OK);
        assert_int_equal(rank, r);
    }
    coords[2] = -1;
    assert_int_equal(ame__cart_coords(&cart, 23, 2, coords), AME__TOPO_OK);
    assert_int_equal(coords[2], -1);
    assert_int_equal(ame__cart_coords(&cart, 24, 3, coords), AME__TOPO_E_RANK);
    assert_int_equal(ame__cart_rank(&cart, (int[]){1, -4, 9}, &rank), AME__TOPO_OK);
    assert_int_equal(rank, (1 * 3 + 2) * 4 + 1);
    assert_int_equal(ame__cart_rank(&cart, (int[]){2, 0, 0}, &rank), AME__TOPO_E_ARG);
    ame__cart_finish(&cart);
    assert_int_equal(ame__cart_init(&cart, 2, (int[]){5, 5}, (int[]){0, 0}, 24), AME__TOPO_E_DIMS);
    assert_int_equal(ame__cart_init(&cart, 2, (int[]){0, 5}, (int[]){0, 0}, 24), AME__TOPO_E_DIMS);
    assert_int_equal(ame__cart_init(&cart, 2, (int[]){INT_MAX, INT_MAX}, (int[]){0, 0}, INT_MAX), AME__TOPO_E_DIMS);
    assert_int_equal(ame__cart_init(&cart, 0, NULL, NULL, 3), AME__TOPO_OK);
    assert_int_equal(cart.size, 1);
    assert_int_equal(ame__cart_rank(&cart, NULL, &rank), AME__TOPO_OK);
    assert_int_equal(rank, 0);
    ame__cart_finish(&cart);
}

static void cart_shifts(void **state)
{
    struct ame__cart cart;
    int source, dest, neighbors[4];
    (void) state;
    assert_int_equal(ame__cart_init(&cart, 2, (int[]){3, 4}, (int[]){0, 1}, 12), AME__TOPO_OK);
    assert_int_equal(ame__cart_shift(&cart, 4, 0, 1, &source, &dest), AME__TOPO_OK);
    assert_int_equal(source, 0);
    assert_int_equal(dest, 8);
    assert_int_equal(ame__cart_shift(&cart, 8, 0, 1, &source, &dest), AME__TOPO_OK);
    assert_int_equal(source, 4);
    assert_int_equal(dest, AME__TOPO_NONE);
    assert_int_equal(ame__cart_shift(&cart, 4, 1, -1, &source, &dest), AME__TOPO_OK);
    assert_int_equal(source, 5);
    assert_int_equal(dest, 7);
    assert_int_equal(ame__cart_shift(&cart, 4, 1, INT_MIN, &source, &dest), AME__TOPO_OK);
    assert_int_equal(source, 4);
    assert_int_equal(dest, 4);
    assert_int_equal(ame__cart_shift(&cart, 4, 2, 1, &source, &dest), AME__TOPO_E_ARG);
    assert_int_equal(ame__cart_shift(&cart, 12, 0, 1, &source, &dest), AME__TOPO_E_RANK);
    ame__cart_neighbors(&cart, 0, neighbors);
    assert_int_equal(neighbors[0], AME__TOPO_NONE);
    assert_int_equal(neighbors[1], 4);
    assert_int_equal(neighbors[2], 3);
    assert_int_equal(neighbors[3], 1);
    ame__cart_finish(&cart);
}

static void cart_subs(void **state)
{
    struct ame__cart cart, sub;
    int color, key;
    (void) state;
    assert_int_equal(ame__cart_init(&cart, 3, (int[]){2, 3, 4}, (int[]){0, 1, 0}, 24), AME__TOPO_OK);
    for (int rank = 0; rank < 24; rank++) {
        assert_int_equal(ame__cart_sub(&cart, rank, (int[]){1, 0, 1}, &sub, &color, &key), AME__TOPO_OK);
        assert_int_equal(sub.ndims, 2);
        assert_int_equal(sub.size, 8);
        assert_int_equal(sub.dims[1], 4);
        assert_false(sub.periods[0]);
        assert_int_equal(color, rank / 4 % 3);
        assert_int_equal(key, rank / 12 * 4 + rank % 4);
        ame__cart_finish(&sub);
    }
    assert_int_equal(ame__cart_sub(&cart, 5, (int[]){0, 0, 0}, &sub, &color, &key), AME__TOPO_OK);
    assert_int_equal(sub.ndims, 0);
    assert_int_equal(color, 5);
    assert_int_equal(key, 0);
    ame__cart_finish(&sub);
    ame__cart_finish(&cart);
}

static void graphs(void **state)
{
    struct ame__graph graph;
    int count;
    const int *neighbors;
    (void) state;
    /* the example of the standard */
    assert_int_equal(ame__graph_init(&graph, 4, (int[]){2, 3, 4, 6}, (int[]){1, 3, 0, 3, 0, 2}, 5), AME__TOPO_OK);
    assert_int_equal(ame__graph_neighbors(&graph, 3, &count, &neighbors), AME__TOPO_OK);
    assert_int_equal(count, 2);
    assert_int_equal(neighbors[0], 0);
    assert_int_equal(neighbors[1], 2);
    assert_int_equal(ame__graph_neighbors(&graph, 4, &count, &neighbors), AME__TOPO_E_RANK);
    ame__graph_finish(&graph);
    assert_int_equal(ame__graph_init(&graph, 2, (int[]){1, 0}, (int[]){1}, 5), AME__TOPO_E_ARG);
    assert_int_equal(ame__graph_init(&graph, 2, (int[]){1, 2}, (int[]){1, 2}, 5), AME__TOPO_E_ARG);
    assert_int_equal(ame__graph_init(&graph, 6, (int[]){0, 0, 0, 0, 0, 0}, NULL, 5), AME__TOPO_E_ARG);
}

static void dist_graphs(void **state)
{
    struct ame__dist_graph graph;
    int *triples;
    int64_t length;
    (void) state;
    /* rank 0 names all edges of a ring of three, and one from 1 to itself */
    assert_int_equal(ame__dist_graph_triples(3, 3, (int[]){1, 0, 2}, (int[]){2, 1, 1}, (int[]){2, 1, 1, 0},
                                             (int[]){5, 6, 7, 8}, &triples, &length),
                     AME__TOPO_OK);
    assert_int_equal(length, 12);
    assert_int_equal(ame__dist_graph_collect(&graph, 1, true, triples, length), AME__TOPO_OK);
    assert_int_equal(graph.indegree, 2);
    assert_int_equal(graph.outdegree, 2);
    assert_int_equal(graph.sources[0], 1);
    assert_int_equal(graph.sourceweights[1], 7);
    assert_int_equal(graph.destinations[0], 2);
    assert_int_equal(graph.destweights[1], 6);
    ame__dist_graph_finish(&graph);
    assert_int_equal(ame__dist_graph_collect(&graph, 2, false, triples, length), AME__TOPO_OK);
    assert_int_equal(graph.indegree, 1);
    assert_null(graph.sourceweights);
    ame__dist_graph_finish(&graph);
    free(triples);
    assert_int_equal(ame__dist_graph_triples(3, 1, (int[]){3}, (int[]){1}, (int[]){0}, NULL, &triples, &length),
                     AME__TOPO_E_RANK);
    assert_int_equal(ame__dist_graph_triples(3, 1, (int[]){0}, (int[]){-1}, NULL, NULL, &triples, &length),
                     AME__TOPO_E_ARG);
    assert_int_equal(ame__dist_graph_init(&graph, 3, 1, (int[]){2}, (int[]){9}, 0, NULL, NULL), AME__TOPO_OK);
    assert_true(graph.weighted);
    ame__dist_graph_finish(&graph);
    assert_int_equal(ame__dist_graph_init(&graph, 3, 1, (int[]){2}, (int[]){-9}, 0, NULL, NULL), AME__TOPO_E_ARG);
    assert_int_equal(ame__dist_graph_init(&graph, 3, 0, NULL, NULL, 2, (int[]){0, 0}, NULL), AME__TOPO_OK);
    assert_false(graph.weighted);
    assert_int_equal(graph.outdegree, 2);
    ame__dist_graph_finish(&graph);
}

static void errors_have_texts(void **state)
{
    (void) state;
    for (int error = AME__TOPO_OK; error <= AME__TOPO_E_MEMORY; error++)
        assert_string_not_equal(ame__topo_strerror((enum ame__topo_error) error), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dims_are_balanced),
        cmocka_unit_test(no_grid_is_better),
        cmocka_unit_test(dims_that_are_given),
        cmocka_unit_test(cart_ranks_and_coords),
        cmocka_unit_test(cart_shifts),
        cmocka_unit_test(cart_subs),
        cmocka_unit_test(graphs),
        cmocka_unit_test(dist_graphs),
        cmocka_unit_test(errors_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
