/* affinity.h - sets of CPUs and which of them a rank gets. */
#ifndef AME_LAUNCHER_AFFINITY_H
#define AME_LAUNCHER_AFFINITY_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

#define AME__CPUS_MAX 8192

struct ame__cpus {
    unsigned long bits[AME__CPUS_MAX / 8 / sizeof(unsigned long)];
};

/* The CPUs this process may use. */
void ame__cpus_allowed(struct ame__cpus *cpus);
int ame__cpus_count(const struct ame__cpus *cpus);
/* "0-3,8" */
void ame__cpus_format(const struct ame__cpus *cpus, char *text, size_t size);
/* The CPUs of each of `ranks` ranks, in result[0..ranks-1]: `units` consecutive things of kind `bind` per rank, all
 * different as long as there are enough, then from the beginning again. */
void ame__affinity_place(enum ame__bind bind, int units, int ranks, struct ame__cpus *result);

#endif
