/* regress.c - faults that were once in the library, each made to happen by what it needed then.
 *
 * usage: job_regress behind|cheap|idle|unfinished|freed|early|alone|closed
 *   behind      a short message into a long buffer leaves what is behind it alone, also after long messages
 *   cheap       a rank that makes only calls which send nothing still relays for others
 *   idle        waiting, in a job of one rank too, and computing cost no processor time
 *   unfinished  ame_finalize in the middle of a long message and of a long collective
 *   freed       messages for a communicator that the receiver has freed do not keep their sender waiting
 *   early       a communicator is freed before a completed receive on it is looked at; not before a probed message is received
 *   alone       a rank that all others have left receives from any source what it sends to itself, and waits for nothing else
 *   closed      started without standard descriptors */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void behind(void)
{
    enum { LONG = 100000, SHORT = 8, TURNS = 200, FILL = 0x55 };
    unsigned char *buffer = malloc(LONG);
    CHECK(buffer);
    memset(buffer, 0x11, LONG);
    for (int turn = 0; turn < TURNS; turn++) {
        if (check_rank == 1) {
            CHECK_OK(ame_send(buffer, LONG, 0, 0, AME_COMM_WORLD));
            for (int i = 0; i < 3; i++) {
                CHECK_OK(ame_send(buffer, SHORT, 0, 0, AME_COMM_WORLD));
                CHECK_OK(ame_send(buffer, 1000, 0, 5, AME_COMM_WORLD));
            }
        }
        for (int i = 0; i < 4 && check_rank == 0; i++) {
            ame_status status;
            memset(buffer, FILL, LONG);
            CHECK_OK(ame_recv(buffer, LONG, 1, 0, AME_COMM_WORLD, &status));
            CHECK(status.length == (i == 0 ? LONG : SHORT));
            for (size_t at = status.length; at < LONG; at++) CHECK(buffer[at] == FILL);
        }
        for (int i = 0; i < 3 && check_rank == 0; i++) CHECK_OK(ame_recv(buffer, LONG, 1, 5, AME_COMM_WORLD, NULL));
    }
    free(buffer);
}

static void cheap(void)
{
    enum { ROUND_TRIPS = 100 };
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    double start = ame_wtime();
    if (check_rank == 0) { /* relays (AME_DIRECT=0), while it asks for its rank all the time and computes in between */
        while (ame_wtime() - start < 1.5) {
            CHECK(ame_comm_rank(AME_COMM_WORLD) == 0);
            for (double turn = ame_wtime(); ame_wtime() - turn < 1e-3;) {
            }
        }
    } else if (check_rank < 3) {
        int other = 3 - check_rank, value;
        for (int i = 0; i < ROUND_TRIPS; i++)
            CHECK_OK(ame_sendrecv(&i, sizeof i, other, i, &value, sizeof value, other, i, AME_COMM_WORLD, NULL));
        double time = ame_wtime() - start;
        if (time > 1.2) check_failed(__FILE__, __LINE__, "%d relayed round trips took %.2f s", ROUND_TRIPS, time);
    }
}

static void *wait_for_self(void *arg)
{
    CHECK_OK(ame_recv(arg, sizeof(int), 0, 9, AME_COMM_SELF, NULL));
    return NULL;
}

static void idle(void)
{
    pthread_t thread;
    int value = 0;
    double start = cpu_seconds();
    CHECK(pthread_create(&thread, NULL, wait_for_self, &value) == 0);
    usleep(500000); /* what is measured is a time */
    double cost = cpu_seconds() - start;
    CHECK_OK(ame_send(&(int){7}, sizeof(int), 0, 9, AME_COMM_SELF));
    pthread_join(thread, NULL);
    CHECK(value == 7);
    if (cost > 0.1) check_failed(__FILE__, __LINE__, "waiting 0.5 s cost %.3f s", cost);
}

static void unfinished(void)
{
    size_t length = (size_t) 64 << 20;
    char *buffer = calloc(1, length);
    ame_request *requests[2] = {NULL, NULL};
    int done;
    CHECK(buffer);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    CHECK_OK(ame_ibcast(buffer, length, 0, AME_COMM_WORLD, &requests[0]));
    if (check_rank == 0 && check_size > 1) CHECK_OK(ame_isend(buffer, length, 1, 3, AME_COMM_WORLD, &requests[1]));
    if (check_rank == 1) CHECK_OK(ame_irecv(buffer, length, 0, 3, AME_COMM_WORLD, &requests[1]));
    for (double start = ame_wtime(); ame_wtime() - start < 0.002 * (check_rank + 1);)
        if (requests[0]) (void) ame_test(&requests[0], &done, NULL);
    CHECK_OK(ame_finalize());
    free(buffer);
    exit(0);
}

static void freed(void)
{
    enum { MESSAGES = 3000, LENGTH = 1000 }; /* more than the window, with and without a copy on its way to be stored */
    static unsigned char buffer[LENGTH];
    static ame_request *requests[MESSAGES];
    ame_comm *comm;
    CHECK_OK(ame_comm_dup(AME_COMM_WORLD, &comm));
    if (check_rank == 0) CHECK_OK(ame_comm_free(&comm));
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    for (int i = 0; check_rank > 0 && i < MESSAGES; i++)
        if (i % 3)
            CHECK_OK(ame_isend(buffer, LENGTH, 0, i, comm, &requests[i]));
        else
            CHECK_OK(ame_issend(buffer, LENGTH, 0, i, comm, &requests[i]));
    CHECK_OK(ame_waitall(MESSAGES, requests, NULL));
    for (int i = 0; i < MESSAGES; i++) { /* and the credit is there again */
        if (check_rank > 0) CHECK_OK(ame_send(buffer, LENGTH, 0, 1, AME_COMM_WORLD));
        for (int r = 1; check_rank == 0 && r < check_size; r++)
            CHECK_OK(ame_recv(buffer, LENGTH, r, 1, AME_COMM_WORLD, NULL));
    }
    if (check_rank > 0) CHECK_OK(ame_comm_free(&comm));
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

static void early(void)
{
    ame_comm *comm;
    ame_request *request;
    ame_message *message;
    ame_status status;
    char got = 0;
    int next = (check_rank + 1) % check_size, before = (check_rank + check_size - 1) % check_size;
    CHECK_OK(ame_comm_split(AME_COMM_WORLD, 0, -check_rank, &comm)); /* the other way round */
    int mirrored = check_size - 1 - before;
    CHECK_OK(ame_irecv(&got, 1, mirrored, 3, comm, &request));
    CHECK_OK(ame_send("x", 1, check_size - 1 - next, 3, comm));
    double limit = ame_wtime() + 20;
    int code;
    while ((code = ame_comm_free(&comm)) == AME_E_COMM && ame_wtime() < limit)
        CHECK_OK(ame_iprobe(0, 0, ame_comm_self(), &(int){0}, NULL));
    CHECK_OK(code);
    CHECK_OK(ame_wait(&request, &status));
    CHECK(got == 'x' && status.source == mirrored && status.tag == 3);

    CHECK_OK(ame_comm_dup(AME_COMM_WORLD, &comm));
    CHECK_OK(ame_send("y", 1, next, 4, comm));
    CHECK_OK(ame_mprobe(before, 4, comm, &message, &status));
    CHECK(ame_comm_free(&comm) == AME_E_COMM);
    CHECK_OK(ame_mrecv(&got, 1, &message, &status));
    CHECK(got == 'y' && status.source == before);
    CHECK_OK(ame_comm_free(&comm));
}

static void alone(void)
{
    enum { MESSAGES = 3 };
    ame_request *requests[2 * MESSAGES], *nothing;
    ame_status status;
    int got[MESSAGES], values[MESSAGES] = {70, 71, 72}, never, done = 0, code;
    if (check_rank != check_size - 1) return; /* to ame_finalize */
    CHECK_OK(ame_irecv(&got[0], sizeof got[0], AME_ANY_SOURCE, 0, AME_COMM_WORLD, &requests[0]));
    for (int rank = 0; rank < check_rank; rank++)
        CHECK(ame_recv(&never, sizeof never, rank, 9, AME_COMM_WORLD, NULL) == AME_E_PEER_LEFT);
    CHECK_OK(ame_irecv(&got[1], sizeof got[1], AME_ANY_SOURCE, 1, AME_COMM_WORLD, &requests[1]));
    CHECK_OK(ame_irecv(&got[2], sizeof got[2], AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &requests[2]));
    for (int i = 0; i < MESSAGES; i++)
        CHECK_OK(ame_issend(&values[i], sizeof values[i], check_rank, i, AME_COMM_WORLD, &requests[MESSAGES + i]));
    CHECK_OK(ame_waitall(2 * MESSAGES, requests, NULL));
    for (int i = 0; i < MESSAGES; i++) CHECK_EQUAL(got[i], values[i]);
    CHECK_OK(ame_sendrecv(&values[0], sizeof values[0], check_rank, 5, &got[1], sizeof got[1], AME_ANY_SOURCE, 5,
                          AME_COMM_WORLD, &status));
    CHECK(got[1] == 70 && status.source == check_rank);

    CHECK(ame_recv(&never, sizeof never, AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, NULL) == AME_E_PEER_LEFT);
    CHECK_OK(ame_irecv(&never, sizeof never, AME_ANY_SOURCE, 1, AME_COMM_WORLD, &nothing));
    CHECK(ame_wait(&nothing, NULL) == AME_E_PEER_LEFT);
    CHECK_OK(ame_irecv(&never, sizeof never, AME_ANY_SOURCE, 1, AME_COMM_WORLD, &nothing));
    code = ame_test(&nothing, &done, NULL);
    CHECK(done && code == AME_E_PEER_LEFT);
    CHECK_OK(ame_irecv(&never, sizeof never, AME_ANY_SOURCE, 1, AME_COMM_WORLD, &nothing));
    CHECK(ame_waitany(1, &nothing, &done, NULL) == AME_E_PEER_LEFT);
}

static void closed(void)
{
    for (int fd = 0; fd <= 2; fd++) CHECK(fcntl(fd, F_GETFD) >= 0); /* nothing of the library's took their places */
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    CHECK(write(STDOUT_FILENO, "this must not reach another rank", 32) >= 0);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
        int ranks; /* at least */
    } cases[] = {{"behind", behind, 2}, {"cheap", cheap, 3}, {"idle", idle, 1},   {"unfinished", unfinished, 1},
                 {"freed", freed, 1},   {"early", early, 1}, {"alone", alone, 2}, {"closed", closed, 1}};
    if (argc == 2 && !strcmp(argv[1], "closed"))
        for (int fd = 0; fd <= 2; fd++) close(fd);
    check_begin();
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[1], cases[i].name)) continue;
        if (check_size >= cases[i].ranks) cases[i].run();
        return check_end();
    }
    check_failed(__FILE__, __LINE__, "usage: job_regress behind|cheap|idle|unfinished|freed|early|alone|closed");
}
