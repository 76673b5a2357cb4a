/* sched.c - runs schedules. See sched.h. */
#include "sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

enum step_kind { SEND, RECV, COPY, COMBINE, CALL };

struct step {
    enum step_kind kind;
    unsigned round;
    struct ame_request request; /* SEND, RECV; COPY, where it has a stage */
    const void *from;           /* COPY, COMBINE */
    void *to;
    size_t length; /* bytes, or elements to combine */
    ame__combine_fn combine;
    void (*call)(void *arg); /* CALL, with `to` */
};

struct memory {
    struct memory *next;
    unsigned char bytes[];
};

struct ame__sched {
    ame_comm *comm;
    int tag;
    uint64_t check;
    struct step *steps;
    size_t count, room;
    size_t next;  /* first step of the next round */
    size_t local; /* from it to `next`: steps of this round of which the local ones are not done */
    bool waits;   /* for the local step before that */
    unsigned round;
    int outstanding; /* messages of this round, and the local step that is waited for */
    bool advancing, no_memory;
    int code, blame;
    char *text;
    struct memory *memory;
    struct ame_request *handle;
    struct ame__callout callout; /* for a CALL */
};

/* ---- mistakes of the caller -------------------------------------------------------------------- */

static const char *collective_name(uint64_t check)
{
    switch ((enum ame__coll_kind)(check & 0xff)) {
#define NAME(id, name)                                                                                                 \
    case AME__##id: return name;
        AME__COLLS(NAME)
#undef NAME
    default: return "an unknown call";
    }
}

static void describe_mismatch(const struct ame_request *request, int source, uint64_t check, size_t length, char *text,
                              size_t size)
{
    int rank = ame__comm_from_world(request->comm, source), here = request->comm->rank;
    const char *name = collective_name(request->check);
    if ((check ^ request->check) & 0xff)
        snprintf(text, size, "rank %d has called %s where this rank (%d) has called %s", rank, collective_name(check),
                 here, name);
    else if ((check ^ request->check) & 0xffffffffu)
        snprintf(text, size, "argument 'root' differs: %llu at rank %d, %llu at this rank (%d)",
                 (unsigned long long) (check >> 8 & 0xffffff), rank,
                 (unsigned long long) (request->check >> 8 & 0xffffff), here);
    else if (check != request->check)
        snprintf(text, size, "argument 'type' or 'op' differs between rank %d and this rank (%d)", rank, here);
    else
        snprintf(text, size,
                 "the length differs: rank %d has sent %zu bytes where this rank (%d) expects %zu; every rank "
                 "must give the same 'length' or 'count', in a v form the one that the other side expects",
                 rank, length, here, request->length);
}

/* ---- writing a schedule -------------------------------------------------------------------------- */

static struct step *add(struct ame__sched *sched, enum step_kind kind)
{
    if (sched->count == sched->room) {
        size_t room = sched->room ? 2 * sched->room : 8;
        struct step *steps = realloc(sched->steps, room * sizeof *steps);
        if (!steps) {
            sched->no_memory = true;
            return NULL;
        }
        sched->steps = steps;
        sched->room = room;
    }
    struct step *step = &sched->steps[sched->count++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    step->round = sched->round;
    return step;
}

/* The request's buffer, or what is copied to it, is device memory. */
static void stage(struct ame__sched *sched, struct ame_request *request, const void *device)
{
    request->stage = ame__gpu_stage_make(device);
    request->device = device == request->buffer;
    if (!request->stage) sched->no_memory = true;
}

static void add_message(struct ame__sched *sched, enum step_kind kind, void *buffer, size_t length, int rank)
{
    struct step *step = add(sched, kind);
    if (!step) return;
    struct ame_request *request = &step->request;
    request->kind = kind == SEND ? AME__SEND : AME__RECV;
    request->mismatch = kind == RECV ? describe_mismatch : NULL;
    request->comm = sched->comm;
    request->context = sched->comm->collective;
    request->peer = ame__comm_to_world(sched->comm, rank);
    request->tag = sched->tag;
    request->check = sched->check;
    request->buffer = buffer;
    request->length = length;
    if (length && ame__gpu_stages(buffer)) stage(sched, request, buffer);
}

void ame__sched_send(struct ame__sched *sched, const void *buffer, size_t length, int rank)
{
    add_message(sched, SEND, (void *) (uintptr_t) buffer, length, rank); /* is only read */
}

void ame__sched_recv(struct ame__sched *sched, void *buffer, size_t length, int rank)
{
    add_message(sched, RECV, buffer, length, rank);
}

void ame__sched_copy(struct ame__sched *sched, void *to, const void *from, size_t length)
{
    if (length == 0 || to == from) return;
    struct step *step = add(sched, COPY);
    if (!step) return;
    step->to = to;
    step->from = from;
    step->length = length;
    step->request.buffer = to;
    if (ame__gpu_stages(to))
        stage(sched, &step->request, to);
    else if (ame__gpu_stages(from))
        stage(sched, &step->request, from);
}

void ame__sched_combine(struct ame__sched *sched, ame__combine_fn combine, const void *in, void *acc, size_t count)
{
    if (count == 0) return;
    struct step *step = add(sched, COMBINE);
    if (!step) return;
    step->to = acc;
    step->from = in;
    step->length = count;
    step->combine = combine;
}

void ame__sched_call(struct ame__sched *sched, void (*call)(void *arg), void *arg)
{
    struct step *step = add(sched, CALL);
    if (!step) return;
    step->call = call;
    step->to = arg;
}

void ame__sched_round(struct ame__sched *sched)
{
    sched->round++;
}

void *ame__sched_memory(struct ame__sched *sched, size_t size)
{
    if (size == 0) return NULL;
    struct memory *memory = malloc(sizeof *memory + size);
    if (!memory) {
        sched->no_memory = true;
        return NULL;
    }
    memory->next = sched->memory;
    sched->memory = memory;
    return memory->bytes;
}

/* ---- running it ---------------------------------------------------------------------------------- */

static void destroy(struct ame__sched *sched)
{
    for (struct memory *memory = sched->memory, *next; memory; memory = next) {
        next = memory->next;
        free(memory);
    }
    for (size_t i = 0; i < sched->count; i++) ame__gpu_stage_close(sched->steps[i].request.stage); /* was not started */
    free(sched->steps);
    free(sched->text);
    free(sched);
}

static void advance(struct ame__sched *sched);

static void send_poison(const struct ame__sched *sched, const struct ame_request *request)
{
    ame__send_poison(request->context, request->peer, request->tag, request->check, sched->code, sched->blame,
                     sched->text, false);
}

static void step_done(struct ame_request *request)
{
    struct ame__sched *sched = request->owner;
    if (request->code && !sched->code) {
        sched->code = request->code;
        sched->blame = request->blame;
        sched->text = request->text;
        request->text = NULL;
        ame__log(coll, DEBUG, "call %d fails: %s", sched->tag, sched->text ? sched->text : "");
    }
    if (request->code && request->kind == AME__SEND) send_poison(sched, request); /* its device has failed */
    free(request->text);
    request->text = NULL;
    sched->outstanding--;
    advance(sched);
}

static void start_message(struct ame__sched *sched, struct ame_request *request)
{
    request->owner = sched;
    request->on_done = step_done;
    sched->outstanding++;
    if (request->kind == AME__RECV) {
        ame__recv_start(request);
    } else if (sched->code) {
        send_poison(sched, request);
        ame__list_init(&request->link);
        request->comm->active++;
        ame__request_done(request, AME_OK, NULL);
    } else {
        ame__send_start(request);
    }
}

/* ---- local steps: in their order; one that cannot be done at once is waited for ---- */

static void copied(struct ame_request *request)
{
    struct ame__sched *sched = request->owner;
    sched->waits = false;
    step_done(request);
}

static void start_copy(struct ame__sched *sched, struct step *step)
{
    step->request.kind = AME__COPY;
    step->request.comm = sched->comm;
    step->request.length = step->length;
    step->request.owner = sched;
    step->request.on_done = copied;
    ame__staged_copy(&step->request, step->from);
}

static void call_out(struct ame__callout *callout)
{
    struct ame__sched *sched = ame__container_of(callout, struct ame__sched, callout);
    const struct step *step = &sched->steps[sched->local - 1];
    step->call(step->to);
}

static void called_out(struct ame__callout *callout)
{
    struct ame__sched *sched = ame__container_of(callout, struct ame__sched, callout);
    sched->waits = false;
    sched->outstanding--;
    advance(sched);
}

static void run_local(struct ame__sched *sched)
{
    while (!sched->waits && sched->local < sched->next && !sched->code) {
        struct step *step = &sched->steps[sched->local++];
        if (step->kind == COMBINE) step->combine(step->from, step->to, step->length);
        if (step->kind == COPY && !step->request.stage) memcpy(step->to, step->from, step->length);
        sched->waits = step->kind == CALL || (step->kind == COPY && step->request.stage);
        if (!sched->waits) continue;
        sched->outstanding++;
        if (step->kind == CALL)
            ame__callout_add(&sched->callout);
        else
            start_copy(sched, step);
    }
    if (!sched->waits) sched->local = sched->next;
}

static void start_round(struct ame__sched *sched)
{
    struct step *steps = sched->steps;
    size_t begin = sched->next, end = begin;
    while (end < sched->count && steps[end].round == steps[begin].round) end++;
    sched->next = end;
    for (size_t i = begin; i < end; i++)
        if (steps[i].kind == RECV) start_message(sched, &steps[i].request);
    for (size_t i = begin; i < end; i++)
        if (steps[i].kind == SEND) start_message(sched, &steps[i].request);
    sched->local = begin;
}

static void advance(struct ame__sched *sched)
{
    if (sched->advancing) return;
    sched->advancing = true;
    for (;;) {
        run_local(sched);
        if (sched->outstanding || sched->next == sched->count) break;
        start_round(sched);
    }
    sched->advancing = false;
    if (sched->outstanding) return;
    struct ame_request *handle = sched->handle;
    int code = sched->code;
    char *text = sched->text;
    sched->text = NULL;
    handle->blame = sched->blame;
    destroy(sched);
    ame__request_done(handle, code, text);
    free(text);
}

/* The rank of the world that all receives come from, or -1. */
static int hint_of(const struct ame__sched *sched)
{
    int hint = -1;
    for (size_t i = 0; i < sched->count; i++) {
        if (sched->steps[i].kind != RECV) continue;
        if (hint >= 0 && sched->steps[i].request.peer != hint) return -1;
        hint = sched->steps[i].request.peer;
    }
    return hint;
}

static struct ame__sched *create(const struct ame__coll *call)
{
    struct ame__sched *sched = calloc(1, sizeof *sched);
    /* The number is used up also when there is no memory: the other ranks go on with the next one. */
    int tag = (int) (call->comm->sequence++ & AME_TAG_MAX);
    if (!sched || call->comm->collective->closed) {
        free(sched);
        return NULL;
    }
    sched->comm = call->comm;
    sched->tag = tag;
    sched->callout.run = call_out;
    sched->callout.after = called_out;
    sched->check = (uint64_t) call->kind | (uint64_t) (uint32_t) call->root << 8 | (uint64_t) call->type << 32 |
                   (uint64_t) call->op << 40;
    call->build(sched, call);
    if (!sched->no_memory) return sched;
    destroy(sched);
    return NULL;
}

/* Without memory this rank cannot take part in the call, nor tell what it would have sent to whom. So it gives up the
 * communicator for collective calls: this one and all later ones fail, here and for whoever waits for this rank in them,
 * and what others send for them is dropped. A new communicator can be made. */
static int give_up(ame_comm *comm, const char *function)
{
    char text[300];
    int tag = (int) ((comm->sequence - 1) & AME_TAG_MAX);
    if (comm->collective->closed)
        return ame__fail(
            AME_E_NOMEM,
            "%s: this rank had no memory for an earlier collective call on this communicator, which has ended "
            "them; make a new communicator (ame_comm_dup)",
            function);
    ame__context_close(comm->collective, tag);
    snprintf(text, sizeof text,
             "rank %d on host %s is out of memory for %s; this communicator has no more collective calls", comm->rank,
             ame__engine.host, function);
    for (int rank = 0; rank < comm->size; rank++)
        if (rank != comm->rank)
            ame__send_poison(comm->collective, ame__comm_to_world(comm, rank), tag, 0, AME_E_NOMEM, 0, text, true);
    return ame__fail(AME_E_NOMEM, "%s: out of memory; this communicator has no more collective calls", function);
}

int ame__coll_give_up(ame_comm *comm, const char *function)
{
    comm->sequence++; /* the other ranks are in it */
    return give_up(comm, function);
}

static int check(const struct ame__coll *call)
{
    int code = ame__comm_check(call->comm, call->function);
    if (!code && call->rooted) code = ame__comm_check_rank(call->comm, call->root, "root", call->function);
    if (!code && call->check) code = call->check(call);
    return code;
}

static void begin(struct ame__sched *sched, struct ame_request *handle, const struct ame__coll *call)
{
    handle->kind = AME__COLL;
    handle->comm = call->comm;
    handle->peer = AME_ANY_SOURCE;
    handle->name = call->function;
    handle->tag = sched->tag;
    sched->handle = handle;
    call->comm->active++;
    advance(sched);
}

static int run_blocking(const struct ame__coll *call)
{
    struct ame_request handle = {0};
    struct ame__sched *sched = create(call);
    if (!sched) return give_up(call->comm, call->function);
    int hint = hint_of(sched);
    ame__list_init(&handle.link);
    sched->callout.request = &handle;
    begin(sched, &handle, call);
    struct ame__wait wait = {.call = call->function, .request = &handle};
    if (!ame__request_is_done(&handle)) ame__wait_until(ame__request_ready, &handle, hint, &wait);
    return ame__finish(&handle, call->function, NULL);
}

static int start(const struct ame__coll *call, ame_request **request)
{
    if (!request) return ame__fail(AME_E_ARG, "%s: argument 'request' is NULL", call->function);
    struct ame__sched *sched = create(call); /* first, since it counts the call */
    struct ame_request *handle = sched ? ame__request_create() : NULL;
    if (!handle) {
        if (sched) destroy(sched);
        return give_up(call->comm, call->function);
    }
    *request = handle;
    begin(sched, handle, call);
    return AME_OK;
}

int ame__coll_run(const struct ame__coll *call)
{
    int code = ame__enter(call->function);
    if (code) return code;
    code = check(call);
    if (!code) code = run_blocking(call);
    ame__leave();
    return code;
}

int ame__coll_start(const struct ame__coll *call, ame_request **request)
{
    int code = ame__enter(call->function);
    if (code) return code;
    code = check(call);
    if (!code) code = start(call, request);
    ame__leave();
    return code;
}
