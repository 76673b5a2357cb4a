/* output.c - lines.
 *
 * Each rank has two streams, and each stream ends in a sink: standard output, standard error or a file, which several
 * streams may share. What arrives is cut into lines, and only whole lines go to the sink, so that lines of different
 * ranks never mix. The part behind the last newline is held back, but not longer than 100 ms, so that prompts and
 * progress bars appear. When lines are tagged and another rank writes while such a part stands there without its
 * newline, a newline is put in, and the rest of that line begins with the tag again; a tag is therefore never in the
 * middle of a line. '\r' that is not followed by
 * '\n' counts as the end of a line for tags. A line longer than 64 KiB is passed on in parts.
 *
 * A rank with a terminal, and a rank that is alone and without tags, is passed through as it comes. On a terminal, and
 * without tags, a line that is written anew again and again stays below what others write (bar.c).
 *
 * Back-pressure: the front gives the host daemons credit only while ame__output_queued() is small; see front.c.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "bar.h"
#include "bytes.h"
#include "sink.h"

#define HOLD_MS       100
#define LINE_MAX_HELD 65536
#define TAG_MAX       512

struct stream {
    struct ame__sink *sink; /* NULL: not shown */
    struct ame__bytes part; /* of a line, held back */
    struct ame__list held;
    int64_t held_since;
    int rank;
    char *tag;           /* once used, unless the time is part of it */
    bool pass, mid_line; /* mid_line: its tag stands already */
};

struct ame__output {
    uv_loop_t *loop;
    const struct ame__plan *plan;
    struct ame__output_events events;
    struct ame__sink out, err;
    struct ame__sink **files;
    size_t file_count;
    struct stream *streams; /* two for each rank */
    pid_t *pids;
    struct ame__list held;
    uv_timer_t timer;
    struct ame__bar bar;
    bool reported;
};

/* ---- names --------------------------------------------------------------------------------------- */

/* Replaces %r %h %p %t and %%; the result is cut at `size`. */
static size_t expand(const struct ame__output *output, const char *pattern, int rank, const char *time_format,
                     char *text, size_t size)
{
    size_t used = 0;
    *text = '\0';
    for (; *pattern && used + 1 < size; pattern++) {
        char piece[300] = {*pattern, '\0'};
        struct timespec now;
        struct tm parts;
        if (*pattern == '%' && pattern[1]) switch (*++pattern) {
            case 'r': snprintf(piece, sizeof piece, "%d", rank); break;
            case 'h': snprintf(piece, sizeof piece, "%s", ame__plan_host(output->plan, rank)); break;
            case 'p': snprintf(piece, sizeof piece, "%d", (int) output->pids[rank]); break;
            case 't': {
                clock_gettime(CLOCK_REALTIME, &now);
                localtime_r(&now.tv_sec, &parts);
                size_t length = strftime(piece, sizeof piece, time_format, &parts);
                if (!strchr(time_format, '-'))
                    snprintf(piece + length, 8, ".%03d", (int) (now.tv_nsec / 1000000 % 1000));
                break;
            }
            case '%': break;
            default: snprintf(piece, sizeof piece, "%%%c", *pattern);
            }
        int length = snprintf(text + used, size - used, "%s", piece);
        used += (size_t) length < size - used ? (size_t) length : size - used - 1;
    }
    return used;
}

/* ---- sinks --------------------------------------------------------------------------------------- */

static void on_sink_failure(struct ame__sink *sink, int error)
{
    struct ame__output *output = sink->owner;
    char text[4500];
    if (sink == &output->err || output->reported) return;
    output->reported = true;
    if (sink == &output->out && error == EPIPE) {
        output->events.on_reader_gone(output->events.owner);
        return;
    }
    if (sink->path)
        snprintf(text, sizeof text, "cannot write the output of rank %d to %s: %s", sink->rank, sink->path,
                 strerror(error));
    else
        snprintf(text, sizeof text, "cannot write to standard output: %s", strerror(error));
    output->events.on_failure(output->events.owner, text);
}

static void on_sink_progress(struct ame__sink *sink)
{
    struct ame__output *output = sink->owner;
    output->events.on_progress(output->events.owner);
}

static void adopt(struct ame__output *output, struct ame__sink *sink)
{
    sink->owner = output;
    sink->on_failure = on_sink_failure;
    sink->on_progress = on_sink_progress;
}

/* The sink for the file that `pattern` names for this rank; shared by all streams with the same name. */
static struct ame__sink *file_sink(struct ame__output *output, const char *pattern, int rank)
{
    char path[4096];
    expand(output, pattern, rank, "%Y-%m-%d-%H%M%S", path, sizeof path);
    for (size_t i = output->file_count; i-- > 0;)
        if (!strcmp(output->files[i]->path, path)) return output->files[i];
    struct ame__sink *sink = ame__xalloc(sizeof *sink);
    if (!ame__sink_open_file(sink, output->loop, path)) {
        ame__fail(AME_E_SYSTEM, "cannot open the output file '%s' of rank %d: %s", path, rank, strerror(errno));
        free(sink);
        return NULL;
    }
    adopt(output, sink);
    sink->rank = rank;
    output->files = ame__xrealloc(output->files, (output->file_count + 1) * sizeof(void *));
    output->files[output->file_count++] = sink;
    return sink;
}

static bool open_files(struct ame__output *output, int rank, bool with_pid)
{
    const struct ame__options *options = output->plan->options;
    const char *patterns[] = {options->out_pattern, options->err_pattern};
    for (int i = 0; i < 2; i++) {
        struct stream *stream = &output->streams[2 * rank + i];
        if (!patterns[i] || (strstr(patterns[i], "%p") != NULL) != with_pid) continue;
        stream->sink = file_sink(output, patterns[i], rank);
        stream->pass = false;
        if (!stream->sink) return false;
    }
    return true;
}

/* "0,4-7" */
static bool listed(const char *list, int rank)
{
    for (char *end; *list; list = *end ? end + 1 : end) {
        long first = strtol(list, &end, 10), last = first;
        if (*end == '-') last = strtol(end + 1, &end, 10);
        if (rank >= first && rank <= last) return true;
    }
    return false;
}

/* ---- lines --------------------------------------------------------------------------------------- */

/* Length of the first tagged line of `data` with its end, or 0. */
static size_t line_end(const char *data, size_t length)
{
    const char *newline = memchr(data, '\n', length);
    size_t limit = newline ? (size_t) (newline - data) : length;
    for (const char *at = data; (at = memchr(at, '\r', limit - (size_t) (at - data))); at++)
        if (at + 1 < data + length && at[1] != '\n') return (size_t) (at - data) + 1;
    return newline ? limit + 1 : 0;
}

/* Length of all complete lines of `data`. */
static size_t lines_end(const char *data, size_t length, bool tagged)
{
    for (size_t i = length; i-- > 0;)
        if (data[i] == '\n' || (tagged && data[i] == '\r' && i + 1 < length && data[i + 1] != '\n')) return i + 1;
    return 0;
}

static void put_tag(struct ame__output *output, struct stream *stream)
{
    const char *pattern = output->plan->options->tag;
    char tag[TAG_MAX];
    if (!stream->tag) {
        size_t size = expand(output, pattern, stream->rank, "%H:%M:%S", tag, sizeof tag);
        ame__sink_put(stream->sink, tag, size);
        if (!strstr(pattern, "%t")) stream->tag = ame__xstrdup(tag);
    } else {
        ame__sink_put(stream->sink, stream->tag, strlen(stream->tag));
    }
}

static void emit_tagged(struct ame__output *output, struct stream *stream, const char *data, size_t length)
{
    struct ame__sink *sink = stream->sink;
    while (length) {
        struct stream *other = sink->line;
        if (other && other != stream) {
            ame__sink_put(sink, "\n", 1);
            other->mid_line = false;
        }
        if (!stream->mid_line) {
            put_tag(output, stream);
        }
        size_t end = line_end(data, length);
        ame__sink_put(sink, data, end ? end : length);
        stream->mid_line = !end;
        sink->line = end ? NULL : stream;
        if (!end && data[length - 1] == '\r') stream->mid_line = false; /* the terminal overwrites the tag */
        data += end ? end : length;
        length -= end ? end : length;
    }
}

static void emit(struct ame__output *output, struct stream *stream, const char *data, size_t length)
{
    if (output->plan->options->tag && !stream->sink->path)
        emit_tagged(output, stream, data, length);
    else if (stream->sink->is_terminal)
        ame__bar_put(&output->bar, stream->sink, data, length);
    else
        ame__sink_put(stream->sink, data, length);
}

static void release(struct ame__output *output, struct stream *stream)
{
    ame__list_remove(&stream->held);
    emit(output, stream, ame__bytes_data(&stream->part), ame__bytes_length(&stream->part));
    ame__bytes_finish(&stream->part);
}

static void on_timer(uv_timer_t *timer)
{
    struct ame__output *output = timer->data;
    int64_t now = ame__now_ns();
    ame__list_for_each(node, &output->held)
    {
        struct stream *stream = ame__container_of(node, struct stream, held);
        int64_t left = HOLD_MS - (now - stream->held_since) / 1000000;
        if (left > 0) {
            uv_timer_start(timer, on_timer, (uint64_t) left, 0);
            break;
        }
        release(output, stream);
    }
    ame__output_flush(output);
}

static void hold(struct ame__output *output, struct stream *stream)
{
    stream->held_since = ame__now_ns();
    ame__list_append(&output->held, &stream->held);
    if (!uv_is_active((uv_handle_t *) &output->timer)) uv_timer_start(&output->timer, on_timer, HOLD_MS, 0);
}

void ame__output_feed(struct ame__output *output, int rank, unsigned number, const char *data, size_t length)
{
    struct stream *stream = &output->streams[2 * rank + (number == 2)];
    if (!stream->sink) return;
    if (stream->pass) {
        emit(output, stream, data, length);
        return;
    }
    bool tagged = output->plan->options->tag && !stream->sink->path;
    if (ame__bytes_length(&stream->part)) { /* a '\r' at its end was waiting to be followed */
        ame__bytes_append(&stream->part, data, length);
        size_t end = lines_end(ame__bytes_data(&stream->part), ame__bytes_length(&stream->part), tagged);
        emit(output, stream, ame__bytes_data(&stream->part), end);
        ame__bytes_consume(&stream->part, end);
        if (end) ame__list_remove(&stream->held);
    } else {
        size_t end = lines_end(data, length, tagged);
        emit(output, stream, data, end);
        ame__bytes_append(&stream->part, data + end, length - end);
    }
    if (ame__bytes_length(&stream->part) > LINE_MAX_HELD)
        release(output, stream);
    else if (ame__bytes_length(&stream->part) && ame__list_empty(&stream->held))
        hold(output, stream);
}

void ame__output_end_lines(struct ame__output *output)
{
    ame__list_for_each(node, &output->held) release(output, ame__container_of(node, struct stream, held));
    if (output->out.line) ame__sink_put(&output->out, "\n", 1);
    if (output->err.line) ame__sink_put(&output->err, "\n", 1);
    output->out.line = output->err.line = NULL;
    ame__output_flush(output);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static void init_streams(struct ame__output *output)
{
    const struct ame__plan *plan = output->plan;
    bool alone = (plan->size == 1 || plan->options->raw) && !plan->options->tag;
    for (int rank = 0; rank < plan->size; rank++)
        for (int i = 0; i < 2; i++) {
            struct stream *stream = &output->streams[2 * rank + i];
            bool shown = !plan->options->only || listed(plan->options->only, rank);
            stream->rank = rank;
            stream->sink = !shown ? NULL : i ? &output->err : &output->out;
            stream->pass = alone || plan->ranks[rank].pty;
            ame__list_init(&stream->held);
        }
}

struct ame__output *ame__output_create(uv_loop_t *loop, const struct ame__plan *plan,
                                       const struct ame__output_events *events)
{
    struct ame__output *output = ame__xalloc(sizeof *output);
    output->loop = loop;
    output->plan = plan;
    output->events = *events;
    output->pids = ame__xalloc((size_t) plan->size * sizeof *output->pids);
    output->streams = ame__xalloc(2 * (size_t) plan->size * sizeof *output->streams);
    ame__list_init(&output->held);
    ame__sink_open_fd(&output->out, loop, STDOUT_FILENO);
    ame__sink_open_fd(&output->err, loop, STDERR_FILENO);
    adopt(output, &output->out);
    adopt(output, &output->err);
    uv_timer_init(loop, &output->timer);
    output->timer.data = output;
    init_streams(output);
    return output;
}

bool ame__output_open_files(struct ame__output *output)
{
    for (int rank = 0; rank < output->plan->size; rank++)
        if (!open_files(output, rank, false)) return false;
    return true;
}

void ame__output_started(struct ame__output *output, int rank, pid_t pid)
{
    output->pids[rank] = pid;
    if (open_files(output, rank, true) || output->reported) return;
    output->reported = true;
    output->events.on_failure(output->events.owner, ame__error_text());
}

size_t ame__output_queued(const struct ame__output *output)
{
    size_t bytes = ame__bytes_length(&output->out.queue) + ame__bytes_length(&output->err.queue);
    for (size_t i = 0; i < output->file_count; i++) bytes += ame__bytes_length(&output->files[i]->queue);
    return bytes;
}

void ame__output_flush(struct ame__output *output)
{
    ame__sink_flush(&output->out);
    ame__sink_flush(&output->err);
    for (size_t i = 0; i < output->file_count; i++) ame__sink_flush(output->files[i]);
}

void ame__output_discard(struct ame__output *output)
{
    ame__sink_discard(&output->out);
    ame__sink_discard(&output->err);
    for (size_t i = 0; i < output->file_count; i++) ame__sink_discard(output->files[i]);
}

bool ame__output_mid_line(const struct ame__output *output)
{
    return output->err.last != '\n';
}

void ame__output_close(struct ame__output *output)
{
    for (size_t i = 0; i < output->file_count; i++) ame__sink_close(output->files[i]);
    ame__sink_close(&output->out);
    ame__sink_close(&output->err);
    uv_close((uv_handle_t *) &output->timer, NULL);
}

void ame__output_free(struct ame__output *output)
{
    for (int i = 0; i < 2 * output->plan->size; i++) {
        ame__bytes_finish(&output->streams[i].part);
        free(output->streams[i].tag);
    }
    for (size_t i = 0; i < output->file_count; i++) free(output->files[i]);
    free(output->files);
    ame__bar_finish(&output->bar);
    free(output->streams);
    free(output->pids);
    free(output);
}
