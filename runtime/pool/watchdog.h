/* watchdog.h - ends a worker's process when a task does not come back.
 *
 * Rank 0 gives a task up when its time limit has passed; a function cannot be interrupted, so the worker is lost until it
 * returns. If it does not within the same time again and a second, this thread ends the process with SIGKILL, and the pool
 * goes on without it. All functions take NULL.
 */
#ifndef AME_POOL_WATCHDOG_H
#define AME_POOL_WATCHDOG_H

#include <stdint.h>

struct ame__watchdog;

/* A task begins; *dog is made when it is needed first. Without a limit (0) nothing happens. */
void ame__watchdog_begin(struct ame__watchdog **dog, uint64_t limit_ms, uint64_t index);
/* It has ended. */
void ame__watchdog_rest(struct ame__watchdog *dog);
void ame__watchdog_stop(struct ame__watchdog *dog);

#endif
