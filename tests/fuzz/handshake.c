/* Fuzzing runtime/wire/frame.c and runtime/net/handshake.c: what a stranger, or what is dialled, says to a rank. The first
 * byte says on which side the rank is, and how much of what is said is right: the other side may know the key, and say the
 * proper words with some bytes changed. Nobody is let in who has not proved the key.
 */
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/net.h"

enum { SIZE = 4, RANK = 1, PEER = 2 };

static struct {
    int opened, closed;
} seen;

static enum ame__refusal welcome(struct ame__net *net, const struct ame__hello *hello)
{
    return hello->to == (uint32_t) net->rank && hello->size == (uint32_t) net->size && hello->from < hello->size
               ? AME__REFUSE_NONE
               : AME__REFUSE_RANK;
}
static void opened(struct ame__conn *conn)
{
    FUZZ_CHECK(conn->peer >= 0 && conn->peer < SIZE);
    seen.opened++;
}
static void dial_failed(struct ame__net *net, int peer, int code, const char *text)
{
    (void) net, (void) peer, (void) code, (void) text;
}
static void frame_begin(struct ame__conn *conn)
{
    FUZZ_CHECK(seen.opened && ame__header_payload(&conn->header) <= AME__PAYLOAD_MAX);
}
static unsigned char *frame_guess(struct ame__conn *conn)
{
    (void) conn;
    return NULL;
}
static void nothing(struct ame__conn *conn)
{
    (void) conn;
}
static void closed(struct ame__conn *conn, int code, const char *text)
{
    (void) conn, (void) code, (void) text;
    seen.closed++;
}
static const struct ame__net_events events = {.welcome = welcome,
                                              .opened = opened,
                                              .dial_failed = dial_failed,
                                              .frame_begin = frame_begin,
                                              .frame_guess = frame_guess,
                                              .frame_end = nothing,
                                              .closed = closed,
                                              .drained = nothing};

/* A frame header that is good is the same when it is written again. */
static void check_header(const uint8_t bytes[AME__HEADER_SIZE])
{
    struct ame__header header;
    unsigned char again[AME__HEADER_SIZE];
    if (ame__header_decode(bytes, SIZE, &header)) return;
    FUZZ_CHECK(ame__header_payload(&header) <= AME__PAYLOAD_MAX && header.src < SIZE && header.dst < SIZE);
    ame__header_encode(again, &header);
    FUZZ_CHECK(!memcmp(again, bytes, sizeof again));
}

static void make_proof(const unsigned char key[AME__KEY_SIZE], const char *role, const unsigned char *hello,
                       const unsigned char *answer, unsigned char proof[AME__PROOF_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, AME__KEY_SIZE, AME__PROOF_SIZE);
    crypto_generichash_update(&state, (const unsigned char *) role, strlen(role));
    crypto_generichash_update(&state, hello, AME__HELLO_SIZE);
    crypto_generichash_update(&state, answer, AME__ANSWER_SIZE - AME__PROOF_SIZE);
    crypto_generichash_final(&state, proof, AME__PROOF_SIZE);
}

/* Says `bytes`, some of them changed as the input wants; returns whether none was. */
static bool say(int fd, struct fuzz *input, unsigned char *bytes, size_t length)
{
    bool changed = false;
    for (unsigned changes = fuzz_byte(input) % 4; changes > 0; changes--) {
        unsigned char *at = &bytes[fuzz_byte(input) % length], by = (unsigned char) fuzz_byte(input);
        *at ^= by;
    }
    size_t first = fuzz_byte(input) % (length + 1);
    changed = send(fd, bytes, first, MSG_NOSIGNAL) < 0; /* in two pieces */
    changed |= send(fd, bytes + first, length - first, MSG_NOSIGNAL) < 0;
    return !changed;
}

/* The rank listens. */
static void accept_from(struct ame__net *net, struct ame__conn *conn, int fd, struct fuzz *input, bool knows)
{
    struct ame__hello hello = {
        .version = AME__PROTOCOL_VERSION, .size = SIZE, .from = PEER, .to = RANK, .window = 1 << 20};
    unsigned char bytes[AME__HELLO_SIZE], answer[AME__ANSWER_SIZE], proof[AME__PROOF_SIZE] = {1};
    ame__hello_encode(bytes, &hello);
    if (!say(fd, input, bytes, sizeof bytes)) return;
    ame__net_poll(net);
    if (recv(fd, answer, sizeof answer, MSG_DONTWAIT) != sizeof answer) return;
    if (knows) make_proof(net->key, "AME dialler", bytes, answer, proof);
    unsigned char right[AME__PROOF_SIZE];
    make_proof(net->key, "AME dialler", bytes, answer, right);
    bool good = say(fd, input, proof, sizeof proof) && !memcmp(proof, right, sizeof right);
    ame__net_poll(net);
    FUZZ_CHECK(!seen.opened || good);
    (void) conn;
}

/* The rank has dialled and said HELLO. */
static void answer_to(struct ame__net *net, struct ame__conn *conn, int fd, struct fuzz *input, bool knows)
{
    struct ame__hello hello = {
        .version = AME__PROTOCOL_VERSION, .size = SIZE, .from = RANK, .to = PEER, .window = 1 << 20};
    struct ame__answer answer = {.version = AME__PROTOCOL_VERSION, .window = 1 << 20};
    unsigned char bytes[AME__ANSWER_SIZE], right[AME__PROOF_SIZE];
    ame__hello_encode(conn->hello, &hello);
    ame__answer_encode(bytes, &answer);
    if (knows) make_proof(net->key, "AME acceptor", conn->hello, bytes, bytes + sizeof bytes - AME__PROOF_SIZE);
    if (!say(fd, input, bytes, sizeof bytes)) return;
    make_proof(net->key, "AME acceptor", conn->hello, bytes, right);
    ame__net_poll(net);
    FUZZ_CHECK(!seen.opened || !memcmp(bytes + sizeof bytes - AME__PROOF_SIZE, right, sizeof right));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    struct ame__net net;
    int pair[2];
    unsigned how = fuzz_byte(&input);
    if (input.left >= AME__HEADER_SIZE) check_header(input.at);
    memset(&seen, 0, sizeof seen);
    FUZZ_CHECK(ame__net_open(&net, RANK, SIZE, true, 1 << 20, &events) == AME_OK);
    memset(net.key, 42, sizeof net.key);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    bool accepting = how & 1;
    struct ame__conn *conn =
        ame__conn_create(&net, pair[0], accepting ? AME__CONN_ACCEPTED : AME__CONN_GREETING, accepting ? -1 : PEER);
    FUZZ_CHECK(conn);
    conn->deadline = ame__now_ns() + (int64_t) 3600 * 1000000000;
    ame__handshake_begin(conn);
    if (how & 2) /* nothing but bytes */
        (void) send(pair[1], input.at, input.left < 4096 ? input.left : 4096, MSG_NOSIGNAL);
    else if (accepting)
        accept_from(&net, conn, pair[1], &input, how & 4);
    else
        answer_to(&net, conn, pair[1], &input, how & 4);
    for (int turn = 0; turn < 4; turn++) ame__net_poll(&net);
    if (how & 2) FUZZ_CHECK(!seen.opened);
    if (seen.opened && input.left) { /* frames, as they may be */
        (void) send(pair[1], input.at, input.left < 65536 ? input.left : 65536, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (int turn = 0; turn < 4; turn++) ame__net_poll(&net);
    }
    close(pair[1]);
    ame__net_close(&net);
    FUZZ_CHECK(seen.closed == seen.opened);
    return 0;
}
