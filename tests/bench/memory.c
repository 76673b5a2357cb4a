/* memory.c - private memory per rank after init and a barrier: Private_Clean + Private_Dirty of smaps_rollup, that is
 * what one more rank costs the machine.
 *
 * Prints KiB: `memory` median and maximum over all ranks, `memory_root` that of rank 0 (twice).
 *
 * usage: bench_memory */
#include "measure.h"
#include "peer.h"

static double private_kib(void)
{
    char line[256];
    double total = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    if (f == NULL) {
        fprintf(stderr, "bench_memory: no /proc/self/smaps_rollup\n");
        peer_abort();
    }
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned long kib;
        if (sscanf(line, "Private_Clean: %lu", &kib) == 1 || sscanf(line, "Private_Dirty: %lu", &kib) == 1)
            total += (double) kib;
    }
    fclose(f);
    return total;
}

int main(int argc, char **argv)
{
    measure_limit();
    peer_init(&argc, &argv);
    peer_barrier();
    double mine = private_kib(), *all = NULL;
    if (peer_rank() == 0) all = measure_alloc((size_t) peer_size() * sizeof *all);
    peer_gather(&mine, sizeof mine, all);
    if (peer_rank() == 0) {
        double median = measure_median(all, peer_size());
        measure_print("memory", 0, median, all[peer_size() - 1]);
        measure_print("memory_root", 0, mine, mine);
    }
    free(all);
    peer_finalize();
    return 0;
}
