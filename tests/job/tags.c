/* tags.c - tags at their limits, and 10000 sends outstanding at once that are received in reverse order of their tags.
 */
#include "check.h"

static void limits(void)
{
    static const int tags[] = {0, 1, 32767, 32768, 65535, 65536, 268435455, 268435456, AME_TAG_MAX - 1, AME_TAG_MAX};
    enum { COUNT = sizeof tags / sizeof *tags };
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    ame_request *requests[COUNT];
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(ame_isend(&tags[i], sizeof tags[i], to, tags[i], AME_COMM_WORLD, &requests[i]));
    for (int i = COUNT - 1; i >= 0; i--) {
        int value = -1;
        ame_status status;
        CHECK_OK(ame_recv(&value, sizeof value, from, tags[i], AME_COMM_WORLD, &status));
        CHECK_EQUAL(value, tags[i]);
        CHECK_EQUAL(status.tag, tags[i]);
    }
    CHECK_OK(ame_waitall(COUNT, requests, AME_STATUSES_IGNORE));
}

static void reverse(int count, size_t length)
{
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    ame_request **requests = check_alloc((size_t) count * sizeof *requests);
    unsigned char *out = check_alloc((size_t) count * length), *in = check_alloc(length);
    for (int i = 0; i < count; i++) {
        unsigned char *at = out + (size_t) i * length;
        check_fill(at, length, (uint64_t) (check_rank * count + i));
        CHECK_OK(ame_isend(at, length, to, i, AME_COMM_WORLD, &requests[i]));
    }
    for (int i = count - 1; i >= 0; i--) {
        ame_status status;
        CHECK_OK(ame_recv(in, length, from, i, AME_COMM_WORLD, &status));
        CHECK_EQUAL(status.length, length);
        CHECK_FILLED(in, length, (uint64_t) (from * count + i));
    }
    CHECK_OK(ame_waitall((size_t) count, requests, AME_STATUSES_IGNORE));
    for (int i = 0; i < count; i++) CHECK(requests[i] == AME_REQUEST_NULL);
    free(requests);
    free(out);
    free(in);
}

int main(void)
{
    check_begin();
    limits();
    reverse(10000, 16);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    reverse(100, 300 * 1024);
    return check_end();
}
