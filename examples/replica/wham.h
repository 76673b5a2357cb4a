/* wham.h - free energies from umbrella windows over a periodic coordinate, by three formulas
 *
 * WHAM (S. Kumar et al., J. Comput. Chem. 13, 1011 (1992)) uses the histograms of all windows and makes no error but that of
 * sampling and of the bins. The other two are there for comparison: umbrella integration (J. Kaestner, W. Thiel, J. Chem. Phys.
 * 123, 144104 (2005)) takes each window for a normal distribution; and the rule that PySAGES' analyze has, which takes the mean
 * force at each centre and adds rectangles.
 */
#ifndef WHAM_H
#define WHAM_H

#include <stddef.h>
#include <stdint.h>

struct wham_window {
    double centre, spring; /* rad; energy per rad^2 */
    double mean, variance; /* of coordinate - centre */
    double samples;
    const double *histogram; /* of the coordinate over [-pi, pi), `bins` counts */
};

/* The free energy at the middle of each bin, its mean over the bins 0 where there are samples (INFINITY where there is none),
 * by iteration until no window's free energy changes by more than `tolerance` kT. Also the probability of each bin, unless NULL.
 * Returns the number of iterations; -1 when memory is out or `most` do not suffice. */
int wham(int windows, const struct wham_window *window, int bins, double kT, double tolerance, int most,
         double *free_energy, double *probability);
/* Umbrella integration: the free energy at the middle of each bin, its mean 0. */
void wham_integration(int windows, const struct wham_window *window, int bins, double kT, double *free_energy);
/* PySAGES' rule: the free energy at each centre, its mean 0. Centres in rising order. */
void wham_rectangles(int windows, const struct wham_window *window, double *free_energy);

#endif
