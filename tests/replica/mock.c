/* mock.c - the kernels of the examples for the mock driver: what the processor computes, through pointers to device memory */
#include <ame_replica.h>

#include "butane.h"
#include "ising.h"
#include "kinds.h"
#include "mueller.h"
#include "../../examples/my_replica.h"

#define KERNEL __attribute__((visibility("default"))) void

KERNEL butane_kernel(const unsigned grid[6], void **arguments);
KERNEL butane_summary(const unsigned grid[6], void **arguments);
KERNEL mueller_kernel(const unsigned grid[6], void **arguments);
KERNEL mueller_summary(const unsigned grid[6], void **arguments);
KERNEL ising_kernel(const unsigned grid[6], void **arguments);
KERNEL trap_kernel(const unsigned grid[6], void **arguments);

#define EACH_REPLICA(r, grid, arguments)                                                                               \
    for (const ame_replica *r = *(const ame_replica **) (arguments)[0], *end = r + (grid)[1]; r < end; r++)

KERNEL butane_kernel(const unsigned grid[6], void **arguments)
{
    EACH_REPLICA(r, grid, arguments)
    {
        const struct butane *w = r->parameters;
        if (grid[0] * grid[3] < w->walkers) continue; /* too few threads: wrong results show it */
        double *rows = r->state;
        butane_run_plain(w, r->seed, (uint32_t) r->id, r->first_step, r->steps, rows,
                         (uint64_t *) (rows + BUTANE_ROWS * (size_t) w->walkers));
    }
}

KERNEL butane_summary(const unsigned grid[6], void **arguments)
{
    EACH_REPLICA(r, grid, arguments) butane_summarize(r->parameters, r->state, r->first_step + r->steps, r->result);
}

KERNEL mueller_kernel(const unsigned grid[6], void **arguments)
{
    EACH_REPLICA(r, grid, arguments)
    mueller_run_plain(r->parameters, r->seed, (uint32_t) r->id, r->first_step, r->steps, r->state);
}

KERNEL mueller_summary(const unsigned grid[6], void **arguments)
{
    EACH_REPLICA(r, grid, arguments) mueller_summarize(r->parameters, r->state, r->first_step + r->steps, r->result);
}

KERNEL ising_kernel(const unsigned grid[6], void **arguments)
{
    EACH_REPLICA(r, grid, arguments)
    ising_run_plain(r->parameters, r->seed, (uint32_t) r->id, r->first_step, r->steps, r->state, r->result);
}

KERNEL trap_kernel(const unsigned grid[6], void **arguments)
{
    EACH_REPLICA(r, grid, arguments)
    {
        double *x = r->state, square = 0;
        for (uint32_t w = 0; w < grid[3]; w++)
            for (uint64_t step = r->first_step; step < r->first_step + r->steps; step++)
                x[w] = trap_step(r->parameters, x[w], step, w, (uint32_t) r->id, r->seed);
        for (uint32_t w = 0; w < WALKERS; w++) square += x[w] * x[w];
        *(double *) r->result = square / WALKERS;
    }
}
