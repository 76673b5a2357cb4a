#include "work.h"

#include <stdlib.h>
#include <string.h>

#include "proto.h"

#define NO_STRING UINT64_MAX

/* ---- encode -------------------------------------------------------------------------------------- */

static void put_number(struct ame__bytes *bytes, uint64_t value)
{
    ame__u64_put(ame__bytes_reserve(bytes, 8), value);
    bytes->end += 8;
}

static void put_string(struct ame__bytes *bytes, const char *text)
{
    put_number(bytes, text ? strlen(text) : NO_STRING);
    if (text) ame__bytes_append(bytes, text, strlen(text));
}

static void put_list(struct ame__bytes *bytes, char *const *list)
{
    size_t count = 0;
    while (list[count]) count++;
    put_number(bytes, count);
    for (size_t i = 0; i < count; i++) put_string(bytes, list[i]);
}

void ame__work_encode(const struct ame__work *work, struct ame__bytes *bytes)
{
    put_number(bytes, (uint64_t) work->size);
    put_number(bytes, (uint64_t) work->port);
    put_number(bytes, (uint64_t) work->bind);
    put_number(bytes, (uint64_t) work->units);
    put_number(bytes, work->grace_ms);
    put_number(bytes, work->files);
    put_number(bytes, work->heartbeat_ms);
    put_number(bytes, work->report_bindings);
    put_number(bytes, (uint64_t) work->gpus_per_rank);
    put_number(bytes, work->gpus_named);
    put_string(bytes, work->directory);
    put_string(bytes, work->job_id);
    put_string(bytes, work->authkey);
    put_string(bytes, work->address);
    put_list(bytes, work->env);
    put_number(bytes, (uint64_t) work->app_count);
    for (int i = 0; i < work->app_count; i++) {
        put_string(bytes, work->apps[i].program);
        put_string(bytes, work->apps[i].directory);
        put_list(bytes, work->apps[i].argv);
        put_list(bytes, work->apps[i].env);
    }
    put_number(bytes, (uint64_t) work->count);
    for (int i = 0; i < work->count; i++) {
        const struct ame__work_rank *rank = &work->ranks[i];
        put_number(bytes, (uint64_t) rank->rank);
        put_number(bytes, (uint64_t) rank->app);
        put_number(bytes, (uint64_t) rank->input | (uint64_t) rank->direct_output << 8 | (uint64_t) rank->pty << 9);
    }
}

/* ---- decode -------------------------------------------------------------------------------------- */

struct reader {
    const char *at;
    size_t left;
    bool bad;
};

/* A number up to `most`. */
static uint64_t get_number(struct reader *reader, uint64_t most)
{
    if (reader->bad || reader->left < 8) {
        reader->bad = true;
        return 0;
    }
    uint64_t value = ame__u64_get(reader->at);
    reader->at += 8;
    reader->left -= 8;
    reader->bad = value > most;
    return reader->bad ? 0 : value;
}

/* NULL where there is none; a missing string is bad where `needed`. */
static char *get_string(struct reader *reader, bool needed)
{
    uint64_t length = get_number(reader, NO_STRING);
    if (reader->bad || (length == NO_STRING && !needed)) return NULL;
    if (length > reader->left || memchr(reader->at, '\0', length)) {
        reader->bad = true;
        return NULL;
    }
    char *text = ame__xalloc(length + 1);
    memcpy(text, reader->at, length);
    reader->at += length;
    reader->left -= length;
    return text;
}

/* The number of items in what follows, each of which takes `least` bytes at least. */
static size_t get_count(struct reader *reader, size_t least)
{
    return get_number(reader, reader->left / least);
}

static char **get_list(struct reader *reader, bool settings)
{
    size_t count = get_count(reader, 8);
    char **list = ame__xalloc((count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = get_string(reader, true);
        if (!list[i]) break;
        if (settings && !strchr(list[i], '=')) reader->bad = true;
    }
    return list;
}

static void get_rank(struct reader *reader, struct ame__work *work, int i)
{
    struct ame__work_rank *rank = &work->ranks[i];
    rank->rank = (int) get_number(reader, (uint64_t) work->size - 1);
    rank->app = (int) get_number(reader, (uint64_t) work->app_count - 1);
    unsigned flags = (unsigned) get_number(reader, 0x3ff);
    rank->input = (enum ame__input_kind)(flags & 0xff);
    rank->direct_output = flags >> 8 & 1;
    rank->pty = flags >> 9 & 1;
    if ((flags & 0xff) > AME__INPUT_PIPE || (i && rank->rank <= work->ranks[i - 1].rank)) reader->bad = true;
}

bool ame__work_decode(struct ame__work *work, const char *data, size_t length)
{
    struct reader reader = {.at = data, .left = length};
    memset(work, 0, sizeof *work);
    work->size = (int) get_number(&reader, AME__RANKS_MAX);
    work->port = (int) get_number(&reader, 65535);
    work->bind = (int) get_number(&reader, AME__BIND_SOCKET);
    work->units = (int) get_number(&reader, 8192);
    work->grace_ms = get_number(&reader, UINT64_MAX / 4);
    work->files = get_number(&reader, UINT64_MAX);
    work->heartbeat_ms = get_number(&reader, UINT64_MAX / 4);
    work->report_bindings = get_number(&reader, 1);
    work->gpus_per_rank = (int) get_number(&reader, 256);
    work->gpus_named = get_number(&reader, 1);
    work->directory = get_string(&reader, false);
    work->job_id = get_string(&reader, true);
    work->authkey = get_string(&reader, true);
    work->address = get_string(&reader, true);
    work->env = get_list(&reader, true);
    size_t apps = get_count(&reader, 32);
    work->apps = ame__xalloc(apps * sizeof *work->apps);
    work->app_count = (int) apps;
    for (size_t i = 0; i < apps && !reader.bad; i++) {
        work->apps[i].program = get_string(&reader, true);
        work->apps[i].directory = get_string(&reader, false);
        work->apps[i].argv = get_list(&reader, false);
        work->apps[i].env = get_list(&reader, true);
        if (!work->apps[i].argv[0]) reader.bad = true;
    }
    size_t ranks = get_count(&reader, 24);
    work->ranks = ame__xalloc(ranks * sizeof *work->ranks);
    work->count = (int) ranks;
    if (!work->size || !apps || !ranks) reader.bad = true;
    for (size_t i = 0; i < ranks && !reader.bad; i++) get_rank(&reader, work, (int) i);
    if (!reader.bad && !reader.left) return true;
    ame__work_finish(work);
    return false;
}

static void free_list(char **list)
{
    for (char **item = list; item && *item; item++) free(*item);
    free(list);
}

void ame__work_finish(struct ame__work *work)
{
    for (int i = 0; i < work->app_count; i++) {
        free(work->apps[i].program);
        free(work->apps[i].directory);
        free_list(work->apps[i].argv);
        free_list(work->apps[i].env);
    }
    free(work->apps);
    free(work->ranks);
    free(work->directory);
    free(work->job_id);
    free(work->authkey);
    free(work->address);
    free_list(work->env);
    memset(work, 0, sizeof *work);
}

int ame__work_find(const struct ame__work *work, uint32_t rank)
{
    int low = 0, high = work->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if ((uint32_t) work->ranks[middle].rank < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low < work->count && (uint32_t) work->ranks[low].rank == rank ? low : -1;
}
