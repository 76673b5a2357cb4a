/* p2p.c - the public send and receive calls: check the arguments, fill in a request, start it. */
#include "comm.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int check_tag(int tag, bool any, const char *argument, const char *function)
{
    if (tag >= 0 || (any && tag == AME_ANY_TAG)) return AME_OK;
    return ame__fail(AME_E_TAG, "%s: argument '%s' is %d; tags are 0 to %d%s", function, argument, tag, AME_TAG_MAX,
                     any ? " or AME_ANY_TAG" : "");
}

static int prepare_send(struct ame_request *request, const void *buf, size_t length, int dest, int tag,
                        const char *buf_name, const char *tag_name, ame_comm *comm, const char *function)
{
    int code = ame__comm_check(comm, function);
    if (!code) code = ame__comm_check_rank(comm, dest, "dest", function);
    if (!code) code = check_tag(tag, false, tag_name, function);
    if (!code) code = ame__check_buffer(buf, length, buf_name, function);
    if (code) return code;
    request->kind = AME__SEND;
    request->comm = comm;
    request->context = comm->context;
    request->peer = ame__comm_to_world(comm, dest);
    request->tag = tag;
    request->buffer = (unsigned char *) (uintptr_t) buf; /* is only read */
    request->length = length;
    return AME_OK;
}

static int check_source(int source, ame_comm *comm, const char *function)
{
    return source == AME_ANY_SOURCE ? AME_OK : ame__comm_check_rank(comm, source, "source", function);
}

static int prepare_recv(struct ame_request *request, void *buf, size_t capacity, int source, int tag,
                        const char *buf_name, const char *tag_name, ame_comm *comm, const char *function)
{
    int code = ame__comm_check(comm, function);
    if (!code) code = check_source(source, comm, function);
    if (!code) code = check_tag(tag, true, tag_name, function);
    if (!code) code = ame__check_buffer(buf, capacity, buf_name, function);
    if (code) return code;
    request->kind = AME__RECV;
    request->comm = comm;
    request->context = comm->context;
    request->peer = source == AME_ANY_SOURCE ? AME_ANY_SOURCE : ame__comm_to_world(comm, source);
    request->tag = tag;
    request->buffer = buf;
    request->length = capacity;
    return AME_OK;
}

/* ---- device memory ------------------------------------------------------------------------------- */

/* Prepares a request whose buffer is device memory. */
static int stage_device(struct ame_request *request, const char *function)
{
    int code = ame__gpu_stage_ready();
    if (!code && !(request->stage = ame__gpu_stage_make(request->buffer)))
        code = ame__fail(AME_E_NOMEM, "out of memory");
    request->device = !code;
    return code ? ame__error_prefix(code, "%s", function) : AME_OK;
}

static inline int stage(struct ame_request *request, const char *function)
{
    return ame__gpu_stages(request->buffer) && request->length ? stage_device(request, function) : AME_OK;
}

/* ---- blocking ------------------------------------------------------------------------------------ */

static int send_blocking(const void *buf, size_t length, int dest, int tag, ame_comm *comm, bool synchronous,
                         const char *function)
{
    struct ame_request request = {.synchronous = synchronous};
    int code = ame__enter(function);
    if (code) return code;
    code = prepare_send(&request, buf, length, dest, tag, "buf", "tag", comm, function);
    if (!code) code = stage(&request, function);
    if (!code) {
        ame__send_start(&request);
        code = ame__finish(&request, function, NULL);
    }
    ame__leave();
    return code;
}

int ame_send(const void *buf, size_t length, int dest, int tag, ame_comm *comm)
{
    return send_blocking(buf, length, dest, tag, comm, false, "ame_send");
}

int ame_ssend(const void *buf, size_t length, int dest, int tag, ame_comm *comm)
{
    return send_blocking(buf, length, dest, tag, comm, true, "ame_ssend");
}

int ame_recv(void *buf, size_t capacity, int source, int tag, ame_comm *comm, ame_status *status)
{
    static const char function[] = "ame_recv";
    struct ame_request request = {0};
    int code = ame__enter(function);
    if (code) return code;
    code = prepare_recv(&request, buf, capacity, source, tag, "buf", "tag", comm, function);
    if (!code) code = stage(&request, function);
    if (!code) {
        ame__recv_start(&request);
        code = ame__finish(&request, function, status);
    }
    ame__leave();
    return code;
}

static bool both_done(void *arg)
{
    struct ame_request *requests = arg;
    return ame__request_is_over(&requests[0]) && ame__request_is_over(&requests[1]);
}

int ame_sendrecv(const void *sendbuf, size_t sendlength, int dest, int sendtag, void *recvbuf, size_t capacity,
                 int source, int recvtag, ame_comm *comm, ame_status *status)
{
    static const char function[] = "ame_sendrecv";
    struct ame_request both[2] = {0};
    int code = ame__enter(function);
    if (code) return code;
    code = prepare_recv(&both[1], recvbuf, capacity, source, recvtag, "recvbuf", "recvtag", comm, function);
    if (!code) code = prepare_send(&both[0], sendbuf, sendlength, dest, sendtag, "sendbuf", "sendtag", comm, function);
    if (!code) code = stage(&both[0], function);
    if (!code && (code = stage(&both[1], function))) ame__gpu_stage_close(both[0].stage);
    if (!code) {
        ame__recv_start(&both[1]);
        ame__send_start(&both[0]);
        struct ame__wait wait = {.call = function, .request = &both[1]};
        ame__wait_until(both_done, both, ame__request_hint(&both[1]), &wait);
        int send_code = ame__finish(&both[0], function, NULL);
        code = ame__finish(&both[1], function, status);
        if (!code) code = send_code;
    }
    ame__leave();
    return code;
}

int ame_recv_alloc(void **buf, size_t *length, int source, int tag, ame_comm *comm, ame_status *status)
{
    static const char function[] = "ame_recv_alloc";
    ame_message *message;
    ame_status found;
    if (!buf || !length) return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, buf ? "length" : "buf");
    int code = ame_mprobe(source, tag, comm, &message, &found);
    if (code) return code;
    void *memory = malloc(found.length ? found.length : 1);
    if (!memory) {
        int lost = ame_mrecv(NULL, 0, &message, NULL); /* consumed, as with a receive that is too short */
        (void) lost;
        return ame__fail(AME_E_NOMEM, "%s: out of memory for a message of %zu bytes from rank %d", function,
                         found.length, found.source);
    }
    code = ame_mrecv(memory, found.length, &message, status);
    if (code) {
        free(memory);
        return code;
    }
    *buf = memory;
    *length = found.length;
    return AME_OK;
}

/* ---- non-blocking -------------------------------------------------------------------------------- */

static int check_handle(ame_request **request, const char *function)
{
    return request ? AME_OK : ame__fail(AME_E_ARG, "%s: argument 'request' is NULL", function);
}

static int out_of_requests(const struct ame_request *checked)
{
    ame__gpu_stage_close(checked->stage);
    return AME_E_NOMEM;
}

static int send_nonblocking(const void *buf, size_t length, int dest, int tag, ame_comm *comm, bool synchronous,
                            ame_request **handle, const char *function)
{
    struct ame_request checked = {.synchronous = synchronous}, *request = NULL;
    int code = ame__enter(function);
    if (code) return code;
    code = check_handle(handle, function);
    if (!code) code = prepare_send(&checked, buf, length, dest, tag, "buf", "tag", comm, function);
    if (!code) code = stage(&checked, function);
    if (!code && !(request = ame__request_create())) code = out_of_requests(&checked);
    if (!code) {
        *request = checked;
        request->magic = AME__REQUEST_MAGIC;
        ame__send_start(request);
        *handle = request;
    }
    ame__leave();
    return code;
}

int ame_isend(const void *buf, size_t length, int dest, int tag, ame_comm *comm, ame_request **request)
{
    return send_nonblocking(buf, length, dest, tag, comm, false, request, "ame_isend");
}

int ame_issend(const void *buf, size_t length, int dest, int tag, ame_comm *comm, ame_request **request)
{
    return send_nonblocking(buf, length, dest, tag, comm, true, request, "ame_issend");
}

int ame_irecv(void *buf, size_t capacity, int source, int tag, ame_comm *comm, ame_request **handle)
{
    static const char function[] = "ame_irecv";
    struct ame_request checked = {0}, *request = NULL;
    int code = ame__enter(function);
    if (code) return code;
    code = check_handle(handle, function);
    if (!code) code = prepare_recv(&checked, buf, capacity, source, tag, "buf", "tag", comm, function);
    if (!code) code = stage(&checked, function);
    if (!code && !(request = ame__request_create())) code = out_of_requests(&checked);
    if (!code) {
        *request = checked;
        request->magic = AME__REQUEST_MAGIC;
        ame__recv_start(request);
        *handle = request;
    }
    ame__leave();
    return code;
}

/* ---- probes -------------------------------------------------------------------------------------- */

struct search {
    struct ame__context *context;
    struct ame_comm *comm;
    int source, tag; /* source: rank in the world or AME_ANY_SOURCE */
    struct ame_message *found;
    int gone; /* nothing can come any more, because this rank of the world is gone; or -1 */
};

static bool search_once(void *arg)
{
    struct search *search = arg;
    search->gone = -1;
    search->found = ame__match_arrived(search->context, search->source, search->tag);
    if (search->found) return true;
    if (search->source == AME_ANY_SOURCE)
        search->gone = ame__peers_left(search->comm);
    else if (search->source != ame__engine.rank && ame__engine.peers[search->source].life != AME__ALIVE)
        search->gone = search->source;
    return search->gone >= 0;
}

/* The common part of the four probes. `take`: set the message aside; `wait`: until there is one. */
static int probe(int source, int tag, ame_comm *comm, bool wait, bool take, struct search *search, ame_status *status,
                 const char *function)
{
    int code = ame__comm_check(comm, function);
    if (!code) code = check_source(source, comm, function);
    if (!code) code = check_tag(tag, true, "tag", function);
    if (code) return code;
    *search = (struct search){.context = comm->context,
                              .comm = comm,
                              .source = source == AME_ANY_SOURCE ? source : ame__comm_to_world(comm, source),
                              .tag = tag};
    if (!search_once(search)) {
        struct ame__wait waiting = {.call = function, .probe = true, .peer = search->source, .tag = tag};
        if (wait)
            ame__wait_until(search_once, search, search->source == ame__engine.rank ? -1 : search->source, &waiting);
        else
            ame__progress();
        (void) search_once(search);
    }
    if (search->gone >= 0) {
        code = ame__error_prefix(ame__peer_error(search->gone), "%s", function);
        if (code != AME_E_NOMEM) ame__peer_blamed(ame__peer_culprit(search->gone));
        return code;
    }
    struct ame_message *message = search->found;
    if (!message) return AME_OK;
    if (status)
        *status = (ame_status){
            .source = ame__comm_from_world(comm, message->source), .tag = message->tag, .length = message->length};
    if (take) {
        ame__match_take(message);
        message->comm = comm;
        comm->active++;
    }
    return AME_OK;
}

int ame_probe(int source, int tag, ame_comm *comm, ame_status *status)
{
    static const char function[] = "ame_probe";
    struct search search;
    int code = ame__enter(function);
    if (code) return code;
    code = probe(source, tag, comm, true, false, &search, status, function);
    ame__leave();
    return code;
}

int ame_iprobe(int source, int tag, ame_comm *comm, int *found, ame_status *status)
{
    static const char function[] = "ame_iprobe";
    struct search search;
    if (!found) return ame__fail(AME_E_ARG, "%s: argument 'found' is NULL", function);
    int code = ame__enter(function);
    if (code) return code;
    code = probe(source, tag, comm, false, false, &search, status, function);
    if (!code) *found = search.found != NULL;
    ame__leave();
    return code;
}

int ame_mprobe(int source, int tag, ame_comm *comm, ame_message **message, ame_status *status)
{
    static const char function[] = "ame_mprobe";
    struct search search;
    if (!message) return ame__fail(AME_E_ARG, "%s: argument 'message' is NULL", function);
    int code = ame__enter(function);
    if (code) return code;
    code = probe(source, tag, comm, true, true, &search, status, function);
    if (!code) *message = search.found;
    ame__leave();
    return code;
}

int ame_improbe(int source, int tag, ame_comm *comm, int *found, ame_message **message, ame_status *status)
{
    static const char function[] = "ame_improbe";
    struct search search;
    if (!found || !message)
        return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, found ? "message" : "found");
    int code = ame__enter(function);
    if (code) return code;
    code = probe(source, tag, comm, false, true, &search, status, function);
    if (!code) {
        *found = search.found != NULL;
        if (search.found) *message = search.found;
    }
    ame__leave();
    return code;
}

static int prepare_mrecv(struct ame_request *request, void *buf, size_t capacity, ame_message **message,
                         const char *function)
{
    if (!message || !*message)
        return ame__fail(AME_E_ARG, "%s: argument 'message' is %s", function, message ? "AME_MESSAGE_NULL" : "NULL");
    int code = ame__check_buffer(buf, capacity, "buf", function);
    if (code) return code;
    request->kind = AME__RECV;
    request->comm = (*message)->comm;
    request->peer = (*message)->source;
    request->tag = (*message)->tag;
    request->buffer = buf;
    request->length = capacity;
    return AME_OK;
}

static void start_mrecv(struct ame_request *request, ame_message *message)
{
    ame__list_init(&request->link);
    ame__recv_message(request, message);
}

int ame_mrecv(void *buf, size_t capacity, ame_message **message, ame_status *status)
{
    static const char function[] = "ame_mrecv";
    struct ame_request request = {0};
    int code = ame__enter(function);
    if (code) return code;
    code = prepare_mrecv(&request, buf, capacity, message, function);
    if (!code) code = stage(&request, function);
    if (!code) {
        start_mrecv(&request, *message);
        *message = AME_MESSAGE_NULL;
        code = ame__finish(&request, function, status);
    }
    ame__leave();
    return code;
}

int ame_imrecv(void *buf, size_t capacity, ame_message **message, ame_request **handle)
{
    static const char function[] = "ame_imrecv";
    struct ame_request checked = {0}, *request = NULL;
    int code = ame__enter(function);
    if (code) return code;
    code = check_handle(handle, function);
    if (!code) code = prepare_mrecv(&checked, buf, capacity, message, function);
    if (!code) code = stage(&checked, function);
    if (!code && !(request = ame__request_create())) code = out_of_requests(&checked);
    if (!code) {
        *request = checked;
        request->magic = AME__REQUEST_MAGIC;
        start_mrecv(request, *message);
        *message = AME_MESSAGE_NULL;
        *handle = request;
    }
    ame__leave();
    return code;
}
