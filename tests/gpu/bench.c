/* bench.c - how fast messages in device memory are, beside the same ones in host memory; and what they are made of.
 *
 *     ameexec -np 2 gpu_bench [LARGEST [SECONDS]]
 *
 * All in one run, by turns, so that what else the machine does is the same for both; medians. On a mock driver the figures
 * mean nothing.
 */
#include <ame_gpu.h>

#include "../job/check.h"

enum { TURNS_MAX = 2000 };

extern const unsigned char smoke_image[];
extern const size_t smoke_image_size;

static double budget = 0.5; /* seconds for each row */

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *times, int count)
{
    qsort(times, (size_t) count, sizeof *times, compare);
    return times[count / 2];
}

/* Seconds of one round trip. */
static double round_trip(unsigned char *buf, size_t bytes)
{
    double start = ame_wtime();
    int other = 1 - check_rank;
    if (check_rank == 0) CHECK_OK(ame_send(buf, bytes, other, 1, AME_COMM_WORLD));
    CHECK_OK(ame_recv(buf, bytes, other, 1, AME_COMM_WORLD, NULL));
    if (check_rank == 1) CHECK_OK(ame_send(buf, bytes, other, 1, AME_COMM_WORLD));
    return ame_wtime() - start;
}

static void messages(size_t bytes)
{
    static double host_times[TURNS_MAX], device_times[TURNS_MAX];
    void *device = NULL;
    unsigned char *host = check_alloc(bytes);
    memset(host, 1, bytes);
    CHECK_OK(ame_gpu_malloc(bytes, &device));
    CHECK_OK(ame_gpu_copy(device, host, bytes, NULL));
    for (int i = 0; i < 3; i++) (void) round_trip(host, bytes), (void) round_trip(device, bytes);
    double once = round_trip(host, bytes) + round_trip(device, bytes);
    int turns = (int) (budget / once);
    turns = turns < 5 ? 5 : turns > TURNS_MAX ? TURNS_MAX : turns;
    CHECK_OK(ame_bcast(&turns, sizeof turns, 0, AME_COMM_WORLD));
    for (int i = 0; i < turns; i++) {
        host_times[i] = round_trip(host, bytes);
        device_times[i] = round_trip(device, bytes);
    }
    if (check_rank == 0) {
        double h = median(host_times, turns) / 2, d = median(device_times, turns) / 2;
        printf("%12zu  %10.1f  %10.1f  %8.2f  %8.2f  %8.2f\n", bytes, h * 1e6, d * 1e6, (double) bytes / h * 1e-9,
               (double) bytes / d * 1e-9, h / d);
    }
    CHECK_OK(ame_gpu_free(device));
    free(host);
}

static double copy_rate(void *to, const void *from, size_t bytes)
{
    double times[20];
    for (int i = 0; i < 20; i++) {
        double start = ame_wtime();
        CHECK_OK(ame_gpu_copy(to, from, bytes, NULL));
        times[i] = ame_wtime() - start;
    }
    return (double) bytes / median(times, 20) * 1e-9;
}

static void copies(size_t bytes)
{
    void *device = NULL, *pinned = NULL;
    unsigned char *host = check_alloc(bytes);
    memset(host, 1, bytes);
    CHECK_OK(ame_gpu_malloc(bytes, &device));
    CHECK_OK(ame_gpu_malloc_host(bytes, &pinned));
    double in = copy_rate(device, pinned, bytes), out = copy_rate(pinned, device, bytes);
    double slow_in = copy_rate(device, host, bytes), slow_out = copy_rate(host, device, bytes);
    printf("copies of %zu bytes, GB/s: to the device %.1f (pinned) %.1f (not), from it %.1f (pinned) %.1f (not)\n",
           bytes, in, slow_in, out, slow_out);
    CHECK_OK(ame_gpu_free(device));
    CHECK_OK(ame_gpu_free_host(pinned));
    free(host);
}

static void kernels(void)
{
    ame_gpu_module *module = NULL;
    ame_gpu_kernel *busy = NULL;
    void *memory = NULL;
    unsigned long long turns = 1;
    double times[200];
    CHECK_OK(ame_gpu_module_load(smoke_image, smoke_image_size, &module));
    CHECK_OK(ame_gpu_kernel_get(module, "busy", &busy));
    CHECK_OK(ame_gpu_malloc(1024 * sizeof(double), &memory));
    void *arguments[] = {&memory, &turns};
    for (int i = 0; i < 200; i++) {
        double start = ame_wtime();
        CHECK_OK(ame_gpu_launch(busy, &(ame_gpu_grid){.blocks = {8}, .threads = {128}}, arguments, NULL));
        CHECK_OK(ame_gpu_synchronize(NULL));
        times[i] = ame_wtime() - start;
    }
    printf("a launch that is waited for: %.1f us\n", median(times, 200) * 1e6);
    CHECK_OK(ame_gpu_free(memory));
    CHECK_OK(ame_gpu_module_unload(&module));
}

int main(int argc, char **argv)
{
    size_t largest = argc > 1 ? strtoull(argv[1], NULL, 10) : 64 << 20;
    if (argc > 2) budget = strtod(argv[2], NULL);
    check_begin();
    CHECK_OK(ame_gpu_bind(AME_COMM_WORLD, 1, stdout));
    if (!ame_gpu_usable()) {
        CHECK_OK(ame_finalize());
        return CHECK_SKIP;
    }
    if (check_rank == 0) {
        copies(largest < 16 << 20 ? largest : 16 << 20);
        kernels();
        printf("%12s  %10s  %10s  %8s  %8s  %8s\n", "bytes", "host us", "device us", "host GB/s", "dev GB/s",
               "dev/host");
    }
    for (size_t bytes = 8; bytes <= largest && check_size == 2; bytes *= bytes < 1 << 20 ? 8 : 4) messages(bytes);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    int code = check_end();
    ame_gpu_close();
    return code;
}
