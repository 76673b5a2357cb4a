/* env.h - what the environment says, for the ways of being started. Pure parsing, but for getenv. */
#ifndef AME_BOOT_ENV_H
#define AME_BOOT_ENV_H

#include "boot.h"

/* Reads a whole number from `minimum` to `maximum` from the variable `name`. AME_E_BOOT names it and its value. */
int ame__env_number(const char *name, int minimum, int maximum, int *number);
bool ame__env_is_set(const char *name);
/* The first of `names` (ends with NULL) that is not set, or NULL. */
const char *ame__env_missing(const char *const *names);
/* Does an ancestor of this process, being a rank, have the same values of these variables? Then they are its, and not
 * meant for this process. */
bool ame__env_is_ancestors(const char *const *names);
/* Is the text the number of an open, connected stream socket? */
bool ame__env_is_socket(const char *text);

/* PMI_process_mapping, "(vector,(first node,nodes,ranks per node),...)", repeated until all ranks have a node: number of
 * hosts, and the place of `rank` on its own. false: it is something else. */
bool ame__env_mapping(const char *text, int rank, int size, int *hosts, int *local_rank, int *local_size);
/* SLURM_STEP_TASKS_PER_NODE, "2(x3),1": tasks on node `node`; -1: it cannot be read. */
int ame__env_tasks_on(const char *text, int node);

#endif
