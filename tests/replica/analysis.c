/* analysis.c - exact references and analysis of the examples, against values computed independently (other programs, other
 * formulas, more digits), and free-energy formulas on data without noise */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "butane.h"
#include "exact.h"
#include "plot.h"
#include "wham.h"

static const double kT = 2.478957; /* 298.15 K */

static void near(double value, double right, double tolerance, const char *what)
{
    if (fabs(value - right) <= tolerance) return;
    print_error("%s: %.12g instead of %.12g\n", what, value, right);
    fail();
}

static void butane_windows(void **state)
{
    (void) state;
    static const double known[13][2] = {{0, .05252464},          {+.18941606, .03063545}, {+.18334206, .02000712},
                                        {+.11265513, .01678031}, {+.02253661, .01602721}, {-.06656586, .01698006},
                                        {-.13371859, .02049945}, {-.13348421, .03105546}, {+.02985791, .04617217},
                                        {+.17413400, .02921357}, {+.16245341, .01986881}, {+.09096499, .01672263},
                                        {0, .01591250}};
    for (int i = 0; i < 13; i++) {
        double mean, variance;
        butane_exact_window(15 * i * BUTANE_PI / 180, 100, kT, &mean, &variance);
        near(mean, known[i][0], 2e-8, "mean of a window");
        near(variance, known[i][1], 2e-8, "variance of a window");
    }
    near(butane_exact_trans(kT), 0.664683, 5e-7, "probability of trans");
    near(butane_exact_potential(butane_barrier), 13.806211, 5e-6, "barrier");
    near(butane_exact_potential(butane_gauche), 3.470989, 5e-6, "gauche");
    near(butane_exact_potential(butane_cis), 19.062568, 5e-6, "cis");
}

/* ---- free energies from windows without noise ---- */

enum { BINS = 360 };

/* Windows with exact means, variances and (fractional) histograms. */
static void fill_windows(int count, double spring, struct wham_window *window, double (*histogram)[BINS])
{
    for (int w = 0; w < count; w++) {
        window[w] = (struct wham_window){.centre = -BUTANE_PI + w * 2 * BUTANE_PI / count,
                                         .spring = spring,
                                         .samples = 1e6,
                                         .histogram = histogram[w]};
        butane_exact_window(window[w].centre, spring, kT, &window[w].mean, &window[w].variance);
        double sum = 0;
        for (int b = 0; b < BINS; b++) {
            double phi = -BUTANE_PI + (b + 0.5) * 2 * BUTANE_PI / BINS,
                   offset = remainder(phi - window[w].centre, 2 * BUTANE_PI);
            sum += histogram[w][b] = exp(-(butane_exact_potential(phi) + spring / 2 * offset * offset) / kT);
        }
        for (int b = 0; b < BINS; b++) histogram[w][b] *= 1e6 / sum;
    }
}

/* The largest difference to the potential at n places from `first`, near trans, on; both are 0 there. */
static double error_of(int n, double first, const double *free_energy)
{
    double worst = 0, zero = free_energy[0] - butane_exact_potential(first);
    for (int i = 0; i < n; i++)
        worst = fmax(worst, fabs(free_energy[i] - butane_exact_potential(first + i * 2 * BUTANE_PI / n) - zero));
    return worst;
}

static void free_energies(void **state)
{
    (void) state;
    static struct wham_window window[24];
    static double histogram[24][BINS], result[BINS];
    const double middle = -BUTANE_PI + BUTANE_PI / BINS;
    for (int k = 1; k <= 2; k++) {
        fill_windows(24, 100 * k, window, histogram);
        int turns = wham(24, window, BINS, kT, 1e-9, 100000, result, NULL);
        print_message("K=%d: WHAM %d iterations, off by %.1e", 100 * k, turns, error_of(BINS, middle, result));
        assert_true(turns > 0 && error_of(BINS, middle, result) < 1e-5);
        wham_integration(24, window, BINS, kT, result);
        double integration = error_of(BINS, middle, result);
        wham_rectangles(24, window, result);
        double rectangles = error_of(24, window[0].centre, result);
        print_message(", umbrella integration by %.3f, PySAGES' rule by %.2f\n", integration, rectangles);
        if (k == 1) near(integration, 0.31, 0.05, "umbrella integration");
        if (k == 2) near(integration, 0.09, 0.03, "umbrella integration");
        if (k == 1) near(rectangles, 5.4, 0.1, "PySAGES' rule");
    }
    assert_int_equal(wham(24, window, BINS, kT, 1e-9, 3, result, NULL), -1);
}

/* ---- curves ---- */

static void splines(void **state)
{
    (void) state;
    struct point circle[20], fine[400];
    for (int i = 0; i < 20; i++) circle[i] = (struct point){cos(i * BUTANE_PI / 19), sin(i * BUTANE_PI / 19)};
    assert_int_equal(curve_sample(20, circle, 400, fine), 0);
    double worst = 0;
    for (int i = 40; i < 360; i++) worst = fmax(worst, fabs(hypot(fine[i].x, fine[i].y) - 1));
    assert_true(worst < 1e-4); /* away from the ends, where a natural spline is flat */
    circle[7].x += 0.05;       /* uneven */
    for (int turn = 0; turn < 20; turn++) assert_int_equal(curve_space_evenly(20, circle), 0);
    double shortest = 1e9, longest = 0;
    for (int i = 1; i < 20; i++) {
        double length = hypot(circle[i].x - circle[i - 1].x, circle[i].y - circle[i - 1].y);
        shortest = fmin(shortest, length);
        longest = fmax(longest, length);
    }
    assert_true(longest / shortest < 1.001);
}

static void mueller_path(void **state)
{
    (void) state;
    struct mueller_point point[MUELLER_POINTS];
    static const double known[MUELLER_POINTS][3] = {{-0.55822363, 1.44172584, -146.69951721},
                                                    {0.62349940, 0.02803776, -108.16672412},
                                                    {-0.05001082, 0.46669410, -80.76781813},
                                                    {-0.82200156, 0.62431280, -40.66484351},
                                                    {0.21248658, 0.29298833, -72.24894011}};
    mueller_exact_points(point);
    for (int i = 0; i < MUELLER_POINTS; i++) {
        near(point[i].x, known[i][0], 1e-8, point[i].name);
        near(point[i].y, known[i][1], 1e-8, point[i].name);
        near(point[i].energy, known[i][2], 1e-8, point[i].name);
    }
    static const double path[16][2] = {
        {-.558224, 1.441726}, {-.684761, 1.314747}, {-.810313, 1.187054}, {-.929667, 1.052323},
        {-.993596, .887839},  {-.908641, .727099},  {-.785896, .597088},  {-.623145, .522182},
        {-.445841, .495612},  {-.266893, .484848},  {-.088243, .470842},  {.087013, .434193},
        {.207354, .301001},   {.293614, .143377},   {.445507, .049531},   {.623499, .028038}};
    struct point images[16];
    for (int i = 0; i < 16; i++)
        images[i] = (struct point){point[0].x + (point[1].x - point[0].x) * i / 15,
                                   point[0].y + (point[1].y - point[0].y) * i / 15};
    int turns = mueller_exact_string(16, images, 0, 0, 1e-4, 1e-11, 20000);
    print_message("path of lowest energy: %d iterations\n", turns);
    assert_true(turns > 0);
    for (int i = 0; i < 16; i++) {
        near(images[i].x, path[i][0], 2e-6, "x of the path");
        near(images[i].y, path[i][1], 2e-6, "y of the path");
    }
}

/* ---- Ising ---- */

static void ising_values(void **state)
{
    (void) state;
    static double probability[2][32 * 32 + 1];
    static const struct {
        int length;
        double temperature, energy, capacity;
    } known[] = {{16, 1.8, -1.859303589122, 0},
                 {16, 2.269185314213, -1.453064852813, 0},
                 {16, 3.0, -0.817689367870, 0},
                 {32, 1.8, -1.859303805726, 0.4392181812},
                 {32, 2.269185314213, -1.433658466146, 1.8467675900},
                 {32, 2.5, -1.107291660978, 0.8858125011}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double energy, capacity;
        assert_int_equal(ising_exact_energies(known[i].length, known[i].temperature, probability[0]), 0);
        ising_exact_moments(known[i].length, known[i].temperature, probability[0], &energy, &capacity);
        near(energy, known[i].energy, 1e-10, "Ising energy");
        if (known[i].capacity > 0) near(capacity, known[i].capacity, 1e-8, "Ising heat capacity");
    }
    static const double acceptance[7] = {.453201, .389044, .308120, .335853, .483495, .588866, .655448};
    for (int i = 0; i < 8; i++) {
        double now = 1.8 + i * 1.2 / 7, before = 1.8 + (i - 1) * 1.2 / 7;
        assert_int_equal(ising_exact_energies(16, now, probability[i % 2]), 0);
        if (i)
            near(ising_exact_acceptance(16, before, probability[(i + 1) % 2], now, probability[i % 2]),
                 acceptance[i - 1], 1e-6, "acceptance of an exchange");
    }
}

/* ---- diagrams ---- */

static void diagrams(void **state)
{
    (void) state;
    char path[] = "/tmp/replica-plot-XXXXXX", text[64] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "r");
    const double x[3] = {-1, 0, 1}, y[3] = {2, NAN, 3}, error[3] = {0.1, 0.1, 0};
    plot *p = plot_new("a < b & c", "x", "y");
    plot_series(p, PLOT_LINE_POINTS, "data", 3, x, y, error);
    assert_int_equal(plot_write(p, path), 0);
    assert_non_null(fgets(text, sizeof text, f));
    assert_memory_equal(text, "<svg ", 5);
    fclose(f);
    remove(path);
    p = plot_new("t", "x", "y");
    assert_int_equal(plot_write(p, "/nonexistent/x.svg"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(butane_windows), cmocka_unit_test(free_energies),
                                       cmocka_unit_test(splines),        cmocka_unit_test(mueller_path),
                                       cmocka_unit_test(ising_values),   cmocka_unit_test(diagrams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
