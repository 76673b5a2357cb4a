/* measure.h - clock, blocks of iterations, medians and the output line, shared by the benchmark programs.
 *
 * A measurement is a time budget divided into blocks of equally many iterations. The number of iterations is found by
 * doubling it until a block takes its share of the budget; rank 0 decides and tells the others, so all ranks run the
 * same loop. Slow peers thus get few iterations, but at least MEASURE_BLOCKS_MIN blocks of one.
 *
 * Output, read by ./run:   name size ranks median minimum      (microseconds per iteration unless said otherwise) */
#ifndef AME_BENCH_MEASURE_H
#define AME_BENCH_MEASURE_H

#include "peer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MEASURE_BLOCKS     7
#define MEASURE_BLOCKS_MIN 3
#define MEASURE_ITERS_MAX  100000

static inline double measure_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec * 1e-3;
}

/* A job that hangs ends by itself, whatever its launcher does with its processes. Call first in main. */
static inline void measure_limit(void)
{
    const char *text = getenv("BENCH_LIMIT_S");
    int seconds = text != NULL ? atoi(text) : 0;
    alarm(seconds > 0 ? (unsigned) seconds : 300);
}

static inline void *measure_alloc(size_t bytes)
{
    void *p = malloc(bytes > 0 ? bytes : 1);
    if (p == NULL) {
        fprintf(stderr, "bench: no memory for %zu bytes\n", bytes);
        peer_abort();
    }
    return p;
}

static inline int measure_compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* Sorts `values`. */
static inline double measure_median(double *values, int count)
{
    qsort(values, (size_t) count, sizeof *values, measure_compare);
    return count % 2 != 0 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static inline void measure_print(const char *name, size_t size, double median, double other)
{
    printf("%s %zu %d %.3f %.3f\n", name, size, peer_size(), median, other);
    fflush(stdout);
}

/* Data that differs for every (seed, position), cheap enough for 64 MiB. */
static inline unsigned char measure_byte(unsigned seed, size_t i)
{
    return (unsigned char) ((i * 131u + (i >> 8) * 17u + seed * 29u + 7u) & 0xff);
}

static inline void measure_fill(void *buf, size_t length, unsigned seed)
{
    unsigned char *p = buf;
    for (size_t i = 0; i < length; i++) p[i] = measure_byte(seed, i);
}

static inline int measure_intact(const void *buf, size_t length, unsigned seed)
{
    const unsigned char *p = buf;
    for (size_t i = 0; i < length; i++)
        if (p[i] != measure_byte(seed, i)) return 0;
    return 1;
}

/* Ends the job unless `intact` on every rank. */
static inline void measure_verdict(const char *name, size_t size, int intact)
{
    if (intact) return;
    fprintf(stderr, "bench: %s of %zu bytes: wrong data on rank %d\n", name, size, peer_rank());
    peer_abort();
}

static inline double measure_block(void (*op)(void *arg), void *arg, uint64_t iters)
{
    peer_barrier();
    double start = measure_now_us();
    for (uint64_t i = 0; i < iters; i++) op(arg);
    return measure_now_us() - start;
}

/* Runs `op` on all ranks for about `budget_us`. Rank 0 gets the median and the minimum per iteration of the blocks. */
static inline void measure_run(void (*op)(void *arg), void *arg, double budget_us, double *median, double *minimum)
{
    double values[MEASURE_BLOCKS];
    uint64_t plan[3] = {1, MEASURE_BLOCKS, 0}; /* iterations per block, blocks, settled */
    while (plan[2] == 0) {
        double took = measure_block(op, arg, plan[0]);
        if (took >= budget_us / (2 * MEASURE_BLOCKS) || plan[0] >= MEASURE_ITERS_MAX) {
            plan[2] = 1;
            if (took * MEASURE_BLOCKS > 2 * budget_us) plan[1] = MEASURE_BLOCKS_MIN;
        } else {
            plan[0] *= 2;
        }
        peer_bcast(plan, sizeof plan);
    }
    for (uint64_t b = 0; b < plan[1]; b++) values[b] = measure_block(op, arg, plan[0]) / (double) plan[0];
    *median = measure_median(values, (int) plan[1]);
    *minimum = values[0];
}

/* The budget of one measurement: the first argument, in milliseconds. */
static inline double measure_budget_us(int argc, char **argv, double otherwise_us)
{
    return argc > 1 ? atof(argv[1]) * 1e3 : otherwise_us;
}

/* Measures the sizes that are the further arguments, or else `count` sizes[]. */
static inline void measure_sizes(int argc, char **argv, const size_t sizes[], size_t count, double budget_us,
                                 void (*measure)(size_t size, double budget_us))
{
    if (argc > 2)
        for (int i = 2; i < argc; i++) measure((size_t) strtoull(argv[i], NULL, 10), budget_us);
    else
        for (size_t i = 0; i < count; i++) measure(sizes[i], budget_us);
}

#endif
