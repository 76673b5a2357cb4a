/* ising.c - the kind of replica that ising.h describes */
#include "ising.h"

#include <math.h>

#include "kinds.h"
#include "lanes.h"

void ising_temperature(struct ising *m, double temperature)
{
    m->threshold[0] = (uint32_t) (4294967296.0 * exp(-4 / temperature));
    m->threshold[1] = (uint32_t) (4294967296.0 * exp(-8 / temperature));
}

/* All spins up. */
static int start(const ame_replica *replica, void *arg)
{
    (void) arg;
    const struct ising *m = replica->parameters;
    memset(replica->state, 1, (size_t) m->length * m->length);
    return 0;
}

static int run(const ame_replica *replicas, size_t count, void *arg)
{
    (void) arg;
    static ising_function *const functions[] = LANES_TABLE(ising_run);
    for (const ame_replica *r = replicas; r < replicas + count; r++)
        functions[lanes_isa()](r->parameters, r->seed, (uint32_t) r->id, r->first_step, r->steps, r->state, r->result);
    return 0;
}

ame_replica_kind ising_kind(uint32_t length)
{
    return (ame_replica_kind){.name = "Ising",
                              .parameters_size = sizeof(struct ising),
                              .state_size = (uint64_t) length * length,
                              .result_size = sizeof(struct ising_result),
                              .start = start,
                              .run = run,
                              .image = ising_image,
                              .image_size = ising_image_size,
                              .kernel = "ising_kernel",
                              .lanes = 1,
                              .threads = 256};
}
