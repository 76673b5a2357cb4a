/* run.c - a run on rank 0: tasks to the workers, their replies, and what is needed again. replica.h tells how.
 *
 * A run takes as many maps as it needs until no replica is owed. The first has each replica go to the worker that holds it,
 * with this run only. Replicas that were answered with AME__REPLICA_NEEDS go out again with their base and all runs since,
 * to the workers that hold the fewest. More than two maps are needed only when workers die one after the other.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "replica/frame.h"
#include "replica/replica.h"

/* The run under way. */
struct round {
    ame_replicas *set;
    uint64_t from, step; /* before this run */
    uint64_t serial;     /* after it */
    bool pull;
    unsigned char *results; /* NULL: only states are wanted */
    int *target;            /* by id: the worker that it goes to, of those owed */
    int *workers;           /* by task: whom it is for */
    size_t tasks;
    struct ame__writer writer; /* the task that the pool is being given */
    int code;                  /* the first thing that went wrong */
    char text[AME__ERROR_TEXT_MAX];
};

static void fail(struct round *round, int code, const char *text)
{
    if (round->code) return;
    round->code = code;
    snprintf(round->text, sizeof round->text, "%s", text);
}

/* ---- who does what ------------------------------------------------------------------------------- */

/* Among the living workers that with the fewest replicas; -1 if nobody lives. */
static int least_loaded(const ame_replicas *set)
{
    int best = -1;
    for (int rank = 0; rank < set->size; rank++)
        if (ame__replica_works(set, rank) && !set->dead[rank] && (best < 0 || set->load[rank] < set->load[best]))
            best = rank;
    return best;
}

/* Decides where each owed replica goes, and lists the workers that get a task. */
static int plan(struct round *round)
{
    ame_replicas *set = round->set;
    memset(set->load, 0, (size_t) set->size * sizeof *set->load);
    for (uint64_t id = 0; id < set->count; id++) {
        int holder = set->known[id].holder;
        if (holder >= 0 && set->dead[holder]) holder = set->known[id].holder = -1;
        if (holder >= 0) set->load[holder]++;
    }
    for (uint64_t id = 0; id < set->count; id++) {
        if (!set->known[id].owed) continue;
        int rank = set->known[id].holder;
        if (rank < 0) {
            rank = least_loaded(set);
            if (rank < 0) return ame__fail(AME_E_PEER_FAILED, "ame_replicas_run: no worker is left");
            set->load[rank]++;
        }
        round->target[id] = rank;
    }
    bool *listed = calloc((size_t) set->size, sizeof *listed);
    if (!listed) return ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory");
    round->tasks = 0;
    for (uint64_t id = 0; id < set->count; id++)
        if (set->known[id].owed && !listed[round->target[id]]) {
            listed[round->target[id]] = true;
            round->workers[round->tasks++] = round->target[id];
        }
    free(listed);
    return AME_OK;
}

/* ---- tasks --------------------------------------------------------------------------------------- */

static void write_runs(const ame_replicas *set, struct ame__writer *writer, uint64_t id, size_t first, size_t end)
{
    for (size_t n = first; n < end; n++) {
        const struct ame__past *past = &set->past[n];
        ame__write_number(writer, past->serial);
        ame__write_number(writer, past->steps);
        ame__write(writer, past->parameters + id * set->kind.parameters_size, set->kind.parameters_size);
    }
}

/* Index of the first run after `serial`. */
static size_t first_after(const ame_replicas *set, uint64_t serial)
{
    size_t first = 0;
    while (first < set->past_count && set->past[first].serial <= serial) first++;
    return first;
}

static void write_replica(struct round *round, uint64_t id)
{
    ame_replicas *set = round->set;
    const struct ame__known *known = &set->known[id];
    bool held = known->holder >= 0;
    struct ame__task_part part = {.id = id, .from = round->from, .step = round->step};
    if (!held) part.from = known->serial, part.step = known->step;
    size_t first = first_after(set, part.from);
    part.runs = set->past_count - first;
    if (!held && known->base) part.flags |= AME__REPLICA_HAS_STATE;
    if (round->pull) part.flags |= AME__REPLICA_WANTS_STATE;
    if (round->results) part.flags |= AME__REPLICA_WANTS_RESULT;
    ame__write_task_part(&round->writer, &part);
    write_runs(set, &round->writer, id, first, set->past_count);
    if (part.flags & AME__REPLICA_HAS_STATE) ame__write(&round->writer, known->base, set->kind.state_size);
    if (!held && round->step > part.step) set->report.repeated_steps += round->step - part.step;
}

/* The pool's source: the task of one worker. */
static int next_task(ame_pool_task *task, void *arg)
{
    struct round *round = arg;
    const ame_replicas *set = round->set;
    int worker = round->workers[task->index];
    uint64_t replicas = 0;
    for (uint64_t id = 0; id < set->count; id++) replicas += set->known[id].owed && round->target[id] == worker;
    round->writer.length = 0;
    ame__write_head(&round->writer, replicas);
    for (uint64_t id = 0; id < set->count; id++)
        if (set->known[id].owed && round->target[id] == worker) write_replica(round, id);
    if (round->writer.failed)
        return ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory for a task of %llu replicas",
                         (unsigned long long) replicas);
    task->data = round->writer.data;
    task->length = round->writer.length;
    task->prefers = worker;
    task->only = 1;
    return 1;
}

/* ---- replies ------------------------------------------------------------------------------------- */

static int bad_reply(const ame_replicas *set, const ame_pool_outcome *outcome, const char *what)
{
    return ame__fail(AME_E_PROTOCOL, "rank %d, %s: its reply for replicas of kind %s %s", outcome->rank,
                     set->workers[outcome->rank], set->name, what);
}

static int take_result(struct round *round, const ame_pool_outcome *outcome, uint64_t id, const void *result)
{
    const ame_replicas *set = round->set;
    for (unsigned i = 0; i < set->kind.result_doubles; i++) {
        double value;
        memcpy(&value, (const char *) result + i * sizeof value, sizeof value);
        if (!isfinite(value)) return bad_reply(set, outcome, "has numbers that are not finite");
    }
    if (set->kind.result_size) memcpy(round->results + id * set->kind.result_size, result, set->kind.result_size);
    return AME_OK;
}

static int take_state(struct ame__known *known, const void *state, size_t size)
{
    if (!known->next) known->next = malloc(size ? size : 1);
    if (!known->next) return ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory for a state of %zu bytes", size);
    if (size) memcpy(known->next, state, size);
    return AME_OK;
}

/* One replica of a reply. */
static int take_part(struct round *round, const ame_pool_outcome *outcome, struct ame__reader *reader)
{
    ame_replicas *set = round->set;
    struct ame__reply_part part = ame__read_reply_part(reader);
    if (reader->failed || part.id >= set->count) return bad_reply(set, outcome, "is cut off, or names no replica");
    struct ame__known *known = &set->known[part.id];
    if (!known->owed || round->target[part.id] != round->workers[outcome->index])
        return bad_reply(set, outcome, "names a replica that it was not asked for");
    if (part.status == AME__REPLICA_NEEDS) {
        known->holder = -1;
        return AME_OK;
    }
    const void *result = round->results ? ame__read(reader, set->kind.result_size) : NULL;
    const void *state = part.flags & AME__REPLICA_HAS_STATE ? ame__read(reader, set->kind.state_size) : NULL;
    if (reader->failed || part.serial != round->serial || (round->pull && !(part.flags & AME__REPLICA_HAS_STATE)))
        return bad_reply(set, outcome, "is cut off, or of another run");
    int code = round->results ? take_result(round, outcome, part.id, result) : AME_OK;
    if (!code && round->pull) code = take_state(known, state, set->kind.state_size);
    if (code) return code;
    if (known->last >= 0 && known->last != outcome->rank) set->report.moved++;
    known->holder = known->last = outcome->rank;
    known->owed = false;
    return AME_OK;
}

static int take_reply(struct round *round, const ame_pool_outcome *outcome)
{
    ame_replicas *set = round->set;
    int meant = round->workers[outcome->index];
    set->report.busy += outcome->seconds;
    if (outcome->rank >= 0 && outcome->rank != meant) set->dead[meant] = true; /* else nobody else may have it */
    if (outcome->code) return ame__fail(AME_E_TASK, "%s", outcome->text);
    struct ame__reader reader = {.next = outcome->data, .left = outcome->length};
    uint64_t replicas = ame__read_head(&reader, set->count);
    int code = reader.failed ? bad_reply(set, outcome, "is none") : AME_OK;
    for (uint64_t i = 0; i < replicas && !code; i++) code = take_part(round, outcome, &reader);
    if (!code && reader.left) code = bad_reply(set, outcome, "is too long");
    return code;
}

/* One map: tasks for all that are owed. */
static int map(struct round *round)
{
    ame_replicas *set = round->set;
    int code = plan(round);
    if (code) return code;
    const ame_pool_job job = {
        .count = round->tasks, .source = next_task, .source_arg = round, .function = ame__replica_work, .arg = set};
    code = ame_pool_map(set->pool, &job);
    if (code) return code;
    ame_pool_outcome outcome;
    while (ame_pool_result(set->pool, &outcome)) {
        code = take_reply(round, &outcome);
        if (code) fail(round, code, ame__error_text());
    }
    code = ame_pool_finish(set->pool);
    if (round->code) return ame__error_adopt(round->code, round->text);
    return code;
}

/* ---- history ------------------------------------------------------------------------------------- */

static int remember(ame_replicas *set, uint64_t steps, const void *parameters)
{
    size_t bytes = set->count * set->kind.parameters_size;
    if (set->past_count == set->past_room) {
        size_t room = set->past_room ? 2 * set->past_room : 16;
        struct ame__past *past = realloc(set->past, room * sizeof *past);
        if (!past) return ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory for %zu runs", room);
        set->past = past;
        set->past_room = room;
    }
    unsigned char *copy = malloc(bytes ? bytes : 1);
    if (!copy) return ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory for the parameters");
    if (bytes) memcpy(copy, parameters, bytes);
    set->past[set->past_count++] = (struct ame__past){.serial = set->serial, .steps = steps, .parameters = copy};
    return AME_OK;
}

/* The run has succeeded: what it brought becomes what is known, and runs before all bases are forgotten. */
static void commit(struct round *round, uint64_t steps)
{
    ame_replicas *set = round->set;
    uint64_t oldest = UINT64_MAX;
    set->good = round->serial;
    set->report.steps += steps;
    for (uint64_t id = 0; id < set->count; id++) {
        struct ame__known *known = &set->known[id];
        if (known->next) {
            free(known->base);
            known->base = known->next;
            known->next = NULL;
            known->serial = set->good;
            known->step = set->report.steps;
        }
        if (known->serial < oldest) oldest = known->serial;
    }
    size_t gone = first_after(set, oldest);
    for (size_t n = 0; n < gone; n++) free(set->past[n].parameters);
    set->past_count -= gone;
    memmove(set->past, set->past + gone, set->past_count * sizeof *set->past);
}

/* The run has failed: as if it had not been. Workers that have made it hold states with its serial, which nobody asks for. */
static void take_back(struct round *round, bool remembered)
{
    ame_replicas *set = round->set;
    for (uint64_t id = 0; id < set->count; id++) {
        free(set->known[id].next);
        set->known[id].next = NULL;
    }
    if (remembered) free(set->past[--set->past_count].parameters);
}

void ame__replica_forget(ame_replicas *set)
{
    for (size_t n = 0; n < set->past_count; n++) free(set->past[n].parameters);
    for (uint64_t id = 0; set->known && id < set->count; id++) {
        free(set->known[id].base);
        free(set->known[id].next);
    }
    free(set->past);
    free(set->known);
}

/* ---- the run ------------------------------------------------------------------------------------- */

static bool any_owed(const ame_replicas *set)
{
    for (uint64_t id = 0; id < set->count; id++)
        if (set->known[id].owed) return true;
    return false;
}

int ame__replica_advance(ame_replicas *set, uint64_t steps, const void *parameters, void *results, bool pull)
{
    struct round round = {.set = set, .from = set->good, .step = set->report.steps, .pull = pull, .results = results};
    int64_t begin = ame__now_ns();
    bool remembered = false;
    round.target = calloc(set->count, sizeof *round.target);
    round.workers = calloc((size_t) set->size, sizeof *round.workers);
    int code = round.target && round.workers ? AME_OK : ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory");
    if (!code && results) {
        round.serial = ++set->serial;
        code = remember(set, steps, parameters);
        remembered = !code;
    } else {
        round.serial = set->good;
    }
    for (uint64_t id = 0; id < set->count; id++) set->known[id].owed = true;
    /* each further map is because a worker has died, or a run before has failed */
    for (int tries = 0; !code && any_owed(set); tries++)
        code = tries > 2 * set->size + 2
                   ? ame__fail(AME_E_INTERNAL, "ame_replicas_run: workers ask again and again for the same states")
                   : map(&round);
    if (code)
        take_back(&round, remembered);
    else
        commit(&round, results ? steps : 0);
    set->report.seconds += 1e-9 * (double) (ame__now_ns() - begin);
    free(round.writer.data);
    free(round.workers);
    free(round.target);
    return code;
}
