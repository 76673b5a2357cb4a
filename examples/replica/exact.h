/* exact.h - what the examples are to give, from quadrature and closed formulas, without any sampling */
#ifndef EXACT_H
#define EXACT_H

#include <stddef.h>

#include "curve.h"

/* ---- butane: the density of the dihedral is exp(-V/kT) (butane.h) ---- */

/* Mean and variance of phi - centre in a window; angles in rad. */
void butane_exact_window(double centre, double spring, double kT, double *mean, double *variance);
/* The probability of |phi| > 120 degrees without bias. */
double butane_exact_trans(double kT);
/* The torsion potential, and where it has its barrier between trans and gauche, its gauche minimum and its cis barrier, in rad. */
double butane_exact_potential(double phi);
extern const double butane_barrier, butane_gauche, butane_cis;

/* ---- Mueller-Brown ---- */

enum { MUELLER_POINTS = 5 };
struct mueller_point {
    const char *name;
    double x, y, energy;
};
/* The three minima A, B, C and the saddles A-C and C-B, by Newton's method. */
void mueller_exact_points(struct mueller_point points[MUELLER_POINTS]);
/* The mean position of a walker with a restraint at `centre`. */
struct point mueller_exact_mean(struct point centre, double spring, double kT);
/* Moves n images from their places on until the string rests: centre += alpha (mean - centre), then evenly spaced again, until
 * no image moves by more than `tolerance`, or `most` times. With a spring of 0 it goes down the potential with step `alpha`
 * instead, and keeps its ends: the path of lowest energy. Returns the number of iterations, -1 if not converged. */
int mueller_exact_string(size_t n, struct point *images, double spring, double kT, double alpha, double tolerance,
                         int most);

/* ---- Ising: B. Kaufman, Phys. Rev. 76, 1232 (1949), on a finite torus ---- */

/* The probabilities of the energies -2 L^2 + 4 k, k = 0 .. L^2, at temperature T; L even, up to 64. 0, or -1 when memory is
 * out. */
int ising_exact_energies(int length, double temperature, double *probability);
/* Energy and heat capacity per site of such a distribution. */
void ising_exact_moments(int length, double temperature, const double *probability, double *energy, double *capacity);
/* How often lattices at two temperatures are exchanged: the mean of min(1, exp((1/T1 - 1/T2) (E1 - E2))). */
double ising_exact_acceptance(int length, double temperature1, const double *probability1, double temperature2,
                              const double *probability2);

#endif
