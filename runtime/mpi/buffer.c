/* buffer.c - buffered sends.
 *
 * The message is copied to memory of its own, sent from there, and the copy freed when the send has completed. The buffer
 * that the program attaches is only counted against, so that a program that attaches too little is told so as MPI says.
 * One buffer per process, and one for each communicator that has been given its own.
 */
#include "layer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { OVERHEAD = 64 /* what a message counts beside its bytes; programs allow for MPI_BSEND_OVERHEAD */ };

struct pending {
    struct pending *next;
    ame_request *request;
    int64_t size;
    unsigned char bytes[];
};

struct mpi__buffer {
    bool attached, automatic;
    void *address;
    int64_t size, used;
    struct pending *pending;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all buffers; not held while waiting */
static struct mpi__buffer process_buffer;

/* Frees what has been sent; with `wait` all. The lock is held, and given back while waiting. */
static int sweep(struct mpi__buffer *buffer, bool wait)
{
    int result = MPI_SUCCESS;
    for (struct pending **place = &buffer->pending; *place;) {
        struct pending *one = *place;
        ame_status status;
        int done = 0, code = ame__seam_take(&one->request, false, &done, &status);
        bool ready;
        if (!done && wait) {
            pthread_mutex_unlock(&lock);
            code = ame__seam_wait(1, &one->request, false, true, &ready);
            pthread_mutex_lock(&lock);
            if (code) return mpi__fail_ame(code);
            place = &buffer->pending; /* the list may have changed */
            continue;
        }
        if (!done) {
            place = &one->next;
            continue;
        }
        if (code) result = mpi__fail_ame(code);
        *place = one->next;
        buffer->used -= one->size;
        free(one);
    }
    return result;
}

int mpi__buffered_send(const struct mpi__run *run, int dest, int tag, struct mpi__comm *comm)
{
    struct mpi__buffer *buffer = comm->buffer ? comm->buffer : &process_buffer;
    int64_t size = (int64_t) run->length + OVERHEAD;
    pthread_mutex_lock(&lock);
    (void) sweep(buffer, false);
    struct pending *one = NULL;
    int code = MPI_SUCCESS;
    if (!buffer->attached)
        code = mpi__fail(MPI_ERR_BUFFER, "no buffer has been attached (MPI_Buffer_attach)");
    else if (!buffer->automatic && buffer->used + size > buffer->size)
        code = mpi__fail(MPI_ERR_BUFFER, "the message and what is kept with it take %lld bytes; %lld of %lld are free",
                         (long long) size, (long long) (buffer->size - buffer->used), (long long) buffer->size);
    else if (!(one = malloc(sizeof *one + run->length)))
        code = mpi__no_memory();
    if (one) {
        if (run->length) memcpy(one->bytes, run->bytes, run->length);
        one->size = size;
        /* To itself: the message stays in the buffer until it is received, as one to another rank may. */
        code = mpi__fail_ame((dest == comm->local_base + comm->rank ? ame_issend : ame_isend)(
            one->bytes, run->length, dest, tag, comm->ame, &one->request));
    }
    if (one && !code) {
        one->next = buffer->pending;
        buffer->pending = one;
        buffer->used += size;
    } else {
        free(one);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int bsend(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag, struct mpi__comm *comm)
{
    struct mpi__request *request = NULL;
    int code = mpi__Ibsend(buf, count, type, dest, tag, comm, &request);
    if (!code) mpi__request_drop(request);
    return code;
}

int mpi__Bsend(const void *buf, int64_t count, struct mpi__type *type, int dest, int tag, struct mpi__comm *comm)
{
    return bsend(buf, count, type, dest, tag, comm);
}

static int attach(struct mpi__buffer *buffer, void *address, int64_t size)
{
    if (size < 0) return mpi__fail(MPI_ERR_ARG, "argument 'size' is %lld", (long long) size);
    if (buffer->attached) return mpi__fail(MPI_ERR_BUFFER, "a buffer is attached already");
    buffer->automatic = address == MPI_BUFFER_AUTOMATIC;
    buffer->attached = true;
    buffer->address = address;
    buffer->size = buffer->automatic ? 0 : size;
    return MPI_SUCCESS;
}

static int detach(struct mpi__buffer *buffer, void *address, int64_t *size)
{
    if (!address) return mpi__fail(MPI_ERR_ARG, "argument 'buffer_addr' is NULL");
    pthread_mutex_lock(&lock);
    int code = sweep(buffer, true);
    *(void **) address = buffer->attached ? buffer->address : NULL;
    *size = buffer->size;
    buffer->attached = buffer->automatic = false;
    buffer->address = NULL;
    buffer->size = 0;
    pthread_mutex_unlock(&lock);
    return code;
}

static int flush(struct mpi__buffer *buffer)
{
    pthread_mutex_lock(&lock);
    int code = sweep(buffer, true);
    pthread_mutex_unlock(&lock);
    return code;
}

int mpi__Buffer_attach(void *address, int64_t size)
{
    return attach(&process_buffer, address, size);
}

int mpi__Buffer_detach(void *address, int64_t *size)
{
    return detach(&process_buffer, address, size);
}

int mpi__Buffer_flush(void)
{
    return flush(&process_buffer);
}

ame_request *mpi__buffer_pending(struct mpi__buffer *buffer)
{
    pthread_mutex_lock(&lock);
    (void) sweep(buffer, false);
    ame_request *request = buffer->pending ? buffer->pending->request : NULL;
    pthread_mutex_unlock(&lock);
    return request;
}

/* A request that is complete when nothing is pending. */
static int flush_request(struct mpi__buffer *buffer, struct mpi__request **request)
{
    int code = mpi__request_new(NULL, request);
    if (code) return code;
    (*request)->result = mpi__empty;
    (*request)->flushes = buffer;
    return MPI_SUCCESS;
}

int mpi__Buffer_iflush(struct mpi__request **request)
{
    return flush_request(&process_buffer, request);
}

int mpi__Comm_attach_buffer(struct mpi__comm *comm, void *address, int64_t size)
{
    if (comm->buffer) return mpi__fail(MPI_ERR_BUFFER, "a buffer is attached already");
    struct mpi__buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return mpi__no_memory();
    int code = attach(buffer, address, size);
    if (code)
        free(buffer);
    else
        comm->buffer = buffer;
    return code;
}

int mpi__Comm_detach_buffer(struct mpi__comm *comm, void *address, int64_t *size)
{
    struct mpi__buffer none = {0};
    int code = detach(comm->buffer ? comm->buffer : &none, address, size);
    free(comm->buffer);
    comm->buffer = NULL;
    return code;
}

int mpi__Comm_flush_buffer(struct mpi__comm *comm)
{
    return comm->buffer ? flush(comm->buffer) : MPI_SUCCESS;
}

int mpi__Comm_iflush_buffer(struct mpi__comm *comm, struct mpi__request **request)
{
    return comm->buffer ? flush_request(comm->buffer, request) : mpi__request_done(&mpi__empty, request);
}

void mpi__buffer_free(struct mpi__buffer *buffer)
{
    if (!buffer) return;
    (void) flush(buffer);
    free(buffer);
}

void mpi__buffers_close(void)
{
    (void) flush(&process_buffer);
}
