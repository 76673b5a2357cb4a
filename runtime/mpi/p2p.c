/* p2p.c - messages: blocking, non-blocking and persistent sends and receives, probes, partitioned messages.
 *
 * A message is one run of bytes to libame; what lies scattered in memory is packed into a copy (mpi__run_out), which is
 * unpacked when the receive has completed. Order, matching, and waiting are libame's.
 */
#include "layer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum mode { STANDARD, BUFFERED, SYNCHRONOUS, READY };

/* ---- arguments ----------------------------------------------------------------------------------- */

static int check_peer(const struct mpi__comm *comm, int rank, const char *argument)
{
    int size = mpi__comm_peers(comm);
    if ((rank >= 0 && rank < size) || rank == MPI_PROC_NULL) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_RANK, "argument '%s' is %d; the communicator has the ranks 0 to %d", argument, rank,
                     size - 1);
}

static int check_tag(int tag, const char *argument)
{
    return tag >= 0 ? MPI_SUCCESS : mpi__fail(MPI_ERR_TAG, "argument '%s' is %d", argument, tag);
}

static int check_send(const void *buf, int64_t count, const struct mpi__type *type, int dest, int tag,
                      const struct mpi__comm *comm)
{
    int code = check_peer(comm, dest, "dest");
    if (!code) code = check_tag(tag, "tag");
    return code || dest == MPI_PROC_NULL ? code : mpi__type_usable(type, count, buf);
}

static int check_source(const struct mpi__comm *comm, int source, int tag)
{
    int code = source == MPI_ANY_SOURCE ? MPI_SUCCESS : check_peer(comm, source, "source");
    return code || tag == MPI_ANY_TAG ? code : check_tag(tag, "tag");
}

static int check_recv(const void *buf, int64_t count, const struct mpi__type *type, int source, int tag,
                      const struct mpi__comm *comm)
{
    int code = check_source(comm, source, tag);
    return code || source == MPI_PROC_NULL ? code : mpi__type_usable(type, count, buf);
}

static int source_of(const struct mpi__comm *comm, int source)
{
    return source == MPI_ANY_SOURCE ? AME_ANY_SOURCE : source + comm->remote_base;
}

static int tag_of(int tag)
{
    return tag == MPI_ANY_TAG ? AME_ANY_TAG : tag;
}

static void tell(MPI_Status *status, const struct mpi__comm *comm, const ame_status *got)
{
    struct mpi__result result = {
        .source = got->source - comm->remote_base, .tag = got->tag, .length = (int64_t) got->length};
    mpi__status_set(status, &result);
}

/* ---- blocking ------------------------------------------------------------------------------------ */

static int send_blocking(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag,
                         struct mpi__comm *comm, enum mode mode)
{
    struct mpi__run run;
    int code = check_send(buf, count, type, dest, tag, comm);
    if (code || dest == MPI_PROC_NULL) return code;
    code = mpi__run_out(&run, buf, count, type);
    if (code) return code;
    dest += comm->remote_base;
    code = mode == SYNCHRONOUS ? ame_ssend(run.bytes, run.length, dest, tag, comm->ame)
                               : ame_send(run.bytes, run.length, dest, tag, comm->ame);
    free(run.temporary);
    return mpi__fail_ame(code);
}

int mpi__Send(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag, struct mpi__comm *comm)
{
    return send_blocking(buf, count, type, dest, tag, comm, STANDARD);
}

int mpi__Ssend(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag, struct mpi__comm *comm)
{
    return send_blocking(buf, count, type, dest, tag, comm, SYNCHRONOUS);
}

int mpi__Rsend(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag, struct mpi__comm *comm)
{
    return send_blocking(buf, count, type, dest, tag, comm, READY);
}

/* What has come into `run`: unpacked and told. A message that was too long is told too. */
static int received(int code, struct mpi__run *run, const ame_status *got, void *buf, int64_t count,
                    const struct mpi__type *type, const struct mpi__comm *comm, MPI_Status *status)
{
    mpi__run_back(run, code ? 0 : got->length, buf, count, type);
    if (!code || code == AME_E_TRUNCATED) tell(status, comm, got);
    return mpi__fail_ame(code);
}

int mpi__Recv(void *buf, int64_t count, struct mpi__type *type, int source, int tag, struct mpi__comm *comm,
              MPI_Status *status)
{
    struct mpi__run run;
    ame_status got;
    int code = check_recv(buf, count, type, source, tag, comm);
    if (code) return code;
    if (source == MPI_PROC_NULL) {
        mpi__status_set(status, &mpi__from_nobody);
        return MPI_SUCCESS;
    }
    code = mpi__run_in(&run, buf, count, type);
    if (code) return code;
    code = ame_recv(run.bytes, run.length, source_of(comm, source), tag_of(tag), comm->ame, &got);
    return received(code, &run, &got, buf, count, type, comm, status);
}

/* Both sides are there; `out` has been packed already. */
static int exchange(struct mpi__run *out, int dest, int sendtag, void *recvbuf, int64_t recvcount,
                    struct mpi__type *recvtype, int source, int recvtag, struct mpi__comm *comm, MPI_Status *status)
{
    struct mpi__run in;
    ame_status got = {0};
    int code = mpi__run_in(&in, recvbuf, recvcount, recvtype);
    if (!code) {
        code = ame_sendrecv(out->bytes, out->length, dest + comm->remote_base, sendtag, in.bytes, in.length,
                            source_of(comm, source), tag_of(recvtag), comm->ame, &got);
        code = received(code, &in, &got, recvbuf, recvcount, recvtype, comm, status);
    }
    free(out->temporary);
    return code;
}

int mpi__Sendrecv(const void *sendbuf, int64_t sendcount, struct mpi__type *sendtype, int dest, int sendtag,
                  void *recvbuf, int64_t recvcount, struct mpi__type *recvtype, int source, int recvtag,
                  struct mpi__comm *comm, MPI_Status *status)
{
    struct mpi__run out;
    int code = check_send(sendbuf, sendcount, sendtype, dest, sendtag, comm);
    if (!code) code = check_recv(recvbuf, recvcount, recvtype, source, recvtag, comm);
    if (code) return code;
    if (dest == MPI_PROC_NULL) return mpi__Recv(recvbuf, recvcount, recvtype, source, recvtag, comm, status);
    if (source == MPI_PROC_NULL) {
        mpi__status_set(status, &mpi__from_nobody);
        return mpi__Send(sendbuf, sendcount, sendtype, dest, sendtag, comm);
    }
    code = mpi__run_out(&out, sendbuf, sendcount, sendtype);
    if (code) return code;
    return exchange(&out, dest, sendtag, recvbuf, recvcount, recvtype, source, recvtag, comm, status);
}

/* A packed copy of what is in a buffer that is to be overwritten. */
static int copy_out(struct mpi__run *run, const void *buf, int64_t count, const struct mpi__type *type)
{
    int code = mpi__run_out(run, buf, count, type);
    if (code || run->temporary || !run->length) return code;
    run->temporary = malloc(run->length);
    if (!run->temporary) return mpi__no_memory();
    run->bytes = memcpy(run->temporary, run->bytes, run->length);
    return MPI_SUCCESS;
}

int mpi__Sendrecv_replace(void *buf, int64_t count, struct mpi__type *type, int dest, int sendtag, int source,
                          int recvtag, struct mpi__comm *comm, MPI_Status *status)
{
    struct mpi__run out;
    int code = check_send(buf, count, type, dest, sendtag, comm);
    if (!code) code = check_recv(buf, count, type, source, recvtag, comm);
    if (code) return code;
    if (dest == MPI_PROC_NULL || source == MPI_PROC_NULL)
        return mpi__Sendrecv(buf, count, type, dest, sendtag, buf, count, type, source, recvtag, comm, status);
    code = copy_out(&out, buf, count, type);
    if (code) return code;
    return exchange(&out, dest, sendtag, buf, count, type, source, recvtag, comm, status);
}

/* ---- non-blocking and persistent ----------------------------------------------------------------- */

static int start_send(struct mpi__request *request)
{
    struct mpi__run *run = &request->run;
    if (request->peer == MPI_PROC_NULL) {
        request->complete = true;
        return MPI_SUCCESS;
    }
    int code = mpi__run_out(run, request->buf, request->count, request->type), dest;
    if (code) return code;
    dest = request->peer + request->comm->remote_base;
    if (request->mode == BUFFERED) {
        code = mpi__buffered_send(run, dest, request->tag, request->comm);
        free(run->temporary);
        run->temporary = NULL;
        request->complete = !code;
        return code;
    }
    code = request->mode == SYNCHRONOUS
               ? ame_issend(run->bytes, run->length, dest, request->tag, request->comm->ame, &request->ame)
               : ame_isend(run->bytes, run->length, dest, request->tag, request->comm->ame, &request->ame);
    if (code) {
        free(run->temporary);
        run->temporary = NULL;
    }
    return mpi__fail_ame(code);
}

static int start_recv(struct mpi__request *request)
{
    if (request->peer == MPI_PROC_NULL) {
        request->complete = true;
        request->result = mpi__from_nobody;
        return MPI_SUCCESS;
    }
    int code = mpi__run_in(&request->run, request->buf, request->count, request->type);
    if (code) return code;
    code = ame_irecv(request->run.bytes, request->run.length, source_of(request->comm, request->peer),
                     tag_of(request->tag), request->comm->ame, &request->ame);
    return mpi__fail_ame(code);
}

static int request_of(void *buf, int64_t count, struct mpi__type *type, int peer, int tag, struct mpi__comm *comm,
                      enum mode mode, bool receives, struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    int code = mpi__request_new(comm, &made);
    if (code) return code;
    if (type) mpi__object_hold(&type->object);
    made->type = type;
    made->buf = buf;
    made->count = count;
    made->peer = peer;
    made->tag = tag;
    made->mode = (int) mode;
    made->receives = receives;
    made->result = mpi__empty;
    made->start = receives ? start_recv : start_send;
    *request = made;
    return MPI_SUCCESS;
}

static int started(struct mpi__request *made, int code, struct mpi__request **request)
{
    if (!code) code = made->start(made);
    if (code) {
        mpi__request_drop(made);
        return code;
    }
    *request = made;
    return MPI_SUCCESS;
}

static int persistent(struct mpi__request *made, int code, struct mpi__request **request)
{
    if (code) return code;
    made->persistent = true;
    made->active = false;
    *request = made;
    return MPI_SUCCESS;
}

/* A started, or persistent, request to send. */
static int send_request(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag,
                        struct mpi__comm *comm, enum mode mode, bool now, struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    int code = check_send(buf, count, type, dest, tag, comm);
    if (!code) code = request_of((void *) (uintptr_t) buf, count, type, dest, tag, comm, mode, false, &made);
    return now ? started(made, code, request) : persistent(made, code, request);
}

#define SENDS(Immediate, Init, mode)                                                                                   \
    int mpi__##Immediate(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag,                    \
                         struct mpi__comm *comm, struct mpi__request **request)                                        \
    {                                                                                                                  \
        return send_request(buf, count, type, dest, tag, comm, mode, true, request);                                   \
    }                                                                                                                  \
    int mpi__##Init(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag, struct mpi__comm *comm, \
                    struct mpi__request **request)                                                                     \
    {                                                                                                                  \
        return send_request(buf, count, type, dest, tag, comm, mode, false, request);                                  \
    }
SENDS(Isend, Send_init, STANDARD)
SENDS(Ibsend, Bsend_init, BUFFERED)
SENDS(Issend, Ssend_init, SYNCHRONOUS)
SENDS(Irsend, Rsend_init, READY)

static int recv_request(void *buf, int64_t count, struct mpi__type *type, int source, int tag, struct mpi__comm *comm,
                        bool now, struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    int code = check_recv(buf, count, type, source, tag, comm);
    if (!code) code = request_of(buf, count, type, source, tag, comm, STANDARD, true, &made);
    return now ? started(made, code, request) : persistent(made, code, request);
}

int mpi__Irecv(void *buf, int64_t count, struct mpi__type *type, int source, int tag, struct mpi__comm *comm,
               struct mpi__request **request)
{
    return recv_request(buf, count, type, source, tag, comm, true, request);
}

int mpi__Recv_init(void *buf, int64_t count, struct mpi__type *type, int source, int tag, struct mpi__comm *comm,
                   struct mpi__request **request)
{
    return recv_request(buf, count, type, source, tag, comm, false, request);
}

/* The receive, with the send as its pair. */
static int paired(struct mpi__request *receive, int code, struct mpi__request *send, struct mpi__request **request)
{
    if (code) {
        if (receive) mpi__request_give_up(receive);
        return code;
    }
    receive->pair = send;
    *request = receive;
    return MPI_SUCCESS;
}

int mpi__Isendrecv(const void *sendbuf, int64_t sendcount, struct mpi__type *sendtype, int dest, int sendtag,
                   void *recvbuf, int64_t recvcount, struct mpi__type *recvtype, int source, int recvtag,
                   struct mpi__comm *comm, struct mpi__request **request)
{
    struct mpi__request *receive = NULL, *send = NULL;
    int code = check_send(sendbuf, sendcount, sendtype, dest, sendtag, comm);
    if (!code) code = mpi__Irecv(recvbuf, recvcount, recvtype, source, recvtag, comm, &receive);
    if (!code) code = mpi__Isend(sendbuf, sendcount, sendtype, dest, sendtag, comm, &send);
    return paired(receive, code, send, request);
}

int mpi__Isendrecv_replace(void *buf, int64_t count, struct mpi__type *type, int dest, int sendtag, int source,
                           int recvtag, struct mpi__comm *comm, struct mpi__request **request)
{
    struct mpi__request *receive = NULL, *send = NULL;
    struct mpi__run out = {0};
    int code = check_send(buf, count, type, dest, sendtag, comm);
    if (!code) code = copy_out(&out, buf, count, type);
    if (!code) code = mpi__Irecv(buf, count, type, source, recvtag, comm, &receive);
    if (!code) {
        struct mpi__type *bytes = mpi__type_named(AME__BASIC_BYTE);
        code = mpi__Isend(out.bytes, (int64_t) out.length, bytes, dest, sendtag, comm, &send);
    }
    if (send)
        send->run.temporary = out.temporary;
    else
        free(out.temporary);
    return paired(receive, code, send, request);
}

/* ---- probes -------------------------------------------------------------------------------------- */

int mpi__Probe(int source, int tag, struct mpi__comm *comm, MPI_Status *status)
{
    ame_status got;
    int code = check_source(comm, source, tag);
    if (code) return code;
    if (source == MPI_PROC_NULL) {
        mpi__status_set(status, &mpi__from_nobody);
        return MPI_SUCCESS;
    }
    code = ame_probe(source_of(comm, source), tag_of(tag), comm->ame, &got);
    if (!code) tell(status, comm, &got);
    return mpi__fail_ame(code);
}

int mpi__Iprobe(int source, int tag, struct mpi__comm *comm, int *flag, MPI_Status *status)
{
    ame_status got;
    int code = check_source(comm, source, tag);
    if (code) return code;
    if (source == MPI_PROC_NULL) {
        *flag = 1;
        mpi__status_set(status, &mpi__from_nobody);
        return MPI_SUCCESS;
    }
    code = ame_iprobe(source_of(comm, source), tag_of(tag), comm->ame, flag, &got);
    if (!code && *flag) tell(status, comm, &got);
    return mpi__fail_ame(code);
}

static struct mpi__message nobody;

void mpi__messages_open(void)
{
    mpi__object_predefine(&nobody.object, MPI__MESSAGE, MPI__BITS(MPI_MESSAGE_NO_PROC));
}

/* For what a probe is going to find. */
static int message_new(struct mpi__comm *comm, struct mpi__message **message)
{
    struct mpi__message *made = calloc(1, sizeof *made);
    if (!made || mpi__object_init(&made->object, MPI__MESSAGE)) {
        free(made);
        return mpi__no_memory();
    }
    mpi__object_hold(&comm->object);
    made->comm = comm;
    *message = made;
    return MPI_SUCCESS;
}

static void message_drop(struct mpi__message *message)
{
    if (!mpi__object_drop(&message->object)) return;
    mpi__comm_drop(message->comm);
    free(message);
}

int mpi__Improbe(int source, int tag, struct mpi__comm *comm, int *flag, struct mpi__message **message,
                 MPI_Status *status)
{
    ame_status got;
    struct mpi__message *made = NULL;
    int code = check_source(comm, source, tag);
    if (code) return code;
    if (source == MPI_PROC_NULL) {
        *flag = 1;
        *message = &nobody;
        mpi__status_set(status, &mpi__from_nobody);
        return MPI_SUCCESS;
    }
    code = message_new(comm, &made);
    if (code) return code;
    code = mpi__fail_ame(ame_improbe(source_of(comm, source), tag_of(tag), comm->ame, flag, &made->ame, &got));
    if (code || !*flag) {
        message_drop(made);
        return code;
    }
    tell(status, comm, &got);
    *message = made;
    return MPI_SUCCESS;
}

int mpi__Mprobe(int source, int tag, struct mpi__comm *comm, struct mpi__message **message, MPI_Status *status)
{
    ame_status got;
    struct mpi__message *made = NULL;
    int code = check_source(comm, source, tag);
    if (code) return code;
    if (source == MPI_PROC_NULL) {
        *message = &nobody;
        mpi__status_set(status, &mpi__from_nobody);
        return MPI_SUCCESS;
    }
    code = message_new(comm, &made);
    if (code) return code;
    code = mpi__fail_ame(ame_mprobe(source_of(comm, source), tag_of(tag), comm->ame, &made->ame, &got));
    if (code) {
        message_drop(made);
        return code;
    }
    tell(status, comm, &got);
    *message = made;
    return MPI_SUCCESS;
}

int mpi__Mrecv(void *buf, int64_t count, struct mpi__type *type, struct mpi__message *message, MPI_Status *status)
{
    struct mpi__run run;
    ame_status got;
    int code = mpi__type_usable(type, count, buf);
    if (code) return code;
    if (message == &nobody) {
        mpi__status_set(status, &mpi__from_nobody);
        return MPI_SUCCESS;
    }
    code = mpi__run_in(&run, buf, count, type);
    if (code) return code;
    code = ame_mrecv(run.bytes, run.length, &message->ame, &got);
    code = received(code, &run, &got, buf, count, type, message->comm, status);
    if (code) mpi__raise_on(message->comm);
    if (!message->ame) message_drop(message); /* else it has not been received */
    return code;
}

int mpi__Imrecv(void *buf, int64_t count, struct mpi__type *type, struct mpi__message *message,
                struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    int code = mpi__type_usable(type, count, buf);
    if (code) return code;
    if (message == &nobody) return mpi__request_done(&mpi__from_nobody, request);
    code = request_of(buf, count, type, MPI_ANY_SOURCE, MPI_ANY_TAG, message->comm, STANDARD, true, &made);
    if (!code) code = mpi__run_in(&made->run, buf, count, type);
    if (!code) code = mpi__fail_ame(ame_imrecv(made->run.bytes, made->run.length, &message->ame, &made->ame));
    if (code) {
        if (made) mpi__request_drop(made);
        return code;
    }
    *request = made;
    message_drop(message);
    return MPI_SUCCESS;
}

/* ---- partitioned --------------------------------------------------------------------------------- */
/* Simply done: a message goes when its last partition is ready, and none has arrived before all have. */

struct mpi__partitions {
    pthread_mutex_t lock;
    int total, ready;
    bool *done;
    int64_t count; /* of one partition */
};

void mpi__partitions_free(struct mpi__partitions *partitions)
{
    if (!partitions) return;
    pthread_mutex_destroy(&partitions->lock);
    free(partitions->done);
    free(partitions);
}

static int start_partitioned(struct mpi__request *request)
{
    struct mpi__partitions *partitions = request->partitions;
    partitions->ready = 0;
    memset(partitions->done, 0, (size_t) partitions->total);
    return request->receives ? start_recv(request) : MPI_SUCCESS;
}

static int partitioned(void *buf, int total, int64_t count, struct mpi__type *type, int peer, int tag,
                       struct mpi__comm *comm, bool receives, struct mpi__request **request)
{
    struct mpi__request *made = NULL;
    if (total < 1) return mpi__fail(MPI_ERR_ARG, "argument 'partitions' is %d", total);
    int code = receives ? check_recv(buf, count, type, peer, tag, comm) : check_send(buf, count, type, peer, tag, comm);
    if (!code) code = request_of(buf, count * total, type, peer, tag, comm, STANDARD, receives, &made);
    if (code) return code;
    made->partitions = calloc(1, sizeof *made->partitions);
    if (made->partitions) {
        made->partitions->total = total;
        made->partitions->count = count;
        made->partitions->done = calloc((size_t) total, sizeof(bool));
        pthread_mutex_init(&made->partitions->lock, NULL);
    }
    if (!made->partitions || !made->partitions->done) {
        mpi__request_drop(made);
        return mpi__no_memory();
    }
    made->start = start_partitioned;
    return persistent(made, MPI_SUCCESS, request);
}

int mpi__Psend_init(const void *buf, int partitions, int64_t count, struct mpi__type *type, int dest, int tag,
                    struct mpi__comm *comm, struct mpi__info *info, struct mpi__request **request)
{
    (void) info;
    return partitioned((void *) (uintptr_t) buf, partitions, count, type, dest, tag, comm, false, request);
}

int mpi__Precv_init(void *buf, int partitions, int64_t count, struct mpi__type *type, int source, int tag,
                    struct mpi__comm *comm, struct mpi__info *info, struct mpi__request **request)
{
    (void) info;
    return partitioned(buf, partitions, count, type, source, tag, comm, true, request);
}

static int ready(int partition, struct mpi__request *request)
{
    struct mpi__partitions *partitions = request->partitions;
    if (!partitions || request->receives || !request->active)
        return mpi__fail(MPI_ERR_REQUEST, "the request is no active partitioned send");
    if (partition < 0 || partition >= partitions->total)
        return mpi__fail(MPI_ERR_ARG, "argument 'partition' is %d; there are %d", partition, partitions->total);
    pthread_mutex_lock(&partitions->lock);
    bool again = partitions->done[partition];
    partitions->done[partition] = true;
    bool last = !again && ++partitions->ready == partitions->total;
    pthread_mutex_unlock(&partitions->lock);
    if (again) return mpi__fail(MPI_ERR_ARG, "partition %d is ready already", partition);
    return last ? start_send(request) : MPI_SUCCESS;
}

int mpi__Pready(int partition, struct mpi__request *request)
{
    return ready(partition, request);
}

int mpi__Pready_range(int low, int high, struct mpi__request *request)
{
    int code = MPI_SUCCESS;
    for (int partition = low; !code && partition <= high; partition++) code = ready(partition, request);
    return code;
}

int mpi__Pready_list(int length, const int partitions[], struct mpi__request *request)
{
    int code = MPI_SUCCESS;
    for (int i = 0; !code && i < length; i++) code = ready(partitions[i], request);
    return code;
}

int mpi__Parrived(struct mpi__request *request, int partition, int *flag)
{
    struct mpi__partitions *partitions = request->partitions;
    if (!partitions || !request->receives) return mpi__fail(MPI_ERR_REQUEST, "the request is no partitioned receive");
    if (partition < 0 || partition >= partitions->total)
        return mpi__fail(MPI_ERR_ARG, "argument 'partition' is %d; there are %d", partition, partitions->total);
    return mpi__Request_get_status(request, flag, MPI_STATUS_IGNORE);
}
