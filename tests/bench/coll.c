/* coll.c - barrier, bcast, gather and scatter with root 0.
 *
 * An iteration is the operation and a barrier (the barrier alone for `barrier`), so that no rank runs ahead and each
 * iteration is a complete one; the time is that of rank 0. The data of the first call of every operation and size is
 * verified on the ranks that receive it.
 *
 * usage: bench_coll [budget in ms per figure] [size ...] */
#include "measure.h"
#include "peer.h"

struct coll {
    unsigned char *one; /* the block of this rank */
    unsigned char *all; /* a block per rank, at the root */
    size_t size;
};

static void op_barrier(void *arg)
{
    (void) arg;
    peer_barrier();
}

static void op_bcast(void *arg)
{
    struct coll *c = arg;
    peer_bcast(c->one, c->size);
    peer_barrier();
}

static void op_gather(void *arg)
{
    struct coll *c = arg;
    peer_gather(c->one, c->size, c->all);
    peer_barrier();
}

static void op_scatter(void *arg)
{
    struct coll *c = arg;
    peer_scatter(c->all, c->one, c->size);
    peer_barrier();
}

static void fill_all(struct coll *c, unsigned seed)
{
    for (int r = 0; r < peer_size(); r++) measure_fill(c->all + (size_t) r * c->size, c->size, seed + (unsigned) r);
}

static void verify(struct coll *c)
{
    int rank = peer_rank(), root = rank == 0, intact = 1;

    memset(c->one, 0, c->size);
    if (root) measure_fill(c->one, c->size, 3);
    op_bcast(c);
    measure_verdict("bcast", c->size, measure_intact(c->one, c->size, 3));

    measure_fill(c->one, c->size, 100u + (unsigned) rank);
    op_gather(c);
    for (int r = 0; root && r < peer_size(); r++)
        intact &= measure_intact(c->all + (size_t) r * c->size, c->size, 100u + (unsigned) r);
    measure_verdict("gather", c->size, intact);

    memset(c->one, 0, c->size);
    if (root) fill_all(c, 50);
    op_scatter(c);
    measure_verdict("scatter", c->size, measure_intact(c->one, c->size, 50u + (unsigned) rank));
}

static void figure(const char *name, void (*op)(void *), struct coll *c, double budget_us)
{
    double median, minimum;
    measure_run(op, c, budget_us, &median, &minimum);
    if (peer_rank() == 0) measure_print(name, c->size, median, minimum);
}

static void measure_size(size_t size, double budget_us)
{
    struct coll c = {measure_alloc(size), NULL, size};
    if (peer_rank() == 0) {
        c.all = measure_alloc(size * (size_t) peer_size());
        memset(c.all, 0, size * (size_t) peer_size());
    }
    verify(&c);
    figure("bcast", op_bcast, &c, budget_us);
    figure("gather", op_gather, &c, budget_us);
    figure("scatter", op_scatter, &c, budget_us);
    free(c.one);
    free(c.all);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {8, 65536, 1 << 20};
    struct coll none = {NULL, NULL, 0};
    measure_limit();
    peer_init(&argc, &argv);
    double budget_us = measure_budget_us(argc, argv, 200e3);
    figure("barrier", op_barrier, &none, budget_us);
    measure_sizes(argc, argv, sizes, sizeof sizes / sizeof sizes[0], budget_us, measure_size);
    peer_finalize();
    return 0;
}
