/* curve.c - the natural cubic spline: W. H. Press et al., Numerical Recipes, section 3.3; the system is tridiagonal. */
#include "curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Second derivatives at the knots t (rising) of the spline through y; `work` has n doubles. */
static void second_derivatives(size_t n, const double *t, const double *y, double *second, double *work)
{
    second[0] = work[0] = 0;
    for (size_t i = 1; i + 1 < n; i++) { /* forward elimination */
        double before = t[i] - t[i - 1], after = t[i + 1] - t[i];
        double right = 6 * ((y[i + 1] - y[i]) / after - (y[i] - y[i - 1]) / before);
        double pivot = 2 * (before + after) - before * work[i - 1];
        work[i] = after / pivot;
        second[i] = (right - before * second[i - 1]) / pivot;
    }
    second[n - 1] = 0;
    for (size_t i = n - 2; i > 0; i--) second[i] -= work[i] * second[i + 1];
}

static double spline(size_t n, const double *t, const double *y, const double *second, double at)
{
    size_t i = 0;
    while (i + 2 < n && at > t[i + 1]) i++;
    double h = t[i + 1] - t[i], a = (t[i + 1] - at) / h, b = (at - t[i]) / h;
    return a * y[i] + b * y[i + 1] + ((a * a * a - a) * second[i] + (b * b * b - b) * second[i + 1]) * h * h / 6;
}

int curve_sample(size_t n, const struct point *points, size_t m, struct point *out)
{
    double *memory = malloc(6 * n * sizeof *memory);
    if (!memory) return -1;
    double *t = memory, *x = t + n, *y = x + n, *x2 = y + n, *y2 = x2 + n, *work = y2 + n;
    t[0] = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = points[i].x;
        y[i] = points[i].y;
        if (i) t[i] = t[i - 1] + hypot(x[i] - x[i - 1], y[i] - y[i - 1]);
    }
    second_derivatives(n, t, x, x2, work);
    second_derivatives(n, t, y, y2, work);
    for (size_t k = 0; k < m; k++) {
        double at = t[n - 1] * (double) k / (double) (m - 1);
        out[k] = (struct point){spline(n, t, x, x2, at), spline(n, t, y, y2, at)};
    }
    free(memory);
    return 0;
}

int curve_space_evenly(size_t n, struct point *points)
{
    struct point *moved = malloc(n * sizeof *moved);
    int code = moved ? curve_sample(n, points, n, moved) : -1;
    if (!code && n > 2) memcpy(points + 1, moved + 1, (n - 2) * sizeof *points);
    free(moved);
    return code;
}
