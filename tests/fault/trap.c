/* trap.c - see trap.h. */
#include "trap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define TRAP __attribute__((visibility("default")))

/* File scope: one trap per process. */
static struct {
    bool ready, from_signal;
    char events[16], action[16], who[16];
    int count;
    atomic_bool armed, done, out_of_memory;
    atomic_int calls;
    int cut_fd; /* nothing more comes from here */
    struct trap_page none, *page;
} trap = {.cut_fd = -1, .page = &trap.none};

struct trap_page *trap_page(void)
{
    return trap.page;
}

double trap_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

/* ---- what happens -------------------------------------------------------------------------------- */

/* Ends or stops this process; returns after a stop, or if the action is one that only a call can have. */
static void act(void)
{
    if (!strcmp(trap.action, "exit0")) exit(0);
    if (!strcmp(trap.action, "exit3")) exit(3);
    if (!strcmp(trap.action, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(trap.action, "stop")) kill(getpid(), SIGSTOP);
    if (strcmp(trap.action, "segv") != 0) return;
    signal(SIGSEGV, SIG_DFL); /* a sanitizer has a handler */
    raise(SIGSEGV);
}

static void mark(void)
{
    trap.page->died = trap_now();
    atomic_fetch_add(&trap.page->fired, 1);
}

/* Counts a call of this kind; true: this is the one. */
static bool hits(char event)
{
    if (!atomic_load_explicit(&trap.armed, memory_order_acquire) || !strchr(trap.events, event)) return false;
    atomic_fetch_add(&trap.page->calls, 1);
    if (atomic_fetch_add(&trap.calls, 1) + 1 != trap.count || !strcmp(trap.action, "count")) return false;
    if (atomic_exchange(&trap.done, true)) return false;
    mark();
    return true;
}

static void on_call(char event)
{
    if (hits(event)) act();
}

void trap_fire(void)
{
    if (!strncmp(trap.action, "nomem", 5) || !strcmp(trap.action, "cut") || !strcmp(trap.action, "count")) return;
    if (!trap.count || atomic_exchange(&trap.done, true)) return;
    mark();
    act();
}

static void on_signal(int number)
{
    (void) number;
    atomic_store(&trap.armed, true);
    trap_fire();
}

void trap_arm(int rank)
{
    if (trap.who[0] >= '0' && trap.who[0] <= '9' && atoi(trap.who) == rank) atomic_store(&trap.armed, true);
}

void trap_disarm(void)
{
    atomic_store(&trap.armed, false);
}

void trap_cut_now(void)
{
    for (int fd = 3; trap.count && !strcmp(trap.action, "cut") && fd < 100; fd++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *) &peer, &size) || peer.ss_family != AF_INET) continue;
        if (!atomic_exchange(&trap.done, true)) mark();
        shutdown(fd, SHUT_RDWR);
        return;
    }
}

/* ---- set-up -------------------------------------------------------------------------------------- */

static void copy(char *to, size_t size, const char *name)
{
    const char *value = getenv(name);
    to[0] = '\0';
    if (value && strlen(value) < size) strcpy(to, value);
}

static bool is_hostd;

static void in_child(void)
{
    /* The host daemon is a fork of the front; what it forks later is the guard's or nobody's. */
    if (is_hostd) return;
    is_hostd = true;
    bool mine = !strcmp(trap.who, "hostd");
    trap.page->hostd = getpid();
    atomic_store(&trap.calls, 0);
    atomic_store(&trap.armed, mine && !trap.from_signal);
    if (!mine) trap.count = 0;
}

static void set_up(void) __attribute__((constructor));
static void set_up(void)
{
    const char *name = getenv("FAULT_PAGE"), *rank = getenv("PMI_RANK"), *from = getenv("TRAP_FROM"),
               *count = getenv("TRAP_COUNT");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0 || !from) return;
#ifdef TRAP_PRELOADED
    if (rank) return; /* a rank has its own */
    rank = "front";
#endif
    void *page = mmap(NULL, sizeof *trap.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED || !rank) return;
    trap.page = page;
    copy(trap.who, sizeof trap.who, "TRAP_WHO");
    copy(trap.events, sizeof trap.events, "TRAP_EVENTS");
    copy(trap.action, sizeof trap.action, "TRAP_ACTION");
    trap.count = count ? atoi(count) : 0;
    trap.from_signal = !strcmp(from, "signal");
    bool mine = !strcmp(trap.who, rank);
#ifdef TRAP_PRELOADED
    trap.page->front = getpid();
    pthread_atfork(NULL, NULL, in_child);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(TRAP_SIGNAL, &action, NULL);
    if (!mine && strcmp(trap.who, "hostd") != 0) trap.count = 0;
#else
    if (!mine) trap.count = 0;
    (void) in_child, (void) on_signal;
#endif
    if (mine && !strcmp(from, "start")) atomic_store(&trap.armed, true);
}

/* Declares found_NAME, the function that ours stands before. */
#define REAL(name)                                                                                                     \
    static __typeof__(name) *found_##name;                                                                             \
    if (!found_##name) find(#name, &found_##name);

static void find(const char *name, void *function)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    memcpy(function, &found, sizeof found); /* ISO C has no conversion from an object to a function */
}

/* ---- memory -------------------------------------------------------------------------------------- */

/* libuv ends the process (abort) when it cannot enlarge its table of descriptors, and has no call to do that beforehand. That
 * is a limit of libame, not tested: realloc() called by libuv never fails here. */
static bool is_libuv(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libuv");
}

/* A sanitizer ends the process when it cannot learn where the stack of a new thread is. */
static __thread bool asking_for_stack;

TRAP int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    REAL(pthread_getattr_np)
    asking_for_stack = true;
    int error = found_pthread_getattr_np(thread, attributes);
    asking_for_stack = false;
    return error;
}

static bool denied(void)
{
    if (asking_for_stack) return false;
    if (atomic_load_explicit(&trap.out_of_memory, memory_order_relaxed)) {
        errno = ENOMEM;
        return true;
    }
    if (!hits('m')) return false;
    if (!strcmp(trap.action, "nomem-all")) atomic_store(&trap.out_of_memory, true);
    if (strncmp(trap.action, "nomem", 5) != 0) {
        act();
        return false;
    }
    errno = ENOMEM;
    return true;
}

TRAP void *malloc(size_t size)
{
    REAL(malloc)
    return denied() ? NULL : found_malloc(size);
}

TRAP void *calloc(size_t count, size_t size)
{
    static __thread bool inside; /* dlsym may want some, and can do without */
    if (inside) return NULL;
    inside = true;
    REAL(calloc)
    inside = false;
    return denied() ? NULL : found_calloc(count, size);
}

TRAP void *realloc(void *old, size_t size)
{
    REAL(realloc)
    bool spared = trap.armed && strchr(trap.events, 'm') && is_libuv(__builtin_return_address(0));
    return !spared && denied() ? NULL : found_realloc(old, size);
}

/* ---- waiting ------------------------------------------------------------------------------------- */

static int poll_here(struct pollfd *fds, nfds_t count, int timeout)
{
    REAL(poll)
    static __thread int first_thread = -1;
    if (first_thread < 0) first_thread = getpid() == syscall(SYS_gettid);
    struct trap_page *page = trap.page;
    atomic_int *asleep = NULL;
    for (int rank = 0; first_thread && timeout && rank < TRAP_RANKS; rank++)
        if (page->ranks[rank].pid == getpid()) asleep = &page->ranks[rank].asleep;
    if (first_thread && timeout) on_call('p');
    if (asleep) atomic_store(asleep, 1);
    int result = found_poll(fds, count, timeout);
    if (asleep) atomic_store(asleep, 0);
    return result;
}

TRAP int poll(struct pollfd *fds, nfds_t count, int timeout);
TRAP int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return poll_here(fds, count, timeout);
}

TRAP int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
TRAP int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    (void) size;
    return poll_here(fds, count, timeout);
}

/* ---- sockets ------------------------------------------------------------------------------------- */

/* 0: not a socket. */
static int domain_of(int fd)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 ? domain : 0;
}

static bool is_socket(int fd)
{
    return domain_of(fd) != 0;
}

static bool is_tcp(int fd)
{
    int domain = domain_of(fd);
    return domain == AF_INET || domain == AF_INET6;
}

static bool is_cut(void)
{
    return !strcmp(trap.action, "cut");
}

static void cut(int fd)
{
    trap.cut_fd = fd;
    shutdown(fd, SHUT_RDWR);
}

TRAP int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    REAL(connect)
    on_call('c');
    return found_connect(fd, address, size);
}

TRAP int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
    REAL(accept4)
    int result = found_accept4(fd, address, size, flags);
    if (result >= 0) on_call('a');
    return result;
}

TRAP ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    REAL(send)
    bool hit = hits(is_tcp(fd) ? 's' : 'u');
    if (hit && !is_cut()) act();
    ssize_t n = found_send(fd, bytes, hit && is_cut() ? length / 2 : length, flags);
    if (hit && is_cut()) cut(fd);
    return n;
}

TRAP ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg)
    struct iovec half[2];
    struct msghdr copy_of = *message;
    bool hit = hits(is_tcp(fd) ? 's' : 'u');
    if (hit && !is_cut()) act();
    if (hit && is_cut()) { /* of the last of the first two parts, so half a payload if there is one */
        copy_of.msg_iovlen = message->msg_iovlen < 2 ? message->msg_iovlen : 2;
        copy_of.msg_iov = half;
        memcpy(half, message->msg_iov, copy_of.msg_iovlen * sizeof *half);
        half[copy_of.msg_iovlen - 1].iov_len /= 2;
    }
    ssize_t n = found_sendmsg(fd, &copy_of, flags);
    if (hit && is_cut()) cut(fd);
    return n;
}

TRAP ssize_t write(int fd, const void *bytes, size_t length)
{
    REAL(write)
    bool hit =
        trap.armed && (!is_cut() || is_socket(fd)) && hits('u'); /* half a write to a pipe of libuv means nothing */
    if (hit && !is_cut()) act();
    ssize_t n = found_write(fd, bytes, hit && is_cut() ? length / 2 : length);
    if (hit && is_cut()) cut(fd);
    return n;
}

/* A receive that finds something is one that counts. */
static bool receive_hits(int fd)
{
    char byte;
    if (!trap.armed || !strchr(trap.events, 'r') || !is_tcp(fd)) return false;
    return syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) > 0 && hits('r');
}

TRAP ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
    REAL(recv)
    if (trap.cut_fd >= 0 && fd == trap.cut_fd) return 0;
    bool hit = receive_hits(fd);
    if (hit && !is_cut()) act();
    if (hit && is_cut()) length = length > 20 ? 20 : length; /* half a header, or part of a payload */
    ssize_t n = found_recv(fd, bytes, length, flags);
    if (hit && is_cut()) cut(fd);
    return n;
}

TRAP ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg)
    if (trap.cut_fd >= 0 && fd == trap.cut_fd) return 0;
    bool hit = receive_hits(fd);
    if (hit && !is_cut()) act();
    struct msghdr copy_of = *message;
    struct iovec first = message->msg_iov[0];
    if (hit && is_cut()) {
        first.iov_len = first.iov_len > 20 ? first.iov_len / 2 : first.iov_len;
        copy_of.msg_iov = &first;
        copy_of.msg_iovlen = 1;
    }
    ssize_t n = found_recvmsg(fd, &copy_of, flags);
    if (hit && is_cut()) cut(fd);
    return n;
}
