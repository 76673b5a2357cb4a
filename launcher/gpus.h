/* gpus.h - --gpus-per-rank: which part of its host's GPUs a rank sees. */
#ifndef AME_LAUNCHER_GPUS_H
#define AME_LAUNCHER_GPUS_H

#include <stddef.h>

#include "work.h"

/* Sets in the environment *env of the `i`th rank of this host what --gpus-per-rank asks for; nothing without it. */
void ame__gpus_set(const struct ame__work *work, int i, char ***env, size_t *room);
/* `count` names from `list`, which is what CUDA_VISIBLE_DEVICES may be, for the `i`th rank; NULL if it names no device. The
 * list is used from its beginning again when it is over. The result is malloc'ed. */
char *ame__gpus_part(const char *list, int i, int count);

#endif
