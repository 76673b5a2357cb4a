/* reap.h - finding and ending every process that descends from this one. */
#ifndef AME_LAUNCHER_REAP_H
#define AME_LAUNCHER_REAP_H

#include <stddef.h>
#include <sys/types.h>

/* Children that are left alone with all that descends from them. */
struct ame__spared {
    const pid_t *pids;
    size_t count;
};

/* Sends `signal` (0: none) to each living descendant of this process, whatever session or group it moved to;
 * descendants whose parents died count too, because the caller is their subreaper. `spared` may be NULL. Returns how many there are; the
 * first ones are listed in `names` ("pid 12 (sleep), ...") when it is not NULL. */
size_t ame__descendants_signal(int signal, const struct ame__spared *spared, char *names, size_t size);

#endif
