#include "bar.h"

#include <string.h>

static const char erase[] = "\033[K";
enum { ERASE = sizeof erase - 1, BAR_MAX = 1024 };

/* The length of the line that is written anew at the beginning of `data`; 0: there is none. */
static size_t bar_length(const char *data, size_t length)
{
    if (*data != '\r') return 0;
    if (length > BAR_MAX) length = BAR_MAX;
    const char *newline = memchr(data, '\n', length);
    const char *end = memmem(data, newline ? (size_t) (newline - data) : length, erase, ERASE);
    return end ? (size_t) (end - data) + ERASE : 0;
}

/* How much of `data` comes before such a line. */
static size_t text_length(const char *data, size_t length)
{
    for (const char *at = data; (at = memchr(at, '\r', length - (size_t) (at - data))); at++)
        if (bar_length(at, length - (size_t) (at - data))) return (size_t) (at - data);
    return length;
}

static void clear(struct ame__bar *bar)
{
    ame__bytes_consume(&bar->text, ame__bytes_length(&bar->text));
}

void ame__bar_put(struct ame__bar *bar, struct ame__sink *sink, const char *data, size_t length)
{
    while (length) {
        bool stands = ame__bytes_length(&bar->text) > 0;
        size_t part = bar_length(data, length);
        if (part) {
            clear(bar);
            ame__bytes_append(&bar->text, data, part);
            ame__sink_put(sink, data, part);
        } else if (stands && *data == '\n') {
            part = 1;
            clear(bar);
            ame__sink_put(sink, data, part);
        } else {
            part = text_length(data, length);
            if (stands) {
                ame__sink_put(sink, "\r", 1);
                ame__sink_put(sink, erase, ERASE);
            }
            ame__sink_put(sink, data, part);
            if (data[part - 1] != '\n')
                clear(bar);
            else if (stands)
                ame__sink_put(sink, ame__bytes_data(&bar->text), ame__bytes_length(&bar->text));
        }
        data += part;
        length -= part;
    }
}

void ame__bar_finish(struct ame__bar *bar)
{
    ame__bytes_finish(&bar->text);
}
