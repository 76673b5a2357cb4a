/* bar.h - a line on the terminal that its writer writes anew now and then, while others write lines there as well.
 *
 * Such a line is what begins with '\r' and ends with "\033[K", which erases the rest of the line, as pools write it
 * (AME_PROGRESS). It stays the lowest one: what others write comes above it. A newline from its writer ends it. Everything
 * else passes unchanged. Used by output.c only, for sinks that are the terminal.
 */
#ifndef AME_LAUNCHER_BAR_H
#define AME_LAUNCHER_BAR_H

#include "bytes.h"
#include "sink.h"

/* Zeroed: no such line stands on the terminal. */
struct ame__bar {
    struct ame__bytes text; /* from '\r' to "\033[K" */
};

void ame__bar_put(struct ame__bar *bar, struct ame__sink *sink, const char *data, size_t length);
void ame__bar_finish(struct ame__bar *bar);

#endif
