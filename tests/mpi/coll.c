/* coll.c - collective calls: blocking, non-blocking, persistent; derived types, operations of the program, in place. */
#include "check.h"

#include <stdbool.h>
#include <string.h>

enum { COUNT = 5 };

/* 2 x 2 matrices, whose product does not commute. */
static void multiply(void *left, void *right, int *count, MPI_Datatype *type)
{
    double *a = left, *b = right;
    (void) type;
    for (int i = 0; i < *count; i++, a += 4, b += 4) {
        double c[4] = {a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2],
                       a[2] * b[1] + a[3] * b[3]};
        memcpy(b, c, sizeof c);
    }
}

/* Parts of different lengths, every third one empty, through the star, and through the ring when `each` is large. */
static void reduce_scatter(int each, bool in_place)
{
    int *counts = malloc((size_t) size * sizeof *counts), total = 0, first = 0;
    for (int i = 0; i < size; i++) {
        if (i == rank) first = total;
        total += counts[i] = i % 3 == 2 ? 0 : each + i;
    }
    double *all = malloc((size_t) total * sizeof *all), *part = malloc((size_t) total * sizeof *part);
    for (int i = 0; i < total; i++) all[i] = (double) (i % 1000) * (rank + 1);
    if (in_place) memcpy(part, all, (size_t) total * sizeof *all);
    MPI_Reduce_scatter(in_place ? MPI_IN_PLACE : all, part, counts, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < counts[rank]; i++) CHECK(part[i] == (double) ((first + i) % 1000) * 0.5 * size * (size + 1));
    for (int i = 0; i < total; i++) CHECK(all[i] == (double) (i % 1000) * (rank + 1));
    free(counts);
    free(all);
    free(part);
}

/* The last rank wants a part that the others give to the one before: it is told, and nobody waits. */
static void reduce_scatter_disagreed(void)
{
    MPI_Comm own;
    MPI_Comm_dup(MPI_COMM_WORLD, &own);
    MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN);
    int *counts = calloc((size_t) size, sizeof *counts), data = 1, part = 0, class;
    counts[rank == size - 1 ? size - 1 : size - 2] = 1;
    MPI_Error_class(MPI_Reduce_scatter(&data, &part, counts, MPI_INT, MPI_SUM, own), &class);
    CHECK(class == (rank == size - 1 ? MPI_ERR_TRUNCATE : MPI_SUCCESS));
    MPI_Comm_free(&own);
    free(counts);
}

static void reductions(void)
{
    MPI_Datatype matrix;
    MPI_Op product;
    double mine[4] = {1, rank + 1, 0, 1}, all[4], expected[4] = {1, 0.5 * size * (size + 1), 0, 1}, upto[4];
    MPI_Type_contiguous(4, MPI_DOUBLE, &matrix);
    MPI_Type_commit(&matrix);
    MPI_Op_create(multiply, 0, &product);
    MPI_Allreduce(mine, all, 1, matrix, product, MPI_COMM_WORLD);
    CHECK(memcmp(all, expected, sizeof all) == 0);
    memset(all, 0, sizeof all);
    MPI_Reduce(mine, all, 1, matrix, product, size - 1, MPI_COMM_WORLD);
    CHECK(rank != size - 1 || memcmp(all, expected, sizeof all) == 0);
    MPI_Scan(mine, upto, 1, matrix, product, MPI_COMM_WORLD);
    CHECK(upto[1] == 0.5 * (rank + 1) * (rank + 2));
    MPI_Op_free(&product);
    MPI_Type_free(&matrix);

    struct {
        double value;
        int index;
    } here = {.value = (rank * 3) % size, .index = rank}, best;
    MPI_Allreduce(&here, &best, 1, MPI_DOUBLE_INT, MPI_MAXLOC, MPI_COMM_WORLD);
    CHECK(best.value >= here.value);
    int *block = malloc((size_t) size * sizeof *block), sum, before = -1;
    for (int i = 0; i < size; i++) block[i] = i;
    MPI_Reduce_scatter_block(block, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(sum == rank * size);
    for (int each = 0; each < 100000; each = 10 * each + 3) {
        reduce_scatter(each, false);
        reduce_scatter(each, true);
    }
    if (size >= 3) reduce_scatter_disagreed();
    MPI_Exscan(&rank, &before, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(rank == 0 ? before == -1 : before == rank * (rank - 1) / 2);
    free(block);
    unsigned char bits = (unsigned char) (1 << (rank % 8));
    MPI_Allreduce(MPI_IN_PLACE, &bits, 1, MPI_BYTE, MPI_BOR, MPI_COMM_WORLD);
    CHECK(bits == (size >= 8 ? 255 : (1 << size) - 1));
}

/* Every second of the elements of a row. */
static void derived(void)
{
    MPI_Datatype row;
    int mine[2 * COUNT], *all = calloc((size_t) size * 2 * COUNT, sizeof *all);
    MPI_Type_vector(COUNT, 1, 2, MPI_INT, &row);
    MPI_Type_commit(&row);
    MPI_Datatype spaced;
    MPI_Type_create_resized(row, 0, 2 * COUNT * (MPI_Aint) sizeof(int), &spaced);
    MPI_Type_commit(&spaced);
    for (int i = 0; i < 2 * COUNT; i++) mine[i] = i % 2 ? -1 : 100 * rank + i;
    MPI_Allgather(mine, 1, row, all, 1, spaced, MPI_COMM_WORLD);
    for (int r = 0; r < size; r++)
        for (int i = 0; i < 2 * COUNT; i++) CHECK(all[2 * COUNT * r + i] == (i % 2 ? 0 : 100 * r + i));
    MPI_Bcast(mine, 1, row, size - 1, MPI_COMM_WORLD);
    CHECK(mine[0] == 100 * (size - 1) && mine[1] == -1);
    MPI_Type_free(&row);
    MPI_Type_free(&spaced);
    free(all);
}

static void vectors(void)
{
    int *counts = malloc((size_t) size * sizeof *counts), *displs = malloc((size_t) size * sizeof *displs), total = 0;
    for (int r = 0; r < size; r++) {
        counts[r] = r;
        displs[r] = total;
        total += r;
    }
    int *mine = malloc(((size_t) size + 1) * sizeof *mine), *all = malloc(((size_t) total + 1) * sizeof *all);
    for (int i = 0; i < size; i++) mine[i] = rank;
    MPI_Request request;
    MPI_Iallgatherv(mine, rank, MPI_INT, all, counts, displs, MPI_INT, MPI_COMM_WORLD, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    for (int r = 0; r < size; r++)
        for (int i = 0; i < r; i++) CHECK(all[displs[r] + i] == r);
    MPI_Datatype *types = malloc((size_t) size * sizeof *types);
    int *ones = malloc((size_t) size * sizeof *ones), *places = malloc((size_t) size * sizeof *places);
    int *got = malloc((size_t) size * sizeof *got);
    for (int r = 0; r < size; r++) {
        types[r] = MPI_INT;
        ones[r] = 1;
        places[r] = r * (int) sizeof(int);
        mine[r] = 1000 * rank + r;
    }
    MPI_Alltoallw(mine, ones, places, types, got, ones, places, types, MPI_COMM_WORLD);
    for (int r = 0; r < size; r++) CHECK(got[r] == 1000 * r + rank);
    MPI_Alltoall(MPI_IN_PLACE, 1, MPI_INT, got, 1, MPI_INT, MPI_COMM_WORLD);
    for (int r = 0; r < size; r++) CHECK(got[r] == mine[r]);
    free(counts), free(displs), free(mine), free(all), free(types), free(ones), free(places), free(got);
}

static void persistent(void)
{
    MPI_Request requests[2];
    int value = 0, sum;
    MPI_Bcast_init(&value, 1, MPI_INT, 0, MPI_COMM_WORLD, MPI_INFO_NULL, &requests[0]);
    MPI_Allreduce_init(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, MPI_INFO_NULL, &requests[1]);
    for (int round = 1; round < 4; round++) {
        if (rank == 0) value = round;
        MPI_Start(&requests[rank % 2]); /* in another order on every second rank */
        MPI_Start(&requests[1 - rank % 2]);
        MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
        CHECK(value == round && sum == size * (size - 1) / 2);
    }
    MPI_Request_free(&requests[0]);
    MPI_Request_free(&requests[1]);
}

int main(int argc, char **argv)
{
    begin(&argc, &argv);
    MPI_Barrier(MPI_COMM_WORLD);
    reductions();
    derived();
    vectors();
    persistent();
    MPI_Finalize();
    return 0;
}
