/* kinds.h - the kinds of replicas that the examples use: what butane.c, mueller.c and ising.c give to ame_replica.h */
#ifndef KINDS_H
#define KINDS_H

#include <ame_replica.h>

struct butane;
struct butane_result;
struct ising;
struct mueller;
struct mueller_result;

/* Kernels for GPUs: what the build has made of NAME.cu. */
extern const unsigned char butane_image[], ising_image[], mueller_image[];
extern const size_t butane_image_size, ising_image_size, mueller_image_size;

/* ---- butane (butane.h): an umbrella window with so many walkers ---- */

ame_replica_kind butane_kind(uint32_t walkers);
/* Fills in what follows from these: degrees, kJ/mol/rad^2, ps, 1/ps, K. Steps and walkers stay as they are. */
void butane_window(struct butane *w, double centre_degrees, double spring, double step, double friction,
                   double temperature);
uint64_t butane_state_size(uint32_t walkers);
/* The result after the step number `step` - 1, from the rows of the state. */
void butane_summarize(const struct butane *w, const double *rows, uint64_t step, struct butane_result *result);

/* ---- Mueller-Brown (mueller.h): an image of a string with so many walkers ---- */

ame_replica_kind mueller_kind(uint32_t walkers);
/* Step length and noise for a temperature kT; the rest stays as it is. */
void mueller_dynamics(struct mueller *m, double step, double kT);
/* The result after the step number `step` - 1, from the rows of the state. */
void mueller_summarize(const struct mueller *m, const double *rows, uint64_t step, struct mueller_result *result);

/* ---- Ising (ising.h): a lattice of length x length ---- */

ame_replica_kind ising_kind(uint32_t length);
/* The thresholds of a temperature. */
void ising_temperature(struct ising *m, double temperature);

#endif
