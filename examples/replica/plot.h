/* plot.h - a small writer of diagrams as SVG: lines, points with error bars, contours; axes with ticks, and a legend */
#ifndef PLOT_H
#define PLOT_H

#include <stddef.h>

typedef struct plot plot;

enum plot_style { PLOT_LINE, PLOT_DASHED, PLOT_POINTS, PLOT_LINE_POINTS };

/* A diagram with a title and names of the axes; NULL when memory is out, which all functions here accept. */
plot *plot_new(const char *title, const char *x_name, const char *y_name);
/* A series of n points, copied. `error` (may be NULL): half the length of error bars. The label, for the legend, may be NULL. */
void plot_series(plot *p, enum plot_style style, const char *label, size_t n, const double *x, const double *y,
                 const double *error);
/* Lines of equal value of a function over the given rectangle, behind everything else. */
void plot_contours(plot *p, double (*function)(double x, double y), double x0, double x1, double y0, double y1,
                   double first, double step, int levels);
/* Fixed ranges of the axes, instead of those of the data. */
void plot_range_x(plot *p, double from, double to);
void plot_range_y(plot *p, double from, double to);
/* Writes the file and frees the plot; 0, or -1 with errno. */
int plot_write(plot *p, const char *path);

#endif
