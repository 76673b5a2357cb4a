/* ame_numeric.h - random numbers and elementary functions that give the same bits on every processor
 *
 * A replica that is repeated after its worker died, or is moved from a GPU to a processor, must give the same numbers, or
 * nobody can say which of the two results is right. Two things stand against that in ordinary C: generators with a hidden
 * state, and the functions of libm, whose last bit differs between C libraries and GPU libraries. This header has neither:
 *
 *   - Philox4x32-10 is a pure function of (key, counter). Whoever puts seed, replica, walker and step into these needs no
 *     state, and can start anywhere.
 *   - log, exp, sin, cos and atan2 are made of operations that IEEE 754 defines to the last bit (+ - * / sqrt fma), without
 *     branches and tables, so that a compiler can put them into vector lanes.
 *
 * The same text is compiled as C for the processor and by nvcc for GPUs. It gives the same bits under these conditions, which
 * is how AME's own build compiles its replicas:
 *
 *   cc    -ffp-contract=off; helpful: -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math, which change no result
 *   nvcc  --fmad=false
 *
 * Processors without fused multiply-add (x86 before 2013) give the same bits slowly, by libm's fma().
 *
 * Philox: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11. The
 * polynomials are Chebyshev fits made with 60 digits; tests/unit/numeric.c has the known answers and the errors against libm.
 */
#ifndef AME_NUMERIC_H
#define AME_NUMERIC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Before a function that the host and the device are to have. */
#ifdef __CUDACC__
#define AME_HD static __host__ __device__ __forceinline__
#else
#define AME_HD static inline __attribute__((always_inline, unused))
#endif

/* ---- Philox4x32-10 ---- */

typedef struct ame_philox {
    uint32_t a, b, c, d;
} ame_philox;

/* Four random 32-bit numbers: a function of the counter (c0 to c3) and the key (k0, k1) alone. */
AME_HD ame_philox ame_philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1)
{
    ame_philox x = {c0, c1, c2, c3};
#ifdef __CUDACC__
#pragma unroll
#endif
    for (int round = 0; round < 10; round++) {
        uint64_t first = (uint64_t) 0xD2511F53u * x.a, second = (uint64_t) 0xCD9E8D57u * x.c;
        uint32_t b = x.b, d = x.d;
        x.a = (uint32_t) (second >> 32) ^ b ^ k0;
        x.b = (uint32_t) second;
        x.c = (uint32_t) (first >> 32) ^ d ^ k1;
        x.d = (uint32_t) first;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return x;
}

/* ---- bits of a double ---- */

AME_HD uint64_t ame_fp_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

AME_HD double ame_fp_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* a * b + c, rounded once. (fma with an integer among its arguments is another function in C++, and not one for devices.) */
AME_HD double ame_fp_fma(double a, double b, double c)
{
#ifdef __CUDA_ARCH__
    return __fma_rn(a, b, c);
#else
    return fma(a, b, c);
#endif
}

/* x + 0.5, in (0, 2^32). */
AME_HD double ame_fp_half_up(uint32_t x)
{
    return ame_fp_of_bits(0x4330000000000000ull | x) - 4503599627370495.5; /* 2^52 + x, less 2^52 - 0.5 */
}

/* ---- elementary functions, within 2 units in the last place ---- */

/* The natural logarithm of a positive normal number. */
AME_HD double ame_fp_log(double x)
{
    /* x = 2^k m, sqrt(1/2) <= m < sqrt(2); with f = m - 1, s = f / (2 + f): log(m) = 2 atanh(s) */
    const uint64_t half_root = 0x3fe6a09e667f3bcdull;
    uint64_t shifted = ame_fp_bits(x) + (0x3ff0000000000000ull - half_root);
    double k = ame_fp_of_bits(0x4330000000000000ull | (shifted >> 52)) - 4503599627371519.0; /* less 2^52 + 1023 */
    double f = ame_fp_of_bits((shifted & 0x000fffffffffffffull) + half_root) - 1;
    double s = f / (2 + f), z = s * s;
    double p = ame_fp_fma(z, 0.14616585424888623, 0.15331710618210773);
    p = ame_fp_fma(z, p, 0.18182889455674947);
    p = ame_fp_fma(z, p, 0.22222211130259878);
    p = ame_fp_fma(z, p, 0.2857142862600327);
    p = ame_fp_fma(z, p, 0.39999999999899444);
    p = ame_fp_fma(z, p, 0.666666666666667);
    double low = ame_fp_fma(k, 4.7493250390316726e-07, -s * ame_fp_fma(-z, p, f)); /* k times the low part of log(2) */
    return ame_fp_fma(k, 0.6931467056274414, f + low); /* its high part has 20 bits: the product is exact */
}

/* e to the x; x is taken as -708 or 709 where it is beyond these. */
AME_HD double ame_fp_exp(double x)
{
    const double shift = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    x = x < -708 ? -708 : x;
    x = x > 709 ? 709 : x;
    double shifted = ame_fp_fma(x, 1.4426950408889634, shift), k = shifted - shift;
    double r = ame_fp_fma(k, -4.7493250390316726e-07, ame_fp_fma(k, -0.6931467056274414, x));
    double p = ame_fp_fma(r, 2.510038549551032e-08, 2.7620088445409746e-07);
    p = ame_fp_fma(r, p, 2.7557268459997064e-06);
    p = ame_fp_fma(r, p, 2.4801521295954376e-05);
    p = ame_fp_fma(r, p, 0.00019841269863053618);
    p = ame_fp_fma(r, p, 0.0013888888917213717);
    p = ame_fp_fma(r, p, 0.008333333333330062);
    p = ame_fp_fma(r, p, 0.04166666666662413);
    p = ame_fp_fma(r, p, 0.16666666666666669);
    p = ame_fp_fma(r, p, 0.5000000000000001);
    return (1 + ame_fp_fma(r * r, p, r)) * ame_fp_of_bits((ame_fp_bits(shifted) + 1023) << 52);
}

/* The sine and cosine of pi times x, for |x| < 2^50. */
AME_HD void ame_fp_sincospi(double x, double *sine, double *cosine)
{
    const double shift = 6755399441055744.0;
    double shifted = ame_fp_fma(x, 2, shift);
    double r = ame_fp_fma(shifted - shift, -0.5, x), z = r * r; /* |r| <= 1/4 */
    uint64_t quarter = ame_fp_bits(shifted);
    double s = ame_fp_fma(z, 0.000461531855383581, -0.007370021586907771);
    s = ame_fp_fma(z, s, 0.08214586918000175);
    s = ame_fp_fma(z, s, -0.5992645289396449);
    s = ame_fp_fma(z, s, 2.5501640398733763);
    s = ame_fp_fma(z, s, -5.167712780049954);
    s = r * ame_fp_fma(z, s, 3.141592653589793);
    double c = ame_fp_fma(z, -0.00010370082971594627, 0.001929493874894941);
    c = ame_fp_fma(z, c, -0.025806887964701878);
    c = ame_fp_fma(z, c, 0.23533063028399223);
    c = ame_fp_fma(z, c, -1.3352627688538095);
    c = ame_fp_fma(z, c, 4.058712126416765);
    c = ame_fp_fma(z, ame_fp_fma(z, c, -4.934802200544679), 1);
    double swapped_s = quarter & 1 ? c : s, swapped_c = quarter & 1 ? s : c;
    *sine = ame_fp_of_bits(ame_fp_bits(swapped_s) ^ ((quarter & 2) << 62));
    *cosine = ame_fp_of_bits(ame_fp_bits(swapped_c) ^ (((quarter + 1) & 2) << 62));
}

/* The angle of the point (x, y), in [-pi, pi]; 0 or pi, with the sign of y, for y = 0. Not for infinities. */
AME_HD double ame_fp_atan2(double y, double x)
{
    double ax = fabs(x), ay = fabs(y);
    double small = ay < ax ? ay : ax, large = ay < ax ? ax : ay;
    int upper = small > large * 0.4142135623730950; /* tan(pi / 8) */
    double over = upper ? small - large : small, under = upper ? small + large : large;
    double t = over / (under > 0 ? under : 1), z = t * t;
    double p = ame_fp_fma(z, -0.019175404711104935, 0.03923044778479309);
    p = ame_fp_fma(z, p, -0.050854078345894844);
    p = ame_fp_fma(z, p, 0.05858140904866328);
    p = ame_fp_fma(z, p, -0.06664510525508936);
    p = ame_fp_fma(z, p, 0.07692183125376892);
    p = ame_fp_fma(z, p, -0.0909090457530649);
    p = ame_fp_fma(z, p, 0.11111111015187018);
    p = ame_fp_fma(z, p, -0.14285714284665682);
    p = ame_fp_fma(z, p, 0.19999999999995516);
    p = ame_fp_fma(z, p, -0.3333333333333333);
    double angle = ame_fp_fma(t * z, p, t) + (upper ? 0.7853981633974483 : 0);
    angle = ay <= ax ? angle : 1.5707963267948966 - angle;
    angle = x < 0 ? 3.141592653589793 - angle : angle;
    return ame_fp_of_bits(ame_fp_bits(angle) | (ame_fp_bits(y) & 0x8000000000000000ull));
}

/* Two independent normal deviates from two random 32-bit numbers (Box and Muller); none is beyond 6.8. */
AME_HD void ame_fp_normals(uint32_t a, uint32_t b, double *first, double *second)
{
    double radius = sqrt(-2 * ame_fp_log(ame_fp_half_up(a) * 2.3283064365386963e-10)); /* 2^-32 */
    double sine, cosine;
    ame_fp_sincospi(ame_fp_half_up(b) * 4.656612873077393e-10, &sine, &cosine); /* 2^-31 */
    *first = radius * cosine;
    *second = radius * sine;
}

#endif
