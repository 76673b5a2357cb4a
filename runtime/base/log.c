#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vars.h"

/* File scope because the log is one per process, like standard error, and must work before and after everything else.
 */
unsigned char ame__log_levels[AME__LOG_MODULE_COUNT];
static atomic_int log_rank = -1;
static int log_fd = STDERR_FILENO;

static const char *const module_names[] = {
#define NAME(name) #name,
    AME__LOG_MODULES(NAME)
#undef NAME
};
static const char *const level_names[] = {"none", "error", "warn", "info", "debug", "trace"};

static int level_of(const char *text, size_t length)
{
    for (int level = AME__LOG_NONE; level <= AME__LOG_TRACE; level++)
        if (strlen(level_names[level]) == length && !strncmp(level_names[level], text, length)) return level;
    return -1;
}

static bool set_levels(const char *item, size_t length)
{
    const char *colon = memchr(item, ':', length);
    if (!colon) {
        int level = level_of(item, length);
        if (level < 0) return false;
        memset(ame__log_levels, level, sizeof ame__log_levels);
        return true;
    }
    int level = level_of(colon + 1, length - (size_t) (colon + 1 - item));
    for (int module = 0; module < AME__LOG_MODULE_COUNT; module++)
        if (strlen(module_names[module]) == (size_t) (colon - item) &&
            !strncmp(module_names[module], item, (size_t) (colon - item)) && level >= 0) {
            ame__log_levels[module] = (unsigned char) level;
            return true;
        }
    return false;
}

static int open_file(const char *pattern)
{
    char path[4096], host[256] = "";
    size_t used = 0;
    gethostname(host, sizeof host - 1);
    for (const char *p = pattern; *p && used < sizeof path - 300; p++) {
        if (p[0] == '%' && p[1] == 'h')
            used += (size_t) snprintf(path + used, sizeof path - used, "%s", host), p++;
        else if (p[0] == '%' && p[1] == 'p')
            used += (size_t) snprintf(path + used, sizeof path - used, "%d", (int) getpid()), p++;
        else if (p[0] == '%' && p[1] == 'r')
            used += (size_t) snprintf(path + used, sizeof path - used, "%s",
                                      ame__var_text(AME__VAR_RANK) ? ame__var_text(AME__VAR_RANK) : "x"),
                p++;
        else
            path[used++] = *p;
    }
    path[used] = '\0';
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void ame__log_open(void)
{
    const char *text = ame__var_text(AME__VAR_LOG);
    const char *file = ame__var_text(AME__VAR_LOG_FILE);
    memset(ame__log_levels, AME__LOG_ERROR, sizeof ame__log_levels);
    if (file && *file) {
        int fd = open_file(file);
        if (fd >= 0)
            log_fd = fd;
        else
            ame__log(base, ERROR, "AME_LOG_FILE: cannot open '%s': %s; logging to standard error", file,
                     strerror(errno));
    }
    while (text && *text) {
        size_t length = strcspn(text, ",");
        if (length && !set_levels(text, length))
            ame__log(base, ERROR,
                     "AME_LOG: '%.*s' is not understood; use a level (none error warn info debug trace) or "
                     "module:level",
                     (int) length, text);
        text += length;
        if (*text == ',') text++;
    }
}

void ame__log_close(void)
{
    if (log_fd != STDERR_FILENO) close(log_fd);
    log_fd = STDERR_FILENO;
}

void ame__log_set_rank(int rank)
{
    atomic_store_explicit(&log_rank, rank, memory_order_relaxed);
}

int ame__log_rank(void)
{
    return atomic_load_explicit(&log_rank, memory_order_relaxed);
}

void ame__log_write(enum ame__log_module module, enum ame__log_level level, const char *format, ...)
{
    char line[1400];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rank = atomic_load_explicit(&log_rank, memory_order_relaxed);
    int used = snprintf(line, sizeof line, "[ame %lld.%06ld rank %d %s %s] ", (long long) now.tv_sec % 100000,
                        now.tv_nsec / 1000, rank, module_names[module], level_names[level]);
    va_list args;
    va_start(args, format);
    int added = vsnprintf(line + used, sizeof line - 1 - (size_t) used, format, args);
    va_end(args);
    if (added > 0) used += added;
    if (used > (int) sizeof line - 2) used = (int) sizeof line - 2;
    line[used++] = '\n';
    int saved = errno;
    if (write(log_fd, line, (size_t) used) < 0) { /* nowhere left to complain */
    }
    errno = saved;
}
