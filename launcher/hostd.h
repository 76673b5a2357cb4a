/* hostd.h - the host daemon: the process that starts and looks after the ranks of one host. */
#ifndef AME_LAUNCHER_HOSTD_H
#define AME_LAUNCHER_HOSTD_H

#include "spawn.h"

/* On the front's host, in a fork of it: serves the front on the socket `control`. Does not return. */
void ame__hostd_run(const struct ame__inherited *inherited, int control) __attribute__((noreturn));
/* On another host, as "ameexec --hostd": serves the front on standard input and output. */
void ame__hostd_serve(const struct ame__inherited *inherited) __attribute__((noreturn));

#endif
