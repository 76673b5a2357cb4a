/* env.c - see env.h. */
#include "env.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

bool ame__env_is_set(const char *name)
{
    const char *text = getenv(name);
    return text && *text;
}

const char *ame__env_missing(const char *const *names)
{
    for (; *names; names++)
        if (!ame__env_is_set(*names)) return *names;
    return NULL;
}

int ame__env_number(const char *name, int minimum, int maximum, int *number)
{
    const char *text = getenv(name);
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    if (!text || end == text || *end || value < minimum || value > maximum)
        return ame__fail(AME_E_BOOT, "%s='%.60s' is not a number from %d to %d", name, text ? text : "", minimum,
                         maximum);
    *number = (int) value;
    return AME_OK;
}

bool ame__env_is_socket(const char *text)
{
    char *end;
    struct stat status;
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer, length = sizeof(int);
    int type = 0;
    long fd = strtol(text, &end, 10);
    if (end == text || *end || fd < 0 || fd > 1 << 20) return false;
    return fstat((int) fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
           getsockopt((int) fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM &&
           getpeername((int) fd, (struct sockaddr *) &peer, &size) == 0;
}

/* ---- ancestors ----------------------------------------------------------------------------------- */

/* Does the environment with which process `pid` began hold NAME=value just as this one does? */
static bool has_same(const char *environment, size_t length, const char *name)
{
    char entry[1024];
    int wanted = snprintf(entry, sizeof entry, "%s=%s", name, getenv(name));
    for (size_t at = 0; at < length; at += strlen(environment + at) + 1)
        if (wanted < (int) sizeof entry && !strcmp(environment + at, entry)) return true;
    return false;
}

static bool environment_agrees(long pid, const char *const *names)
{
    enum { MOST = 1 << 20 };
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(MOST + 1) : NULL;
    size_t length = text ? fread(text, 1, MOST, file) : 0;
    bool same = length > 0;
    if (text) text[length] = '\0';
    for (; same && *names; names++) same = has_same(text, length, *names);
    free(text);
    if (file) fclose(file);
    return same;
}

bool ame__env_is_ancestors(const char *const *names)
{
    long pid = 0;
    while ((pid = ame__boot_rank_above(pid)) > 0)
        if (environment_agrees(pid, names)) return true;
    return false;
}

/* ---- lists --------------------------------------------------------------------------------------- */

struct place {
    int rank, node_of_rank;    /* whose node is looked for, and it */
    int next, hosts;           /* rank that is placed next; hosts so far */
    int size, local, local_of; /* ranks on the node of `rank`, and those before it */
};

/* Places the ranks of one pass over the blocks; returns false if the text cannot be read. */
static bool pass(const char *text, struct place *place)
{
    const char *at = text;
    while (*at == ',' || *at == ' ') at++;
    if (*at != '(') return false;
    for (; *at == '('; at += *at == ',') {
        int first, nodes, each, used = 0;
        if (sscanf(at, "(%d,%d,%d)%n", &first, &nodes, &each, &used) != 3 || !used || first < 0 || nodes < 1 ||
            each < 1 || first > 1 << 24 || nodes > 1 << 24)
            return false;
        for (int node = first; node < first + nodes && place->next < place->size; node++) {
            if (node >= place->hosts) place->hosts = node + 1;
            for (int i = 0; i < each && place->next < place->size; i++, place->next++) {
                if (place->next == place->rank && place->node_of_rank < 0) place->node_of_rank = node;
                if (node != place->node_of_rank) continue;
                place->local++;
                if (place->next < place->rank) place->local_of++;
            }
        }
        at += used;
    }
    return *at == ')' || *at == '\0';
}

bool ame__env_mapping(const char *text, int rank, int size, int *hosts, int *local_rank, int *local_size)
{
    struct place place = {.rank = rank, .node_of_rank = -1, .size = size};
    if (strncmp(text, "(vector,", 8) || size < 1) return false;
    for (int turn = 0; turn < 2; turn++) { /* the second one counts, now that the node of `rank` is known */
        place.next = place.hosts = place.local = place.local_of = 0;
        while (place.next < size)
            if (!pass(text + 8, &place)) return false;
    }
    *hosts = place.hosts;
    *local_rank = place.local_of;
    *local_size = place.local;
    return true;
}

int ame__env_tasks_on(const char *text, int node)
{
    while (*text) {
        char *end;
        long tasks = strtol(text, &end, 10), times = 1;
        if (end == text || tasks < 0 || tasks > 1 << 24) return -1;
        if (!strncmp(end, "(x", 2)) {
            text = end + 2;
            times = strtol(text, &end, 10);
            if (end == text || *end != ')' || times < 1) return -1;
            end++;
        }
        if (node < times) return (int) tasks;
        node -= (int) times;
        if (*end && *end != ',') return -1;
        text = *end ? end + 1 : end;
    }
    return -1;
}
