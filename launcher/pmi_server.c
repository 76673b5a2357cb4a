/* pmi_server.c - the PMI-1 wire protocol as MPICH's Hydra speaks it (there is no written standard; the reference is
 * MPICH's src/pmi and Hydra's pmiserv), so that MPICH programs start under ameexec.
 *
 * A request is one line of "key=value" words, the first of which is cmd=...; the words are looked up by name, as
 * clients differ in their order. The value of a put is the rest of the line. Unlike Hydra, a key or value that is too
 * long is refused instead of cut, and an unknown command gets an error reply instead of ending the job.
 *
 * Everything in a line is untrusted: lengths are checked before use, and the whole space is limited, for all ranks
 * together. A put counts at once, also before the barrier; clients may not rely on either.
 */
#include "pmi_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define SPACE_MAX (256u << 20)

struct ame__pmi_entry {
    struct ame__pmi_entry *next;
    unsigned hash;
    size_t key_length, value_length;
    char text[]; /* key, then value */
};

struct span {
    const char *text;
    size_t length;
};

static unsigned hash_of(struct span key)
{
    unsigned hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < key.length; i++) hash = (hash ^ (unsigned char) key.text[i]) * 16777619u;
    return hash;
}

static struct ame__pmi_entry **find(const struct ame__pmi_server *server, struct span key)
{
    unsigned hash = hash_of(key);
    struct ame__pmi_entry **at = &server->buckets[hash % server->bucket_count];
    while (*at &&
           ((*at)->hash != hash || (*at)->key_length != key.length || memcmp((*at)->text, key.text, key.length) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct ame__pmi_server *server)
{
    size_t count = 2 * server->bucket_count;
    struct ame__pmi_entry **buckets = ame__xalloc(count * sizeof(void *));
    for (size_t i = 0; i < server->bucket_count; i++)
        for (struct ame__pmi_entry *entry = server->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash % count];
            buckets[entry->hash % count] = entry;
        }
    free(server->buckets);
    server->buckets = buckets;
    server->bucket_count = count;
}

static bool put(struct ame__pmi_server *server, struct span key, struct span value)
{
    if (server->bytes + sizeof(struct ame__pmi_entry) + key.length + value.length > SPACE_MAX) return false;
    struct ame__pmi_entry **at = find(server, key), *old = *at;
    struct ame__pmi_entry *entry = ame__xalloc(sizeof *entry + key.length + value.length);
    entry->hash = hash_of(key);
    entry->key_length = key.length;
    entry->value_length = value.length;
    memcpy(entry->text, key.text, key.length);
    memcpy(entry->text + key.length, value.text, value.length);
    entry->next = old ? old->next : NULL;
    *at = entry;
    server->bytes += sizeof *entry + key.length + value.length;
    server->entry_count += !old;
    if (old) server->bytes -= sizeof *old + old->key_length + old->value_length;
    free(old);
    if (server->entry_count > server->bucket_count) grow(server);
    return true;
}

/* The value of the word NAME=...; to the end of the line when `rest`. */
static bool word(struct span line, const char *name, bool rest, struct span *value)
{
    size_t size = strlen(name);
    for (size_t at = 0; at < line.length;) {
        size_t end = at;
        while (end < line.length && line.text[end] != ' ') end++;
        if (end - at > size && !memcmp(line.text + at, name, size) && line.text[at + size] == '=') {
            value->text = line.text + at + size + 1;
            value->length = (rest ? line.length : end) - at - size - 1;
            return true;
        }
        at = end + 1;
    }
    return false;
}

static bool is(struct span text, const char *name)
{
    return text.length == strlen(name) && !memcmp(text.text, name, text.length);
}

/* ---- requests ------------------------------------------------------------------------------------ */

struct request {
    struct ame__pmi_server *server;
    int rank;
    struct span line;
    char *reply;
    size_t *reply_length;
};

static enum ame__pmi_outcome answer(struct request *request, const char *text)
{
    *request->reply_length = (size_t) snprintf(request->reply, AME__PMI_REPLY_MAX, "%s\n", text);
    return AME__PMI_REPLY;
}

static enum ame__pmi_outcome do_init(struct request *request)
{
    struct span version;
    if (!word(request->line, "pmi_version", false, &version) || !is(version, "1"))
        return answer(request, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1");
    request->server->states[request->rank] = AME__PMI_JOINED;
    request->server->joined = true;
    return answer(request, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0");
}

static enum ame__pmi_outcome do_put(struct request *request)
{
    struct span key, value;
    if (!word(request->line, "key", false, &key) || !word(request->line, "value", true, &value))
        return answer(request, "cmd=put_result rc=-1 msg=key_or_value_missing");
    if (!key.length || key.length > AME__PMI_KEY_MAX) return answer(request, "cmd=put_result rc=-1 msg=key_too_long");
    if (value.length > AME__PMI_VALUE_MAX) return answer(request, "cmd=put_result rc=-1 msg=value_too_long");
    if (!put(request->server, key, value)) return answer(request, "cmd=put_result rc=-1 msg=no_space_left");
    return answer(request, "cmd=put_result rc=0 msg=success");
}

static enum ame__pmi_outcome do_get(struct request *request)
{
    char text[AME__PMI_REPLY_MAX];
    struct span key;
    if (!word(request->line, "key", false, &key) || !key.length || key.length > AME__PMI_KEY_MAX)
        return answer(request, "cmd=get_result rc=-1 msg=no_valid_key value=unknown");
    const struct ame__pmi_entry *entry = *find(request->server, key);
    if (entry)
        snprintf(text, sizeof text, "cmd=get_result rc=0 msg=success value=%.*s", (int) entry->value_length,
                 entry->text + entry->key_length);
    else
        snprintf(text, sizeof text, "cmd=get_result rc=-1 msg=key_%.*s_not_found value=unknown", (int) key.length,
                 key.text);
    return answer(request, text);
}

static enum ame__pmi_outcome do_barrier(struct request *request)
{
    struct ame__pmi_server *server = request->server;
    if (server->states[request->rank] == AME__PMI_WAITING) return AME__PMI_NO_REPLY;
    server->states[request->rank] = AME__PMI_WAITING;
    if (++server->waiting < server->size) return AME__PMI_NO_REPLY;
    server->waiting = 0;
    memset(server->states, AME__PMI_JOINED, (size_t) server->size);
    answer(request, "cmd=barrier_out");
    return AME__PMI_RELEASE;
}

static enum ame__pmi_outcome do_abort(struct request *request)
{
    struct span code;
    request->server->abort_code = 1;
    if (word(request->line, "exitcode", false, &code) && code.length && code.length < 16) {
        char text[16] = "";
        memcpy(text, code.text, code.length);
        int number = atoi(text);
        request->server->abort_code = number && !(number & 255) ? 1 : number & 255;
    }
    return AME__PMI_ABORT;
}

/* Not of PMI-1, only libame says it: an operation of this rank failed because another rank has. No reply. */
static enum ame__pmi_outcome do_failed(struct request *request)
{
    struct span rank;
    char text[16] = "";
    if (!word(request->line, "rank", false, &rank) || !rank.length || rank.length >= sizeof text)
        return AME__PMI_CONTINUE;
    memcpy(text, rank.text, rank.length);
    int number = atoi(text);
    if (number < 0 || number >= request->server->size) return AME__PMI_CONTINUE;
    request->server->blamed = number;
    return AME__PMI_BLAME;
}

/* Likewise: all ranks are connected with rank 0, so that the job can do without some of the others. No reply. */
static enum ame__pmi_outcome do_connected(struct request *request)
{
    if (request->rank != 0) return AME__PMI_CONTINUE;
    request->server->connected = true;
    return AME__PMI_NOTED;
}

/* Likewise: from now on rank 0 does, or does not, get along without ranks that fail. Counted. */
static enum ame__pmi_outcome do_tolerate(struct request *request)
{
    struct ame__pmi_server *server = request->server;
    struct span on;
    if (request->rank != 0 || !word(request->line, "on", false, &on))
        return answer(request, "cmd=ame_tolerate_result rc=-1");
    if (server->intolerant) return answer(request, "cmd=ame_tolerate_result rc=0 agreed=0");
    if (is(on, "1"))
        server->tolerates++;
    else if (server->tolerates)
        server->tolerates--;
    return answer(request, "cmd=ame_tolerate_result rc=0 agreed=1");
}

static enum ame__pmi_outcome do_unknown(struct request *request, struct span command)
{
    char text[AME__PMI_REPLY_MAX];
    size_t length = command.length > 64 ? 64 : command.length;
    snprintf(text, sizeof text, "cmd=%.*s_result rc=-1 msg=unknown_command", (int) length, command.text);
    return answer(request, text);
}

enum ame__pmi_outcome ame__pmi_server_handle(struct ame__pmi_server *server, int rank, const char *line, size_t length,
                                             char reply[AME__PMI_REPLY_MAX], size_t *reply_length)
{
    struct request request = {.server = server, .rank = rank, .line = {line, length}};
    request.reply = reply;
    request.reply_length = reply_length;
    struct span command;
    char text[256];
    if (length >= 5 && !memcmp(line, "mcmd=", 5)) return AME__PMI_CONTINUE; /* many lines, the last one is endcmd */
    if (is(request.line, "endcmd")) return answer(&request, "cmd=spawn_result rc=-1 msg=spawn_is_not_supported");
    if (!word(request.line, "cmd", false, &command))
        return length && memchr(line, '=', length) ? AME__PMI_CONTINUE : AME__PMI_DROP;
    if (is(command, "init")) return do_init(&request);
    if (is(command, "put")) return do_put(&request);
    if (is(command, "get")) return do_get(&request);
    if (is(command, "barrier_in")) return do_barrier(&request);
    if (is(command, "abort")) return do_abort(&request);
    if (is(command, "ame_failed")) return do_failed(&request);
    if (is(command, "ame_connected")) return do_connected(&request);
    if (is(command, "ame_tolerate")) return do_tolerate(&request);
    if (is(command, "get_maxes")) {
        snprintf(text, sizeof text, "cmd=maxes kvsname_max=256 keylen_max=%d vallen_max=%d", AME__PMI_KEY_MAX,
                 AME__PMI_VALUE_MAX);
        return answer(&request, text);
    }
    if (is(command, "get_my_kvsname")) {
        snprintf(text, sizeof text, "cmd=my_kvsname kvsname=%s", server->name);
        return answer(&request, text);
    }
    if (is(command, "get_universe_size")) {
        snprintf(text, sizeof text, "cmd=universe_size size=%d", server->size);
        return answer(&request, text);
    }
    if (is(command, "get_appnum")) {
        int program = server->program_of ? server->program_of(server->owner, rank) : 0;
        snprintf(text, sizeof text, "cmd=appnum appnum=%d", program);
        return answer(&request, text);
    }
    if (is(command, "finalize")) {
        server->states[rank] = AME__PMI_FINALIZED;
        return answer(&request, "cmd=finalize_ack");
    }
    return do_unknown(&request, command);
}

/* ---- the server ---------------------------------------------------------------------------------- */

void ame__pmi_server_init(struct ame__pmi_server *server, int size, const char *name, const char *mapping)
{
    memset(server, 0, sizeof *server);
    server->size = size;
    snprintf(server->name, sizeof server->name, "kvs_%s", name);
    server->states = ame__xalloc((size_t) size);
    server->bucket_count = 64;
    server->buckets = ame__xalloc(server->bucket_count * sizeof(void *));
    if (mapping) put(server, (struct span){"PMI_process_mapping", 19}, (struct span){mapping, strlen(mapping)});
}

enum ame__pmi_state ame__pmi_server_state(const struct ame__pmi_server *server, int rank)
{
    return (enum ame__pmi_state) server->states[rank];
}

void ame__pmi_server_break(struct ame__pmi_server *server, int rank)
{
    if (server->states[rank] == AME__PMI_WAITING) server->waiting--;
    server->states[rank] = AME__PMI_BROKEN;
}

int ame__pmi_server_waiter(const struct ame__pmi_server *server)
{
    for (int rank = 0; server->waiting && rank < server->size; rank++)
        if (server->states[rank] == AME__PMI_WAITING) return rank;
    return -1;
}

void ame__pmi_server_finish(struct ame__pmi_server *server)
{
    for (size_t i = 0; i < server->bucket_count; i++)
        for (struct ame__pmi_entry *entry = server->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    free(server->buckets);
    free(server->states);
    memset(server, 0, sizeof *server);
}
