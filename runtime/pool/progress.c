#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/vars.h"
#include "pool.h"

enum { LINE_NS = 2000000000, BAR_NS = 200000000, WIDTH = 24 };

int ame__progress_kind(enum ame__progress_kind *kind)
{
    const char *text = ame__var_text(AME__VAR_PROGRESS);
    if (!strcmp(text, "auto"))
        *kind = isatty(STDERR_FILENO) ? AME__PROGRESS_BAR : AME__PROGRESS_NONE;
    else if (!strcmp(text, "0"))
        *kind = AME__PROGRESS_NONE;
    else if (!strcmp(text, "1"))
        *kind = AME__PROGRESS_LINES;
    else if (!strcmp(text, "bar"))
        *kind = AME__PROGRESS_BAR;
    else
        return ame__fail(AME_E_CONFIG, "variable AME_PROGRESS is '%.100s'; it must be auto, 0, 1 or bar", text);
    return AME_OK;
}

/* How many ranks are executing something now. */
static int busy(const struct ame_pool *pool)
{
    int count = 0;
    for (int r = 0; r < pool->size; r++) count += !ame__list_empty(&pool->manager->links[r].granted);
    return count;
}

static void show_time(char *text, size_t size, double seconds)
{
    if (seconds < 100)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(text, size, "%.0f min", seconds / 60);
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
}

void ame__progress_show(struct ame_pool *pool, int64_t now, bool last)
{
    struct ame__manager *manager = pool->manager;
    const struct ame__run *run = &manager->run;
    bool bar = pool->progress == AME__PROGRESS_BAR;
    if (pool->progress == AME__PROGRESS_NONE) return;
    if (!last && now - manager->shown < (bar ? BAR_NS : LINE_NS)) return;
    if (last && manager->shown == 0) return; /* it was over before there was anything to tell */
    uint64_t ended = run->done + run->failed + run->resumed;
    uint64_t count = run->count == AME_POOL_OPEN ? run->submitted : run->count;
    double seconds = (double) (now - run->begun) * 1e-9, rate = (double) (run->done + run->failed) / seconds;
    char line[300], left[40] = "", filled[WIDTH + 1];
    int full = count ? (int) ((double) WIDTH * (double) ended / (double) count) : 0;
    for (int i = 0; i < WIDTH; i++) filled[i] = i < full ? '#' : '.';
    filled[WIDTH] = '\0';
    if (!last && rate > 0) show_time(left, sizeof left, (double) (count - ended) / rate);
    int length = snprintf(line, sizeof line, "%s%s%s%llu of %llu%s done, %.3g/s%s%s, %d busy",
                          bar ? "\r" : "pool: ", bar ? filled : "", bar ? " " : "", (unsigned long long) ended,
                          (unsigned long long) count, run->count == AME_POOL_OPEN ? " so far" : "", rate,
                          *left ? ", left " : "", left, busy(pool));
    if (run->failed && length < 200)
        length +=
            snprintf(line + length, sizeof line - (size_t) length, ", %llu failed", (unsigned long long) run->failed);
    if (run->lost && length < 240)
        length += snprintf(line + length, sizeof line - (size_t) length, ", %d ranks lost", run->lost);
    length +=
        snprintf(line + length, sizeof line - (size_t) length, bar ? "\033[K%s" : "%s\n", bar && last ? "\n" : "");
    (void) !write(STDERR_FILENO, line, (size_t) length);
    manager->shown = now;
}
