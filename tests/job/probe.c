/* probe.c - looking at messages before receiving them, with status, and matched probes used by several threads at once.
 */
#include <pthread.h>

#include "check.h"

static int to, from;

static void check_status(const ame_status *status, int tag, size_t length)
{
    CHECK_EQUAL(status->source, from);
    CHECK_EQUAL(status->tag, tag);
    CHECK_EQUAL(status->length, length);
}

static void probes(size_t length)
{
    unsigned char *out = check_alloc(length), *in = check_alloc(length);
    ame_request *request;
    ame_status status;
    int found = -1;
    check_fill(out, length, length + (uint64_t) check_rank);
    CHECK_OK(ame_iprobe(from, 7, AME_COMM_WORLD, &found, &status));
    CHECK_EQUAL(found, 0);
    CHECK_OK(ame_isend(out, length, to, 6, AME_COMM_WORLD, &request));
    CHECK_OK(ame_probe(from, 6, AME_COMM_WORLD, &status));
    check_status(&status, 6, length);
    CHECK_OK(ame_probe(AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &status)); /* it is still there */
    check_status(&status, 6, length);
    CHECK_OK(ame_iprobe(from, AME_ANY_TAG, AME_COMM_WORLD, &found, &status));
    CHECK_EQUAL(found, 1);
    check_status(&status, 6, length);
    CHECK_OK(ame_iprobe(from, 7, AME_COMM_WORLD, &found, AME_STATUS_IGNORE)); /* of another tag there is none */
    CHECK_EQUAL(found, 0);
    CHECK_OK(ame_recv(in, status.length, status.source, status.tag, AME_COMM_WORLD, &status));
    check_status(&status, 6, length);
    CHECK_FILLED(in, length, length + (uint64_t) from);
    CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
    CHECK_OK(ame_iprobe(from, 6, AME_COMM_WORLD, &found, AME_STATUS_IGNORE));
    CHECK_EQUAL(found, 0);
    free(out);
    free(in);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

/* iprobe alone makes progress until the message is there. */
static void iprobe_only(void)
{
    int found = 0, value = -1;
    ame_request *request;
    ame_status status;
    CHECK_OK(ame_isend(&check_rank, sizeof check_rank, to, 8, AME_COMM_WORLD, &request));
    while (!found) CHECK_OK(ame_iprobe(AME_ANY_SOURCE, 8, AME_COMM_WORLD, &found, &status));
    check_status(&status, 8, sizeof value);
    CHECK_OK(ame_recv(&value, sizeof value, from, 8, AME_COMM_WORLD, AME_STATUS_IGNORE));
    CHECK_EQUAL(value, from);
    CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
}

/* A message set aside is seen by no other receive or probe, and a later one of the same tag overtakes it. */
static void set_aside(size_t length)
{
    unsigned char *out = check_alloc(2 * length), *in = check_alloc(length);
    ame_request *requests[2], *request;
    ame_message *message = AME_MESSAGE_NULL, *second = AME_MESSAGE_NULL;
    ame_status status;
    int found = -1;
    for (int i = 0; i < 2; i++) {
        check_fill(out + (size_t) i * length, length, (uint64_t) (check_rank * 2 + i));
        CHECK_OK(ame_isend(out + (size_t) i * length, length, to, 9, AME_COMM_WORLD, &requests[i]));
    }
    CHECK_OK(ame_mprobe(from, 9, AME_COMM_WORLD, &message, &status));
    CHECK(message != AME_MESSAGE_NULL);
    check_status(&status, 9, length);
    CHECK_OK(ame_recv(in, length, from, 9, AME_COMM_WORLD, AME_STATUS_IGNORE));
    CHECK_FILLED(in, length, (uint64_t) (from * 2 + 1));
    CHECK_OK(ame_improbe(from, 9, AME_COMM_WORLD, &found, &second, &status));
    CHECK(!found && second == AME_MESSAGE_NULL);
    CHECK_OK(ame_mrecv(in, length, &message, &status));
    CHECK(message == AME_MESSAGE_NULL);
    check_status(&status, 9, length);
    CHECK_FILLED(in, length, (uint64_t) (from * 2));
    CHECK_OK(ame_waitall(2, requests, AME_STATUSES_IGNORE));

    /* improbe and imrecv */
    CHECK_OK(ame_isend(out, length, to, 10, AME_COMM_WORLD, &requests[0]));
    while (!found) CHECK_OK(ame_improbe(AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &found, &message, &status));
    check_status(&status, 10, length);
    memset(in, 0, length);
    CHECK_OK(ame_imrecv(in, length, &message, &request));
    CHECK(message == AME_MESSAGE_NULL);
    CHECK_OK(ame_wait(&request, &status));
    check_status(&status, 10, length);
    CHECK_FILLED(in, length, (uint64_t) (from * 2));
    CHECK_OK(ame_wait(&requests[0], AME_STATUS_IGNORE));
    free(out);
    free(in);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

/* Several threads take messages of unknown length; none is lost or taken twice. An empty message ends a thread. */
enum { THREADS = 4, EACH = 500, WORK = 20 };
static atomic_int received;

static void *taker(void *arg)
{
    bool nonblocking = *(int *) arg % 2;
    for (;;) {
        ame_message *message;
        ame_status status;
        int found = 0;
        if (nonblocking)
            while (!found) CHECK_OK(ame_improbe(AME_ANY_SOURCE, WORK, AME_COMM_WORLD, &found, &message, &status));
        else
            CHECK_OK(ame_mprobe(AME_ANY_SOURCE, WORK, AME_COMM_WORLD, &message, &status));
        size_t length = status.length;
        uint64_t *buf = check_alloc(length);
        CHECK_OK(ame_mrecv(buf, length, &message, &status));
        CHECK_EQUAL(status.length, length);
        if (length == 0) {
            free(buf);
            return NULL;
        }
        uint64_t number = buf[0]; /* sender and number of the message, then its contents */
        CHECK_EQUAL(length, 16 + number % 3000);
        CHECK_FILLED(buf + 1, length - 8, number);
        atomic_fetch_add(&received, 1);
        free(buf);
    }
}

static void several_threads(void)
{
    if (check_rank == 0) {
        pthread_t threads[THREADS];
        int numbers[THREADS];
        atomic_store(&received, 0);
        for (int i = 0; i < THREADS; i++) {
            numbers[i] = i;
            CHECK(pthread_create(&threads[i], NULL, taker, &numbers[i]) == 0);
        }
        for (int r = 1; r < check_size; r++)
            CHECK_OK(ame_recv(NULL, 0, r, WORK + 1, AME_COMM_WORLD, AME_STATUS_IGNORE));
        for (int i = 0; i < THREADS; i++) CHECK_OK(ame_send(NULL, 0, 0, WORK, AME_COMM_WORLD));
        for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_EQUAL(atomic_load(&received), EACH * (check_size - 1));
    } else {
        static uint64_t buf[400];
        for (int i = 0; i < EACH; i++) {
            uint64_t number = (uint64_t) (check_rank * EACH + i);
            size_t length = 16 + number % 3000;
            buf[0] = number;
            check_fill(buf + 1, length - 8, number);
            CHECK_OK(ame_ssend(buf, length, 0, WORK, AME_COMM_WORLD));
        }
        CHECK_OK(ame_send(NULL, 0, 0, WORK + 1, AME_COMM_WORLD));
    }
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

int main(void)
{
    check_begin();
    to = (check_rank + 1) % check_size;
    from = (check_rank + check_size - 1) % check_size;
    static const size_t lengths[] = {0, 8, 1000, 262144, 262145, 2000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) probes(lengths[i]);
    for (int i = 0; i < 20; i++) iprobe_only();
    CHECK_OK(ame_barrier(AME_COMM_WORLD)); /* from here on any-tag receives are used */
    for (size_t i = 1; i < sizeof lengths / sizeof *lengths; i++) set_aside(lengths[i]);
    several_threads();
    return check_end();
}
