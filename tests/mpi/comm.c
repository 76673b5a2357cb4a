/* comm.c - groups, communicators, intercommunicators, attributes, info, topologies. */
#include "check.h"

#include <string.h>

static int copies, deletions;

static int copy(MPI_Comm comm, int keyval, void *extra, void *in, void *out, int *flag)
{
    (void) comm, (void) keyval, (void) extra;
    *(void **) out = (char *) in + 1;
    *flag = 1;
    copies++;
    return MPI_SUCCESS;
}

static int drop(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void) comm, (void) keyval, (void) value, (void) extra;
    deletions++;
    return MPI_SUCCESS;
}

static void attributes(void)
{
    int keyval, flag, *tag_ub;
    char value[4], *got;
    MPI_Comm dup;
    MPI_Comm_create_keyval(copy, drop, &keyval, NULL);
    MPI_Comm_set_attr(MPI_COMM_WORLD, keyval, value);
    MPI_Comm_dup(MPI_COMM_WORLD, &dup);
    MPI_Comm_get_attr(dup, keyval, &got, &flag);
    CHECK(flag && got == value + 1 && copies == 1);
    MPI_Comm_free(&dup);
    CHECK(dup == MPI_COMM_NULL && deletions == 1);
    MPI_Comm_delete_attr(MPI_COMM_WORLD, keyval);
    MPI_Comm_free_keyval(&keyval);
    CHECK(deletions == 2 && keyval == MPI_KEYVAL_INVALID);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tag_ub, &flag);
    CHECK(flag && *tag_ub == 2147483647);
}

static void groups(void)
{
    MPI_Group world, evens, odds, both;
    MPI_Comm comm, again;
    int result, range[1][3] = {{0, size - 1, 2}}, n, me;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_range_incl(world, 1, range, &evens);
    MPI_Group_difference(world, evens, &odds);
    MPI_Group_union(evens, odds, &both);
    MPI_Group_compare(world, both, &result);
    CHECK(result == (size <= 2 ? MPI_IDENT : MPI_SIMILAR));
    MPI_Comm_create(MPI_COMM_WORLD, rank % 2 ? odds : evens, &comm);
    MPI_Comm_size(comm, &n);
    MPI_Comm_rank(comm, &me);
    CHECK(n == (size + 1 - rank % 2) / 2 && me == rank / 2);
    MPI_Comm_create_group(MPI_COMM_WORLD, rank % 2 ? odds : evens, 5, &again);
    MPI_Comm_compare(comm, again, &result);
    CHECK(result == MPI_CONGRUENT);
    MPI_Allreduce(&rank, &n, 1, MPI_INT, MPI_MAX, again);
    CHECK(n % 2 == rank % 2);

    if (size > 1) { /* between the two halves */
        MPI_Comm inter, merged;
        int token = rank % 2 ? -1 : 42, other;
        MPI_Intercomm_create(comm, 0, MPI_COMM_WORLD, 1 - rank % 2, 8, &inter);
        MPI_Comm_remote_size(inter, &n);
        CHECK(n == (size + rank % 2) / 2);
        MPI_Bcast(&token, 1, MPI_INT, rank % 2 ? 0 : me == 0 ? MPI_ROOT : MPI_PROC_NULL, inter);
        CHECK(token == 42);
        MPI_Allreduce(&rank, &other, 1, MPI_INT, MPI_MIN, inter);
        CHECK(other == 1 - rank % 2);
        MPI_Request request;
        int sum = -1;
        if (rank % 2)
            MPI_Reduce(&rank, NULL, 1, MPI_INT, MPI_SUM, 0, inter);
        else if (me == 0)
            MPI_Reduce(NULL, &sum, 1, MPI_INT, MPI_SUM, MPI_ROOT, inter);
        else /* nothing but the root has a meaning */
            MPI_Reduce(NULL, NULL, 0, MPI_BYTE, MPI_SUM, MPI_PROC_NULL, inter);
        CHECK(sum == (rank % 2 || me ? -1 : (size / 2) * (size / 2)));
        MPI_Ibarrier(inter, &request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        MPI_Intercomm_merge(inter, rank % 2, &merged);
        MPI_Comm_rank(merged, &n);
        CHECK(n == (rank % 2 ? (size + 1) / 2 : 0) + rank / 2);
        MPI_Comm_free(&merged);
        MPI_Comm_free(&inter);
    }
    MPI_Comm_free(&again);
    MPI_Comm_disconnect(&comm);
    MPI_Group_free(&world), MPI_Group_free(&evens), MPI_Group_free(&odds), MPI_Group_free(&both);
    MPI_Comm_split(MPI_COMM_WORLD, rank == 0 ? MPI_UNDEFINED : 3, -rank, &comm);
    CHECK((comm == MPI_COMM_NULL) == (rank == 0));
    if (rank) MPI_Comm_rank(comm, &me);
    if (rank) CHECK(me == size - 1 - rank);
    if (rank) MPI_Comm_free(&comm);
}

static void topologies(void)
{
    MPI_Comm ring;
    int periodic = 1, source, dest, got[2], out[2] = {10 * rank, 10 * rank + 1};
    MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &periodic, 0, &ring);
    MPI_Cart_shift(ring, 0, 1, &source, &dest);
    CHECK(dest == (rank + 1) % size);
    MPI_Neighbor_alltoall(out, 1, MPI_INT, got, 1, MPI_INT, ring); /* also with the same rank on both sides */
    CHECK(got[0] == 10 * source + 1 && got[1] == 10 * dest);
    MPI_Comm_free(&ring);
    int dims[3] = {0, 0, 0};
    MPI_Dims_create(24, 3, dims);
    CHECK(dims[0] == 4 && dims[1] == 3 && dims[2] == 2);
}

static void infos(void)
{
    MPI_Info info, dup;
    char value[16];
    int flag, n;
    MPI_Info_create(&info);
    MPI_Info_set(info, "key", "value");
    MPI_Info_dup(info, &dup);
    MPI_Info_free(&info);
    MPI_Info_get(dup, "key", 15, value, &flag);
    MPI_Info_get_nkeys(dup, &n);
    CHECK(flag && strcmp(value, "value") == 0 && n == 1 && info == MPI_INFO_NULL);
    MPI_Info_free(&dup);
}

int main(int argc, char **argv)
{
    infos(); /* may be used before MPI_Init */
    begin(&argc, &argv);
    attributes();
    groups();
    topologies();
    MPI_Finalize();
    return 0;
}
