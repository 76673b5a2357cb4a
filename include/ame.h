/* ame.h - the public interface of libame, a message-passing runtime over plain sockets.
 *
 * One program runs as `size` processes, the ranks 0 .. size-1, which exchange messages:
 *
 *     #include <ame.h>
 *     int main(void) {
 *         if (ame_init() != AME_OK) { fprintf(stderr, "%s\n", ame_last_error()); return 1; }
 *         printf("rank %d of %d\n", ame_comm_rank(AME_COMM_WORLD), ame_comm_size(AME_COMM_WORLD));
 *         return ame_finalize() != AME_OK;
 *     }
 *
 * Start it with `ameexec -np 4 ./app`. Started alone it is a job of one rank and uses no network.
 *
 * Conventions of every function in this file
 *
 *   result    AME_OK (0) or one of the negative AME_E... codes. The text that belongs to the last
 *             failure of the calling thread is ame_last_error(); it names the argument, rank, host
 *             and cause. Out-parameters come last and are untouched on failure (a status is filled
 *             in for AME_E_TRUNCATED, see there).
 *   lengths   are bytes, 64 bits wide; one message may have any length. Counts of ame_reduce and its
 *             relatives are elements of the given type.
 *   buffers   belong to the caller. A blocking call has done with them when it returns; a non-blocking
 *             one when its request has completed. A buffer of length 0 may be NULL.
 *   ranks     are those of the communicator that is given. AME_ANY_SOURCE is accepted where stated.
 *   tags      0 .. 2^31-1. AME_ANY_TAG is accepted where stated.
 *   order     two messages from one sender to one receiver in one communicator that both match a
 *             receive are received in the order in which they were sent.
 *   threads   every function may be called from any thread at any time between ame_init and
 *             ame_finalize, several at once; a request belongs to one thread at a time, and the
 *             collective calls on one communicator must be made in the same order on every rank.
 *   waiting   costs next to no processor time: a call that waits spins for a short time (AME_SPIN_US)
 *             and then sleeps in the kernel.
 *   progress  is made inside calls and, while the program computes, by one helper thread.
 *   failures  a rank that dies, finalizes or becomes unreachable ends every call that waits for it with
 *             AME_E_PEER_FAILED or AME_E_PEER_LEFT; what it had sent before is still delivered.
 *   fork      the child of a fork() cannot use the library (AME_E_STATE); its parent is not disturbed.
 */
#ifndef AME_H
#define AME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define AME_API      __attribute__((visibility("default")))
#define AME_NORETURN __attribute__((noreturn))
#else
#define AME_API
#define AME_NORETURN
#endif

#define AME_VERSION_MAJOR 0
#define AME_VERSION_MINOR 1
#define AME_VERSION_PATCH 0

/* ---- errors -------------------------------------------------------------------------------------- */

/* name, value, what it means */
#define AME_ERROR_LIST(X)                                                                                              \
    X(AME_E_ARG, -1, "invalid argument")                                                                               \
    X(AME_E_RANK, -2, "no such rank in the communicator")                                                              \
    X(AME_E_TAG, -3, "tag out of range")                                                                               \
    X(AME_E_COMM, -4, "not a valid communicator")                                                                      \
    X(AME_E_REQUEST, -5, "not a valid request")                                                                        \
    X(AME_E_TYPE, -6, "unknown element type, or operation not defined for it")                                         \
    X(AME_E_STATE, -7, "called before ame_init, after ame_finalize, twice, or in a forked child")                      \
    X(AME_E_TRUNCATED, -8, "message longer than the receive buffer")                                                   \
    X(AME_E_MISMATCH, -9, "ranks disagree about the arguments of a collective call")                                   \
    X(AME_E_NOMEM, -10, "out of memory")                                                                               \
    X(AME_E_SYSTEM, -11, "a system call failed")                                                                       \
    X(AME_E_BOOT, -12, "the other ranks of the job cannot be found")                                                   \
    X(AME_E_TIMEOUT, -13, "time limit passed")                                                                         \
    X(AME_E_CONNECT, -14, "no connection to another rank")                                                             \
    X(AME_E_AUTH, -15, "the other side does not know the key of this job")                                             \
    X(AME_E_VERSION, -16, "the other side speaks another version of the protocol")                                     \
    X(AME_E_PROTOCOL, -17, "the other side broke the protocol")                                                        \
    X(AME_E_PEER_FAILED, -18, "a rank died or its connection broke")                                                   \
    X(AME_E_PEER_LEFT, -19, "a rank has finalized")                                                                    \
    X(AME_E_ABORTED, -20, "the job was aborted")                                                                       \
    X(AME_E_CANCELLED, -21, "the operation was cancelled")                                                             \
    X(AME_E_CONFIG, -22, "a setting (AME_... variable or option) has a value that cannot be used")                     \
    X(AME_E_INTERNAL, -23, "an error inside libame; please report it")                                                 \
    X(AME_E_GPU, -24, "no usable GPU, or its driver refused a call (ame_gpu.h)")                                       \
    X(AME_E_GPU_LOST, -25, "the GPU is lost for this process after an error in a kernel (ame_gpu.h)")                  \
    X(AME_E_TASK, -26, "a task of a pool has failed")

enum ame_error {
    AME_OK = 0,
#define AME_ERROR_ENUM(name, value, text) name = value,
    AME_ERROR_LIST(AME_ERROR_ENUM)
#undef AME_ERROR_ENUM
};

/* The sentence that belongs to `code`; never NULL. Callable at any time, from any thread. */
AME_API const char *ame_strerror(int code);
/* The name of `code`, such as "AME_E_RANK"; never NULL. Callable at any time, from any thread. */
AME_API const char *ame_errname(int code);
/* What went wrong in the last call that failed in this thread, in one line: the failure, where (rank, host, address),
 * the cause and what can be done. "" before the first failure. Valid until the next failing call of the same thread. */
AME_API const char *ame_last_error(void);

/* ---- begin and end ------------------------------------------------------------------------------- */

/* Joins the job that started this process: ameexec, MPICH's or Open MPI's launcher, srun with any --mpi, or a shared
 * directory (ame-info lists these and says which it is). Returns when all ranks are connected to rank 0; if that takes
 * longer than AME_CONNECT_TIMEOUT it is an error that names rank, host and time. Without any sign of a launcher this is
 * a job of one rank. Where the environment says that there are several ranks and they cannot be found,
 * it fails with AME_E_BOOT and names the variable (AME_ALLOW_SINGLETON=1 overrides). Once per process. */
AME_API int ame_init(void);
/* Leaves the job: completes what this rank has sent, tells the others, frees everything. Receives still waiting for
 * this rank elsewhere end there with AME_E_PEER_LEFT. On rank 0 it returns when all other ranks have left, because rank
 * 0 connects them. Requests not yet completed are cancelled. Must not run at the same time as other calls. */
AME_API int ame_finalize(void);
/* 1 between a successful ame_init and ame_finalize, else 0. Callable at any time. */
AME_API int ame_initialized(void);
/* 1 after ame_finalize, else 0. Callable at any time. */
AME_API int ame_finalized(void);
/* Ends the whole job: all other ranks are told and ended by the launcher; this process exits with `code` (1 when 0 is
 * given). Does not return. Callable at any time, from any thread. */
AME_API AME_NORETURN void ame_abort(int code);
/* With `on` 1: the program gets along without ranks that fail from here on, so the launcher is not to end the job then: it
 * reports the failure, the other ranks go on (calls that wait for the dead rank end with AME_E_PEER_FAILED), and the exit
 * code of the job is that of the others. With `on` 0: no longer. Calls nest: as many with 0 as with 1. What rank 0 says
 * counts; on other ranks the call has no effect. The failure of rank 0, which connects the others, always ends the job.
 * Under launchers other than ameexec it is AME_OK without effect: what they do when a rank fails is their affair (srun: use
 * --kill-on-bad-exit=0). AME_E_CONFIG if ameexec was told otherwise (--on-failure end). */
AME_API int ame_tolerate_failures(int on);
/* "0.1.0" */
AME_API const char *ame_version(void);
/* Seconds on a monotonic clock, with nanosecond resolution; only differences have a meaning. Callable at any time. */
AME_API double ame_wtime(void);

/* ---- communicators ------------------------------------------------------------------------------- */

typedef struct ame_comm ame_comm;

/* All ranks of the job, and this rank alone. Both exist from ame_init to ame_finalize and are not freed. */
AME_API ame_comm *ame_comm_world(void);
AME_API ame_comm *ame_comm_self(void);
#define AME_COMM_WORLD (ame_comm_world())
#define AME_COMM_SELF  (ame_comm_self())

/* This process's rank in `comm`, or a negative error code. */
AME_API int ame_comm_rank(const ame_comm *comm);
/* Number of ranks in `comm`, or a negative error code. */
AME_API int ame_comm_size(const ame_comm *comm);
/* The rank in AME_COMM_WORLD of rank `rank` of `comm`, or a negative error code. */
AME_API int ame_comm_world_rank(const ame_comm *comm, int rank);
/* Collective over `comm`: the same ranks again, with messages of their own. */
AME_API int ame_comm_dup(ame_comm *comm, ame_comm **newcomm);
/* Collective over `comm`: ranks that give the same `color` (>= 0) form a new communicator, ordered by `key`, then by
 * rank in `comm`. AME_UNDEFINED as colour: this rank is in none, and *newcomm becomes NULL. */
AME_API int ame_comm_split(ame_comm *comm, int color, int key, ame_comm **newcomm);
/* Releases a communicator made by dup or split and sets *comm to NULL. Local. While operations on it have not
 * completed, or a message that a matched probe took has not been received, it is AME_E_COMM, and nothing is freed. */
AME_API int ame_comm_free(ame_comm **comm);

/* ---- point to point ------------------------------------------------------------------------------ */

#define AME_ANY_SOURCE (-1)
#define AME_ANY_TAG    (-1)
#define AME_UNDEFINED  (-32766)
#define AME_TAG_MAX    2147483647

typedef struct ame_status {
    int source;    /* rank of the sender in the communicator of the receive */
    int tag;       /* tag of the message */
    int error;     /* AME_OK or why this one operation failed (ame_waitall, ame_waitsome, ame_testall) */
    int cancelled; /* 1 if the receive was taken back by ame_cancel before a message matched it */
    size_t length; /* bytes of the message, also when it did not fit (AME_E_TRUNCATED) */
} ame_status;

#define AME_STATUS_IGNORE   ((ame_status *) 0)
#define AME_STATUSES_IGNORE ((ame_status *) 0)

/* A started operation. Freed, and the handle set to AME_REQUEST_NULL, by the call that reports its completion. */
typedef struct ame_request ame_request;
#define AME_REQUEST_NULL ((ame_request *) 0)

/* Sends `length` bytes to rank `dest`. Returns when `buf` may be used again; the message may not have been received
 * yet. Short messages are buffered by the receiver up to a limit, after that the call waits for a matching receive. */
AME_API int ame_send(const void *buf, size_t length, int dest, int tag, ame_comm *comm);
/* Like ame_send, but returns only after a receive has matched the message. */
AME_API int ame_ssend(const void *buf, size_t length, int dest, int tag, ame_comm *comm);
/* Receives one message of at most `capacity` bytes from `source` (or AME_ANY_SOURCE) with `tag` (or AME_ANY_TAG). A
 * longer message is AME_E_TRUNCATED: that message is consumed, `status` tells its source, tag and full length, the
 * contents of `buf` are undefined up to `capacity`, and no other message is affected. From AME_ANY_SOURCE, when all other
 * ranks of `comm` have finalized or failed: AME_E_PEER_LEFT or AME_E_PEER_FAILED, here or from the call that waits for the
 * request or tests it. */
AME_API int ame_recv(void *buf, size_t capacity, int source, int tag, ame_comm *comm, ame_status *status);
/* Receives one message of any length into memory that this call allocates; release *buf with free(). *buf is not NULL
 * even for length 0. */
AME_API int ame_recv_alloc(void **buf, size_t *length, int source, int tag, ame_comm *comm, ame_status *status);
/* Sends and receives at the same time; safe for exchanges between neighbours. The buffers must not overlap. */
AME_API int ame_sendrecv(const void *sendbuf, size_t sendlength, int dest, int sendtag, void *recvbuf, size_t capacity,
                         int source, int recvtag, ame_comm *comm, ame_status *status);

/* Non-blocking forms: the operation is started and *request stands for it. */
AME_API int ame_isend(const void *buf, size_t length, int dest, int tag, ame_comm *comm, ame_request **request);
AME_API int ame_issend(const void *buf, size_t length, int dest, int tag, ame_comm *comm, ame_request **request);
AME_API int ame_irecv(void *buf, size_t capacity, int source, int tag, ame_comm *comm, ame_request **request);

/* Waits for one request. AME_REQUEST_NULL completes at once with an empty status (source AME_ANY_SOURCE, tag
 * AME_ANY_TAG, length 0). Returns what became of the operation. */
AME_API int ame_wait(ame_request **request, ame_status *status);
/* Like ame_wait if the operation has completed, with *done = 1; otherwise *done = 0 at once. Makes progress. */
AME_API int ame_test(ame_request **request, int *done, ame_status *status);
/* Waits for all `count` requests. Returns AME_OK or the error of the first one that failed; each status has its own
 * `error`. */
AME_API int ame_waitall(size_t count, ame_request *requests[], ame_status statuses[]);
/* Waits until one of the requests has completed; *index tells which. All AME_REQUEST_NULL: *index = AME_UNDEFINED. */
AME_API int ame_waitany(size_t count, ame_request *requests[], int *index, ame_status *status);
/* Waits until at least one request has completed and reports all that have: *outcount of them, their positions in
 * indices[], statuses[k] belonging to indices[k]. All AME_REQUEST_NULL: *outcount = AME_UNDEFINED. */
AME_API int ame_waitsome(size_t count, ame_request *requests[], int *outcount, int indices[], ame_status statuses[]);
/* If all requests have completed: like ame_waitall with *done = 1. Otherwise *done = 0 and no request is touched. */
AME_API int ame_testall(size_t count, ame_request *requests[], int *done, ame_status statuses[]);
/* Takes back a receive that no message has matched yet. The request still has to be completed by wait or test, whose
 * status has `cancelled` = 1 if it was taken back. A send, or a receive already matched, completes as if nothing had
 * happened. */
AME_API int ame_cancel(ame_request *request);

/* Waits for a message that matches, without receiving it; `status` describes it. */
AME_API int ame_probe(int source, int tag, ame_comm *comm, ame_status *status);
/* *found = 1 and `status` if such a message has arrived, else *found = 0. Makes progress. */
AME_API int ame_iprobe(int source, int tag, ame_comm *comm, int *found, ame_status *status);

/* A message that a matched probe has set aside for its caller; safe with several receiving threads. */
typedef struct ame_message ame_message;
#define AME_MESSAGE_NULL ((ame_message *) 0)
AME_API int ame_mprobe(int source, int tag, ame_comm *comm, ame_message **message, ame_status *status);
AME_API int ame_improbe(int source, int tag, ame_comm *comm, int *found, ame_message **message, ame_status *status);
/* Receives a message set aside; *message becomes AME_MESSAGE_NULL, also with AME_E_TRUNCATED. */
AME_API int ame_mrecv(void *buf, size_t capacity, ame_message **message, ame_status *status);
AME_API int ame_imrecv(void *buf, size_t capacity, ame_message **message, ame_request **request);

/* ---- collective calls ---------------------------------------------------------------------------- */
/* Every rank of the communicator makes the same calls in the same order, with the same root and, where a length is not
 * per rank, the same length. Ranks that disagree get AME_E_MISMATCH, which names the argument and the rank. Blocks for
 * rank r lie at r * length of a buffer that holds one block per rank. AME_IN_PLACE as the send buffer (at the root of
 * gather(v) and reduce, on all ranks of allgather(v), allreduce, alltoall(v) and scan) or as the receive buffer (at the
 * root of scatter(v)) means that this rank's own data is already where it belongs. The other buffers must not overlap.
 */

#define AME_IN_PLACE ((void *) 1)

typedef enum ame_type {
    AME_INT8 = 1,
    AME_INT16,
    AME_INT32,
    AME_INT64,
    AME_UINT8,
    AME_UINT16,
    AME_UINT32,
    AME_UINT64,
    AME_FLOAT,
    AME_DOUBLE
} ame_type;

typedef enum ame_op {
    AME_SUM = 1,
    AME_PROD,
    AME_MIN,
    AME_MAX,
    AME_LAND, /* logical and, or, exclusive or: 0 or 1; integer types */
    AME_LOR,
    AME_LXOR,
    AME_BAND, /* bitwise; integer types */
    AME_BOR,
    AME_BXOR
} ame_op;

/* Bytes of one element, or 0 for an unknown type. */
AME_API size_t ame_type_size(ame_type type);

/* Returns when every rank has called it. */
AME_API int ame_barrier(ame_comm *comm);
/* `length` bytes at `buf` of the root are copied to `buf` of all other ranks. */
AME_API int ame_bcast(void *buf, size_t length, int root, ame_comm *comm);
/* Each rank sends `length` bytes; the root receives size * length bytes, ordered by rank. recvbuf matters at the root
 * only. */
AME_API int ame_gather(const void *sendbuf, size_t length, void *recvbuf, int root, ame_comm *comm);
/* Like gather with a length per rank. At the root: recvlengths[r] bytes of rank r go to recvbuf + displs[r] (bytes);
 * displs NULL means one after the other. recvlengths, displs and recvbuf matter at the root only. */
AME_API int ame_gatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                        const size_t displs[], int root, ame_comm *comm);
/* The reverse of gather: block r of the root's sendbuf goes to rank r. */
AME_API int ame_scatter(const void *sendbuf, void *recvbuf, size_t length, int root, ame_comm *comm);
AME_API int ame_scatterv(const void *sendbuf, const size_t sendlengths[], const size_t displs[], void *recvbuf,
                         size_t recvlength, int root, ame_comm *comm);
/* Gather whose result every rank gets. For the v form recvlengths and displs are the same on all ranks. */
AME_API int ame_allgather(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm);
AME_API int ame_allgatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                           const size_t displs[], ame_comm *comm);
/* Block s of rank r's sendbuf becomes block r of rank s's recvbuf. */
AME_API int ame_alltoall(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm);
AME_API int ame_alltoallv(const void *sendbuf, const size_t sendlengths[], const size_t senddispls[], void *recvbuf,
                          const size_t recvlengths[], const size_t recvdispls[], ame_comm *comm);
/* Combines `count` elements of all ranks with `op`, element by element; the result is at the root. The same call on the
 * same number of ranks gives the same bits every time. */
AME_API int ame_reduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, int root,
                       ame_comm *comm);
/* Reduce whose result every rank gets, the same bits on all. */
AME_API int ame_allreduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm);
/* Rank r gets the combination of ranks 0 .. r. */
AME_API int ame_scan(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm);

/* Non-blocking forms, completed by ame_wait and its relatives. All buffers and arrays stay untouched until then. */
AME_API int ame_ibarrier(ame_comm *comm, ame_request **request);
AME_API int ame_ibcast(void *buf, size_t length, int root, ame_comm *comm, ame_request **request);
AME_API int ame_igather(const void *sendbuf, size_t length, void *recvbuf, int root, ame_comm *comm,
                        ame_request **request);
AME_API int ame_igatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                         const size_t displs[], int root, ame_comm *comm, ame_request **request);
AME_API int ame_iscatter(const void *sendbuf, void *recvbuf, size_t length, int root, ame_comm *comm,
                         ame_request **request);
AME_API int ame_iscatterv(const void *sendbuf, const size_t sendlengths[], const size_t displs[], void *recvbuf,
                          size_t recvlength, int root, ame_comm *comm, ame_request **request);
AME_API int ame_iallgather(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm, ame_request **request);
AME_API int ame_iallgatherv(const void *sendbuf, size_t sendlength, void *recvbuf, const size_t recvlengths[],
                            const size_t displs[], ame_comm *comm, ame_request **request);
AME_API int ame_ialltoall(const void *sendbuf, size_t length, void *recvbuf, ame_comm *comm, ame_request **request);
AME_API int ame_ialltoallv(const void *sendbuf, const size_t sendlengths[], const size_t senddispls[], void *recvbuf,
                           const size_t recvlengths[], const size_t recvdispls[], ame_comm *comm,
                           ame_request **request);
AME_API int ame_ireduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, int root,
                        ame_comm *comm, ame_request **request);
AME_API int ame_iallreduce(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm,
                           ame_request **request);
AME_API int ame_iscan(const void *sendbuf, void *recvbuf, size_t count, ame_type type, ame_op op, ame_comm *comm,
                      ame_request **request);

#ifdef __cplusplus
}
#endif
#endif
