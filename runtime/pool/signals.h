/* signals.h - SIGINT and SIGTERM end a run in order.
 *
 * While a pool with the option signals is open, a handler notes these two signals, if the program has left them at their
 * default; the second one then ends the process as usual. A handler can do no more than note, so rank 0's ticker looks, and
 * a worker looks when it reports. The state is the process's, as signals are.
 */
#ifndef AME_POOL_SIGNALS_H
#define AME_POOL_SIGNALS_H

#include <stdbool.h>

struct ame_pool;

void ame__signals_catch(struct ame_pool *pool);
void ame__signals_release(struct ame_pool *pool);
/* One has come while `pool` is open. */
bool ame__signals_seen(const struct ame_pool *pool);

#endif
