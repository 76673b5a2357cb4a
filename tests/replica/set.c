/* set.c - sets of replicas, with a kind whose right results rank 0 can compute by itself
 *
 *     set same       many runs with changing parameters; once more with other options
 *     set save       a checkpoint in the middle, a second set goes on from it; files that are none
 *     set fail       a run in which a replica fails, one with a NaN, then the same run again
 *     set die RANK   that rank kills itself in the middle of a run (under ameexec)
 *     set mistakes   arguments that cannot be used
 */
#include <ame_pool.h>
#include <ame_replica.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ame_numeric.h>

#include "../job/check.h"

enum { COUNT = 13, CELLS = 40, RUNS = 23 };

enum mischief { NONE, FAILS, IS_NAN, DIES, SLOW };

struct parameters {
    uint64_t salt;
    int mischief, rank; /* who does it */
};
struct state {
    uint64_t cell[CELLS];
};
struct result {
    double number;
    uint64_t hash, step;
};

static int rank, size;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

static int start(const ame_replica *replica, void *arg)
{
    (void) arg;
    struct state *state = replica->state;
    for (uint64_t i = 0; i < CELLS; i++) state->cell[i] = mix(replica->seed + 1000 * replica->id + i);
    return 0;
}

static void move(const ame_replica *replica)
{
    const struct parameters *p = replica->parameters;
    struct state *state = replica->state;
    struct result *result = replica->result;
    for (uint64_t step = replica->first_step; step < replica->first_step + replica->steps; step++) {
        ame_philox r = ame_philox4x32((uint32_t) step, 0, 0, (uint32_t) replica->id, (uint32_t) replica->seed, 0);
        for (size_t i = 0; i < CELLS; i++)
            state->cell[i] = mix(state->cell[i] ^ r.a ^ p->salt) + state->cell[(i + 1) % CELLS];
    }
    for (size_t i = 0; i < CELLS; i++) result->hash = mix(result->hash ^ state->cell[i]);
    result->number = (double) (result->hash % 1000);
    result->step = replica->first_step + replica->steps;
}

static int run(const ame_replica *replicas, size_t count, void *arg)
{
    (void) arg;
    for (size_t i = 0; i < count; i++) {
        const struct parameters *p = replicas[i].parameters;
        CHECK(((uintptr_t) replicas[i].state | (uintptr_t) replicas[i].result | (uintptr_t) p) % 64 == 0);
        CHECK(((struct result *) replicas[i].result)->hash == 0);
        if (p->mischief == FAILS) return 7;
        if (p->mischief == DIES && p->rank == rank) raise(SIGKILL);
        move(&replicas[i]);
        if (p->mischief == IS_NAN) ((struct result *) replicas[i].result)->number = NAN;
    }
    return 0;
}

static const ame_replica_kind kind = {.name = "chain",
                                      .parameters_size = sizeof(struct parameters),
                                      .state_size = sizeof(struct state),
                                      .result_size = sizeof(struct result),
                                      .result_doubles = 1,
                                      .start = start,
                                      .run = run};

/* ---- what is right ---- */

struct right {
    struct state state[COUNT];
    uint64_t step;
};

static void right_start(struct right *right, uint64_t seed)
{
    right->step = 0;
    for (uint64_t id = 0; id < COUNT; id++)
        start(&(ame_replica){.id = id, .seed = seed, .state = &right->state[id]}, NULL);
}

static void right_run(struct right *right, uint64_t seed, uint64_t steps, const struct parameters *parameters,
                      struct result *results)
{
    memset(results, 0, COUNT * sizeof *results);
    for (uint64_t id = 0; id < COUNT; id++)
        move(&(ame_replica){.id = id,
                            .seed = seed,
                            .first_step = right->step,
                            .steps = steps,
                            .parameters = &parameters[id],
                            .state = &right->state[id],
                            .result = &results[id]});
    right->step += steps;
}

static void salt(struct parameters *parameters, uint64_t n)
{
    for (uint64_t id = 0; id < COUNT; id++) parameters[id] = (struct parameters){.salt = mix(n * COUNT + id)};
}

/* Runs number `first` to `last` - 1, each compared. */
static void compare(ame_replicas *set, struct right *right, uint64_t seed, uint64_t first, uint64_t last)
{
    struct parameters parameters[COUNT];
    struct result results[COUNT], good[COUNT];
    for (uint64_t n = first; n < last; n++) {
        if (n % 5 != 4) salt(parameters, n); /* else the ones before */
        if (n == first) salt(parameters, n);
        CHECK_OK(ame_replicas_run(set, 10 + n, n % 5 != 4 || n == first ? parameters : NULL, results));
        right_run(right, seed, 10 + n, parameters, good);
        CHECK(memcmp(results, good, sizeof good) == 0);
    }
}

/* ---- scenarios ---- */

static void same(const char *options, uint64_t seed)
{
    ame_replicas *set;
    struct right right;
    CHECK_OK(ame_replicas_open(AME_COMM_WORLD, &kind, COUNT, seed, options, &set));
    if (rank == 0) {
        ame_replicas_report report;
        right_start(&right, seed);
        compare(set, &right, seed, 0, RUNS);
        CHECK_OK(ame_replicas_inspect(set, &report));
        CHECK(report.runs == RUNS && report.steps == right.step && report.moved == 0 && report.gpus == 0);
        CHECK(report.repeated_steps == 0 && report.busy >= 0);
        CHECK(strstr(ame_replicas_worker(set, size - 1), "CPU of") != NULL);
        CHECK(strcmp(ame_replicas_worker(set, size), "") == 0);
    } else {
        CHECK_OK(ame_replicas_serve(set));
    }
    CHECK_OK(ame_replicas_close(&set));
    CHECK(!set);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    CHECK(file && fseek(file, at, SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(fseek(file, at, SEEK_SET) == 0 && fputc(byte ^ 1, file) == (byte ^ 1) && fclose(file) == 0);
}

static long size_of(const char *path)
{
    struct stat status;
    CHECK(stat(path, &status) == 0);
    return (long) status.st_size;
}

/* Rank 0: runs, with checkpoints; those that cannot be made. Ends after run 7. */
static void save_some(ame_replicas *set, struct right *right, const char *path)
{
    char other[80];
    void *extra = &extra;
    uint64_t length = 1;
    snprintf(other, sizeof other, "%s.other", path);
    CHECK(ame_replicas_load(set, "/nonexistent", NULL, NULL) == AME_E_SYSTEM);
    CHECK_OK(ame_replicas_load(set, path, &extra, &length)); /* as if killed before the first */
    CHECK(!extra && length == 0);
    CHECK(ame_replicas_load(set, path, NULL, NULL) == AME_E_STATE);
    right_start(right, 5);
    CHECK_OK(ame_replicas_save(set, path, NULL, 0)); /* before the first run: nothing to say, but valid */
    long first = size_of(path);
    compare(set, right, 5, 0, 5);
    CHECK_OK(ame_replicas_save(set, path, "five", 5));
    long grown = size_of(path) - first;
    for (int i = 0; i < 30; i++) {
        CHECK_OK(ame_replicas_save(set, path, "again", 6));
        CHECK(size_of(path) < 12 * grown); /* does not grow for ever */
    }
    compare(set, right, 5, 5, 7);
    CHECK_OK(ame_replicas_save(set, path, "seven", 6));
    CHECK(ame_replicas_save(set, "/nonexistent/file", NULL, 0) == AME_E_SYSTEM);
    CHECK_OK(ame_replicas_save(set, other, "elsewhere", 10)); /* and the first one is closed */
    CHECK_CODE(ame_replicas_save(set, path, NULL, 0), AME_E_STATE, "ame_replicas_load, or remove it");
    CHECK(remove(other) == 0);
}

/* A file that is no journal. */
static void make_foreign(const char *path)
{
    FILE *file = fopen(path, "w");
    CHECK(file);
    for (int i = 0; i < 100; i++) fprintf(file, "line %d\n", i);
    CHECK(fclose(file) == 0);
}

static void load_refused(ame_replicas *set, const char *path, int code, const char *text)
{
    CHECK_CODE(ame_replicas_load(set, path, NULL, NULL), code, text);
}

static void save(void)
{
    ame_replicas *set;
    struct right right;
    char path[64] = "/tmp/ame-set-XXXXXX", foreign[80];
    for (int part = 0; part < 2; part++) {
        CHECK_OK(ame_replicas_open(AME_COMM_WORLD, &kind, COUNT, 5, part ? "pull=2" : "pull=0", &set));
        if (rank == 0 && part == 0) {
            int fd = mkstemp(path);
            CHECK(fd >= 0);
            close(fd);
            save_some(set, &right, path);
            struct right after = right;
            compare(set, &after, 5, 7, 9); /* saving disturbs nothing */
        } else if (rank == 0) {
            void *extra = NULL;
            uint64_t length = 0;
            snprintf(foreign, sizeof foreign, "%s.foreign", path);
            make_foreign(foreign);
            CHECK(truncate(path, size_of(path) + 100) == 0); /* the beginning of a record that was not finished */
            load_refused(set, foreign, AME_E_CONFIG, "not a journal");
            CHECK(remove(foreign) == 0);
            CHECK_OK(ame_replicas_load(set, path, &extra, &length));
            CHECK(length == 6 && memcmp(extra, "seven", 6) == 0);
            free(extra);
            compare(set, &right, 5, 7, RUNS);
            CHECK_OK(ame_replicas_save(set, path, "end", 4));
            CHECK(ame_replicas_load(set, path, NULL, NULL) == AME_E_STATE);
        } else {
            CHECK_OK(ame_replicas_serve(set));
        }
        CHECK_OK(ame_replicas_close(&set));
    }
    for (uint64_t seed = 5; seed < 7; seed++) {
        CHECK_OK(ame_replicas_open(AME_COMM_WORLD, &kind, COUNT, seed, NULL, &set));
        if (rank == 0) {
            if (seed == 5) flip(path, 300);
            load_refused(set, path, seed == 5 ? AME_E_PROTOCOL : AME_E_MISMATCH,
                         seed == 5 ? "damaged" : "of another job");
            if (seed == 6) CHECK(strstr(ame_last_error(), "13 replicas of kind chain"));
        } else {
            CHECK_OK(ame_replicas_serve(set));
        }
        CHECK_OK(ame_replicas_close(&set));
    }
    if (rank == 0) remove(path);
}

/* A run that goes wrong in replica 4, then the same one well. */
static void wrong_run(ame_replicas *set, struct right *right, uint64_t n, enum mischief mischief, const char *text)
{
    struct parameters parameters[COUNT];
    struct result results[COUNT], good[COUNT];
    salt(parameters, n);
    parameters[4].mischief = mischief;
    CHECK(ame_replicas_run(set, 10, parameters, results) == AME_E_TASK);
    CHECK(strstr(ame_last_error(), text) != NULL);
    CHECK(strstr(ame_last_error(), "chain") != NULL && strstr(ame_last_error(), "rank") != NULL);
    salt(parameters, n + 1);
    CHECK_OK(ame_replicas_run(set, 10, parameters, results));
    right_run(right, 9, 10, parameters, good);
    CHECK(memcmp(results, good, sizeof good) == 0);
}

static void fail(const char *options)
{
    ame_replicas *set;
    struct right right;
    CHECK_OK(ame_replicas_open(AME_COMM_WORLD, &kind, COUNT, 9, options, &set));
    if (rank == 0) {
        right_start(&right, 9);
        wrong_run(set, &right, 100, FAILS, "run returned 7");
        compare(set, &right, 9, 0, 5);
        wrong_run(set, &right, 200, IS_NAN, "replica 4 (chain): number 0 of its result is NaN after step");
        wrong_run(set, &right, 300, FAILS, "run returned 7");
        compare(set, &right, 9, 5, 9);
    } else {
        CHECK_OK(ame_replicas_serve(set));
    }
    CHECK_OK(ame_replicas_close(&set));
}

static void die(int victim)
{
    ame_replicas *set;
    struct right right;
    CHECK_OK(ame_replicas_open(AME_COMM_WORLD, &kind, COUNT, 11, "pull=4", &set));
    if (rank == 0) {
        struct parameters parameters[COUNT];
        struct result results[COUNT], good[COUNT];
        ame_replicas_report report;
        right_start(&right, 11);
        compare(set, &right, 11, 0, 7);
        salt(parameters, 7);
        for (int id = 0; id < COUNT; id++) parameters[id].mischief = DIES, parameters[id].rank = victim;
        CHECK_OK(ame_replicas_run(set, 17, parameters, results));
        right_run(&right, 11, 17, parameters, good);
        CHECK(memcmp(results, good, sizeof good) == 0);
        compare(set, &right, 11, 8, RUNS);
        CHECK_OK(ame_replicas_inspect(set, &report));
        CHECK(report.moved > 0 && report.moved < COUNT && report.repeated_steps > 0);
    } else {
        CHECK_OK(ame_replicas_serve(set));
    }
    CHECK_OK(ame_replicas_close(&set));
}

static void refused(int code, const char *text, const ame_replica_kind *k, uint64_t count, const char *options)
{
    ame_replicas *set = NULL;
    CHECK(ame_replicas_open(AME_COMM_WORLD, k, count, 1, options, &set) == code);
    CHECK_SAY(strstr(ame_last_error(), text) != NULL, "%s", ame_last_error());
    CHECK(!set);
}

static void mistakes(void)
{
    ame_replica_kind other = kind;
    refused(AME_E_ARG, "'count' is 0", &kind, 0, NULL);
    refused(AME_E_CONFIG, "pull=x", &kind, 3, "pull=x");
    refused(AME_E_CONFIG, "gpu=2", &kind, 3, "root_works=0 gpu=2");
    refused(AME_E_CONFIG, "'pull' is not of the form", &kind, 3, "pull");
    refused(AME_E_CONFIG, "ame_replicas_load", &kind, 3, "journal=here");
    refused(AME_E_CONFIG, "nonsense", &kind, 3, "nonsense=1"); /* the pool says so */
    other.run = NULL;
    refused(AME_E_ARG, "neither", &other, 3, NULL);
    other = kind;
    other.result_doubles = 1000;
    refused(AME_E_ARG, "1000 doubles", &other, 3, NULL);
    other = kind;
    if (rank == 1) other.state_size++;
    if (size > 1) refused(AME_E_MISMATCH, "on rank 0 chain with", &other, 3, NULL);

    ame_replicas *set;
    struct result results[COUNT];
    CHECK_OK(ame_replicas_open(AME_COMM_WORLD, &kind, COUNT, 1, NULL, &set));
    if (rank == 0) {
        CHECK(ame_replicas_run(set, 0, NULL, results) == AME_E_ARG);
        CHECK(ame_replicas_run(set, 1, NULL, NULL) == AME_E_ARG);
        CHECK(ame_replicas_run(set, 1, NULL, results) == AME_E_ARG); /* no parameters yet */
        CHECK(ame_replicas_serve(set) == AME_E_ARG);
    } else {
        CHECK(ame_replicas_run(set, 1, NULL, results) == AME_E_ARG);
        CHECK_OK(ame_replicas_serve(set));
    }
    CHECK_OK(ame_replicas_close(&set));
    CHECK_OK(ame_replicas_close(&set));
}

int main(int argc, char **argv)
{
    CHECK_OK(ame_init());
    rank = ame_comm_rank(AME_COMM_WORLD);
    size = ame_comm_size(AME_COMM_WORLD);
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "same") == 0) {
        same(NULL, 3);
        same("root_works=0,pull=1", 4);
        same("pull=0", 0);
    } else if (strcmp(what, "save") == 0) {
        save();
    } else if (strcmp(what, "fail") == 0) {
        fail("pull=3");
        fail("root_works=0");
    } else if (strcmp(what, "die") == 0 && argc > 2) {
        die(atoi(argv[2]));
    } else if (strcmp(what, "mistakes") == 0) {
        mistakes();
    } else {
        CHECK(!"a scenario is given");
    }
    CHECK_OK(ame_finalize());
    return 0;
}
