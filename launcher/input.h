/* input.h - ameexec's standard input on its way to the ranks that read it through ameexec. */
#ifndef AME_LAUNCHER_INPUT_H
#define AME_LAUNCHER_INPUT_H

#include <termios.h>
#include <uv.h>

#include "plan.h"
#include "proto.h"

struct ame__input_target {
    int rank;
    bool started, open;
    size_t outstanding; /* bytes sent and not yet taken */
};

struct ame__input {
    uv_poll_t poll;
    uv_timer_t timer; /* waits for the terminal's foreground */
    struct ame__input_target *targets;
    int count;
    bool pollable, ended, terminal, raw;
    struct termios saved;
    void (*send)(void *owner, int rank, enum ame__frame_kind kind, const char *data, size_t length);
    void *owner;
};

/* `send` and `owner` are set by the caller. Does nothing when no rank reads through ameexec. */
void ame__input_open(struct ame__input *input, uv_loop_t *loop, const struct ame__plan *plan);
/* The rank runs. Nothing is read before all ranks that read through ameexec do. */
void ame__input_rank_started(struct ame__input *input, int rank);
void ame__input_taken(struct ame__input *input, int rank, size_t bytes);
void ame__input_rank_closed(struct ame__input *input, int rank);
/* Gives the terminal back as it was. */
void ame__input_restore(struct ame__input *input);
void ame__input_close(struct ame__input *input);

#endif
