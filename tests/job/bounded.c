/* bounded.c - what others send ahead is bounded in every rank's memory, whatever it is and wherever it goes.
 *
 * usage: job_bounded eager|rts|ssend|coll RECEIVER
 *   eager   a million short messages from the other ranks together
 *   rts     messages too long to be sent at once, started without being waited for, more than may be announced
 *   ssend   synchronous messages, in the same way
 *   coll    broadcasts that the receivers have not called yet
 * RECEIVER: the rank that receives nothing for a second, then all (of coll: the ranks other than this one).
 * With AME_DIRECT=0 the same goes through rank 0, whose memory is then bounded as well.
 */
#include "check.h"

enum { TOTAL = 1000000, STARTED = 70000, CALLS = 100000, BOUND_KB = 64 << 10, DATA = 1, HELLO = 2, NEVER = 3 };

static const char *kind;
static int receiver;

/* A line of /proc/self/status, in kilobytes. */
static long memory(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    long kilobytes = -1;
    while (kilobytes < 0 && file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) kilobytes = atol(line + strlen(name) + 1);
    if (file) fclose(file);
    CHECK(kilobytes > 0);
    return kilobytes;
}

/* For a second, so that everything that may come does come. */
static void receive_nothing(void)
{
    int found = 0;
    for (double start = ame_wtime(); ame_wtime() - start < 1.0;) {
        CHECK_OK(ame_iprobe(AME_ANY_SOURCE, NEVER, AME_COMM_WORLD, &found, AME_STATUS_IGNORE));
        CHECK(!found);
    }
}

static void blocking(void)
{
    int each = TOTAL / (check_size - 1), *next = calloc((size_t) check_size, sizeof *next), value;
    CHECK(next);
    if (check_rank == receiver) receive_nothing();
    for (int i = 0; check_rank != receiver && i < each; i++)
        CHECK_OK(ame_send(&i, sizeof i, receiver, DATA, AME_COMM_WORLD));
    for (int i = 0; check_rank == receiver && i < each * (check_size - 1); i++) {
        ame_status status;
        CHECK_OK(ame_recv(&value, sizeof value, AME_ANY_SOURCE, DATA, AME_COMM_WORLD, &status));
        CHECK_EQUAL(value, next[status.source]++);
    }
    free(next);
}

static void started(bool synchronous)
{
    static ame_request *requests[STARTED];
    size_t length = synchronous ? 8 : 300 << 10;
    unsigned char *buffer = check_alloc(length);
    if (check_rank == receiver) receive_nothing();
    for (int i = 0; check_rank != receiver && i < STARTED; i++)
        if (synchronous)
            CHECK_OK(ame_issend(buffer, length, receiver, DATA, AME_COMM_WORLD, &requests[i]));
        else
            CHECK_OK(ame_isend(buffer, length, receiver, DATA, AME_COMM_WORLD, &requests[i]));
    for (int i = 0; check_rank == receiver && i < STARTED * (check_size - 1); i++) {
        int code = ame_recv(buffer, 8, AME_ANY_SOURCE, DATA, AME_COMM_WORLD, AME_STATUS_IGNORE);
        CHECK(code == (synchronous ? AME_OK : AME_E_TRUNCATED)); /* the data need not come */
    }
    CHECK_OK(ame_waitall(STARTED, requests, NULL));
    free(buffer);
}

static void collective(void)
{
    if (check_rank != receiver) receive_nothing();
    for (int i = 0; i < CALLS; i++) {
        int values[50] = {i};
        CHECK_OK(ame_bcast(values, sizeof values, receiver, AME_COMM_WORLD));
        CHECK_EQUAL(values[0], i);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    kind = argv[1], receiver = atoi(argv[2]);
    check_begin();
    for (int r = 0; r < check_size; r++) /* links and tables are there */
        if (r != check_rank)
            CHECK_OK(ame_sendrecv(NULL, 0, r, HELLO, NULL, 0, r, HELLO, AME_COMM_WORLD, AME_STATUS_IGNORE));
    long before = memory("VmRSS:");
    if (!strcmp(kind, "eager")) {
        blocking();
    } else if (!strcmp(kind, "coll")) {
        collective();
    } else {
        CHECK(!strcmp(kind, "rts") || !strcmp(kind, "ssend"));
        started(!strcmp(kind, "ssend"));
    }
    long growth = memory("VmHWM:") - before;
    CHECK_SAY(growth < BOUND_KB, "memory grew by %ld KiB", growth);
    printf("rank %d: memory grew by %ld KiB\n", check_rank, growth);
    return check_end();
}
