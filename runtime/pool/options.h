/* options.h - the one table of the options of a pool: name, kind, default, limits, help. */
#ifndef AME_POOL_OPTIONS_H
#define AME_POOL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum ame__option_kind { AME__OPTION_FLAG, AME__OPTION_NUMBER, AME__OPTION_SECONDS, AME__OPTION_BYTES };

/* X(name, kind, default, minimum, maximum, help); a size accepts the endings k, M and G (powers of 1024). */
#define AME__POOL_OPTIONS(X)                                                                                           \
    X(root_works, FLAG, 1, 0, 1, "rank 0 executes tasks too")                                                          \
    X(ordered, FLAG, 0, 0, 1, "results come in the order of the tasks")                                                \
    X(batch, NUMBER, 0, 0, 1 << 20, "tasks in one message; 0: as many as take about 1 ms")                             \
    X(prefetch, NUMBER, -1, -1, 16, "batches a worker has waiting; -1: one, if tasks are short")                       \
    X(window, NUMBER, 65536, 1, 1 << 30, "tasks of a map listed, or executed, and not yet taken as results")           \
    X(window_bytes, BYTES, 64 << 20, 1, 1e18, "bytes of results waiting, above which no more tasks are handed out")    \
    X(retries, NUMBER, 1, 0, 1000, "how often a task whose worker died is given to another one")                       \
    X(retry_errors, NUMBER, 0, 0, 1000, "how often a task whose function failed is tried again")                       \
    X(limit, SECONDS, 0, 0, 1e9, "time for one task; 0: any")                                                          \
    X(result_max, BYTES, 9.2e18, 0, 9.2e18, "bytes of one result; a longer one is a failure of its task")              \
    X(resume, FLAG, 0, 0, 1, "go on from the journal if it exists")                                                    \
    X(journal_sync, SECONDS, 1, 0.01, 1e6, "how often the journal is synced to the disk")                              \
    X(signals, FLAG, 1, 0, 1, "SIGINT and SIGTERM end the run in order: nothing more is handed out")

struct ame__pool_options {
#define AME__OPTION_FIELD(name, kind, def, min, max, help) double name;
    AME__POOL_OPTIONS(AME__OPTION_FIELD)
#undef AME__OPTION_FIELD
    char *journal, *job; /* malloc'ed or NULL */
};

void ame__options_init(struct ame__pool_options *options);
void ame__options_free(struct ame__pool_options *options);
/* AME_E_CONFIG, with text, when there is no such option or the value cannot be used; nothing has changed then. */
int ame__option_set(struct ame__pool_options *options, const char *name, const char *value, const char *function);
/* "name=value" pairs separated by commas or spaces; NULL: none. */
int ame__options_parse(struct ame__pool_options *options, const char *text, const char *function);

#endif
