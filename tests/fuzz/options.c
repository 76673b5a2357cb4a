/* Fuzzing launcher/options.c: a command line, its words separated by newlines. Options that read a file get the rest of the
 * input (behind the first byte 0) as its content, under the name FILE.
 */
#include "options.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

enum { WORDS_MAX = 64 };

/* Where `word` stands for a file: that of the content; other names with a '/' are made harmless. */
static char *file_name(char *word, char *name)
{
    if (!strcmp(word, "FILE")) return name;
    for (char *at = word; *at; at++)
        if (*at == '/') *at = '_';
    return word;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    struct ame__options options;
    char program[] = "ameexec";
    char *text = fuzz_text(&input), *rest = text, *words[WORDS_MAX + 1] = {program}, name[40];
    size_t before = strlen(text);
    int count = 1, file = memfd_create("hosts", MFD_CLOEXEC);
    FUZZ_CHECK(file >= 0);
    if (before < size) FUZZ_CHECK(write(file, text + before + 1, size - before - 1) >= 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    for (char *word; count < WORDS_MAX && (word = strsep(&rest, "\n"));) words[count++] = file_name(word, name);
    enum ame__parse_result result = ame__options_parse(count, words, &options);
    if (result == AME__PARSE_RUN) {
        FUZZ_CHECK(options.app_count > 0);
        for (size_t i = 0; i < options.app_count; i++)
            FUZZ_CHECK(options.apps[i].argc > 0 && options.apps[i].ranks >= 0 &&
                       options.apps[i].ranks <= AME__RANKS_MAX);
    }
    ame__options_finish(&options);
    close(file);
    free(text);
    return 0;
}
