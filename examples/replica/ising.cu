// ising.cu - the Ising model on a GPU: one block is one lattice, in shared memory
//
// A thread makes the calls number threadIdx.x, + blockDim.x and so on, each for four sites of a half lattice; half lattices
// are updated in turn with a barrier between them.
#include <ame_replica.h>

#include "ising.h"

struct lattice {
    int8_t spins[ISING_LENGTH_MAX * ISING_LENGTH_MAX];
    int growth[2]; // of the energy in even and in odd sweeps, halved
    long long magnetisation;
    unsigned long long fingerprint;
    int bonds;
};

// The sum of the four neighbours of site `s` of half `half`.
__device__ static int neighbours(const int8_t *spins, uint32_t length, uint32_t half, uint32_t s)
{
    const uint32_t row = length / 2, sites = length * row, y = s / row, i = s - y * row;
    const int8_t *other = spins + (half ? 0 : sites);
    const uint32_t side = (y + half) & 1 ? (i + 1 == row ? s + 1 - row : s + 1) : (i == 0 ? s + row - 1 : s - 1);
    return other[s] + other[side] + other[y == 0 ? s + sites - row : s - row] + other[y + 1 == length ? i : s + row];
}

__device__ static int warp_sum(int value)
{
    for (int offset = 16; offset; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

// Updates one half; returns what the energy has grown by through this thread, halved.
__device__ static int update(lattice *l, const ising &m, const ame_replica &r, uint64_t sweep, uint32_t half)
{
    const uint32_t sites = m.length * m.length / 2, calls = sites / 4;
    int8_t *mine = l->spins + (half ? sites : 0);
    int growth = 0;
    for (uint32_t q = threadIdx.x; q < calls; q += blockDim.x) {
        ame_philox random = ising_random(sweep, half, q, static_cast<uint32_t>(r.id), r.seed);
        const uint32_t numbers[4] = {random.a, random.b, random.c, random.d};
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            const uint32_t s = j * calls + q;
            const int spin = mine[s], field = spin * neighbours(l->spins, m.length, half, s);
            const int flips = ising_flips(field, numbers[j], m.threshold[0], m.threshold[1]);
            mine[s] = static_cast<int8_t>(flips ? -spin : spin);
            growth += flips ? field : 0;
        }
    }
    return growth;
}

// Energy, magnetisation and fingerprint of the lattice, by all threads.
__device__ static void measure(lattice *l, const ising &m)
{
    const uint32_t sites = m.length * m.length / 2;
    int bonds = 0, up = 0;
    unsigned long long fingerprint = 0;
    for (uint32_t s = threadIdx.x; s < 2 * sites; s += blockDim.x) {
        if (s < sites) bonds += l->spins[s] * neighbours(l->spins, m.length, 0, s);
        up += l->spins[s];
        if (l->spins[s] > 0) fingerprint += ising_mark(s);
    }
    if (threadIdx.x == 0) l->bonds = 0, l->magnetisation = 0, l->fingerprint = 0;
    __syncthreads();
    atomicAdd(&l->bonds, bonds);
    atomicAdd(reinterpret_cast<unsigned long long *>(&l->magnetisation), static_cast<unsigned long long>((long long) up));
    atomicAdd(&l->fingerprint, fingerprint);
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(256) ising_kernel(const ame_replica *replicas, unsigned)
{
    __shared__ lattice l;
    const ame_replica &r = replicas[blockIdx.y];
    const ising m = *static_cast<const ising *>(r.parameters);
    auto *state = static_cast<int8_t *>(r.state);
    for (uint32_t s = threadIdx.x; s < m.length * m.length; s += blockDim.x) l.spins[s] = state[s];
    if (threadIdx.x < 2) l.growth[threadIdx.x] = 0;
    __syncthreads();
    measure(&l, m);
    ising_result result = {-l.bonds, static_cast<int64_t>(r.steps), 0, 0, 0, 0};

    for (uint64_t sweep = r.first_step; sweep < r.first_step + r.steps; sweep++) {
        int growth = update(&l, m, r, sweep, 0);
        __syncthreads();
        growth = warp_sum(growth + update(&l, m, r, sweep, 1));
        if (threadIdx.x % 32 == 0) atomicAdd(&l.growth[sweep & 1], growth);
        __syncthreads();
        if (threadIdx.x == 0) { // the other counter is used by the next sweep, so this one may be cleared after it is read
            result.energy += 2 * l.growth[sweep & 1];
            l.growth[sweep & 1] = 0;
            result.sum += result.energy;
            result.square += result.energy * result.energy;
        }
    }
    measure(&l, m);
    for (uint32_t s = threadIdx.x; s < m.length * m.length; s += blockDim.x) state[s] = l.spins[s];
    if (threadIdx.x == 0) {
        result.magnetisation = l.magnetisation;
        result.fingerprint = l.fingerprint;
        *static_cast<ising_result *>(r.result) = result;
    }
}
