/* log.h - the log: lines scoped by module and level, off by default.
 *
 * AME_LOG is a list such as "warn,net:debug,engine:trace": a level for all modules, then levels for single ones.
 * AME_LOG_FILE names a file per process (%h host, %p pid, %r rank); without it lines go to standard error. debug is
 * about one line per object, trace one per message. Callable from any thread; a line is written with one write().
 */
#ifndef AME_BASE_LOG_H
#define AME_BASE_LOG_H

#include <stdbool.h>

enum ame__log_level { AME__LOG_NONE, AME__LOG_ERROR, AME__LOG_WARN, AME__LOG_INFO, AME__LOG_DEBUG, AME__LOG_TRACE };

/* The modules, which are the folders of runtime/ and the launcher. */
#define AME__LOG_MODULES(X) X(base) X(boot) X(net) X(engine) X(comm) X(coll) X(gpu) X(launcher)
enum ame__log_module {
#define AME__LOG_MODULE_ENUM(name) AME__LOG_##name,
    AME__LOG_MODULES(AME__LOG_MODULE_ENUM)
#undef AME__LOG_MODULE_ENUM
        AME__LOG_MODULE_COUNT
};

extern unsigned char ame__log_levels[AME__LOG_MODULE_COUNT];

/* Reads AME_LOG and AME_LOG_FILE. Called once, at the start of a process, before other threads exist. */
void ame__log_open(void);
void ame__log_close(void);
/* The rank printed in each line; -1 (not known yet) at first. */
void ame__log_set_rank(int rank);
int ame__log_rank(void);
void ame__log_write(enum ame__log_module module, enum ame__log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define ame__log(module, level, ...)                                                                                   \
    do {                                                                                                               \
        if (__builtin_expect(ame__log_levels[AME__LOG_##module] >= AME__LOG_##level, 0))                               \
            ame__log_write(AME__LOG_##module, AME__LOG_##level, __VA_ARGS__);                                          \
    } while (0)

#endif
