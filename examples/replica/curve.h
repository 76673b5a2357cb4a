/* curve.h - natural cubic splines, and strings of points in the plane */
#ifndef CURVE_H
#define CURVE_H

#include <stddef.h>

struct point {
    double x, y;
};

/* Moves the points of a string, its ends excepted, along the natural cubic spline through them, so that they are equally far
 * apart in the length of its chords. 0, or -1 when memory is out. */
int curve_space_evenly(size_t n, struct point *points);
/* The spline through the points at m places, evenly spaced from the first to the last. 0, or -1 when memory is out. */
int curve_sample(size_t n, const struct point *points, size_t m, struct point *out);

#endif
