/* huge.c - one message of 5 GiB (or as many MiB as the argument says) from rank 0 to the last. */
#include "check.h"

static size_t memory_free(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    size_t kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %zu kB", &kilobytes) == 1) break;
    if (file) fclose(file);
    return kilobytes << 10;
}

int main(int argc, char **argv)
{
    size_t length = (argc > 1 ? strtoull(argv[1], NULL, 10) : 5 << 10) << 20;
    length += 3;
    check_begin();
    int last = check_size - 1, fits = memory_free() > 2 * length + ((size_t) 1 << 30);
    CHECK_OK(ame_bcast(&fits, sizeof fits, 0, AME_COMM_WORLD));
    if (fits && check_size > 1 && check_rank == 0) {
        unsigned char *buf = check_alloc(length);
        check_fill(buf, length, 17);
        CHECK_OK(ame_send(buf, length, last, 1, AME_COMM_WORLD));
        free(buf);
    } else if (fits && check_size > 1 && check_rank == last) {
        unsigned char *buf = check_alloc(length);
        ame_status status;
        CHECK_OK(ame_recv(buf, length, 0, 1, AME_COMM_WORLD, &status));
        CHECK_EQUAL(status.length, length);
        CHECK_FILLED(buf, length, 17);
        free(buf);
    }
    check_end();
    return fits ? 0 : CHECK_SKIP;
}
