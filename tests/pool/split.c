/* split.c - the shares of all ranks together are each index once. */
#include "../job/check.h"

#include <ame_pool.h>

static void cover(uint64_t count, int (*share)(ame_comm *, uint64_t, ame_split *))
{
    unsigned char *mine = check_alloc(count), *all = check_alloc(count);
    memset(mine, 0, count);
    ame_split split;
    uint64_t index, number = 0;
    CHECK_OK(share(AME_COMM_WORLD, count, &split));
    CHECK_EQUAL(split.left == 0 || split.next < count, 1);
    for (; ame_split_next(&split, &index); number++) {
        CHECK(index < count);
        mine[index]++;
    }
    CHECK_EQUAL(ame_split_next(&split, &index), 0);
    CHECK(number == count / (uint64_t) check_size || number == count / (uint64_t) check_size + 1);
    CHECK_OK(ame_allreduce(mine, all, count, AME_UINT8, AME_SUM, AME_COMM_WORLD));
    for (uint64_t i = 0; i < count; i++) CHECK_EQUAL(all[i], 1);
    free(mine);
    free(all);
}

int main(void)
{
    check_begin();
    for (uint64_t count = 0; count < 40; count++) {
        cover(count, ame_split_round_robin);
        cover(count, ame_split_block);
    }
    ame_split split;
    CHECK_OK(ame_split_block(AME_COMM_SELF, UINT64_MAX, &split));
    CHECK(split.left == UINT64_MAX && split.next == 0);
    CHECK_CODE(ame_split_block(AME_COMM_WORLD, 5, NULL), AME_E_ARG, "split");
    CHECK_CODE(ame_split_round_robin(NULL, 5, &split), AME_E_COMM, "ame_split_round_robin");
    CHECK_EQUAL(split.left, 0);
    return check_end();
}
