// mueller.cu - Mueller-Brown walkers on a GPU: one thread is one walker, blockIdx.y is the replica; see butane.cu
#include <ame_replica.h>

#include "mueller.h"
#include "sums.h"

extern "C" __global__ void __launch_bounds__(128) mueller_kernel(const ame_replica *replicas, unsigned)
{
    const ame_replica &r = replicas[blockIdx.y];
    const mueller m = *static_cast<const mueller *>(r.parameters);
    const uint32_t walker = blockIdx.x * blockDim.x + threadIdx.x;
    if (walker >= m.walkers) return;
    double *mine = static_cast<double *>(r.state) + walker, row[MUELLER_ROWS];
    for (int i = 0; i < MUELLER_ROWS; i++) row[i] = mine[static_cast<size_t>(i) * m.walkers];
    for (uint64_t step = r.first_step; step < r.first_step + r.steps; step++) {
        ame_philox random = mueller_random(step, walker, static_cast<uint32_t>(r.id), r.seed);
        double nx, ny;
        ame_fp_normals(random.a, random.b, &nx, &ny);
        mueller_step(&m, &row[0], &row[1], nx, ny);
        if (step == m.sample_from) row[2] = row[3] = row[4] = row[5] = row[6] = 0;
        if (step < m.sample_from) continue;
        row[2] += row[0];
        row[3] += row[1];
        row[4] = ame_fp_fma(row[0], row[0], row[4]);
        row[5] = ame_fp_fma(row[0], row[1], row[5]);
        row[6] = ame_fp_fma(row[1], row[1], row[6]);
    }
    for (int i = 0; i < MUELLER_ROWS; i++) mine[static_cast<size_t>(i) * m.walkers] = row[i];
}

extern "C" __global__ void __launch_bounds__(SUMS_PARTS) mueller_summary(const ame_replica *replicas, unsigned)
{
    __shared__ double parts[5][SUMS_PARTS];
    const ame_replica &r = replicas[blockIdx.y];
    const mueller *m = static_cast<const mueller *>(r.parameters);
    const double *rows = static_cast<const double *>(r.state) + 2 * static_cast<size_t>(m->walkers);
    for (int k = 0; k < 5; k++)
        parts[k][threadIdx.x] = sums_part(rows + static_cast<size_t>(k) * m->walkers, m->walkers, threadIdx.x, 1, 1);
    __syncthreads();
    if (threadIdx.x) return;
    double total[5] = {0, 0, 0, 0, 0};
    for (int p = 0; p < SUMS_PARTS; p++)
        for (int k = 0; k < 5; k++) total[k] += parts[k][p];
    auto *result = static_cast<mueller_result *>(r.result);
    result->samples = mueller_sampled(m, r.first_step + r.steps);
    result->x = total[0];
    result->y = total[1];
    result->xx = total[2];
    result->xy = total[3];
    result->yy = total[4];
}
