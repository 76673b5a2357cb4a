/* init.c - begin, end, and what may be called outside of the two. */
#include "check.h"

static void before_init(void)
{
    ame_comm *comm = NULL;
    ame_request *request = NULL;
    ame_status status;
    char buf[4] = {0};
    int found = 0;
    CHECK_EQUAL(ame_initialized(), 0);
    CHECK_EQUAL(ame_finalized(), 0);
    CHECK(ame_last_error() && !*ame_last_error());
    CHECK_CODE(ame_finalize(), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_barrier(AME_COMM_WORLD), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_send(buf, 4, 0, 0, AME_COMM_WORLD), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_recv(buf, 4, 0, 0, AME_COMM_WORLD, &status), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_irecv(buf, 4, 0, 0, AME_COMM_WORLD, &request), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_iprobe(0, 0, AME_COMM_WORLD, &found, &status), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_comm_dup(AME_COMM_WORLD, &comm), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_bcast(buf, 4, 0, AME_COMM_WORLD), AME_E_STATE, "ame_init");
    CHECK(ame_comm_rank(AME_COMM_WORLD) < 0);
    CHECK(ame_comm_size(AME_COMM_SELF) < 0);
    CHECK(!comm && !request && !found);
}

static void names(void)
{
    static const struct {
        int code;
        const char *name;
    } all[] = {{AME_OK, "AME_OK"},
#define ROW(name, value, text) {name, #name},
               AME_ERROR_LIST(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_EQUAL(all[i].code, -(int) i);
        CHECK(!strcmp(ame_errname(all[i].code), all[i].name));
        CHECK(ame_strerror(all[i].code) && *ame_strerror(all[i].code));
        for (size_t k = 0; k < i; k++) CHECK(strcmp(ame_strerror(all[i].code), ame_strerror(all[k].code)));
    }
    CHECK(ame_errname(1) && ame_errname(-1000) && ame_strerror(1) && ame_strerror(-1000));
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", AME_VERSION_MAJOR, AME_VERSION_MINOR, AME_VERSION_PATCH);
    CHECK(!strcmp(ame_version(), version));
}

static void type_sizes(void)
{
    static const struct {
        ame_type type;
        size_t size;
    } all[] = {{AME_INT8, 1},   {AME_INT16, 2},  {AME_INT32, 4},  {AME_INT64, 8}, {AME_UINT8, 1},
               {AME_UINT16, 2}, {AME_UINT32, 4}, {AME_UINT64, 8}, {AME_FLOAT, 4}, {AME_DOUBLE, 8}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK_EQUAL(ame_type_size(all[i].type), all[i].size);
    CHECK_EQUAL(ame_type_size((ame_type) 0), 0);
    CHECK_EQUAL(ame_type_size((ame_type) 11), 0);
    CHECK_EQUAL(ame_type_size((ame_type) -1), 0);
}

static void clock_advances(void)
{
    double start = ame_wtime(), now;
    size_t turns = 0;
    do {
        now = ame_wtime();
        CHECK(now >= start);
        turns++;
    } while (now - start < 0.001);
    CHECK_SAY(turns > 10, "%zu readings in 1 ms", turns);
}

static void ranks(void)
{
    const char *rank = getenv("AME_RANK"), *size = getenv("AME_SIZE");
    CHECK(rank && size);
    CHECK_EQUAL(atoi(rank), check_rank);
    CHECK_EQUAL(atoi(size), check_size);
    CHECK(AME_COMM_WORLD == ame_comm_world() && AME_COMM_SELF == ame_comm_self());
    CHECK(AME_COMM_WORLD && AME_COMM_SELF && AME_COMM_WORLD != AME_COMM_SELF);
    CHECK_EQUAL(ame_comm_rank(AME_COMM_SELF), 0);
    CHECK_EQUAL(ame_comm_size(AME_COMM_SELF), 1);
    CHECK_EQUAL(ame_comm_world_rank(AME_COMM_SELF, 0), check_rank);
    for (int r = 0; r < check_size; r++) CHECK_EQUAL(ame_comm_world_rank(AME_COMM_WORLD, r), r);
    CHECK_CODE(ame_comm_world_rank(AME_COMM_WORLD, check_size), AME_E_RANK, "rank");
    CHECK_CODE(ame_comm_world_rank(AME_COMM_SELF, 1), AME_E_RANK, "rank");
    CHECK_CODE(ame_comm_world_rank(AME_COMM_WORLD, -1), AME_E_RANK, "rank");
}

static void after_finalize(void)
{
    char buf[4] = {0};
    CHECK_EQUAL(ame_initialized(), 0);
    CHECK_EQUAL(ame_finalized(), 1);
    CHECK_CODE(ame_finalize(), AME_E_STATE, "ame_finalize");
    CHECK_CODE(ame_init(), AME_E_STATE, "ame_init");
    CHECK_CODE(ame_barrier(AME_COMM_WORLD), AME_E_STATE, "ame_finalize");
    CHECK_CODE(ame_send(buf, 4, 0, 0, AME_COMM_WORLD), AME_E_STATE, "ame_finalize");
    CHECK(ame_comm_rank(AME_COMM_WORLD) < 0);
    CHECK(!strcmp(ame_errname(AME_E_RANK), "AME_E_RANK"));
    CHECK(ame_wtime() <= ame_wtime());
    CHECK_EQUAL(ame_initialized(), 0);
    CHECK_EQUAL(ame_finalized(), 1);
}

int main(void)
{
    before_init();
    names();
    type_sizes();
    clock_advances();
    check_begin();
    CHECK_EQUAL(ame_initialized(), 1);
    CHECK_EQUAL(ame_finalized(), 0);
    CHECK_CODE(ame_init(), AME_E_STATE, "ame_init");
    CHECK_EQUAL(ame_initialized(), 1);
    ranks();
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    check_end();
    after_finalize();
    return 0;
}
