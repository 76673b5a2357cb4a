/* environ.h - the part of ameexec's environment that ranks get. */
#ifndef AME_LAUNCHER_ENVIRON_H
#define AME_LAUNCHER_ENVIRON_H

#include "affinity.h"
#include "options.h"
#include "work.h"

/* ameexec's environment as the options want it, without what another launcher told ameexec about ameexec's own place in
 * its job. A list that ends with NULL; the strings and the list belong to the caller. */
char **ame__environ_base(const struct ame__options *options);
/* Only what these settings say. */
char **ame__environ_added(const struct ame__settings *settings);
/* The environment of the `i`th rank of a host; `cpus`: to which it is bound, or NULL. */
char **ame__environ_rank(const struct ame__work *work, int i, const struct ame__cpus *cpus);
void ame__environ_free(char **env);
/* Sets NAME=VALUE in the list *env, which owns its strings and has room for *room items. */
void ame__environ_set(char ***env, size_t *room, const char *name, const char *value);
/* The value in the list, or NULL. */
const char *ame__environ_get(char *const *env, const char *name);

#endif
