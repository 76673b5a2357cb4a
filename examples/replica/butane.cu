// butane.cu - butane on a GPU: one thread is one walker, blockIdx.y is the replica
//
// A thread keeps its molecule in registers for all steps of the launch. The samples of a block go into a histogram in shared
// memory, which is added to the replica's at the end; counts are integers, so their order does not matter. The second kernel,
// one block per replica, makes the result from the state in the order of sums.h. Counters of 32 bits in shared memory hold
// for 2^32 samples of a block in one launch.
#include <ame_replica.h>

#include "butane.h"
#include "sums.h"

__device__ static butane_atoms load(const double *rows, uint32_t walkers, uint32_t walker)
{
    const double *p = rows + walker;
    const size_t n = walkers;
    butane_atoms x = {{p[0], p[n], p[2 * n]}, {p[3 * n], p[4 * n], p[5 * n]}, {p[6 * n], p[7 * n], p[8 * n]},
                      {p[9 * n], p[10 * n], p[11 * n]}};
    return x;
}

__device__ static void store(double *rows, uint32_t walkers, uint32_t walker, const butane_atoms &x)
{
    double *p = rows + walker;
    const size_t n = walkers;
    p[0] = x.a.x, p[n] = x.a.y, p[2 * n] = x.a.z;
    p[3 * n] = x.b.x, p[4 * n] = x.b.y, p[5 * n] = x.b.z;
    p[6 * n] = x.c.x, p[7 * n] = x.c.y, p[8 * n] = x.c.z;
    p[9 * n] = x.d.x, p[10 * n] = x.d.y, p[11 * n] = x.d.z;
}

__device__ static butane_atoms noise(uint64_t step, uint32_t walker, uint32_t replica, uint64_t seed)
{
    butane_atoms n;
    ame_philox r = butane_random(step, 0, walker, replica, seed);
    ame_fp_normals(r.a, r.b, &n.a.x, &n.a.y);
    ame_fp_normals(r.c, r.d, &n.a.z, &n.b.x);
    r = butane_random(step, 1, walker, replica, seed);
    ame_fp_normals(r.a, r.b, &n.b.y, &n.b.z);
    ame_fp_normals(r.c, r.d, &n.c.x, &n.c.y);
    r = butane_random(step, 2, walker, replica, seed);
    ame_fp_normals(r.a, r.b, &n.c.z, &n.d.x);
    ame_fp_normals(r.c, r.d, &n.d.y, &n.d.z);
    return n;
}

extern "C" __global__ void __launch_bounds__(128) butane_kernel(const ame_replica *replicas, unsigned)
{
    __shared__ unsigned bins[BUTANE_BINS];
    const ame_replica &r = replicas[blockIdx.y];
    const butane w = *static_cast<const butane *>(r.parameters);
    double *rows = static_cast<double *>(r.state);
    auto *histogram = reinterpret_cast<unsigned long long *>(rows + static_cast<size_t>(BUTANE_ROWS) * w.walkers);
    for (unsigned i = threadIdx.x; i < BUTANE_BINS; i += blockDim.x) bins[i] = 0;
    __syncthreads();

    const uint32_t walker = blockIdx.x * blockDim.x + threadIdx.x;
    if (walker < w.walkers) {
        const size_t n = w.walkers;
        butane_atoms x = load(rows, w.walkers, walker), v = load(rows + 12 * n, w.walkers, walker);
        double phi, sum = rows[24 * n + walker], square = rows[25 * n + walker];
        butane_atoms f = butane_force(&x, w.centre, w.spring, &phi);
        uint32_t wait = w.stride - static_cast<uint32_t>(r.first_step % w.stride); // steps to the next sample
        for (uint64_t step = r.first_step; step < r.first_step + r.steps; step++) {
            butane_atoms kicks = noise(step, walker, static_cast<uint32_t>(r.id), r.seed);
            butane_step(&w, &x, &v, &f, &kicks, &phi);
            if (--wait) continue;
            wait = w.stride;
            if (step < w.equilibration) continue;
            double offset = butane_wrap(phi - w.centre);
            sum += offset;
            square = ame_fp_fma(offset, offset, square);
            atomicAdd(&bins[butane_bin(phi)], 1u);
        }
        store(rows, w.walkers, walker, x);
        store(rows + 12 * n, w.walkers, walker, v);
        rows[24 * n + walker] = sum;
        rows[25 * n + walker] = square;
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BUTANE_BINS; i += blockDim.x)
        if (bins[i]) atomicAdd(&histogram[i], static_cast<unsigned long long>(bins[i]));
}

extern "C" __global__ void __launch_bounds__(SUMS_PARTS) butane_summary(const ame_replica *replicas, unsigned)
{
    __shared__ double parts[3][SUMS_PARTS];
    const ame_replica &r = replicas[blockIdx.y];
    const butane *w = static_cast<const butane *>(r.parameters);
    auto *result = static_cast<butane_result *>(r.result);
    const double *rows = static_cast<const double *>(r.state), *sum = rows + 24 * static_cast<size_t>(w->walkers);
    const auto *histogram = reinterpret_cast<const uint64_t *>(rows + static_cast<size_t>(BUTANE_ROWS) * w->walkers);
    const double samples = butane_sampled(w, r.first_step + r.steps);
    parts[0][threadIdx.x] = sums_part(sum, w->walkers, threadIdx.x, 1, 1);
    parts[1][threadIdx.x] = sums_part(sum + w->walkers, w->walkers, threadIdx.x, 1, 1);
    parts[2][threadIdx.x] = sums_part(sum, w->walkers, threadIdx.x, samples > 0 ? 1 / samples : 0, 2);
    for (unsigned i = threadIdx.x; i < BUTANE_BINS; i += blockDim.x) result->histogram[i] = histogram[i];
    __syncthreads();
    if (threadIdx.x) return;
    double total[3] = {0, 0, 0};
    for (int p = 0; p < SUMS_PARTS; p++)
        for (int k = 0; k < 3; k++) total[k] += parts[k][p];
    result->samples = samples;
    result->sum = total[0];
    result->square = total[1];
    result->square_of_means = total[2];
}
