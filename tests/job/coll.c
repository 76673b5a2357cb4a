/* coll.c - the collective calls that move bytes: every root, many lengths, blocking and not, in place and not, on
 * AME_COMM_WORLD and on a communicator with the ranks in reverse order; contents checked to the byte, and nothing
 * written where nothing belongs. Argument: name of the call (default all).
 */
#include "check.h"

static ame_comm *comm;
static int rank, size;
static bool nonblocking;

enum { GUARD = 16 };
static const size_t lengths[] = {0, 1, 7, 8, 1000, 65536, 1048579};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

#define RUN(name, ...)                                                                                                 \
    do {                                                                                                               \
        if (nonblocking) {                                                                                             \
            ame_request *run_request = AME_REQUEST_NULL;                                                               \
            CHECK_OK(ame_i##name(__VA_ARGS__, &run_request));                                                          \
            CHECK(run_request != AME_REQUEST_NULL);                                                                    \
            CHECK_OK(ame_wait(&run_request, AME_STATUS_IGNORE));                                                       \
            CHECK(run_request == AME_REQUEST_NULL);                                                                    \
        } else {                                                                                                       \
            CHECK_OK(ame_##name(__VA_ARGS__));                                                                         \
        }                                                                                                              \
    } while (0)

/* Contents of the block that rank `from` has for rank `to`. */
static uint64_t seed_of(int from, int to, int turn)
{
    return (uint64_t) ((turn * 1000 + from) * 1000 + to);
}

/* Room for `bytes` and a guard behind, all of it set to 0xee. */
static unsigned char *room_for(size_t bytes)
{
    unsigned char *buf = check_alloc(bytes + GUARD);
    memset(buf, 0xee, bytes + GUARD);
    return buf;
}

static void check_guard(const unsigned char *buf, size_t bytes)
{
    CHECK_ALL(buf + bytes, GUARD, 0xee);
}

static void bcast(size_t length, int root, int turn)
{
    unsigned char *buf = room_for(length);
    if (rank == root) check_fill(buf, length, seed_of(root, 0, turn));
    RUN(bcast, buf, length, root, comm);
    CHECK_FILLED(buf, length, seed_of(root, 0, turn));
    check_guard(buf, length);
    free(buf);
}

static void gather(size_t length, int root, int turn, bool in_place)
{
    size_t total = length * (size_t) size;
    unsigned char *out = room_for(length), *in = rank == root ? room_for(total) : NULL;
    check_fill(out, length, seed_of(rank, root, turn));
    bool here = in_place && rank == root;
    if (here) check_fill(in + (size_t) rank * length, length, seed_of(rank, root, turn));
    RUN(gather, here ? AME_IN_PLACE : out, length, in, root, comm);
    CHECK_FILLED(out, length, seed_of(rank, root, turn));
    if (rank == root) {
        for (int r = 0; r < size; r++) CHECK_FILLED(in + (size_t) r * length, length, seed_of(r, root, turn));
        check_guard(in, total);
    }
    free(in);
    free(out);
}

static void scatter(size_t length, int root, int turn, bool in_place)
{
    size_t total = length * (size_t) size;
    unsigned char *out = rank == root ? room_for(total) : NULL, *in = room_for(length);
    if (rank == root)
        for (int r = 0; r < size; r++) check_fill(out + (size_t) r * length, length, seed_of(root, r, turn));
    bool here = in_place && rank == root;
    RUN(scatter, out, here ? AME_IN_PLACE : in, length, root, comm);
    if (here)
        CHECK_ALL(in, length, 0xee);
    else
        CHECK_FILLED(in, length, seed_of(root, rank, turn));
    check_guard(in, length);
    if (rank == root)
        for (int r = 0; r < size; r++) CHECK_FILLED(out + (size_t) r * length, length, seed_of(root, r, turn));
    free(in);
    free(out);
}

static void allgather(size_t length, int turn, bool in_place)
{
    size_t total = length * (size_t) size;
    unsigned char *out = room_for(length), *in = room_for(total);
    check_fill(in_place ? in + (size_t) rank * length : out, length, seed_of(rank, 0, turn));
    RUN(allgather, in_place ? AME_IN_PLACE : out, length, in, comm);
    for (int r = 0; r < size; r++) CHECK_FILLED(in + (size_t) r * length, length, seed_of(r, 0, turn));
    check_guard(in, total);
    free(in);
    free(out);
}

static void alltoall(size_t length, int turn, bool in_place)
{
    size_t total = length * (size_t) size;
    unsigned char *out = room_for(total), *in = room_for(total);
    for (int r = 0; r < size; r++)
        check_fill((in_place ? in : out) + (size_t) r * length, length, seed_of(rank, r, turn));
    RUN(alltoall, in_place ? AME_IN_PLACE : out, length, in, comm);
    for (int r = 0; r < size; r++) CHECK_FILLED(in + (size_t) r * length, length, seed_of(r, rank, turn));
    check_guard(in, total);
    free(in);
    free(out);
}

/* ---- forms with a length per rank ---------------------------------------------------------------- */

/* Where the block of each rank lies: one after the other, with gaps, or in reverse order with gaps. */
enum layout { PACKED, GAPS, REVERSED, LAYOUTS };

struct blocks {
    size_t *lengths, *displs; /* displs as given to the call: NULL when packed */
    size_t *at;               /* where block r lies */
    size_t total;
    unsigned char *buf;
};

/* Different per rank, 0 for some, and known to both sides. */
static size_t length_of(size_t length, int from, int to)
{
    return length * (size_t) ((from * 2 + to) % 4) / 3;
}

static struct blocks blocks_make(size_t length, enum layout layout, int from, int to)
{
    struct blocks blocks = {.total = 0};
    size_t count = (size_t) size;
    blocks.lengths = check_alloc(count * sizeof(size_t));
    blocks.at = check_alloc(count * sizeof(size_t));
    for (int i = 0; i < size; i++) {
        int r = layout == REVERSED ? size - 1 - i : i;
        blocks.lengths[r] = length_of(length, from < 0 ? r : from, to < 0 ? r : to);
        blocks.at[r] = blocks.total;
        blocks.total += blocks.lengths[r] + (layout == PACKED ? 0 : 5);
    }
    blocks.displs = layout == PACKED ? NULL : blocks.at;
    blocks.buf = room_for(blocks.total);
    return blocks;
}

static void blocks_free(struct blocks *blocks)
{
    free(blocks->lengths);
    free(blocks->at);
    free(blocks->buf);
}

/* What lies between the blocks has not been touched. */
static void blocks_check_gaps(const struct blocks *blocks, enum layout layout)
{
    if (layout != PACKED)
        for (int r = 0; r < size; r++) CHECK_ALL(blocks->buf + blocks->at[r] + blocks->lengths[r], 5, 0xee);
    check_guard(blocks->buf, blocks->total);
}

static void gatherv(size_t length, int root, int turn, enum layout layout, bool in_place)
{
    size_t mine = length_of(length, rank, root);
    unsigned char *out = room_for(mine);
    bool is_root = rank == root, here = in_place && is_root;
    struct blocks in = {.total = 0};
    check_fill(out, mine, seed_of(rank, root, turn));
    if (is_root) {
        in = blocks_make(length, layout, -1, root);
        if (here) check_fill(in.buf + in.at[rank], mine, seed_of(rank, root, turn));
    }
    RUN(gatherv, here ? AME_IN_PLACE : out, mine, in.buf, in.lengths, in.displs, root, comm);
    if (is_root) {
        for (int r = 0; r < size; r++) CHECK_FILLED(in.buf + in.at[r], in.lengths[r], seed_of(r, root, turn));
        blocks_check_gaps(&in, layout);
        blocks_free(&in);
    }
    free(out);
}

static void scatterv(size_t length, int root, int turn, enum layout layout, bool in_place)
{
    size_t mine = length_of(length, root, rank);
    unsigned char *in = room_for(mine);
    bool is_root = rank == root, here = in_place && is_root;
    struct blocks out = {.total = 0};
    if (is_root) {
        out = blocks_make(length, layout, root, -1);
        for (int r = 0; r < size; r++) check_fill(out.buf + out.at[r], out.lengths[r], seed_of(root, r, turn));
    }
    RUN(scatterv, out.buf, out.lengths, out.displs, here ? AME_IN_PLACE : in, mine, root, comm);
    if (!here) CHECK_FILLED(in, mine, seed_of(root, rank, turn));
    check_guard(in, mine);
    if (is_root) {
        for (int r = 0; r < size; r++) CHECK_FILLED(out.buf + out.at[r], out.lengths[r], seed_of(root, r, turn));
        blocks_free(&out);
    }
    free(in);
}

static void allgatherv(size_t length, int turn, enum layout layout, bool in_place)
{
    struct blocks in = blocks_make(length, layout, -1, 1);
    size_t mine = in.lengths[rank];
    unsigned char *out = room_for(mine);
    check_fill(in_place ? in.buf + in.at[rank] : out, mine, seed_of(rank, 0, turn));
    RUN(allgatherv, in_place ? AME_IN_PLACE : out, mine, in.buf, in.lengths, in.displs, comm);
    for (int r = 0; r < size; r++) CHECK_FILLED(in.buf + in.at[r], in.lengths[r], seed_of(r, 0, turn));
    blocks_check_gaps(&in, layout);
    blocks_free(&in);
    free(out);
}

static void alltoallv(size_t length, int turn, enum layout layout)
{
    struct blocks out = blocks_make(length, (enum layout)((layout + 1) % LAYOUTS), rank, -1);
    struct blocks in = blocks_make(length, layout, -1, rank);
    for (int r = 0; r < size; r++) check_fill(out.buf + out.at[r], out.lengths[r], seed_of(rank, r, turn));
    RUN(alltoallv, out.buf, out.lengths, out.displs, in.buf, in.lengths, in.displs, comm);
    for (int r = 0; r < size; r++) CHECK_FILLED(in.buf + in.at[r], in.lengths[r], seed_of(r, rank, turn));
    blocks_check_gaps(&in, layout);
    blocks_free(&in);
    blocks_free(&out);
}

/* Both directions have the same lengths, so that the data can be exchanged within one buffer. */
static void alltoallv_in_place(size_t length, int turn, enum layout layout)
{
    size_t count = (size_t) size;
    struct blocks in = blocks_make(length, layout, -1, rank);
    in.total = 0;
    free(in.buf);
    for (int i = 0; i < size; i++) {
        int r = layout == REVERSED ? size - 1 - i : i;
        in.lengths[r] = length * (size_t) ((r + rank) % 3) / 2;
        in.at[r] = in.total;
        in.total += in.lengths[r] + (layout == PACKED ? 0 : 5);
    }
    in.buf = room_for(in.total);
    for (size_t r = 0; r < count; r++) check_fill(in.buf + in.at[r], in.lengths[r], seed_of(rank, (int) r, turn));
    RUN(alltoallv, AME_IN_PLACE, NULL, NULL, in.buf, in.lengths, in.displs, comm);
    for (int r = 0; r < size; r++) CHECK_FILLED(in.buf + in.at[r], in.lengths[r], seed_of(r, rank, turn));
    blocks_check_gaps(&in, layout);
    blocks_free(&in);
}

/* ---- barrier ------------------------------------------------------------------------------------- */

/* Nobody leaves before the last one has entered; all ranks read the same clock, because they share a host. */
static void barrier(void)
{
    double times[2], *all = check_alloc((size_t) size * sizeof times);
    for (int i = 0; i < 50; i++) {
        times[0] = ame_wtime();
        RUN(barrier, comm);
        times[1] = ame_wtime();
        CHECK_OK(ame_allgather(times, sizeof times, all, comm));
        for (int r = 0; r < size; r++) CHECK(all[2 * r] <= times[1]);
    }
    free(all);
}

/* A barrier in which a rank is missing does not complete. */
static void barrier_waits(void)
{
    if (size < 2) return;
    for (int missing = 0; missing < size; missing++) {
        ame_request *request = AME_REQUEST_NULL;
        int done = 0, go = 0, leader = missing == 0 ? 1 : 0;
        if (rank != missing) {
            CHECK_OK(ame_ibarrier(comm, &request));
            for (int i = 0; i < 200; i++) CHECK_OK(ame_test(&request, &done, AME_STATUS_IGNORE));
            CHECK_EQUAL(done, 0);
        }
        /* all others have tested before the missing one enters */
        if (rank == missing)
            for (int i = 1; i < size; i++) CHECK_OK(ame_recv(&go, sizeof go, AME_ANY_SOURCE, 78, comm, NULL));
        else
            CHECK_OK(ame_send(&leader, sizeof leader, missing, 78, comm));
        if (rank == missing) CHECK_OK(ame_ibarrier(comm, &request));
        CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
        CHECK_OK(ame_barrier(comm)); /* the 78s of the next turn are not taken for those of this one */
    }
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static const char *wanted = "all";
static bool is_wanted(const char *name)
{
    return !strcmp(wanted, "all") || !strcmp(wanted, name);
}

static void with_root(size_t length, int root, int turn)
{
    if (is_wanted("bcast")) bcast(length, root, turn);
    for (int in_place = 0; in_place < 2; in_place++) {
        if (is_wanted("gather")) gather(length, root, turn, in_place);
        if (is_wanted("scatter")) scatter(length, root, turn, in_place);
        for (int layout = PACKED; layout < LAYOUTS; layout++) {
            if (length > 100000 && layout != root % LAYOUTS) continue;
            if (is_wanted("gatherv")) gatherv(length, root, turn, (enum layout) layout, in_place);
            if (is_wanted("scatterv")) scatterv(length, root, turn, (enum layout) layout, in_place);
        }
    }
}

static void without_root(size_t length, int turn)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        if (is_wanted("allgather")) allgather(length, turn, in_place);
        if (is_wanted("alltoall")) alltoall(length, turn, in_place);
        for (int layout = PACKED; layout < LAYOUTS; layout++) {
            if (is_wanted("allgatherv")) allgatherv(length, turn, (enum layout) layout, in_place);
            if (is_wanted("alltoallv") && !in_place) alltoallv(length, turn, (enum layout) layout);
            if (is_wanted("alltoallv") && in_place) alltoallv_in_place(length, turn, (enum layout) layout);
        }
    }
}

static void on_comm(ame_comm *on)
{
    int turn = 0;
    comm = on;
    rank = ame_comm_rank(on);
    size = ame_comm_size(on);
    for (int blocking = 1; blocking >= 0; blocking--) {
        nonblocking = !blocking;
        for (int i = 0; i < LENGTHS; i++) {
            for (int root = 0; root < size; root++) {
                if (lengths[i] > 100000 && root % 3 && root != size - 1) continue;
                with_root(lengths[i], root, turn++);
            }
            without_root(lengths[i], turn++);
        }
        if (is_wanted("barrier")) barrier();
        if (is_wanted("barrier")) barrier_waits();
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) wanted = argv[1];
    check_begin();
    on_comm(AME_COMM_WORLD);
    ame_comm *reversed;
    CHECK_OK(ame_comm_split(AME_COMM_WORLD, 0, -check_rank, &reversed));
    on_comm(reversed);
    CHECK_OK(ame_comm_free(&reversed));
    return check_end();
}
