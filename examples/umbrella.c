/* umbrella.c - umbrella sampling of n-butane: the free energy of the dihedral, beside the exact one
 *
 *     ameexec -np 4 ./umbrella --walkers 64 --steps 50000
 *
 * Each of the windows is a replica (replica/butane.h): so many molecules that a harmonic bias holds near the window's centre.
 * The ranks move them, on GPUs where there are any; rank 0 gets histograms, means and variances, and makes the free energy
 * of them by WHAM. Since everything is known exactly here, every number is printed with its reference, and with --check the
 * program fails if they do not agree. The other two formulas that people use are there for comparison.
 *
 * With --checkpoint FILE a run that was ended goes on from that file.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replica/butane.h"
#include "replica/example.h"
#include "replica/exact.h"
#include "replica/kinds.h"
#include "replica/lanes.h"
#include "replica/plot.h"
#include "replica/wham.h"

static uint64_t windows = 24, walkers = 64, steps = 50000, equilibration = 5000, chunks = 10, stride = 5, seed = 1;
static double spring = 100, step_fs = 4, friction = 5, temperature = 298.15;
static const char *out = "umbrella", *checkpoint, *replicas_options = "table=0";
static int check;

static const struct example_option options[] = {
    {"windows", EXAMPLE_NUMBER, &windows, 3, 1000, "windows over 360 degrees"},
    {"walkers", EXAMPLE_NUMBER, &walkers, 2, 1e6, "molecules in each"},
    {"steps", EXAMPLE_NUMBER, &steps, 1, 1e12, "steps of each molecule"},
    {"equilibration", EXAMPLE_NUMBER, &equilibration, 0, 1e12, "steps before these, without samples"},
    {"stride", EXAMPLE_NUMBER, &stride, 1, 1e6, "steps from sample to sample"},
    {"chunks", EXAMPLE_NUMBER, &chunks, 1, 1e6, "parts in which the steps are made, each followed by a checkpoint"},
    {"spring", EXAMPLE_REAL, &spring, 1, 1e5, "of the bias, in kJ/mol/rad^2"},
    {"step-fs", EXAMPLE_REAL, &step_fs, 0.01, 8, "length of a step"},
    {"friction", EXAMPLE_REAL, &friction, 0.01, 1000, "in 1/ps"},
    {"temperature", EXAMPLE_REAL, &temperature, 50, 2000, "in K"},
    {"seed", EXAMPLE_NUMBER, &seed, 0, 9e15, "of the random numbers"},
    {"out", EXAMPLE_TEXT, &out, 0, 0, "beginning of the names of the result files"},
    {"checkpoint", EXAMPLE_TEXT, &checkpoint, 0, 0, "file to go on from, and to write after each chunk"},
    {"replicas", EXAMPLE_TEXT, &replicas_options, 0, 0, "options of ame_replicas_open, such as gpu=0 or pull=1"},
    {"check", EXAMPLE_FLAG, &check, 0, 0, "fail if the results do not agree with the exact ones"},
};

static double kT(void)
{
    return 0.00831446261815324 * temperature;
}

static double degrees(double angle)
{
    return angle * (180 / BUTANE_PI);
}

/* ---- sampling ------------------------------------------------------------------------------------ */

static struct butane *make_windows(void)
{
    struct butane *w = example_alloc(windows, sizeof *w);
    for (uint64_t i = 0; i < windows; i++) {
        w[i] =
            (struct butane){.equilibration = equilibration, .walkers = (uint32_t) walkers, .stride = (uint32_t) stride};
        butane_window(&w[i], -180 + 360.0 * (double) i / (double) windows, spring, step_fs / 1000, friction,
                      temperature);
    }
    return w;
}

/* Goes on from the checkpoint, which has the results so far. */
static void resume(ame_replicas *set, struct butane_result *results)
{
    void *saved;
    uint64_t length;
    ame_replicas_report report;
    example_check(ame_replicas_load(set, checkpoint, &saved, &length));
    example_check(ame_replicas_inspect(set, &report));
    if (length == windows * sizeof *results) memcpy(results, saved, length);
    free(saved);
    printf("going on from %s, after %llu steps\n", checkpoint, (unsigned long long) report.steps);
}

/* Makes all steps; results are those of the last chunk, which hold everything since the equilibration. Returns how many steps
 * were left to be made. */
static uint64_t sample(ame_replicas *set, const struct butane *window, struct butane_result *results)
{
    const uint64_t all = equilibration + steps;
    ame_replicas_report report;
    if (checkpoint && access(checkpoint, F_OK) == 0) resume(set, results);
    example_check(ame_replicas_inspect(set, &report));
    const uint64_t before = report.steps;
    while (report.steps < all) {
        uint64_t chunk = (all + chunks - 1) / chunks, left = all - report.steps;
        example_check(ame_replicas_run(set, chunk < left ? chunk : left, window, results));
        if (checkpoint) example_check(ame_replicas_save(set, checkpoint, results, windows * sizeof *results));
        example_check(ame_replicas_inspect(set, &report));
        example_progress("step", report.steps, all, report.seconds);
    }
    return report.steps - before;
}

/* ---- analysis ------------------------------------------------------------------------------------ */

struct analysis {
    struct wham_window window[1000];
    double histogram[1000][BUTANE_BINS];
    double error[1000]; /* standard error of a window's mean */
    double phi[BUTANE_BINS], exact[BUTANE_BINS], wham[BUTANE_BINS], integration[BUTANE_BINS], probability[BUTANE_BINS];
    double rectangles[1000];
    int iterations;
    double z_rms, z_max, rms,
        max; /* means against quadrature in standard errors; WHAM against the potential in kJ/mol */
};

static void take_windows(struct analysis *a, const struct butane *window, const struct butane_result *results)
{
    for (uint64_t i = 0; i < windows; i++) {
        const struct butane_result *r = &results[i];
        double all = r->samples * (double) walkers, mean = r->sum / all, n = (double) walkers;
        for (int b = 0; b < BUTANE_BINS; b++) a->histogram[i][b] = (double) r->histogram[b];
        a->window[i] = (struct wham_window){.centre = window[i].centre,
                                            .spring = spring,
                                            .mean = mean,
                                            .variance = r->square / all - mean * mean,
                                            .samples = all,
                                            .histogram = a->histogram[i]};
        double exact_mean, exact_variance, spread = r->square_of_means / n - mean * mean;
        butane_exact_window(window[i].centre, spring, kT(), &exact_mean, &exact_variance);
        a->error[i] = sqrt(fmax(spread, 0) / (n - 1));
        double z = (mean - exact_mean) / a->error[i];
        a->z_rms += z * z / (double) windows;
        a->z_max = fmax(a->z_max, fabs(z));
    }
    a->z_rms = sqrt(a->z_rms);
}

/* Shifts values so that they are as far above as below the potential on average. */
static void align(int n, const double *phi, double *value)
{
    double sum = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(value[i])) sum += value[i] - butane_exact_potential(phi[i]), count++;
    for (int i = 0; i < n; i++) value[i] -= count ? sum / count : 0;
}

static void analyse(struct analysis *a, const struct butane *window, const struct butane_result *results)
{
    double centre[1000];
    take_windows(a, window, results);
    a->iterations = wham((int) windows, a->window, BUTANE_BINS, kT(), 1e-9, 1000000, a->wham, a->probability);
    if (a->iterations < 0) example_fail("WHAM has not converged");
    wham_integration((int) windows, a->window, BUTANE_BINS, kT(), a->integration);
    wham_rectangles((int) windows, a->window, a->rectangles);
    for (int b = 0; b < BUTANE_BINS; b++) {
        a->phi[b] = -BUTANE_PI + (b + 0.5) * (2 * BUTANE_PI / BUTANE_BINS);
        a->exact[b] = butane_exact_potential(a->phi[b]);
    }
    for (uint64_t i = 0; i < windows; i++) centre[i] = window[i].centre;
    align(BUTANE_BINS, a->phi, a->wham);
    align(BUTANE_BINS, a->phi, a->integration);
    align((int) windows, centre, a->rectangles);
    for (int b = 0; b < BUTANE_BINS; b++) {
        double difference = a->wham[b] - a->exact[b];
        a->rms += difference * difference / BUTANE_BINS;
        a->max = fmax(a->max, fabs(difference));
    }
    a->rms = sqrt(a->rms);
}

/* The free energy at an angle: a parabola through the bins within 6 degrees, by least squares; mean of phi and -phi. */
static double at(const struct analysis *a, double phi)
{
    double sum = 0;
    for (int sign = -1; sign <= 1; sign += 2) {
        double s0 = 0, s2 = 0, s4 = 0, y0 = 0, y2 = 0;
        for (int b = 0; b < BUTANE_BINS; b++) {
            double d = degrees(remainder(a->phi[b] - sign * phi, 2 * BUTANE_PI));
            if (fabs(d) > 6) continue;
            s0 += 1, s2 += d * d, s4 += d * d * d * d, y0 += a->wham[b], y2 += a->wham[b] * d * d;
        }
        sum += (s4 * y0 - s2 * y2) / (s0 * s4 - s2 * s2) / 2;
    }
    return sum;
}

/* ---- output -------------------------------------------------------------------------------------- */

static void write_files(const struct analysis *a)
{
    FILE *file = example_file(out, "-windows.csv");
    fprintf(file, "centre_deg,mean_deg,error_deg,exact_mean_deg,variance_rad2,exact_variance_rad2\n");
    for (uint64_t i = 0; i < windows; i++) {
        double mean, variance;
        butane_exact_window(a->window[i].centre, spring, kT(), &mean, &variance);
        fprintf(file, "%.6g,%.8g,%.3g,%.8g,%.8g,%.8g\n", degrees(a->window[i].centre), degrees(a->window[i].mean),
                degrees(a->error[i]), degrees(mean), a->window[i].variance, variance);
    }
    example_close(file);
    file = example_file(out, "-pmf.csv");
    fprintf(file, "phi_deg,wham_kJ_mol,exact_kJ_mol,umbrella_integration_kJ_mol,probability\n");
    for (int b = 0; b < BUTANE_BINS; b++)
        fprintf(file, "%.6g,%.6f,%.6f,%.6f,%.8g\n", degrees(a->phi[b]), a->wham[b], a->exact[b], a->integration[b],
                a->probability[b]);
    example_close(file);
}

static void draw(const struct analysis *a)
{
    double phi[BUTANE_BINS], centre[1000], sparse[BUTANE_BINS], at_sparse[BUTANE_BINS];
    size_t count = 0;
    char path[1024];
    for (int b = 0; b < BUTANE_BINS; b++) phi[b] = degrees(a->phi[b]);
    for (int b = 0; b < BUTANE_BINS; b += 6) at_sparse[count] = phi[b], sparse[count++] = a->wham[b];
    for (uint64_t i = 0; i < windows; i++) centre[i] = degrees(a->window[i].centre);
    plot *p = plot_new("n-Butane: free energy of the dihedral by umbrella sampling", "dihedral (degrees)",
                       "free energy (kJ/mol)");
    plot_range_x(p, -180, 180);
    plot_range_y(p, -5, 25);
    plot_series(p, PLOT_LINE, "exact", BUTANE_BINS, phi, a->exact, NULL);
    plot_series(p, PLOT_POINTS, "WHAM", count, at_sparse, sparse, NULL);
    plot_series(p, PLOT_DASHED, "umbrella integration", BUTANE_BINS, phi, a->integration, NULL);
    plot_series(p, PLOT_DASHED, "rectangle rule (PySAGES)", windows, centre, a->rectangles, NULL);
    snprintf(path, sizeof path, "%s.svg", out);
    if (plot_write(p, path)) example_fail("cannot write %s", path);
}

/* Largest difference to the potential. */
static double worst(int n, const double *phi, const double *value)
{
    double most = 0;
    for (int i = 0; i < n; i++) most = fmax(most, fabs(value[i] - butane_exact_potential(phi[i])));
    return most;
}

static void print_results(const struct analysis *a)
{
    double trans = 0, centre[1000];
    for (int b = 0; b < BUTANE_BINS; b++) trans += fabs(a->phi[b]) > 2 * BUTANE_PI / 3 ? a->probability[b] : 0;
    for (uint64_t i = 0; i < windows; i++) centre[i] = a->window[i].centre;
    const double zero = at(a, BUTANE_PI);
    printf("\nmeans of the windows against quadrature: rms %.2f, at most %.2f standard errors\n", a->z_rms, a->z_max);
    printf("free energy by WHAM (%d iterations) against the potential: rms %.3f, at most %.3f kJ/mol\n", a->iterations,
           a->rms, a->max);
    printf("the same data by umbrella integration: at most %.2f; by PySAGES' rectangle rule: at most %.1f kJ/mol\n",
           worst(BUTANE_BINS, a->phi, a->integration), worst((int) windows, centre, a->rectangles));
    printf("\n%-34s %10s %10s\n", "", "sampled", "exact");
    printf("%-34s %10.4f %10.4f\n", "probability of trans", trans, butane_exact_trans(kT()));
    printf("%-34s %10.3f %10.3f\n", "gauche above trans, kJ/mol", at(a, butane_gauche) - zero,
           butane_exact_potential(butane_gauche));
    printf("%-34s %10.3f %10.3f\n", "barrier trans-gauche, kJ/mol", at(a, butane_barrier) - zero,
           butane_exact_potential(butane_barrier));
    printf("%-34s %10.3f %10.3f\n", "barrier gauche-gauche (cis), kJ/mol", at(a, butane_cis) - zero,
           butane_exact_potential(butane_cis));
}

/* ---- the job ------------------------------------------------------------------------------------- */

static int coordinate(ame_replicas *set)
{
    printf("Umbrella sampling of n-butane: %llu windows x %llu walkers x %llu steps of %g fs, kernels for %s\n",
           (unsigned long long) windows, (unsigned long long) walkers, (unsigned long long) steps, step_fs,
           lanes_name(lanes_isa()));
    example_workers(set, windows);
    struct butane *window = make_windows();
    struct butane_result *results = example_alloc(windows, sizeof *results);
    struct analysis *a = example_alloc(1, sizeof *a);
    ame_replicas_report report;
    const uint64_t made = sample(set, window, results);
    example_check(ame_replicas_inspect(set, &report));
    analyse(a, window, results);
    write_files(a);
    draw(a);
    print_results(a);
    if (report.moved)
        printf("%llu replicas were taken over from workers that died, %llu steps were repeated\n",
               (unsigned long long) report.moved, (unsigned long long) report.repeated_steps);
    printf("\n");
    if (made) {
        example_busy(&report);
        printf("%.1f million molecule steps per second in all; ",
               1e-6 * (double) (windows * walkers * made) / report.seconds);
    }
    printf("results in %s-windows.csv and %s-pmf.csv\nplot: %s.svg\n", out, out, out);
    int good = a->z_max < 5 && a->max < 0.5;
    if (check && !good) fprintf(stderr, "umbrella: the results do not agree with the exact ones\n");
    free(a);
    free(results);
    free(window);
    return check && !good;
}

int main(int argc, char **argv)
{
    example_begin(argc, argv, "Umbrella sampling of n-butane over its dihedral, beside the exact free energy.", options,
                  sizeof options / sizeof options[0]);
    ame_replica_kind kind = butane_kind((uint32_t) walkers);
    return example_run(&kind, windows, seed, replicas_options, coordinate);
}
