/* flood.c - a rank that is sent 100000 messages before it receives one: the senders are slowed and its memory stays
 * bounded; everything arrives in the end. Argument: bytes of a message (default 1000).
 */
#include <pthread.h>

#include "check.h"

enum { MESSAGES = 100000, DATA = 1, GO = 2, COUNTED = 3, HANDSHAKE = 4, NEVER = 5 };

static atomic_int sent;

/* Kilobytes of memory of this process that are in use. */
static long resident(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    long kilobytes = -1;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld kB", &kilobytes) == 1) break;
    if (file) fclose(file);
    CHECK(kilobytes > 0);
    return kilobytes;
}

/* Runs beside the sending thread: how far was it when the receiver began to receive? */
static void *witness(void *arg)
{
    (void) arg;
    CHECK_OK(ame_recv(NULL, 0, 0, GO, AME_COMM_WORLD, AME_STATUS_IGNORE));
    int count = atomic_load(&sent);
    CHECK_OK(ame_send(&count, sizeof count, 0, COUNTED, AME_COMM_WORLD));
    return NULL;
}

static void sender(size_t length)
{
    unsigned char *buf = check_alloc(length);
    pthread_t thread;
    CHECK_OK(ame_sendrecv(NULL, 0, 0, HANDSHAKE, NULL, 0, 0, HANDSHAKE, AME_COMM_WORLD, AME_STATUS_IGNORE));
    CHECK(pthread_create(&thread, NULL, witness, NULL) == 0);
    for (int i = 0; i < MESSAGES; i++) {
        check_fill(buf, length, (uint64_t) i);
        CHECK_OK(ame_send(buf, length, 0, DATA, AME_COMM_WORLD));
        atomic_store(&sent, i + 1);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    free(buf);
}

static void receiver(size_t length)
{
    for (int r = 1; r < check_size; r++)
        CHECK_OK(ame_sendrecv(NULL, 0, r, HANDSHAKE, NULL, 0, r, HANDSHAKE, AME_COMM_WORLD, AME_STATUS_IGNORE));
    long before = resident();
    double start = ame_wtime();
    int found = 0;
    while (ame_wtime() - start < 1.0) { /* makes progress, so everything that may come does come */
        CHECK_OK(ame_iprobe(AME_ANY_SOURCE, NEVER, AME_COMM_WORLD, &found, AME_STATUS_IGNORE));
        CHECK(!found);
    }
    long growth = resident() - before;
    CHECK_SAY(growth < 64 * 1024, "memory grew by %ld KiB", growth);
    for (int r = 1; r < check_size; r++) {
        int count = -1;
        CHECK_OK(ame_send(NULL, 0, r, GO, AME_COMM_WORLD));
        CHECK_OK(ame_recv(&count, sizeof count, r, COUNTED, AME_COMM_WORLD, AME_STATUS_IGNORE));
        CHECK_SAY(count < MESSAGES, "rank %d was not slowed", r);
    }
    unsigned char *buf = check_alloc(length);
    int *next = calloc((size_t) check_size, sizeof *next);
    CHECK(next);
    for (long i = 0; i < (long) MESSAGES * (check_size - 1); i++) {
        ame_status status;
        CHECK_OK(ame_recv(buf, length, AME_ANY_SOURCE, DATA, AME_COMM_WORLD, &status));
        CHECK_EQUAL(status.length, length);
        CHECK_FILLED(buf, length, (uint64_t) next[status.source]++);
    }
    growth = resident() - before;
    CHECK_SAY(growth < 64 * 1024, "memory grew by %ld KiB in the end", growth);
    free(next);
    free(buf);
}

int main(int argc, char **argv)
{
    size_t length = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    check_begin();
    if (check_rank == 0)
        receiver(length);
    else
        sender(length);
    return check_end();
}
