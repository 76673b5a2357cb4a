/* butane.h - one molecule of TraPPE-UA n-butane under Langevin dynamics, the same text for processor and GPU
 *
 * Four united atoms, CH3-CH2-CH2-CH3, in nm, ps, u and kJ/mol. Bonds and angles are harmonic and the torsion is TraPPE's, so
 * that the potential is a sum of terms of one internal coordinate each; then the density of the dihedral phi is exactly
 * exp(-V(phi)/kT), whatever masses and spring constants are, and everything that umbrella sampling gives can be checked by a
 * quadrature (reference.h). With rigid bonds and angles that would not hold (Fixman). TraPPE itself has rigid bonds: kb
 * is that of a common flexible variant, and does not matter here. 1-4 pairs do not interact otherwise.
 *
 *   TraPPE-UA: M. G. Martin, J. I. Siepmann, J. Phys. Chem. B 102, 2569 (1998).
 *   BAOAB: B. Leimkuhler, C. Matthews, Appl. Math. Res. Express 2013, 34.
 *
 * A replica is one umbrella window: `walkers` independent molecules with a harmonic bias on phi. Its state is
 *
 *   double   atoms[24][walkers]     positions, then velocities: atom a's x, y, z are rows 3a to 3a + 2, and 12 + 3a on
 *   double   sums[2][walkers]       sum and sum of squares of phi - centre over the samples of each walker
 *   uint64_t histogram[BUTANE_BINS] of phi over [-pi, pi)
 *
 * Random numbers: key = seed, counter = (step, call in the step and high bits of the step, walker, replica). No sum is
 * ever made over walkers here, so how these are spread over lanes, threads and launches changes no bit.
 */
#ifndef BUTANE_H
#define BUTANE_H

#include <stdint.h>

#include <ame_numeric.h>

#define BUTANE_BINS 360
#define BUTANE_ROWS 26 /* doubles per walker in the state */

#define BUTANE_BOND        0.154              /* nm */
#define BUTANE_BOND_K      376560.0           /* kJ/mol/nm^2 */
#define BUTANE_ANGLE       1.9896753472735358 /* 114 degrees */
#define BUTANE_ANGLE_K     519.654            /* kJ/mol/rad^2 */
#define BUTANE_C1          2.951884           /* kJ/mol */
#define BUTANE_C2          (-0.566963)
#define BUTANE_C3          6.579401
#define BUTANE_MASS_END    15.0347 /* u */
#define BUTANE_MASS_MIDDLE 14.0266
#define BUTANE_PI          3.141592653589793

/* What a window is given. The factors are computed once, by rank 0: no exp() of two machines need agree. */
struct butane {
    double centre, spring;        /* rad, kJ/mol/rad^2 */
    double half_step;             /* ps */
    double decay;                 /* exp(-friction * step) */
    double kick_end, kick_middle; /* sqrt((1 - decay^2) kT / mass) */
    double temperature;           /* K */
    uint64_t equilibration;       /* steps before the first sample */
    uint32_t walkers, stride;     /* a sample every `stride` steps */
};

/* What comes back: everything since the equilibration. */
struct butane_result {
    double samples;         /* of each walker */
    double sum, square;     /* of phi - centre, over walkers and samples */
    double square_of_means; /* sum over the walkers of the square of a walker's mean: gives the statistical error */
    uint64_t histogram[BUTANE_BINS];
};

typedef struct vec3 {
    double x, y, z;
} vec3;

struct butane_atoms {
    vec3 a, b, c, d;
};

AME_HD vec3 vec3_minus(vec3 p, vec3 q)
{
    vec3 r = {p.x - q.x, p.y - q.y, p.z - q.z};
    return r;
}

/* p + s q */
AME_HD vec3 vec3_add(vec3 p, double s, vec3 q)
{
    vec3 r = {ame_fp_fma(s, q.x, p.x), ame_fp_fma(s, q.y, p.y), ame_fp_fma(s, q.z, p.z)};
    return r;
}

/* s p + t q */
AME_HD vec3 vec3_mix(double s, vec3 p, double t, vec3 q)
{
    vec3 r = {ame_fp_fma(s, p.x, t * q.x), ame_fp_fma(s, p.y, t * q.y), ame_fp_fma(s, p.z, t * q.z)};
    return r;
}

AME_HD double vec3_dot(vec3 p, vec3 q)
{
    return ame_fp_fma(p.x, q.x, ame_fp_fma(p.y, q.y, p.z * q.z));
}

AME_HD vec3 vec3_cross(vec3 p, vec3 q)
{
    vec3 r = {ame_fp_fma(p.y, q.z, -(p.z * q.y)), ame_fp_fma(p.z, q.x, -(p.x * q.z)),
              ame_fp_fma(p.x, q.y, -(p.y * q.x))};
    return r;
}

/* x less a multiple of 2 pi, for x in (-3 pi, 3 pi): in [-pi, pi]. */
AME_HD double butane_wrap(double x)
{
    x = x > BUTANE_PI ? x - 2 * BUTANE_PI : x;
    return x < -BUTANE_PI ? x + 2 * BUTANE_PI : x;
}

/* The torsion potential in kJ/mol; trans, at pi, is 0. */
AME_HD double butane_torsion(double cosine)
{
    double c2 = ame_fp_fma(2 * cosine, cosine, -1), c3 = cosine * ame_fp_fma(4 * cosine, cosine, -3);
    return BUTANE_C1 * (1 + cosine) + BUTANE_C2 * (1 - c2) + BUTANE_C3 * (1 + c3);
}

/* The forces on the atoms at x, bias included, and the dihedral.
 *
 * All is a function of p = b - a, q = c - b, r = d - c. The angle at b is that of -p and q, its sine comes from m = p x q, the
 * angle at c likewise from n = q x r; phi is the signed angle of m and n. gp, gq and gr are the gradients of the energy. */
AME_HD struct butane_atoms butane_force(const struct butane_atoms *x, double centre, double spring, double *phi_out)
{
    vec3 p = vec3_minus(x->b, x->a), q = vec3_minus(x->c, x->b), r = vec3_minus(x->d, x->c);
    vec3 m = vec3_cross(p, q), n = vec3_cross(q, r);
    double pp = vec3_dot(p, p), qq = vec3_dot(q, q), rr = vec3_dot(r, r);
    double pq = vec3_dot(p, q), qr = vec3_dot(q, r);
    double qs = sqrt(qq), ms = sqrt(vec3_dot(m, m)), ns = sqrt(vec3_dot(n, n));
    double ip = 1 / pp, iq = 1 / qq, ir = 1 / rr, im = 1 / ms, in = 1 / ns;

    /* d theta / dp = (q - (p.q / p.p) p) / |m| and so on */
    double bend_b = BUTANE_ANGLE_K * (ame_fp_atan2(ms, -pq) - BUTANE_ANGLE) * im;
    double bend_c = BUTANE_ANGLE_K * (ame_fp_atan2(ns, -qr) - BUTANE_ANGLE) * in;
    double pull_p = ame_fp_fma(-bend_b, pq * ip, BUTANE_BOND_K * ame_fp_fma(-BUTANE_BOND * ip, sqrt(pp), 1));
    double pull_r = ame_fp_fma(-bend_c, qr * ir, BUTANE_BOND_K * ame_fp_fma(-BUTANE_BOND * ir, sqrt(rr), 1));
    double pull_q = BUTANE_BOND_K * ame_fp_fma(-BUTANE_BOND * iq, qs, 1) - (bend_b * pq + bend_c * qr) * iq;
    vec3 gp = vec3_mix(pull_p, p, bend_b, q), gr = vec3_mix(pull_r, r, bend_c, q);
    vec3 gq = vec3_add(vec3_mix(pull_q, q, bend_b, p), bend_c, r);

    /* d phi / dp = |q| m / m.m, d phi / dr = |q| n / n.n, and q takes what keeps the torque zero */
    double cosine = vec3_dot(m, n), sine = qs * vec3_dot(p, n), scale = im * in;
    double phi = ame_fp_atan2(sine, cosine), co = cosine * scale, si = sine * scale;
    double slope = si * ame_fp_fma(4 * BUTANE_C2, co, -BUTANE_C1 - 3 * BUTANE_C3 * ame_fp_fma(4 * co, co, -1));
    slope = qs * ame_fp_fma(spring, butane_wrap(phi - centre), slope);
    double twist_m = slope * im * im, twist_n = slope * in * in;
    gp = vec3_add(gp, twist_m, m);
    gr = vec3_add(gr, twist_n, n);
    gq = vec3_add(vec3_add(gq, -twist_m * pq * iq, m), -twist_n * qr * iq, n);

    *phi_out = phi;
    struct butane_atoms f = {gp, vec3_minus(gq, gp), vec3_minus(gr, gq), {-gr.x, -gr.y, -gr.z}};
    return f;
}

/* One step of BAOAB. n: 12 normal deviates, in the order of the rows. */
AME_HD void butane_step(const struct butane *w, struct butane_atoms *x, struct butane_atoms *v, struct butane_atoms *f,
                        const struct butane_atoms *n, double *phi)
{
    const double h = w->half_step, end = h / BUTANE_MASS_END, middle = h / BUTANE_MASS_MIDDLE;
    v->a = vec3_add(v->a, end, f->a);
    v->b = vec3_add(v->b, middle, f->b);
    v->c = vec3_add(v->c, middle, f->c);
    v->d = vec3_add(v->d, end, f->d);
    x->a = vec3_add(x->a, h, v->a);
    x->b = vec3_add(x->b, h, v->b);
    x->c = vec3_add(x->c, h, v->c);
    x->d = vec3_add(x->d, h, v->d);
    v->a = vec3_mix(w->decay, v->a, w->kick_end, n->a);
    v->b = vec3_mix(w->decay, v->b, w->kick_middle, n->b);
    v->c = vec3_mix(w->decay, v->c, w->kick_middle, n->c);
    v->d = vec3_mix(w->decay, v->d, w->kick_end, n->d);
    x->a = vec3_add(x->a, h, v->a);
    x->b = vec3_add(x->b, h, v->b);
    x->c = vec3_add(x->c, h, v->c);
    x->d = vec3_add(x->d, h, v->d);
    *f = butane_force(x, w->centre, w->spring, phi);
    v->a = vec3_add(v->a, end, f->a);
    v->b = vec3_add(v->b, middle, f->b);
    v->c = vec3_add(v->c, middle, f->c);
    v->d = vec3_add(v->d, end, f->d);
}

/* The 32-bit numbers number 4 `call` to 4 `call` + 3 of one walker's step; there are three calls to a step. */
AME_HD ame_philox butane_random(uint64_t step, uint32_t call, uint32_t walker, uint32_t replica, uint64_t seed)
{
    return ame_philox4x32((uint32_t) step, (uint32_t) (step >> 32) | call << 24, walker, replica, (uint32_t) seed,
                          (uint32_t) (seed >> 32));
}

/* The histogram's bin of phi. */
AME_HD uint32_t butane_bin(double phi)
{
    int bin = (int) ((phi + BUTANE_PI) * (BUTANE_BINS / (2 * BUTANE_PI)));
    return (uint32_t) (bin < 0 ? 0 : bin >= BUTANE_BINS ? BUTANE_BINS - 1 : bin);
}

/* How many samples a walker has given before the step number `step`. */
AME_HD double butane_sampled(const struct butane *w, uint64_t step)
{
    return step > w->equilibration ? (double) (step / w->stride - w->equilibration / w->stride) : 0;
}

/* Whether a sample is taken after the step number `step`. */
AME_HD int butane_samples(const struct butane *w, uint64_t step)
{
    return step >= w->equilibration && (step + 1) % w->stride == 0;
}

#ifndef __CUDACC__
/* What butane_cpu.c has, for each instruction set of lanes.h. */
typedef void butane_function(const struct butane *w, uint64_t seed, uint32_t replica, uint64_t first_step,
                             uint64_t steps, double *rows, uint64_t *histogram);
butane_function butane_run_plain, butane_run_avx2, butane_run_avx512;
#endif

#endif
