/* ising.h - the two-dimensional Ising model by checkerboard Metropolis, the same text for processor and GPU
 *
 * L x L spins, periodic, coupling 1, no field; L is a multiple of 8. The lattice is kept as two half lattices, the sites with
 * even and with odd x + y, each with L rows of L / 2: a site of one has its four neighbours in the other, so that all of one
 * half can be updated at once. All is integer arithmetic: a spin is flipped if the energy does not grow, or if a random 32-bit
 * number is below the threshold of its temperature for that growth; rank 0 computes the thresholds. So results are the same to
 * the bit everywhere.
 *
 * A replica is one lattice; its state is the int8_t spins, +1 or -1, the even half first. Its energy is in units of the
 * coupling, -2 L^2 to 2 L^2. Random numbers: key = seed, counter = (sweep, half and high bits of the sweep, call, replica);
 * number j of call q is for site j * (L^2 / 8) + q of the half.
 */
#ifndef ISING_H
#define ISING_H

#include <stdint.h>

#include <ame_numeric.h>

#define ISING_LENGTH_MAX 128

/* What a lattice is given. */
struct ising {
    uint32_t length;       /* L */
    uint32_t threshold[2]; /* 2^32 exp(-4 / T) and 2^32 exp(-8 / T) */
    uint32_t reserved;
};

/* What comes back: the energy after the last sweep, sums over the sweeps, and a fingerprint of the lattice. */
struct ising_result {
    int64_t energy, sweeps, sum, square, magnetisation;
    uint64_t fingerprint;
};

AME_HD ame_philox ising_random(uint64_t sweep, uint32_t half, uint32_t call, uint32_t replica, uint64_t seed)
{
    return ame_philox4x32((uint32_t) sweep, (uint32_t) (sweep >> 32) | half << 31, call, replica, (uint32_t) seed,
                          (uint32_t) (seed >> 32));
}

/* 1 if a spin flips; `field` is the spin times the sum of its neighbours, -4 to 4, and its energy grows by 2 field. */
AME_HD int ising_flips(int field, uint32_t random, uint32_t threshold4, uint32_t threshold8)
{
    return (field <= 0) | (random < (field == 2 ? threshold4 : threshold8));
}

/* What site number `site` (both halves counted) adds to the fingerprint where the spin is up: a hash of the number, so that
 * the sum can be made in any order. */
AME_HD uint64_t ising_mark(uint32_t site)
{
    uint64_t z = (site + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

#ifndef __CUDACC__
/* What ising_cpu.c has, for each instruction set of lanes.h. */
typedef void ising_function(const struct ising *m, uint64_t seed, uint32_t replica, uint64_t first_sweep,
                            uint64_t sweeps, int8_t *spins, struct ising_result *result);
ising_function ising_run_plain, ising_run_avx2, ising_run_avx512;
#endif

#endif
