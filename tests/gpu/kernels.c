/* kernels.c - the kernels of smoke.cu for the mock driver. */
#include <stdint.h>

#define KERNEL __attribute__((visibility("default"))) void

KERNEL scale(const unsigned grid[6], void **arguments);
KERNEL stray(const unsigned grid[6], void **arguments);
KERNEL busy(const unsigned grid[6], void **arguments);

KERNEL scale(const unsigned grid[6], void **arguments)
{
    double *to = *(double **) arguments[0];
    const double *from = *(const double **) arguments[1];
    double factor = *(double *) arguments[2];
    unsigned long long count = *(unsigned long long *) arguments[3];
    (void) grid;
    for (unsigned long long i = 0; i < count; i++) to[i] = factor * from[i] + (double) i;
}

/* The mock driver's MOCKCUDA_FAIL makes the error. */
KERNEL stray(const unsigned grid[6], void **arguments)
{
    (void) grid, (void) arguments;
}

KERNEL busy(const unsigned grid[6], void **arguments)
{
    double *to = *(double **) arguments[0];
    unsigned long long turns = *(unsigned long long *) arguments[1];
    for (unsigned i = 0; i < grid[0] * grid[3]; i++) {
        double x = i % grid[3];
        for (unsigned long long turn = 0; turn < turns; turn++) x = x * 0.999999 + 1e-9;
        to[i] = x;
    }
}
