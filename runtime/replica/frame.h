/* frame.h - what travels for replicas: a task from rank 0 to a worker, and its reply. Pure, no I/O.
 *
 * Both are numbers of 64 bits in the order of the machine (the handshake has made sure that it is the same everywhere), and
 * the program's bytes in between, whose lengths the kind says:
 *
 *   task    magic, replicas, then for each: id, from, step, runs, flags; for each run: serial, steps, parameters;
 *           the state, if the flags say so
 *   reply   magic, replicas, then for each: id, serial, status, flags; the result, if it is done; the state, if the flags say so
 *
 * Each ame_replicas_run has a serial number, also one that fails. A state is known by the serial of the last run that it has
 * been through (0: none), so that one left over from a run that failed is never taken for the right one, which has as many
 * steps. `from` is the serial before the first run of the task, `step` the steps made until then. A worker that holds
 * the state at `from`, or after one of the runs, does what is left; one that does not, and gets no state with the task, says
 * AME__REPLICA_NEEDS, and rank 0 tries again with the state and all runs since.
 */
#ifndef AME_REPLICA_FRAME_H
#define AME_REPLICA_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AME__REPLICA_HAS_STATE = 1,   /* task, reply: a state comes with it */
    AME__REPLICA_WANTS_STATE = 2, /* task: the reply is to have the state */
    AME__REPLICA_WANTS_RESULT = 4
};
enum ame__replica_status { AME__REPLICA_DONE, AME__REPLICA_NEEDS };

/* One replica in a task or a reply. */
struct ame__task_part {
    uint64_t id, from, step, runs, flags;
};
struct ame__reply_part {
    uint64_t id, serial, status, flags;
};

/* Bytes being written; `failed` once memory is out. */
struct ame__writer {
    unsigned char *data; /* malloc'ed */
    size_t length, room;
    bool failed;
};
/* Bytes being read; `failed` once something is asked for that is not there. */
struct ame__reader {
    const unsigned char *next;
    size_t left;
    bool failed;
};

void ame__write(struct ame__writer *writer, const void *bytes, size_t length);
void ame__write_number(struct ame__writer *writer, uint64_t number);
/* The next `length` bytes, which stay where they are; NULL if there are not so many. */
const void *ame__read(struct ame__reader *reader, size_t length);
/* The next number; 0 if there is none. */
uint64_t ame__read_number(struct ame__reader *reader);

/* Beginning of a task or a reply with so many replicas. */
void ame__write_head(struct ame__writer *writer, uint64_t replicas);
/* The number of replicas; fails if it is no such thing, or has more than `most`. */
uint64_t ame__read_head(struct ame__reader *reader, uint64_t most);
void ame__write_task_part(struct ame__writer *writer, const struct ame__task_part *part);
struct ame__task_part ame__read_task_part(struct ame__reader *reader);
void ame__write_reply_part(struct ame__writer *writer, const struct ame__reply_part *part);
struct ame__reply_part ame__read_reply_part(struct ame__reader *reader);

#endif
