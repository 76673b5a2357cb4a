/* ticker.c - rank 0: what has to be looked at now and then while a run is under way. Between runs the thread sleeps. */
#include "pool.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "pool/journal.h"
#include "pool/progress.h"
#include "pool/signals.h"

/* Tasks over the limit. What rank 0 executes itself is judged when it ends. */
static void check_limit(struct ame_pool *pool, int64_t now)
{
    int64_t limit = (int64_t) (pool->options.limit * 1e9);
    if (limit == 0) return;
    for (int r = 1; r < pool->size; r++) {
        struct ame__link *link = &pool->manager->links[r];
        if (link->gone || link->stuck || ame__list_empty(&link->granted) || now - link->head_since < limit) continue;
        ame__abandon(pool, link);
    }
    ame__feed_all(pool);
    ame__conclude(pool);
}

/* Syncs the journal. Called and returns with the lock held, not meanwhile. */
static void sync_journal(struct ame_pool *pool, int64_t *synced)
{
    struct ame__manager *manager = pool->manager;
    if (!manager->journal || ame__now_ns() - *synced < (int64_t) (pool->options.journal_sync * 1e9)) return;
    int fd = ame__journal_unsynced(manager->journal);
    if (fd < 0) return;
    manager->syncing = true;
    pthread_mutex_unlock(&manager->lock);
    (void) fdatasync(fd); /* the last sync, when it is closed, tells an error */
    pthread_mutex_lock(&manager->lock);
    manager->syncing = false;
    *synced = ame__now_ns();
    ame__tell_news(manager);
}

static void tick(struct ame_pool *pool)
{
    struct ame__run *run = &pool->manager->run;
    if (ame__signals_seen(pool) && !run->stopping) {
        run->interrupted = true;
        ame__run_stop(pool);
        ame__conclude(pool);
    }
    if (run->active) check_limit(pool, ame__now_ns());
    if (run->active) ame__progress_show(pool, ame__now_ns(), false);
}

static bool needed(const struct ame_pool *pool)
{
    return pool->manager->run.active &&
           (pool->signals || pool->progress || pool->options.limit > 0 || pool->manager->journal);
}

static void *ticker_main(void *arg)
{
    struct ame_pool *pool = arg;
    struct ame__manager *manager = pool->manager;
    int64_t synced = 0;
    pthread_mutex_lock(&manager->lock);
    while (!manager->closing) {
        if (!needed(pool)) {
            pthread_cond_wait(&manager->tick, &manager->lock);
            continue;
        }
        int64_t end = ame__now_ns() + (int64_t) AME__POOL_TICK_MS * 1000000;
        struct timespec until = {.tv_sec = (time_t) (end / 1000000000), .tv_nsec = (long) (end % 1000000000)};
        pthread_cond_timedwait(&manager->tick, &manager->lock, &until);
        if (manager->run.active && !manager->closing) tick(pool);
        if (manager->run.active && !manager->closing) sync_journal(pool, &synced);
    }
    pthread_mutex_unlock(&manager->lock);
    return NULL;
}

int ame__ticker_start(struct ame_pool *pool)
{
    int code = ame__thread_start(&pool->manager->ticker, ticker_main, pool, "ame-pool-tick");
    pool->manager->ticker_started = code == AME_OK;
    return code;
}

void ame__ticker_wake(struct ame_pool *pool)
{
    pthread_cond_signal(&pool->manager->tick);
}

void ame__ticker_join(struct ame_pool *pool)
{
    struct ame__manager *manager = pool->manager;
    if (!manager->ticker_started) return;
    pthread_mutex_lock(&manager->lock);
    manager->closing = true;
    ame__ticker_wake(pool);
    pthread_mutex_unlock(&manager->lock);
    pthread_join(manager->ticker, NULL);
    manager->ticker_started = false;
}
