/* affinity.c - the places of a host, from its mask and /sys/devices/system/cpu.
 *
 * Only CPUs in the launcher's own mask are handed out, so that a mask set from outside (a batch system, taskset) holds.
 * A CPU about which /sys says nothing (containers hide it at times) counts as a core, node and socket of its own
 * number, which makes the placement poorer and never wrong.
 */
#include "affinity.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"

#define WORD_BITS (8 * sizeof(unsigned long))

static bool has(const struct ame__cpus *cpus, size_t cpu)
{
    return cpus->bits[cpu / WORD_BITS] >> cpu % WORD_BITS & 1;
}
static void add(struct ame__cpus *cpus, size_t cpu)
{
    cpus->bits[cpu / WORD_BITS] |= 1ul << cpu % WORD_BITS;
}

void ame__cpus_allowed(struct ame__cpus *cpus)
{
    memset(cpus, 0, sizeof *cpus);
    if (sched_getaffinity(0, sizeof *cpus, (cpu_set_t *) (void *) cpus) == 0) return;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    for (long cpu = 0; cpu < online && cpu < AME__CPUS_MAX; cpu++) add(cpus, (size_t) cpu);
}

int ame__cpus_count(const struct ame__cpus *cpus)
{
    int count = 0;
    for (size_t i = 0; i < sizeof cpus->bits / sizeof *cpus->bits; i++) count += __builtin_popcountl(cpus->bits[i]);
    return count;
}

void ame__cpus_format(const struct ame__cpus *cpus, char *text, size_t size)
{
    size_t used = 0;
    *text = '\0';
    for (size_t cpu = 0; cpu < AME__CPUS_MAX && used + 16 < size; cpu++) {
        size_t last = cpu;
        if (!has(cpus, cpu)) continue;
        while (last + 1 < AME__CPUS_MAX && has(cpus, last + 1)) last++;
        used += (size_t) snprintf(text + used, size - used, "%s%zu", used ? "," : "", cpu);
        if (last > cpu) used += (size_t) snprintf(text + used, size - used, "-%zu", last);
        cpu = last;
    }
}

static long read_number(const char *path)
{
    long number = -1;
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    if (fscanf(file, "%ld", &number) != 1) number = -1;
    fclose(file);
    return number;
}

static long numa_node(size_t cpu)
{
    char path[128];
    for (long node = 0; node < 1024; node++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/node%ld", cpu, node);
        if (access(path, F_OK) == 0) return node;
    }
    return -1;
}

/* A number that is equal for two CPUs in the same thing of kind `bind`. */
static long key_of(enum ame__bind bind, size_t cpu)
{
    char path[128];
    if (bind == AME__BIND_HWTHREAD) return (long) cpu;
    if (bind == AME__BIND_NUMA) return numa_node(cpu);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/physical_package_id", cpu);
    long package = read_number(path);
    if (bind == AME__BIND_SOCKET) return package;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/core_id", cpu);
    long core = read_number(path);
    return core < 0 ? (long) cpu : package * 100000 + core;
}

/* The things of kind `bind`, each as the set of its allowed CPUs, in the order of their first CPU. */
static struct ame__cpus *find_units(enum ame__bind bind, int *count)
{
    struct ame__cpus allowed, *units = NULL;
    long *keys = NULL;
    ame__cpus_allowed(&allowed);
    *count = 0;
    for (size_t cpu = 0; cpu < AME__CPUS_MAX; cpu++) {
        int at = 0;
        if (!has(&allowed, cpu)) continue;
        long key = key_of(bind, cpu);
        while (at < *count && keys[at] != key) at++;
        if (at == *count) {
            units = ame__xrealloc(units, (size_t) (*count + 1) * sizeof *units);
            keys = ame__xrealloc(keys, (size_t) (*count + 1) * sizeof *keys);
            memset(&units[at], 0, sizeof *units);
            keys[at] = key;
            ++*count;
        }
        add(&units[at], cpu);
    }
    free(keys);
    return units;
}

void ame__affinity_place(enum ame__bind bind, int units, int ranks, struct ame__cpus *result)
{
    int count;
    struct ame__cpus *things = find_units(bind, &count);
    memset(result, 0, (size_t) ranks * sizeof *result);
    for (int rank = 0; rank < ranks && count; rank++)
        for (int i = 0; i < units && i < count; i++) {
            const struct ame__cpus *thing = &things[((long) rank * units + i) % count];
            for (size_t word = 0; word < sizeof thing->bits / sizeof *thing->bits; word++)
                result[rank].bits[word] |= thing->bits[word];
        }
    free(things);
}
