#include "state.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vars.h"

enum {
    PAGE = 4096,
    MAGIC = 0x316d4153, /* also the version of struct ame__report */
    TRIES = 1000        /* to read; a rank that died while it wrote leaves an odd number for ever */
};

struct ame__state {
    uint32_t magic;
    int32_t rank;
    atomic_uint sequence;
    struct ame__report report;
};

_Static_assert(sizeof(struct ame__state) <= PAGE, "fits into a page");

static struct ame__state *own; /* a process is one rank */

static struct ame__state *map(int fd)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

struct ame__state *ame__state_create(int rank, int *fd)
{
    int low = memfd_create("ame-state", MFD_CLOEXEC);
    *fd = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 5);
    if (low >= 0) close(low);
    struct ame__state *state = *fd >= 0 && ftruncate(*fd, PAGE) == 0 ? map(*fd) : NULL;
    if (state) {
        state->magic = MAGIC;
        state->rank = rank;
        return state;
    }
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return NULL;
}

bool ame__state_read(const struct ame__state *state, struct ame__report *report)
{
    if (!state || state->magic != MAGIC) return false;
    for (int tries = 0; tries < TRIES; tries++) {
        unsigned before = atomic_load_explicit(&state->sequence, memory_order_acquire);
        *report = state->report;
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&state->sequence, memory_order_relaxed) == before) break;
    }
    report->call[AME__CALL_MAX - 1] = '\0';
    for (char *at = report->call; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?';
    if (report->doing >= AME__DOING_COUNT) report->doing = AME__DOING_NOTHING;
    if (report->kind >= AME__WAIT_KINDS) report->kind = AME__WAIT_OTHER;
    return true;
}

void ame__state_destroy(struct ame__state *state)
{
    if (state) munmap(state, PAGE);
}

void ame__state_attach(int rank)
{
    double number;
    struct stat info;
    if (own || !ame__var_is_set(AME__VAR_STATE_FD) || ame__var_number(AME__VAR_STATE_FD, &number)) return;
    int fd = (int) number;
    /* The variable reaches subprocesses of a rank, too, the descriptor does not: it may be anything there. */
    if (fcntl(fd, F_GETFD) < 0 || (fcntl(fd, F_GET_SEALS) & ~F_SEAL_SEAL) || fstat(fd, &info) || info.st_size != PAGE)
        return;
    struct ame__state *state = map(fd);
    if (!state) return;
    if (state->magic != MAGIC || state->rank != rank) {
        munmap(state, PAGE);
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    own = state;
}

void ame__state_detach(void)
{
    ame__state_destroy(own);
    own = NULL;
}

bool ame__state_attached(void)
{
    return own != NULL;
}

void ame__state_write(const struct ame__report *report)
{
    if (!own) return;
    unsigned sequence = atomic_load_explicit(&own->sequence, memory_order_relaxed) | 1;
    atomic_store_explicit(&own->sequence, sequence, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    own->report = *report;
    atomic_store_explicit(&own->sequence, sequence + 1, memory_order_release);
}
