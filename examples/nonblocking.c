/* nonblocking.c - start many transfers, do something else, then wait for all of them
 *
 *     ameexec -np 4 ./nonblocking
 *
 * Every rank sends its square to every rank (also to itself). ame_isend and ame_irecv only start a transfer and hand
 * out a request; ame_waitall waits for all requests. Nobody has to think about who sends first, so nothing can lock up.
 */
#include <stdio.h>
#include <stdlib.h>

#include <ame.h>

enum { TAG_SQUARE = 1 };

static void check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "nonblocking: %s\n", ame_last_error());
    ame_abort(1);
}

int main(void)
{
    if (ame_init() != AME_OK) {
        fprintf(stderr, "nonblocking: %s\n", ame_last_error());
        return 1;
    }
    int rank = ame_comm_rank(AME_COMM_WORLD);
    int size = ame_comm_size(AME_COMM_WORLD);
    size_t others = (size_t) size;

    int64_t mine = (int64_t) rank * rank;
    int64_t *squares = calloc(others, sizeof *squares);
    ame_request **requests = calloc(2 * others, sizeof *requests);
    if (!squares || !requests) {
        fprintf(stderr, "nonblocking: out of memory\n");
        ame_abort(1);
    }

    /* Post the receives first: what arrives goes straight to its place. */
    for (int r = 0; r < size; r++)
        check(ame_irecv(&squares[r], sizeof squares[r], r, TAG_SQUARE, AME_COMM_WORLD, &requests[r]));
    for (int r = 0; r < size; r++)
        check(ame_isend(&mine, sizeof mine, r, TAG_SQUARE, AME_COMM_WORLD, &requests[size + r]));

    /* The messages travel while the program computes here. Until the wait, the buffers must be left alone. */

    check(ame_waitall(2 * others, requests, AME_STATUSES_IGNORE));

    int64_t sum = 0;
    for (int r = 0; r < size; r++) sum += squares[r];
    printf("rank %d: the sum of the squares of all ranks is %lld\n", rank, (long long) sum);

    free(requests);
    free(squares);
    return ame_finalize() == AME_OK ? 0 : 1;
}
