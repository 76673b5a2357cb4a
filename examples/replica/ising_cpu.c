/* ising_cpu.c - one Ising lattice on a processor, neighbouring sites in vector lanes
 *
 * The half that is updated and the other one are long rows of bytes. Of the four neighbours, those above, below and at the
 * same place are the other half itself, moved by a row; the fourth is to the left in even rows and to the right in odd ones
 * (the other way round for the odd half), and is copied into a row of its own beforehand. Then all sites are alike.
 */
#include "ising.h"
#include "lanes.h"

#define HALF_MAX (ISING_LENGTH_MAX * ISING_LENGTH_MAX / 2)

struct work {
    int8_t other[HALF_MAX + ISING_LENGTH_MAX], side[HALF_MAX]; /* the other half with a row more above and below */
    uint32_t random[HALF_MAX];
};

static void draw(struct work *w, uint32_t calls, uint64_t sweep, uint32_t half, uint32_t replica, uint64_t seed)
{
    uint32_t *restrict random = w->random;
#pragma omp simd
    for (uint32_t q = 0; q < calls; q++) {
        ame_philox r = ising_random(sweep, half, q, replica, seed);
        random[q] = r.a;
        random[calls + q] = r.b;
        random[2 * calls + q] = r.c;
        random[3 * calls + q] = r.d;
    }
}

static void gather(struct work *w, const int8_t *other, uint32_t length, uint32_t half)
{
    uint32_t row = length / 2, sites = length * row;
    memcpy(w->other, other + sites - row, row);
    memcpy(w->other + row, other, sites);
    memcpy(w->other + row + sites, other, row);
    for (uint32_t y = 0; y < length; y++) {
        const int8_t *from = other + (size_t) y * row;
        int8_t *to = w->side + (size_t) y * row;
        if ((y + half) & 1) {
            memcpy(to, from + 1, row - 1);
            to[row - 1] = from[0];
        } else {
            memcpy(to + 1, from, row - 1);
            to[0] = from[row - 1];
        }
    }
}

/* Updates one half; returns half of what the energy has grown by. */
static int32_t update(int8_t *restrict spins, const struct work *w, const struct ising *m)
{
    const uint32_t row = m->length / 2, sites = m->length * row, threshold4 = m->threshold[0],
                   threshold8 = m->threshold[1];
    const int8_t *above = w->other, *same = above + row, *below = same + row;
    int32_t growth = 0;
#pragma omp simd reduction(+ : growth)
    for (uint32_t s = 0; s < sites; s++) {
        int32_t field = spins[s] * (above[s] + same[s] + below[s] + w->side[s]);
        int32_t flips = ising_flips(field, w->random[s], threshold4, threshold8);
        growth += field * flips;
        spins[s] = (int8_t) (spins[s] * (1 - 2 * flips));
    }
    return growth;
}

/* Minus the sum over all bonds: each site of the even half with its four neighbours. */
static int64_t energy(struct work *w, const int8_t *spins, uint32_t length)
{
    const uint32_t row = length / 2, sites = length * row;
    gather(w, spins + sites, length, 0);
    int32_t sum = 0;
    for (uint32_t s = 0; s < sites; s++)
        sum += spins[s] * (w->other[s] + w->other[s + row] + w->other[s + 2 * row] + w->side[s]);
    return -(int64_t) sum;
}

void LANES_NAME(ising_run)(const struct ising *m, uint64_t seed, uint32_t replica, uint64_t first_sweep,
                           uint64_t sweeps, int8_t *spins, struct ising_result *result)
{
    struct work w __attribute__((aligned(64)));
    const uint32_t length = m->length, sites = length * length / 2;
    struct ising_result r = {.energy = energy(&w, spins, length), .sweeps = (int64_t) sweeps};
    for (uint64_t sweep = first_sweep; sweep < first_sweep + sweeps; sweep++) {
        for (uint32_t half = 0; half < 2; half++) {
            draw(&w, sites / 4, sweep, half, replica, seed);
            gather(&w, spins + (half ? 0 : sites), length, half);
            r.energy += 2L * update(spins + (half ? sites : 0), &w, m);
        }
        r.sum += r.energy;
        r.square += r.energy * r.energy;
    }
    for (uint32_t s = 0; s < 2 * sites; s++) {
        r.magnetisation += spins[s];
        if (spins[s] > 0) r.fingerprint += ising_mark(s);
    }
    *result = r;
}
