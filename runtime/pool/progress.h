/* progress.h - rank 0 tells on standard error how far a run has come, as AME_PROGRESS says. The lock is held. */
#ifndef AME_POOL_PROGRESS_H
#define AME_POOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ame_pool;

enum ame__progress_kind { AME__PROGRESS_NONE, AME__PROGRESS_LINES, AME__PROGRESS_BAR };

/* What AME_PROGRESS asks for; a value that is none of its is AME_E_CONFIG. */
int ame__progress_kind(enum ame__progress_kind *kind);
/* Writes, if it is time to; `last`: the run is over. */
void ame__progress_show(struct ame_pool *pool, int64_t now, bool last);

#endif
