/* mueller.c - the kind of replica that mueller.h describes */
#include "mueller.h"

#include <math.h>

#include "kinds.h"
#include "lanes.h"
#include "sums.h"

void mueller_dynamics(struct mueller *m, double step, double kT)
{
    m->step = step;
    m->noise = sqrt(2 * kT * step);
}

/* All walkers in the middle of their restraint. */
static int start(const ame_replica *replica, void *arg)
{
    (void) arg;
    const struct mueller *m = replica->parameters;
    double *rows = replica->state;
    for (uint32_t walker = 0; walker < m->walkers; walker++) {
        rows[walker] = m->centre[0];
        rows[m->walkers + walker] = m->centre[1];
    }
    return 0;
}

void mueller_summarize(const struct mueller *m, const double *rows, uint64_t step, struct mueller_result *result)
{
    double sum[5];
    for (size_t k = 0; k < 5; k++) sum[k] = sums_all(rows + (2 + k) * m->walkers, m->walkers, 1, 1);
    *result = (struct mueller_result){mueller_sampled(m, step), sum[0], sum[1], sum[2], sum[3], sum[4]};
}

static int run(const ame_replica *replicas, size_t count, void *arg)
{
    (void) arg;
    static mueller_function *const functions[] = LANES_TABLE(mueller_run);
    for (const ame_replica *r = replicas; r < replicas + count; r++) {
        const struct mueller *m = r->parameters;
        functions[lanes_isa()](m, r->seed, (uint32_t) r->id, r->first_step, r->steps, r->state);
        mueller_summarize(m, r->state, r->first_step + r->steps, r->result);
    }
    return 0;
}

ame_replica_kind mueller_kind(uint32_t walkers)
{
    return (ame_replica_kind){.name = "Mueller-Brown",
                              .parameters_size = sizeof(struct mueller),
                              .state_size = MUELLER_ROWS * sizeof(double) * walkers,
                              .result_size = sizeof(struct mueller_result),
                              .result_doubles = 6,
                              .start = start,
                              .run = run,
                              .image = mueller_image,
                              .image_size = mueller_image_size,
                              .kernel = "mueller_kernel",
                              .summary = "mueller_summary",
                              .lanes = walkers,
                              .threads = 128,
                              .summary_threads = SUMS_PARTS};
}
