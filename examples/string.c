/* string.c - the string method on the Mueller-Brown surface: sampled, beside the same by quadrature
 *
 *     ameexec -np 4 ./string --images 16
 *
 * A string of images joins two minima. Each image is a replica (replica/mueller.h): walkers with a harmonic restraint at the
 * image. In each iteration the ranks sample, rank 0 moves every image by alpha (mean of its walkers - image), and spaces the
 * images evenly along the cubic spline through them. It is a run with a barrier per iteration, two numbers per image.
 *
 * A soft restraint smooths the surface, so that the sampled string is not the path of lowest energy, and its barrier is lower.
 * What it must agree with is the string whose means come from a quadrature (replica/exact.h), with the same restraint, images
 * and alpha. Both are shown beside minima and saddles. Of the sampled string the mean over the second half of the iterations
 * is taken.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "replica/curve.h"
#include "replica/example.h"
#include "replica/exact.h"
#include "replica/kinds.h"
#include "replica/lanes.h"
#include "replica/mueller.h"
#include "replica/plot.h"

static uint64_t images = 16, walkers = 64, steps = 250, equilibration = 50, iterations = 400, seed = 1;
static double spring = 1000, temperature = 10, alpha = 0.4, step_length = 1e-5;
static const char *out = "string", *replicas_options = "table=0";
static int check;

static const struct example_option options[] = {
    {"images", EXAMPLE_NUMBER, &images, 4, 1000, "images of the string"},
    {"walkers", EXAMPLE_NUMBER, &walkers, 1, 1e6, "walkers at each"},
    {"iterations", EXAMPLE_NUMBER, &iterations, 2, 1e9, "moves of the string"},
    {"steps", EXAMPLE_NUMBER, &steps, 2, 1e9, "steps of each walker in an iteration"},
    {"equilibration", EXAMPLE_NUMBER, &equilibration, 0, 1e9, "of these, steps before the first sample"},
    {"spring", EXAMPLE_REAL, &spring, 1, 1e6, "of the restraints"},
    {"kT", EXAMPLE_REAL, &temperature, 0.1, 100, "in units of the surface"},
    {"alpha", EXAMPLE_REAL, &alpha, 0.001, 1, "share of the way to the mean that an image is moved"},
    {"step-length", EXAMPLE_REAL, &step_length, 1e-7, 1e-3, "of the overdamped dynamics"},
    {"seed", EXAMPLE_NUMBER, &seed, 0, 9e15, "of the random numbers"},
    {"out", EXAMPLE_TEXT, &out, 0, 0, "beginning of the names of the result files"},
    {"replicas", EXAMPLE_TEXT, &replicas_options, 0, 0, "options of ame_replicas_open, such as gpu=0 or pull=1"},
    {"check", EXAMPLE_FLAG, &check, 0, 0, "fail if the results do not agree with those by quadrature"},
};

/* A straight line from near minimum A to near minimum B. */
static struct point *straight(void)
{
    struct mueller_point p[MUELLER_POINTS];
    struct point *string = example_alloc(images, sizeof *string);
    mueller_exact_points(p);
    for (uint64_t i = 0; i < images; i++) {
        double share = (double) i / (double) (images - 1);
        string[i] = (struct point){p[0].x + share * (p[1].x - p[0].x), p[0].y + share * (p[1].y - p[0].y)};
    }
    return string;
}

/* The sampled string: `mean` becomes the mean of its places in the second half of the iterations, `pull` that of the walkers'
 * mean places. */
static void sample(ame_replicas *set, struct point *mean, struct point *pull)
{
    struct point *string = straight();
    struct mueller *m = example_alloc(images, sizeof *m);
    struct mueller_result *r = example_alloc(images, sizeof *r);
    ame_replicas_report report;
    const uint64_t half = iterations / 2; /* from here on it is averaged */
    const double share = 1 / (double) (iterations - half);
    for (uint64_t n = 0; n < iterations; n++) {
        for (uint64_t i = 0; i < images; i++) {
            m[i] = (struct mueller){.centre = {string[i].x, string[i].y},
                                    .spring = spring,
                                    .sample_from = n * steps + equilibration,
                                    .walkers = (uint32_t) walkers};
            mueller_dynamics(&m[i], step_length, temperature);
        }
        example_check(ame_replicas_run(set, steps, m, r));
        for (uint64_t i = 0; i < images; i++) {
            const struct point at = {r[i].x / r[i].samples, r[i].y / r[i].samples};
            if (n >= half) {
                mean[i].x += share * string[i].x, mean[i].y += share * string[i].y;
                pull[i].x += share * at.x, pull[i].y += share * at.y;
            }
            string[i].x += alpha * (at.x - string[i].x);
            string[i].y += alpha * (at.y - string[i].y);
        }
        if (curve_space_evenly(images, string)) example_fail("out of memory");
        example_check(ame_replicas_inspect(set, &report));
        example_progress("iteration", n + 1, iterations, report.seconds);
    }
    free(r);
    free(m);
    free(string);
}

/* The free energy along a string, from the mean force of the restraints at its images, by the trapezoidal rule; 0 at the first.
 * Returns its greatest value. */
static double profile(const struct point *string, const struct point *mean, double *energy)
{
    double most = energy[0] = 0;
    for (uint64_t i = 1; i < images; i++) {
        double fx = spring * (string[i].x - mean[i].x + string[i - 1].x - mean[i - 1].x) / 2;
        double fy = spring * (string[i].y - mean[i].y + string[i - 1].y - mean[i - 1].y) / 2;
        energy[i] = energy[i - 1] + fx * (string[i].x - string[i - 1].x) + fy * (string[i].y - string[i - 1].y);
        most = fmax(most, energy[i]);
    }
    return most;
}

static double distance(struct point a, struct point b)
{
    return hypot(a.x - b.x, a.y - b.y);
}

/* How far a point is from the spline through a string. */
static double distance_to(const struct point *string, struct point p)
{
    enum { FINE = 2000 };
    struct point fine[FINE];
    double least = INFINITY;
    if (curve_sample(images, string, FINE, fine)) example_fail("out of memory");
    for (int i = 0; i < FINE; i++) least = fmin(least, distance(fine[i], p));
    return least;
}

/* ---- output -------------------------------------------------------------------------------------- */

struct strings {
    struct point *sampled, *sampled_mean, *exact, *exact_mean, *path; /* path: of lowest energy */
    double *sampled_energy, *exact_energy;
};

static double surface(double x, double y)
{
    double unused;
    return mueller_potential(x, y, &unused, &unused);
}

static void add_string(plot *p, enum plot_style style, const char *label, const struct point *string, size_t m)
{
    struct point *fine = example_alloc(m, sizeof *fine);
    double *x = example_alloc(m, sizeof *x), *y = example_alloc(m, sizeof *y);
    if (curve_sample(images, string, m, fine)) example_fail("out of memory");
    for (size_t i = 0; i < m; i++) x[i] = fine[i].x, y[i] = fine[i].y;
    plot_series(p, style, label, m, x, y, NULL);
    free(y);
    free(x);
    free(fine);
}

static void draw(const struct strings *s, const struct mueller_point *point)
{
    char path[1024];
    double x[MUELLER_POINTS], y[MUELLER_POINTS];
    plot *p = plot_new("String method on the Mueller-Brown surface", "x", "y");
    plot_contours(p, surface, -1.5, 1.1, -0.4, 2, -140, 15, 16);
    add_string(p, PLOT_LINE, "by quadrature", s->exact, 300);
    for (int i = 0; i < MUELLER_POINTS; i++) x[i] = point[i].x, y[i] = point[i].y;
    add_string(p, PLOT_POINTS, "sampled images", s->sampled, images);
    add_string(p, PLOT_DASHED, "path of lowest energy", s->path, 300);
    plot_series(p, PLOT_POINTS, "minima and saddles", MUELLER_POINTS, x, y, NULL);
    snprintf(path, sizeof path, "%s.svg", out);
    if (plot_write(p, path)) example_fail("cannot write %s", path);
}

static void write_files(const struct strings *s)
{
    FILE *file = example_file(out, ".csv");
    fprintf(file, "image,x,y,x_quadrature,y_quadrature,free_energy,free_energy_quadrature\n");
    for (uint64_t i = 0; i < images; i++)
        fprintf(file, "%llu,%.8f,%.8f,%.8f,%.8f,%.5f,%.5f\n", (unsigned long long) i, s->sampled[i].x, s->sampled[i].y,
                s->exact[i].x, s->exact[i].y, s->sampled_energy[i], s->exact_energy[i]);
    example_close(file);
}

/* Prints all; 1 if sampled and exact string agree. */
static int report_results(const struct strings *s, const ame_replicas_report *report)
{
    struct mueller_point point[MUELLER_POINTS];
    double worst = 0, square = 0;
    double barrier = profile(s->sampled, s->sampled_mean, s->sampled_energy);
    double exact_barrier = profile(s->exact, s->exact_mean, s->exact_energy);
    for (uint64_t i = 0; i < images; i++) {
        double d = distance(s->sampled[i], s->exact[i]);
        worst = fmax(worst, d);
        square += d * d / (double) images;
    }
    mueller_exact_points(point);
    draw(s, point);
    write_files(s);
    printf("\nimages against the string by quadrature: rms %.4f, at most %.4f\n", sqrt(square), worst);
    printf("\n%-12s %9s %9s %9s   %s\n", "", "x", "y", "energy",
           "distance of the sampled string, of that by quadrature");
    for (int i = 0; i < MUELLER_POINTS; i++) {
        struct point at = {point[i].x, point[i].y};
        printf("%-12s %9.5f %9.5f %9.3f   %.4f, %.4f\n", point[i].name, at.x, at.y, point[i].energy,
               distance_to(s->sampled, at), distance_to(s->exact, at));
    }
    printf("\n%-44s %8.2f\n%-44s %8.2f\n%-44s %8.2f\n", "barrier by mean forces, sampled", barrier,
           "the same by quadrature", exact_barrier, "barrier of the potential", point[3].energy - point[0].energy);
    printf("\n");
    example_busy(report);
    printf("%.1f million walker steps per second in all; results in %s.csv\nplot: %s.svg\n",
           1e-6 * (double) (images * walkers * steps * iterations) / report->seconds, out, out);
    return worst < 0.03 && fabs(barrier - exact_barrier) < 3;
}

/* ---- the job ------------------------------------------------------------------------------------- */

static int coordinate(ame_replicas *set)
{
    printf("String method on the Mueller-Brown surface: %llu images x %llu walkers x %llu iterations of %llu steps, "
           "kernels for %s\n",
           (unsigned long long) images, (unsigned long long) walkers, (unsigned long long) iterations,
           (unsigned long long) steps, lanes_name(lanes_isa()));
    example_workers(set, images);
    struct strings s = {.sampled = example_alloc(images, sizeof(struct point)),
                        .sampled_mean = example_alloc(images, sizeof(struct point)),
                        .exact = straight(),
                        .exact_mean = example_alloc(images, sizeof(struct point)),
                        .path = straight(),
                        .sampled_energy = example_alloc(images, sizeof(double)),
                        .exact_energy = example_alloc(images, sizeof(double))};
    ame_replicas_report report;
    sample(set, s.sampled, s.sampled_mean);
    example_check(ame_replicas_inspect(set, &report));
    if (mueller_exact_string(images, s.exact, spring, temperature, alpha, 1e-5, 2000) < 0 ||
        mueller_exact_string(images, s.path, 0, 0, 1e-4, 1e-9, 100000) < 0)
        example_fail("a string by quadrature has not converged");
    for (uint64_t i = 0; i < images; i++) s.exact_mean[i] = mueller_exact_mean(s.exact[i], spring, temperature);
    int good = report_results(&s, &report);
    if (check && !good) fprintf(stderr, "string: the results do not agree with those by quadrature\n");
    free(s.sampled);
    free(s.sampled_mean);
    free(s.exact);
    free(s.exact_mean);
    free(s.path);
    free(s.sampled_energy);
    free(s.exact_energy);
    return check && !good;
}

int main(int argc, char **argv)
{
    example_begin(argc, argv, "The string method on the Mueller-Brown surface, sampled and by quadrature.", options,
                  sizeof options / sizeof options[0]);
    ame_replica_kind kind = mueller_kind((uint32_t) walkers);
    return example_run(&kind, images, seed, replicas_options, coordinate);
}
