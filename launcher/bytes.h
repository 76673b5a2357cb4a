/* bytes.h - a growable byte queue with a hard maximum, and allocation that cannot fail.
 *
 * Bytes are appended at the end and consumed from the start. The launcher has nothing sensible to do without memory, so
 * its allocations end the process with a message; the other half of the launcher then sees a broken control channel and
 * ends the job in an orderly way.
 */
#ifndef AME_LAUNCHER_BYTES_H
#define AME_LAUNCHER_BYTES_H

#include <stdbool.h>
#include <stddef.h>

struct ame__bytes {
    char *data;
    size_t start, end, capacity;
};

void *ame__xalloc(size_t size); /* zeroed */
/* The end of this process for want of memory, for what allocates by itself. */
void ame__no_memory(void) __attribute__((noreturn));
void *ame__xrealloc(void *old, size_t size);
char *ame__xstrdup(const char *text);
char *ame__xprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline size_t ame__bytes_length(const struct ame__bytes *bytes)
{
    return bytes->end - bytes->start;
}
static inline const char *ame__bytes_data(const struct ame__bytes *bytes)
{
    return bytes->data ? bytes->data + bytes->start : bytes->data;
}
/* Makes room for `size` more bytes behind the end and returns the place; the caller then raises `end`. */
char *ame__bytes_reserve(struct ame__bytes *bytes, size_t size);
void ame__bytes_append(struct ame__bytes *bytes, const void *data, size_t size);
void ame__bytes_consume(struct ame__bytes *bytes, size_t size);
void ame__bytes_finish(struct ame__bytes *bytes);

#endif
