/* map.h - who gets which device: pure, computed by one rank for all from what each has reported.
 *
 * Devices are compared by UUID only. Ordinals mean nothing between processes: each may see another part of the devices of
 * its host, in another order (Slurm with device cgroups shows each task one device, named 0), and a container may have a
 * host name of its own. UUIDs are unique in the world, so ranks need not even be sorted by host.
 *
 * Those with least choice choose first: ranks that name a device, then ranks that want one for themselves, then by the
 * number of devices they see, then by rank. Each takes the device that the fewest have taken, of these the first in its
 * list. So equal lists give one after the other, lists of one give what is seen, and in between nobody is put on a device
 * that another needs more.
 */
#ifndef AME_GPU_MAP_H
#define AME_GPU_MAP_H

#include "device.h"

struct ame__gpu_rank {
    bool works;
    struct ame__gpu_wish wish;
    const struct ame__gpu_listed *list; /* what it sees */
    int count;
    int chosen;                 /* out: position in its list; -1: none */
    int sharing;                /* out: ranks that have this device */
    char why[AME__GPU_WHY_MAX]; /* in: why it sees none; out: why it gets none */
};

void ame__gpu_map(struct ame__gpu_rank *ranks, int count);
/* Counts `sharing` again, of those that have a device (chosen >= 0) now. */
void ame__gpu_map_count(struct ame__gpu_rank *ranks, int count);

#endif
