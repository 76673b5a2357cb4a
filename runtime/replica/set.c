/* set.c - the life of a set: agreement among the ranks, who has which device, the pool under it */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/vars.h"
#include "replica/replica.h"

enum { POOL_OPTIONS_MAX = 512 };

/* What rank 0 tells all others at the beginning. Plain bytes: all ranks run the same version on the same kind of machine. */
struct terms {
    uint64_t count, seed, parameters_size, state_size, result_size, pull;
    int32_t root_works, use_gpu, table, code;
    char name[AME__REPLICA_NAME_MAX], options[POOL_OPTIONS_MAX], text[256];
};

/* What each rank tells rank 0, and rank 0 all. */
struct who {
    int32_t code, on_gpu;
    char where[AME__REPLICA_WHERE_MAX], text[256];
};

/* ---- options ------------------------------------------------------------------------------------- */

static int number_option(const char *name, const char *value, uint64_t most, uint64_t *number)
{
    char *end;
    *number = strtoull(value, &end, 10);
    if (*value >= '0' && *value <= '9' && !*end && *number <= most) return AME_OK;
    return ame__fail(AME_E_CONFIG, "ame_replicas_open: option %s=%s: must be a number from 0 to %llu", name, value,
                     (unsigned long long) most);
}

/* One "name=value"; what is not ours goes to the pool, which knows what it knows. */
static int option(struct terms *terms, const char *word)
{
    char name[32] = "";
    const char *equals = strchr(word, '=');
    if (!equals || equals - word >= (ptrdiff_t) sizeof name)
        return ame__fail(AME_E_CONFIG, "ame_replicas_open: option '%s' is not of the form name=value", word);
    memcpy(name, word, (size_t) (equals - word));
    uint64_t number;
    int code = AME_OK;
    if (strcmp(name, "journal") == 0 || strcmp(name, "resume") == 0 || strcmp(name, "job") == 0)
        return ame__fail(AME_E_CONFIG,
                         "ame_replicas_open: option %s is for maps; a set's journal is written by "
                         "ame_replicas_save and read by ame_replicas_load",
                         name);
    if (strcmp(name, "pull") == 0) return number_option(name, equals + 1, 1000000000, &terms->pull);
    int32_t *flag = strcmp(name, "root_works") == 0 ? &terms->root_works
                    : strcmp(name, "gpu") == 0      ? &terms->use_gpu
                    : strcmp(name, "table") == 0    ? &terms->table
                                                    : NULL;
    if (flag) {
        code = number_option(name, equals + 1, 1, &number);
        if (!code) *flag = (int32_t) number;
    } else {
        size_t used = strlen(terms->options), length = strlen(word);
        if (used + length + 2 > sizeof terms->options)
            return ame__fail(AME_E_CONFIG, "ame_replicas_open: the options are longer than %d bytes", POOL_OPTIONS_MAX);
        snprintf(terms->options + used, sizeof terms->options - used, "%s%s", used ? "," : "", word);
    }
    return code;
}

static int parse_options(struct terms *terms, const char *options)
{
    char *copy = strdup(options ? options : ""), *rest = NULL;
    if (!copy) return ame__fail(AME_E_NOMEM, "ame_replicas_open: out of memory");
    int code = AME_OK;
    for (char *word = strtok_r(copy, ", \t\n", &rest); word && !code; word = strtok_r(NULL, ", \t\n", &rest))
        code = option(terms, word);
    free(copy);
    return code;
}

/* ---- agreement ----------------------------------------------------------------------------------- */

static int check_kind(const ame_replica_kind *kind)
{
    if (!kind) return ame__fail(AME_E_ARG, "ame_replicas_open: argument 'kind' is NULL");
    if (!kind->name || strlen(kind->name) >= AME__REPLICA_NAME_MAX)
        return ame__fail(AME_E_ARG, "ame_replicas_open: the kind needs a name of less than %d bytes",
                         AME__REPLICA_NAME_MAX);
    if (!kind->run && !kind->kernel)
        return ame__fail(AME_E_ARG, "ame_replicas_open: kind %s has neither a function nor a kernel", kind->name);
    if (kind->kernel && !kind->image)
        return ame__fail(AME_E_ARG, "ame_replicas_open: kind %s has a kernel, but no image", kind->name);
    if (kind->result_doubles * sizeof(double) > kind->result_size)
        return ame__fail(AME_E_ARG, "ame_replicas_open: kind %s: %u doubles are more than its result has", kind->name,
                         kind->result_doubles);
    return AME_OK;
}

/* Rank 0's side of the terms. An error there is part of them, so that the others learn it as well. */
static void propose(struct terms *terms, const ame_replica_kind *kind, uint64_t count, uint64_t seed,
                    const char *options)
{
    *terms = (struct terms){
        .count = count, .seed = seed, .root_works = 1, .use_gpu = 1, .table = -1, .pull = AME__REPLICA_PULL};
    terms->code = check_kind(kind);
    if (!terms->code && (count == 0 || count > SIZE_MAX / 4096))
        terms->code = ame__fail(AME_E_ARG, "ame_replicas_open: argument 'count' is %llu", (unsigned long long) count);
    if (!terms->code) {
        terms->parameters_size = kind->parameters_size;
        terms->state_size = kind->state_size;
        terms->result_size = kind->result_size;
        snprintf(terms->name, sizeof terms->name, "%s", kind->name);
        terms->code = parse_options(terms, options);
    }
    if (terms->code) snprintf(terms->text, sizeof terms->text, "%.255s", ame__error_text());
}

static int same_kind(const struct terms *terms, const ame_replica_kind *kind)
{
    int code = check_kind(kind);
    if (code) return code;
    if (strcmp(terms->name, kind->name) == 0 && terms->parameters_size == kind->parameters_size &&
        terms->state_size == kind->state_size && terms->result_size == kind->result_size)
        return AME_OK;
    return ame__fail(
        AME_E_MISMATCH,
        "ame_replicas_open: here kind %s with %llu, %llu and %llu bytes of parameters, state and result; on "
        "rank 0 %s with %llu, %llu and %llu",
        kind->name, (unsigned long long) kind->parameters_size, (unsigned long long) kind->state_size,
        (unsigned long long) kind->result_size, terms->name, (unsigned long long) terms->parameters_size,
        (unsigned long long) terms->state_size, (unsigned long long) terms->result_size);
}

/* ---- devices ------------------------------------------------------------------------------------- */

bool ame__replica_needs_gpu(void)
{
    return strcmp(ame__var_text(AME__VAR_GPU), "auto") != 0;
}

static void host_name(char host[64])
{
    if (gethostname(host, 64)) snprintf(host, 64, "?");
    host[63] = '\0';
}

/* Takes the rank's device if it has one and the kind has a kernel for it; else the processor, and says why. */
static int choose(ame_replicas *set)
{
    char host[64], why_text[400];
    const char *why = NULL;
    int code = AME_OK;
    ame_gpu_device device = {0};
    host_name(host);
    if (!ame__replica_works(set, set->rank)) return AME_OK;
    if (!set->kind.kernel)
        why = "this kind of replica has no kernel for GPUs";
    else if (!set->use_gpu)
        why = "option gpu=0";
    else if (!ame_gpu_usable())
        why = ame_gpu_why();
    if (!why) {
        code = ame__device_open(set);
        if (!code) code = ame_gpu_get(&device);
        set->on_gpu = !code;
        if (code) why = ame__error_text();
    }
    if (set->on_gpu) {
        snprintf(set->where, sizeof set->where, "GPU %d (%.95s) of %.63s", device.ordinal, device.name, host);
        return AME_OK;
    }
    snprintf(why_text, sizeof why_text, "%s", why);
    snprintf(set->where, sizeof set->where, "CPU of %.63s (%s)", host, why_text);
    bool required = code && ame__replica_needs_gpu(); /* ame_gpu_bind has seen to other reasons */
    if (set->kind.run && !required) return AME_OK;
    return ame__fail(AME_E_GPU, "ame_replicas_open: rank %d on host %s: %s%s: %s", set->rank, host,
                     required ? "AME_GPU wants a GPU for kind " : "there is only a kernel for kind ", set->name,
                     why_text);
}

/* All ranks tell what they have; the first error among them is everybody's. */
static int exchange(ame_replicas *set, int code)
{
    struct who mine = {.code = code, .on_gpu = set->on_gpu};
    snprintf(mine.where, sizeof mine.where, "%s", set->where);
    if (code) snprintf(mine.text, sizeof mine.text, "%.255s", ame__error_text());
    struct who *all = calloc((size_t) set->size, sizeof *all);
    if (!all) return ame__fail(AME_E_NOMEM, "ame_replicas_open: out of memory for %d ranks", set->size);
    code = ame_allgather(&mine, sizeof mine, all, set->comm);
    for (int rank = 0; rank < set->size && !code; rank++) {
        all[rank].text[sizeof all[rank].text - 1] = '\0';
        if (all[rank].code) code = ame__error_adopt(all[rank].code, all[rank].text);
    }
    for (int rank = 0; rank < set->size && !code && set->rank == 0; rank++) {
        memcpy(set->workers[rank], all[rank].where, sizeof set->workers[rank]);
        set->workers[rank][AME__REPLICA_WHERE_MAX - 1] = '\0';
        set->report.workers += ame__replica_works(set, rank);
        set->report.gpus += all[rank].on_gpu;
    }
    free(all);
    return code;
}

/* ---- open ---------------------------------------------------------------------------------------- */

static int make_tables(ame_replicas *set)
{
    size_t count = set->count, size = (size_t) set->size;
    set->held = calloc(count, sizeof *set->held);
    if (!set->held) return ame__fail(AME_E_NOMEM, "ame_replicas_open: out of memory for %zu replicas", count);
    if (set->rank != 0) return AME_OK;
    set->known = calloc(count, sizeof *set->known);
    set->workers = calloc(size, sizeof *set->workers);
    set->dead = calloc(size, sizeof *set->dead);
    set->load = calloc(size, sizeof *set->load);
    if (!set->known || !set->workers || !set->dead || !set->load)
        return ame__fail(AME_E_NOMEM, "ame_replicas_open: out of memory for %zu replicas", count);
    for (size_t id = 0; id < count; id++) set->known[id].holder = set->known[id].last = -1;
    return AME_OK;
}

static int set_up(ame_replicas *set, const ame_replica_kind *kind, const struct terms *terms)
{
    int code = same_kind(terms, kind);
    if (!code) {
        set->kind = *kind;
        snprintf(set->name, sizeof set->name, "%s", kind->name);
        set->kind.name = set->name;
    }
    set->count = terms->count;
    set->seed = terms->seed;
    set->root_works = terms->root_works != 0;
    set->use_gpu = terms->use_gpu != 0;
    set->table = terms->table < 0 ? terms->use_gpu && set->kind.kernel : terms->table;
    set->pull = terms->pull;
    set->parameters_stride = ame__replica_round(set->kind.parameters_size + 1);
    set->result_stride = ame__replica_round(set->kind.result_size + 1);
    return code ? code : make_tables(set);
}

static void release(ame_replicas *set)
{
    ame__replica_drop(set);
    if (set->on_gpu) ame__device_close(set);
    if (set->rank == 0) ame__replica_forget(set);
    free(set->held);
    free(set->workers);
    free(set->dead);
    free(set->load);
    free(set);
}

/* The collective part; all ranks go through the same calls, whatever has failed before. */
static int join(ame_replicas *set, const ame_replica_kind *kind, struct terms *terms)
{
    int code = ame_bcast(terms, sizeof *terms, 0, set->comm);
    if (code) return code;
    terms->text[sizeof terms->text - 1] = terms->name[sizeof terms->name - 1] =
        terms->options[sizeof terms->options - 1] = '\0';
    if (terms->code) return ame__error_adopt(terms->code, terms->text);
    int mine = set_up(set, kind, terms);
    if (terms->use_gpu) {
        code =
            ame_gpu_bind(set->comm, ame__replica_works(set, set->rank) && set->kind.kernel, set->table ? stderr : NULL);
        if (code) return code;
    }
    if (!mine) mine = choose(set);
    code = exchange(set, mine);
    if (!code) code = ame_pool_open(set->comm, terms->options, &set->pool);
    return code;
}

int ame_replicas_open(ame_comm *comm, const ame_replica_kind *kind, uint64_t count, uint64_t seed, const char *options,
                      ame_replicas **out)
{
    int rank = ame_comm_rank(comm), size = rank < 0 ? rank : ame_comm_size(comm);
    if (size < 0) return ame__error_prefix(size, "ame_replicas_open");
    if (!out) return ame__fail(AME_E_ARG, "ame_replicas_open: argument 'set' is NULL");
    ame_replicas *set = calloc(1, sizeof *set);
    struct terms *terms = calloc(1, sizeof *terms);
    int code = AME_OK;
    if (!set || !terms) {
        code = ame__fail(AME_E_NOMEM, "ame_replicas_open: out of memory");
    } else {
        set->comm = comm;
        set->rank = rank;
        set->size = size;
        if (rank == 0) propose(terms, kind, count, seed, options);
        code = join(set, kind, terms);
        if (!code && rank == 0) {
            code = ame_pool_set(set->pool, "root_works", ame__replica_works(set, 0) ? "1" : "0");
            if (!code) code = ame_pool_serve(set->pool, ame__replica_work, set);
        }
    }
    free(terms);
    if (code) {
        char text[AME__ERROR_TEXT_MAX];
        snprintf(text, sizeof text, "%s", ame__error_text());
        if (set && set->pool) ame_pool_close(&set->pool);
        if (set) release(set);
        return ame__error_adopt(code, text);
    }
    *out = set;
    return AME_OK;
}

/* ---- use and end --------------------------------------------------------------------------------- */

/* AME_OK if this is rank 0 of a set. */
static int rank_0(const ame_replicas *set, const char *function)
{
    if (!set) return ame__fail(AME_E_ARG, "%s: argument 'set' is NULL", function);
    if (set->rank != 0)
        return ame__fail(AME_E_ARG, "%s: only rank 0 may call it; this is rank %d", function, set->rank);
    return AME_OK;
}

int ame_replicas_serve(ame_replicas *set)
{
    if (!set) return ame__fail(AME_E_ARG, "ame_replicas_serve: argument 'set' is NULL");
    if (set->rank == 0) return ame__fail(AME_E_ARG, "ame_replicas_serve: rank 0 coordinates, with ame_replicas_run");
    return ame_pool_serve(set->pool, ame__replica_work, set);
}

int ame_replicas_run(ame_replicas *set, uint64_t steps, const void *parameters, void *results)
{
    int code = rank_0(set, "ame_replicas_run");
    if (code) return code;
    size_t bytes = set->count * set->kind.parameters_size;
    if (steps == 0) return ame__fail(AME_E_ARG, "ame_replicas_run: argument 'steps' is 0");
    if (!results) return ame__fail(AME_E_ARG, "ame_replicas_run: argument 'results' is NULL");
    if (bytes && !parameters && !set->parameters)
        return ame__fail(AME_E_ARG, "ame_replicas_run: argument 'parameters' is NULL, and there was no run before");
    if (bytes && !set->parameters && !(set->parameters = malloc(bytes)))
        return ame__fail(AME_E_NOMEM, "ame_replicas_run: out of memory for the parameters");
    bool pull = set->pull && (set->report.runs + 1) % set->pull == 0;
    code = ame__replica_advance(set, steps, parameters ? parameters : set->parameters, results, pull);
    if (code) return code;
    if (bytes && parameters) memcpy(set->parameters, parameters, bytes);
    set->report.runs++;
    return AME_OK;
}

int ame_replicas_close(ame_replicas **set)
{
    if (!set || !*set) return AME_OK;
    int code = ame_pool_close(&(*set)->pool), wrong = ame__journal_close((*set)->checkpoint.journal);
    free((*set)->parameters);
    release(*set);
    *set = NULL;
    return code ? code : wrong;
}

const char *ame_replicas_worker(const ame_replicas *set, int rank)
{
    return set && set->rank == 0 && rank >= 0 && rank < set->size ? set->workers[rank] : "";
}

int ame_replicas_inspect(const ame_replicas *set, ame_replicas_report *report)
{
    int code = rank_0(set, "ame_replicas_inspect");
    if (code) return code;
    if (!report) return ame__fail(AME_E_ARG, "ame_replicas_inspect: argument 'report' is NULL");
    *report = set->report;
    return AME_OK;
}
