/* place.c - a rank of a job in which something goes wrong at a place; tests/fault/matrix runs it.
 *
 *     place PLACE
 *
 * FAULT_VICTIM is the rank that it happens to, FAULT_NAME what (see trap.h; `finalize`: it calls ame_finalize instead). All
 * ranks get to the place, which is a call that needs the victim; there the trap of the victim springs. What the call
 * returned to each rank, when, and with which text is left in FAULT_PAGE. Further settings:
 *
 *     FAULT_EXIT=1      a rank whose call fails exits with 9 (7: out of memory), as a program does that gives up; else it
 *                       receives what the victim had sent before, talks to the others, finalizes and exits with 0
 *     FAULT_LATE=1      the others come to the place when the victim has gone
 *     FAULT_RELEASE=1   a second thread of each rank provides what the call waits for, as soon as page->go is set; without
 *                       it nothing but the fault ends a call that waits for a message
 *     FAULT_HOLD=1      the victim gets to the place when page->go is set: the others wait there until then
 *
 * Before the place the victim sends four messages to each of the others, which these must receive, two of them after it.
 */
#include <pthread.h>
#include <unistd.h>

#include "../job/check.h"
#include "trap.h"

/* LARGE: more than the kernel keeps for a connection, so that it cannot be sent without being received. */
enum { HELLO = 1, BEFORE = 2, WAITED = 3, AFTER = 4, LAST = 5, LARGE = 16 << 20, LONG = 600 << 10 };

static const size_t lengths[] = {8, 1000, 100000, 8};
enum { MESSAGES = sizeof lengths / sizeof *lengths };

static int tag_of(int message)
{
    return message == MESSAGES - 1 ? LAST : BEFORE;
}

static const char *place, *fault;
static int victim, other; /* another rank than the victim, that is the root where the victim is a leaf */
static struct trap_rank *mine;
static atomic_bool released;

static bool is_set(const char *name)
{
    return getenv(name) != NULL;
}

static bool at(const char *name)
{
    return !strcmp(place, name);
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

static bool go(void *unused)
{
    (void) unused;
    return trap_page()->go;
}

static bool may_release(void *unused)
{
    return released || (go(unused) && mine->state >= TRAP_IN_PLACE);
}

/* Of a rank that finalizes the note is enough: it tells so before its process ends. */
static bool victim_gone(void *pid)
{
    return trap_page()->died > 0 && (!strcmp(fault, "finalize") || is_gone(*(pid_t *) pid));
}

static void await(bool (*condition)(void *), void *arg)
{
    double start = trap_now();
    while (!condition(arg)) {
        CHECK(trap_now() - start < 30);
        usleep(500);
    }
}

/* ---- the job before ------------------------------------------------------------------------------ */

static pid_t get_acquainted(void)
{
    pid_t pid = getpid(), theirs = 0;
    for (int r = 0; r < check_size; r++)
        if (check_rank == victim ? r != victim : r == victim)
            CHECK_OK(ame_sendrecv(&pid, sizeof pid, r, HELLO, &theirs, sizeof theirs, r, HELLO, AME_COMM_WORLD, NULL));
    return theirs;
}

static void send_before(void)
{
    static unsigned char buf[100000];
    for (int r = 0; r < check_size; r++)
        for (int i = 0; i < MESSAGES; i++) {
            if (r == victim) continue;
            check_fill(buf, lengths[i], (uint64_t) (r * 10 + i));
            CHECK_OK(ame_send(buf, lengths[i], r, tag_of(i), AME_COMM_WORLD));
        }
}

static void receive_before(int from, int to)
{
    static unsigned char buf[100000];
    for (int i = from; i < to; i++) {
        ame_status status;
        CHECK_OK(ame_recv(buf, sizeof buf, victim, tag_of(i), AME_COMM_WORLD, &status));
        CHECK_EQUAL(status.length, lengths[i]);
        CHECK_FILLED(buf, lengths[i], (uint64_t) (check_rank * 10 + i));
    }
}

/* The survivors can still talk to each other, unless rank 0, which connects them, has gone. */
static void survivors_talk(void)
{
    for (int r = 0; victim != 0 && r < check_size; r++) {
        int got = -1;
        if (r == victim || r == check_rank) continue;
        CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), r, AFTER, &got, sizeof got, r, AFTER, AME_COMM_WORLD, NULL));
        CHECK_EQUAL(got, r);
    }
}

/* ---- messages ------------------------------------------------------------------------------------ */

static unsigned char large[LARGE];

static int wait_any(int source)
{
    static int values[3]; /* a receive is still posted when this returns */
    int index;
    ame_request *requests[3] = {AME_REQUEST_NULL};
    for (int i = 1; i < 3; i++) {
        int code = ame_irecv(&values[i], sizeof(int), source, WAITED + 100 * i, AME_COMM_WORLD, &requests[i]);
        if (code != AME_OK) return code;
    }
    return ame_waitany(3, requests, &index, NULL);
}

static int receive_large(int source)
{
    ame_status status;
    int code = ame_recv(large, LARGE, source, WAITED, AME_COMM_WORLD, &status);
    if (code == AME_OK) CHECK_FILLED(large, LARGE, (uint64_t) source);
    return code;
}

static int send_large(int dest)
{
    check_fill(large, LARGE, (uint64_t) check_rank);
    return ame_send(large, LARGE, dest, WAITED, AME_COMM_WORLD);
}

static int with_all(int (*each)(int))
{
    int code = AME_OK;
    for (int r = 0; r < check_size && code == AME_OK; r++)
        if (r != victim) code = each(r);
    return code;
}

static int message_place(void)
{
    ame_comm *world = AME_COMM_WORLD;
    ame_message *message;
    int value = 0, partner = check_rank == victim ? other : victim, code;
    if (at("recv")) return ame_recv(&value, sizeof value, partner, WAITED, world, NULL);
    if (at("any")) return ame_recv(&value, sizeof value, AME_ANY_SOURCE, AME_ANY_TAG, world, NULL);
    if (at("waitany")) return wait_any(partner);
    if (at("send")) return send_large(partner);
    if (at("ssend")) return ame_ssend(&value, sizeof value, partner, WAITED, world);
    if (at("probe")) return ame_probe(partner, WAITED, world, NULL);
    if (at("mprobe")) {
        code = ame_mprobe(partner, WAITED, world, &message, NULL);
        return code == AME_OK ? ame_mrecv(&value, sizeof value, &message, NULL) : code;
    }
    if (at("data-out")) return check_rank == victim ? with_all(send_large) : receive_large(victim);
    if (at("data-in")) return check_rank == victim ? with_all(receive_large) : send_large(victim);
    if (at("idle")) {
        double start = trap_now();
        bool until_ended = is_set("FAULT_EXIT") && strcmp(fault, "finalize") != 0;
        while (until_ended && !trap_page()->go && trap_now() - start < 60) value++;
        return check_rank == victim ? AME_OK : ame_recv(&value, sizeof value, victim, WAITED, world, NULL);
    }
    if (at("finalize"))
        return check_rank == victim ? ame_finalize() : ame_recv(&value, sizeof value, victim, WAITED, world, NULL);
    return ame_recv(&value, sizeof value, partner, WAITED, world, NULL); /* before, init */
}

/* What the calls above wait for. */
static void *release(void *unused)
{
    static unsigned char taken[LARGE];
    ame_comm *world = AME_COMM_WORLD;
    int code = AME_OK;
    await(may_release, NULL);
    for (int r = 0; !released && r < check_size; r++) {
        bool partner = check_rank == victim ? r != victim : check_rank == other && r == victim;
        if (!partner) continue;
        if (at("send") || at("ssend")) {
            code = ame_recv(taken, LARGE, r, WAITED, world, NULL);
        } else if (at("waitany")) {
            for (int i = 1; i < 3; i++) code = ame_send(&r, sizeof r, r, WAITED + 100 * i, world);
        } else if (strncmp(place, "data", 4) != 0) {
            code = ame_send(&r, sizeof r, r, WAITED, world);
        }
        if (code != AME_OK) fprintf(stderr, "place: release: %s: %s\n", ame_errname(code), ame_last_error());
    }
    return unused;
}

/* ---- collective calls ---------------------------------------------------------------------------- */

/* `length`: bytes per rank. */
static int call(const char *name, size_t length, ame_request **request)
{
    static int64_t in[TRAP_RANKS * LONG / 8], out[TRAP_RANKS * LONG / 8];
    ame_comm *world = AME_COMM_WORLD;
    size_t count = length / 8;
#define CALL(function, ...) (request ? ame_i##function(__VA_ARGS__, request) : ame_##function(__VA_ARGS__))
    if (!strcmp(name, "barrier")) return request ? ame_ibarrier(world, request) : ame_barrier(world);
    if (!strcmp(name, "bcast")) return CALL(bcast, in, length, victim, world);
    if (!strcmp(name, "gather")) return CALL(gather, in, length, out, other, world);
    if (!strcmp(name, "scatter")) return CALL(scatter, in, out, length, victim, world);
    if (!strcmp(name, "allgather")) return CALL(allgather, in, length, out, world);
    if (!strcmp(name, "alltoall")) return CALL(alltoall, in, length, out, world);
    if (!strcmp(name, "reduce")) return CALL(reduce, in, out, count, AME_INT64, AME_SUM, other, world);
    if (!strcmp(name, "allreduce")) return CALL(allreduce, in, out, count, AME_INT64, AME_SUM, world);
    if (!strcmp(name, "scan")) return CALL(scan, in, out, count, AME_INT64, AME_SUM, world);
    CHECK(!"a place");
    return AME_OK;
}

/* NAME, iNAME, NAME-long */
static int collective_place(void)
{
    char name[32];
    ame_request *request = AME_REQUEST_NULL;
    bool started = place[0] == 'i';
    snprintf(name, sizeof name, "%s", place + started);
    char *dash = strchr(name, '-');
    if (dash) *dash = '\0';
    int code = call(name, dash ? LONG : 16, started ? &request : NULL);
    return started && code == AME_OK ? ame_wait(&request, NULL) : code;
}

static int in_place(void)
{
    static const char *const with_messages[] = {"before",  "init",  "recv",    "any",    "waitany",
                                                "send",    "ssend", "probe",   "mprobe", "data-out",
                                                "data-in", "idle",  "finalize"};
    for (size_t i = 0; i < sizeof with_messages / sizeof *with_messages; i++)
        if (at(with_messages[i])) return message_place();
    return collective_place();
}

/* ---- a rank's life ------------------------------------------------------------------------------- */

static int note(int code)
{
    mine->returned = trap_now();
    if (code != AME_OK) snprintf(mine->text, sizeof mine->text, "%s", ame_last_error());
    mine->code = code;
    mine->state = TRAP_RETURNED;
    return code;
}

static int exit_code(int code)
{
    if (code == AME_OK) return 0;
    fprintf(stderr, "place: %s: %s\n", ame_errname(code), mine->text);
    return code == AME_E_NOMEM ? 7 : 9;
}

static void finalize_instead(void)
{
    trap_fire(); /* notes the time */
    (void) ame_finalize();
    exit(0);
}

static int go_through_place(pid_t pid)
{
    bool is_victim = check_rank == victim, instead = is_victim && !strcmp(fault, "finalize");
    if (is_victim && is_set("FAULT_HOLD")) await(go, NULL);
    if (!is_victim && is_set("FAULT_LATE")) await(victim_gone, &pid);
    mine->called = trap_now();
    trap_arm(check_rank);
    mine->state = TRAP_IN_PLACE;
    if (instead && !at("finalize")) finalize_instead();
    if (is_victim && (at("idle") || is_set("FAULT_LATE"))) {
        trap_fire();
        trap_cut_now();
    }
    if (instead) trap_fire();
    int code = in_place();
    if (is_victim) trap_fire(); /* at the latest */
    trap_disarm();
    return note(code);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    const char *rank = getenv("PMI_RANK"), *number = getenv("FAULT_VICTIM");
    fault = getenv("FAULT_NAME");
    CHECK(argc == 2 && rank && number && fault);
    place = argv[1];
    victim = atoi(number);
    other = victim == 0 ? 1 : 0;
    mine = &trap_page()->ranks[atoi(rank)];
    mine->pid = getpid();
    mine->called = trap_now();
    bool is_victim = atoi(rank) == victim, early = at("before") || at("init");
    if (is_victim && at("before")) {
        if (is_set("FAULT_HOLD")) await(go, NULL);
        if (!strcmp(fault, "finalize")) finalize_instead();
        trap_arm(victim);
        trap_fire();
    }
    int begun = ame_init();
    if (begun != AME_OK) return exit_code(note(begun));
    check_rank = ame_comm_rank(AME_COMM_WORLD);
    check_size = ame_comm_size(AME_COMM_WORLD);
    if (is_victim && early) trap_fire(); /* at the latest */
    if (is_victim && early && !strcmp(fault, "finalize")) finalize_instead();
    /* At `finalize` nothing is to be released, and no thread may call while its rank finalizes. */
    bool wanted = is_set("FAULT_RELEASE") && !at("finalize");
    bool release_thread = wanted && pthread_create(&thread, NULL, release, NULL) == 0;
    pid_t pid = early ? 0 : get_acquainted();
    if (is_victim && !early) send_before();
    if (!is_victim && !early) receive_before(0, at("any") ? MESSAGES : MESSAGES / 2);
    /* All has arrived; else the kernel would throw away what has not, when the victim dies with something unread. */
    if (!is_victim && !early && !at("any") && !is_set("FAULT_LATE"))
        CHECK_OK(ame_probe(victim, LAST, AME_COMM_WORLD, NULL));
    mine->state = TRAP_JOINED;
    int code = go_through_place(pid);
    bool victim_is_gone = strncmp(fault, "nomem", 5) != 0 && strcmp(fault, "stop") != 0;
    bool over = code != AME_OK && (is_victim || is_set("FAULT_EXIT"));
    if (!over && !is_victim && !early && strcmp(fault, "cut") != 0) {
        receive_before(at("any") ? MESSAGES : MESSAGES / 2, MESSAGES);
        if (victim_is_gone && !is_set("FAULT_EXIT")) survivors_talk();
    }
    released = code != AME_OK;
    if (release_thread && over) pthread_detach(thread); /* its call may last until the process ends */
    if (release_thread && !over) pthread_join(thread, NULL);
    if (over) return exit_code(code);
    int end = at("finalize") && is_victim ? AME_OK : ame_finalize(); /* may report the loss again */
    mine->state = TRAP_ENDED;
    return code == AME_OK && end == AME_E_NOMEM ? exit_code(note(end)) : 0;
}
