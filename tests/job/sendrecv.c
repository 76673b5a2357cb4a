/* sendrecv.c - exchange in a ring, with oneself, and in all shifts, with lengths that would lock up two blocking sends.
 */
#include "check.h"

static void shift(int step, size_t length)
{
    int to = (check_rank + step) % check_size, from = (check_rank + check_size - step) % check_size;
    size_t out_length = length + (size_t) check_rank, in_length = length + (size_t) from;
    unsigned char *out = check_alloc(out_length), *in = check_alloc(in_length);
    ame_status status;
    check_fill(out, out_length, (uint64_t) (check_rank * check_size + to));
    CHECK_OK(ame_sendrecv(out, out_length, to, 3, in, in_length, from, 3, AME_COMM_WORLD, &status));
    CHECK_EQUAL(status.source, from);
    CHECK_EQUAL(status.tag, 3);
    CHECK_EQUAL(status.length, in_length);
    CHECK_FILLED(in, in_length, (uint64_t) (from * check_size + check_rank));
    free(out);
    free(in);
}

int main(void)
{
    check_begin();
    static const size_t lengths[] = {0, 8, 5000, 262144, 1000000, 5000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int step = 0; step < check_size; step++) shift(step, lengths[i]);
    /* different tags in the two directions, any source and any tag */
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size, got = -1;
    ame_status status;
    CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), to, check_rank, &got, sizeof got, AME_ANY_SOURCE, AME_ANY_TAG,
                          AME_COMM_WORLD, &status));
    CHECK_EQUAL(got, from);
    CHECK_EQUAL(status.source, from);
    CHECK_EQUAL(status.tag, from);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    /* too little room for the incoming one: the outgoing one is not harmed */
    char small[4];
    CHECK_CODE(ame_sendrecv("12345678", 8, to, 1, small, sizeof small, from, 1, AME_COMM_WORLD, &status),
               AME_E_TRUNCATED, "8");
    CHECK_EQUAL(status.length, 8);
    return check_end();
}
