/* clock.h - one monotonic clock, in nanoseconds. */
#ifndef AME_BASE_CLOCK_H
#define AME_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t ame__now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
