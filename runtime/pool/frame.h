/* frame.h - the messages of a pool: bytes, never raw structs; pure encoding and decoding, and their limits.
 *
 * A frame is one message of at most AME__POOL_FRAME_MAX bytes: a kind, fields, and for GRANT and REPORT a row of records.
 * What does not fit into a frame (the data of one task, or of one result) follows as a message of its own, with the tag
 * AME__POOL_BODY, announced by a BODY record; in a REPORT that is the last record.
 *
 *     worker -> rank 0                                 rank 0 -> worker
 *     HELLO    version, flags, host  once              GRANT    run, batch, limits, tasks
 *     READY    how, run, count       joins a run       END      run, result and text: the run is over
 *     REPORT   run, time, results    of its oldest     DISMISS  number of the last run: ame_pool_serve returns
 *              tasks, in their order
 *     BYE                            closes
 *
 * A worker does its tasks in the order in which they came, so results need no index.
 */
#ifndef AME_POOL_FRAME_H
#define AME_POOL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AME__POOL_VERSION = 1,
    AME__POOL_FRAME_MAX = 16384, /* bytes of a frame */
    AME__POOL_INLINE_MAX = 4096, /* bytes of data within a frame; more is a body */
    AME__POOL_TEXT_MAX = 1024,   /* of the text of a failure */
    AME__POOL_HOST_MAX = 64
};

enum ame__pool_tag { AME__POOL_UP = 1, AME__POOL_DOWN, AME__POOL_BODY, AME__POOL_TRACE /* trace.c */ };

enum ame__pool_frame_kind {
    AME__POOL_HELLO = 1,
    AME__POOL_READY,
    AME__POOL_REPORT,
    AME__POOL_BYE,
    AME__POOL_GRANT,
    AME__POOL_END,
    AME__POOL_DISMISS
};

enum ame__pool_how { AME__POOL_LOOP = 1, AME__POOL_MAP, AME__POOL_SERVE };
enum { AME__POOL_TRACES = 1 }; /* flag of HELLO: it keeps a timeline, for which it wants to be asked after BYE */

/* Flags of a REPORT: the worker leaves the run; in the middle of its oldest task; it wants the run to be cancelled; because
 * of a signal. */
enum { AME__POOL_LEAVES = 1, AME__POOL_HOLDS = 2, AME__POOL_CANCELS = 4, AME__POOL_INTERRUPTED = 8 };

/* The fields of any frame; each kind uses those that frame.c writes for it. */
struct ame__pool_frame {
    enum ame__pool_frame_kind kind;
    uint32_t version, run, batch;
    enum ame__pool_how how;
    uint32_t flags;
    uint64_t count, busy_ns, limit_ms, result_max;
    int32_t code;
    const char *text; /* of END, or the host of HELLO; not terminated */
    uint32_t text_length;
};

enum ame__pool_record_kind {
    AME__POOL_DONE = 1, /* up: `count` tasks are done and have no result */
    AME__POOL_RESULT,   /* up: one task; data */
    AME__POOL_FAILED,   /* up: one task; code, text, data */
    AME__POOL_RANGE,    /* down: `count` tasks from `index` on */
    AME__POOL_TASK,     /* down: one task; data */
    AME__POOL_BODY_UP,  /* one task; code, text, length of the data, which follows */
    AME__POOL_BODY_DOWN /* one task; length of the data, which follows */
};

struct ame__pool_record {
    enum ame__pool_record_kind kind;
    uint64_t index, count, length;
    uint32_t attempt;
    int32_t code;
    float seconds;
    const char *text; /* not terminated */
    uint32_t text_length;
    const unsigned char *data; /* within the frame; NULL for a body */
};

/* Where in a frame one writes or reads. `bad`: it would have gone past the end; nothing was written or read then. */
struct ame__cursor {
    unsigned char *at, *end;
    bool bad;
};

static inline struct ame__cursor ame__cursor_on(void *bytes, size_t size)
{
    return (struct ame__cursor){.at = bytes, .end = (unsigned char *) bytes + size};
}

/* Writes the fields of `frame`. */
void ame__pool_frame_put(struct ame__cursor *cursor, const struct ame__pool_frame *frame);
/* Reads them; false: not a valid frame. The cursor is left at the records. */
bool ame__pool_frame_get(struct ame__cursor *cursor, struct ame__pool_frame *frame);
/* Adds a record; false: it does not fit, and nothing has changed. */
bool ame__pool_record_put(struct ame__cursor *cursor, const struct ame__pool_record *record);
/* Takes the next record: 1, 0 at the end, -1 when the frame is broken. */
int ame__pool_record_get(struct ame__cursor *cursor, struct ame__pool_record *record);

#endif
