/* Fuzzing the engine: a rank of a job of three, in this process, whose connections end in socket pairs, of which the input
 * plays the other ends. It is a script of calls of the program (sends, receives, collective calls, probes) and of frames
 * that arrive: such as they should be, such as they almost should be, and bytes.
 *
 * The first byte says whether this is rank 0, which relays, or rank 1, with or without a direct link to rank 2. No real
 * connection is ever made (connect is this file's). What must be, besides what the sanitizers look for: when the
 * connections have ended, each call that was started ends too.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ame.h>

#include "comm/comm.h"
#include "fuzz.h"

enum { RANKS = 3, CALLS_MAX = 24, STEPS_MAX = 400, LONGEST = 3 << 20, LENGTH_COUNT = 12 };

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    (void) fd, (void) address, (void) size;
    errno = ECONNREFUSED;
    return -1;
}

static struct call {
    ame_request *request;
    void *buffer, *other;
} calls[CALLS_MAX];
static int far_end[RANKS]; /* of the connection with each rank; -1: none */
static ame_comm *second;   /* a communicator beside the world's, or NULL */
static uint64_t next_data[RANKS];

static const unsigned lengths[LENGTH_COUNT] = {
    0, 1, 4, 100, 1000, 8191, 8192, 70000, 256 << 10, (256 << 10) + 1, AME__PAYLOAD_MAX, AME__PAYLOAD_MAX + 5000};

/* ---- the rank ------------------------------------------------------------------------------------ */

static void connect_rank(int rank)
{
    struct ame__engine *engine = &ame__engine;
    int pair[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    struct ame__conn *conn = ame__conn_create(&engine->net, pair[0], AME__CONN_OPEN, rank);
    FUZZ_CHECK(conn);
    conn->window = engine->net.window;
    far_end[rank] = pair[1];
    ame__conn_watch(conn, UV_READABLE);
    engine->net.events->opened(conn);
}

static void begin(int rank, bool linked)
{
    struct ame__engine *engine = &ame__engine;
    *engine = (struct ame__engine){.lock = PTHREAD_MUTEX_INITIALIZER};
    ame__list_init(&engine->free_requests);
    ame__list_init(&engine->request_blocks);
    ame__list_init(&engine->callouts);
    engine->rank = rank;
    engine->size = RANKS;
    strcpy(engine->host, "here");
    engine->boot.fd = -1;
    engine->eager_limit = 256 << 10;
    engine->direct = linked;
    FUZZ_CHECK(!ame__net_open(&engine->net, rank, RANKS, true, 1 << 20, &ame__peer_events));
    engine->peers = calloc(RANKS, sizeof *engine->peers);
    engine->leavers = calloc(RANKS, sizeof *engine->leavers);
    FUZZ_CHECK(engine->peers && engine->leavers);
    for (int i = 0; i < RANKS; i++) {
        ame__list_init(&engine->peers[i].held);
        engine->peers[i].paused_for = -1;
        engine->peers[i].window = engine->net.window;
        far_end[i] = -1;
        next_data[i] = 0;
    }
    pthread_cond_init(&engine->progressed, NULL);
    pthread_cond_init(&engine->helper_wake, NULL);
    engine->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    engine->timer_open = uv_timer_init(&engine->net.loop, &engine->notice_timer) == 0;
    engine->ready = true;
    for (int i = 0; i < RANKS; i++)
        if (i != rank && (rank == 0 || i == 0 || linked)) connect_rank(i);
    FUZZ_CHECK(!ame__comm_world_create());
    atomic_store(&engine->stage, AME__RUNNING);
}

/* Takes what the rank sends, so that it can go on sending. */
static void drain(void)
{
    static char bytes[64 << 10];
    for (int rank = 0; rank < RANKS; rank++)
        for (int turn = 0; turn < 64 && far_end[rank] >= 0 && recv(far_end[rank], bytes, sizeof bytes, 0) > 0; turn++) {
        }
}

static void serve(int turns)
{
    for (int turn = 0; turn < turns; turn++) {
        ame__net_poll(&ame__engine.net);
        drain();
    }
}

static void end_call(struct call *call)
{
    free(call->buffer);
    free(call->other);
    *call = (struct call){0};
}

static void test_calls(void)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        ame_status status;
        int done = 0;
        if (!calls[i].request) continue;
        if (ame_test(&calls[i].request, &done, &status) == AME_E_ABORTED && calls[i].request)
            done = ame__request_is_over(calls[i].request); /* it does not say so any more */
        if (done) end_call(&calls[i]);
    }
}

static void end(void)
{
    bool waiting = true;
    for (int rank = 0; rank < RANKS; rank++) {
        if (far_end[rank] >= 0) close(far_end[rank]);
        far_end[rank] = -1;
    }
    for (int turn = 0; turn < 2000 && waiting; turn++) {
        serve(1);
        test_calls();
        waiting = false;
        for (int i = 0; i < CALLS_MAX; i++) waiting |= calls[i].request != NULL;
    }
    FUZZ_CHECK(!waiting); /* a call would wait for ever */
    second = NULL;
    ame_finalize();
}

/* ---- calls of the program ------------------------------------------------------------------------ */

static struct call *new_call(size_t buffer, size_t other)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        if (calls[i].request) continue;
        calls[i].buffer = malloc(buffer + 1);
        calls[i].other = malloc(other + 1);
        FUZZ_CHECK(calls[i].buffer && calls[i].other);
        memset(calls[i].buffer, 1, buffer + 1);
        return &calls[i];
    }
    return NULL;
}

static int another_rank(unsigned choice)
{
    return (ame__engine.rank + 1 + (int) (choice % (RANKS - 1))) % RANKS;
}

static ame_comm *comm_of(unsigned choice)
{
    return choice & 0x80 && second ? second : ame_comm_world();
}

static void start_message(struct fuzz *input)
{
    unsigned how = fuzz_byte(input), tag = fuzz_byte(input) % 4;
    size_t length = lengths[fuzz_byte(input) % LENGTH_COUNT];
    struct call *call = new_call(length, 0);
    if (!call) return;
    int rank = another_rank(how >> 2), code;
    switch (how & 3) {
    case 0: code = ame_isend(call->buffer, length, rank, (int) tag, comm_of(how), &call->request); break;
    case 1: code = ame_issend(call->buffer, length, rank, (int) tag, comm_of(how), &call->request); break;
    default:
        code = ame_irecv(call->buffer, length, how & 8 ? AME_ANY_SOURCE : rank, tag == 3 ? AME_ANY_TAG : (int) tag,
                         comm_of(how), &call->request);
    }
    if (code) end_call(call);
}

static void start_collective(struct fuzz *input)
{
    unsigned how = fuzz_byte(input), root = fuzz_byte(input) % RANKS;
    size_t length = lengths[fuzz_byte(input) % 9] / 8 * 8;
    ame_comm *comm = comm_of(how);
    struct call *call = new_call(RANKS * length, RANKS * length);
    if (!call) return;
    const void *from = call->buffer;
    void *to = call->other;
    ame_request **request = &call->request;
    int code;
    switch (how % 9) {
    case 0: code = ame_ibarrier(comm, request); break;
    case 1: code = ame_ibcast(to, length, (int) root, comm, request); break;
    case 2: code = ame_igather(from, length, to, (int) root, comm, request); break;
    case 3: code = ame_iscatter(from, to, length, (int) root, comm, request); break;
    case 4: code = ame_iallgather(from, length, to, comm, request); break;
    case 5: code = ame_ialltoall(from, length, to, comm, request); break;
    case 6: code = ame_ireduce(from, to, length / 8, AME_INT64, AME_SUM, (int) root, comm, request); break;
    case 7: code = ame_iallreduce(from, to, length / 8, AME_DOUBLE, AME_MAX, comm, request); break;
    default: code = ame_iscan(from, to, length / 8, AME_INT64, AME_SUM, comm, request); break;
    }
    if (code) end_call(call);
}

static void look_or_cancel(struct fuzz *input)
{
    unsigned how = fuzz_byte(input);
    ame_message *message = NULL;
    ame_status status;
    int found = 0, source = how & 8 ? AME_ANY_SOURCE : another_rank(how >> 4);
    switch (how % 4) {
    case 0: (void) ame_iprobe(source, AME_ANY_TAG, comm_of(how), &found, &status); break;
    case 1:
        if (ame_improbe(source, AME_ANY_TAG, comm_of(how), &found, &message, &status) || !found) break;
        struct call *call = new_call(1000, 0);
        static unsigned char spare[1000];
        if (!call)
            (void) ame_mrecv(spare, 0, &message, &status);
        else if (ame_imrecv(call->buffer, 1000, &message, &call->request))
            end_call(call);
        break;
    case 2: {
        struct call *one = &calls[(how >> 2) % CALLS_MAX];
        if (one->request) (void) ame_cancel(one->request);
        break;
    }
    default:
        if (!second)
            (void) ame_comm_dup(ame_comm_world(), &second);
        else
            (void) ame_comm_free(&second); /* refused while calls are active */
    }
}

/* ---- frames that arrive -------------------------------------------------------------------------- */

static void deliver(int rank, const unsigned char *bytes, size_t length)
{
    for (int turn = 0; length && turn < 200 && far_end[rank] >= 0; turn++) {
        ssize_t n = send(far_end[rank], bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) return;
        if (n > 0) bytes += n, length -= (size_t) n;
        if (length) serve(1);
    }
}

static uint64_t context_of(unsigned choice)
{
    switch (choice % 8) {
    case 0:
    case 1: return 0;
    case 2:
    case 3: return 1;
    case 4: return second ? second->context->id : 4;
    case 5: return second ? second->collective->id : 5;
    case 6: return 2;
    default: return choice * 0x9e3779b97f4a7c15u;
    }
}

/* What the next posted receive from there wants: the frame that a well-behaved peer would send. */
static void suit(struct ame__header *header)
{
    struct ame__context *context = ame__context_find(header->context);
    struct ame_request *request = context ? ame__match_peek(context, header->src, AME_ANY_TAG) : NULL;
    if (!request) return;
    header->tag = request->tag == AME_ANY_TAG ? 0 : request->tag;
    header->length = request->length < AME__PAYLOAD_MAX ? request->length : AME__PAYLOAD_MAX;
    header->other = request->check;
}

/* The name of a request that waits, as CTS, DATA and GONE carry it. */
static uint64_t name_of(unsigned choice)
{
    const struct ame__engine *engine = &ame__engine;
    uint32_t index = 1 + choice % 32;
    if (choice & 0x80 || index >= engine->slot_count) return (uint64_t) (choice >> 5) << 32 | index;
    return (uint64_t) engine->slots[index].generation << 32 | index;
}

static void arrive(struct fuzz *input)
{
    static unsigned char bytes[AME__HEADER_SIZE + LONGEST];
    unsigned how = fuzz_byte(input), who = fuzz_byte(input), what = fuzz_byte(input), size = fuzz_byte(input);
    int from = another_rank(who);
    struct ame__header header = {.kind = (uint8_t) (1 + (how & 0x3f) % (AME__FRAME_COUNT - 1)),
                                 .tag = (int32_t) (what >> 6),
                                 .context = context_of(what),
                                 .src = who & 4 ? another_rank(who >> 3) : from,
                                 .dst = who & 0x10 ? (int32_t) (who >> 6) % RANKS : ame__engine.rank,
                                 .length = size < LENGTH_COUNT ? lengths[size]
                                           : size < 240        ? size
                                                               : UINT64_MAX >> (size & 15)};
    if (from != 0 && far_end[from] < 0) header.src = from, from = 0; /* what comes through the relay */
    if (far_end[from] < 0) return;
    header.id = name_of(what);
    if (header.kind == AME__FRAME_POISON) header.id = (what & 31) | (uint64_t) (size & 3) << 32;
    if (header.kind >= AME__FRAME_READY) header.id = what % 4;
    if (how & 0x40) {
        suit(&header);
    } else if (how & 0x80) {
        header.other = header.id = fuzz_number(input);
    } else if (header.kind == AME__FRAME_DATA) {
        const struct ame_request *request = ame__slot_find(header.id, header.src, AME__RECV);
        header.other = request ? request->moved : 0;
        if (request && header.length > request->accepted - request->moved)
            header.length = request->accepted - request->moved;
    } else {
        header.other = name_of(size);
    }
    ame__header_encode(bytes, &header);
    size_t payload = ame__header_payload(&header), given;
    if (payload > AME__PAYLOAD_MAX) payload = 0;
    memset(bytes + AME__HEADER_SIZE, 'x', payload);
    if (payload && payload < 400 && header.kind >= AME__FRAME_POISON) { /* what it says matters */
        const uint8_t *own = fuzz_bytes(input, payload, &given);
        memcpy(bytes + AME__HEADER_SIZE, own, given);
    }
    deliver(from, bytes, AME__HEADER_SIZE + payload);
}

static void arrive_raw(struct fuzz *input)
{
    size_t length;
    unsigned who = fuzz_byte(input);
    const uint8_t *bytes = fuzz_bytes(input, who >> 2, &length);
    int from = another_rank(who);
    if (far_end[from] >= 0) deliver(from, bytes, length);
}

static void disconnect(struct fuzz *input)
{
    unsigned who = fuzz_byte(input);
    int from = another_rank(who);
    if (far_end[from] < 0) return;
    if (who & 0x80)
        shutdown(far_end[from], SHUT_WR);
    else if (who & 0x40)
        close(far_end[from]), far_end[from] = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    unsigned role = fuzz_byte(&input);
    begin(role % 3 ? 1 : 0, role % 3 == 2);
    for (int step = 0; step < STEPS_MAX && input.left; step++) {
        switch (fuzz_byte(&input) % 12) {
        case 0:
        case 1:
        case 2: start_message(&input); break;
        case 3:
        case 4: start_collective(&input); break;
        case 5: look_or_cancel(&input); break;
        case 6: arrive_raw(&input); break;
        case 7:
            serve(2);
            test_calls();
            break;
        case 8: disconnect(&input); break;
        default: arrive(&input); break;
        }
        serve(1);
    }
    end();
    return 0;
}
