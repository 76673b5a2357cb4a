/* device.c - the public interface of ame_gpu.h in one process: memory, copies, kernels, streams, events, errors.
 *
 *     gpu_device IMAGE-LESS [WORD]    WORD: what is expected to happen; see main
 *
 * Runs on the mock driver and, without a word, on a real device too.
 */
#include <ame_gpu.h>

#include "../job/check.h"

extern const unsigned char smoke_image[];
extern const size_t smoke_image_size;

enum { COUNT = 10000 };

static ame_gpu_kernel *kernel(const char *name)
{
    ame_gpu_module *module = NULL;
    ame_gpu_kernel *found = NULL;
    CHECK_OK(ame_gpu_module_load(smoke_image, smoke_image_size, &module));
    CHECK_OK(ame_gpu_kernel_get(module, name, &found));
    return found;
}

static void copies(void)
{
    unsigned char *host = check_alloc(COUNT), *back = check_alloc(COUNT);
    void *one = NULL, *two = NULL, *pinned = NULL;
    check_fill(host, COUNT, 1);
    CHECK_OK(ame_gpu_malloc(COUNT, &one));
    CHECK_OK(ame_gpu_malloc(COUNT, &two));
    CHECK_OK(ame_gpu_malloc_host(COUNT, &pinned));
    CHECK(ame_gpu_is_device(one) && ame_gpu_is_device((char *) one + COUNT - 1));
    CHECK(!ame_gpu_is_device(pinned) && !ame_gpu_is_device(host) && !ame_gpu_is_device(NULL));
    CHECK_OK(ame_gpu_copy(one, host, COUNT, NULL));
    CHECK_OK(ame_gpu_copy(two, one, COUNT, NULL));
    CHECK_OK(ame_gpu_copy(back, two, COUNT, NULL));
    CHECK_FILLED(back, COUNT, 1);
    CHECK_OK(ame_gpu_fill((char *) two + 1, 7, COUNT - 1, NULL));
    CHECK_OK(ame_gpu_copy(pinned, two, COUNT, NULL));
    CHECK(*(unsigned char *) pinned == host[0]);
    CHECK_ALL((unsigned char *) pinned + 1, COUNT - 1, 7);
    CHECK_OK(ame_gpu_free(one));
    CHECK_OK(ame_gpu_free(two));
    CHECK_OK(ame_gpu_free_host(pinned));
    CHECK_OK(ame_gpu_free(NULL));
    free(host);
    free(back);
}

static void kernels(void)
{
    double *values = check_alloc(COUNT * sizeof *values), factor = 2.5;
    unsigned long long count = COUNT;
    void *from = NULL, *to = NULL;
    int threads = 0, blocks = 0, done = 0;
    ame_gpu_stream *stream = NULL;
    ame_gpu_event *begin = NULL, *end = NULL;
    ame_gpu_kernel *scale = kernel("scale");
    for (int i = 0; i < COUNT; i++) values[i] = i;
    CHECK_OK(ame_gpu_malloc(COUNT * sizeof *values, &from));
    CHECK_OK(ame_gpu_malloc(COUNT * sizeof *values, &to));
    CHECK_OK(ame_gpu_stream_create(&stream));
    CHECK_OK(ame_gpu_event_create(&begin));
    CHECK_OK(ame_gpu_event_create(&end));
    CHECK_OK(ame_gpu_occupancy(scale, 0, &threads, &blocks));
    CHECK(threads > 0 && blocks > 0);
    CHECK_OK(ame_gpu_event_record(begin, stream));
    CHECK_OK(ame_gpu_copy(from, values, COUNT * sizeof *values, stream));
    void *arguments[] = {&to, &from, &factor, &count};
    ame_gpu_grid grid = {.blocks = {20}, .threads = {(unsigned) threads}};
    CHECK_OK(ame_gpu_launch(scale, &grid, arguments, stream));
    CHECK_OK(ame_gpu_event_record(end, stream));
    CHECK_OK(ame_gpu_synchronize(stream));
    CHECK_OK(ame_gpu_query(stream, &done));
    CHECK(done);
    CHECK_OK(ame_gpu_copy(values, to, COUNT * sizeof *values, NULL));
    for (int i = 0; i < COUNT; i++) CHECK(values[i] == 3.5 * i);
    double seconds = -1;
    CHECK_OK(ame_gpu_event_elapsed(begin, end, &seconds));
    CHECK(seconds >= 0 && seconds < 10);
    CHECK_OK(ame_gpu_event_destroy(&begin));
    CHECK_OK(ame_gpu_event_destroy(&end));
    CHECK_OK(ame_gpu_stream_destroy(&stream));
    CHECK_OK(ame_gpu_free(from));
    CHECK_OK(ame_gpu_free(to));
    free(values);
}

static void mistakes(void)
{
    ame_gpu_kernel *found = NULL;
    ame_gpu_module *module = NULL;
    unsigned long long unused = 0, total = 0;
    void *memory = NULL;
    CHECK_OK(ame_gpu_memory(&unused, &total));
    CHECK(unused > 0 && unused <= total);
    CHECK_CODE(ame_gpu_malloc((size_t) total + (1 << 20), &memory), AME_E_NOMEM, "MiB");
    CHECK(!memory);
    CHECK_CODE(ame_gpu_malloc(1, NULL), AME_E_ARG, "memory");
    CHECK_OK(ame_gpu_module_load(smoke_image, smoke_image_size, &module));
    CHECK_CODE(ame_gpu_kernel_get(module, "nothing_of_this_name", &found), AME_E_GPU, "nothing_of_this_name");
    CHECK_OK(ame_gpu_module_unload(&module));
    CHECK(!module);
    CHECK_CODE(ame_gpu_copy(NULL, &found, 1, NULL), AME_E_ARG, "to");
}

/* An error after which the driver serves this process no more. */
static void lost(const char *number)
{
    unsigned long long address = 64;
    void *memory = NULL, *arguments[] = {&address};
    ame_gpu_device device;
    ame_gpu_kernel *stray = kernel("stray");
    CHECK_OK(ame_gpu_get(&device));
    CHECK(!ame_gpu_lost());
    int code = ame_gpu_launch(stray, &(ame_gpu_grid){.threads = {1}}, arguments, NULL);
    if (!code) code = ame_gpu_synchronize(NULL);
    CHECK_EQUAL(code, AME_E_GPU_LOST);
    CHECK(strstr(ame_last_error(), number) && strstr(ame_last_error(), device.uuid) &&
          strstr(ame_last_error(), "host"));
    CHECK(ame_gpu_lost() && !ame_gpu_usable() && strstr(ame_gpu_why(), number));
    CHECK_CODE(ame_gpu_malloc(8, &memory), AME_E_GPU_LOST, number);
    CHECK_CODE(ame_gpu_synchronize(NULL), AME_E_GPU_LOST, number);
}

static void unusable(const char *why)
{
    void *memory = NULL;
    ame_gpu_device device;
    CHECK(!ame_gpu_usable());
    CHECK_SAY(strstr(ame_gpu_why(), why), "'%s' does not say '%s'", ame_gpu_why(), why);
    CHECK_CODE(ame_gpu_malloc(8, &memory), AME_E_GPU, why);
    CHECK_CODE(ame_gpu_get(&device), AME_E_GPU, "rank 0");
    CHECK(!ame_gpu_is_device(&device) && !ame_gpu_lost());
}

int main(int argc, char **argv)
{
    ame_gpu_device device;
    ame_gpu_module *module = NULL;
    const char *word = argc > 1 ? argv[1] : "", *text = argc > 2 ? argv[2] : "";
    check_rank = 0;
    if (!strcmp(word, "unusable")) {
        unusable(text);
    } else if (!strcmp(word, "lost")) {
        lost(text);
    } else if (!strcmp(word, "image")) {
        CHECK_CODE(ame_gpu_module_load(smoke_image, smoke_image_size, &module), AME_E_GPU, text);
    } else if (!strcmp(word, "is")) {
        CHECK_OK(ame_gpu_get(&device));
        CHECK_SAY(strstr(device.uuid, text) || atoi(text) == device.ordinal, "it is %d, %s", device.ordinal,
                  device.uuid);
    } else {
        if (!ame_gpu_usable()) {
            printf("no GPU: %s\n", ame_gpu_why());
            return CHECK_SKIP;
        }
        CHECK_OK(ame_gpu_get(&device));
        printf("%s, %s, %s, NUMA node %d, %d multiprocessors, sm_%d, device %d of %d\n", device.name, device.uuid,
               device.pci, device.numa, device.multiprocessors, device.architecture, device.ordinal, device.visible);
        copies();
        kernels();
        mistakes();
    }
    ame_gpu_close();
    if (!strcmp(word, "")) unusable("ame_gpu_close");
    return 0;
}
