/* worker.c - executes a task: all replicas that rank 0 wants this worker to move.
 *
 * For each replica the state is looked for that the task continues from: held from before, coming with the task, or made by
 * start(). A replica without one is answered with AME__REPLICA_NEEDS, and the others are moved. Usually each has one run to
 * make and all go in one call; a replica that repeats runs goes along in as many calls as it needs.
 *
 * A GPU that is lost takes all states with it, and the process as well (ame_gpu.h): a worker then ends itself, so that
 * rank 0 gives its replicas to others. Rank 0 cannot do so; it goes on with the processor, if the kind has a function for that.
 * So does any rank whose GPU is out of memory, unless AME_GPU wants a GPU.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "replica/frame.h"
#include "replica/replica.h"

/* A replica of the task under way. */
struct job {
    struct ame__task_part part;
    const unsigned char *runs, *state; /* in the task */
    uint64_t done;                     /* runs of the task that the state has been through */
    bool needs;
};

struct work {
    ame_replicas *set;
    struct job *jobs;
    size_t count;
    ame_replica *replicas; /* those of one call; parameters and results beside it */
    size_t *index;         /* of their jobs */
    unsigned char *parameters, *results;
};

static size_t run_bytes(const ame_replicas *set)
{
    return 2 * sizeof(uint64_t) + set->kind.parameters_size;
}

/* Serial and steps of the task's run number `n`. */
static void run_numbers(const ame_replicas *set, const struct job *job, uint64_t n, uint64_t numbers[2])
{
    memcpy(numbers, job->runs + n * run_bytes(set), 2 * sizeof numbers[0]);
}

/* ---- states -------------------------------------------------------------------------------------- */

static void drop_state(ame_replicas *set, struct ame__held *held)
{
    if (set->on_gpu)
        ame_gpu_free(held->state);
    else
        free(held->state);
    *held = (struct ame__held){0};
}

void ame__replica_drop(ame_replicas *set)
{
    for (uint64_t id = 0; set->held && id < set->count; id++)
        if (set->held[id].state) drop_state(set, &set->held[id]);
}

/* Memory for a state; a kind without one gets a little all the same, so that a pointer tells that it is held. */
static int new_state(ame_replicas *set, struct ame__held *held)
{
    size_t bytes = ame__replica_round(set->kind.state_size ? set->kind.state_size : 1);
    if (held->state) return AME_OK;
    if (set->on_gpu) return ame_gpu_malloc(bytes, &held->state);
    held->state = aligned_alloc(AME__REPLICA_ALIGN, bytes);
    return held->state ? AME_OK : ame__fail(AME_E_NOMEM, "out of memory for a state of %zu bytes", bytes);
}

static int put_state(ame_replicas *set, struct ame__held *held, const void *state)
{
    int code = new_state(set, held);
    if (code || set->kind.state_size == 0) return code;
    if (set->on_gpu) return ame_gpu_copy(held->state, state, set->kind.state_size, NULL);
    memcpy(held->state, state, set->kind.state_size);
    return AME_OK;
}

/* The state before the first step. start() sees the parameters of the first run. */
static int start_state(ame_replicas *set, const struct job *job, struct ame__held *held)
{
    size_t size = ame__replica_round(set->kind.state_size ? set->kind.state_size : 1);
    void *state = aligned_alloc(AME__REPLICA_ALIGN, size);
    void *parameters = aligned_alloc(AME__REPLICA_ALIGN, set->parameters_stride);
    int code = state && parameters ? AME_OK : ame__fail(AME_E_NOMEM, "out of memory for a state of %zu bytes", size);
    if (!code) {
        memset(state, 0, size);
        memcpy(parameters, job->runs + 2 * sizeof(uint64_t), set->kind.parameters_size);
        ame_replica replica = {.id = job->part.id, .seed = set->seed, .parameters = parameters, .state = state};
        int wrong = set->kind.start ? set->kind.start(&replica, set->kind.arg) : 0;
        code = wrong ? ame__fail(AME_E_TASK, "start of replica %llu (%s) returned %d",
                                 (unsigned long long) job->part.id, set->name, wrong)
                     : put_state(set, held, state);
    }
    free(parameters);
    free(state);
    return code;
}

/* Finds or makes the state that the job continues from. */
static int find_state(ame_replicas *set, struct job *job)
{
    struct ame__held *held = &set->held[job->part.id];
    const struct ame__task_part *part = &job->part;
    if (held->state && held->serial == part->from) return AME_OK;
    for (uint64_t n = 0; held->state && n < part->runs; n++) {
        uint64_t numbers[2];
        run_numbers(set, job, n, numbers);
        bool last = n + 1 == part->runs;
        if (held->serial != numbers[0] || (last && part->flags & AME__REPLICA_WANTS_RESULT)) continue;
        job->done = n + 1;
        return AME_OK;
    }
    int code = AME_OK;
    if (part->flags & AME__REPLICA_HAS_STATE)
        code = put_state(set, held, job->state);
    else if (part->from == 0 && part->runs > 0)
        code = start_state(set, job, held);
    else
        job->needs = true;
    held->serial = part->from;
    held->step = part->step;
    if (job->needs && held->state) drop_state(set, held);
    return code;
}

/* ---- the task ------------------------------------------------------------------------------------ */

static int read_task(struct work *work, const ame_pool_task *task)
{
    const ame_replicas *set = work->set;
    struct ame__reader reader = {.next = task->data, .left = task->length};
    work->count = ame__read_head(&reader, set->count);
    work->jobs = calloc(work->count + 1, sizeof *work->jobs);
    if (!work->jobs) return ame__fail(AME_E_NOMEM, "out of memory for %zu replicas", work->count);
    for (struct job *job = work->jobs; job < work->jobs + work->count && !reader.failed; job++) {
        job->part = ame__read_task_part(&reader);
        if (job->part.id >= set->count || job->part.runs > reader.left / run_bytes(set)) reader.failed = true;
        job->runs = ame__read(&reader, job->part.runs * run_bytes(set));
        if (job->part.flags & AME__REPLICA_HAS_STATE) job->state = ame__read(&reader, set->kind.state_size);
    }
    if (!reader.failed && reader.left == 0) return AME_OK;
    return ame__fail(AME_E_PROTOCOL, "a task for replicas of kind %s that is not one", set->name);
}

static int make_room(struct work *work)
{
    const ame_replicas *set = work->set;
    size_t count = work->count + 1;
    work->replicas = calloc(count, sizeof *work->replicas);
    work->index = calloc(count, sizeof *work->index);
    work->parameters = aligned_alloc(AME__REPLICA_ALIGN, count * set->parameters_stride);
    work->results = aligned_alloc(AME__REPLICA_ALIGN, count * set->result_stride);
    if (work->replicas && work->index && work->parameters && work->results) return AME_OK;
    return ame__fail(AME_E_NOMEM, "out of memory for parameters and results of %zu replicas", work->count);
}

static void release(struct work *work)
{
    free(work->jobs);
    free(work->replicas);
    free(work->index);
    free(work->parameters);
    free(work->results);
}

/* ---- moving -------------------------------------------------------------------------------------- */

/* The replicas that have another run to make, with that one. */
static size_t collect(struct work *work)
{
    ame_replicas *set = work->set;
    size_t count = 0;
    for (size_t i = 0; i < work->count; i++) {
        struct job *job = &work->jobs[i];
        if (job->needs || job->done == job->part.runs) continue;
        uint64_t numbers[2];
        run_numbers(set, job, job->done, numbers);
        unsigned char *parameters = work->parameters + i * set->parameters_stride;
        unsigned char *result = work->results + i * set->result_stride;
        memcpy(parameters, job->runs + job->done * run_bytes(set) + sizeof numbers, set->kind.parameters_size);
        memset(result, 0, set->result_stride);
        work->index[count] = i;
        work->replicas[count++] = (ame_replica){.id = job->part.id,
                                                .seed = set->seed,
                                                .first_step = set->held[job->part.id].step,
                                                .steps = numbers[1],
                                                .parameters = parameters,
                                                .state = set->held[job->part.id].state,
                                                .result = result};
    }
    return count;
}

static int check(const ame_replicas *set, const ame_replica *replica)
{
    for (unsigned i = 0; i < set->kind.result_doubles; i++) {
        double value;
        memcpy(&value, (const char *) replica->result + i * sizeof value, sizeof value);
        if (isfinite(value)) continue;
        const unsigned long long step = replica->first_step + replica->steps;
        return ame__fail(
            AME_E_TASK, "replica %llu (%s): number %u of its result is %s after step %llu, computed by the %s",
            (unsigned long long) replica->id, set->name, i, isnan(value) ? "NaN" : "infinite", step, set->where);
    }
    return AME_OK;
}

/* One call, or launch, for all. */
static int move(struct work *work, size_t count)
{
    ame_replicas *set = work->set;
    int code = AME_OK;
    for (size_t i = 0; i < count; i++) /* until it has gone well, nobody may take the states for good */
        set->held[work->replicas[i].id].serial = UINT64_MAX;
    if (set->on_gpu) {
        code = ame__device_run(set, work->replicas, count);
    } else {
        int wrong = set->kind.run(work->replicas, count, set->kind.arg);
        if (wrong)
            code = ame__fail(AME_E_TASK, "%zu replicas (%s), the first number %llu, from step %llu: run returned %d",
                             count, set->name, (unsigned long long) work->replicas[0].id,
                             (unsigned long long) work->replicas[0].first_step, wrong);
    }
    for (size_t i = 0; !code && i < count; i++) {
        struct job *job = &work->jobs[work->index[i]];
        struct ame__held *held = &set->held[job->part.id];
        uint64_t numbers[2];
        run_numbers(set, job, job->done++, numbers);
        code = check(set, &work->replicas[i]);
        if (code) break;
        held->serial = numbers[0];
        held->step += numbers[1];
    }
    return code;
}

/* ---- the reply ----------------------------------------------------------------------------------- */

static int write_state(ame_replicas *set, const struct job *job, struct ame__writer *writer)
{
    const void *state = set->held[job->part.id].state;
    if (!set->on_gpu || set->kind.state_size == 0) {
        ame__write(writer, state, set->kind.state_size);
        return AME_OK;
    }
    void *copy = malloc(set->kind.state_size);
    if (!copy)
        return ame__fail(AME_E_NOMEM, "out of memory for a state of %llu bytes",
                         (unsigned long long) set->kind.state_size);
    int code = ame_gpu_copy(copy, state, set->kind.state_size, NULL);
    if (!code) ame__write(writer, copy, set->kind.state_size);
    free(copy);
    return code;
}

static int write_reply(struct work *work, ame_pool_reply *reply)
{
    ame_replicas *set = work->set;
    struct ame__writer writer = {0};
    int code = AME_OK;
    ame__write_head(&writer, work->count);
    for (size_t i = 0; i < work->count && !code; i++) {
        const struct job *job = &work->jobs[i];
        bool with_state = !job->needs && job->part.flags & AME__REPLICA_WANTS_STATE;
        struct ame__reply_part part = {.id = job->part.id,
                                       .serial = set->held[job->part.id].serial,
                                       .status = job->needs ? AME__REPLICA_NEEDS : AME__REPLICA_DONE,
                                       .flags = with_state ? AME__REPLICA_HAS_STATE : 0};
        ame__write_reply_part(&writer, &part);
        if (!job->needs && job->part.flags & AME__REPLICA_WANTS_RESULT)
            ame__write(&writer, work->results + i * set->result_stride, set->kind.result_size);
        if (with_state) code = write_state(set, job, &writer);
    }
    if (!code && writer.failed)
        code = ame__fail(AME_E_NOMEM, "out of memory for the results of %zu replicas", work->count);
    if (code) {
        free(writer.data);
        return code;
    }
    return ame_pool_reply_give(reply, writer.data, writer.length);
}

/* ---- without the GPU ----------------------------------------------------------------------------- */

/* Can the processor take over after this failure of the GPU? A lost one takes a worker with it; a full one is a reason only for
 * who does not insist on it. */
static bool may_leave_gpu(const ame_replicas *set, int code)
{
    if (!set->on_gpu) return false;
    return code == AME_E_GPU_LOST || (code == AME_E_NOMEM && set->kind.run && !ame__replica_needs_gpu());
}

static int leave_gpu(ame_replicas *set, int code)
{
    bool lost = code == AME_E_GPU_LOST;
    fprintf(stderr, "ame: rank %d, %s: %s\n", set->rank, set->where, ame__error_text());
    if (lost && set->rank != 0) {
        fprintf(stderr, "ame: rank %d ends itself; other ranks go on with its replicas\n", set->rank);
        fflush(NULL);
        _exit(70);
    }
    if (!set->kind.run) return code;
    fprintf(stderr, "ame: rank %d goes on with its processor\n", set->rank);
    for (uint64_t id = 0; lost && id < set->count; id++) set->held[id] = (struct ame__held){0}; /* gone with it */
    ame__replica_drop(set);
    ame__device_close(set);
    set->on_gpu = false;
    snprintf(set->where, sizeof set->where, "CPU (its GPU is %s)", lost ? "lost" : "out of memory");
    return AME_OK;
}

static int execute(struct work *work, ame_pool_reply *reply)
{
    int code = AME_OK;
    size_t count;
    for (size_t i = 0; i < work->count && !code; i++) code = find_state(work->set, &work->jobs[i]);
    while (!code && (count = collect(work)) > 0) code = move(work, count);
    return code ? code : write_reply(work, reply);
}

int ame__replica_work(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    struct work work = {.set = arg};
    int code = read_task(&work, task);
    if (!code) code = make_room(&work);
    if (!code) code = execute(&work, reply);
    if (may_leave_gpu(work.set, code)) {
        code = leave_gpu(work.set, code);
        for (size_t i = 0; !code && i < work.count; i++) work.jobs[i].done = 0, work.jobs[i].needs = false;
        if (!code) code = execute(&work, reply);
    }
    release(&work);
    if (code) ame_pool_reply_text(reply, ame__error_text());
    return code;
}
