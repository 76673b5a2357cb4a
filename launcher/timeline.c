#include "timeline.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One lane per rank, from the top, and a legend below; what is white is nothing of these. Reads what libame writes: one event
 * per line. */

enum { WIDTH = 1000, LEFT = 70, LANE = 22, GAP = 6, RANKS_MAX = 4096, TOP_MARGIN = 26, LEGEND = 26, MARK = 12 };

enum kind { TASK, FAILED, WAIT, TRANSFER, LOST, KINDS };

static const struct {
    const char *category, *fill, *meaning;
} kinds[KINDS] = {
    [TASK] = {"task", "#c9691e", "task"},
    [FAILED] = {"failed", "#c22", "task that failed"},
    [WAIT] = {"wait", "#ddd", "waits"},
    [TRANSFER] = {"transfer", "#36a", "sends or receives"},
    [LOST] = {"lost", "#222", "task whose worker died"},
};
static const char other_task[] = "#e08a3c"; /* by turns, so that neighbours can be told apart */

struct event {
    double begin, length;
    int rank;
    enum kind kind;
    char name[40];
};

struct picture {
    struct event *events;
    size_t count, room;
    double begin, end;
    int ranks;
};

static int add_line(struct picture *picture, const char *line)
{
    struct event event = {0};
    char kind[16];
    int pid;
    if (sscanf(
            line,
            "{\"name\":\"%39[a-z0-9 ]\",\"cat\":\"%15[a-z]\",\"ph\":\"X\",\"ts\":%lf,\"dur\":%lf,\"pid\":%d,\"tid\":%d",
            event.name, kind, &event.begin, &event.length, &pid, &event.rank) != 6)
        return 0;
    if (event.rank < 0 || event.rank >= RANKS_MAX || !isfinite(event.begin) || !(event.length >= 0)) return 0;
    while (event.kind < KINDS && strcmp(kind, kinds[event.kind].category) != 0) event.kind++;
    if (event.kind == KINDS) return 0;
    if (picture->count == picture->room) {
        size_t room = picture->room ? 2 * picture->room : 1024;
        struct event *events = realloc(picture->events, room * sizeof *events);
        if (!events) return -1;
        picture->events = events;
        picture->room = room;
    }
    if (picture->count == 0 || event.begin < picture->begin) picture->begin = event.begin;
    if (picture->count == 0 || event.begin + event.length > picture->end) picture->end = event.begin + event.length;
    if (event.rank >= picture->ranks) picture->ranks = event.rank + 1;
    picture->events[picture->count++] = event;
    return 0;
}

static int read_file(struct picture *picture, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512];
    int code = 0;
    if (!file) {
        fprintf(stderr, "ame-info: %s: %s\n", path, strerror(errno));
        return 1;
    }
    while (!code && fgets(line, sizeof line, file)) code = add_line(picture, line);
    fclose(file);
    if (!code && picture->count) return 0;
    fprintf(stderr, "ame-info: %s: %s\n", path,
            code ? "out of memory" : "no events that AME_TRACE has written are in it");
    return 1;
}

static double x_of(const struct picture *picture, double time)
{
    double span = picture->end > picture->begin ? picture->end - picture->begin : 1;
    return LEFT + (WIDTH - LEFT - 10) * (time - picture->begin) / span;
}

/* A step of 1, 2 or 5 times a power of ten that makes about eight marks. */
static double step_of(double span)
{
    double power = pow(10, floor(log10(span > 0 ? span / 8 : 1))), ratio = span / 8 / power;
    return power * (ratio > 5 ? 10 : ratio > 2 ? 5 : ratio > 1 ? 2 : 1);
}

static void draw_axis(FILE *file, const struct picture *picture, int height)
{
    double span = picture->end - picture->begin, step = step_of(span);
    for (double t = 0; t <= span && step > 0; t += step) {
        double x = x_of(picture, picture->begin + t);
        fprintf(file, "<path d='M%.1f %dV%d' stroke='#ddd'/><text x='%.1f' y='14' text-anchor='middle'>%g s</text>\n",
                x, TOP_MARGIN - 6, height, x, t / 1e6);
    }
    for (int rank = 0; rank < picture->ranks; rank++)
        fprintf(file, "<text x='%d' y='%d' text-anchor='end'>rank %d</text>\n", LEFT - 8,
                TOP_MARGIN + rank * (LANE + GAP) + LANE - 6, rank);
}

static void draw_event(FILE *file, const struct picture *picture, const struct event *event, const char *fill)
{
    double from = x_of(picture, event->begin), to = x_of(picture, event->begin + event->length);
    int top = TOP_MARGIN + event->rank * (LANE + GAP);
    fprintf(file, "<rect x='%.2f' y='%d' width='%.2f' height='%d' fill='%s'><title>%s, %.3f ms</title></rect>\n", from,
            top, to - from > 0.2 ? to - from : 0.2, LANE, fill, event->name, event->length / 1e3);
    if (event->kind != LOST) return;
    bool beside = to + 4 < WIDTH - 30;
    fprintf(file, "<text x='%.1f' y='%d' fill='%s'>died</text>\n", beside ? to + 4 : WIDTH - 40.0, top + LANE - 6,
            beside ? "#c22" : "#f99");
}

static void draw_legend(FILE *file, const struct picture *picture, int top)
{
    bool there[KINDS] = {false};
    int x = LEFT;
    for (size_t i = 0; i < picture->count; i++) there[picture->events[i].kind] = true;
    for (int kind = 0; kind < KINDS; kind++) {
        if (!there[kind]) continue;
        fprintf(file, "<rect x='%d' y='%d' width='%d' height='%d' fill='%s'/><text x='%d' y='%d'>%s</text>\n", x, top,
                MARK, MARK, kinds[kind].fill, x + MARK + 5, top + MARK - 2, kinds[kind].meaning);
        x += 160;
    }
}

static void draw(FILE *file, const struct picture *picture)
{
    int bottom = TOP_MARGIN + picture->ranks * (LANE + GAP), height = bottom + LEGEND;
    double any[RANKS_MAX] = {0}, tasks[RANKS_MAX] = {0}; /* where the last bar ends, and the last one of a task */
    unsigned turn[RANKS_MAX] = {0};
    fprintf(file,
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' font-family='sans-serif' font-size='12'>\n"
            "<rect width='%d' height='%d' fill='white'/>\n",
            WIDTH, height, WIDTH, height);
    draw_axis(file, picture, bottom);
    for (size_t i = 0; i < picture->count; i++) {
        const struct event *event = &picture->events[i];
        double from = x_of(picture, event->begin), to = x_of(picture, event->begin + event->length);
        /* bars narrower than a fifth of a pixel are left out where there is one already */
        double before = event->kind == WAIT || event->kind == TRANSFER ? any[event->rank] : tasks[event->rank];
        if (event->kind != LOST && to - from < 0.2 && to < before + 0.2) continue;
        any[event->rank] = to;
        if (event->kind == TASK || event->kind == FAILED) tasks[event->rank] = to;
        bool odd = event->kind == TASK && turn[event->rank]++ % 2;
        draw_event(file, picture, event, odd ? other_task : kinds[event->kind].fill);
    }
    draw_legend(file, picture, bottom + (LEGEND - MARK) / 2);
    fprintf(file, "</svg>\n");
}

int ame__timeline_draw(const char *path, const char *out)
{
    struct picture picture = {0};
    int code = read_file(&picture, path);
    FILE *file = code ? NULL : out ? fopen(out, "we") : stdout;
    if (!code && !file) {
        fprintf(stderr, "ame-info: %s: %s\n", out, strerror(errno));
        code = 1;
    }
    if (file) draw(file, &picture);
    if (file && (out ? fclose(file) : fflush(file))) code = 1;
    free(picture.events);
    return code;
}
