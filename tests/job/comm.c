/* comm.c - dup, split and free; messages of one communicator are not seen in another. */
#include "check.h"

static ame_comm *world;

/* All ranks of comm know each other and can exchange messages and reduce. */
static void works(ame_comm *comm, int rank, int size)
{
    CHECK_EQUAL(ame_comm_rank(comm), rank);
    CHECK_EQUAL(ame_comm_size(comm), size);
    CHECK_EQUAL(ame_comm_world_rank(comm, rank), check_rank);
    int to = (rank + 1) % size, from = (rank + size - 1) % size, got = -1, sum = -1;
    ame_status status;
    CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), to, 1, &got, sizeof got, AME_ANY_SOURCE, 1, comm, &status));
    CHECK_EQUAL(status.source, from);
    CHECK_EQUAL(got, ame_comm_world_rank(comm, from));
    CHECK_OK(ame_allreduce(&rank, &sum, 1, AME_INT32, AME_SUM, comm));
    CHECK_EQUAL(sum, size * (size - 1) / 2);
    for (int root = 0; root < size; root++) {
        int value = rank == root ? check_rank : -1;
        CHECK_OK(ame_bcast(&value, sizeof value, root, comm));
        CHECK_EQUAL(value, ame_comm_world_rank(comm, root));
    }
}

static void duplicates(void)
{
    ame_comm *first = NULL, *second = NULL;
    CHECK_OK(ame_comm_dup(world, &first));
    CHECK_OK(ame_comm_dup(first, &second));
    CHECK(first && second && first != second && first != world);
    works(first, check_rank, check_size);
    works(second, check_rank, check_size);

    /* sent in the order first, second, world; received in another, although all tags are the same */
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size, value;
    ame_comm *const comms[3] = {first, second, world};
    int out[3] = {10, 20, 30};
    ame_request *requests[3];
    for (int i = 0; i < 3; i++) CHECK_OK(ame_isend(&out[i], sizeof(int), to, 5, comms[i], &requests[i]));
    for (int i = 2; i >= 0; i--) {
        value = -1;
        CHECK_OK(ame_recv(&value, sizeof value, i == 1 ? AME_ANY_SOURCE : from, AME_ANY_TAG, comms[i], NULL));
        CHECK_EQUAL(value, out[i]);
    }
    CHECK_OK(ame_waitall(3, requests, NULL));
    int found = -1;
    CHECK_OK(ame_isend(&value, sizeof value, check_rank, 6, first, &requests[0]));
    CHECK_OK(ame_iprobe(AME_ANY_SOURCE, AME_ANY_TAG, second, &found, NULL));
    CHECK_EQUAL(found, 0);
    CHECK_OK(ame_probe(AME_ANY_SOURCE, AME_ANY_TAG, first, NULL));
    CHECK_OK(ame_recv(&value, sizeof value, check_rank, 6, first, NULL));
    CHECK_OK(ame_wait(&requests[0], NULL));

    CHECK_OK(ame_barrier(world)); /* from here on there are messages in the second one again */
    CHECK_OK(ame_comm_free(&first));
    CHECK(!first);
    works(second, check_rank, check_size); /* lives on without the one it was made from */
    CHECK_OK(ame_comm_free(&second));
}

static void split_even_odd(void)
{
    ame_comm *half = NULL;
    int odd = check_rank % 2;
    CHECK_OK(ame_comm_split(world, odd, 0, &half));
    works(half, check_rank / 2, odd ? check_size / 2 : (check_size + 1) / 2);
    CHECK_OK(ame_comm_free(&half));
}

static void split_reversed(void)
{
    ame_comm *reversed = NULL;
    CHECK_OK(ame_comm_split(world, 2147483647, -check_rank, &reversed));
    works(reversed, check_size - 1 - check_rank, check_size);
    for (int r = 0; r < check_size; r++) CHECK_EQUAL(ame_comm_world_rank(reversed, r), check_size - 1 - r);
    CHECK_OK(ame_comm_free(&reversed));
}

/* Equal keys: by rank of the old communicator. */
static void split_by_keys(void)
{
    ame_comm *mixed = NULL;
    int key = check_rank % 3, place = 0;
    for (int r = 0; r < check_size; r++)
        if (r % 3 < key || (r % 3 == key && r < check_rank)) place++;
    CHECK_OK(ame_comm_split(world, 7, key * 1000 - 2000, &mixed));
    works(mixed, place, check_size);
    CHECK_OK(ame_comm_free(&mixed));
}

static void split_undefined(void)
{
    ame_comm *rest = world;
    bool in = check_rank != check_size - 1;
    CHECK_OK(ame_comm_split(world, in ? 0 : AME_UNDEFINED, 0, &rest));
    if (in) {
        works(rest, check_rank, check_size - 1);
        CHECK_OK(ame_comm_free(&rest));
    } else {
        CHECK(rest == NULL);
    }
    rest = world;
    CHECK_OK(ame_comm_split(world, AME_UNDEFINED, 0, &rest)); /* nobody */
    CHECK(rest == NULL);
}

static void alone(void)
{
    ame_comm *own = NULL;
    CHECK_OK(ame_comm_split(world, check_rank, 0, &own));
    works(own, 0, 1);
    CHECK_OK(ame_comm_free(&own));
    works(AME_COMM_SELF, 0, 1);
    CHECK_OK(ame_comm_dup(AME_COMM_SELF, &own));
    works(own, 0, 1);
    CHECK_OK(ame_comm_free(&own));
}

/* Rows of 5 and columns; with 10 ranks 2 x 5. A rank's row and column together give its place. */
static void rows_and_columns(void)
{
    enum { WIDTH = 5 };
    ame_comm *row = NULL, *column = NULL;
    int y = check_rank / WIDTH, x = check_rank % WIDTH;
    int width = check_size - y * WIDTH < WIDTH ? check_size - y * WIDTH : WIDTH;
    int height = (check_size - x + WIDTH - 1) / WIDTH;
    CHECK_OK(ame_comm_split(world, y, x, &row));
    CHECK_OK(ame_comm_split(world, x, y, &column));
    works(row, x, width);
    works(column, y, height);
    /* sums along rows, then along columns of the first of each row: the sum over all */
    int sum = 0, total = 0;
    CHECK_OK(ame_allreduce(&check_rank, &sum, 1, AME_INT32, AME_SUM, row));
    CHECK_OK(ame_reduce(&sum, &total, 1, AME_INT32, AME_SUM, 0, column));
    if (check_rank == 0) CHECK_EQUAL(total, check_size * (check_size - 1) / 2);
    CHECK_OK(ame_comm_free(&row));
    CHECK_OK(ame_comm_free(&column));
}

/* Splits of splits, down to single ranks. */
static void nested(void)
{
    enum { DEEP = 8 };
    ame_comm *levels[DEEP] = {world};
    int depth = 0;
    while (depth < DEEP - 1 && ame_comm_size(levels[depth]) > 1) {
        int rank = ame_comm_rank(levels[depth]), size = ame_comm_size(levels[depth]), lower = (size + 1) / 2;
        CHECK_OK(ame_comm_split(levels[depth], rank < lower, 0, &levels[depth + 1]));
        depth++;
        works(levels[depth], rank < lower ? rank : rank - lower, rank < lower ? lower : size - lower);
    }
    for (int level = 0; level <= depth; level++)
        works(levels[level], ame_comm_rank(levels[level]), ame_comm_size(levels[level]));
    for (int level = 1; level <= depth; level++) CHECK_OK(ame_comm_free(&levels[level]));
}

/* Many made and freed, as a loop would; their number over time has no limit. */
static void many(void)
{
    ame_comm *comms[100];
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < 100; i++) CHECK_OK(ame_comm_dup(world, &comms[i]));
        works(comms[99], check_rank, check_size);
        works(comms[0], check_rank, check_size);
        for (int i = 0; i < 100; i++) CHECK_OK(ame_comm_free(&comms[(i * 37) % 100]));
    }
}

int main(void)
{
    check_begin();
    world = AME_COMM_WORLD;
    duplicates();
    split_even_odd();
    split_reversed();
    split_by_keys();
    split_undefined();
    alone();
    rows_and_columns();
    nested();
    many();
    works(world, check_rank, check_size);
    return check_end();
}
