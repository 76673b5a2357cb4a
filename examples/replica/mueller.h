/* mueller.h - walkers on the Mueller-Brown surface with a harmonic restraint, the same text for processor and GPU
 *
 * The surface is the usual test of methods that look for paths: three minima, two saddles, known to many digits
 * (reference.h). K. Mueller, L. D. Brown, Theor. Chim. Acta 53, 75 (1979). Walkers move by overdamped Langevin dynamics,
 *
 *   z += -step grad(V + spring/2 |z - centre|^2) + noise * normal,   noise = sqrt(2 kT step)
 *
 * A replica is one image of a string: `walkers` independent ones. Its state is double [MUELLER_ROWS][walkers]: x, y, and
 * the sums of x, y, xx, xy, yy over the samples since step `sample_from`. Random numbers: key = seed, counter = (step, walker,
 * replica).
 */
#ifndef MUELLER_H
#define MUELLER_H

#include <stdint.h>

#include <ame_numeric.h>

#define MUELLER_ROWS 7

/* What an image is given. */
struct mueller {
    double centre[2], spring;
    double step, noise;
    uint64_t sample_from; /* number of the first step that is sampled; sums begin anew there */
    uint32_t walkers, reserved;
};

/* What comes back: sums over walkers and samples. */
struct mueller_result {
    double samples, x, y, xx, xy, yy;
};

/* One of the four terms A exp(a dx^2 + b dx dy + c dy^2): adds its value and gradient. */
AME_HD void mueller_add(double amplitude, double a, double b, double c, double dx, double dy, double *value, double *gx,
                        double *gy)
{
    double e = amplitude * ame_fp_exp(ame_fp_fma(ame_fp_fma(a, dx, b * dy), dx, c * dy * dy));
    *value += e;
    *gx = ame_fp_fma(e, ame_fp_fma(2 * a, dx, b * dy), *gx);
    *gy = ame_fp_fma(e, ame_fp_fma(2 * c, dy, b * dx), *gy);
}

/* The energy at (x, y) and its gradient. */
AME_HD double mueller_potential(double x, double y, double *gx, double *gy)
{
    double value = 0;
    *gx = *gy = 0;
    mueller_add(-200, -1, 0, -10, x - 1, y, &value, gx, gy);
    mueller_add(-100, -1, 0, -10, x, y - 0.5, &value, gx, gy);
    mueller_add(-170, -6.5, 11, -6.5, x + 0.5, y - 1.5, &value, gx, gy);
    mueller_add(15, 0.7, 0.6, 0.7, x + 1, y - 1, &value, gx, gy);
    return value;
}

/* One step of one walker. */
AME_HD void mueller_step(const struct mueller *m, double *x, double *y, double nx, double ny)
{
    double gx, gy;
    (void) mueller_potential(*x, *y, &gx, &gy);
    gx = ame_fp_fma(m->spring, *x - m->centre[0], gx);
    gy = ame_fp_fma(m->spring, *y - m->centre[1], gy);
    *x = ame_fp_fma(m->noise, nx, ame_fp_fma(-m->step, gx, *x));
    *y = ame_fp_fma(m->noise, ny, ame_fp_fma(-m->step, gy, *y));
}

/* How many samples there are, all walkers together, before the step number `step`. */
AME_HD double mueller_sampled(const struct mueller *m, uint64_t step)
{
    return step > m->sample_from ? (double) (step - m->sample_from) * m->walkers : 0;
}

AME_HD ame_philox mueller_random(uint64_t step, uint32_t walker, uint32_t replica, uint64_t seed)
{
    return ame_philox4x32((uint32_t) step, (uint32_t) (step >> 32), walker, replica, (uint32_t) seed,
                          (uint32_t) (seed >> 32));
}

#ifndef __CUDACC__
/* What mueller_cpu.c has, for each instruction set of lanes.h. */
typedef void mueller_function(const struct mueller *m, uint64_t seed, uint32_t replica, uint64_t first_step,
                              uint64_t steps, double *rows);
mueller_function mueller_run_plain, mueller_run_avx2, mueller_run_avx512;
#endif

#endif
