#include "report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <ame.h>

#define NUMBERS ((size_t) 14) /* before the name of the call */
_Static_assert(AME__SEEN_SIZE == NUMBERS * 8 + AME__CALL_MAX, "numbers and the name of the call");

/* ---- payload ------------------------------------------------------------------------------------- */

void ame__seen_encode(const struct ame__seen *seen, char payload[AME__SEEN_SIZE])
{
    const struct ame__report *report = &seen->report;
    const uint64_t numbers[NUMBERS] = {seen->told,
                                       (unsigned char) seen->process,
                                       (uint64_t) seen->since_ms,
                                       (uint64_t) seen->heard_ms,
                                       report->doing,
                                       report->kind,
                                       (uint64_t) report->peer,
                                       (uint64_t) report->tag,
                                       report->number,
                                       report->length,
                                       (uint64_t) report->members,
                                       (uint64_t) report->threads,
                                       report->queued,
                                       report->stored};
    for (size_t i = 0; i < NUMBERS; i++) ame__u64_put(payload + 8 * i, numbers[i]);
    memcpy(payload + NUMBERS * 8, report->call, AME__CALL_MAX);
}

void ame__seen_decode(const char payload[AME__SEEN_SIZE], struct ame__seen *seen)
{
    struct ame__report *report = &seen->report;
    uint64_t numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) numbers[i] = ame__u64_get(payload + 8 * i);
    memset(seen, 0, sizeof *seen);
    seen->told = numbers[0] != 0;
    seen->process = (char) numbers[1];
    seen->since_ms = (int64_t) numbers[2];
    seen->heard_ms = (int64_t) numbers[3];
    report->doing = numbers[4] < AME__DOING_COUNT ? (uint32_t) numbers[4] : AME__DOING_NOTHING;
    report->kind = numbers[5] < AME__WAIT_KINDS ? (uint32_t) numbers[5] : AME__WAIT_OTHER;
    report->peer = (int32_t) numbers[6];
    report->tag = (int32_t) numbers[7];
    report->number = numbers[8];
    report->length = numbers[9];
    report->members = (int32_t) numbers[10];
    report->threads = (int32_t) numbers[11];
    report->queued = numbers[12];
    report->stored = numbers[13];
    memcpy(report->call, payload + NUMBERS * 8, AME__CALL_MAX - 1);
}

/* ---- words --------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

static void append_peer(const struct ame__report *report, const char *preposition, char *text, size_t size)
{
    if (report->peer == AME_ANY_SOURCE)
        append(text, size, " %s any rank", preposition);
    else
        append(text, size, " %s rank %d", preposition, report->peer);
    if (report->tag == AME_ANY_TAG)
        append(text, size, ", any tag");
    else
        append(text, size, ", tag %d", report->tag);
}

static void describe(const struct ame__report *report, char *text, size_t size)
{
    snprintf(text, size, "%s", report->call);
    switch ((enum ame__wait_kind) report->kind) {
    case AME__WAIT_SEND:
        append_peer(report, "to", text, size);
        append(text, size, ", %llu bytes", (unsigned long long) report->length);
        break;
    case AME__WAIT_RECV:
    case AME__WAIT_PROBE: append_peer(report, "from", text, size); break;
    case AME__WAIT_SEVERAL:
        append(text, size, " of %llu,", (unsigned long long) report->number);
        append_peer(report, "first with", text, size);
        break;
    case AME__WAIT_COLL:
        append(text, size, ", call %llu of %d ranks", (unsigned long long) report->number, report->members);
        break;
    case AME__WAIT_OTHER:
    case AME__WAIT_KINDS: break;
    }
    if (report->threads > 1) append(text, size, " (%d threads wait)", report->threads);
}

void ame__seen_where(const struct ame__seen *seen, char *text, size_t size)
{
    *text = '\0';
    if (!seen->told) return;
    switch ((enum ame__doing) seen->report.doing) {
    case AME__DOING_STARTING: snprintf(text, size, "in ame_init"); break;
    case AME__DOING_COMPUTING: snprintf(text, size, "while computing"); break;
    case AME__DOING_WAITING:
        snprintf(text, size, "in ");
        describe(&seen->report, text + 3, size - 3);
        break;
    case AME__DOING_LEAVING: snprintf(text, size, "in ame_finalize"); break;
    case AME__DOING_LEFT: snprintf(text, size, "after ame_finalize"); break;
    case AME__DOING_NOTHING:
    case AME__DOING_COUNT: break;
    }
}

void ame__row_of_seen(const struct ame__seen *seen, struct ame__row *row)
{
#define WORD(name, word) word,
    static const char *const words[] = {AME__DOINGS(WORD)};
#undef WORD
    bool stopped = seen->process == 'T' || seen->process == 't';
    row->standing = stopped ? AME__STANDING_STOPPED : AME__STANDING_ALIVE;
    snprintf(row->state, sizeof row->state, "%s", stopped ? "stopped" : words[seen->told ? seen->report.doing : 0]);
    row->since_ms = seen->since_ms;
    row->heard_ms = seen->heard_ms;
    row->queued = seen->report.queued;
    row->stored = seen->report.stored;
    if (seen->told && seen->report.doing == AME__DOING_WAITING)
        describe(&seen->report, row->what, sizeof row->what);
    else if (!seen->told || seen->report.doing == AME__DOING_NOTHING)
        snprintf(row->what, sizeof row->what, "has not called ame_init");
    else
        snprintf(row->what, sizeof row->what, "-");
}

/* ---- the table ----------------------------------------------------------------------------------- */

static int compare_contents(const struct ame__row *a, const struct ame__row *b)
{
    int order = (int) a->standing - (int) b->standing;
    if (!order) order = strcmp(a->state, b->state);
    if (!order) order = strcmp(a->what, b->what);
    return order;
}

static int compare_rows(const void *one, const void *other)
{
    const struct ame__row *a = one, *b = other;
    int order = compare_contents(a, b);
    return order ? order : a->rank - b->rank;
}

struct group {
    struct ame__row *rows;
    int count;
    bool one_host;
    int64_t since_ms, heard_ms; /* the longest; the latest */
    uint64_t queued, stored;    /* the most */
};

static int compare_groups(const void *one, const void *other)
{
    const struct group *a = one, *b = other;
    if (a->rows->standing != b->rows->standing) return (int) a->rows->standing - (int) b->rows->standing;
    if (a->count != b->count) return a->count - b->count;
    if (a->since_ms != b->since_ms) return a->since_ms > b->since_ms ? -1 : 1;
    return a->rows->rank - b->rows->rank;
}

static struct group *make_groups(struct ame__row *rows, int count, int *group_count)
{
    struct group *groups = ame__xalloc(((size_t) count + 1) * sizeof *groups), *group = NULL;
    *group_count = 0;
    for (int i = 0; i < count; i++) {
        if (!i || compare_contents(&rows[i - 1], &rows[i])) {
            group = &groups[(*group_count)++];
            *group = (struct group){.rows = &rows[i], .one_host = true, .since_ms = -1, .heard_ms = -1};
        }
        group->count++;
        group->one_host = group->one_host && !strcmp(rows[i].host, group->rows->host);
        if (rows[i].since_ms > group->since_ms) group->since_ms = rows[i].since_ms;
        if (rows[i].heard_ms >= 0 && (group->heard_ms < 0 || rows[i].heard_ms < group->heard_ms))
            group->heard_ms = rows[i].heard_ms;
        if (rows[i].queued > group->queued) group->queued = rows[i].queued;
        if (rows[i].stored > group->stored) group->stored = rows[i].stored;
    }
    return groups;
}

/* "0-3,7"; shortened with "..." where it gets long. */
static void format_ranks(const struct group *group, char *text, size_t size)
{
    *text = '\0';
    for (int i = 0; i < group->count;) {
        int last = i;
        while (last + 1 < group->count && group->rows[last + 1].rank == group->rows[last].rank + 1) last++;
        if (strlen(text) + 24 > size) {
            append(text, size, ",...");
            return;
        }
        append(text, size, "%s%d", i ? "," : "", group->rows[i].rank);
        if (last > i) append(text, size, "-%d", group->rows[last].rank);
        i = last + 1;
    }
}

static void format_age(int64_t ms, char text[16])
{
    if (ms < 0)
        strcpy(text, "-");
    else if (ms < 100000)
        snprintf(text, 16, "%.1f s", (double) ms / 1e3);
    else if (ms < 6000000)
        snprintf(text, 16, "%d min", (int) (ms / 60000));
    else
        snprintf(text, 16, "%d h", (int) (ms / 3600000));
}

static void format_bytes(uint64_t bytes, char text[24])
{
    if (bytes < 10000)
        snprintf(text, 24, "%d B", (int) bytes);
    else if (bytes < 10000000)
        snprintf(text, 24, "%d kB", (int) (bytes / 1000));
    else
        snprintf(text, 24, "%llu MB", (unsigned long long) (bytes / 1000000));
}

static void append_line(struct ame__bytes *text, const char *line)
{
    size_t length = strlen(line);
    while (length && line[length - 1] == ' ') length--;
    ame__bytes_append(text, line, length);
    ame__bytes_append(text, "\n", 1);
}

void ame__table_append(struct ame__bytes *text, struct ame__row *rows, int count, int most)
{
    char line[512], ranks[64], pid[16], since[16], heard[16], queued[24], stored[24];
    int group_count;
    qsort(rows, (size_t) count, sizeof *rows, compare_rows);
    struct group *groups = make_groups(rows, count, &group_count);
    qsort(groups, (size_t) group_count, sizeof *groups, compare_groups);
    snprintf(line, sizeof line, "%-10s %-12s %-8s %-10s %-44s %7s %8s %8s %8s", "ranks", "host", "pid", "state",
             "operation", "since", "queued", "stored", "heard");
    append_line(text, line);
    for (int i = 0; i < group_count && (!most || i < most); i++) {
        const struct group *group = &groups[i];
        const struct ame__row *row = group->rows;
        format_ranks(group, ranks, sizeof ranks);
        snprintf(pid, sizeof pid, "%ld", row->pid);
        format_age(group->since_ms, since);
        format_age(group->heard_ms, heard);
        format_bytes(group->queued, queued);
        format_bytes(group->stored, stored);
        snprintf(line, sizeof line, "%-10s %-12s %-8s %-10s %-44s %7s %8s %8s %8s", ranks,
                 group->one_host ? row->host : "several", group->count == 1 && row->pid ? pid : "-", row->state,
                 row->what, since, queued, stored, heard);
        append_line(text, line);
    }
    if (most && group_count > most) {
        snprintf(line, sizeof line, "... and %d more rows (ameexec --status shows them)", group_count - most);
        append_line(text, line);
    }
    free(groups);
}
