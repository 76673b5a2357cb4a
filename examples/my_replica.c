/* my_replica.c - a template: particles in traps of different stiffness, each trap a replica; variances beside the exact ones
 *
 *     ameexec -np 4 ./my_replica
 *
 * Replace the step in my_replica.h by your own. The kernel in my_replica.cu may be left out: then all is done by processors.
 */
#include <stdio.h>
#include <stdlib.h>

#include <ame_replica.h>

#include "my_replica.h"

enum { TRAPS = 8, RUNS = 100, FIRST = 10, STEPS = 50 };
extern const unsigned char my_replica_image[]; /* what the build makes of my_replica.cu */
extern const size_t my_replica_image_size;

static int run(const ame_replica *replicas, size_t count, void *arg)
{
    (void) arg;
    for (const ame_replica *r = replicas; r < replicas + count; r++) {
        double *x = r->state, square = 0; /* the state is all 0 at first */
        for (uint32_t w = 0; w < WALKERS; w++)
            for (uint64_t step = r->first_step; step < r->first_step + r->steps; step++)
                x[w] = trap_step(r->parameters, x[w], step, w, (uint32_t) r->id, r->seed);
        for (uint32_t w = 0; w < WALKERS; w++) square += x[w] * x[w];
        *(double *) r->result = square / WALKERS;
    }
    return 0;
}

static void check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "my_replica: %s\n", ame_last_error());
    ame_abort(1);
}

int main(void)
{
    const ame_replica_kind kind = {.name = "trap",
                                   .parameters_size = sizeof(struct trap),
                                   .state_size = WALKERS * sizeof(double),
                                   .result_size = sizeof(double),
                                   .result_doubles = 1,
                                   .run = run,
                                   .image = my_replica_image,
                                   .image_size = my_replica_image_size,
                                   .kernel = "trap_kernel",
                                   .lanes = WALKERS,
                                   .threads = WALKERS};
    ame_replicas *set;
    if (ame_init() != AME_OK) return 1;
    check(ame_replicas_open(AME_COMM_WORLD, &kind, TRAPS, 42, "table=0", &set));
    if (ame_comm_rank(AME_COMM_WORLD) == 0) {
        struct trap trap[TRAPS];
        double variance[TRAPS], mean[TRAPS] = {0};
        for (int i = 0; i < TRAPS; i++) trap[i] = (struct trap){.stiffness = 1 + i, .step = 0.02};
        for (int n = 0; n < RUNS; n++) {
            check(ame_replicas_run(set, STEPS, trap, variance));
            for (int i = 0; i < TRAPS && n >= FIRST; i++) mean[i] += variance[i] / (RUNS - FIRST);
        }
        for (int i = 0; i < TRAPS; i++)
            printf("stiffness %d: variance %.4f, exact %.4f\n", i + 1, mean[i],
                   1 / (trap[i].stiffness * (1 - trap[i].stiffness * trap[i].step / 2)));
        printf("computed by the %s\n", ame_replicas_worker(set, 0));
    } else {
        check(ame_replicas_serve(set));
    }
    check(ame_replicas_close(&set));
    return ame_finalize() == AME_OK ? 0 : 1;
}
