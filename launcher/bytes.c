#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ame__no_memory(void)
{
    static const char text[] = "ameexec: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nowhere left to complain */
    }
    _exit(1);
}

static void *check(void *memory)
{
    if (!memory) ame__no_memory();
    return memory;
}

void *ame__xalloc(size_t size)
{
    return check(calloc(1, size ? size : 1));
}

void *ame__xrealloc(void *old, size_t size)
{
    return check(realloc(old, size ? size : 1));
}

char *ame__xstrdup(const char *text)
{
    return check(strdup(text));
}

char *ame__xprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) text = NULL;
    va_end(args);
    return check(text);
}

char *ame__bytes_reserve(struct ame__bytes *bytes, size_t size)
{
    if (bytes->capacity - bytes->end >= size) return bytes->data + bytes->end;
    size_t used = ame__bytes_length(bytes);
    if (bytes->start && bytes->capacity - used >= size && bytes->start >= used) {
        memcpy(bytes->data, bytes->data + bytes->start, used);
    } else {
        size_t capacity = bytes->capacity ? bytes->capacity : 256;
        while (capacity - used < size) capacity *= 2;
        char *data = check(malloc(capacity));
        if (used) memcpy(data, bytes->data + bytes->start, used);
        free(bytes->data);
        bytes->data = data;
        bytes->capacity = capacity;
    }
    bytes->start = 0;
    bytes->end = used;
    return bytes->data + bytes->end;
}

void ame__bytes_append(struct ame__bytes *bytes, const void *data, size_t size)
{
    if (!size) return;
    memcpy(ame__bytes_reserve(bytes, size), data, size);
    bytes->end += size;
}

void ame__bytes_consume(struct ame__bytes *bytes, size_t size)
{
    bytes->start += size;
    if (bytes->start != bytes->end) return;
    bytes->start = bytes->end = 0;
    if (bytes->capacity > (size_t) 256 * 1024) ame__bytes_finish(bytes);
}

void ame__bytes_finish(struct ame__bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}
