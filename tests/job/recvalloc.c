/* recvalloc.c - receiving messages of unknown length into memory that the call allocates. */
#include "check.h"

int main(void)
{
    check_begin();
    static const size_t lengths[] = {0, 1, 8, 1000, 65536, 262144, 262145, 3000000};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < COUNT; i++) {
            size_t length = 12345;
            void *out = check_alloc(lengths[i]), *in = NULL;
            ame_request *request;
            ame_status status;
            check_fill(out, lengths[i], (uint64_t) (check_rank * COUNT + i));
            CHECK_OK(ame_isend(out, lengths[i], to, i, AME_COMM_WORLD, &request));
            CHECK_OK(ame_recv_alloc(&in, &length, turn ? AME_ANY_SOURCE : from, turn ? AME_ANY_TAG : i, AME_COMM_WORLD,
                                    &status));
            CHECK(in != NULL);
            CHECK_EQUAL(length, lengths[i]);
            CHECK_EQUAL(status.length, length);
            CHECK_EQUAL(status.source, from);
            CHECK_EQUAL(status.tag, i);
            CHECK_FILLED(in, length, (uint64_t) (from * COUNT + i));
            CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
            free(in);
            free(out);
        }
    /* on failure nothing is allocated and nothing is written */
    void *in = &to;
    size_t length = 99;
    CHECK_CODE(ame_recv_alloc(&in, &length, check_size, 0, AME_COMM_WORLD, NULL), AME_E_RANK, "source");
    CHECK(in == &to && length == 99);
    CHECK_CODE(ame_recv_alloc(NULL, &length, 0, 0, AME_COMM_WORLD, NULL), AME_E_ARG, "buf");
    return check_end();
}
