/* messages.c - device memory as the buffer of messages: every form of send and receive with every other, at lengths around
 * each limit, to the rank itself and to others, in both directions at once.
 *
 *     gpu_messages [LONGEST]
 *
 * Memory of each side is device or host memory in all four combinations. Runs on the mock driver, whose device memory
 * faults when the CPU touches it, and on a real device.
 */
#include <ame_gpu.h>

#include "../job/check.h"

enum { GUARD = 64 };

/* A buffer in device or host memory, with a guard behind it. */
struct buffer {
    unsigned char *at;
    bool device;
    size_t room;
};

static struct buffer make(bool device, size_t room)
{
    struct buffer buffer = {.device = device, .room = room};
    void *memory = NULL;
    unsigned char *guard = check_alloc(room + GUARD);
    memset(guard, 0x5a, room + GUARD);
    if (device) {
        CHECK_OK(ame_gpu_malloc(room + GUARD, &memory));
        CHECK_OK(ame_gpu_copy(memory, guard, room + GUARD, NULL));
        free(guard);
        buffer.at = memory;
    } else {
        buffer.at = guard;
    }
    return buffer;
}

static void fill(const struct buffer *buffer, size_t length, uint64_t seed)
{
    unsigned char *host = check_alloc(length);
    check_fill(host, length, seed);
    CHECK_OK(ame_gpu_copy(buffer->at, host, length, NULL));
    free(host);
}

/* Checks contents, and that nothing behind them has been written to. */
static void verify(const struct buffer *buffer, size_t length, uint64_t seed)
{
    unsigned char *host = check_alloc(buffer->room + GUARD);
    CHECK_OK(ame_gpu_copy(host, buffer->at, buffer->room + GUARD, NULL));
    CHECK_FILLED(host, length, seed);
    CHECK_ALL(host + length, buffer->room + GUARD - length, 0x5a);
    free(host);
}

static void release(struct buffer *buffer)
{
    if (buffer->device)
        CHECK_OK(ame_gpu_free(buffer->at));
    else
        free(buffer->at);
}

/* ---- one message, each way of sending and receiving ------------------------------------------------ */

enum { SENDS = 4, RECVS = 7 };

static ame_request *send_in(int way, const void *buf, size_t length, int dest, int tag)
{
    ame_request *request = NULL;
    switch (way) {
    case 0: CHECK_OK(ame_send(buf, length, dest, tag, AME_COMM_WORLD)); break;
    case 1: CHECK_OK(ame_ssend(buf, length, dest, tag, AME_COMM_WORLD)); break;
    case 2: CHECK_OK(ame_isend(buf, length, dest, tag, AME_COMM_WORLD, &request)); break;
    default: CHECK_OK(ame_issend(buf, length, dest, tag, AME_COMM_WORLD, &request)); break;
    }
    return request;
}

static void recv_in(int way, const struct buffer *buffer, int source, int tag, ame_status *status)
{
    ame_request *request = NULL;
    ame_message *message = NULL;
    int done = 0, index = -1;
    switch (way) {
    case 0: CHECK_OK(ame_recv(buffer->at, buffer->room, source, tag, AME_COMM_WORLD, status)); break;
    case 1: CHECK_OK(ame_recv(buffer->at, buffer->room, AME_ANY_SOURCE, tag, AME_COMM_WORLD, status)); break;
    case 2:
        CHECK_OK(ame_probe(source, tag, AME_COMM_WORLD, status));
        CHECK_OK(ame_recv(buffer->at, status->length, status->source, status->tag, AME_COMM_WORLD, status));
        break;
    case 3:
        CHECK_OK(ame_mprobe(source, tag, AME_COMM_WORLD, &message, status));
        CHECK_OK(ame_mrecv(buffer->at, buffer->room, &message, status));
        break;
    case 4:
        CHECK_OK(ame_mprobe(AME_ANY_SOURCE, tag, AME_COMM_WORLD, &message, status));
        CHECK_OK(ame_imrecv(buffer->at, buffer->room, &message, &request));
        CHECK_OK(ame_wait(&request, status));
        break;
    case 5:
        CHECK_OK(ame_irecv(buffer->at, buffer->room, source, tag, AME_COMM_WORLD, &request));
        while (!done) CHECK_OK(ame_test(&request, &done, status));
        break;
    default:
        CHECK_OK(ame_irecv(buffer->at, buffer->room, AME_ANY_SOURCE, tag, AME_COMM_WORLD, &request));
        CHECK_OK(ame_waitany(1, &request, &index, status));
        break;
    }
}

/* From each rank to the next, in all ways; even ranks send first. Alone: to itself. */
static void one_message(size_t length, bool from_device, bool to_device, int send_way, int recv_way)
{
    int right = (check_rank + 1) % check_size, left = (check_rank + check_size - 1) % check_size, tag = 7;
    struct buffer out = make(from_device, length), in = make(to_device, length);
    ame_status status;
    fill(&out, length, (uint64_t) check_rank);
    if (check_size == 1 || (check_rank == 0 && check_size % 2 == 1)) send_way |= 2; /* somebody must not block */
    if (check_rank % 2 == 0) {
        ame_request *request = send_in(send_way, out.at, length, right, tag);
        recv_in(recv_way, &in, left, tag, &status);
        CHECK_OK(ame_wait(&request, NULL));
    } else {
        recv_in(recv_way, &in, left, tag, &status);
        ame_request *request = send_in(send_way, out.at, length, right, tag);
        CHECK_OK(ame_wait(&request, NULL));
    }
    CHECK(status.source == left && status.tag == tag && status.length == length);
    verify(&in, length, (uint64_t) left);
    verify(&out, length, (uint64_t) check_rank);
    release(&out);
    release(&in);
}

static void all_ways(size_t length)
{
    for (int memory = 0; memory < 4; memory++)
        for (int send_way = 0; send_way < SENDS; send_way++)
            for (int recv_way = 0; recv_way < RECVS; recv_way++) {
                int one_of = length > 600000 ? 8 : length > 70000 ? 4 : 1; /* of the long ones some are enough */
                if ((7 * send_way + recv_way + memory) % one_of) continue;
                one_message(length, memory & 1, memory & 2, send_way, recv_way);
                /* A receive with a probe takes any message with the tag; wait for all to be through. */
                CHECK_OK(ame_barrier(AME_COMM_WORLD));
            }
}

/* ---- many at once -------------------------------------------------------------------------------- */

/* More long messages in flight, both ways, than there are slots. */
static void crossing(size_t length)
{
    enum { MANY = 6 };
    int right = (check_rank + 1) % check_size, left = (check_rank + check_size - 1) % check_size;
    struct buffer out[MANY], in[MANY];
    ame_request *requests[2 * MANY];
    for (int i = 0; i < MANY; i++) {
        out[i] = make(i % 3 != 2, length);
        in[i] = make(i % 2 == 0, length + (size_t) i);
        fill(&out[i], length, (uint64_t) (100 * check_rank + i));
        CHECK_OK(ame_irecv(in[i].at, in[i].room, left, i, AME_COMM_WORLD, &requests[i]));
    }
    for (int i = MANY - 1; i >= 0; i--)
        CHECK_OK(ame_isend(out[i].at, length, right, i, AME_COMM_WORLD, &requests[MANY + i]));
    CHECK_OK(ame_waitall(2 * MANY, requests, AME_STATUSES_IGNORE));
    for (int i = 0; i < MANY; i++) {
        verify(&in[i], length, (uint64_t) (100 * left + i));
        release(&in[i]);
        release(&out[i]);
    }
}

static void sendrecv(size_t length)
{
    int right = (check_rank + 1) % check_size, left = (check_rank + check_size - 1) % check_size;
    struct buffer out = make(true, length), in = make(true, length);
    ame_status status;
    fill(&out, length, (uint64_t) check_rank);
    CHECK_OK(ame_sendrecv(out.at, length, right, 3, in.at, length, left, 3, AME_COMM_WORLD, &status));
    CHECK(status.length == length);
    verify(&in, length, (uint64_t) left);
    release(&out);
    release(&in);
}

/* Too short a buffer: nothing behind it is written to, and the next message is right. */
static void truncated(size_t length)
{
    int right = (check_rank + 1) % check_size, left = (check_rank + check_size - 1) % check_size;
    struct buffer out = make(true, length), in = make(true, length);
    ame_request *requests[2] = {0};
    ame_status status;
    fill(&out, length, (uint64_t) check_rank);
    for (int i = 0; i < 2; i++) CHECK_OK(ame_isend(out.at, length, right, i, AME_COMM_WORLD, &requests[i]));
    CHECK_CODE(ame_recv(in.at, length - 1, left, 0, AME_COMM_WORLD, &status), AME_E_TRUNCATED, "capacity");
    CHECK(status.length == length);
    CHECK_OK(ame_recv(in.at, length, left, 1, AME_COMM_WORLD, &status));
    CHECK_OK(ame_waitall(2, requests, AME_STATUSES_IGNORE));
    verify(&in, length, (uint64_t) left);
    release(&out);
    release(&in);
}

static void allocated(void)
{
    int right = (check_rank + 1) % check_size, left = (check_rank + check_size - 1) % check_size;
    struct buffer out = make(true, 1000);
    ame_request *request = NULL;
    void *memory = NULL;
    size_t length = 0;
    fill(&out, 1000, (uint64_t) check_rank);
    CHECK_OK(ame_isend(out.at, 1000, right, 3, AME_COMM_WORLD, &request));
    CHECK_OK(ame_recv_alloc(&memory, &length, left, 3, AME_COMM_WORLD, NULL));
    CHECK_OK(ame_wait(&request, NULL));
    CHECK_EQUAL(length, 1000);
    CHECK_FILLED(memory, 1000, (uint64_t) left);
    free(memory);
    release(&out);
}

/* Cancelled, and never received: nothing may stay behind. */
static void given_up(void)
{
    struct buffer in = make(true, 3000000);
    ame_request *request = NULL;
    ame_status status;
    CHECK_OK(ame_irecv(in.at, in.room, AME_ANY_SOURCE, 99, AME_COMM_WORLD, &request));
    CHECK_OK(ame_cancel(request));
    CHECK_OK(ame_wait(&request, &status));
    CHECK(status.cancelled);
    release(&in);
}

int main(int argc, char **argv)
{
    static const size_t lengths[] = {1, 8, 4097, 65536, 262144, 262145, 524288, 524289, 1048576, 1048577, 2621443};
    size_t longest = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000000;
    check_begin();
    CHECK_OK(ame_gpu_bind(AME_COMM_WORLD, 1, NULL));
    if (!ame_gpu_usable()) {
        printf("no GPU: %s\n", ame_gpu_why());
        CHECK_OK(ame_finalize());
        return CHECK_SKIP;
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        if (lengths[i] > longest) break;
        all_ways(lengths[i]);
        sendrecv(lengths[i]);
        crossing(lengths[i]);
        truncated(lengths[i]);
    }
    allocated();
    given_up();
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    int code = check_end();
    ame_gpu_close();
    return code;
}
