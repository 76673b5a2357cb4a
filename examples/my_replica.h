/* my_replica.h - what the processor and the GPU compute for my_replica.c: one step of one walker in a trap of stiffness k */
#ifndef MY_REPLICA_H
#define MY_REPLICA_H

#include <ame_numeric.h>

struct trap {
    double stiffness, step; /* parameters of a replica */
};
enum { WALKERS = 256 };

AME_HD double trap_step(const struct trap *t, double x, uint64_t step, uint32_t walker, uint32_t replica, uint64_t seed)
{
    ame_philox r = ame_philox4x32((uint32_t) step, (uint32_t) (step >> 32), walker, replica, (uint32_t) seed,
                                  (uint32_t) (seed >> 32));
    double kick, unused;
    ame_fp_normals(r.a, r.b, &kick, &unused);
    return x - t->stiffness * t->step * x + sqrt(2 * t->step) * kick;
}

#endif
