/* timeline.h - ame-info --timeline: a file of AME_TRACE as a picture. */
#ifndef AME_LAUNCHER_TIMELINE_H
#define AME_LAUNCHER_TIMELINE_H

/* Draws the file at `path` as SVG into the file `out` (NULL: standard output). 0, or 1 after a message. */
int ame__timeline_draw(const char *path, const char *out);

#endif
