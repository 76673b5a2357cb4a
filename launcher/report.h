/* report.h - what a rank is doing, from host daemon to front to the reader: payload, words, and the table. Pure.
 *
 * The table shows those first that one looks for: ranks that failed, hosts that do not answer, ranks that are stopped; then
 * those that do what fewest others do, of these the one that has waited longest; ranks that have ended well come last. Ranks of
 * which the same is to be said share a row.
 */
#ifndef AME_LAUNCHER_REPORT_H
#define AME_LAUNCHER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bytes.h"
#include "proto.h"

/* A rank as the host daemon sees it. Times are ages in ms, since hosts have clocks of their own; -1: never. */
struct ame__seen {
    bool told;    /* it has said something itself (struct ame__report) */
    char process; /* state as in /proc/PID/stat: R, S, D, T, t, Z; 0: not known */
    int64_t since_ms, heard_ms;
    struct ame__report report; /* its times are not used */
};

void ame__seen_encode(const struct ame__seen *seen, char payload[AME__SEEN_SIZE]);
void ame__seen_decode(const char payload[AME__SEEN_SIZE], struct ame__seen *seen);

/* "in ame_recv from rank 3, tag 7", "in ame_barrier, call 12", "while computing"; "" where it says nothing. */
void ame__seen_where(const struct ame__seen *seen, char *text, size_t size);

/* In the order of the table. */
enum ame__standing {
    AME__STANDING_FAILED,
    AME__STANDING_SILENT, /* its host daemon does not answer */
    AME__STANDING_STOPPED,
    AME__STANDING_ALIVE,
    AME__STANDING_ENDED
};

struct ame__row {
    int rank;
    long pid;
    const char *host;
    enum ame__standing standing;
    char state[16]; /* one word */
    char what[120]; /* the operation, or how it ended */
    int64_t since_ms, heard_ms;
    uint64_t queued, stored;
};

/* Fills in what the table says of a rank that lives. */
void ame__row_of_seen(const struct ame__seen *seen, struct ame__row *row);
/* Appends the table; sorts `rows`. At most `most` rows are shown (0: all). */
void ame__table_append(struct ame__bytes *text, struct ame__row *rows, int count, int most);

#endif
