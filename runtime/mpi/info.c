/* info.c - info objects: ordered lists of keys and values. They may be used before MPI_Init; one object by one thread at a
 * time, as MPI says. */
#include "layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mpi__info *mpi__info_new(void)
{
    struct mpi__info *info = calloc(1, sizeof *info);
    if (info && mpi__object_init(&info->object, MPI__INFO)) {
        free(info);
        return NULL;
    }
    return info;
}

void mpi__info_drop(struct mpi__info *info)
{
    if (!info || !mpi__object_drop(&info->object)) return;
    for (int i = 0; i < info->count; i++) {
        free(info->pairs[i].key);
        free(info->pairs[i].value);
    }
    free(info->pairs);
    free(info);
}

static struct mpi__pair *find(const struct mpi__info *info, const char *key)
{
    for (int i = 0; info && i < info->count; i++)
        if (strcmp(info->pairs[i].key, key) == 0) return &info->pairs[i];
    return NULL;
}

const char *mpi__info_find(const struct mpi__info *info, const char *key)
{
    struct mpi__pair *pair = find(info, key);
    return pair ? pair->value : NULL;
}

int mpi__info_put(struct mpi__info *info, const char *key, const char *value)
{
    struct mpi__pair *pair = find(info, key);
    char *copy = strdup(value);
    if (!copy) return mpi__no_memory();
    if (pair) {
        free(pair->value);
        pair->value = copy;
        return MPI_SUCCESS;
    }
    if (info->count == info->room) {
        int room = info->room ? 2 * info->room : 8;
        struct mpi__pair *pairs = realloc(info->pairs, (size_t) room * sizeof *pairs);
        if (pairs) {
            info->pairs = pairs;
            info->room = room;
        }
    }
    char *name = info->count < info->room ? strdup(key) : NULL;
    if (!name) {
        free(copy);
        return mpi__no_memory();
    }
    info->pairs[info->count++] = (struct mpi__pair){.key = name, .value = copy};
    return MPI_SUCCESS;
}

struct mpi__info *mpi__info_copy(const struct mpi__info *info)
{
    struct mpi__info *copy = mpi__info_new();
    for (int i = 0; copy && info && i < info->count; i++) {
        if (mpi__info_put(copy, info->pairs[i].key, info->pairs[i].value) == MPI_SUCCESS) continue;
        mpi__info_drop(copy);
        copy = NULL;
    }
    return copy;
}

static int check_key(const char *key)
{
    if (key && *key && strlen(key) < MPI_MAX_INFO_KEY + 1) return MPI_SUCCESS;
    return mpi__fail(MPI_ERR_INFO_KEY, "argument 'key' is %s", !key ? "NULL" : *key ? "too long" : "empty");
}

int mpi__Info_create(struct mpi__info **info)
{
    *info = mpi__info_new();
    return *info ? MPI_SUCCESS : mpi__no_memory();
}

/* What MPI_INFO_ENV tells: how this program was started. */
int mpi__Info_create_env(int argc, char *argv[], struct mpi__info **info)
{
    char text[MPI_MAX_INFO_VAL];
    const char *size = getenv("AME_SIZE");
    struct mpi__info *made = mpi__info_new();
    if (!made) return mpi__no_memory();
    int code = MPI_SUCCESS;
    if (argc > 0 && argv && argv[0]) code = mpi__info_put(made, "command", argv[0]);
    if (!code && size) code = mpi__info_put(made, "maxprocs", size);
    if (!code && gethostname(text, sizeof text - 1) == 0) code = mpi__info_put(made, "host", text);
    if (!code && getcwd(text, sizeof text)) code = mpi__info_put(made, "wdir", text);
    if (!code) code = mpi__info_put(made, "thread_level", "MPI_THREAD_MULTIPLE");
    if (code) {
        mpi__info_drop(made);
        return code;
    }
    *info = made;
    return MPI_SUCCESS;
}

int mpi__Info_dup(struct mpi__info *info, struct mpi__info **copy)
{
    *copy = mpi__info_copy(info);
    return *copy ? MPI_SUCCESS : mpi__no_memory();
}

int mpi__Info_free(struct mpi__info *info)
{
    if (info->object.predefined) return mpi__fail(MPI_ERR_INFO, "MPI_INFO_ENV cannot be freed");
    mpi__info_drop(info);
    return MPI_SUCCESS;
}

int mpi__Info_set(struct mpi__info *info, const char *key, const char *value)
{
    int code = check_key(key);
    if (!code && (!value || strlen(value) >= MPI_MAX_INFO_VAL))
        code = mpi__fail(MPI_ERR_INFO_VALUE, "argument 'value' is %s", value ? "too long" : "NULL");
    return code ? code : mpi__info_put(info, key, value);
}

int mpi__Info_delete(struct mpi__info *info, const char *key)
{
    int code = check_key(key);
    if (code) return code;
    struct mpi__pair *pair = find(info, key);
    if (!pair) return mpi__fail(MPI_ERR_INFO_NOKEY, "argument 'key' is '%s', which the info object does not have", key);
    free(pair->key);
    free(pair->value);
    info->count--;
    memmove(pair, pair + 1, (size_t) (&info->pairs[info->count] - pair) * sizeof *pair);
    return MPI_SUCCESS;
}

int mpi__Info_get(struct mpi__info *info, const char *key, int valuelen, char *value, int *flag)
{
    int code = check_key(key);
    if (!code && valuelen < 0) code = mpi__fail(MPI_ERR_ARG, "argument 'valuelen' is %d", valuelen);
    if (code) return code;
    const char *found = mpi__info_find(info, key);
    *flag = found != NULL;
    if (found) snprintf(value, (size_t) valuelen + 1, "%s", found);
    return MPI_SUCCESS;
}

int mpi__Info_get_string(struct mpi__info *info, const char *key, int *buflen, char *value, int *flag)
{
    int code = check_key(key);
    if (!code && *buflen < 0) code = mpi__fail(MPI_ERR_ARG, "argument 'buflen' is %d", *buflen);
    if (code) return code;
    const char *found = mpi__info_find(info, key);
    *flag = found != NULL;
    if (!found) return MPI_SUCCESS;
    if (*buflen > 0 && value) snprintf(value, (size_t) *buflen, "%s", found);
    *buflen = (int) strlen(found) + 1;
    return MPI_SUCCESS;
}

int mpi__Info_get_valuelen(struct mpi__info *info, const char *key, int *valuelen, int *flag)
{
    int code = check_key(key);
    if (code) return code;
    const char *found = mpi__info_find(info, key);
    *flag = found != NULL;
    if (found) *valuelen = (int) strlen(found);
    return MPI_SUCCESS;
}

int mpi__Info_get_nkeys(struct mpi__info *info, int *nkeys)
{
    *nkeys = info->count;
    return MPI_SUCCESS;
}

int mpi__Info_get_nthkey(struct mpi__info *info, int n, char *key)
{
    if (n < 0 || n >= info->count)
        return mpi__fail(MPI_ERR_ARG, "argument 'n' is %d; there are %d keys", n, info->count);
    snprintf(key, MPI_MAX_INFO_KEY, "%s", info->pairs[n].key);
    return MPI_SUCCESS;
}
