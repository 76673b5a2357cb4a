/* send_receive.c - one rank sends, another receives
 *
 *     ameexec -np 2 ./send_receive
 *
 * Rank 0 sends a line of text and then an array of numbers to rank 1. With more than two ranks the others only watch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ame.h>

/* A tag is a number that sender and receiver agree upon, so that messages of different meaning are not mixed up. */
enum { TAG_TEXT = 1, TAG_NUMBERS = 2 };

static void check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "send_receive: %s\n", ame_last_error());
    ame_abort(1); /* ends all ranks, not only this one */
}

static void send_both(void)
{
    const char *text = "Hello, world";
    double numbers[5] = {0.5, 1.5, 2.5, 3.5, 4.5};

    /* Lengths are bytes, always. */
    check(ame_send(text, strlen(text) + 1, 1, TAG_TEXT, AME_COMM_WORLD));
    check(ame_send(numbers, sizeof numbers, 1, TAG_NUMBERS, AME_COMM_WORLD));
}

static void receive_both(void)
{
    /* A receive gives the room there is; the message may be shorter. The status tells who sent it and how long it is.
     */
    char text[64];
    ame_status status;
    check(ame_recv(text, sizeof text, 0, TAG_TEXT, AME_COMM_WORLD, &status));
    printf("rank 1 received \"%s\" (%zu bytes) from rank %d\n", text, status.length, status.source);

    /* If the length is not known in advance, AME allocates the memory. */
    void *memory;
    size_t length;
    check(ame_recv_alloc(&memory, &length, 0, TAG_NUMBERS, AME_COMM_WORLD, AME_STATUS_IGNORE));
    double *numbers = memory, sum = 0;
    size_t count = length / sizeof(double);
    for (size_t i = 0; i < count; i++) sum += numbers[i];
    printf("rank 1 received %zu numbers, their sum is %.1f\n", count, sum);
    free(memory);
}

int main(void)
{
    if (ame_init() != AME_OK) {
        fprintf(stderr, "send_receive: %s\n", ame_last_error());
        return 1;
    }
    int rank = ame_comm_rank(AME_COMM_WORLD);

    if (ame_comm_size(AME_COMM_WORLD) < 2)
        printf("This example needs two ranks: ameexec -np 2 ./send_receive\n");
    else if (rank == 0)
        send_both();
    else if (rank == 1)
        receive_both();

    return ame_finalize() == AME_OK ? 0 : 1;
}
