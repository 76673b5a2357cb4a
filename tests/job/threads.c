/* threads.c - several threads of each rank use the library at the same time, with tags and communicators of their own.
 */
#include <pthread.h>

#include "check.h"

enum { THREADS = 4 };

static ame_comm *comms[THREADS];

static void run(void *(*function)(void *) )
{
    static int numbers[THREADS] = {0, 1, 2, 3};
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) CHECK(pthread_create(&threads[t], NULL, function, &numbers[t]) == 0);
    for (int t = 0; t < THREADS; t++) CHECK(pthread_join(threads[t], NULL) == 0);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

/* With each other rank in turn; thread t of one rank talks to thread t of the other. */
static void ping_pong(int thread, ame_comm *comm, int tag, int rounds, size_t length)
{
    unsigned char *buf = check_alloc(length);
    for (int step = 1; step < check_size; step++)
        for (int i = 0; i < rounds; i++) {
            int to = (check_rank + step) % check_size, from = (check_rank + check_size - step) % check_size;
            ame_request *request;
            ame_status status;
            unsigned char *out = check_alloc(length);
            check_fill(out, length, (uint64_t) ((check_rank * THREADS + thread) * 100000 + i));
            CHECK_OK(ame_isend(out, length, to, tag, comm, &request));
            CHECK_OK(ame_recv(buf, length, from, tag, comm, &status));
            CHECK_EQUAL(status.length, length);
            CHECK_FILLED(buf, length, (uint64_t) ((from * THREADS + thread) * 100000 + i));
            CHECK_OK(ame_wait(&request, NULL));
            free(out);
        }
    free(buf);
}

static void *own_tags(void *arg)
{
    int thread = *(int *) arg;
    ping_pong(thread, AME_COMM_WORLD, 100 + thread, 200, 100);
    ping_pong(thread, AME_COMM_WORLD, 100 + thread, 5, 400000);
    return NULL;
}

static void *own_comms(void *arg)
{
    int thread = *(int *) arg;
    ping_pong(thread, comms[thread], 5, 200, 100);
    ping_pong(thread, comms[thread], AME_TAG_MAX, 5, 400000);
    return NULL;
}

/* Each thread makes collective calls on a communicator of its own; each in an order of its own. */
static void *collectives(void *arg)
{
    int thread = *(int *) arg;
    ame_comm *comm = comms[thread];
    unsigned char *buf = check_alloc(20000 * (size_t) check_size);
    for (int i = 0; i < 100; i++) {
        size_t length = (size_t) (i * 37 + thread) % 20000;
        int root = (i + thread) % check_size, sum = 0;
        if (check_rank == root) check_fill(buf, length, (uint64_t) (i * THREADS + thread));
        CHECK_OK(ame_bcast(buf, length, root, comm));
        CHECK_FILLED(buf, length, (uint64_t) (i * THREADS + thread));
        int value = check_rank * i + thread;
        CHECK_OK(ame_allreduce(&value, &sum, 1, AME_INT32, AME_SUM, comm));
        CHECK_EQUAL(sum, i * check_size * (check_size - 1) / 2 + thread * check_size);
        if (i % 4 == thread) CHECK_OK(ame_barrier(comm));
        check_fill(buf + (size_t) check_rank * length, length, (uint64_t) check_rank);
        CHECK_OK(ame_allgather(AME_IN_PLACE, length, buf, comm));
        for (int r = 0; r < check_size; r++) CHECK_FILLED(buf + (size_t) r * length, length, (uint64_t) r);
    }
    free(buf);
    return NULL;
}

/* Threads of one rank among themselves, while one of them only waits for a message that comes last. */
static void *among_themselves(void *arg)
{
    int thread = *(int *) arg, value;
    if (thread == 0) {
        CHECK_OK(ame_recv(&value, sizeof value, check_rank, 300, AME_COMM_WORLD, NULL));
        CHECK_EQUAL(value, 1234);
        return NULL;
    }
    for (int i = 0; i < 500; i++) {
        int to = thread % 3 + 1, from = (thread + 1) % 3 + 1;
        CHECK_OK(ame_sendrecv(&thread, sizeof(int), check_rank, 200 + to, &value, sizeof(int), check_rank, 200 + thread,
                              AME_COMM_WORLD, NULL));
        CHECK_EQUAL(value, from);
    }
    value = 1234;
    if (thread == 1) CHECK_OK(ame_send(&value, sizeof value, check_rank, 300, AME_COMM_WORLD));
    return NULL;
}

/* The text of the last error belongs to the thread. */
static void *own_errors(void *arg)
{
    int thread = *(int *) arg;
    CHECK(!*ame_last_error());
    for (int i = 0; i < 200; i++) {
        char number[32];
        int bad = 1000000 + thread * 1000 + i;
        snprintf(number, sizeof number, "%d", bad);
        CHECK_CODE(ame_send(NULL, 0, bad, 0, AME_COMM_WORLD), AME_E_RANK, number);
    }
    return NULL;
}

/* One request is made by one thread and completed by another. */
static ame_request *handed_over[THREADS];
static int handed_values[THREADS];

static void *complete(void *arg)
{
    int thread = *(int *) arg, from = (check_rank + check_size - 1) % check_size;
    CHECK_OK(ame_wait(&handed_over[thread], NULL));
    CHECK_EQUAL(handed_values[thread], from);
    return NULL;
}

static void hand_over(void)
{
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size;
    for (int t = 0; t < THREADS; t++) {
        handed_values[t] = -1;
        CHECK_OK(ame_irecv(&handed_values[t], sizeof(int), from, 400 + t, AME_COMM_WORLD, &handed_over[t]));
    }
    for (int t = 0; t < THREADS; t++) CHECK_OK(ame_send(&check_rank, sizeof(int), to, 400 + t, AME_COMM_WORLD));
    run(complete);
}

int main(void)
{
    check_begin();
    for (int t = 0; t < THREADS; t++) CHECK_OK(ame_comm_dup(AME_COMM_WORLD, &comms[t]));
    run(own_tags);
    run(own_comms);
    run(collectives);
    run(among_themselves);
    run(own_errors);
    hand_over();
    for (int t = 0; t < THREADS; t++) CHECK_OK(ame_comm_free(&comms[t]));
    return check_end();
}
