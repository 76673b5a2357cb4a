/* input.c - reading standard input no faster than the ranks take it.
 *
 * A rank whose input is a file or pipe gets ameexec's own descriptor instead (plan.c) and none of this is used. What is
 * left are terminals (a rank is in another session and must not read ours), copies for all ranks, and ranks with a
 * terminal of their own. Input is read only while every open target has room in its window, so nothing is read that
 * nobody asked for, save for one window.
 *
 * Reading a terminal from the background would stop ameexec (SIGTTIN); so before each read it is checked who is in
 * front, and when somebody else is, ameexec looks again every half second, only while input is waiting there.
 */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"

#define LOOK_AGAIN_MS 500

static void progress(struct ame__input *input);

static bool in_background(const struct ame__input *input)
{
    return input->terminal && tcgetpgrp(STDIN_FILENO) != getpgrp();
}

static void on_timer(uv_timer_t *timer)
{
    progress(timer->data);
}

static size_t room(const struct ame__input *input)
{
    size_t least = AME__INPUT_WINDOW;
    bool any = false;
    for (int i = 0; i < input->count; i++) {
        if (!input->targets[i].started) return 0;
        if (!input->targets[i].open) continue;
        any = true;
        if (AME__INPUT_WINDOW - input->targets[i].outstanding < least)
            least = AME__INPUT_WINDOW - input->targets[i].outstanding;
    }
    return any ? least : 0;
}

static void send_all(struct ame__input *input, enum ame__frame_kind kind, const char *data, size_t length)
{
    for (int i = 0; i < input->count; i++) {
        if (!input->targets[i].open) continue;
        input->targets[i].outstanding += length;
        input->send(input->owner, input->targets[i].rank, kind, data, length);
    }
}

/* True when there may be more. */
static bool read_some(struct ame__input *input)
{
    char data[AME__INPUT_WINDOW];
    size_t size = room(input);
    if (!size || input->ended) return false;
    ssize_t got = read(STDIN_FILENO, data, size);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (got > 0) {
        send_all(input, AME__FRAME_INPUT, data, (size_t) got);
        return true;
    }
    input->ended = true;
    send_all(input, AME__FRAME_INPUT_END, NULL, 0);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct ame__input *input = poll->data;
    (void) status, (void) events;
    if (in_background(input)) {
        uv_poll_stop(poll);
        uv_timer_start(&input->timer, on_timer, LOOK_AGAIN_MS, 0);
        return;
    }
    read_some(input);
    progress(input);
}

static void progress(struct ame__input *input)
{
    if (!input->pollable) {
        while (read_some(input)) {
        }
    } else if (input->ended || !room(input)) {
        uv_poll_stop(&input->poll);
    } else {
        uv_poll_start(&input->poll, UV_READABLE, on_readable);
    }
}

static void make_raw(struct ame__input *input)
{
    struct termios mode;
    if (!input->terminal || in_background(input) || tcgetattr(STDIN_FILENO, &input->saved)) return;
    mode = input->saved;
    cfmakeraw(&mode);
    mode.c_oflag = input->saved.c_oflag; /* other ranks and ameexec still write plain newlines */
    input->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) == 0;
}

void ame__input_open(struct ame__input *input, uv_loop_t *loop, const struct ame__plan *plan)
{
    bool pty = false;
    for (int rank = 0; rank < plan->size; rank++) {
        if (plan->ranks[rank].input != AME__INPUT_PIPE) continue;
        input->targets = ame__xrealloc(input->targets, (size_t) (input->count + 1) * sizeof *input->targets);
        input->targets[input->count++] = (struct ame__input_target){.rank = rank, .open = true};
        pty = pty || plan->ranks[rank].pty;
    }
    if (!input->count) return;
    input->terminal = isatty(STDIN_FILENO);
    uv_timer_init(loop, &input->timer);
    input->timer.data = input->poll.data = input;
    input->pollable = uv_poll_init(loop, &input->poll, STDIN_FILENO) == 0; /* not for regular files and /dev/null */
    input->poll.data = input;
    if (pty) make_raw(input);
    progress(input);
}

static struct ame__input_target *find(struct ame__input *input, int rank)
{
    for (int i = 0; i < input->count; i++)
        if (input->targets[i].rank == rank) return &input->targets[i];
    return NULL;
}

void ame__input_rank_started(struct ame__input *input, int rank)
{
    struct ame__input_target *target = find(input, rank);
    if (!target) return;
    target->started = true;
    progress(input);
}

void ame__input_taken(struct ame__input *input, int rank, size_t bytes)
{
    struct ame__input_target *target = find(input, rank);
    if (!target || !target->open) return;
    target->outstanding -= bytes < target->outstanding ? bytes : target->outstanding;
    progress(input);
}

void ame__input_rank_closed(struct ame__input *input, int rank)
{
    struct ame__input_target *target = find(input, rank);
    if (!target || !target->open) return;
    target->started = true;
    target->open = false;
    progress(input);
}

void ame__input_restore(struct ame__input *input)
{
    if (input->raw) tcsetattr(STDIN_FILENO, TCSADRAIN, &input->saved);
    input->raw = false;
}

void ame__input_close(struct ame__input *input)
{
    if (!input->count) return;
    ame__input_restore(input);
    if (input->pollable) uv_close((uv_handle_t *) &input->poll, NULL);
    uv_close((uv_handle_t *) &input->timer, NULL);
    free(input->targets);
    input->targets = NULL;
    input->count = 0;
}
