/* handshake.c - both sides of a new connection prove that they know the job key. The messages are described in
 * wire/frame.h.
 *
 * Everything is read in exactly the size that is expected next, so no byte of a frame is touched before the proof. A
 * proof is BLAKE2b keyed with the job key over a word for the role, the HELLO and the ANSWER without its own proof
 * field.
 *
 * Encryption: a dialler says what AME_ENCRYPT is and whether it sees another host; the acceptor refuses where its own value
 * is another one, and else says whether the connection is sealed. Both are under the proofs, so nobody in between can talk
 * them out of it. The keys, one for each direction, are BLAKE2b keyed with the job key over the same bytes and over the
 * secret that both have from the other's nonce, which is then a public key of X25519.
 */
#include "net.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum { ANSWER_WITHOUT_PROOF = AME__ANSWER_SIZE - AME__PROOF_SIZE };

static void make_proof(const struct ame__conn *conn, const char *role, unsigned char proof[AME__PROOF_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, conn->net->key, AME__KEY_SIZE, AME__PROOF_SIZE);
    crypto_generichash_update(&state, (const unsigned char *) role, strlen(role));
    crypto_generichash_update(&state, conn->hello, AME__HELLO_SIZE);
    crypto_generichash_update(&state, conn->answer, ANSWER_WITHOUT_PROOF);
    crypto_generichash_final(&state, proof, AME__PROOF_SIZE);
}

/* The nonce of this side, which is a public key where encryption may be wanted. */
static void make_nonce(struct ame__conn *conn, unsigned char nonce[AME__NONCE_SIZE])
{
    randombytes_buf(nonce, AME__NONCE_SIZE);
    if (!conn->net->encrypt) return;
    randombytes_buf(conn->secret, sizeof conn->secret);
    crypto_scalarmult_base(nonce, conn->secret);
}

/* From now on what is sent is sealed; `nonce` is the other side's. False: no memory, or the nonce is no public key. */
static bool begin_sealing(struct ame__conn *conn, bool dialler, const unsigned char nonce[AME__NONCE_SIZE])
{
    enum { KEY = crypto_secretstream_xchacha20poly1305_KEYBYTES };
    static const char context[] = "AME encryption";
    unsigned char keys[2 * KEY], shared[crypto_scalarmult_BYTES];
    crypto_generichash_state state;
    bool good = crypto_scalarmult(shared, conn->secret, nonce) == 0;
    crypto_generichash_init(&state, conn->net->key, AME__KEY_SIZE, sizeof keys);
    crypto_generichash_update(&state, (const unsigned char *) context, strlen(context));
    crypto_generichash_update(&state, conn->hello, AME__HELLO_SIZE);
    crypto_generichash_update(&state, conn->answer, ANSWER_WITHOUT_PROOF);
    crypto_generichash_update(&state, shared, sizeof shared);
    crypto_generichash_final(&state, keys, sizeof keys);
    if (good) conn->crypt = ame__crypt_create(dialler ? keys : keys + KEY, dialler ? keys + KEY : keys);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(keys, sizeof keys);
    sodium_memzero(shared, sizeof shared);
    return conn->crypt != NULL;
}

/* A handshake message is smaller than any socket buffer, so what does not go out at once never will. */
static bool send_all(struct ame__conn *conn, const unsigned char *bytes, size_t length)
{
    ssize_t n = send(conn->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == (ssize_t) length) return true;
    ame__conn_close(conn, AME_E_CONNECT, n < 0 ? strerror(errno) : "no room to send the handshake");
    return false;
}

static void drop(struct ame__conn *conn, int code, const char *cause)
{
    char text[300];
    snprintf(text, sizeof text, "%s: %s", conn->address, cause);
    ame__log(net, DEBUG, "handshake failed: %s", text);
    ame__conn_close(conn, code, text);
}

static void become_open(struct ame__conn *conn)
{
    sodium_memzero(conn->secret, sizeof conn->secret);
    conn->state = AME__CONN_OPEN;
    conn->partial_length = 0;
    ame__handshake_strangers(conn->net, -1);
    ame__dial_won(conn);
    ame__conn_watch(conn, UV_READABLE);
    ame__log(net, DEBUG, "connection with rank %d at %s is open%s", conn->peer, conn->address,
             conn->crypt ? ", encrypted" : "");
    conn->net->events->opened(conn);
}

static void greet(struct ame__conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
        drop(conn, AME_E_CONNECT, strerror(error ? error : errno));
        return;
    }
    struct ame__hello hello = {.version = AME__PROTOCOL_VERSION,
                               .size = (uint32_t) conn->net->size,
                               .from = (uint32_t) conn->net->rank,
                               .to = (uint32_t) conn->peer,
                               .window = (uint32_t) conn->net->window,
                               .encrypt = conn->net->encrypt | (conn->remote ? AME__ENCRYPT_REMOTE : 0)};
    make_nonce(conn, hello.nonce);
    ame__hello_encode(conn->hello, &hello);
    conn->state = AME__CONN_GREETING;
    conn->deadline = ame__dial_deadline(conn);
    ame__conn_watch(conn, UV_READABLE);
    send_all(conn, conn->hello, AME__HELLO_SIZE);
}

/* Shall the connection be sealed, seen from the acceptor? */
static bool must_seal(const struct ame__conn *conn, const struct ame__hello *hello)
{
    return conn->net->encrypt == AME__ENCRYPT_ALL ||
           (conn->net->encrypt && (conn->remote || hello->encrypt & AME__ENCRYPT_REMOTE));
}

static void take_hello(struct ame__conn *conn)
{
    struct ame__hello hello;
    struct ame__answer answer = {.version = AME__PROTOCOL_VERSION};
    memcpy(conn->hello, conn->partial, AME__HELLO_SIZE);
    if (!ame__hello_decode(conn->hello, &hello)) {
        drop(conn, AME_E_PROTOCOL, "not a rank of this job (bad magic)");
        return;
    }
    if (hello.version != AME__PROTOCOL_VERSION)
        answer.refusal = AME__REFUSE_VERSION;
    else if ((hello.encrypt & ~AME__ENCRYPT_REMOTE) != conn->net->encrypt)
        answer.refusal = AME__REFUSE_ENCRYPT;
    else
        answer.refusal = conn->net->events->welcome(conn->net, &hello);
    if (answer.refusal == AME__REFUSE_NONE) {
        answer.window = (uint32_t) conn->net->window;
        answer.encrypt = must_seal(conn, &hello);
        make_nonce(conn, answer.nonce);
        ame__answer_encode(conn->answer, &answer);
        make_proof(conn, "AME acceptor", answer.proof);
    }
    ame__answer_encode(conn->answer, &answer);
    if (!send_all(conn, conn->answer, AME__ANSWER_SIZE)) return;
    if (answer.refusal != AME__REFUSE_NONE) {
        drop(conn, AME_E_CONNECT, ame__refusal_text(answer.refusal));
        return;
    }
    conn->peer = (int) hello.from;
    conn->window = hello.window;
    conn->state = AME__CONN_ANSWERED;
}

static void take_answer(struct ame__conn *conn)
{
    struct ame__answer answer;
    unsigned char proof[AME__PROOF_SIZE];
    char text[200];
    memcpy(conn->answer, conn->partial, AME__ANSWER_SIZE);
    if (!ame__answer_decode(conn->answer, &answer)) {
        drop(conn, AME_E_PROTOCOL, "something else than a rank of this job listens there");
    } else if (answer.refusal != AME__REFUSE_NONE) {
        static const char *const modes[] = {"0", "1", "2 (all)"};
        if (answer.refusal == AME__REFUSE_ENCRYPT)
            snprintf(text, sizeof text, "refused: %s (here AME_ENCRYPT=%s)", ame__refusal_text(answer.refusal),
                     modes[conn->net->encrypt]);
        else
            snprintf(text, sizeof text, "refused: %s (protocol version here %u, there %u)",
                     ame__refusal_text(answer.refusal), AME__PROTOCOL_VERSION, answer.version);
        drop(conn,
             answer.refusal == AME__REFUSE_VERSION   ? AME_E_VERSION
             : answer.refusal == AME__REFUSE_ENCRYPT ? AME_E_CONFIG
                                                     : AME_E_CONNECT,
             text);
    } else {
        make_proof(conn, "AME acceptor", proof);
        if (sodium_memcmp(proof, answer.proof, sizeof proof)) {
            drop(conn, AME_E_AUTH, "what listens there does not know the key of this job");
            return;
        }
        bool wanted = conn->net->encrypt == AME__ENCRYPT_ALL || (conn->net->encrypt && conn->remote);
        if ((wanted && !answer.encrypt) || (answer.encrypt && !conn->net->encrypt)) {
            drop(conn, AME_E_AUTH, "it does not encrypt as AME_ENCRYPT asks for here");
            return;
        }
        make_proof(conn, "AME dialler", proof);
        conn->window = answer.window;
        if (answer.encrypt && !begin_sealing(conn, true, answer.nonce)) {
            drop(conn, AME_E_AUTH, "no keys for the encryption can be made with it");
            return;
        }
        if (send_all(conn, proof, sizeof proof)) become_open(conn);
    }
}

static void take_confirm(struct ame__conn *conn)
{
    unsigned char proof[AME__PROOF_SIZE];
    struct ame__hello hello;
    struct ame__answer answer;
    make_proof(conn, "AME dialler", proof);
    if (sodium_memcmp(proof, conn->partial, sizeof proof)) {
        drop(conn, AME_E_AUTH, "does not know the key of this job");
    } else if (!ame__hello_decode(conn->hello, &hello) ||
               conn->net->events->welcome(conn->net, &hello) != AME__REFUSE_NONE) {
        drop(conn, AME_E_CONNECT, "this connection exists already"); /* another one was faster */
    } else if (!ame__answer_decode(conn->answer, &answer) ||
               (answer.encrypt && !begin_sealing(conn, false, hello.nonce))) {
        drop(conn, AME_E_AUTH, "no keys for the encryption can be made with it");
    } else {
        become_open(conn);
    }
}

static size_t expected_size(const struct ame__conn *conn)
{
    switch (conn->state) {
    case AME__CONN_ACCEPTED: return AME__HELLO_SIZE;
    case AME__CONN_ANSWERED: return AME__CONFIRM_SIZE;
    case AME__CONN_GREETING: return AME__ANSWER_SIZE;
    default: return 0;
    }
}

void ame__handshake_read(struct ame__conn *conn)
{
    if (conn->state == AME__CONN_DIALLING) {
        greet(conn);
        return;
    }
    size_t expected = expected_size(conn);
    if (!expected) return;
    ssize_t n = recv(conn->fd, conn->partial + conn->partial_length, expected - conn->partial_length, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        drop(conn, AME_E_CONNECT, n ? strerror(errno) : "closed by the other side during the handshake");
        return;
    }
    conn->partial_length += (size_t) n;
    if (conn->partial_length < expected) return;
    conn->partial_length = 0;
    switch (conn->state) {
    case AME__CONN_ACCEPTED: take_hello(conn); break;
    case AME__CONN_ANSWERED: take_confirm(conn); break;
    case AME__CONN_GREETING: take_answer(conn); break;
    default: break;
    }
}

void ame__handshake_begin(struct ame__conn *conn)
{
    ame__handshake_strangers(conn->net, +1);
    ame__conn_watch(conn, conn->state == AME__CONN_DIALLING ? UV_WRITABLE : UV_READABLE);
}

/* This process was stopped, or did not get to run: for that time nobody is to blame. What has arrived meanwhile is read
 * after this timer. */
static void postpone(struct ame__net *net, int64_t by)
{
    ame__list_for_each(node, &net->conns) ame__container_of(node, struct ame__conn, link)->deadline += by;
    ame__dial_postpone(net, by);
}

static void sweep(uv_timer_t *timer)
{
    struct ame__net *net = timer->data;
    int64_t now = ame__now_ns(), gap = now - net->swept_ns;
    net->swept_ns = now;
    if (gap > (int64_t) AME__SWEEP_LATE_MS * 1000000) {
        postpone(net, gap);
        return;
    }
    ame__list_for_each(node, &net->conns)
    {
        struct ame__conn *conn = ame__container_of(node, struct ame__conn, link);
        if (conn->deadline >= now) continue;
        if (conn->state != AME__CONN_OPEN)
            drop(conn, AME_E_TIMEOUT, "no answer in time (a firewall, or a stopped process?)");
        else if (conn->ending)
            ame__conn_close(conn, AME_E_PEER_FAILED,
                            "the other side is gone, and its connection did not end by itself");
    }
    ame__dial_next(net);
}

void ame__handshake_strangers(struct ame__net *net, int change)
{
    net->strangers += change;
    if (net->strangers > 0 && !uv_is_active((uv_handle_t *) &net->sweeper)) {
        uv_update_time(&net->loop);
        net->swept_ns = ame__now_ns();
        uv_timer_start(&net->sweeper, sweep, AME__SWEEP_MS, AME__SWEEP_MS);
    } else if (net->strangers == 0) {
        uv_timer_stop(&net->sweeper);
    }
    net->changed = true;
}
