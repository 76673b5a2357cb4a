/* Fuzzing launcher/channel.c, proto.c and work.c: what arrives on the control channel between ameexec and a host daemon, and
 * the plan that a daemon gets through it. The first byte says what comes, the others are it.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "fuzz.h"
#include "work.h"

struct seen {
    int frames, closed;
    struct ame__bytes plan;
};

static void on_frame(struct ame__channel *channel, const struct ame__frame *frame)
{
    struct seen *seen = channel->owner;
    seen->frames++;
    FUZZ_CHECK(frame->kind > AME__FRAME_NONE && frame->kind < AME__FRAME_KINDS &&
               frame->length <= AME__FRAME_PAYLOAD_MAX);
    if (frame->kind == AME__FRAME_PLAN) ame__bytes_append(&seen->plan, frame->payload, frame->length);
    if (frame->kind == AME__FRAME_PMI_LINE) /* answered as ameexec does, with what came */
        ame__channel_send(channel, AME__FRAME_PMI_REPLY, 0, frame->rank, frame->payload, frame->length);
    if (frame->kind == AME__FRAME_GONE) ame__channel_close(channel);
}

static void on_closed(struct ame__channel *channel)
{
    struct seen *seen = channel->owner;
    FUZZ_CHECK(++seen->closed == 1);
}

/* A plan that can be read comes out as it went in. */
static void decode(const char *data, size_t size)
{
    struct ame__work work;
    struct ame__bytes again = {0};
    char *exact = malloc(size + 1);
    FUZZ_CHECK(exact);
    if (size) memcpy(exact, data, size);
    if (ame__work_decode(&work, exact, size)) {
        FUZZ_CHECK(work.count > 0 && work.app_count > 0);
        for (int i = 0; i < work.count; i++)
            FUZZ_CHECK(ame__work_find(&work, (uint32_t) work.ranks[i].rank) == i && work.ranks[i].app < work.app_count);
        ame__work_encode(&work, &again);
        FUZZ_CHECK(ame__bytes_length(&again) == size && !memcmp(ame__bytes_data(&again), exact, size));
        ame__bytes_finish(&again);
        ame__work_finish(&work);
    }
    free(exact);
}

static void serve(struct fuzz *input)
{
    uv_loop_t loop;
    int pair[2];
    struct seen seen = {0};
    struct ame__channel channel = {.on_frame = on_frame, .on_closed = on_closed, .owner = &seen};
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0 &&
               uv_loop_init(&loop) == 0);
    FUZZ_CHECK(ame__channel_open(&channel, &loop, pair[0], pair[0]) == 0);
    while (input->left && channel.open) { /* in pieces, so that frames are cut anywhere */
        size_t length;
        const uint8_t *piece = fuzz_bytes(input, 1 + (size_t) fuzz_byte(input) * 40, &length);
        if (length && send(pair[1], piece, length, MSG_NOSIGNAL) < 0) break;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    close(pair[1]);
    for (int turn = 0; turn < 3 && channel.open; turn++) uv_run(&loop, UV_RUN_NOWAIT);
    FUZZ_CHECK(!channel.open);
    uv_run(&loop, UV_RUN_DEFAULT);
    FUZZ_CHECK(uv_loop_close(&loop) == 0);
    decode(ame__bytes_data(&seen.plan), ame__bytes_length(&seen.plan));
    ame__bytes_finish(&seen.plan);
    ame__bytes_finish(&channel.in);
    ame__bytes_finish(&channel.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    if (fuzz_byte(&input) & 1)
        decode((const char *) input.at, input.left);
    else
        serve(&input);
    return 0;
}
