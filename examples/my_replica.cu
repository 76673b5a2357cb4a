// my_replica.cu - the kernel of my_replica.c: a thread is a walker, blockIdx.y the replica
#include <ame_replica.h>

#include "my_replica.h"

extern "C" __global__ void trap_kernel(const ame_replica *replicas, unsigned)
{
    const ame_replica &r = replicas[blockIdx.y];
    double *x = static_cast<double *>(r.state);
    uint32_t walker = threadIdx.x;
    for (uint64_t step = r.first_step; step < r.first_step + r.steps; step++)
        x[walker] = trap_step(static_cast<const trap *>(r.parameters), x[walker], step, walker, static_cast<uint32_t>(r.id), r.seed);
    __syncthreads();
    if (walker) return;
    double square = 0;
    for (int w = 0; w < WALKERS; w++) square += x[w] * x[w];
    *static_cast<double *>(r.result) = square / WALKERS;
}
