#include "watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "pool.h"

struct ame__watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    int64_t end; /* of patience; 0: nothing is being done */
    uint64_t limit_ms, index;
    bool stop;
};

static void *watch(void *arg)
{
    struct ame__watchdog *dog = arg;
    pthread_mutex_lock(&dog->lock);
    while (!dog->stop) {
        int64_t end = dog->end;
        if (end == 0) {
            pthread_cond_wait(&dog->change, &dog->lock);
        } else if (ame__now_ns() < end) {
            struct timespec until = {.tv_sec = (time_t) (end / 1000000000), .tv_nsec = (long) (end % 1000000000)};
            pthread_cond_timedwait(&dog->change, &dog->lock, &until);
        } else {
            fprintf(stderr, "libame: task %llu does not return, %.1f s after its limit of %.1f s; this worker ends\n",
                    (unsigned long long) dog->index, (double) dog->limit_ms / 1000 + 1, (double) dog->limit_ms / 1000);
            kill(getpid(), SIGKILL);
        }
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

static struct ame__watchdog *create(void)
{
    struct ame__watchdog *dog = calloc(1, sizeof *dog);
    pthread_condattr_t monotonic;
    if (!dog) return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&dog->lock, NULL);
    pthread_cond_init(&dog->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (ame__thread_start(&dog->thread, watch, dog, "ame-watchdog")) {
        free(dog);
        return NULL;
    }
    return dog;
}

void ame__watchdog_begin(struct ame__watchdog **dog, uint64_t limit_ms, uint64_t index)
{
    if (limit_ms == 0) return;
    if (!*dog && !(*dog = create())) return; /* without it a task that hangs is not ended, but given up all the same */
    pthread_mutex_lock(&(*dog)->lock);
    bool idle = (*dog)->end == 0;
    (*dog)->index = index;
    (*dog)->limit_ms = limit_ms;
    (*dog)->end = ame__now_ns() + (2 * (int64_t) limit_ms + 1000) * 1000000;
    if (idle) pthread_cond_signal(&(*dog)->change);
    pthread_mutex_unlock(&(*dog)->lock);
}

void ame__watchdog_rest(struct ame__watchdog *dog)
{
    if (!dog) return;
    pthread_mutex_lock(&dog->lock);
    dog->end = 0;
    pthread_mutex_unlock(&dog->lock);
}

void ame__watchdog_stop(struct ame__watchdog *dog)
{
    if (!dog) return;
    pthread_mutex_lock(&dog->lock);
    dog->stop = true;
    pthread_cond_signal(&dog->change);
    pthread_mutex_unlock(&dog->lock);
    pthread_join(dog->thread, NULL);
    pthread_mutex_destroy(&dog->lock);
    pthread_cond_destroy(&dog->change);
    free(dog);
}
