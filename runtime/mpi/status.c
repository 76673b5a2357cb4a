/* status.c - the layouts of a status, and the functions on it. */
#include "layer.h"

#include <string.h>

const struct mpi__result mpi__empty = {.source = MPI_ANY_SOURCE, .tag = MPI_ANY_TAG};
const struct mpi__result mpi__from_nobody = {.source = MPI_PROC_NULL, .tag = MPI_ANY_TAG};

#ifdef MPICH_ABI_OF_AME
/* The count is 63 bits wide, with its upper part above the bit that tells of a cancelled message. */
int64_t mpi__status_length(const MPI_Status *status)
{
    return (int64_t) ((uint64_t) (unsigned) status->count_hi_and_cancelled >> 1 << 32 | (unsigned) status->count_lo);
}

void mpi__status_set_length(MPI_Status *status, int64_t length)
{
    status->count_lo = (int) (uint32_t) length;
    status->count_hi_and_cancelled =
        (int) ((uint32_t) (length >> 32) << 1 | ((uint32_t) status->count_hi_and_cancelled & 1));
}

bool mpi__status_cancelled(const MPI_Status *status)
{
    return status->count_hi_and_cancelled & 1;
}

void mpi__status_set_cancelled(MPI_Status *status, bool cancelled)
{
    status->count_hi_and_cancelled = (int) (((uint32_t) status->count_hi_and_cancelled & ~1u) | cancelled);
}
#else
enum { LENGTH, CANCELLED = 2 }; /* in MPI_internal; the length takes two */

int64_t mpi__status_length(const MPI_Status *status)
{
    int64_t length;
    memcpy(&length, &status->MPI_internal[LENGTH], sizeof length);
    return length;
}

void mpi__status_set_length(MPI_Status *status, int64_t length)
{
    memcpy(&status->MPI_internal[LENGTH], &length, sizeof length);
}

bool mpi__status_cancelled(const MPI_Status *status)
{
    return status->MPI_internal[CANCELLED];
}

void mpi__status_set_cancelled(MPI_Status *status, bool cancelled)
{
    status->MPI_internal[CANCELLED] = cancelled;
}
#endif

void mpi__status_set(MPI_Status *status, const struct mpi__result *result)
{
    if (status == MPI_STATUS_IGNORE) return;
    status->MPI_SOURCE = result->source;
    status->MPI_TAG = result->tag;
    mpi__status_set_length(status, result->length);
    mpi__status_set_cancelled(status, result->cancelled);
}

/* ---- functions ----------------------------------------------------------------------------------- */

static int check(const MPI_Status *status)
{
    if (status && status != MPI_STATUS_IGNORE) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_ARG, "argument 'status' is MPI_STATUS_IGNORE or NULL");
}

int mpi__Status_set_cancelled(MPI_Status *status, int flag)
{
    int code = check(status);
    if (!code) mpi__status_set_cancelled(status, flag);
    return code;
}

int mpi__Test_cancelled(const MPI_Status *status, int *flag)
{
    int code = check(status);
    if (!code) *flag = mpi__status_cancelled(status);
    return code;
}

int mpi__Status_get_source(const MPI_Status *status, int *source)
{
    int code = check(status);
    if (!code) *source = status->MPI_SOURCE;
    return code;
}

int mpi__Status_get_tag(const MPI_Status *status, int *tag)
{
    int code = check(status);
    if (!code) *tag = status->MPI_TAG;
    return code;
}

int mpi__Status_get_error(const MPI_Status *status, int *error)
{
    int code = check(status);
    if (!code) *error = status->MPI_ERROR;
    return code;
}

int mpi__Status_set_source(MPI_Status *status, int source)
{
    int code = check(status);
    if (!code) status->MPI_SOURCE = source;
    return code;
}

int mpi__Status_set_tag(MPI_Status *status, int tag)
{
    int code = check(status);
    if (!code) status->MPI_TAG = tag;
    return code;
}

int mpi__Status_set_error(MPI_Status *status, int error)
{
    int code = check(status);
    if (!code) status->MPI_ERROR = error;
    return code;
}

int mpi__Get_count(const MPI_Status *status, struct mpi__type *type, int64_t *count)
{
    int code = check(status);
    if (code) return code;
    int64_t whole = ame__type_count(type->data, mpi__status_length(status));
    *count = whole < 0 ? MPI_UNDEFINED : whole;
    return MPI_SUCCESS;
}

int mpi__Get_elements(const MPI_Status *status, struct mpi__type *type, int64_t *count)
{
    int code = check(status);
    if (code) return code;
    int64_t elements = ame__type_elements(type->data, mpi__status_length(status));
    *count = elements < 0 ? MPI_UNDEFINED : elements;
    return MPI_SUCCESS;
}

int mpi__Get_elements_x(const MPI_Status *status, struct mpi__type *type, MPI_Count *count)
{
    return mpi__Get_elements(status, type, count);
}

int mpi__Status_set_elements(MPI_Status *status, struct mpi__type *type, int64_t count)
{
    int code = check(status);
    if (code) return code;
    int64_t bytes = count < 0 ? -1 : ame__type_elements_bytes(type->data, count);
    if (bytes < 0)
        return mpi__fail(MPI_ERR_ARG, "argument 'count' is %lld, which is no number of elements of the type",
                         (long long) count);
    mpi__status_set_length(status, bytes);
    return MPI_SUCCESS;
}

int mpi__Status_set_elements_x(MPI_Status *status, struct mpi__type *type, MPI_Count count)
{
    return mpi__Status_set_elements(status, type, count);
}
