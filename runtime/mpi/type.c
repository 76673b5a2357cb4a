/* type.c - handles of datatypes, over the datatypes of datatype.h; packing; the functions on them. */
#include "layer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mpi__type *named[AME__BASIC_END];

static const struct {
    uintptr_t handle;
    const char *name;
} predefined[] = {
#define X(handle, name) {handle, name},
#include "mpi-types.inc"
#undef X
};

/* ---- objects ------------------------------------------------------------------------------------- */

/* Of two names for the same type, the one that programs have always been told. */
static const char *usual_name(const char *name)
{
    if (strcmp(name, "MPI_LONG_LONG") == 0) return "MPI_LONG_LONG_INT";
    return strcmp(name, "MPI_C_FLOAT_COMPLEX") == 0 ? "MPI_C_COMPLEX" : name;
}

void mpi__types_open(void)
{
    static struct mpi__type types[sizeof predefined / sizeof *predefined];
    static struct ame__datatype datas[sizeof predefined / sizeof *predefined];
    for (size_t i = 0; i < sizeof predefined / sizeof *predefined; i++) {
        const struct ame__basic *basic = ame__basic_named(predefined[i].name);
        if (!basic) continue;
        ame__type_init_named(&datas[i], basic);
        datas[i].user = &types[i];
        types[i].data = &datas[i];
        snprintf(types[i].name, sizeof types[i].name, "%s", usual_name(predefined[i].name));
        mpi__object_predefine(&types[i].object, MPI__DATATYPE, predefined[i].handle);
        named[basic->id] = &types[i];
    }
}

struct mpi__type *mpi__type_named(enum ame__basic_id id)
{
    return named[id];
}

/* Objects that have been freed, the last one first. A handle is used again at once, as in MPICH, where handles are numbers:
 * programs have been seen that use a freed handle after having made another type. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mpi__type *spare[16];
static int spares;

/* The datatype is gone: so is the object that it belonged to. */
static void data_freed(struct ame__datatype *data)
{
    struct mpi__type *type = data->user;
    pthread_mutex_lock(&lock);
    if (spares < (int) (sizeof spare / sizeof *spare)) {
        spare[spares++] = type;
        type = NULL;
    }
    pthread_mutex_unlock(&lock);
    free(type);
}

static struct mpi__type *allocate(void)
{
    pthread_mutex_lock(&lock);
    struct mpi__type *type = spares ? spare[--spares] : NULL;
    pthread_mutex_unlock(&lock);
    if (!type) return calloc(1, sizeof *type);
    memset(type, 0, sizeof *type);
    return type;
}

int mpi__type_new(struct ame__datatype *data, struct mpi__type **newtype)
{
    struct mpi__type *type = allocate();
    if (!type || mpi__object_init(&type->object, MPI__DATATYPE)) {
        free(type);
        ame__type_unref(data);
        return mpi__no_memory();
    }
    type->data = data;
    data->user = type;
    data->user_free = data_freed;
    *newtype = type;
    return MPI_SUCCESS;
}

/* The object itself lives as long as its datatype, which others may consist of. */
void mpi__type_drop(struct mpi__type *type)
{
    if (type && mpi__object_drop(&type->object)) ame__type_unref(type->data);
}

int mpi__type_error(enum ame__type_error error)
{
    static const int table[] = {[AME__TYPE_OK] = MPI_SUCCESS,
                                [AME__TYPE_E_COUNT] = MPI_ERR_ARG,
                                [AME__TYPE_E_ARG] = MPI_ERR_ARG,
                                [AME__TYPE_E_TYPE] = MPI_ERR_TYPE,
                                [AME__TYPE_E_OVERFLOW] = MPI_ERR_ARG,
                                [AME__TYPE_E_MEMORY] = MPI_ERR_NO_MEM,
                                [AME__TYPE_E_TRUNCATED] = MPI_ERR_TRUNCATE};
    return error ? mpi__fail(table[error], "%s", ame__type_strerror(error)) : MPI_SUCCESS;
}

/* ---- messages in memory -------------------------------------------------------------------------- */

int mpi__type_usable(const struct mpi__type *type, int64_t count, const void *buf)
{
    if (count < 0) return mpi__fail(MPI_ERR_COUNT, "argument 'count' is %lld", (long long) count);
    if (!type) return mpi__fail(MPI_ERR_TYPE, "the datatype is MPI_DATATYPE_NULL");
    if (!type->data->committed) return mpi__fail(MPI_ERR_TYPE, "the datatype has not been committed");
    if (!buf && count && type->data->basic && type->data->size)
        return mpi__fail(MPI_ERR_BUFFER, "the buffer is NULL, and the count %lld", (long long) count);
    return MPI_SUCCESS;
}

static int run_of(struct mpi__run *run, const void *buf, int64_t count, const struct mpi__type *type)
{
    int64_t length;
    if (type->data->basic && type->data->size == ame__type_extent(type->data) && count < INT32_MAX) {
        *run = (struct mpi__run){.length = (size_t) (count * type->data->size), .bytes = (void *) (uintptr_t) buf};
        return MPI_SUCCESS; /* the usual case, quickly */
    }
    int code = mpi__type_error(ame__type_total(type->data, count, &length));
    if (code) return code;
    *run = (struct mpi__run){.length = (size_t) length};
    run->bytes = length ? ame__type_direct(type->data, count, buf) : (void *) (uintptr_t) buf;
    if (run->bytes || length == 0) return MPI_SUCCESS;
    run->bytes = run->temporary = malloc((size_t) length);
    return run->temporary ? MPI_SUCCESS
                          : mpi__fail(MPI_ERR_NO_MEM, "out of memory for a message of %lld bytes", (long long) length);
}

int mpi__run_out(struct mpi__run *run, const void *buf, int64_t count, const struct mpi__type *type)
{
    int code = run_of(run, buf, count, type);
    if (!code && run->temporary) ame__type_pack(type->data, count, buf, 0, run->temporary, (int64_t) run->length);
    return code;
}

int mpi__run_in(struct mpi__run *run, void *buf, int64_t count, const struct mpi__type *type)
{
    return run_of(run, buf, count, type);
}

void mpi__run_back(struct mpi__run *run, size_t length, void *buf, int64_t count, const struct mpi__type *type)
{
    if (run->temporary && length)
        ame__type_unpack(type->data, count, buf, 0, run->temporary,
                         (int64_t) (length < run->length ? length : run->length));
    free(run->temporary);
    run->temporary = NULL;
}

/* ---- constructors -------------------------------------------------------------------------------- */

static int made(enum ame__type_error error, struct ame__datatype *data, struct mpi__type **newtype)
{
    return error ? mpi__type_error(error) : mpi__type_new(data, newtype);
}

static int check_count(int64_t count, const char *argument)
{
    return count >= 0 ? MPI_SUCCESS : mpi__fail(MPI_ERR_COUNT, "argument '%s' is %lld", argument, (long long) count);
}

/* Arrays that must be there if there are any elements. */
static int check_array(struct ame__counts array, int64_t count, const char *argument)
{
    if (count <= 0 || array.narrow || array.wide) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_ARG, "argument '%s' is NULL", argument);
}

#define BUILD(call)                                                                                                    \
    struct ame__datatype *data = NULL;                                                                                 \
    enum ame__type_error error = call;                                                                                 \
    return made(error, data, newtype)

int mpi__Type_contiguous(int64_t count, struct mpi__type *old, struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (code) return code;
    BUILD(ame__type_contiguous(count, old->data, large, &data));
}

int mpi__Type_vector(int64_t count, int64_t blocklength, int64_t stride, struct mpi__type *old,
                     struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (code) return code;
    BUILD(ame__type_vector(count, blocklength, stride, old->data, large, &data));
}

int mpi__Type_create_hvector(int64_t count, int64_t blocklength, int64_t stride, struct mpi__type *old,
                             struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (code) return code;
    BUILD(ame__type_hvector(count, blocklength, stride, old->data, large, &data));
}

int mpi__Type_indexed(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                      struct mpi__type *old, struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (!code) code = check_array(blocklengths, count, "array_of_blocklengths");
    if (!code) code = check_array(displacements, count, "array_of_displacements");
    if (code) return code;
    BUILD(ame__type_indexed(count, blocklengths, displacements, old->data, large, &data));
}

int mpi__Type_create_hindexed(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                              struct mpi__type *old, struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (!code) code = check_array(blocklengths, count, "array_of_blocklengths");
    if (!code) code = check_array(displacements, count, "array_of_displacements");
    if (code) return code;
    BUILD(ame__type_hindexed(count, blocklengths, displacements, old->data, large, &data));
}

int mpi__Type_create_indexed_block(int64_t count, int64_t blocklength, struct ame__counts displacements,
                                   struct mpi__type *old, struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (!code) code = check_array(displacements, count, "array_of_displacements");
    if (code) return code;
    BUILD(ame__type_indexed_block(count, blocklength, displacements, old->data, large, &data));
}

int mpi__Type_create_hindexed_block(int64_t count, int64_t blocklength, struct ame__counts displacements,
                                    struct mpi__type *old, struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (!code) code = check_array(displacements, count, "array_of_displacements");
    if (code) return code;
    BUILD(ame__type_hindexed_block(count, blocklength, displacements, old->data, large, &data));
}

int mpi__Type_create_struct(int64_t count, struct ame__counts blocklengths, struct ame__counts displacements,
                            const MPI_Datatype types[], struct mpi__type **newtype, bool large)
{
    int code = check_count(count, "count");
    if (!code) code = check_array(blocklengths, count, "array_of_blocklengths");
    if (!code) code = check_array(displacements, count, "array_of_displacements");
    if (!code && count && !types) code = mpi__fail(MPI_ERR_ARG, "argument 'array_of_types' is NULL");
    if (code) return code;
    struct ame__datatype **parts = malloc(((size_t) count + 1) * sizeof *parts), *data = NULL;
    if (!parts) return mpi__no_memory();
    for (int64_t i = 0; !code && i < count; i++) {
        struct mpi__type *part;
        code = mpi__in_datatype(types[i], "array_of_types", &part);
        if (!code) parts[i] = part->data;
    }
    enum ame__type_error error = AME__TYPE_OK;
    if (!code) error = ame__type_struct(count, blocklengths, displacements, parts, large, &data);
    free(parts);
    return code ? code : made(error, data, newtype);
}

static int order_of(int order, enum ame__order *own)
{
    if (order != MPI_ORDER_C && order != MPI_ORDER_FORTRAN)
        return mpi__fail(MPI_ERR_ARG, "argument 'order' is %d", order);
    *own = order == MPI_ORDER_C ? AME__ORDER_C : AME__ORDER_FORTRAN;
    return MPI_SUCCESS;
}

int mpi__Type_create_subarray(int ndims, struct ame__counts sizes, struct ame__counts subsizes,
                              struct ame__counts starts, int order, struct mpi__type *old, struct mpi__type **newtype,
                              bool large)
{
    enum ame__order own = AME__ORDER_C;
    int code = order_of(order, &own);
    if (!code && ndims < 1) code = mpi__fail(MPI_ERR_ARG, "argument 'ndims' is %d", ndims);
    if (!code) code = check_array(sizes, ndims, "array_of_sizes");
    if (!code) code = check_array(subsizes, ndims, "array_of_subsizes");
    if (!code) code = check_array(starts, ndims, "array_of_starts");
    if (code) return code;
    BUILD(ame__type_subarray(ndims, sizes, subsizes, starts, own, old->data, large, &data));
}

int mpi__Type_create_darray(int size, int rank, int ndims, struct ame__counts gsizes, const int distribs[],
                            const int dargs[], const int psizes[], int order, struct mpi__type *old,
                            struct mpi__type **newtype, bool large)
{
    enum ame__order own = AME__ORDER_C;
    int code = order_of(order, &own);
    if (!code && ndims < 1) code = mpi__fail(MPI_ERR_ARG, "argument 'ndims' is %d", ndims);
    if (!code) code = check_array(gsizes, ndims, "array_of_gsizes");
    if (!code && (!distribs || !dargs || !psizes)) code = mpi__fail(MPI_ERR_ARG, "an array is NULL");
    if (code) return code;
    int *own_distribs = malloc(2 * (size_t) ndims * sizeof *own_distribs), *own_dargs = own_distribs + ndims;
    if (!own_distribs) return mpi__no_memory();
    for (int i = 0; i < ndims; i++) {
        own_distribs[i] = distribs[i] == MPI_DISTRIBUTE_NONE     ? AME__DISTRIBUTE_NONE
                          : distribs[i] == MPI_DISTRIBUTE_BLOCK  ? AME__DISTRIBUTE_BLOCK
                          : distribs[i] == MPI_DISTRIBUTE_CYCLIC ? AME__DISTRIBUTE_CYCLIC
                                                                 : 0;
        own_dargs[i] = dargs[i] == MPI_DISTRIBUTE_DFLT_DARG ? AME__DISTRIBUTE_DEFAULT : dargs[i];
    }
    struct ame__datatype *data = NULL;
    enum ame__type_error error =
        ame__type_darray(size, rank, ndims, gsizes, own_distribs, own_dargs, psizes, own, old->data, large, &data);
    free(own_distribs);
    return made(error, data, newtype);
}

int mpi__Type_create_resized(struct mpi__type *old, int64_t lb, int64_t extent, struct mpi__type **newtype, bool large)
{
    BUILD(ame__type_resized(old->data, lb, extent, large, &data));
}

int mpi__Type_dup(struct mpi__type *old, struct mpi__type **newtype)
{
    struct ame__datatype *data = NULL;
    enum ame__type_error error = ame__type_dup(old->data, &data);
    bool committed = old->data->committed;
    int code = made(error, data, newtype);
    if (code) return code;
    data->committed = committed;
    code = mpi__attributes_copy(MPI__DATATYPE, old->object.handle, old->attributes, &(*newtype)->attributes);
    if (!code) return code;
    (void) mpi__attributes_delete(MPI__DATATYPE, (*newtype)->object.handle, &(*newtype)->attributes);
    mpi__type_drop(*newtype);
    *newtype = NULL;
    return code;
}

int mpi__Type_commit(MPI_Datatype *handle)
{
    struct mpi__type *type;
    int code = mpi__check_out(handle, "datatype");
    if (!code) code = mpi__in_datatype(*handle, "datatype", &type);
    if (!code) type->data->committed = true;
    return code;
}

int mpi__Type_free(struct mpi__type *type)
{
    if (type->object.predefined) return mpi__fail(MPI_ERR_TYPE, "%s cannot be freed", type->name);
    int code = mpi__attributes_delete(MPI__DATATYPE, type->object.handle, &type->attributes);
    if (!code) mpi__type_drop(type);
    return code;
}

/* ---- asked --------------------------------------------------------------------------------------- */

int mpi__Type_size(struct mpi__type *type, int64_t *size)
{
    *size = type->data->size;
    return MPI_SUCCESS;
}

int mpi__Type_size_x(struct mpi__type *type, MPI_Count *size)
{
    return mpi__Type_size(type, size);
}

int mpi__Type_get_extent(struct mpi__type *type, int64_t *lb, int64_t *extent)
{
    *lb = type->data->lb;
    *extent = ame__type_extent(type->data);
    return MPI_SUCCESS;
}

int mpi__Type_get_extent_x(struct mpi__type *type, MPI_Count *lb, MPI_Count *extent)
{
    return mpi__Type_get_extent(type, lb, extent);
}

int mpi__Type_get_true_extent(struct mpi__type *type, int64_t *lb, int64_t *extent)
{
    *lb = type->data->true_lb;
    *extent = type->data->true_ub - type->data->true_lb;
    return MPI_SUCCESS;
}

int mpi__Type_get_true_extent_x(struct mpi__type *type, MPI_Count *lb, MPI_Count *extent)
{
    return mpi__Type_get_true_extent(type, lb, extent);
}

int mpi__Type_get_name(struct mpi__type *type, char *name, int *length)
{
    *length = snprintf(name, MPI_MAX_OBJECT_NAME, "%s", type ? type->name : "MPI_DATATYPE_NULL");
    return MPI_SUCCESS;
}

int mpi__Type_set_name(struct mpi__type *type, const char *name)
{
    if (!name) return mpi__fail(MPI_ERR_ARG, "argument 'type_name' is NULL");
    snprintf(type->name, sizeof type->name, "%s", name);
    return MPI_SUCCESS;
}

static int combiner_of(enum ame__combiner combiner)
{
    static const int table[] = {[AME__COMBINER_NAMED] = MPI_COMBINER_NAMED,
                                [AME__COMBINER_DUP] = MPI_COMBINER_DUP,
                                [AME__COMBINER_CONTIGUOUS] = MPI_COMBINER_CONTIGUOUS,
                                [AME__COMBINER_VECTOR] = MPI_COMBINER_VECTOR,
                                [AME__COMBINER_HVECTOR] = MPI_COMBINER_HVECTOR,
                                [AME__COMBINER_INDEXED] = MPI_COMBINER_INDEXED,
                                [AME__COMBINER_HINDEXED] = MPI_COMBINER_HINDEXED,
                                [AME__COMBINER_INDEXED_BLOCK] = MPI_COMBINER_INDEXED_BLOCK,
                                [AME__COMBINER_HINDEXED_BLOCK] = MPI_COMBINER_HINDEXED_BLOCK,
                                [AME__COMBINER_STRUCT] = MPI_COMBINER_STRUCT,
                                [AME__COMBINER_SUBARRAY] = MPI_COMBINER_SUBARRAY,
                                [AME__COMBINER_DARRAY] = MPI_COMBINER_DARRAY,
                                [AME__COMBINER_F90_REAL] = MPI_COMBINER_F90_REAL,
                                [AME__COMBINER_F90_COMPLEX] = MPI_COMBINER_F90_COMPLEX,
                                [AME__COMBINER_F90_INTEGER] = MPI_COMBINER_F90_INTEGER,
                                [AME__COMBINER_RESIZED] = MPI_COMBINER_RESIZED};
    return table[combiner];
}

int mpi__Type_get_envelope(struct mpi__type *type, int *integers, int *addresses, int *types, int *combiner)
{
    const struct ame__type_contents *contents = &type->data->contents;
    if (contents->large)
        return mpi__fail(MPI_ERR_TYPE, "the datatype was made with large counts; use MPI_Type_get_envelope_c");
    *integers = (int) contents->ints_length;
    *addresses = (int) contents->addresses_length;
    *types = (int) contents->types_length;
    *combiner = combiner_of(contents->combiner);
    return MPI_SUCCESS;
}

int mpi__Type_get_envelope_c(struct mpi__type *type, MPI_Count *integers, MPI_Count *addresses, MPI_Count *counts,
                             MPI_Count *types, int *combiner)
{
    const struct ame__type_contents *contents = &type->data->contents;
    *integers = contents->ints_length;
    *addresses = contents->addresses_length;
    *counts = contents->counts_length;
    *types = contents->types_length;
    *combiner = combiner_of(contents->combiner);
    return MPI_SUCCESS;
}

/* Orders and distributions are constants of the ABI again. Where they stand among the integers: MPI 4.1, 5.1.13. */
static void translate(const struct ame__type_contents *contents, int *ints)
{
    int64_t last = contents->ints_length - 1;
    if (contents->combiner == AME__COMBINER_SUBARRAY)
        ints[last] = ints[last] == AME__ORDER_C ? MPI_ORDER_C : MPI_ORDER_FORTRAN;
    if (contents->combiner != AME__COMBINER_DARRAY) return;
    ints[last] = ints[last] == AME__ORDER_C ? MPI_ORDER_C : MPI_ORDER_FORTRAN;
    int ndims = ints[2];
    int *distribs = ints + 3 + (contents->large ? 0 : ndims), *dargs = distribs + ndims;
    for (int i = 0; i < ndims; i++) {
        distribs[i] = distribs[i] == AME__DISTRIBUTE_NONE    ? MPI_DISTRIBUTE_NONE
                      : distribs[i] == AME__DISTRIBUTE_BLOCK ? MPI_DISTRIBUTE_BLOCK
                                                             : MPI_DISTRIBUTE_CYCLIC;
        if (dargs[i] == AME__DISTRIBUTE_DEFAULT) dargs[i] = MPI_DISTRIBUTE_DFLT_DARG;
    }
}

int mpi__Type_get_contents_c(struct mpi__type *type, MPI_Count max_integers, MPI_Count max_addresses,
                             MPI_Count max_counts, MPI_Count max_types, int integers[], MPI_Aint addresses[],
                             MPI_Count counts[], MPI_Datatype types[])
{
    const struct ame__type_contents *contents = &type->data->contents;
    if (contents->combiner == AME__COMBINER_NAMED)
        return mpi__fail(MPI_ERR_TYPE, "a predefined datatype has no contents");
    if (max_integers < contents->ints_length || max_addresses < contents->addresses_length ||
        max_counts < contents->counts_length || max_types < contents->types_length)
        return mpi__fail(MPI_ERR_ARG, "an array is too short for what MPI_Type_get_envelope has told");
    for (int64_t i = 0; i < contents->ints_length; i++) integers[i] = contents->ints[i];
    for (int64_t i = 0; i < contents->addresses_length; i++) addresses[i] = contents->addresses[i];
    for (int64_t i = 0; i < contents->counts_length; i++) counts[i] = contents->counts[i];
    translate(contents, integers);
    for (int64_t i = 0; i < contents->types_length; i++) {
        struct mpi__type *part = contents->types[i]->user;
        if (part->object.references == 0) { /* its handle has been freed: it gets one again, for the same datatype */
            (void) mpi__object_init(&part->object, MPI__DATATYPE);
            ame__type_ref(part->data);
        } else {
            mpi__object_hold(&part->object);
        }
        types[i] = mpi__out_datatype(part);
    }
    return MPI_SUCCESS;
}

int mpi__Type_get_contents(struct mpi__type *type, int max_integers, int max_addresses, int max_types, int integers[],
                           MPI_Aint addresses[], MPI_Datatype types[])
{
    if (type->data->contents.large)
        return mpi__fail(MPI_ERR_TYPE, "the datatype was made with large counts; use MPI_Type_get_contents_c");
    return mpi__Type_get_contents_c(type, max_integers, max_addresses, 0, max_types, integers, addresses, NULL, types);
}

/* ---- Fortran's ----------------------------------------------------------------------------------- */

int mpi__Type_match_size(int typeclass, int size, struct mpi__type **type)
{
    static const struct {
        int class, size;
        enum ame__basic_id id;
    } table[] = {
        {MPI_TYPECLASS_INTEGER, 1, AME__BASIC_INTEGER1},   {MPI_TYPECLASS_INTEGER, 2, AME__BASIC_INTEGER2},
        {MPI_TYPECLASS_INTEGER, 4, AME__BASIC_INTEGER4},   {MPI_TYPECLASS_INTEGER, 8, AME__BASIC_INTEGER8},
        {MPI_TYPECLASS_INTEGER, 16, AME__BASIC_INTEGER16}, {MPI_TYPECLASS_REAL, 2, AME__BASIC_REAL2},
        {MPI_TYPECLASS_REAL, 4, AME__BASIC_REAL4},         {MPI_TYPECLASS_REAL, 8, AME__BASIC_REAL8},
        {MPI_TYPECLASS_REAL, 16, AME__BASIC_REAL16},       {MPI_TYPECLASS_COMPLEX, 4, AME__BASIC_COMPLEX4},
        {MPI_TYPECLASS_COMPLEX, 8, AME__BASIC_COMPLEX8},   {MPI_TYPECLASS_COMPLEX, 16, AME__BASIC_COMPLEX16},
        {MPI_TYPECLASS_COMPLEX, 32, AME__BASIC_COMPLEX32},
#ifdef MPI_TYPECLASS_LOGICAL
        {MPI_TYPECLASS_LOGICAL, 1, AME__BASIC_LOGICAL1},   {MPI_TYPECLASS_LOGICAL, 2, AME__BASIC_LOGICAL2},
        {MPI_TYPECLASS_LOGICAL, 4, AME__BASIC_LOGICAL4},   {MPI_TYPECLASS_LOGICAL, 8, AME__BASIC_LOGICAL8},
        {MPI_TYPECLASS_LOGICAL, 16, AME__BASIC_LOGICAL16},
#endif
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].class == typeclass && table[i].size == size && named[table[i].id]) {
            *type = named[table[i].id];
            return MPI_SUCCESS;
        }
    return mpi__fail(MPI_ERR_ARG, "there is no datatype of class %d with %d bytes", typeclass, size);
}

/* Types of Fortran that have at least this precision and range: the same handle for the same arguments, never freed. */
static pthread_mutex_t f90_lock = PTHREAD_MUTEX_INITIALIZER;

static int f90_locked(enum ame__combiner combiner, enum ame__basic_id id, int count, const int ints[2],
                      struct mpi__type **type)
{
    static struct {
        enum ame__combiner combiner;
        int ints[2];
        struct mpi__type *type;
    } made_before[256];
    static int made_count;
    for (int i = 0; i < made_count; i++)
        if (made_before[i].combiner == combiner && made_before[i].ints[0] == ints[0] &&
            made_before[i].ints[1] == ints[1]) {
            *type = made_before[i].type;
            return MPI_SUCCESS;
        }
    struct ame__datatype *data = NULL;
    enum ame__type_error error = ame__type_f90(combiner, &ame__basics[id], count, ints, &data);
    int code = made(error, data, type);
    if (code) return code;
    (*type)->object.predefined = true;
    if (made_count < (int) (sizeof made_before / sizeof *made_before)) {
        made_before[made_count].combiner = combiner;
        memcpy(made_before[made_count].ints, ints, sizeof made_before->ints);
        made_before[made_count++].type = *type;
    }
    return MPI_SUCCESS;
}

static int f90(enum ame__combiner combiner, enum ame__basic_id id, int count, const int ints[2],
               struct mpi__type **type)
{
    pthread_mutex_lock(&f90_lock);
    int code = f90_locked(combiner, id, count, ints, type);
    pthread_mutex_unlock(&f90_lock);
    return code;
}

int mpi__Type_create_f90_integer(int r, struct mpi__type **type)
{
    int ints[2] = {r, 0};
    enum ame__basic_id id = r <= 2   ? AME__BASIC_INTEGER1
                            : r <= 4 ? AME__BASIC_INTEGER2
                            : r <= 9 ? AME__BASIC_INTEGER4
                                     : AME__BASIC_INTEGER8;
    if (r > 18) return mpi__fail(MPI_ERR_ARG, "there is no INTEGER with a range of %d digits", r);
    return f90(AME__COMBINER_F90_INTEGER, id, 1, ints, type);
}

static int float_of(int p, int r, int *which)
{
    if (p == MPI_UNDEFINED && r == MPI_UNDEFINED)
        return mpi__fail(MPI_ERR_ARG, "arguments 'p' and 'r' are both MPI_UNDEFINED");
    if (p > 33 || r > 4931) return mpi__fail(MPI_ERR_ARG, "there is no REAL with %d digits and a range of %d", p, r);
    *which = p <= 6 && r <= 37 ? 0 : p <= 15 && r <= 307 ? 1 : 2;
    return MPI_SUCCESS;
}

int mpi__Type_create_f90_real(int p, int r, struct mpi__type **type)
{
    static const enum ame__basic_id ids[] = {AME__BASIC_REAL4, AME__BASIC_REAL8, AME__BASIC_REAL16};
    int ints[2] = {p, r}, which = 0;
    int code = float_of(p, r, &which);
    return code ? code : f90(AME__COMBINER_F90_REAL, ids[which], 2, ints, type);
}

int mpi__Type_create_f90_complex(int p, int r, struct mpi__type **type)
{
    static const enum ame__basic_id ids[] = {AME__BASIC_COMPLEX8, AME__BASIC_COMPLEX16, AME__BASIC_COMPLEX32};
    int ints[2] = {p, r}, which = 0;
    int code = float_of(p, r, &which);
    return code ? code : f90(AME__COMBINER_F90_COMPLEX, ids[which], 2, ints, type);
}

#ifndef MPICH_ABI_OF_AME
int mpi__Type_get_value_index(struct mpi__type *value, struct mpi__type *index, struct mpi__type **pair)
{
    *pair = NULL;
    for (int id = 1; id < AME__BASIC_END; id++) {
        const struct ame__basic *basic = &ame__basics[id];
        if (named[id] && basic->kind == AME__KIND_PAIR && basic->value == value->data->basic &&
            basic->index == index->data->basic)
            *pair = named[id];
    }
    return MPI_SUCCESS;
}
#endif

/* ---- pack ---------------------------------------------------------------------------------------- */

int mpi__Pack(const void *inbuf, int64_t incount, struct mpi__type *type, void *outbuf, int64_t outsize,
              int64_t *position, struct mpi__comm *comm)
{
    (void) comm;
    int64_t length;
    int code = mpi__type_usable(type, incount, inbuf);
    if (!code) code = mpi__type_error(ame__type_total(type->data, incount, &length));
    if (!code && (*position < 0 || *position > outsize || length > outsize - *position))
        code = mpi__fail(MPI_ERR_ARG, "%lld bytes do not fit at position %lld of a buffer of %lld", (long long) length,
                         (long long) *position, (long long) outsize);
    if (code) return code;
    if (length) ame__type_pack(type->data, incount, inbuf, 0, (char *) outbuf + *position, length);
    *position += length;
    return MPI_SUCCESS;
}

int mpi__Unpack(const void *inbuf, int64_t insize, int64_t *position, void *outbuf, int64_t outcount,
                struct mpi__type *type, struct mpi__comm *comm)
{
    (void) comm;
    int64_t length;
    int code = mpi__type_usable(type, outcount, outbuf);
    if (!code) code = mpi__type_error(ame__type_total(type->data, outcount, &length));
    if (!code && (*position < 0 || *position > insize || length > insize - *position))
        code = mpi__fail(MPI_ERR_ARG, "there are no %lld bytes at position %lld of a buffer of %lld",
                         (long long) length, (long long) *position, (long long) insize);
    if (code) return code;
    if (length) ame__type_unpack(type->data, outcount, outbuf, 0, (const char *) inbuf + *position, length);
    *position += length;
    return MPI_SUCCESS;
}

int mpi__Pack_size(int64_t count, struct mpi__type *type, struct mpi__comm *comm, int64_t *size)
{
    (void) comm;
    int code = check_count(count, "incount");
    if (!code && !type->data->committed) code = mpi__fail(MPI_ERR_TYPE, "the datatype has not been committed");
    return code ? code : mpi__type_error(ame__type_total(type->data, count, size));
}

static int check_datarep(const char *datarep)
{
    if (datarep && strcmp(datarep, "external32") == 0) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_ARG, "argument 'datarep' is '%s'; there is only 'external32'", datarep ? datarep : "NULL");
}

int mpi__Pack_external(const char *datarep, const void *inbuf, int64_t incount, struct mpi__type *type, void *outbuf,
                       int64_t outsize, int64_t *position)
{
    int code = check_datarep(datarep);
    if (!code) code = mpi__type_usable(type, incount, inbuf);
    if (code) return code;
    return mpi__type_error(ame__type_external32_pack(type->data, incount, inbuf, outbuf, outsize, position));
}

int mpi__Unpack_external(const char *datarep, const void *inbuf, int64_t insize, int64_t *position, void *outbuf,
                         int64_t outcount, struct mpi__type *type)
{
    int code = check_datarep(datarep);
    if (!code) code = mpi__type_usable(type, outcount, outbuf);
    if (code) return code;
    return mpi__type_error(ame__type_external32_unpack(type->data, outcount, outbuf, inbuf, insize, position));
}

int mpi__Pack_external_size(const char *datarep, int64_t count, struct mpi__type *type, int64_t *size)
{
    int code = check_datarep(datarep);
    if (!code) code = check_count(count, "incount");
    return code ? code : mpi__type_error(ame__type_external32_size(type->data, count, size));
}

/* ---- of MPI-1 ------------------------------------------------------------------------------------ */

int mpi__Type_hvector(int count, int blocklength, MPI_Aint stride, struct mpi__type *old, struct mpi__type **newtype)
{
    return mpi__Type_create_hvector(count, blocklength, stride, old, newtype, false);
}

int mpi__Type_hindexed(int count, int blocklengths[], MPI_Aint displacements[], struct mpi__type *old,
                       struct mpi__type **newtype)
{
    return mpi__Type_create_hindexed(count, AME__NARROW(blocklengths), AME__WIDE(displacements), old, newtype, false);
}

int mpi__Type_struct(int count, int blocklengths[], MPI_Aint displacements[], MPI_Datatype types[],
                     struct mpi__type **newtype)
{
    return mpi__Type_create_struct(count, AME__NARROW(blocklengths), AME__WIDE(displacements), types, newtype, false);
}

int mpi__Type_extent(struct mpi__type *type, MPI_Aint *extent)
{
    *extent = ame__type_extent(type->data);
    return MPI_SUCCESS;
}

int mpi__Type_lb(struct mpi__type *type, MPI_Aint *lb)
{
    *lb = type->data->lb;
    return MPI_SUCCESS;
}

int mpi__Type_ub(struct mpi__type *type, MPI_Aint *ub)
{
    *ub = type->data->ub;
    return MPI_SUCCESS;
}
