/* scatter_average.c - the average of many random numbers, computed by all ranks together
 *
 *     ameexec -np 4 ./scatter_average [count]
 *
 * Rank 0 makes `count` normally distributed numbers with mean 10 and standard deviation 5 (100 million by default, 800
 * MB) and scatters them: every rank gets an equal part. Each rank averages its part, rank 0 gathers these averages and
 * combines them. Where the count cannot be divided evenly, the first ranks get one number more, and their averages
 * count accordingly.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ame.h>

static void fail(const char *text)
{
    fprintf(stderr, "scatter_average: %s\n", text);
    ame_abort(1);
}

static void check(int code)
{
    if (code != AME_OK) fail(ame_last_error());
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) fail("out of memory");
    return memory;
}

/* ---- random numbers ------------------------------------------------------------------------------ */

/* The i-th random number is a scrambled i (the finalizer of SplitMix64: Steele, Lea, Flood 2014). There is no state, so
 * any number can be made at any time, and every run makes the same ones. */
static uint64_t scramble(uint64_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Uniform in (0, 1): never 0, so that its logarithm exists. */
static double uniform(uint64_t i)
{
    return ((double) (scramble(i) >> 11) + 0.5) * 0x1p-53;
}

/* Marsaglia's polar form of Box and Muller's method: a random point within the unit circle gives two independent normal
 * numbers without a sine or cosine. On average 1.27 points have to be tried. */
static void generate(double *x, size_t count, double mean, double deviation)
{
    uint64_t i = 0;
    for (size_t n = 0; n < count; n += 2) {
        double u, v, s;
        do {
            u = 2 * uniform(i++) - 1;
            v = 2 * uniform(i++) - 1;
            s = u * u + v * v;
        } while (s >= 1);
        double scale = deviation * sqrt(-2 * log(s) / s);
        x[n] = mean + scale * u;
        if (n + 1 < count) x[n + 1] = mean + scale * v;
    }
}

/* ---- the job ------------------------------------------------------------------------------------- */

/* How many of `count` numbers `rank` gets. */
static size_t share(size_t count, size_t rank, size_t size)
{
    return count / size + (rank < count % size);
}

/* Bytes of memory that are free, or 0 if the system does not say. */
static size_t memory_free(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    size_t kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %zu kB", &kilobytes) == 1) break;
    if (file) fclose(file);
    return kilobytes * 1024;
}

static void check_memory(size_t count, size_t size)
{
    /* all numbers at rank 0, and the parts of the other ranks; rank 0's own part stays where it is */
    double need = (double) (count + (count - share(count, 0, size))) * sizeof(double) + (double) size * 8e6;
    double have = (double) memory_free();
    if (have == 0 || need <= have) return;
    fprintf(stderr,
            "scatter_average: %zu numbers on %zu ranks need %.2f GB of memory, and %.2f GB are free on this machine.\n"
            "Give a smaller count: ameexec -np %zu ./scatter_average %.0f\n",
            count, size, need / 1e9, have / 1e9, size, have / 32);
    ame_abort(1);
}

static double average(const double *x, size_t count)
{
    /* four sums at a time keep the processor busier than one */
    double sum[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += x[i + k];
    for (; i < count; i++) sum[0] += x[i];
    return count ? (sum[0] + sum[1] + sum[2] + sum[3]) / (double) count : 0;
}

/* Prints on rank 0 what a step took; returns the time at which the next one begins. */
static double report(size_t rank, const char *what, double start, double bytes)
{
    check(ame_barrier(AME_COMM_WORLD)); /* only to measure: the step is over when all ranks are done */
    double now = ame_wtime();
    if (rank == 0) printf("%-11s %8.3f s  %7.2f GB/s\n", what, now - start, bytes / 1e9 / (now - start));
    return ame_wtime();
}

int main(int argc, char **argv)
{
    char none[1] = "", *end = none;
    double wanted = argc > 1 ? strtod(argv[1], &end) : 100e6; /* 1e6 is understood as well as 1000000 */
    if (argc > 2 || *end || !(wanted >= 1 && wanted <= 1e12)) {
        fprintf(stderr, "usage: scatter_average [count]   (count: 1 to 1e12, default 100 million)\n");
        return 2;
    }
    if (ame_init() != AME_OK) {
        fprintf(stderr, "scatter_average: %s\n", ame_last_error());
        return 1;
    }
    size_t rank = (size_t) ame_comm_rank(AME_COMM_WORLD);
    size_t size = (size_t) ame_comm_size(AME_COMM_WORLD);
    size_t count = (size_t) wanted;
    double bytes = (double) count * sizeof(double);

    double *all = NULL;      /* rank 0: all numbers */
    size_t *lengths = NULL;  /* rank 0: bytes of the part of each rank */
    double *averages = NULL; /* rank 0: the average of each part */
    if (rank == 0) {
        check_memory(count, size);
        printf("%zu numbers (%.1f MB) on %zu rank%s\n", count, bytes / 1e6, size, size == 1 ? "" : "s");
        fflush(stdout);
        all = allocate(count * sizeof *all);
        averages = allocate(size * sizeof *averages);
        lengths = allocate(size * sizeof *lengths);
        for (size_t r = 0; r < size; r++) lengths[r] = share(count, r, size) * sizeof *all;
    }

    double time = ame_wtime();
    if (rank == 0) generate(all, count, 10, 5);
    time = report(rank, "generating", time, bytes);

    /* AME_IN_PLACE: rank 0's part already lies where it belongs, at the beginning of `all`. */
    size_t part_count = share(count, rank, size);
    double *part = rank == 0 ? all : allocate(part_count * sizeof *part);
    check(ame_scatterv(all, lengths, NULL, rank == 0 ? AME_IN_PLACE : part, part_count * sizeof *part, 0,
                       AME_COMM_WORLD));
    time = report(rank, "scattering", time, bytes - (double) share(count, 0, size) * sizeof(double));

    double part_average = average(part, part_count);
    time = report(rank, "averaging", time, bytes);

    check(ame_gather(&part_average, sizeof part_average, averages, 0, AME_COMM_WORLD));
    report(rank, "gathering", time, (double) size * sizeof(double));

    if (rank == 0) {
        double full = 0;
        for (size_t r = 0; r < size; r++) full += averages[r] * ((double) share(count, r, size) / (double) count);
        printf("Full Average: %.6f\n", full);
    } else {
        free(part);
    }
    free(lengths);
    free(averages);
    free(all);
    return ame_finalize() == AME_OK ? 0 : 1;
}
