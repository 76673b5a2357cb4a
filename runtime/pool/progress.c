#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/vars.h"
#include "pool.h"

enum { LINE_NS = 2000000000, BAR_NS = 200000000, WIDTH = 24, COLUMNS = 80 };

/* Columns of the terminal that standard error is, here or where ameexec writes it; 0: it is none. */
static int terminal_columns(void)
{
    struct winsize size;
    double columns = 0;
    bool here = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    if (here)
        columns = size.ws_col;
    else if (!ame__var_is_set(AME__VAR_TERMINAL) || ame__var_number(AME__VAR_TERMINAL, &columns))
        return 0;
    return columns > 0 ? (int) columns : COLUMNS;
}

int ame__progress_kind(enum ame__progress_kind *kind)
{
    const char *text = ame__var_text(AME__VAR_PROGRESS);
    if (!strcmp(text, "auto"))
        *kind = terminal_columns() ? AME__PROGRESS_BAR : AME__PROGRESS_NONE;
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

/* "12 of 100 done, ..." */
static void describe(const struct ame_pool *pool, int64_t now, bool last, char *text, size_t size)
{
    const struct ame__run *run = &pool->manager->run;
    bool open = run->count == AME_POOL_OPEN;
    uint64_t ended = run->done + run->failed + run->resumed, count = open ? run->submitted : run->count;
    double rate = (double) (run->done + run->failed) / ((double) (now - run->begun) * 1e-9);
    char left[40], more[120] = "";
    size_t used = 0;
    if (!last && rate > 0 && !open) {
        show_time(left, sizeof left, (double) (count - ended) / rate);
        used += (size_t) snprintf(more, sizeof more, ", left %s", left);
    }
    if (!last) used += (size_t) snprintf(more + used, sizeof more - used, ", %d busy", busy(pool));
    if (run->failed)
        used += (size_t) snprintf(more + used, sizeof more - used, ", %llu failed", (unsigned long long) run->failed);
    if (run->lost) snprintf(more + used, sizeof more - used, ", %d ranks lost", run->lost);
    snprintf(text, size, "%llu of %llu%s done, %.*f/s%s", (unsigned long long) ended, (unsigned long long) count,
             open ? " so far" : "", rate < 100, rate, more);
}

void ame__progress_show(struct ame_pool *pool, int64_t now, bool last)
{
    struct ame__manager *manager = pool->manager;
    const struct ame__run *run = &manager->run;
    bool bar = pool->progress == AME__PROGRESS_BAR;
    if (pool->progress == AME__PROGRESS_NONE) return;
    if (!last && now - manager->shown < (bar ? BAR_NS : LINE_NS)) return;
    if (last && manager->shown == 0) return; /* it was over before there was anything to tell */
    manager->shown = now;
    char text[300], line[400];
    describe(pool, now, last, text, sizeof text);
    int length = snprintf(line, sizeof line, "pool: %s\n", text);
    if (bar) { /* ameexec knows it by its first character and its end (launcher/bar.h) */
        uint64_t count = run->count == AME_POOL_OPEN ? run->submitted : run->count;
        uint64_t ended = run->done + run->failed + run->resumed;
        char filled[WIDTH + 1] = "";
        int columns = terminal_columns(), room = (columns ? columns : COLUMNS) - WIDTH - 2;
        memset(filled, '.', WIDTH);
        if (count) memset(filled, '#', (size_t) ((double) WIDTH * (double) ended / (double) count));
        length = snprintf(line, sizeof line, "\r%s %.*s\033[K%s", filled, room > 0 ? room : 0, text, last ? "\n" : "");
    }
    (void) !write(STDERR_FILENO, line, (size_t) length);
}
