/* hostd.h - the host daemon: the process that starts and looks after the ranks of one host. */
#ifndef AME_LAUNCHER_HOSTD_H
#define AME_LAUNCHER_HOSTD_H

#include "plan.h"
#include "spawn.h"

/* Runs the ranks of `plan` and serves the front on the socket `control`. Does not return. */
void ame__hostd_run(const struct ame__plan *plan, const struct ame__inherited *inherited, int control)
    __attribute__((noreturn));

#endif
