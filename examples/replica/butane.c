/* butane.c - the kind of replica that butane.h describes: start, run on a processor, and the kernels for GPUs */
#include "butane.h"

#include <math.h>

#include "kinds.h"
#include "lanes.h"
#include "sums.h"

void butane_window(struct butane *w, double centre_degrees, double spring, double step, double friction,
                   double temperature)
{
    const double kT = 0.00831446261815324 * temperature, decay = exp(-friction * step);
    w->centre = centre_degrees * (BUTANE_PI / 180);
    w->spring = spring;
    w->half_step = step / 2;
    w->decay = decay;
    w->kick_end = sqrt((1 - decay * decay) * kT / BUTANE_MASS_END);
    w->kick_middle = sqrt((1 - decay * decay) * kT / BUTANE_MASS_MIDDLE);
    w->temperature = temperature;
}

uint64_t butane_state_size(uint32_t walkers)
{
    return BUTANE_ROWS * sizeof(double) * walkers + BUTANE_BINS * sizeof(uint64_t);
}

/* Bonds and angles at rest, the dihedral in the middle of the window, no velocities. */
static int start(const ame_replica *replica, void *arg)
{
    (void) arg;
    const struct butane *w = replica->parameters;
    const double along = -BUTANE_BOND * cos(BUTANE_ANGLE), beside = BUTANE_BOND * sin(BUTANE_ANGLE);
    const double atoms[12] = {-along,
                              beside,
                              0,
                              0,
                              0,
                              0,
                              BUTANE_BOND,
                              0,
                              0,
                              BUTANE_BOND + along,
                              beside * cos(w->centre),
                              beside * sin(w->centre)};
    double *rows = replica->state;
    for (uint32_t row = 0; row < 12; row++)
        for (uint32_t walker = 0; walker < w->walkers; walker++) rows[row * w->walkers + walker] = atoms[row];
    return 0;
}

void butane_summarize(const struct butane *w, const double *rows, uint64_t step, struct butane_result *result)
{
    const double *sum = rows + 24 * (size_t) w->walkers, samples = butane_sampled(w, step);
    result->samples = samples;
    result->sum = sums_all(sum, w->walkers, 1, 1);
    result->square = sums_all(sum + w->walkers, w->walkers, 1, 1);
    result->square_of_means = sums_all(sum, w->walkers, samples > 0 ? 1 / samples : 0, 2);
    memcpy(result->histogram, rows + BUTANE_ROWS * (size_t) w->walkers, sizeof result->histogram);
}

static int run(const ame_replica *replicas, size_t count, void *arg)
{
    (void) arg;
    static butane_function *const functions[] = LANES_TABLE(butane_run);
    for (const ame_replica *r = replicas; r < replicas + count; r++) {
        const struct butane *w = r->parameters;
        double *rows = r->state;
        uint64_t *histogram = (uint64_t *) (rows + BUTANE_ROWS * (size_t) w->walkers);
        functions[lanes_isa()](w, r->seed, (uint32_t) r->id, r->first_step, r->steps, rows, histogram);
        butane_summarize(w, rows, r->first_step + r->steps, r->result);
    }
    return 0;
}

ame_replica_kind butane_kind(uint32_t walkers)
{
    return (ame_replica_kind){.name = "butane",
                              .parameters_size = sizeof(struct butane),
                              .state_size = butane_state_size(walkers),
                              .result_size = sizeof(struct butane_result),
                              .result_doubles = 4,
                              .start = start,
                              .run = run,
                              .image = butane_image,
                              .image_size = butane_image_size,
                              .kernel = "butane_kernel",
                              .summary = "butane_summary",
                              .lanes = walkers,
                              .threads = 128,
                              .summary_threads = SUMS_PARTS};
}
