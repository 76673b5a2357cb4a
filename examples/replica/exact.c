/* exact.c - the quadratures and formulas of exact.h */
#include "exact.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>

#include "butane.h"
#include "mueller.h"

/* ---- butane -------------------------------------------------------------------------------------- */

/* From 4 c2 cos(phi) - c1 - 3 c3 (4 cos(phi)^2 - 1) = 0. */
const double butane_barrier = 118.40390 * BUTANE_PI / 180, butane_gauche = 63.45117 * BUTANE_PI / 180, butane_cis = 0;

double butane_exact_potential(double phi)
{
    return butane_torsion(cos(phi));
}

void butane_exact_window(double centre, double spring, double kT, double *mean, double *variance)
{
    enum { POINTS = 20000 };
    double sum = 0, first = 0, second = 0;
    for (int i = 0; i < POINTS; i++) {
        double offset = -BUTANE_PI + (i + 0.5) * (2 * BUTANE_PI / POINTS);
        double weight = exp(-(butane_exact_potential(centre + offset) + spring / 2 * offset * offset) / kT);
        sum += weight;
        first += weight * offset;
        second += weight * offset * offset;
    }
    *mean = first / sum;
    *variance = second / sum - *mean * *mean;
}

double butane_exact_trans(double kT)
{
    enum { POINTS = 18000 }; /* a multiple of 3, so that 120 degrees is between two */
    double sum = 0, trans = 0;
    for (int i = 0; i < POINTS; i++) {
        double phi = (i + 0.5) * (BUTANE_PI / POINTS), weight = exp(-butane_exact_potential(phi) / kT);
        sum += weight;
        if (i >= 2 * POINTS / 3) trans += weight;
    }
    return trans / sum;
}

/* ---- Mueller-Brown ------------------------------------------------------------------------------- */

/* Newton's method for a zero of the gradient, with its derivatives by differences. */
static void settle(struct mueller_point *p)
{
    const double h = 1e-5;
    double gx, gy, a[2], b[2];
    for (int turn = 0; turn < 50; turn++) {
        (void) mueller_potential(p->x + h, p->y, &a[0], &a[1]);
        (void) mueller_potential(p->x - h, p->y, &b[0], &b[1]);
        double xx = (a[0] - b[0]) / (2 * h), xy = (a[1] - b[1]) / (2 * h);
        (void) mueller_potential(p->x, p->y + h, &a[0], &a[1]);
        (void) mueller_potential(p->x, p->y - h, &b[0], &b[1]);
        double yy = (a[1] - b[1]) / (2 * h);
        p->energy = mueller_potential(p->x, p->y, &gx, &gy);
        double det = xx * yy - xy * xy, dx = (yy * gx - xy * gy) / det, dy = (xx * gy - xy * gx) / det;
        p->x -= dx;
        p->y -= dy;
        if (fabs(dx) + fabs(dy) < 1e-13) break;
    }
}

void mueller_exact_points(struct mueller_point points[MUELLER_POINTS])
{
    static const struct mueller_point near[MUELLER_POINTS] = {{"minimum A", -0.56, 1.44, 0},
                                                              {"minimum B", 0.62, 0.03, 0},
                                                              {"minimum C", -0.05, 0.47, 0},
                                                              {"saddle A-C", -0.82, 0.62, 0},
                                                              {"saddle C-B", 0.21, 0.29, 0}};
    for (int i = 0; i < MUELLER_POINTS; i++) {
        points[i] = near[i];
        settle(&points[i]);
    }
}

struct point mueller_exact_mean(struct point centre, double spring, double kT)
{
    enum { POINTS = 48 }; /* in each direction, over 6 widths of the restraint to each side */
    const double width = sqrt(kT / spring), step = 12 * width / POINTS;
    double sum = 0, x_sum = 0, y_sum = 0, unused, middle = mueller_potential(centre.x, centre.y, &unused, &unused);
    for (int i = 0; i < POINTS; i++)
        for (int j = 0; j < POINTS; j++) {
            double dx = (i + 0.5 - 0.5 * POINTS) * step, dy = (j + 0.5 - 0.5 * POINTS) * step;
            double v = mueller_potential(centre.x + dx, centre.y + dy, &unused, &unused) - middle;
            double weight = exp(-(v + spring / 2 * (dx * dx + dy * dy)) / kT);
            sum += weight;
            x_sum += weight * dx;
            y_sum += weight * dy;
        }
    return (struct point){centre.x + x_sum / sum, centre.y + y_sum / sum};
}

/* One step of one image. */
static struct point step_image(struct point z, double spring, double kT, double alpha, int end)
{
    double gx, gy;
    if (spring > 0) {
        struct point mean = mueller_exact_mean(z, spring, kT);
        return (struct point){z.x + alpha * (mean.x - z.x), z.y + alpha * (mean.y - z.y)};
    }
    if (end) return z;
    (void) mueller_potential(z.x, z.y, &gx, &gy);
    return (struct point){z.x - alpha * gx, z.y - alpha * gy};
}

int mueller_exact_string(size_t n, struct point *images, double spring, double kT, double alpha, double tolerance,
                         int most)
{
    struct point *before = malloc(n * sizeof *before);
    for (int turn = 1; before && turn <= most; turn++) {
        double worst = 0;
        for (size_t i = 0; i < n; i++) {
            before[i] = images[i];
            images[i] = step_image(images[i], spring, kT, alpha, i == 0 || i == n - 1);
        }
        if (curve_space_evenly(n, images)) break;
        for (size_t i = 0; i < n; i++) worst = fmax(worst, hypot(images[i].x - before[i].x, images[i].y - before[i].y));
        if (worst < tolerance) {
            free(before);
            return turn;
        }
    }
    free(before);
    return -1;
}

/* ---- Ising --------------------------------------------------------------------------------------- */

/* Kaufman's four products for an L x L torus at a complex coupling K: their logarithms. */
static void products(int length, double complex coupling, double complex term[4])
{
    const double complex c = ccosh(2 * coupling), ratio = c * c / csinh(2 * coupling);
    for (int k = 0; k < 4; k++) term[k] = 0;
    for (int r = 0; r < 2 * length; r++) {
        double complex gamma = cacosh(ratio - cos(r * BUTANE_PI / length));
        if (r == 0)
            gamma = 2 * coupling + clog(ctanh(coupling)); /* these two occur once only, so that their signs matter */
        if (r == length) gamma = 2 * coupling - clog(ctanh(coupling));
        double complex half = length * gamma / 2;
        int even = r % 2 == 0;
        term[even ? 2 : 0] += clog(2 * ccosh(half));
        term[even ? 3 : 1] += clog(2 * csinh(half));
    }
}

/* The logarithm of the partition function, less that of `scale` (a real number, to keep it in range), exponentiated. */
static double complex partition(int length, double complex coupling, double scale)
{
    double complex term[4], sum = 0, front = length * length / 2.0 * clog(2 * csinh(2 * coupling));
    products(length, coupling, term);
    for (int k = 0; k < 4; k++) sum += cexp(front + term[k] - scale);
    return sum / 2;
}

/* The partition function at K + i theta is the sum over energies of P(E) Z(K) exp(-i theta E): a discrete Fourier transform. With
 * E = -2N + 4k, theta = pi m / (2 (N + 1)), m = 0 .. N tells the N + 1 probabilities apart. */
int ising_exact_energies(int length, double temperature, double *probability)
{
    const int sites = length * length, count = sites + 1;
    const double coupling = 1 / temperature, turn = BUTANE_PI / (2.0 * count);
    double complex *values = malloc(2 * (size_t) count * sizeof *values), *roots = values + count, term[4];
    if (!values) return -1;
    for (int m = 0; m < count; m++) roots[m] = cexp(I * (2 * BUTANE_PI * m / count));
    products(length, coupling, term);
    double scale =
        creal(sites / 2.0 * clog(2 * csinh(2 * coupling))) + fmax(fmax(creal(term[0]), creal(term[1])), creal(term[2]));
    for (int m = 0; m < count; m++) /* conjugates of each other from both ends, but for the factor of -2N */
        values[m] = partition(length, coupling + I * turn * m, scale) * cexp(-I * turn * m * 2.0 * sites);
    for (int k = 0; k < count; k++) {
        double complex sum = 0;
        for (int m = 0; m < count; m++) sum += values[m] * roots[(long) m * k % count];
        probability[k] = creal(sum) / count / creal(values[0]);
    }
    free(values);
    return 0;
}

void ising_exact_moments(int length, double temperature, const double *probability, double *energy, double *capacity)
{
    const int sites = length * length;
    double mean = 0, square = 0;
    for (int k = 0; k <= sites; k++) mean += probability[k] * (4.0 * k - 2.0 * sites);
    for (int k = 0; k <= sites; k++)
        square += probability[k] * (4.0 * k - 2.0 * sites - mean) * (4.0 * k - 2.0 * sites - mean);
    *energy = mean / sites;
    *capacity = square / (temperature * temperature) / sites;
}

double ising_exact_acceptance(int length, double temperature1, const double *probability1, double temperature2,
                              const double *probability2)
{
    const int sites = length * length;
    const double difference = 1 / temperature1 - 1 / temperature2;
    double sum = 0;
    for (int i = 0; i <= sites; i++)
        for (int j = 0; j <= sites; j++)
            if (probability1[i] > 1e-18 && probability2[j] > 1e-18)
                sum += probability1[i] * probability2[j] * fmin(1, exp(difference * 4.0 * (i - j)));
    return sum;
}
