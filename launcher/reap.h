/* reap.h - finding and ending every process that descends from this one. */
#ifndef AME_LAUNCHER_REAP_H
#define AME_LAUNCHER_REAP_H

#include <stddef.h>

/* Sends `signal` (0: none) to each living descendant of this process, whatever session or group it moved to;
 * descendants whose parents died count too, because the caller is their subreaper. Returns how many there are; the
 * first ones are listed in `names` ("pid 12 (sleep), ...") when it is not NULL. */
size_t ame__descendants_signal(int signal, char *names, size_t size);

#endif
