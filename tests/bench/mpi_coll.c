/* mpi_coll.c - collective calls through MPI's interface; the same source for every MPI.
 *
 * An iteration is the operation and a barrier (the barrier alone for `barrier`), as in coll.c; the time is that of rank 0.
 * Results are checked once for each operation and size. Started by ./run-mpi.
 *
 * usage: mpi_coll [budget in ms per figure] [size ...] */
#define BENCH_MPI
#include "measure.h"
#include "peer.h"

struct mpi_coll {
    double *one, *all; /* a block of this rank, or of the result; a block per rank */
    double *sent;      /* a block per rank, for alltoall */
    int count;         /* doubles in a block */
    int rank, ranks;
};

static void op_barrier(void *arg)
{
    (void) arg;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void op_bcast(void *arg)
{
    struct mpi_coll *c = arg;
    MPI_Bcast(c->one, c->count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void op_reduce(void *arg)
{
    struct mpi_coll *c = arg;
    MPI_Reduce(c->sent, c->one, c->count, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void op_allreduce(void *arg)
{
    struct mpi_coll *c = arg;
    MPI_Allreduce(c->sent, c->one, c->count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void op_gather(void *arg)
{
    struct mpi_coll *c = arg;
    MPI_Gather(c->sent, c->count, MPI_DOUBLE, c->all, c->count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void op_allgather(void *arg)
{
    struct mpi_coll *c = arg;
    MPI_Allgather(c->sent, c->count, MPI_DOUBLE, c->all, c->count, MPI_DOUBLE, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void op_alltoall(void *arg)
{
    struct mpi_coll *c = arg;
    MPI_Alltoall(c->sent, c->count, MPI_DOUBLE, c->all, c->count, MPI_DOUBLE, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* What each rank has where a call puts its result: all ranks have sent rank + 1. */
static void check(const char *name, struct mpi_coll *c, const double *got, int blocks, double first, double step)
{
    int intact = 1;
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < c->count; i++)
            intact &= got[(size_t) b * (size_t) c->count + (size_t) i] == first + b * step;
    measure_verdict(name, (size_t) c->count * sizeof(double), intact);
}

static void verify(struct mpi_coll *c)
{
    int root = c->rank == 0;
    double sum = c->ranks * (c->ranks + 1) / 2.0;
    for (int i = 0; i < c->count; i++) c->one[i] = root ? 7 : 0;
    op_bcast(c);
    check("bcast", c, c->one, 1, 7, 0);
    op_reduce(c);
    if (root) check("reduce", c, c->one, 1, sum, 0);
    op_allreduce(c);
    check("allreduce", c, c->one, 1, sum, 0);
    op_gather(c);
    if (root) check("gather", c, c->all, c->ranks, 1, 1);
    op_allgather(c);
    check("allgather", c, c->all, c->ranks, 1, 1);
    memset(c->all, 0, (size_t) c->ranks * (size_t) c->count * sizeof(double));
    op_alltoall(c);
    check("alltoall", c, c->all, c->ranks, 1, 1);
}

static void figure(const char *name, void (*op)(void *), struct mpi_coll *c, double budget_us)
{
    double median, minimum;
    measure_run(op, c, budget_us, &median, &minimum);
    if (c->rank == 0) measure_print(name, (size_t) c->count * sizeof(double), median, minimum);
}

static void measure_size(size_t size, double budget_us)
{
    struct mpi_coll c = {.count = (int) (size / sizeof(double)), .rank = peer_rank(), .ranks = peer_size()};
    c.one = measure_alloc(size);
    c.all = measure_alloc(size * (size_t) c.ranks);
    c.sent = measure_alloc(size * (size_t) c.ranks);
    for (size_t i = 0; i < (size_t) c.ranks * (size_t) c.count; i++) c.sent[i] = c.rank + 1;
    verify(&c);
    figure("bcast", op_bcast, &c, budget_us);
    figure("reduce", op_reduce, &c, budget_us);
    figure("allreduce", op_allreduce, &c, budget_us);
    figure("gather", op_gather, &c, budget_us);
    figure("allgather", op_allgather, &c, budget_us);
    figure("alltoall", op_alltoall, &c, budget_us);
    free(c.one);
    free(c.all);
    free(c.sent);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {8, 65536, 1 << 20};
    measure_limit();
    peer_init(&argc, &argv);
    struct mpi_coll none = {.rank = peer_rank(), .ranks = peer_size()};
    double budget_us = measure_budget_us(argc, argv, 30e3);
    figure("barrier", op_barrier, &none, budget_us);
    measure_sizes(argc, argv, sizes, sizeof sizes / sizeof sizes[0], budget_us, measure_size);
    peer_finalize();
    return 0;
}
