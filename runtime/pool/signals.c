#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "pool.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users;
static atomic_int seen; /* set by a handler, in any thread, and read by others */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler sets it");
static const int caught[] = {SIGINT, SIGTERM};
enum { CAUGHT = sizeof caught / sizeof caught[0] };

static void note(int signal)
{
    (void) signal;
    seen = 1;
}

void ame__signals_catch(struct ame_pool *pool)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART | (int) SA_RESETHAND}, old;
    if (pool->options.signals == 0) return;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    pool->signals = true;
    if (users++ == 0) {
        seen = 0;
        for (int i = 0; i < CAUGHT; i++)
            if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) sigaction(caught[i], &action, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void ame__signals_release(struct ame_pool *pool)
{
    struct sigaction action = {.sa_handler = SIG_DFL}, old;
    if (!pool->signals) return;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    pool->signals = false;
    if (--users == 0)
        for (int i = 0; i < CAUGHT; i++)
            if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler == note) sigaction(caught[i], &action, NULL);
    pthread_mutex_unlock(&lock);
}

bool ame__signals_seen(const struct ame_pool *pool)
{
    return pool->signals && seen;
}
