/* soak.c - everything at once for a long time: messages and collective calls of random kinds and sizes on communicators that
 * come and go, from several threads of each rank, all checked by their contents.
 *
 * usage: soak SECONDS SEED [THREADS]      (tests/soak/run starts it)
 *
 * Thread t of a rank talks to thread t of the others. All ranks draw the same random numbers for it, so that each knows what
 * it has to send and to expect, and the seed makes the same plan again. At the end of the warm-up (a quarter of the time) and
 * at the end of all, at moments at which nothing is under way, each rank counts its memory, descriptors and threads: none may
 * have grown.
 */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>

#include "../job/check.h"

enum { COMMS = 5, BATCH = 12, THREADS_MAX = 8, LONGEST = 4 << 20, GROWTH_KB = 2 << 10, TURNS_AT_ONCE = 16 };

struct soak {
    ame_comm *comms[COMMS]; /* the first one stays */
    uint64_t plan, turn;    /* random numbers that all ranks share */
    pthread_t thread;
};

struct message {
    int from, to, tag, way;
    size_t length;
    ame_comm *comm;
    unsigned char *in, *out;
};

struct use {
    long memory, descriptors, threads;
};

static pthread_barrier_t quiet;
static double started_at, seconds;
static struct use before;

static size_t below(struct soak *soak, size_t limit)
{
    return (size_t) (check_random(&soak->plan) % limit);
}

static size_t random_length(struct soak *soak)
{
    switch (below(soak, 40)) {
    case 0: return below(soak, LONGEST);
    case 1: return 262144 - 4 + below(soak, 8); /* around the eager limit */
    case 2:
    case 3: return 0;
    case 4:
    case 5:
    case 6:
    case 7: return below(soak, 200000);
    default: return below(soak, 3000);
    }
}

/* ---- messages ------------------------------------------------------------------------------------ */

enum { POSTED, PROBED, TAKEN, ALLOCATED, WAYS };

static struct message draw_message(struct soak *soak, uint64_t number)
{
    struct message message = {.tag = (int) (number % 1000000000)};
    message.comm = soak->comms[below(soak, COMMS)];
    int size = message.comm ? ame_comm_size(message.comm) : 1;
    /* the group of a communicator made by split differs between ranks: its first ranks are in all */
    message.from = (int) below(soak, 64) % size;
    message.to = (int) below(soak, 64) % size;
    message.way = (int) below(soak, WAYS);
    message.length = random_length(soak);
    return message;
}

static void receive(const struct message *message, uint64_t seed)
{
    ame_status status;
    ame_message *taken;
    void *data = NULL;
    size_t length = 0;
    int source = seed % 3 ? message->from : AME_ANY_SOURCE;
    if (message->way == ALLOCATED) {
        CHECK_OK(ame_recv_alloc(&data, &length, source, message->tag, message->comm, &status));
        CHECK_EQUAL(length, message->length);
    } else {
        if (message->way == PROBED)
            CHECK_OK(ame_probe(source, message->tag, message->comm, &status));
        else
            CHECK_OK(ame_mprobe(source, message->tag, message->comm, &taken, &status));
        CHECK_EQUAL(status.length, message->length);
        data = check_alloc(message->length);
        if (message->way == PROBED)
            CHECK_OK(ame_recv(data, message->length, message->from, message->tag, message->comm, &status));
        else
            CHECK_OK(ame_mrecv(data, message->length, &taken, &status));
    }
    CHECK_EQUAL(status.source, message->from);
    CHECK_EQUAL(status.length, message->length);
    CHECK_FILLED(data, message->length, seed);
    free(data);
}

static void cancel_one(ame_comm *comm, int tag)
{
    char byte;
    ame_status status;
    ame_request *request;
    CHECK_OK(ame_irecv(&byte, 1, AME_ANY_SOURCE, AME_TAG_MAX - tag, comm, &request));
    CHECK_OK(ame_cancel(request));
    CHECK_OK(ame_wait(&request, &status));
    CHECK(status.cancelled);
}

/* Random messages at the same time: receives that are posted first, all sends, then receives that look first. */
static void exchange(struct soak *soak)
{
    struct message all[BATCH];
    ame_request *requests[2 * BATCH];
    size_t count = 0;
    int n = 1 + (int) below(soak, BATCH);
    for (int i = 0; i < n; i++) all[i] = draw_message(soak, soak->turn * BATCH + (uint64_t) i);
    for (int i = 0; i < n; i++) {
        struct message *message = &all[i];
        if (!message->comm || ame_comm_rank(message->comm) != message->to || message->way != POSTED) continue;
        message->in = check_alloc(message->length);
        CHECK_OK(ame_irecv(message->in, message->length, i % 2 ? message->from : AME_ANY_SOURCE, message->tag,
                           message->comm, &requests[count++]));
    }
    for (int i = 0; i < n; i++) {
        struct message *message = &all[i];
        uint64_t seed = soak->turn * BATCH + (uint64_t) i;
        if (!message->comm || ame_comm_rank(message->comm) != message->from) continue;
        message->out = check_alloc(message->length);
        check_fill(message->out, message->length, seed);
        CHECK_OK((i % 5 ? ame_isend : ame_issend)(message->out, message->length, message->to, message->tag,
                                                  message->comm, &requests[count++]));
    }
    for (int i = 0; i < n; i++)
        if (all[i].comm && ame_comm_rank(all[i].comm) == all[i].to && all[i].way != POSTED)
            receive(&all[i], soak->turn * BATCH + (uint64_t) i);
    if (below(soak, 4) == 0) cancel_one(soak->comms[0], (int) (soak->turn % 1000));
    CHECK_OK(ame_waitall(count, requests, AME_STATUSES_IGNORE));
    for (int i = 0; i < n; i++) {
        if (all[i].in) CHECK_FILLED(all[i].in, all[i].length, soak->turn * BATCH + (uint64_t) i);
        free(all[i].in);
        free(all[i].out);
    }
}

/* ---- collective calls ---------------------------------------------------------------------------- */

static void finish(int code, ame_request **request, bool started)
{
    CHECK_OK(code);
    if (started) CHECK_OK(ame_wait(request, AME_STATUS_IGNORE));
}

/* CALL(reduce, arguments): blocking or not, as drawn. */
#define CALL(name, ...)                                                                                                \
    finish(start ? ame_i##name(__VA_ARGS__, comm, &request) : ame_##name(__VA_ARGS__, comm), &request, start)

static void moving(struct soak *soak, ame_comm *comm, int kind, size_t length, int root, bool start)
{
    ame_request *request = AME_REQUEST_NULL;
    int rank = ame_comm_rank(comm), size = ame_comm_size(comm);
    uint64_t seed = soak->turn * 1000;
    unsigned char *one = check_alloc(length * (size_t) size), *all = check_alloc(length * (size_t) size);
    switch (kind) {
    case 0:
        if (rank == root) check_fill(one, length, seed);
        CALL(bcast, one, length, root);
        CHECK_FILLED(one, length, seed);
        break;
    case 1:
    case 2:
        check_fill(one, length, seed + (uint64_t) rank);
        if (kind == 1)
            CALL(gather, one, length, all, root);
        else
            CALL(allgather, one, length, all);
        for (int r = 0; (kind == 2 || rank == root) && r < size; r++)
            CHECK_FILLED(all + (size_t) r * length, length, seed + (uint64_t) r);
        break;
    case 3:
        for (int r = 0; rank == root && r < size; r++)
            check_fill(all + (size_t) r * length, length, seed + (uint64_t) r);
        CALL(scatter, all, one, length, root);
        CHECK_FILLED(one, length, seed + (uint64_t) rank);
        break;
    default:
        for (int r = 0; r < size; r++)
            check_fill(one + (size_t) r * length, length, seed + (uint64_t) (rank * size + r));
        CALL(alltoall, one, length, all);
        for (int r = 0; r < size; r++)
            CHECK_FILLED(all + (size_t) r * length, length, seed + (uint64_t) (r * size + rank));
    }
    free(one);
    free(all);
}

static void reducing(struct soak *soak, ame_comm *comm, int kind, size_t count, int root, bool start)
{
    ame_request *request = AME_REQUEST_NULL;
    int rank = ame_comm_rank(comm), size = ame_comm_size(comm);
    int64_t *in = check_alloc(count * sizeof *in), *out = check_alloc(count * sizeof *out);
    int64_t base = (int64_t) soak->turn, terms = kind == 2 ? rank + 1 : size;
    for (size_t i = 0; i < count; i++) in[i] = base + rank + (int64_t) i;
    if (kind == 0)
        CALL(reduce, in, out, count, AME_INT64, AME_SUM, root);
    else if (kind == 1)
        CALL(allreduce, in, out, count, AME_INT64, AME_SUM);
    else
        CALL(scan, in, out, count, AME_INT64, AME_SUM);
    for (size_t i = 0; (kind > 0 || rank == root) && i < count; i++)
        CHECK_EQUAL(out[i], terms * (base + (int64_t) i) + terms * (terms - 1) / 2);
    free(in);
    free(out);
}

static void collective(struct soak *soak)
{
    ame_comm *comm = soak->comms[below(soak, COMMS)];
    int kind = (int) below(soak, 9), root = (int) below(soak, 64);
    size_t length = random_length(soak) / 8;
    bool start = below(soak, 2);
    ame_request *request = AME_REQUEST_NULL;
    if (!comm) return;
    root %= ame_comm_size(comm);
    if (kind < 5)
        moving(soak, comm, kind, length, root, start);
    else if (kind < 8)
        reducing(soak, comm, kind - 5, length / 8, root, start);
    else
        finish(start ? ame_ibarrier(comm, &request) : ame_barrier(comm), &request, start);
}

/* ---- communicators ------------------------------------------------------------------------------- */

static void renew(struct soak *soak)
{
    size_t slot = 1 + below(soak, COMMS - 1);
    int parts = 1 + (int) below(soak, 3), kind = (int) below(soak, 3), turned = (int) below(soak, 100);
    ame_comm **comm = &soak->comms[slot];
    if (*comm) CHECK_OK(ame_comm_free(comm));
    if (kind == 0)
        CHECK_OK(ame_comm_dup(soak->comms[0], comm));
    else if (kind == 1)
        CHECK_OK(ame_comm_split(soak->comms[0], 0, (check_rank * 7 + turned) % check_size, comm));
    else
        CHECK_OK(ame_comm_split(soak->comms[0], check_rank % parts == 2 ? AME_UNDEFINED : check_rank % parts,
                                -check_rank, comm));
}

/* ---- what is used -------------------------------------------------------------------------------- */

static long entries(const char *folder)
{
    long count = 0;
    DIR *dir = opendir(folder);
    CHECK(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static struct use used(void)
{
    struct use use = {.descriptors = entries("/proc/self/fd"), .threads = entries("/proc/self/task")};
    char line[128];
    malloc_trim(0);
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "VmRSS:", 6)) use.memory = atol(line + 6);
    fclose(file);
    return use;
}

/* All threads of all ranks come here at the same turn of theirs; nothing is under way then. */
static void count_use(struct soak *soak, bool last)
{
    for (int i = 1; i < COMMS; i++)
        if (soak->comms[i]) CHECK_OK(ame_comm_free(&soak->comms[i]));
    CHECK_OK(ame_barrier(soak->comms[0]));
    if (pthread_barrier_wait(&quiet) == PTHREAD_BARRIER_SERIAL_THREAD) {
        CHECK_OK(ame_barrier(AME_COMM_WORLD));
        struct use now = used();
        if (!last) {
            before = now;
        } else {
            printf("rank %d: memory %ld to %ld KiB, descriptors %ld to %ld, threads %ld to %ld\n", check_rank,
                   before.memory, now.memory, before.descriptors, now.descriptors, before.threads, now.threads);
            fflush(stdout);
            CHECK_SAY(getenv("SOAK_ANY_MEMORY") || now.memory - before.memory < GROWTH_KB,
                      "memory grew from %ld to %ld KiB", before.memory, now.memory);
            CHECK_EQUAL(now.descriptors, before.descriptors);
            CHECK_EQUAL(now.threads, before.threads);
        }
        CHECK_OK(ame_barrier(AME_COMM_WORLD));
    }
    pthread_barrier_wait(&quiet);
}

static void *soak_thread(void *arg)
{
    struct soak *soak = arg;
    bool warm = false;
    for (int go = 1; go; soak->turn++) {
        size_t what = below(soak, 20);
        if (what == 0)
            renew(soak);
        else if (what < 11)
            exchange(soak);
        else
            collective(soak);
        if (soak->turn % TURNS_AT_ONCE) continue;
        double passed = ame_wtime() - started_at;
        int phase = passed < seconds / 4 ? 0 : passed < seconds ? 1 : 2;
        CHECK_OK(ame_bcast(&phase, sizeof phase, 0, soak->comms[0]));
        if (phase > 0 && !warm) count_use(soak, false);
        warm = warm || phase > 0;
        go = phase < 2;
    }
    count_use(soak, true);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct soak soaks[THREADS_MAX];
    seconds = argc > 1 ? strtod(argv[1], NULL) : 10;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int threads = argc > 3 ? atoi(argv[3]) : 2;
    check_begin();
    CHECK(threads >= 1 && threads <= THREADS_MAX && seconds > 0);
    if (check_rank == 0)
        printf("soak: %d ranks, %d threads each, %g s, seed %llu\n", check_size, threads, seconds,
               (unsigned long long) seed);
    fflush(stdout);
    mallopt(M_MMAP_THRESHOLD, 64 << 10); /* what is freed is given back, so that growth is growth */
    CHECK(pthread_barrier_init(&quiet, NULL, (unsigned) threads) == 0);
    for (int t = 0; t < threads; t++) {
        CHECK_OK(ame_comm_dup(AME_COMM_WORLD, &soaks[t].comms[0]));
        soaks[t].plan = check_mix(seed * THREADS_MAX + (uint64_t) t);
    }
    started_at = ame_wtime();
    for (int t = 0; t < threads; t++) CHECK(pthread_create(&soaks[t].thread, NULL, soak_thread, &soaks[t]) == 0);
    uint64_t turns = 0;
    for (int t = 0; t < threads; t++) {
        CHECK(pthread_join(soaks[t].thread, NULL) == 0);
        turns += soaks[t].turn;
        CHECK_OK(ame_comm_free(&soaks[t].comms[0]));
    }
    if (check_rank == 0) printf("soak: %llu turns\n", (unsigned long long) turns);
    return check_end();
}
