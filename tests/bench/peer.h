/* peer.h - the few calls that the benchmark programs need, mapped to one of the peers at compile time:
 *
 *     (nothing)        libame, started by ameexec
 *     -DBENCH_MPI      any MPI, started by its mpirun
 *     -DBENCH_BARE     bare.c: plain sockets, no library; the limit
 *
 * so that every peer runs the same loops from the same source. The root is always rank 0 and the tag always 1. A call
 * that fails ends the job with a message: a benchmark has no use for half a result. */
#ifndef AME_BENCH_PEER_H
#define AME_BENCH_PEER_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(BENCH_BARE)

#include "bare.h"

static inline void peer_init(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    bare_init();
}
static inline void peer_finalize(void)
{
    bare_finalize();
}
static inline void peer_abort(void)
{
    _exit(1);
}
static inline int peer_rank(void)
{
    return bare_rank();
}
static inline int peer_size(void)
{
    return bare_size();
}
static inline void peer_send(const void *buf, size_t length, int dest)
{
    bare_send(buf, length, dest);
}
static inline void peer_recv(void *buf, size_t length, int source)
{
    bare_recv(buf, length, source);
}
static inline void peer_barrier(void)
{
    bare_barrier();
}
static inline void peer_bcast(void *buf, size_t length)
{
    bare_bcast(buf, length);
}
static inline void peer_gather(const void *send, size_t length, void *recv)
{
    bare_gather(send, length, recv);
}
static inline void peer_scatter(const void *send, void *recv, size_t length)
{
    bare_scatter(send, recv, length);
}

#elif defined(BENCH_MPI)

#include <mpi.h>
#include <limits.h>

#define PEER_PIECE ((size_t) 1 << 20)

/* MPI counts are int: longer messages, whole MiB, go as a number of 1 MiB pieces. */
static inline int peer_type(size_t length, MPI_Datatype *type)
{
    *type = MPI_BYTE;
    if (length <= INT_MAX) return (int) length;
    if (length % PEER_PIECE != 0) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Type_contiguous((int) PEER_PIECE, MPI_BYTE, type);
    MPI_Type_commit(type);
    return (int) (length / PEER_PIECE);
}
static inline void peer_init(int *argc, char ***argv)
{
    MPI_Init(argc, argv);
}
static inline void peer_finalize(void)
{
    MPI_Finalize();
}
static inline void peer_abort(void)
{
    MPI_Abort(MPI_COMM_WORLD, 1);
}
static inline int peer_rank(void)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}
static inline int peer_size(void)
{
    int size;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return size;
}
static inline void peer_send(const void *buf, size_t length, int dest)
{
    MPI_Datatype type;
    int count = peer_type(length, &type);
    MPI_Send(buf, count, type, dest, 1, MPI_COMM_WORLD);
}
static inline void peer_recv(void *buf, size_t length, int source)
{
    MPI_Datatype type;
    int count = peer_type(length, &type);
    MPI_Recv(buf, count, type, source, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}
static inline void peer_barrier(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}
static inline void peer_bcast(void *buf, size_t length)
{
    MPI_Bcast(buf, (int) length, MPI_BYTE, 0, MPI_COMM_WORLD);
}
static inline void peer_gather(const void *send, size_t length, void *recv)
{
    MPI_Gather(send, (int) length, MPI_BYTE, recv, (int) length, MPI_BYTE, 0, MPI_COMM_WORLD);
}
static inline void peer_scatter(const void *send, void *recv, size_t length)
{
    MPI_Scatter(send, (int) length, MPI_BYTE, recv, (int) length, MPI_BYTE, 0, MPI_COMM_WORLD);
}

#else

#include <ame.h>

static inline void peer_check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "bench: %s: %s\n", ame_errname(code), ame_last_error());
    ame_abort(1);
}
static inline void peer_init(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    int code = ame_init();
    if (code == AME_OK) return;
    fprintf(stderr, "bench: %s: %s\n", ame_errname(code), ame_last_error());
    exit(1);
}
static inline void peer_finalize(void)
{
    if (ame_finalize() == AME_OK) return;
    fprintf(stderr, "bench: finalize: %s\n", ame_last_error());
    exit(1);
}
static inline void peer_abort(void)
{
    ame_abort(1);
}
static inline int peer_rank(void)
{
    return ame_comm_rank(AME_COMM_WORLD);
}
static inline int peer_size(void)
{
    return ame_comm_size(AME_COMM_WORLD);
}
static inline void peer_send(const void *buf, size_t length, int dest)
{
    peer_check(ame_send(buf, length, dest, 1, AME_COMM_WORLD));
}
static inline void peer_recv(void *buf, size_t length, int source)
{
    peer_check(ame_recv(buf, length, source, 1, AME_COMM_WORLD, AME_STATUS_IGNORE));
}
static inline void peer_barrier(void)
{
    peer_check(ame_barrier(AME_COMM_WORLD));
}
static inline void peer_bcast(void *buf, size_t length)
{
    peer_check(ame_bcast(buf, length, 0, AME_COMM_WORLD));
}
static inline void peer_gather(const void *send, size_t length, void *recv)
{
    peer_check(ame_gather(send, length, recv, 0, AME_COMM_WORLD));
}
static inline void peer_scatter(const void *send, void *recv, size_t length)
{
    peer_check(ame_scatter(send, recv, length, 0, AME_COMM_WORLD));
}

#endif
#endif
