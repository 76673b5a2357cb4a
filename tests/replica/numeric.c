/* numeric.c - ame_numeric.h: known answers of Philox, and the errors of the elementary functions against libm's long double */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <ame_numeric.h>

/* The known answers of the authors' implementation (kat_vectors of Random123). */
static void philox_known(void **state)
{
    (void) state;
    ame_philox x = ame_philox4x32(0, 0, 0, 0, 0, 0);
    assert_int_equal(x.a, 0x6627e8d5);
    assert_int_equal(x.b, 0xe169c58d);
    assert_int_equal(x.c, 0xbc57ac4c);
    assert_int_equal(x.d, 0x9b00dbd8);
    x = ame_philox4x32(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0);
    assert_int_equal(x.a, 0xd16cfe09);
    assert_int_equal(x.b, 0x94fdcceb);
    assert_int_equal(x.c, 0x5001e420);
    assert_int_equal(x.d, 0x24126ea1);
}

/* Units in the last place by which `value` is off `right`. */
static double ulps(double value, long double right)
{
    if (right == 0) return value == 0 ? 0 : INFINITY;
    int exponent;
    (void) frexpl(right, &exponent);
    return (double) (fabsl((long double) value - right) / ldexpl(1, exponent - DBL_MANT_DIG));
}

/* A number in [0, 1), the n-th of a test. */
static double uniform(uint32_t n, uint32_t test)
{
    ame_philox x = ame_philox4x32(n, 0, 0, 0, test, 0);
    return (x.a * 4294967296.0 + x.b) * 0x1p-64;
}

enum { TRIES = 200000 };

static void logarithm(void **state)
{
    (void) state;
    double worst = 0;
    for (uint32_t n = 0; n < TRIES; n++) {
        double x = n % 2 ? uniform(n, 1) + 0x1p-33 : ldexp(1 + uniform(n, 1), (int) (n % 2040) - 1020);
        worst = fmax(worst, ulps(ame_fp_log(x), logl(x)));
    }
    for (int n = -1000; n <= 1000; n++) { /* around 1, where the result is small */
        double x = 1 + n * 0x1p-40;
        worst = fmax(worst, ulps(ame_fp_log(x), logl(x)));
    }
    print_message("log: %.2f ulp\n", worst);
    assert_true(worst < 1);
    assert_true(ame_fp_log(1) == 0);
}

static void exponential(void **state)
{
    (void) state;
    double worst = 0;
    for (uint32_t n = 0; n < TRIES; n++) {
        double x = (uniform(n, 2) - 0.5) * (n % 2 ? 1400 : 2);
        worst = fmax(worst, ulps(ame_fp_exp(x), expl(x)));
    }
    print_message("exp: %.2f ulp\n", worst);
    assert_true(worst < 1.5);
    assert_true(ame_fp_exp(0) == 1);
    assert_true(ame_fp_exp(-1e9) > 0 && ame_fp_exp(-1e9) < 1e-300);
    assert_true(isfinite(ame_fp_exp(1e9)));
}

static void sine_cosine(void **state)
{
    (void) state;
    const long double pi = 3.14159265358979323846264338327950288L;
    double worst = 0;
    for (uint32_t n = 0; n < TRIES; n++) {
        double x = (uniform(n, 3) - 0.5) * (n % 2 ? 4 : 1e-3), s, c;
        ame_fp_sincospi(x, &s, &c);
        long double reduced = x - 2 * rintl((long double) x / 2), angle = pi * reduced;
        /* near a zero of the other one, libm's own argument is off by the rounding of pi times x */
        worst = fmax(worst, fabsl(sinl(angle)) > 1e-3L || fabsl(reduced) < 0.25L ? ulps(s, sinl(angle)) : 0);
        worst = fmax(worst, fabsl(cosl(angle)) > 1e-3L ? ulps(c, cosl(angle)) : 0);
    }
    print_message("sincospi: %.2f ulp\n", worst);
    assert_true(worst < 2);
    for (int quarter = -8; quarter <= 8; quarter++) {
        double s, c;
        ame_fp_sincospi(quarter * 0.5, &s, &c);
        assert_true(s == (quarter % 2 ? ((quarter - 1) % 4 == 0 ? 1 : -1) : 0));
        assert_true(c == (quarter % 2 ? 0 : quarter % 4 ? -1 : 1));
    }
}

static void arc_tangent(void **state)
{
    (void) state;
    double worst = 0;
    for (uint32_t n = 0; n < TRIES; n++) {
        double x = uniform(n, 4) - 0.5, y = uniform(n, 5) - 0.5;
        if (n % 3 == 0) y *= 1e-6;
        if (n % 3 == 1) x *= 1e-6;
        worst = fmax(worst, ulps(ame_fp_atan2(y, x), atan2l(y, x)));
    }
    print_message("atan2: %.2f ulp\n", worst);
    assert_true(worst < 2);
    assert_true(ame_fp_atan2(0, 1) == 0 && !signbit(ame_fp_atan2(0, 1)) && signbit(ame_fp_atan2(-0.0, 1)));
    assert_true(ame_fp_atan2(0, -1) == atan2(0, -1) && ame_fp_atan2(-0.0, -1) == atan2(-0.0, -1));
    assert_true(ame_fp_atan2(1, 0) == atan2(1, 0) && ame_fp_atan2(0, 0) == 0);
}

/* Moments of the normal deviates, within 5 standard errors. */
static void normals(void **state)
{
    (void) state;
    double sum = 0, square = 0, fourth = 0, product = 0;
    const double count = 2.0 * TRIES;
    for (uint32_t n = 0; n < TRIES; n++) {
        ame_philox r = ame_philox4x32(n, 0, 0, 0, 6, 0);
        double a, b;
        ame_fp_normals(r.a, r.b, &a, &b);
        sum += a + b;
        square += a * a + b * b;
        fourth += a * a * a * a + b * b * b * b;
        product += a * b;
    }
    assert_true(fabs(sum / count) < 5 / sqrt(count));
    assert_true(fabs(square / count - 1) < 5 * sqrt(2 / count));
    assert_true(fabs(fourth / count - 3) < 5 * sqrt(96 / count));
    assert_true(fabs(product / TRIES) < 5 / sqrt(TRIES));
    double a, b;
    ame_fp_normals(0, 0, &a, &b); /* the rarest ones are finite */
    assert_true(isfinite(a) && fabs(a) < 6.8 && fabs(a) > 6.6);
    ame_fp_normals(UINT32_MAX, UINT32_MAX, &a, &b);
    assert_true(isfinite(a) && isfinite(b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(philox_known), cmocka_unit_test(logarithm),
                                       cmocka_unit_test(exponential),  cmocka_unit_test(sine_cosine),
                                       cmocka_unit_test(arc_tangent),  cmocka_unit_test(normals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
