/* ops.c - the predefined operations for each type; and those of the program: one takes a lock of the program, which another
 * thread holds while it calls MPI, and one calls MPI itself. A library that calls operations with a lock of its own held comes
 * to a standstill. */
#include "check.h"

#include <complex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { ROUNDS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Rounds in which the other thread has got the lock, and that are over; how often the operation has begun. */
static atomic_int held, over, inside;

static void add(void *in, void *inout, int *count, MPI_Datatype *type)
{
    (void) type;
    atomic_fetch_add(&inside, 1);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < *count; i++) ((int *) inout)[i] += ((int *) in)[i];
    pthread_mutex_unlock(&lock);
}

/* Of rank 0, where an operation is called in each round: holds the lock from before that until it has called MPI. */
static void *other_thread(void *arg)
{
    int out = 1, in = 0, flag;
    (void) arg;
    for (int round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&over) < round - 1) sched_yield();
        pthread_mutex_lock(&lock);
        int before = atomic_load(&inside);
        atomic_store(&held, round);
        while (atomic_load(&inside) == before) sched_yield();
        MPI_Iprobe(0, 99, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE);
        MPI_Sendrecv(&out, 1, MPI_INT, 0, 1, &in, 1, MPI_INT, 0, 1, MPI_COMM_SELF, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&lock);
        CHECK(in == 1);
    }
    return NULL;
}

static void locked(void)
{
    pthread_t thread;
    MPI_Op op;
    MPI_Op_create(add, 1, &op);
    if (rank == 0 && size > 1) CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    for (int round = 1; round <= ROUNDS; round++) {
        int sum = 0;
        while (rank == 0 && size > 1 && atomic_load(&held) < round) sched_yield();
        if (round % 2) {
            MPI_Allreduce(&rank, &sum, 1, MPI_INT, op, MPI_COMM_WORLD);
        } else {
            MPI_Request request;
            MPI_Iallreduce(&rank, &sum, 1, MPI_INT, op, MPI_COMM_WORLD, &request);
            MPI_Wait(&request, MPI_STATUS_IGNORE);
        }
        CHECK(sum == size * (size - 1) / 2);
        atomic_store(&over, round);
    }
    if (rank == 0 && size > 1) pthread_join(thread, NULL);
    MPI_Op_free(&op);
}

/* MPI forbids it; here it works. */
static void calling(void *in, void *inout, int *count, MPI_Datatype *type)
{
    int n = *count, here = 0;
    (void) type;
    for (int i = 0; i < n; i++) {
        MPI_Sendrecv((int *) in + i, 1, MPI_INT, 0, 5, &here, 1, MPI_INT, 0, 5, MPI_COMM_SELF, MPI_STATUS_IGNORE);
        ((int *) inout)[i] += here;
    }
}

/* A reduction that nobody waits for yet goes on while its program waits for something else. */
static void in_between(void)
{
    MPI_Request request;
    MPI_Op op;
    int sum = 0, token = 0;
    MPI_Op_create(calling, 1, &op);
    MPI_Ireduce(&rank, &sum, 1, MPI_INT, op, 0, MPI_COMM_WORLD, &request);
    if (rank == size - 1) {
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        if (size > 1) MPI_Send(&token, 1, MPI_INT, 0, 3, MPI_COMM_WORLD);
    } else {
        if (rank == 0) MPI_Recv(&token, 1, MPI_INT, size - 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        int flag = 0;
        while (!flag) MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    }
    CHECK(rank || sum == size * (size - 1) / 2);
    MPI_Op_free(&op);
}

/* ---- predefined ----------------------------------------------------------------------------------- */

#define GIVES(T, type, op, a, b, expected)                                                                             \
    do {                                                                                                               \
        T in = (T) (a), out = (T) (b);                                                                                 \
        CHECK(MPI_Reduce_local(&in, &out, 1, type, op) == MPI_SUCCESS && out == (T) (expected));                       \
    } while (0)
#define SUM_AND_PRODUCT(T, type)                                                                                       \
    GIVES(T, type, MPI_SUM, 6, 5, 11);                                                                                 \
    GIVES(T, type, MPI_PROD, 6, 5, 30)
#define NUMBERS(T, type)                                                                                               \
    SUM_AND_PRODUCT(T, type);                                                                                          \
    GIVES(T, type, MPI_MIN, 6, 5, 5);                                                                                  \
    GIVES(T, type, MPI_MIN, 5, 6, 5);                                                                                  \
    GIVES(T, type, MPI_MAX, 6, 5, 6);                                                                                  \
    GIVES(T, type, MPI_MAX, 5, 6, 6)
#define LOGICALS(T, type)                                                                                              \
    GIVES(T, type, MPI_LAND, 6, 1, 1);                                                                                 \
    GIVES(T, type, MPI_LAND, 6, 0, 0);                                                                                 \
    GIVES(T, type, MPI_LOR, 0, 4, 1);                                                                                  \
    GIVES(T, type, MPI_LXOR, 4, 2, 0);                                                                                 \
    GIVES(T, type, MPI_LXOR, 4, 0, 1)
#define BITS(T, type)                                                                                                  \
    GIVES(T, type, MPI_BAND, 6, 5, 4);                                                                                 \
    GIVES(T, type, MPI_BOR, 6, 5, 7);                                                                                  \
    GIVES(T, type, MPI_BXOR, 6, 5, 3)
#define INTEGERS(T, type)                                                                                              \
    NUMBERS(T, type);                                                                                                  \
    LOGICALS(T, type);                                                                                                 \
    BITS(T, type)

static void predefined(void)
{
    INTEGERS(int8_t, MPI_INT8_T);
    INTEGERS(int16_t, MPI_INT16_T);
    INTEGERS(int32_t, MPI_INT32_T);
    INTEGERS(int64_t, MPI_INT64_T);
    INTEGERS(uint8_t, MPI_UINT8_T);
    INTEGERS(uint16_t, MPI_UINT16_T);
    INTEGERS(uint32_t, MPI_UINT32_T);
    INTEGERS(uint64_t, MPI_UINT64_T);
    INTEGERS(int, MPI_INT);
    INTEGERS(unsigned long, MPI_UNSIGNED_LONG);
    INTEGERS(MPI_Aint, MPI_AINT);
    INTEGERS(MPI_Count, MPI_COUNT);
    NUMBERS(float, MPI_FLOAT);
    NUMBERS(double, MPI_DOUBLE);
    NUMBERS(long double, MPI_LONG_DOUBLE);
    SUM_AND_PRODUCT(float complex, MPI_C_FLOAT_COMPLEX);
    SUM_AND_PRODUCT(double complex, MPI_C_DOUBLE_COMPLEX);
    SUM_AND_PRODUCT(long double complex, MPI_C_LONG_DOUBLE_COMPLEX);
    LOGICALS(_Bool, MPI_C_BOOL);
    BITS(unsigned char, MPI_BYTE);
    GIVES(double complex, MPI_C_DOUBLE_COMPLEX, MPI_PROD, CMPLX(1, 2), CMPLX(3, -1), CMPLX(5, 5));
    GIVES(int8_t, MPI_INT8_T, MPI_MIN, -1, 1, -1);
    GIVES(uint8_t, MPI_UINT8_T, MPI_MIN, -1, 1, 1);
    GIVES(int32_t, MPI_INT32_T, MPI_SUM, INT32_MAX, 1, INT32_MIN);
    GIVES(int16_t, MPI_INT16_T, MPI_PROD, -32768, -1, -32768);

    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    double in = 1, out = 2;
    CHECK(error_class(MPI_Reduce_local(&in, &out, 1, MPI_DOUBLE, MPI_BAND)) == MPI_ERR_OP);
    CHECK(error_class(MPI_Reduce_local(&in, &out, 1, MPI_BYTE, MPI_SUM)) == MPI_ERR_OP);
    CHECK(error_class(MPI_Reduce_local(&in, &out, 1, MPI_DOUBLE, MPI_MINLOC)) == MPI_ERR_OP);
    CHECK(error_class(MPI_Reduce_local(&in, &out, 1, MPI_C_FLOAT_COMPLEX, MPI_MAX)) == MPI_ERR_OP);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    CHECK(provided == MPI_THREAD_MULTIPLE);
    predefined();
    locked();
    in_between();
    MPI_Finalize();
    return 0;
}
