/* ssend.c - a synchronous send completes only after a receive has matched it, however small it is. */
#include <pthread.h>

#include "check.h"

enum { DATA = 1, PING = 2, GO = 3, ROUNDS = 200 };

static void ping(int peer)
{
    int value = 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (check_rank < peer) CHECK_OK(ame_send(&value, sizeof value, peer, PING, AME_COMM_WORLD));
        CHECK_OK(ame_recv(&value, sizeof value, peer, PING, AME_COMM_WORLD, AME_STATUS_IGNORE));
        if (check_rank > peer) CHECK_OK(ame_send(&value, sizeof value, peer, PING, AME_COMM_WORLD));
    }
}

/* The sender knows that the receiver has not asked yet, because it asks only after GO. */
static void nonblocking(int peer, size_t length)
{
    unsigned char *buf = check_alloc(length);
    if (check_rank < peer) {
        ame_request *request;
        int done = 0;
        check_fill(buf, length, length);
        CHECK_OK(ame_issend(buf, length, peer, DATA, AME_COMM_WORLD, &request));
        ping(peer);
        CHECK_OK(ame_test(&request, &done, AME_STATUS_IGNORE));
        CHECK_EQUAL(done, 0);
        CHECK(request != AME_REQUEST_NULL);
        CHECK_OK(ame_send(NULL, 0, peer, GO, AME_COMM_WORLD));
        CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
    } else {
        ping(peer);
        CHECK_OK(ame_recv(NULL, 0, peer, GO, AME_COMM_WORLD, AME_STATUS_IGNORE));
        CHECK_OK(ame_recv(buf, length, peer, DATA, AME_COMM_WORLD, AME_STATUS_IGNORE));
        CHECK_FILLED(buf, length, length);
    }
    free(buf);
}

static atomic_bool returned;

static void *blocked_sender(void *arg)
{
    int peer = *(int *) arg;
    CHECK_OK(ame_ssend("hello", 5, peer, DATA, AME_COMM_WORLD));
    atomic_store(&returned, true);
    return NULL;
}

static void blocking(int peer)
{
    if (check_rank < peer) {
        pthread_t thread;
        atomic_store(&returned, false);
        CHECK(pthread_create(&thread, NULL, blocked_sender, &peer) == 0);
        /* when the receiver has seen the message, the send has surely begun */
        CHECK_OK(ame_recv(NULL, 0, peer, GO, AME_COMM_WORLD, AME_STATUS_IGNORE));
        ping(peer);
        CHECK(!atomic_load(&returned));
        CHECK_OK(ame_send(NULL, 0, peer, GO, AME_COMM_WORLD));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(atomic_load(&returned));
    } else {
        char buf[5];
        CHECK_OK(ame_probe(peer, DATA, AME_COMM_WORLD, AME_STATUS_IGNORE)); /* looking is not receiving */
        CHECK_OK(ame_send(NULL, 0, peer, GO, AME_COMM_WORLD));
        ping(peer);
        CHECK_OK(ame_recv(NULL, 0, peer, GO, AME_COMM_WORLD, AME_STATUS_IGNORE));
        CHECK_OK(ame_recv(buf, sizeof buf, peer, DATA, AME_COMM_WORLD, AME_STATUS_IGNORE));
        CHECK(!memcmp(buf, "hello", 5));
    }
}

/* To oneself: done only when received. */
static void self(void)
{
    ame_request *request;
    int done = 0, value = 5, got = 0;
    CHECK_OK(ame_issend(&value, sizeof value, check_rank, DATA, AME_COMM_WORLD, &request));
    for (int i = 0; i < 100; i++) {
        CHECK_OK(ame_test(&request, &done, AME_STATUS_IGNORE));
        CHECK_EQUAL(done, 0);
    }
    CHECK_OK(ame_recv(&got, sizeof got, check_rank, DATA, AME_COMM_WORLD, AME_STATUS_IGNORE));
    CHECK_OK(ame_wait(&request, AME_STATUS_IGNORE));
    CHECK_EQUAL(got, value);
}

int main(void)
{
    check_begin();
    int peer = check_size - 1 - check_rank; /* pairs up first and last, so that one pair uses a direct link */
    if (peer != check_rank) {
        nonblocking(peer, 0);
        nonblocking(peer, 8);
        nonblocking(peer, 100000);
        nonblocking(peer, 1000000);
        blocking(peer);
    }
    self();
    return check_end();
}
