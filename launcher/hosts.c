/* hosts.c - lists of hosts in the forms of MPICH, Open MPI, Slurm and LSF.
 *
 * Slurm's form is expanded here and not by scontrol, which is not everywhere where the variables are. Names become
 * arguments of ssh and srun, so what could be taken for an option or needs quoting is refused.
 */
#include "hosts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bytes.h"

/* ---- the list ------------------------------------------------------------------------------------ */

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool valid(const char *text, size_t length)
{
    if (!length || length > 255 || text[0] == '-') return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char) text[i]) && (!text[i] || !strchr("._-:%+\\", text[i]))) return false;
    return true;
}

/* Where the index has the host of this name and user, or has room for it. */
static size_t *find(const struct ame__hosts *hosts, const struct ame__host *host)
{
    size_t hash = 5381;
    for (const char *at = host->name; *at; at++) hash = 33 * hash + (unsigned char) *at;
    for (const char *at = host->user; at && *at; at++) hash = 33 * hash + (unsigned char) *at;
    size_t *place = &hosts->index[hash & (hosts->index_size - 1)];
    while (*place) {
        const struct ame__host *old = &hosts->items[*place - 1];
        if (same(old->name, host->name) && same(old->user, host->user)) break;
        if (++place == hosts->index + hosts->index_size) place = hosts->index;
    }
    return place;
}

/* Doubles the index, which is at most half full, and the room for hosts with it. */
static void grow_index(struct ame__hosts *hosts)
{
    hosts->index_size = hosts->index_size ? 2 * hosts->index_size : 16;
    free(hosts->index);
    hosts->index = ame__xalloc(hosts->index_size * sizeof *hosts->index);
    hosts->items = ame__xrealloc(hosts->items, hosts->index_size / 2 * sizeof *hosts->items);
    for (size_t i = 0; i < hosts->count; i++) *find(hosts, &hosts->items[i]) = i + 1;
}

int ame__hosts_add(struct ame__hosts *hosts, const char *name, size_t length, int slots)
{
    const char *at = memchr(name, '@', length);
    size_t user = at ? (size_t) (at - name) : 0;
    const char *host = at ? at + 1 : name;
    size_t host_length = length - (size_t) (host - name);
    if (host_length > 2 && host[0] == '[' && host[host_length - 1] == ']') {
        host++;
        host_length -= 2;
    }
    if (!valid(host, host_length) || (at && !valid(name, user)))
        return ame__fail(AME_E_CONFIG, "'%.*s' is not the name of a host", (int) length, name);
    if (slots < 1 || slots > AME__SLOTS_MAX)
        return ame__fail(AME_E_CONFIG, "host '%.*s': the number of slots is not from 1 to %d", (int) length, name,
                         AME__SLOTS_MAX);
    struct ame__host item = {.name = ame__xprintf("%.*s", (int) host_length, host),
                             .user = at ? ame__xprintf("%.*s", (int) user, name) : NULL,
                             .slots = slots};
    if (2 * hosts->count >= hosts->index_size) grow_index(hosts);
    size_t *place = find(hosts, &item);
    if (*place) {
        struct ame__host *old = &hosts->items[*place - 1];
        old->slots = old->slots + slots > AME__SLOTS_MAX ? AME__SLOTS_MAX : old->slots + slots;
        free(item.name);
        free(item.user);
        return AME_OK;
    }
    if (hosts->count == AME__HOSTS_MAX) {
        free(item.name);
        free(item.user);
        return ame__fail(AME_E_CONFIG, "more than %d hosts", AME__HOSTS_MAX);
    }
    hosts->items[hosts->count++] = item;
    *place = hosts->count;
    return AME_OK;
}

void ame__hosts_finish(struct ame__hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++) {
        free(hosts->items[i].name);
        free(hosts->items[i].user);
    }
    free(hosts->items);
    free(hosts->index);
    memset(hosts, 0, sizeof *hosts);
}

/* ---- MPICH's and Open MPI's forms ---------------------------------------------------------------- */

/* -1: not a number from 1 to AME__SLOTS_MAX */
static int number(const char *text, size_t length)
{
    long value = 0;
    if (!length || length > 9) return -1;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char) text[i])) return -1;
        value = 10 * value + (text[i] - '0');
    }
    return value < 1 || value > AME__SLOTS_MAX ? -1 : (int) value;
}

/* "name" or "name:N"; a bare IPv6 address has more than one colon and no number of slots. */
static int read_word(const char *word, size_t length, size_t *name, int *slots)
{
    const char *bracket = memchr(word, ']', length);
    const char *from = bracket ? bracket : word;
    const char *colon = memchr(from, ':', length - (size_t) (from - word));
    if (colon && !bracket && memchr(colon + 1, ':', length - (size_t) (colon + 1 - word))) colon = NULL;
    *name = colon ? (size_t) (colon - word) : length;
    *slots = colon ? number(colon + 1, length - *name - 1) : 1;
    if (*slots > 0) return AME_OK;
    return ame__fail(AME_E_CONFIG, "'%.*s': after ':' there must be a number of slots", (int) length, word);
}

int ame__hosts_add_list(struct ame__hosts *hosts, const char *list)
{
    int rc = AME_OK, slots;
    list += strspn(list, ", \t");
    if (!*list) return ame__fail(AME_E_CONFIG, "the list of hosts is empty");
    while (*list && rc == AME_OK) {
        size_t length = strcspn(list, ", \t"), name;
        rc = read_word(list, length, &name, &slots);
        if (rc == AME_OK) rc = ame__hosts_add(hosts, list, name, slots);
        list += length;
        list += strspn(list, ", \t");
    }
    return rc;
}

/* "slots=4" and the like; of the rest, what is known is passed over. */
static int read_property(const char *word, size_t length, int *slots)
{
    static const char *const counts[] = {"slots=", "cpus=", "cpu=", "count="};
    static const char *const others[] = {"max_slots=", "max-slots=", "binding=", "ifname=", "sockets=", "cores="};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t size = strlen(counts[i]);
        if (length < size || strncasecmp(word, counts[i], size) != 0) continue;
        int count = number(word + size, length - size);
        if (count < 0) break;
        *slots = count;
        return AME_OK;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (length > strlen(others[i]) && !strncasecmp(word, others[i], strlen(others[i]))) return AME_OK;
    return ame__fail(AME_E_CONFIG, "'%.*s' is not understood; host:N or host slots=N is", (int) length, word);
}

int ame__hosts_add_line(struct ame__hosts *hosts, const char *line)
{
    static const char blanks[] = " \t\r\n";
    char *text = ame__xprintf("%.*s", (int) strcspn(line, "#"), line);
    const char *host = text + strspn(text, blanks);
    size_t length = strcspn(host, blanks), name = 0;
    int slots = 1;
    int rc = length ? read_word(host, length, &name, &slots) : AME_OK;
    for (const char *word = host + length; rc == AME_OK && *(word += strspn(word, blanks)); word += length) {
        length = strcspn(word, blanks);
        rc = read_property(word, length, &slots);
    }
    if (rc == AME_OK && name) rc = ame__hosts_add(hosts, host, name, slots);
    free(text);
    return rc;
}

/* ---- Slurm's and LSF's forms --------------------------------------------------------------------- */

struct expansion {
    struct ame__hosts *hosts;
    const char *counts; /* what is left of them */
    int count, left;    /* `left` more hosts have `count` slots */
    char name[256];
};

static int next_count(struct expansion *expansion)
{
    if (expansion->left) {
        expansion->left--;
        return expansion->count;
    }
    if (!expansion->counts || !*expansion->counts) return expansion->count ? expansion->count : 1;
    char *end;
    long count = strtol(expansion->counts, &end, 10), times = 1;
    if (!strncmp(end, "(x", 2)) {
        times = strtol(end + 2, &end, 10);
        if (*end == ')') end++;
    }
    if (*end == ',') end++;
    expansion->counts = end == expansion->counts ? "" : end;
    expansion->count = count < 1 || count > AME__SLOTS_MAX ? 1 : (int) count;
    expansion->left = times < 1 || times > AME__HOSTS_MAX ? 0 : (int) times - 1;
    return expansion->count;
}

/* Expands `pattern[0..length-1]` behind the first `used` characters of the name. */
static int expand(struct expansion *expansion, size_t used, const char *pattern, size_t length);

/* "01-03" or "7", from a bracket */
static int expand_range(struct expansion *expansion, size_t used, const char *range, size_t length, const char *rest,
                        size_t rest_length)
{
    const char *dash = memchr(range, '-', length);
    size_t width = dash ? (size_t) (dash - range) : length;
    char *end;
    long first = strtol(range, &end, 10), last = first;
    bool good = isdigit((unsigned char) *range) && end == range + width && width < 10;
    if (dash) {
        last = strtol(dash + 1, &end, 10);
        good = good && isdigit((unsigned char) dash[1]) && end == range + length;
    }
    if (!good || last < first || last - first >= AME__HOSTS_MAX)
        return ame__fail(AME_E_CONFIG, "'%.*s' in a list of nodes is not understood", (int) length, range);
    for (long i = first; i <= last; i++) {
        int size = snprintf(expansion->name + used, sizeof expansion->name - used, "%0*ld", (int) width, i);
        if (used + (size_t) size >= sizeof expansion->name)
            return ame__fail(AME_E_CONFIG, "a name of a host is too long");
        int rc = expand(expansion, used + (size_t) size, rest, rest_length);
        if (rc) return rc;
    }
    return AME_OK;
}

static int expand(struct expansion *expansion, size_t used, const char *pattern, size_t length)
{
    const char *open = memchr(pattern, '[', length);
    size_t plain = open ? (size_t) (open - pattern) : length;
    if (used + plain >= sizeof expansion->name) return ame__fail(AME_E_CONFIG, "a name of a host is too long");
    memcpy(expansion->name + used, pattern, plain);
    used += plain;
    if (!open) return ame__hosts_add(expansion->hosts, expansion->name, used, next_count(expansion));
    const char *close = memchr(open, ']', length - plain);
    if (!close) return ame__fail(AME_E_CONFIG, "'%.*s': ']' is missing", (int) length, pattern);
    const char *rest = close + 1;
    int rc = AME_OK;
    const char *at = open + 1;
    do {
        const char *comma = memchr(at, ',', (size_t) (close - at));
        const char *end = comma ? comma : close;
        rc = expand_range(expansion, used, at, (size_t) (end - at), rest, length - (size_t) (rest - pattern));
        at = end + 1;
    } while (rc == AME_OK && at < close);
    return rc;
}

int ame__hosts_add_nodelist(struct ame__hosts *hosts, const char *list, const char *counts)
{
    struct expansion expansion = {.hosts = hosts, .counts = counts};
    int rc = AME_OK;
    while (rc == AME_OK && *list) {
        size_t length = 0;
        for (int depth = 0; list[length] && (depth || list[length] != ','); length++)
            depth += (list[length] == '[') - (list[length] == ']');
        if (length) rc = expand(&expansion, 0, list, length);
        list += length;
        list += *list == ',';
    }
    return rc;
}

int ame__hosts_add_pairs(struct ame__hosts *hosts, const char *text)
{
    int rc = AME_OK;
    for (text += strspn(text, " \t"); rc == AME_OK && *text;) {
        const char *name = text;
        size_t length = strcspn(text, " \t");
        text += length;
        text += strspn(text, " \t");
        size_t digits = strcspn(text, " \t");
        int slots = number(text, digits);
        if (slots < 0) return ame__fail(AME_E_CONFIG, "'%.*s' has no number of slots", (int) length, name);
        rc = ame__hosts_add(hosts, name, length, slots);
        text += digits;
        text += strspn(text, " \t");
    }
    return rc;
}

/* ---- places -------------------------------------------------------------------------------------- */

static int slots_of(const struct ame__hosts *hosts, size_t host, int per_host)
{
    return per_host ? per_host : hosts->items[host].slots;
}

int ame__hosts_slots(const struct ame__hosts *hosts, int per_host)
{
    long sum = 0;
    for (size_t i = 0; i < hosts->count; i++) sum += slots_of(hosts, i, per_host);
    return sum > 1 << 30 ? 1 << 30 : (int) sum;
}

static void map_slots(const struct ame__hosts *hosts, int per_host, int size, int *host_of)
{
    int rank = 0;
    for (size_t host = 0; rank < size; host = (host + 1) % hosts->count)
        for (int i = 0; i < slots_of(hosts, host, per_host) && rank < size; i++) host_of[rank++] = (int) host;
}

static void map_nodes(const struct ame__hosts *hosts, int per_host, int size, int *host_of)
{
    int rank = 0;
    while (rank < size) {
        bool room = true;
        for (int turn = 0; room && rank < size; turn++) {
            room = false;
            for (size_t host = 0; host < hosts->count && rank < size; host++) {
                if (turn >= slots_of(hosts, host, per_host)) continue;
                host_of[rank++] = (int) host;
                room = true;
            }
        }
    }
}

void ame__hosts_map(const struct ame__hosts *hosts, enum ame__map map, int per_host, int size, int *host_of)
{
    if (map == AME__MAP_NODE)
        map_nodes(hosts, per_host, size, host_of);
    else
        map_slots(hosts, per_host, size, host_of);
}

struct block {
    int first, count, ranks;
};

/* Length of the shortest beginning whose repetition gives all blocks. */
static int period_of(const struct block *blocks, int count)
{
    for (int period = 1; period < count; period++) {
        int i = period;
        while (i < count && !memcmp(&blocks[i], &blocks[i % period], sizeof *blocks)) i++;
        if (i == count) return period;
    }
    return count;
}

bool ame__hosts_mapping(const int *host_of, int size, char *text, size_t room)
{
    struct block *blocks = ame__xalloc((size_t) size * sizeof *blocks);
    int count = 0;
    for (int rank = 0; rank < size;) {
        struct block one = {host_of[rank], 1, 0};
        while (rank < size && host_of[rank] == one.first) rank++, one.ranks++;
        struct block *last = count ? &blocks[count - 1] : NULL;
        if (last && last->ranks == one.ranks && one.first == last->first + last->count)
            last->count++;
        else
            blocks[count++] = one;
    }
    count = period_of(blocks, count);
    size_t used = (size_t) snprintf(text, room, "(vector");
    for (int i = 0; i < count && used < room; i++)
        used += (size_t) snprintf(text + used, room - used, ",(%d,%d,%d)", blocks[i].first, blocks[i].count,
                                  blocks[i].ranks);
    if (used < room) used += (size_t) snprintf(text + used, room - used, ")");
    free(blocks);
    return used < room;
}
