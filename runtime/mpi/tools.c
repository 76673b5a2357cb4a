/* tools.c - the tools interface (MPI_T). AME's settings are variables of the environment (ame-info), its counters are not
 * kept for programs: there are no control and performance variables, categories or events, and every index is invalid. */
#include "layer.h"

static _Atomic int users;

int mpi__T_init_thread(int required, int *provided)
{
    (void) required;
    users++;
    *provided = MPI_THREAD_MULTIPLE;
    return MPI_SUCCESS;
}

int mpi__T_finalize(void)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    users--;
    return MPI_SUCCESS;
}

int mpi__T_enum_get_info(MPI_T_enum enumtype, int *num, char *name, int *name_len)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) enumtype;
    (void) num;
    (void) name;
    (void) name_len;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_enum_get_item(MPI_T_enum enumtype, int index, int *value, char *name, int *name_len)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) enumtype;
    (void) index;
    (void) value;
    (void) name;
    (void) name_len;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_cvar_get_num(int *num_cvar)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *num_cvar = 0;
    return MPI_SUCCESS;
}

int mpi__T_cvar_get_info(int cvar_index, char *name, int *name_len, int *verbosity, MPI_Datatype *datatype,
                         MPI_T_enum *enumtype, char *desc, int *desc_len, int *bind, int *scope)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cvar_index;
    (void) name;
    (void) name_len;
    (void) verbosity;
    (void) datatype;
    (void) enumtype;
    (void) desc;
    (void) desc_len;
    (void) bind;
    (void) scope;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_cvar_get_index(const char *name, int *cvar_index)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) name;
    (void) cvar_index;
    return MPI_T_ERR_INVALID_NAME;
}

int mpi__T_cvar_handle_alloc(int cvar_index, void *obj_handle, MPI_T_cvar_handle *handle, int *count)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cvar_index;
    (void) obj_handle;
    (void) handle;
    (void) count;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_cvar_handle_free(MPI_T_cvar_handle *handle)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) handle;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_cvar_read(MPI_T_cvar_handle handle, void *buf)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) handle;
    (void) buf;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_cvar_write(MPI_T_cvar_handle handle, const void *buf)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) handle;
    (void) buf;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_get_num(int *num_pvar)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *num_pvar = 0;
    return MPI_SUCCESS;
}

int mpi__T_pvar_get_info(int pvar_index, char *name, int *name_len, int *verbosity, int *var_class,
                         MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len, int *bind,
                         int *readonly, int *continuous, int *atomic)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pvar_index;
    (void) name;
    (void) name_len;
    (void) verbosity;
    (void) var_class;
    (void) datatype;
    (void) enumtype;
    (void) desc;
    (void) desc_len;
    (void) bind;
    (void) readonly;
    (void) continuous;
    (void) atomic;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_pvar_get_index(const char *name, int var_class, int *pvar_index)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) name;
    (void) var_class;
    (void) pvar_index;
    return MPI_T_ERR_INVALID_NAME;
}

int mpi__T_pvar_session_create(MPI_T_pvar_session *pe_session)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    static char any;
    *pe_session = (MPI_T_pvar_session) (void *) &any;
    return MPI_SUCCESS;
}

int mpi__T_pvar_session_free(MPI_T_pvar_session *pe_session)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *pe_session = MPI_T_PVAR_SESSION_NULL;
    return MPI_SUCCESS;
}

int mpi__T_pvar_handle_alloc(MPI_T_pvar_session pe_session, int pvar_index, void *obj_handle, MPI_T_pvar_handle *handle,
                             int *count)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) pvar_index;
    (void) obj_handle;
    (void) handle;
    (void) count;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_pvar_handle_free(MPI_T_pvar_session pe_session, MPI_T_pvar_handle *handle)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_start(MPI_T_pvar_session pe_session, MPI_T_pvar_handle handle)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_stop(MPI_T_pvar_session pe_session, MPI_T_pvar_handle handle)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_read(MPI_T_pvar_session pe_session, MPI_T_pvar_handle handle, void *buf)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    (void) buf;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_write(MPI_T_pvar_session pe_session, MPI_T_pvar_handle handle, const void *buf)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    (void) buf;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_reset(MPI_T_pvar_session pe_session, MPI_T_pvar_handle handle)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_pvar_readreset(MPI_T_pvar_session pe_session, MPI_T_pvar_handle handle, void *buf)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) pe_session;
    (void) handle;
    (void) buf;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_category_get_num(int *num_cat)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *num_cat = 0;
    return MPI_SUCCESS;
}

int mpi__T_category_get_info(int cat_index, char *name, int *name_len, char *desc, int *desc_len, int *num_cvars,
                             int *num_pvars, int *num_categories)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cat_index;
    (void) name;
    (void) name_len;
    (void) desc;
    (void) desc_len;
    (void) num_cvars;
    (void) num_pvars;
    (void) num_categories;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_category_get_index(const char *name, int *cat_index)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) name;
    (void) cat_index;
    return MPI_T_ERR_INVALID_NAME;
}

int mpi__T_category_get_cvars(int cat_index, int len, int indices[])
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cat_index;
    (void) len;
    (void) indices;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_category_get_pvars(int cat_index, int len, int indices[])
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cat_index;
    (void) len;
    (void) indices;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_category_get_categories(int cat_index, int len, int indices[])
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cat_index;
    (void) len;
    (void) indices;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_category_changed(int *update_number)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *update_number = 0;
    return MPI_SUCCESS;
}

int mpi__T_category_get_num_events(int cat_index, int *num_events)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cat_index;
    (void) num_events;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_category_get_events(int cat_index, int len, int indices[])
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) cat_index;
    (void) len;
    (void) indices;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_event_get_num(int *num_events)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *num_events = 0;
    return MPI_SUCCESS;
}

int mpi__T_event_get_info(int event_index, char *name, int *name_len, int *verbosity, MPI_Datatype array_of_datatypes[],
                          MPI_Aint array_of_displacements[], int *num_elements, MPI_T_enum *enumtype,
                          struct mpi__info **info, char *desc, int *desc_len, int *bind)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_index;
    (void) name;
    (void) name_len;
    (void) verbosity;
    (void) array_of_datatypes;
    (void) array_of_displacements;
    (void) num_elements;
    (void) enumtype;
    (void) info;
    (void) desc;
    (void) desc_len;
    (void) bind;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_event_get_index(const char *name, int *event_index)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) name;
    (void) event_index;
    return MPI_T_ERR_INVALID_NAME;
}

int mpi__T_event_handle_alloc(int event_index, void *obj_handle, struct mpi__info *info,
                              MPI_T_event_registration *event_registration)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_index;
    (void) obj_handle;
    (void) info;
    (void) event_registration;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_event_handle_set_info(MPI_T_event_registration event_registration, struct mpi__info *info)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) info;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_handle_get_info(MPI_T_event_registration event_registration, struct mpi__info **info_used)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) info_used;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_event_register_callback(MPI_T_event_registration event_registration, MPI_T_cb_safety cb_safety,
                                   struct mpi__info *info, void *user_data, MPI_T_event_cb_function *event_cb_function)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) cb_safety;
    (void) info;
    (void) user_data;
    (void) event_cb_function;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_callback_set_info(MPI_T_event_registration event_registration, MPI_T_cb_safety cb_safety,
                                   struct mpi__info *info)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) cb_safety;
    (void) info;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_callback_get_info(MPI_T_event_registration event_registration, MPI_T_cb_safety cb_safety,
                                   struct mpi__info **info_used)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) cb_safety;
    (void) info_used;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_event_handle_free(MPI_T_event_registration event_registration, void *user_data,
                             MPI_T_event_free_cb_function *free_cb_function)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) user_data;
    (void) free_cb_function;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_set_dropped_handler(MPI_T_event_registration event_registration,
                                     MPI_T_event_dropped_cb_function *dropped_cb_function)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_registration;
    (void) dropped_cb_function;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_read(MPI_T_event_instance event_instance, int element_index, void *buffer)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_instance;
    (void) element_index;
    (void) buffer;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_copy(MPI_T_event_instance event_instance, void *buffer)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_instance;
    (void) buffer;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_get_timestamp(MPI_T_event_instance event_instance, MPI_Count *event_timestamp)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_instance;
    (void) event_timestamp;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_event_get_source(MPI_T_event_instance event_instance, int *source_index)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) event_instance;
    (void) source_index;
    return MPI_T_ERR_INVALID_HANDLE;
}

int mpi__T_source_get_num(int *num_sources)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    *num_sources = 0;
    return MPI_SUCCESS;
}

int mpi__T_source_get_info(int source_index, char *name, int *name_len, char *desc, int *desc_len,
                           MPI_T_source_order *ordering, MPI_Count *ticks_per_second, MPI_Count *max_ticks,
                           struct mpi__info **info)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) source_index;
    (void) name;
    (void) name_len;
    (void) desc;
    (void) desc_len;
    (void) ordering;
    (void) ticks_per_second;
    (void) max_ticks;
    (void) info;
    return MPI_T_ERR_INVALID_INDEX;
}

int mpi__T_source_get_timestamp(int source_index, MPI_Count *timestamp)
{
    if (users == 0) return MPI_T_ERR_NOT_INITIALIZED;
    (void) source_index;
    (void) timestamp;
    return MPI_T_ERR_INVALID_INDEX;
}
