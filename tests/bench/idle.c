/* idle.c - processor time that a rank burns while it waits in a receive.
 *
 * Rank 0 sleeps outside the library for the given time and then sends 8 bytes to every other rank, which has been in
 * its receive since the barrier before. Printed: microseconds of CPU (user + system, all threads) of the receiving
 * ranks during that receive, median and maximum; `size` is the wait in ms.
 *
 * usage: bench_idle [seconds] */
#include "measure.h"
#include "peer.h"

#include <sys/resource.h>

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void root(double seconds)
{
    int waiting = peer_size() - 1;
    double *cpu = measure_alloc((size_t) waiting * sizeof *cpu);
    struct timespec t = {(time_t) seconds, (long) ((seconds - (double) (time_t) seconds) * 1e9)};
    double word = 0;
    nanosleep(&t, NULL);
    for (int r = 1; r <= waiting; r++) peer_send(&word, sizeof word, r);
    for (int r = 1; r <= waiting; r++) peer_recv(&cpu[r - 1], sizeof *cpu, r);
    double median = measure_median(cpu, waiting);
    measure_print("idle", (size_t) (seconds * 1e3), median, cpu[waiting - 1]);
    free(cpu);
}

int main(int argc, char **argv)
{
    measure_limit();
    peer_init(&argc, &argv);
    if (peer_size() < 2) {
        fprintf(stderr, "bench_idle: needs 2 ranks\n");
        peer_abort();
    }
    peer_barrier();
    if (peer_rank() == 0) {
        root(argc > 1 ? atof(argv[1]) : 3);
    } else {
        double word, used = cpu_us();
        peer_recv(&word, sizeof word, 0);
        used = cpu_us() - used;
        peer_send(&used, sizeof used, 0);
    }
    peer_finalize();
    return 0;
}
