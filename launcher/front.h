/* front.h - the part of ameexec that the user started: policy, messages, exit code. */
#ifndef AME_LAUNCHER_FRONT_H
#define AME_LAUNCHER_FRONT_H

#include "plan.h"
#include "spawn.h"

/* Runs the job and returns ameexec's exit code. */
int ame__front_run(const struct ame__plan *plan, const struct ame__inherited *inherited);

#endif
