/* request.c - requests: waited for, tested, started again, given up.
 *
 * A request is a request of libame under way (`ame`), or has completed (`complete`, with its `result`), or is a persistent
 * one that is not active. Waiting for several is one call to libame (ame__seam_wait), which sleeps; what has completed is
 * then taken one by one: data that came packed is put where it belongs, and the result kept until it is reported.
 *
 * Requests that the program gives up (MPI_Request_free) while they are under way are kept in a list and swept now and then;
 * MPI_Finalize waits for those that send.
 */
#include "layer.h"
#include "coll.h"

#include <pthread.h>
#include <stdlib.h>

struct mpi__grequest {
    MPI_Grequest_query_function *query;
    MPI_Grequest_free_function *free;
    MPI_Grequest_cancel_function *cancel;
    void *extra;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mpi__request *given_up; /* guarded by lock */

int mpi__request_new(struct mpi__comm *comm, struct mpi__request **request)
{
    struct mpi__request *made = calloc(1, sizeof *made);
    if (!made || mpi__object_init(&made->object, MPI__REQUEST)) {
        free(made);
        return mpi__no_memory();
    }
    if (comm) mpi__object_hold(&comm->object);
    made->comm = comm;
    made->active = true;
    *request = made;
    return MPI_SUCCESS;
}

int mpi__request_done(const struct mpi__result *result, struct mpi__request **request)
{
    int code = mpi__request_new(NULL, request);
    if (code) return code;
    (*request)->complete = true;
    (*request)->result = *result;
    return MPI_SUCCESS;
}

void mpi__request_drop(struct mpi__request *request)
{
    if (!request || !mpi__object_drop(&request->object)) return;
    mpi__comm_drop(request->comm);
    mpi__type_drop(request->type);
    if (request->pair) mpi__request_drop(request->pair);
    if (request->coll) mpi__coll_free(request->coll);
    free(request->run.temporary);
    free(request->generalized);
    mpi__partitions_free(request->partitions);
    free(request);
}

/* ---- completion ---------------------------------------------------------------------------------- */

/* What libame's request has come to. */
static void finish(struct mpi__request *request, int code, const ame_status *status)
{
    struct mpi__result *result = &request->result;
    *result = mpi__empty;
    result->error = mpi__code(mpi__fail_ame(code), "MPI_Wait");
    if (request->receives && (!code || code == AME_E_TRUNCATED)) {
        result->cancelled = status->cancelled;
        if (!status->cancelled) {
            result->source = status->source - request->comm->remote_base;
            result->tag = status->tag;
            result->length = (int64_t) status->length;
        }
    }
    if (request->receives)
        mpi__run_back(&request->run, code || status->cancelled ? 0 : status->length, request->buf, request->count,
                      request->type);
    if (request->coll) {
        int own = mpi__coll_finish(request->coll, code);
        if (own && !code) result->error = mpi__code(own, "MPI_Wait");
    }
    free(request->run.temporary);
    request->run.temporary = NULL;
    request->complete = true;
}

/* Takes note of its completion, if it has completed. `spare`: not if it has failed because its sender has finalized. */
static bool take_or_spare(struct mpi__request *request, bool spare)
{
    ame_status status = {0};
    int done = 0;
    if (request->flushes && !mpi__buffer_pending(request->flushes)) request->complete = true;
    if (!request->complete && request->ame) {
        int code = ame__seam_take(&request->ame, spare, &done, &status);
        if (done) finish(request, code, &status);
    }
    if (request->complete && request->pair) {
        if (!take_or_spare(request->pair, spare)) return false;
        if (!request->result.error) request->result.error = request->pair->result.error;
    }
    return request->complete;
}

static bool take(struct mpi__request *request)
{
    return take_or_spare(request, false);
}

static bool is_active(const struct mpi__request *request)
{
    return request && request->active;
}

static ame_request *waited_for(const struct mpi__request *request)
{
    if (!is_active(request)) return NULL;
    if (request->ame) return request->ame;
    if (request->flushes) return mpi__buffer_pending(request->flushes);
    return request->pair ? request->pair->ame : NULL;
}

/* Tells the program of a completed request and gives it back. Returns its error code. */
static int report(MPI_Request *handle, struct mpi__request *request, MPI_Status *status)
{
    int error = request->result.error;
    if (request->generalized) {
        MPI_Status own = {0};
        MPI_Status *filled = status == MPI_STATUS_IGNORE ? &own : status;
        mpi__status_set(filled, &mpi__empty);
        error = request->generalized->query(request->generalized->extra, filled);
        int freed = request->generalized->free(request->generalized->extra);
        if (!error) error = freed;
    } else {
        mpi__status_set(status, &request->result);
    }
    if (request->persistent) {
        request->active = false;
    } else {
        *handle = MPI_REQUEST_NULL;
        mpi__request_drop(request);
    }
    return error;
}

/* The objects of an array of handles. */
struct many {
    int count;
    MPI_Request *handles;
    struct mpi__request **requests; /* NULL: a null handle */
    ame_request **ame;
    struct mpi__request *few[16];
    ame_request *few_ame[16];
};

static void many_end(struct many *many)
{
    if (many->requests != many->few) free(many->requests);
    if (many->ame != many->few_ame) free(many->ame);
}

static int many_begin(struct many *many, int count, MPI_Request handles[])
{
    *many = (struct many){.count = count, .handles = handles};
    if (count < 0) return mpi__fail(MPI_ERR_COUNT, "argument 'count' is %d", count);
    if (count && !handles) return mpi__fail(MPI_ERR_REQUEST, "argument 'array_of_requests' is NULL");
    bool few = count <= (int) (sizeof many->few / sizeof *many->few);
    many->requests = few ? many->few : calloc((size_t) count, sizeof *many->requests);
    many->ame = few ? many->few_ame : calloc((size_t) count, sizeof *many->ame);
    int code = many->requests && many->ame ? MPI_SUCCESS : mpi__no_memory();
    for (int i = 0; !code && i < count; i++)
        code = mpi__in_request_or_null(handles[i], "array_of_requests", &many->requests[i]);
    if (code) many_end(many);
    return code;
}

static bool many_active(const struct many *many)
{
    for (int i = 0; i < many->count; i++)
        if (is_active(many->requests[i])) return true;
    return false;
}

/* Takes note of those that have completed: has one (`all`: each, or one with a failure)? */
static bool many_take(struct many *many, bool all)
{
    bool one = false, every = true, failed = false;
    for (int i = 0; i < many->count; i++) {
        if (!is_active(many->requests[i])) continue;
        bool done = take_or_spare(many->requests[i], !all);
        one |= done;
        every &= done;
        failed |= done && many->requests[i]->result.error;
    }
    return all ? every || failed : one;
}

/* Takes one that many_take has spared. */
static bool many_take_spared(struct many *many)
{
    for (int i = 0; i < many->count; i++)
        if (is_active(many->requests[i]) && take(many->requests[i])) return true;
    return false;
}

/* Waits, or looks once, until one (`all`: each) of the active ones has completed. With `all` a failure ends it too. A
 * receive whose sender has finalized will not complete, but need not be told of while another one may: the program may
 * still cancel it. */
static int many_wait(struct many *many, bool all, bool block)
{
    bool ready = false;
    for (bool looked = false;; looked = true) {
        if (many_take(many, all) || (ready && many_take_spared(many))) return MPI_SUCCESS;
        if (looked && !block) return MPI_SUCCESS;
        for (int i = 0; i < many->count; i++) many->ame[i] = waited_for(many->requests[i]);
        int code = mpi__fail_ame(ame__seam_wait((size_t) many->count, many->ame, all, block, &ready));
        if (code) return code;
    }
}

/* Waits for one, or looks once. */
static int wait_one(const struct mpi__request *request, bool block)
{
    ame_request *ame = waited_for(request);
    bool ready;
    return mpi__fail_ame(ame__seam_wait(1, &ame, false, block, &ready));
}

/* ---- one ----------------------------------------------------------------------------------------- */

/* Reports it; a failure is raised on its communicator. */
static int conclude(MPI_Request *handle, struct mpi__request *request, MPI_Status *status)
{
    if (request->result.error) mpi__raise_on(request->comm);
    return report(handle, request, status);
}

int mpi__Wait(MPI_Request *handle, MPI_Status *status)
{
    struct mpi__request *request;
    int code = mpi__in_request_or_null(*handle, "request", &request);
    if (code) return code;
    if (!is_active(request)) {
        mpi__status_set(status, &mpi__empty);
        return MPI_SUCCESS;
    }
    while (!take(request)) {
        code = wait_one(request, true);
        if (code) return code;
    }
    return conclude(handle, request, status);
}

int mpi__Test(MPI_Request *handle, int *flag, MPI_Status *status)
{
    struct mpi__request *request;
    int code = mpi__in_request_or_null(*handle, "request", &request);
    if (code) return code;
    *flag = 1;
    if (!is_active(request)) {
        mpi__status_set(status, &mpi__empty);
        return MPI_SUCCESS;
    }
    if (!take(request)) {
        code = wait_one(request, false);
        if (code) return code;
        *flag = take(request);
    }
    return *flag ? conclude(handle, request, status) : MPI_SUCCESS;
}

/* ---- several ------------------------------------------------------------------------------------- */

/* The first completed one, reported; *index MPI_UNDEFINED: there is none. */
static int conclude_any(struct many *many, int *index, MPI_Status *status)
{
    *index = MPI_UNDEFINED;
    for (int i = 0; i < many->count; i++) {
        if (!is_active(many->requests[i]) || !many->requests[i]->complete || !take(many->requests[i])) continue;
        *index = i;
        return conclude(&many->handles[i], many->requests[i], status);
    }
    return MPI_SUCCESS;
}

static int any(int count, MPI_Request handles[], int *index, int *flag, MPI_Status *status, bool block)
{
    struct many many;
    int code = many_begin(&many, count, handles);
    if (code) return code;
    *flag = 1;
    if (!many_active(&many)) {
        *index = MPI_UNDEFINED;
        mpi__status_set(status, &mpi__empty);
    } else {
        code = many_wait(&many, false, block);
        if (!code) code = conclude_any(&many, index, status);
        *flag = *index != MPI_UNDEFINED;
    }
    many_end(&many);
    return code;
}

int mpi__Waitany(int count, MPI_Request handles[], int *index, MPI_Status *status)
{
    int flag;
    return any(count, handles, index, &flag, status, true);
}

int mpi__Testany(int count, MPI_Request handles[], int *index, int *flag, MPI_Status *status)
{
    return any(count, handles, index, flag, status, false);
}

/* Reports all that have completed. If one has failed, each status gets its error: MPI_ERR_PENDING for those under way. */
static int conclude_all(struct many *many, MPI_Status statuses[])
{
    bool failed = false;
    bool ignored = statuses == MPI_STATUSES_IGNORE;
    for (int i = 0; i < many->count; i++)
        if (is_active(many->requests[i]) && many->requests[i]->complete && many->requests[i]->result.error) {
            if (!failed) mpi__raise_on(many->requests[i]->comm);
            failed = true;
        }
    for (int i = 0; i < many->count; i++) {
        MPI_Status *status = ignored ? MPI_STATUS_IGNORE : &statuses[i];
        struct mpi__request *request = many->requests[i];
        int error = MPI_SUCCESS;
        if (!is_active(request))
            mpi__status_set(status, &mpi__empty);
        else if (request->complete && take(request))
            error = report(&many->handles[i], request, status);
        else
            error = MPI_ERR_PENDING;
        if (error && error != MPI_ERR_PENDING) failed = true;
        if (failed && !ignored) status->MPI_ERROR = error;
        if (failed && !ignored) /* those before it had none */
            for (int before = i; before-- > 0 && error && error != MPI_ERR_PENDING;)
                if (statuses[before].MPI_ERROR != MPI_ERR_PENDING && !many->requests[before])
                    statuses[before].MPI_ERROR = 0;
    }
    return failed ? mpi__fail(MPI_ERR_IN_STATUS, "%s", "one of the requests has failed") : MPI_SUCCESS;
}

int mpi__Waitall(int count, MPI_Request handles[], MPI_Status statuses[])
{
    struct many many;
    int code = many_begin(&many, count, handles);
    if (code) return code;
    if (many_active(&many)) code = many_wait(&many, true, true);
    if (!code) code = conclude_all(&many, statuses);
    many_end(&many);
    return code;
}

int mpi__Testall(int count, MPI_Request handles[], int *flag, MPI_Status statuses[])
{
    struct many many;
    int code = many_begin(&many, count, handles);
    if (code) return code;
    *flag = 1;
    if (many_active(&many)) code = many_wait(&many, true, false);
    bool failed = false;
    for (int i = 0; !code && i < count; i++)
        if (is_active(many.requests[i])) {
            if (!many.requests[i]->complete) *flag = 0;
            failed |= many.requests[i]->complete && many.requests[i]->result.error;
        }
    if (!code && (*flag || failed)) code = conclude_all(&many, statuses);
    many_end(&many);
    return code;
}

static int some(int count, MPI_Request handles[], int *outcount, int indices[], MPI_Status statuses[], bool block)
{
    struct many many;
    bool failed = false;
    int code = many_begin(&many, count, handles);
    if (code) return code;
    *outcount = MPI_UNDEFINED;
    if (many_active(&many)) {
        code = many_wait(&many, false, block);
        *outcount = 0;
        for (int i = 0; !code && i < count; i++)
            if (is_active(many.requests[i]) && many.requests[i]->complete && many.requests[i]->result.error) {
                if (!failed) mpi__raise_on(many.requests[i]->comm);
                failed = true;
            }
        for (int i = 0; !code && i < count; i++) {
            if (!is_active(many.requests[i]) || !many.requests[i]->complete || !take(many.requests[i])) continue;
            MPI_Status *status = statuses == MPI_STATUSES_IGNORE ? MPI_STATUS_IGNORE : &statuses[*outcount];
            int error = report(&handles[i], many.requests[i], status);
            failed |= error != MPI_SUCCESS;
            if (failed && status != MPI_STATUS_IGNORE) status->MPI_ERROR = error;
            indices[(*outcount)++] = i;
        }
    }
    many_end(&many);
    return failed ? mpi__fail(MPI_ERR_IN_STATUS, "one of the requests has failed") : code;
}

int mpi__Waitsome(int count, MPI_Request handles[], int *outcount, int indices[], MPI_Status statuses[])
{
    return some(count, handles, outcount, indices, statuses, true);
}

int mpi__Testsome(int count, MPI_Request handles[], int *outcount, int indices[], MPI_Status statuses[])
{
    return some(count, handles, outcount, indices, statuses, false);
}

/* ---- looked at ----------------------------------------------------------------------------------- */

/* What a status would tell, without reporting. */
static void describe(const struct mpi__request *request, MPI_Status *status)
{
    if (!is_active(request)) {
        mpi__status_set(status, &mpi__empty);
    } else if (request->generalized && status != MPI_STATUS_IGNORE) {
        mpi__status_set(status, &mpi__empty);
        (void) request->generalized->query(request->generalized->extra, status);
    } else {
        mpi__status_set(status, &request->result);
    }
}

int mpi__Request_get_status(struct mpi__request *request, int *flag, MPI_Status *status)
{
    *flag = 1;
    if (is_active(request) && !take(request)) {
        int code = wait_one(request, false);
        if (code) return code;
        *flag = take(request);
    }
    if (*flag) describe(request, status);
    return MPI_SUCCESS;
}

int mpi__Request_get_status_all(int count, const MPI_Request handles[], int *flag, MPI_Status statuses[])
{
    struct many many;
    int code = many_begin(&many, count, (MPI_Request *) (uintptr_t) handles);
    if (code) return code;
    *flag = 1;
    if (many_active(&many)) code = many_wait(&many, true, false);
    for (int i = 0; i < count; i++) *flag &= !is_active(many.requests[i]) || many.requests[i]->complete;
    for (int i = 0; !code && *flag && statuses != MPI_STATUSES_IGNORE && i < count; i++)
        describe(many.requests[i], &statuses[i]);
    many_end(&many);
    return code;
}

int mpi__Request_get_status_any(int count, const MPI_Request handles[], int *index, int *flag, MPI_Status *status)
{
    struct many many;
    int code = many_begin(&many, count, (MPI_Request *) (uintptr_t) handles);
    if (code) return code;
    *flag = 1;
    *index = MPI_UNDEFINED;
    if (!many_active(&many)) {
        mpi__status_set(status, &mpi__empty);
        if (status != MPI_STATUS_IGNORE) status->MPI_ERROR = MPI_SUCCESS;
    } else {
        code = many_wait(&many, false, false);
        for (int i = 0; *index == MPI_UNDEFINED && i < count; i++)
            if (is_active(many.requests[i]) && many.requests[i]->complete) *index = i;
        *flag = *index != MPI_UNDEFINED;
        if (*flag) describe(many.requests[*index], status);
    }
    many_end(&many);
    return code;
}

int mpi__Request_get_status_some(int count, const MPI_Request handles[], int *outcount, int indices[],
                                 MPI_Status statuses[])
{
    struct many many;
    int code = many_begin(&many, count, (MPI_Request *) (uintptr_t) handles);
    if (code) return code;
    *outcount = MPI_UNDEFINED;
    if (many_active(&many)) {
        code = many_wait(&many, false, false);
        *outcount = 0;
        for (int i = 0; !code && i < count; i++) {
            if (!is_active(many.requests[i]) || !many.requests[i]->complete) continue;
            if (statuses != MPI_STATUSES_IGNORE) describe(many.requests[i], &statuses[*outcount]);
            indices[(*outcount)++] = i;
        }
    }
    many_end(&many);
    return code;
}

/* ---- started, given up, cancelled ---------------------------------------------------------------- */

static int start(struct mpi__request *request)
{
    if (!request->persistent) return mpi__fail(MPI_ERR_REQUEST, "the request is not a persistent one");
    if (request->active) return mpi__fail(MPI_ERR_REQUEST, "the request is active already");
    request->complete = false;
    request->result = mpi__empty;
    request->active = true;
    int code = request->start(request);
    if (code) request->active = false;
    return code;
}

int mpi__Start(MPI_Request *handle)
{
    struct mpi__request *request;
    int code = mpi__in_request(*handle, "request", &request);
    if (!code) mpi__raise_on(request->comm);
    return code ? code : start(request);
}

int mpi__Startall(int count, MPI_Request handles[])
{
    struct mpi__request *request;
    if (count < 0) return mpi__fail(MPI_ERR_COUNT, "argument 'count' is %d", count);
    for (int i = 0; i < count; i++) {
        int code = mpi__in_request(handles[i], "array_of_requests", &request);
        if (!code) code = start(request);
        if (code) return code;
    }
    return MPI_SUCCESS;
}

void mpi__request_give_up(struct mpi__request *request)
{
    pthread_mutex_lock(&lock);
    request->next = given_up;
    given_up = request;
    pthread_mutex_unlock(&lock);
    mpi__requests_sweep();
}

int mpi__Request_free(MPI_Request *handle)
{
    struct mpi__request *request;
    int code = mpi__in_request(*handle, "request", &request);
    if (code) return code;
    *handle = MPI_REQUEST_NULL;
    if (request->generalized && request->complete) {
        (void) request->generalized->free(request->generalized->extra);
        mpi__request_drop(request);
    } else if (!is_active(request) || request->complete) {
        mpi__request_drop(request);
    } else {
        mpi__request_give_up(request);
    }
    return MPI_SUCCESS;
}

/* A generalized request that was given up is freed by the program's function once it completes. */
static void end_given_up(struct mpi__request *request)
{
    if (request->generalized) (void) request->generalized->free(request->generalized->extra);
    mpi__request_drop(request);
}

void mpi__requests_sweep(void)
{
    pthread_mutex_lock(&lock);
    struct mpi__request *all = given_up, *left = NULL;
    given_up = NULL;
    pthread_mutex_unlock(&lock);
    while (all) {
        struct mpi__request *request = all;
        all = all->next;
        if (take(request)) {
            end_given_up(request);
        } else {
            request->next = left;
            left = request;
        }
    }
    pthread_mutex_lock(&lock);
    while (left) {
        struct mpi__request *next = left->next;
        left->next = given_up;
        given_up = left;
        left = next;
    }
    pthread_mutex_unlock(&lock);
}

void mpi__requests_close(void)
{
    mpi__requests_sweep();
    while (given_up) {
        struct mpi__request *request = given_up;
        given_up = request->next;
        while (!request->receives && !request->coll && !request->generalized && !take(request)) {
            if (!waited_for(request) || wait_one(request, true)) break;
        }
        request->ame = NULL; /* what it still waits for is cancelled by ame_finalize */
        if (request->object.magic) mpi__request_drop(request);
    }
}

int mpi__Cancel(MPI_Request *handle)
{
    struct mpi__request *request;
    int code = mpi__in_request(*handle, "request", &request);
    if (code) return code;
    if (request->generalized) {
        int complete = request->complete;
        ame_status status;
        if (!complete) code = mpi__fail_ame(ame__seam_peek(request->ame, &complete, &status));
        return code ? code : request->generalized->cancel(request->generalized->extra, complete);
    }
    if (!is_active(request)) return mpi__fail(MPI_ERR_REQUEST, "the request is not active");
    if (request->complete || !request->ame || request->coll) return MPI_SUCCESS;
    return mpi__fail_ame(ame_cancel(request->ame));
}

/* ---- generalized --------------------------------------------------------------------------------- */

int mpi__Grequest_start(MPI_Grequest_query_function *query, MPI_Grequest_free_function *free_function,
                        MPI_Grequest_cancel_function *cancel, void *extra, struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    int code = mpi__request_new(NULL, &made);
    if (code) return code;
    made->generalized = malloc(sizeof *made->generalized);
    if (made->generalized)
        *made->generalized =
            (struct mpi__grequest){.query = query, .free = free_function, .cancel = cancel, .extra = extra};
    code = made->generalized ? mpi__fail_ame(ame__seam_manual(&made->ame)) : mpi__no_memory();
    if (code) {
        mpi__request_drop(made);
        return code;
    }
    *request = made;
    return MPI_SUCCESS;
}

int mpi__Grequest_complete(struct mpi__request *request)
{
    if (!request->generalized) return mpi__fail(MPI_ERR_REQUEST, "the request is not a generalized one");
    if (request->complete) return mpi__fail(MPI_ERR_REQUEST, "the request has been completed already");
    return mpi__fail_ame(ame__seam_complete(request->ame));
}
