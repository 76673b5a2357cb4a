/* smoke.cu - kernels of the GPU tests. tests/gpu/kernels.c has the same for the mock driver. */

/* to[i] = factor * from[i] + i */
extern "C" __global__ void scale(double *to, const double *from, double factor, unsigned long long count)
{
    for (unsigned long long i = blockIdx.x * (unsigned long long) blockDim.x + threadIdx.x; i < count;
         i += (unsigned long long) gridDim.x * blockDim.x)
        to[i] = factor * from[i] + (double) i;
}

/* Writes where nothing is. */
extern "C" __global__ void stray(unsigned long long address)
{
    *(volatile int *) address = 1;
}

/* Computes for `turns` rounds, so that the device is busy. */
extern "C" __global__ void busy(double *to, unsigned long long turns)
{
    double x = threadIdx.x;
    for (unsigned long long i = 0; i < turns; i++) x = x * 0.999999 + 1e-9;
    to[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
