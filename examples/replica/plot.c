/* plot.c - diagrams as SVG. Ticks are at 1, 2 or 5 times a power of ten; contours are made by marching squares. */
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 16, CONTOUR_CELLS = 160, WIDTH = 760, HEIGHT = 500, LEFT = 78, RIGHT = 20, TOP = 46, BOTTOM = 62 };

struct series {
    enum plot_style style;
    char *label;
    size_t n;
    double *x, *y, *error;
};

struct contours {
    double (*function)(double x, double y);
    double x0, x1, y0, y1, first, step;
    int levels;
};

struct plot {
    char *title, *x_name, *y_name;
    struct series series[SERIES_MAX];
    size_t count;
    struct contours contours;
    double x[2], y[2]; /* ranges */
    bool fixed_x, fixed_y;
};

/* Distinct also for those who do not see red and green apart. */
static const char *const colours[] = {"#0b5fa5", "#d1495b", "#2a9d6f", "#e09f1f", "#6c4ab6", "#444444"};

static const char *colour(size_t n)
{
    return colours[n % (sizeof colours / sizeof colours[0])];
}

plot *plot_new(const char *title, const char *x_name, const char *y_name)
{
    plot *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->title = strdup(title);
    p->x_name = strdup(x_name);
    p->y_name = strdup(y_name);
    return p;
}

static double *copy(size_t n, const double *values)
{
    double *to = values ? malloc((n + 1) * sizeof *to) : NULL;
    if (to) memcpy(to, values, n * sizeof *to);
    return to;
}

void plot_series(plot *p, enum plot_style style, const char *label, size_t n, const double *x, const double *y,
                 const double *error)
{
    if (!p || p->count == SERIES_MAX) return;
    struct series *s = &p->series[p->count];
    *s = (struct series){.style = style, .n = n, .x = copy(n, x), .y = copy(n, y), .error = copy(n, error)};
    if (!s->x || !s->y) return;
    s->label = label ? strdup(label) : NULL;
    p->count++;
}

void plot_contours(plot *p, double (*function)(double x, double y), double x0, double x1, double y0, double y1,
                   double first, double step, int levels)
{
    if (!p) return;
    p->contours = (struct contours){function, x0, x1, y0, y1, first, step, levels};
    plot_range_x(p, x0, x1);
    plot_range_y(p, y0, y1);
}

void plot_range_x(plot *p, double from, double to)
{
    if (!p) return;
    p->x[0] = from, p->x[1] = to;
    p->fixed_x = true;
}

void plot_range_y(plot *p, double from, double to)
{
    if (!p) return;
    p->y[0] = from, p->y[1] = to;
    p->fixed_y = true;
}

/* ---- coordinates --------------------------------------------------------------------------------- */

static void widen(double range[2], double value)
{
    if (!isfinite(value)) return;
    if (value < range[0]) range[0] = value;
    if (value > range[1]) range[1] = value;
}

static void find_ranges(plot *p)
{
    double x[2] = {INFINITY, -INFINITY}, y[2] = {INFINITY, -INFINITY};
    for (size_t k = 0; k < p->count; k++)
        for (size_t i = 0; i < p->series[k].n; i++) {
            const struct series *s = &p->series[k];
            double error = s->error ? s->error[i] : 0;
            widen(x, s->x[i]);
            widen(y, s->y[i] - error);
            widen(y, s->y[i] + error);
        }
    if (x[0] >= x[1]) x[0] -= 1, x[1] += 1;
    if (!(y[0] < y[1])) y[0] -= 1, y[1] += 1;
    double margin = 0.06 * (y[1] - y[0]);
    if (!p->fixed_x) memcpy(p->x, x, sizeof x);
    if (!p->fixed_y) p->y[0] = y[0] - margin, p->y[1] = y[1] + margin;
}

static double at_x(const plot *p, double x)
{
    return LEFT + (x - p->x[0]) / (p->x[1] - p->x[0]) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const plot *p, double y)
{
    return HEIGHT - BOTTOM - (y - p->y[0]) / (p->y[1] - p->y[0]) * (HEIGHT - TOP - BOTTOM);
}

static bool visible(const plot *p, double x, double y)
{
    return isfinite(x) && isfinite(y) && x >= p->x[0] && x <= p->x[1] && y >= p->y[0] && y <= p->y[1];
}

/* ---- parts --------------------------------------------------------------------------------------- */

static void text(FILE *f, double x, double y, const char *attributes, const char *string)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (; *string; string++) {
        if (*string == '<')
            fputs("&lt;", f);
        else if (*string == '>')
            fputs("&gt;", f);
        else if (*string == '&')
            fputs("&amp;", f);
        else
            fputc(*string, f);
    }
    fputs("</text>\n", f);
}

/* The distance of ticks, so that there are five to ten; angles of a full turn get 60 degrees. */
static double tick_step(const double range[2])
{
    double length = range[1] - range[0], power = pow(10, floor(log10(length / 5)));
    if (range[0] == -180 && range[1] == 180) return 60;
    double steps = length / 5 / power;
    return power * (steps >= 5 ? 5 : steps >= 2 ? 2 : 1);
}

/* The n-th tick of an axis, from 0; false when there are no more. */
static bool tick(const double range[2], int n, double *value)
{
    double step = tick_step(range);
    *value = (ceil(range[0] / step) + n) * step;
    if (fabs(*value) < 1e-9 * step) *value = 0;
    return *value <= range[1] + 1e-9 * step;
}

static void axes(FILE *f, const plot *p)
{
    char number[32];
    double at;
    fprintf(f, "<g stroke=\"#dddddd\" stroke-width=\"1\">\n");
    for (int n = 0; tick(p->x, n, &at); n++)
        fprintf(f, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", at_x(p, at), TOP, at_x(p, at),
                HEIGHT - BOTTOM);
    for (int n = 0; tick(p->y, n, &at); n++)
        fprintf(f, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", LEFT, at_y(p, at), WIDTH - RIGHT,
                at_y(p, at));
    fprintf(f, "</g>\n");
    for (int n = 0; tick(p->y, n, &at); n++) {
        snprintf(number, sizeof number, "%g", at);
        text(f, LEFT - 8, at_y(p, at) + 5, "text-anchor=\"end\"", number);
    }
    for (int n = 0; tick(p->x, n, &at); n++) {
        snprintf(number, sizeof number, "%g", at);
        text(f, at_x(p, at), HEIGHT - BOTTOM + 20, "text-anchor=\"middle\"", number);
    }
    text(f, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16, "text-anchor=\"middle\"", p->x_name);
    text(f, LEFT, 26, "font-size=\"16\" font-weight=\"bold\"", p->title);
    fprintf(f, "<g transform=\"translate(20 %d) rotate(-90)\">", (TOP + HEIGHT - BOTTOM) / 2);
    text(f, 0, 0, "text-anchor=\"middle\"", p->y_name);
    fprintf(f, "</g>\n");
}

/* The crossings of one cell's sides with a level, joined by a line. */
static void cell(FILE *f, const plot *p, const double corner_x[2], const double corner_y[2], const double v[4],
                 double level)
{
    static const int sides[4][2] = {{0, 1}, {1, 2}, {2, 3}, {3, 0}};
    const double x[4] = {corner_x[0], corner_x[1], corner_x[1], corner_x[0]};
    const double y[4] = {corner_y[0], corner_y[0], corner_y[1], corner_y[1]};
    double cross[4][2];
    int count = 0;
    for (int s = 0; s < 4; s++) {
        int a = sides[s][0], b = sides[s][1];
        if ((v[a] < level) == (v[b] < level)) continue;
        double t = (level - v[a]) / (v[b] - v[a]);
        cross[count][0] = x[a] + t * (x[b] - x[a]);
        cross[count++][1] = y[a] + t * (y[b] - y[a]);
    }
    for (int i = 0; i + 1 < count; i += 2)
        fprintf(f, "M%.1f %.1fL%.1f %.1f", at_x(p, cross[i][0]), at_y(p, cross[i][1]), at_x(p, cross[i + 1][0]),
                at_y(p, cross[i + 1][1]));
}

static void draw_contours(FILE *f, const plot *p)
{
    const struct contours *c = &p->contours;
    const double dx = (c->x1 - c->x0) / CONTOUR_CELLS, dy = (c->y1 - c->y0) / CONTOUR_CELLS;
    for (int n = 0; n < c->levels; n++) {
        fprintf(f, "<path fill=\"none\" stroke=\"#9fb3c8\" stroke-width=\"0.8\" d=\"");
        for (int i = 0; i < CONTOUR_CELLS; i++)
            for (int j = 0; j < CONTOUR_CELLS; j++) {
                const double x[2] = {c->x0 + i * dx, c->x0 + (i + 1) * dx},
                             y[2] = {c->y0 + j * dy, c->y0 + (j + 1) * dy};
                const double v[4] = {c->function(x[0], y[0]), c->function(x[1], y[0]), c->function(x[1], y[1]),
                                     c->function(x[0], y[1])};
                cell(f, p, x, y, v, c->first + n * c->step);
            }
        fprintf(f, "\"/>\n");
    }
}

static void draw_line(FILE *f, const plot *p, const struct series *s, size_t number)
{
    bool pen = false;
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s d=\"", colour(number),
            s->style == PLOT_DASHED ? " stroke-dasharray=\"7 5\"" : "");
    for (size_t i = 0; i < s->n; i++) {
        bool shown = visible(p, s->x[i], s->y[i]);
        if (shown) fprintf(f, "%c%.1f %.1f", pen ? 'L' : 'M', at_x(p, s->x[i]), at_y(p, s->y[i]));
        pen = shown;
    }
    fprintf(f, "\"/>\n");
}

static void draw_points(FILE *f, const plot *p, const struct series *s, size_t number)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!visible(p, s->x[i], s->y[i])) continue;
        double x = at_x(p, s->x[i]), y = at_y(p, s->y[i]);
        if (s->error && s->error[i] > 0)
            fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x,
                    at_y(p, s->y[i] - s->error[i]), x, at_y(p, s->y[i] + s->error[i]), colour(number));
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\"/>\n", x, y, colour(number));
    }
}

static void legend(FILE *f, const plot *p)
{
    size_t rows = 0, longest = 0;
    for (size_t k = 0; k < p->count; k++) {
        if (!p->series[k].label) continue;
        size_t length = strlen(p->series[k].label);
        longest = length > longest ? length : longest;
        rows++;
    }
    if (!rows) return;
    double width = 52 + 7.2 * (double) longest, x = WIDTH - RIGHT - width - 8, y = TOP + 8;
    fprintf(f,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"white\" fill-opacity=\"0.85\" "
            "stroke=\"#cccccc\"/>\n",
            x, y, width, 20.0 * (double) rows + 8);
    for (size_t k = 0; k < p->count; k++) {
        const struct series *s = &p->series[k];
        if (!s->label) continue;
        y += 20;
        if (s->style != PLOT_POINTS)
            fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\"%s/>\n",
                    x + 8, y - 4, x + 36, y - 4, colour(k), s->style == PLOT_DASHED ? " stroke-dasharray=\"7 5\"" : "");
        if (s->style == PLOT_POINTS || s->style == PLOT_LINE_POINTS)
            fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\"/>\n", x + 22, y - 4, colour(k));
        text(f, x + 44, y, "", s->label);
    }
}

static void draw(FILE *f, const plot *p)
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"13\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    axes(f, p);
    if (p->contours.function) draw_contours(f, p);
    for (size_t k = 0; k < p->count; k++) {
        if (p->series[k].style != PLOT_POINTS) draw_line(f, p, &p->series[k], k);
        if (p->series[k].style == PLOT_POINTS || p->series[k].style == PLOT_LINE_POINTS)
            draw_points(f, p, &p->series[k], k);
    }
    fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#333333\"/>\n", LEFT, TOP,
            WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    legend(f, p);
    fprintf(f, "</svg>\n");
}

static void release(plot *p)
{
    for (size_t k = 0; k < p->count; k++) {
        free(p->series[k].label);
        free(p->series[k].x);
        free(p->series[k].y);
        free(p->series[k].error);
    }
    free(p->title);
    free(p->x_name);
    free(p->y_name);
    free(p);
}

int plot_write(plot *p, const char *path)
{
    if (!p) {
        errno = ENOMEM;
        return -1;
    }
    FILE *f = fopen(path, "we");
    int wrong = f ? 0 : errno;
    if (f) {
        find_ranges(p);
        draw(f, p);
        if (ferror(f)) wrong = EIO;
        if (fclose(f)) wrong = errno;
    }
    release(p);
    errno = wrong;
    return wrong ? -1 : 0;
}
