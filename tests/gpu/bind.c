/* bind.c - ame_gpu_bind: which rank gets which device, what the table says, that no context is made elsewhere.
 *
 *     gpu_bind WORKERS [WORD]...     WORKERS: all, or others (than rank 0)
 *
 * Words, checked by each rank: ORDINALS such as "0,1,0" (per rank, - for the CPU), share=N (largest number), refuse=TEXT
 * (the call fails on all ranks with it).
 */
#include <ame_gpu.h>

#include <unistd.h>

#include "../job/check.h"

static void check_ordinal(const char *list, const ame_gpu_device *device, int usable)
{
    char mine[16];
    for (int rank = 0; rank < check_rank; rank++) {
        list += strcspn(list, ",");
        list += *list == ',';
    }
    snprintf(mine, sizeof mine, "%d", device->ordinal);
    if (!usable) strcpy(mine, "-");
    CHECK_SAY(strcspn(list, ",") == strlen(mine) && !strncmp(list, mine, strlen(mine)), "it has %s", mine);
}

/* The mock driver has written down on which devices this process has made contexts. */
static void check_contexts(const char *path, const ame_gpu_device *device, int usable)
{
    char line[100] = "", expected[100];
    int lines = 0;
    FILE *file = fopen(path, "r");
    CHECK(file);
    snprintf(expected, sizeof expected, "context %d %s\n", device->ordinal, device->uuid);
    for (char next[100]; fgets(next, sizeof next, file); lines++) strcpy(line, next);
    fclose(file);
    unlink(path);
    CHECK_EQUAL(lines, usable);
    if (usable) CHECK_SAY(!strcmp(line, expected), "%s", line);
}

int main(int argc, char **argv)
{
    char trace[] = "/tmp/ame-bind-XXXXXX";
    ame_gpu_device device = {.ordinal = -1};
    int expected = AME_OK, most = 0;
    check_begin();
    close(mkstemp(trace));
    setenv("MOCKCUDA_TRACE", trace, 1);
    int works = argc > 1 && (!strcmp(argv[1], "all") || check_rank > 0);
    for (int i = 2; i < argc; i++)
        if (!strncmp(argv[i], "refuse=", 7)) expected = AME_E_GPU;
    int code = ame_gpu_bind(AME_COMM_WORLD, works, stdout);
    CHECK_SAY(code == expected, "%s", ame_last_error());
    for (int i = 2; i < argc; i++)
        if (!strncmp(argv[i], "refuse=", 7))
            CHECK_SAY(strstr(ame_last_error(), argv[i] + 7), "'%s' is not in '%s'", argv[i] + 7, ame_last_error());
    int usable = ame_gpu_usable();
    if (usable) CHECK_OK(ame_gpu_get(&device));
    if (usable) CHECK(device.sharing >= 1);
    int sharing = usable ? device.sharing : 0;
    CHECK_OK(ame_allreduce(&sharing, &most, 1, AME_INT32, AME_MAX, AME_COMM_WORLD));
    for (int i = 2; i < argc; i++) {
        if (!strncmp(argv[i], "share=", 6))
            CHECK_EQUAL(most, atoi(argv[i] + 6));
        else if (strncmp(argv[i], "refuse=", 7))
            check_ordinal(argv[i], &device, usable);
    }
    if (!usable) CHECK(*ame_gpu_why());
    CHECK_EQUAL(ame_gpu_bind(AME_COMM_WORLD, works, NULL), expected); /* again: everybody keeps what it has */
    if (usable) {
        ame_gpu_device again;
        CHECK_OK(ame_gpu_get(&again));
        CHECK(again.ordinal == device.ordinal && again.sharing == device.sharing);
    }
    check_contexts(trace, &device, usable);
    ame_gpu_close();
    return check_end();
}
