/* bare.c - the limits: what the kernel's TCP over loopback gives to a program without any library in between.
 *
 * BARE_RANKS processes are forked and connected to rank 0, with TCP_NODELAY; there are no headers, no matching, no
 * errors to recover from. BARE_MODE says how a process waits:
 *
 *     block   sleeps in recv() and send(); the straightforward program. Rank 0 serves its workers one after the other.
 *     spin    tries again at once (MSG_DONTWAIT); the lowest latency as long as every process has a core.
 *     yield   like spin, but gives the core away with sched_yield() after each vain try.
 *
 * barrier: every worker sends 8 bytes to rank 0, which then answers them all. bcast, gather, scatter: rank 0 exchanges
 * one block with each worker. */
#include "bare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum mode { MODE_BLOCK, MODE_SPIN, MODE_YIELD };

static struct {
    int rank, size;
    enum mode mode;
    int *fd;      /* rank 0: by rank of the worker; worker: [0] */
    size_t *done; /* rank 0: bytes done with each worker of the collective under way */
} self;

static void fail(const char *what)
{
    fprintf(stderr, "bare: rank %d: %s: %s\n", self.rank, what, strerror(errno));
    exit(1);
}

static void read_environment(void)
{
    const char *ranks = getenv("BARE_RANKS"), *mode = getenv("BARE_MODE");
    self.size = ranks != NULL ? atoi(ranks) : 2;
    self.mode = MODE_BLOCK;
    if (mode != NULL && strcmp(mode, "spin") == 0) self.mode = MODE_SPIN;
    if (mode != NULL && strcmp(mode, "yield") == 0) self.mode = MODE_YIELD;
    if (self.size < 1) self.size = 1;
}

static void no_delay(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY");
}

static void become_worker(const struct sockaddr_in *address)
{
    int32_t rank = self.rank;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    self.fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (self.fd[0] < 0 || connect(self.fd[0], (const struct sockaddr *) address, sizeof *address) != 0) fail("connect");
    no_delay(self.fd[0]);
    if (send(self.fd[0], &rank, sizeof rank, 0) != sizeof rank) fail("send");
}

void bare_init(void)
{
    read_environment();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    self.fd = calloc((size_t) self.size, sizeof *self.fd);
    self.done = calloc((size_t) self.size, sizeof *self.done);
    if (self.fd == NULL || self.done == NULL) fail("calloc");
    if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof address) != 0 ||
        listen(listener, self.size) != 0 || getsockname(listener, (struct sockaddr *) &address, &length) != 0)
        fail("listen");
    for (int r = 1; r < self.size; r++) {
        pid_t pid = fork();
        if (pid < 0) fail("fork");
        if (pid == 0) {
            close(listener);
            self.rank = r;
            become_worker(&address);
            return;
        }
    }
    for (int r = 1; r < self.size; r++) {
        int32_t rank = 0;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 || recv(fd, &rank, sizeof rank, MSG_WAITALL) != sizeof rank) fail("accept");
        no_delay(fd);
        self.fd[rank] = fd;
    }
    close(listener);
}

void bare_finalize(void)
{
    for (int r = 1; self.rank == 0 && r < self.size; r++) close(self.fd[r]);
    if (self.rank != 0) close(self.fd[0]);
    for (int r = 1; self.rank == 0 && r < self.size; r++) {
        int status;
        if (wait(&status) < 0 || status != 0) exit(1);
    }
    free(self.fd);
    free(self.done);
}

int bare_rank(void)
{
    return self.rank;
}
int bare_size(void)
{
    return self.size;
}

/* Sends or receives as much as goes without waiting, or sleeps for some of it (MODE_BLOCK). Bytes moved. */
static size_t try_send(int fd, const char *buf, size_t length)
{
    ssize_t n = send(fd, buf, length, MSG_NOSIGNAL | (self.mode == MODE_BLOCK ? 0 : MSG_DONTWAIT));
    if (n < 0 && errno != EAGAIN && errno != EINTR) fail("send");
    return n > 0 ? (size_t) n : 0;
}

static size_t try_recv(int fd, char *buf, size_t length)
{
    ssize_t n = recv(fd, buf, length, self.mode == MODE_BLOCK ? 0 : MSG_DONTWAIT);
    if (n == 0) {
        errno = ECONNRESET;
        fail("recv");
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) fail("recv");
    return n > 0 ? (size_t) n : 0;
}

static void vain(void)
{
    if (self.mode == MODE_YIELD) sched_yield();
}

void bare_send(const void *buf, size_t length, int dest)
{
    int fd = self.fd[dest];
    for (size_t done = 0; done < length;) {
        size_t n = try_send(fd, (const char *) buf + done, length - done);
        if (n == 0) vain();
        done += n;
    }
}

void bare_recv(void *buf, size_t length, int source)
{
    int fd = self.fd[source];
    for (size_t done = 0; done < length;) {
        size_t n = try_recv(fd, (char *) buf + done, length - done);
        if (n == 0) vain();
        done += n;
    }
}

void bare_barrier(void)
{
    uint64_t word = 0;
    if (self.rank != 0) {
        bare_send(&word, sizeof word, 0);
        bare_recv(&word, sizeof word, 0);
        return;
    }
    for (int r = 1; r < self.size; r++) bare_recv(&word, sizeof word, r);
    for (int r = 1; r < self.size; r++) bare_send(&word, sizeof word, r);
}

/* Rank 0: moves block r between `base` + r * stride and each worker r. Sleeping sockets are served one after the other,
 * others as they become ready. */
static void exchange(int sending, char *base, size_t stride, size_t length)
{
    int left = self.size - 1;
    if (self.mode == MODE_BLOCK || length <= 65536) {
        for (int r = 1; r < self.size; r++) {
            if (sending)
                bare_send(base + (size_t) r * stride, length, r);
            else
                bare_recv(base + (size_t) r * stride, length, r);
        }
        return;
    }
    memset(self.done, 0, (size_t) self.size * sizeof *self.done);
    while (left > 0) {
        size_t moved = 0;
        for (int r = 1; r < self.size; r++) {
            size_t n, done = self.done[r];
            char *at = base + (size_t) r * stride + done;
            if (done == length) continue;
            n = sending ? try_send(self.fd[r], at, length - done) : try_recv(self.fd[r], at, length - done);
            self.done[r] += n;
            moved += n;
            left -= self.done[r] == length;
        }
        if (moved == 0) vain();
    }
}

void bare_bcast(void *buf, size_t length)
{
    if (self.rank != 0)
        bare_recv(buf, length, 0);
    else
        exchange(1, buf, 0, length);
}

void bare_gather(const void *send, size_t length, void *recv)
{
    if (self.rank != 0) {
        bare_send(send, length, 0);
        return;
    }
    memcpy(recv, send, length);
    exchange(0, recv, length, length);
}

void bare_scatter(const void *send, void *recv, size_t length)
{
    if (self.rank != 0) {
        bare_recv(recv, length, 0);
        return;
    }
    memcpy(recv, send, length);
    exchange(1, (char *) send, length, length);
}
