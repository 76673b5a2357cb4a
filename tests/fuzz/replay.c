/* replay.c - the main program of a fuzz target where there is no libFuzzer: runs it once with each file, and each file in
 * each folder, that is named on the command line. Prints how many there were.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static uint8_t *read_file(const char *path, size_t *length)
{
    uint8_t *data = malloc(INPUT_MAX);
    FILE *file = fopen(path, "re");
    *length = data && file ? fread(data, 1, INPUT_MAX, file) : 0;
    if (!data || !file || ferror(file)) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    fclose(file);
    return data;
}

static int replay(const char *path)
{
    char inside[4096];
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder) {
        size_t length;
        uint8_t *data = read_file(path, &length),
                *exact = malloc(length ? length : 1); /* so that one byte more is noticed */
        FUZZ_CHECK(exact);
        memcpy(exact, data, length);
        free(data);
        printf("%s\n", path);
        fflush(stdout);
        LLVMFuzzerTestOneInput(exact, length);
        free(exact);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        count += replay(inside);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) count += replay(argv[i]);
    fprintf(stderr, "%d inputs\n", count);
    return count ? 0 : 1;
}
