/* peer.c - one rank ends in some way while the others wait for it.
 *
 *     peer WAIT DEATH VICTIM MODE
 *
 * WAIT    what the others do: recv, any, waitany, send, ssend, probe, mprobe, barrier, bcast, gather, scatter,
 * allgather, allreduce, or idle (compute, without any call) DEATH   what the victim does: exit0, exit3, kill, segv,
 * finalize (then exit 0), finalize1 (then exit 1) MODE    waiting: the others already wait when it happens; late: they
 * begin after it has happened
 *
 * Before it ends the victim sends four messages to each of the others, which these must still receive. FAULT_PAGE names
 * a file in which the victim leaves the time of its end. Each other rank prints one line, "RANK CODE SECONDS TEXT":
 * what its call returned, and how long after the end of the victim (or after the begin of the call). It ends with 0 if
 * it received all and could go on talking to the other survivors, and with 9 if FAULT_EXIT is set.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../job/check.h"

enum { HELLO = 1, BEFORE = 2, WAITED = 3, AFTER = 4, LARGE = 8 << 20 };

static const size_t lengths[] = {8, 1000, 100000, 8};
static int victim, root;
static double *died_at;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

static void map_page(void)
{
    static double none;
    const char *name = getenv("FAULT_PAGE");
    died_at = &none;
    if (!name) return;
    int fd = open(name, O_RDWR);
    CHECK(fd >= 0);
    died_at = mmap(NULL, sizeof *died_at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(died_at != MAP_FAILED);
    close(fd);
}

static void die(const char *how)
{
    *died_at = now();
    if (!strcmp(how, "exit0")) exit(0);
    if (!strcmp(how, "exit3")) exit(3);
    if (!strcmp(how, "kill")) raise(SIGKILL);
    if (!strcmp(how, "segv")) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has a handler */
        raise(SIGSEGV);
    }
    if (!strncmp(how, "finalize", 8)) {
        ame_finalize(); /* rank 0 is still needed by the others, and returns when they have left */
        exit(how[8] == '1');
    }
    CHECK(!"a way to end");
}

/* A handshake with everybody, so that all links are there, then what is to be delivered. */
static void victim_sends(void)
{
    static unsigned char buf[100000];
    for (int r = 0; r < check_size; r++) {
        pid_t pid = getpid();
        if (r == victim) continue;
        CHECK_OK(ame_sendrecv(&pid, sizeof pid, r, HELLO, NULL, 0, r, HELLO, AME_COMM_WORLD, NULL));
    }
    for (int r = 0; r < check_size; r++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            if (r == victim) continue;
            check_fill(buf, lengths[i], (uint64_t) r * 10 + i);
            CHECK_OK(ame_send(buf, lengths[i], r, BEFORE, AME_COMM_WORLD));
        }
}

static void others_receive(void)
{
    static unsigned char buf[100000];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        ame_status status;
        CHECK_OK(ame_recv(buf, sizeof buf, victim, BEFORE, AME_COMM_WORLD, &status));
        CHECK_EQUAL(status.length, lengths[i]);
        CHECK_FILLED(buf, lengths[i], (uint64_t) check_rank * 10 + i);
    }
}

/* Is the process gone, or a zombie? */
static bool is_gone(pid_t pid)
{
    char name[64], line[512] = "";
    snprintf(name, sizeof name, "/proc/%ld/stat", (long) pid);
    FILE *file = fopen(name, "r");
    if (!file) return true;
    if (!fgets(line, sizeof line, file)) line[0] = '\0';
    fclose(file);
    const char *end = strrchr(line, ')');
    return !end || end[2] == 'Z' || end[2] == 'X';
}

/* A rank that finalizes tells so before its process ends (rank 0 even waits for us): for it the note is enough. */
static void await_death(pid_t pid, bool finalizes)
{
    double start = now();
    while (!(finalizes ? *died_at > 0 : is_gone(pid)) && now() - start < 5) usleep(1000);
    CHECK(now() - start < 5);
}

static int wait_any(void)
{
    int values[3], index;
    ame_request *requests[3] = {AME_REQUEST_NULL};
    for (int i = 1; i < 3; i++) {
        int code = ame_irecv(&values[i], sizeof(int), victim, WAITED + 100 * i, AME_COMM_WORLD, &requests[i]);
        if (code != AME_OK) return code;
    }
    return ame_waitany(3, requests, &index, NULL);
}

static int wait_for_victim(const char *how)
{
    static unsigned char large[LARGE];
    static int all[1024];
    int value = 0, sum;
    ame_message *message;
    ame_comm *world = AME_COMM_WORLD;
    CHECK(check_size <= 1024);
    if (!strcmp(how, "recv")) return ame_recv(&value, sizeof value, victim, WAITED, world, NULL);
    if (!strcmp(how, "any")) return ame_recv(&value, sizeof value, AME_ANY_SOURCE, AME_ANY_TAG, world, NULL);
    if (!strcmp(how, "waitany")) return wait_any();
    if (!strcmp(how, "send")) return ame_send(large, sizeof large, victim, WAITED, world);
    if (!strcmp(how, "ssend")) return ame_ssend(&value, sizeof value, victim, WAITED, world);
    if (!strcmp(how, "probe")) return ame_probe(victim, WAITED, world, NULL);
    if (!strcmp(how, "mprobe")) return ame_mprobe(victim, AME_ANY_TAG, world, &message, NULL);
    if (!strcmp(how, "barrier")) return ame_barrier(world);
    if (!strcmp(how, "bcast")) return ame_bcast(&value, sizeof value, victim, world);
    if (!strcmp(how, "gather")) return ame_gather(&value, sizeof value, all, root, world);
    if (!strcmp(how, "scatter")) return ame_scatter(all, &value, sizeof value, victim, world);
    if (!strcmp(how, "allgather")) return ame_allgather(&value, sizeof value, all, world);
    if (!strcmp(how, "allreduce")) return ame_allreduce(&value, &sum, 1, AME_INT32, AME_SUM, world);
    if (!strcmp(how, "idle")) {
        for (double start = now(); now() - start < 60;) sum = check_size;
        return AME_OK;
    }
    CHECK(!"a way to wait");
    return AME_OK;
}

/* The survivors can still talk to each other, unless rank 0, which connects them, has gone. */
static void survivors_talk(void)
{
    for (int r = 0; r < check_size; r++) {
        int got = -1;
        if (victim == 0 || r == victim || r == check_rank) continue;
        CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), r, AFTER, &got, sizeof got, r, AFTER, AME_COMM_WORLD, NULL));
        CHECK_EQUAL(got, r);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    const char *how = argv[1], *death = argv[2];
    bool late = !strcmp(argv[4], "late");
    map_page();
    check_begin();
    victim = atoi(argv[3]);
    root = victim == 0 ? 1 : 0;
    if (check_rank == victim) {
        victim_sends();
        if (!late) usleep(100000); /* the others get into their calls; whether all do does not matter */
        die(death);
    }
    pid_t pid;
    CHECK_OK(ame_sendrecv(NULL, 0, victim, HELLO, &pid, sizeof pid, victim, HELLO, AME_COMM_WORLD, NULL));
    if (late) await_death(pid, !strncmp(death, "finalize", 8));
    others_receive();
    double start = now();
    int code = wait_for_victim(how);
    double end = now(), begin = *died_at > start ? *died_at : start;
    printf("%d %s %.3f %s\n", check_rank, ame_errname(code), end - begin, code == AME_OK ? "" : ame_last_error());
    fflush(stdout);
    if (getenv("FAULT_EXIT")) {
        if (code != AME_OK) return 9;
        ame_finalize();
        return 0;
    }
    survivors_talk();
    ame_finalize(); /* may report the loss again; it must return */
    return 0;
}
