/* wham.c - the formulas of wham.h */
#include "wham.h"

#include <math.h>
#include <stdlib.h>

#define PI 3.141592653589793

static double middle(int bin, int bins)
{
    return -PI + (bin + 0.5) * (2 * PI / bins);
}

static double wrapped(double x)
{
    return remainder(x, 2 * PI);
}

/* Shifts values so that the mean of the finite ones is 0. */
static void centre(int n, double *value)
{
    double sum = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(value[i])) {
            sum += value[i];
            count++;
        }
    for (int i = 0; i < n && count; i++) value[i] -= sum / count;
}

/* ---- WHAM ---------------------------------------------------------------------------------------- */

struct iteration {
    int windows, bins;
    double *bias;  /* [window][bin]: exp(-bias energy / kT) */
    double *scale; /* of each window: exp(its free energy / kT) */
    double *total, *probability;
};

/* Probabilities from the scales, then scales from the probabilities; the largest change of a window's free energy in kT. */
static double iterate(struct iteration *it, const struct wham_window *window)
{
    double norm = 0, worst = 0;
    for (int b = 0; b < it->bins; b++) {
        double under = 0;
        for (int w = 0; w < it->windows; w++) under += window[w].samples * it->scale[w] * it->bias[w * it->bins + b];
        it->probability[b] = under > 0 ? it->total[b] / under : 0;
        norm += it->probability[b];
    }
    for (int b = 0; b < it->bins; b++) it->probability[b] /= norm;
    for (int w = 0; w < it->windows; w++) {
        double sum = 0;
        for (int b = 0; b < it->bins; b++) sum += it->probability[b] * it->bias[w * it->bins + b];
        double change = fabs(log(1 / sum / it->scale[w]));
        worst = change > worst ? change : worst;
        it->scale[w] = 1 / sum;
    }
    return worst;
}

int wham(int windows, const struct wham_window *window, int bins, double kT, double tolerance, int most,
         double *free_energy, double *probability)
{
    struct iteration it = {.windows = windows,
                           .bins = bins,
                           .bias = malloc((size_t) windows * bins * sizeof(double)),
                           .scale = malloc(windows * sizeof(double)),
                           .total = calloc(bins, sizeof(double)),
                           .probability = calloc((size_t) bins, sizeof(double))};
    int turns = -1;
    if (it.bias && it.scale && it.total && it.probability) {
        for (int w = 0; w < windows; w++) {
            it.scale[w] = 1;
            for (int b = 0; b < bins; b++) {
                double offset = wrapped(middle(b, bins) - window[w].centre);
                it.bias[w * bins + b] = exp(-window[w].spring / 2 * offset * offset / kT);
                it.total[b] += window[w].histogram[b];
            }
        }
        double change = INFINITY;
        for (turns = 0; change > tolerance && turns < most; turns++) change = iterate(&it, window);
        if (change > tolerance) turns = -1;
        for (int b = 0; b < bins; b++) {
            free_energy[b] = it.probability[b] > 0 ? -kT * log(it.probability[b]) : INFINITY;
            if (probability) probability[b] = it.probability[b];
        }
        centre(bins, free_energy);
    }
    free(it.bias);
    free(it.scale);
    free(it.total);
    free(it.probability);
    return turns;
}

/* ---- for comparison ------------------------------------------------------------------------------ */

/* The mean force of umbrella integration: each window's, weighted with the density that it has there. */
static double slope(int windows, const struct wham_window *window, double x, double kT)
{
    double sum = 0, weights = 0;
    for (int w = 0; w < windows; w++) {
        double from_mean = wrapped(x - window[w].centre - window[w].mean), offset = wrapped(x - window[w].centre);
        double weight =
            window[w].samples * exp(-from_mean * from_mean / (2 * window[w].variance)) / sqrt(window[w].variance);
        sum += weight * (kT * from_mean / window[w].variance - window[w].spring * offset);
        weights += weight;
    }
    return weights > 0 ? sum / weights : 0;
}

void wham_integration(int windows, const struct wham_window *window, int bins, double kT, double *free_energy)
{
    enum { PARTS = 10 };
    const double step = 2 * PI / bins / PARTS;
    free_energy[0] = 0;
    for (int b = 1; b < bins; b++) {
        double sum = 0; /* from the middle of the bin before to that of this one */
        for (int k = 0; k < PARTS; k++)
            sum += slope(windows, window, middle(b - 1, bins) + (k + 0.5) * step, kT) * step;
        free_energy[b] = free_energy[b - 1] + sum;
    }
    centre(bins, free_energy);
}

void wham_rectangles(int windows, const struct wham_window *window, double *free_energy)
{
    free_energy[0] = 0;
    for (int w = 1; w < windows; w++) {
        const struct wham_window *before = &window[w - 1];
        free_energy[w] = free_energy[w - 1] - before->spring * before->mean * (window[w].centre - before->centre);
    }
    centre(windows, free_energy);
}
