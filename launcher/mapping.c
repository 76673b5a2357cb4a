#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "bytes.h"
#include "options.h"

/* ame-map lies beside ameexec in a build, in libexec when installed. */
static int find_program(struct ame__mapping *mapping)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) return ame__fail_errno(errno, "the path of ameexec cannot be found");
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < 2; i++) {
        char *path = i ? ame__xprintf("%s/../libexec/ame/ame-map", self) : ame__xprintf("%s/ame-map", self);
        if (access(path, X_OK) == 0) {
            mapping->program = path;
            return AME_OK;
        }
        free(path);
    }
    return ame__fail(AME_E_CONFIG, "option --map: the program ame-map is neither in %s nor in ../libexec/ame beside it",
                     self);
}

static int open_input(const struct ame__mapping *mapping)
{
    if (!mapping->file) return AME_OK;
    int fd = open(mapping->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ame__fail_errno(errno, "option -a: '%s' cannot be opened", mapping->file);
    int code = dup2(fd, STDIN_FILENO) < 0 ? ame__fail_errno(errno, "option -a: '%s'", mapping->file) : AME_OK;
    close(fd);
    return code;
}

int ame__mapping_prepare(struct ame__options *options)
{
    struct ame__mapping *mapping = &options->mapping;
    if (!mapping->command) {
        if (!mapping->file && !mapping->joblog && !mapping->resume && !mapping->ordered && !mapping->tries)
            return AME_OK;
        return ame__fail(AME_E_CONFIG, "options -a, --joblog, --resume, --keep-order and --retries belong to --map");
    }
    if (options->app_count > 1 || options->apps[0].argc)
        return ame__fail(AME_E_CONFIG, "option --map: the whole command is one word, in quotes; '%s' is too much",
                         options->apps[0].argc ? options->apps[0].argv[0] : ":");
    if (mapping->resume && !mapping->joblog) return ame__fail(AME_E_CONFIG, "option --resume needs --joblog");
    int code = find_program(mapping);
    if (!code) code = open_input(mapping);
    if (code) return code;
    char **argv = ame__xrealloc(NULL, 10 * sizeof *argv);
    int argc = 0;
    argv[argc++] = mapping->program;
    if (mapping->ordered) argv[argc++] = (char *) (uintptr_t) "-k";
    if (mapping->resume) argv[argc++] = (char *) (uintptr_t) "-R";
    if (mapping->joblog) {
        argv[argc++] = (char *) (uintptr_t) "-l";
        argv[argc++] = mapping->joblog;
    }
    if (mapping->tries) {
        argv[argc++] = (char *) (uintptr_t) "-r";
        argv[argc++] = mapping->tries;
    }
    argv[argc++] = (char *) (uintptr_t) "--";
    argv[argc++] = mapping->command;
    mapping->argv = argv;
    options->apps[0].argv = argv;
    options->apps[0].argc = argc;
    return AME_OK;
}
