/* Unit tests of runtime/net: two nets in one process, connected over loopback; and strangers with other keys, other
 * versions, replayed or broken handshakes, who must get nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/net.h"

/* What the events have told, for each of the two nets (by rank). */
static struct seen {
    struct ame__conn *open;
    int opened, dial_failed, closed, frames, code;
    char text[300];
    unsigned char payload[AME__PAYLOAD_MAX];
    unsigned char *guess;
    struct ame__header header;
} seen[2];

static enum ame__refusal welcome(struct ame__net *net, const struct ame__hello *hello)
{
    if (hello->size != (uint32_t) net->size || hello->to != (uint32_t) net->rank) return AME__REFUSE_RANK;
    return seen[net->rank].open ? AME__REFUSE_BUSY : AME__REFUSE_NONE;
}
static void opened(struct ame__conn *conn)
{
    seen[conn->net->rank].opened++;
    seen[conn->net->rank].open = conn;
}
static void dial_failed(struct ame__net *net, int peer, int code, const char *text)
{
    struct seen *here = &seen[net->rank];
    (void) peer;
    here->dial_failed++;
    here->code = code;
    strncpy(here->text, text, sizeof here->text - 1);
}
static void frame_begin(struct ame__conn *conn)
{
    struct seen *here = &seen[conn->net->rank];
    here->header = conn->header;
    conn->sink = here->payload;
    conn->sink_size = sizeof here->payload;
}
static unsigned char *frame_guess(struct ame__conn *conn)
{
    return seen[conn->net->rank].guess;
}
static void frame_end(struct ame__conn *conn)
{
    seen[conn->net->rank].frames++;
}
static void closed(struct ame__conn *conn, int code, const char *text)
{
    struct seen *here = &seen[conn->net->rank];
    here->closed++;
    here->code = code;
    here->open = NULL;
    strncpy(here->text, text, sizeof here->text - 1);
}
static void drained(struct ame__conn *conn)
{
    (void) conn;
}

static const struct ame__net_events events = {.welcome = welcome,
                                              .opened = opened,
                                              .dial_failed = dial_failed,
                                              .frame_begin = frame_begin,
                                              .frame_guess = frame_guess,
                                              .frame_end = frame_end,
                                              .closed = closed,
                                              .drained = drained};

static struct ame__net nets[2];

static int set_up(void **state)
{
    (void) state;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ame__net_open(&nets[i], i, 2, true, 1 << 20, &events), AME_OK);
        memset(nets[i].key, 42, AME__KEY_SIZE);
    }
    assert_int_equal(ame__net_listen(&nets[0]), AME_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) ame__net_close(&nets[i]);
    return 0;
}

/* Serves both nets until *value reaches `wanted`; fails after 5 s. */
static void serve_until(const int *value, int wanted)
{
    int64_t end = ame__now_ns() + 5000000000;
    while (*value < wanted) {
        struct pollfd fds[2] = {{.fd = ame__net_fd(&nets[0]), .events = POLLIN},
                                {.fd = ame__net_fd(&nets[1]), .events = POLLIN}};
        for (int i = 0; i < 2; i++) ame__net_poll(&nets[i]);
        if (*value >= wanted) break;
        if (!nets[0].changed && !nets[1].changed) poll(fds, 2, 100);
        assert_true(ame__now_ns() < end);
    }
}

static void connect_both(void)
{
    assert_int_equal(ame__net_dial(&nets[1], 0, nets[0].offer, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[0].opened, 1);
    serve_until(&seen[1].opened, 1);
}

static void ranks_connect_and_exchange_frames(void **state)
{
    static unsigned char big[AME__PAYLOAD_MAX];
    (void) state;
    connect_both();
    assert_int_equal(seen[0].open->peer, 1);
    assert_int_equal(seen[1].open->peer, 0);
    for (size_t i = 0; i < sizeof big; i++) big[i] = (unsigned char) (i * 31 >> 3);
    static const size_t sizes[] = {0, 1, 47, 48, 49, 8192, 65535, 65536, 65537, AME__PAYLOAD_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ame__header header = {
            .kind = AME__FRAME_EAGER, .src = 1, .dst = 0, .tag = (int) i, .length = sizes[i], .other = i};
        int from = i % 2;
        ame__conn_send_copy(seen[from].open, &header, big);
        ame__conn_send_copy(seen[from].open, &header, big); /* a second one close behind */
        int before = seen[!from].frames;
        serve_until(&seen[!from].frames, before + 2);
        assert_int_equal(seen[!from].header.tag, i);
        assert_int_equal(seen[!from].header.length, sizes[i]);
        assert_memory_equal(seen[!from].payload, big, sizes[i]);
    }
    assert_int_equal(seen[0].closed + seen[1].closed, 0);
}

/* Right and wrong guesses about where the next payload goes: what arrives is the same. */
static void payload_is_read_ahead_and_put_right(void **state)
{
    static unsigned char data[100000], elsewhere[AME__PAYLOAD_MAX];
    static const size_t sizes[] = {50000, 50000, 60, 50000, 0, 50000, 50001, 50001, 100000, 100000, 10};
    (void) state;
    connect_both();
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char) (i * 13 >> 2);
    for (int guess = 0; guess < 3; guess++) {
        seen[0].guess = guess == 0 ? NULL : guess == 1 ? seen[0].payload : elsewhere;
        int before = seen[0].frames;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct ame__header header = {.kind = AME__FRAME_EAGER, .src = 1, .dst = 0, .length = sizes[i]};
            ame__conn_send_copy(seen[1].open, &header, data);
            if (i % 3 == 0) continue; /* some arrive together */
            serve_until(&seen[0].frames, before + (int) i + 1);
            assert_int_equal(seen[0].header.length, sizes[i]);
            assert_memory_equal(seen[0].payload, data, sizes[i]);
            memset(seen[0].payload, 0, sizeof data);
        }
        serve_until(&seen[0].frames, before + (int) (sizeof sizes / sizeof *sizes));
    }
}

static void what_was_sent_arrives_before_the_end(void **state)
{
    struct ame__header header = {.kind = AME__FRAME_EAGER, .src = 1, .dst = 0, .length = 10};
    (void) state;
    connect_both();
    for (int i = 0; i < 100; i++) ame__conn_send_copy(seen[1].open, &header, "0123456789");
    ame__conn_close(seen[1].open, AME_E_STATE, "the end");
    serve_until(&seen[0].closed, 1);
    assert_int_equal(seen[0].frames, 100);
    assert_int_equal(seen[0].code, AME_E_PEER_FAILED);
    assert_int_equal(seen[1].closed, 1);
}

static void a_wrong_key_is_refused(void **state)
{
    (void) state;
    nets[1].key[5] ^= 1;
    assert_int_equal(ame__net_dial(&nets[1], 0, nets[0].offer, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[1].dial_failed, 1);
    assert_int_equal(seen[1].code, AME_E_AUTH);
    serve_until(&(int){1}, 1);
    assert_int_equal(seen[0].opened, 0);
}

static void a_wrong_rank_or_size_is_refused(void **state)
{
    (void) state;
    nets[1].size = 3;
    assert_int_equal(ame__net_dial(&nets[1], 0, nets[0].offer, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[1].dial_failed, 1);
    assert_int_equal(seen[1].code, AME_E_CONNECT);
    assert_non_null(strstr(seen[1].text, "another rank"));
    assert_int_equal(seen[0].opened, 0);
}

static void nobody_listens(void **state)
{
    (void) state;
    uv_poll_stop(&nets[0].listeners[0].poll);
    close(nets[0].listeners[0].fd);
    nets[0].listeners[0].fd = -1;
    assert_int_equal(ame__net_dial(&nets[1], 0, nets[0].offer, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[1].dial_failed, 1);
    assert_int_equal(seen[1].code, AME_E_CONNECT);
    assert_non_null(strstr(seen[1].text, nets[0].offer));
    assert_non_null(strstr(seen[1].text, "refused"));
    assert_int_equal(ame__net_dial(&nets[1], 0, "nonsense", true, 0), AME_E_CONNECT);
    assert_int_equal(ame__net_dial(&nets[1], 0, "127.0.0.1:99999", true, 0), AME_E_CONNECT);
    assert_int_equal(ame__net_dial(&nets[1], 0, "localhost:80", true, 0), AME_E_CONNECT);
}

static void addresses_are_tried_in_turn(void **state)
{
    char list[AME__ADDRESSES_MAX + 40];
    (void) state;
    snprintf(list, sizeof list, "127.0.0.1:1,%s", nets[0].offer);
    assert_int_equal(ame__net_dial(&nets[1], 0, list, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[0].opened, 1);
    serve_until(&seen[1].opened, 1);
    assert_int_equal(seen[1].dial_failed, 0);
}

/* Something that takes connections and says nothing must not keep a rank from the address behind it. */
static void a_silent_address_does_not_stop_the_others(void **state)
{
    char list[AME__ADDRESSES_MAX + 40];
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void) state;
    assert_int_equal(bind(fd, (struct sockaddr *) &any, size), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &any, &size), 0);
    snprintf(list, sizeof list, "127.0.0.1:%d,%s", ntohs(any.sin_port), nets[0].offer);
    assert_int_equal(ame__net_dial(&nets[1], 0, list, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[1].opened, 1);
    serve_until(&seen[0].opened, 1);
    assert_int_equal(seen[1].dial_failed, 0);
    assert_int_equal(nets[1].strangers, 0);
    close(fd);
}

static void every_address_is_named_when_none_leads_there(void **state)
{
    (void) state;
    assert_int_equal(ame__net_dial(&nets[1], 0, "127.0.0.1:1,[::1]:2", true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[1].dial_failed, 1);
    assert_non_null(strstr(seen[1].text, "127.0.0.1:1"));
    assert_non_null(strstr(seen[1].text, "[::1]:2"));
    assert_int_equal(seen[1].code, AME_E_CONNECT);
}

/* ---- strangers ----------------------------------------------------------------------------------- */

static int stranger(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    to.sin_port = htons((uint16_t) atoi(strchr(nets[0].offer, ':') + 1));
    assert_true(connect(fd, (struct sockaddr *) &to, sizeof to) == 0 || errno == EINPROGRESS);
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&writable, 1, 5000), 1);
    return fd;
}

/* Serves the net until the stranger's connection ends or `most` bytes have come; returns how many came. */
static size_t stranger_reads(int fd, unsigned char *bytes, size_t most)
{
    size_t got = 0;
    int64_t end = ame__now_ns() + 5000000000;
    while (got < most) {
        assert_true(ame__now_ns() < end);
        ame__net_poll(&nets[0]);
        ssize_t n = recv(fd, bytes + got, most - got, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) break;
        if (n > 0) got += (size_t) n;
    }
    return got;
}

static void garbage_is_dropped(void **state)
{
    unsigned char bytes[4096];
    (void) state;
    memset(bytes, 'G', sizeof bytes);
    int fd = stranger();
    assert_true(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0);
    assert_int_equal(stranger_reads(fd, bytes, sizeof bytes), 0);
    close(fd);
    assert_int_equal(nets[0].strangers, 0);
    connect_both(); /* and ranks still get in */
}

static struct ame__hello good_hello(void)
{
    return (struct ame__hello){.version = AME__PROTOCOL_VERSION, .size = 2, .from = 1, .to = 0, .window = 1 << 20};
}

static void another_version_is_told(void **state)
{
    unsigned char bytes[AME__ANSWER_SIZE];
    struct ame__hello hello = good_hello();
    struct ame__answer answer;
    (void) state;
    hello.version = AME__PROTOCOL_VERSION + 1;
    ame__hello_encode(bytes, &hello);
    int fd = stranger();
    assert_int_equal(send(fd, bytes, AME__HELLO_SIZE, MSG_NOSIGNAL), AME__HELLO_SIZE);
    assert_int_equal(stranger_reads(fd, bytes, sizeof bytes), sizeof bytes);
    assert_true(ame__answer_decode(bytes, &answer));
    assert_int_equal(answer.refusal, AME__REFUSE_VERSION);
    assert_int_equal(stranger_reads(fd, bytes, 1), 0);
    close(fd);
}

static void a_false_proof_is_dropped(void **state)
{
    unsigned char bytes[AME__ANSWER_SIZE];
    struct ame__hello hello = good_hello();
    (void) state;
    ame__hello_encode(bytes, &hello);
    int fd = stranger();
    assert_int_equal(send(fd, bytes, AME__HELLO_SIZE, MSG_NOSIGNAL), AME__HELLO_SIZE);
    assert_int_equal(stranger_reads(fd, bytes, sizeof bytes), sizeof bytes);
    /* the acceptor's own proof sent back: roles are part of a proof */
    assert_int_equal(send(fd, bytes + sizeof bytes - AME__PROOF_SIZE, AME__CONFIRM_SIZE, MSG_NOSIGNAL),
                     AME__CONFIRM_SIZE);
    assert_int_equal(stranger_reads(fd, bytes, 1), 0);
    close(fd);
    assert_int_equal(seen[0].opened, 0);
    assert_int_equal(nets[0].strangers, 0);
}

/* A whole good handshake, said again on a new connection: the nonce of the other side is another one. */
static void a_replayed_handshake_is_dropped(void **state)
{
    unsigned char hello_bytes[AME__HELLO_SIZE], answer_bytes[AME__ANSWER_SIZE], proof[AME__PROOF_SIZE], byte;
    struct ame__hello hello = good_hello();
    crypto_generichash_state hash;
    (void) state;
    ame__hello_encode(hello_bytes, &hello);
    for (int turn = 0; turn < 2; turn++) {
        int fd = stranger();
        assert_int_equal(send(fd, hello_bytes, sizeof hello_bytes, MSG_NOSIGNAL), sizeof hello_bytes);
        assert_int_equal(stranger_reads(fd, answer_bytes, sizeof answer_bytes), sizeof answer_bytes);
        if (turn == 0) { /* this one knows the key */
            crypto_generichash_init(&hash, nets[0].key, AME__KEY_SIZE, sizeof proof);
            crypto_generichash_update(&hash, (const unsigned char *) "AME dialler", strlen("AME dialler"));
            crypto_generichash_update(&hash, hello_bytes, sizeof hello_bytes);
            crypto_generichash_update(&hash, answer_bytes, AME__ANSWER_SIZE - AME__PROOF_SIZE);
            crypto_generichash_final(&hash, proof, sizeof proof);
        }
        assert_int_equal(send(fd, proof, sizeof proof, MSG_NOSIGNAL), sizeof proof);
        if (turn == 0) {
            serve_until(&seen[0].opened, 1);
            ame__conn_close(seen[0].open, AME_E_STATE, "test");
        } else {
            assert_int_equal(stranger_reads(fd, &byte, 1), 0);
        }
        close(fd);
    }
    assert_int_equal(seen[0].opened, 1);
}

/* A rank whose last word of the handshake came while this process was stopped is let in; a stranger goes, a little later. */
static void a_stop_does_not_count_as_silence(void **state)
{
    struct ame__hello hello = good_hello();
    unsigned char hello_bytes[AME__HELLO_SIZE], answer[AME__ANSWER_SIZE], proof[AME__PROOF_SIZE];
    crypto_generichash_state hash;
    (void) state;
    ame__hello_encode(hello_bytes, &hello);
    int fd = stranger(), silent = stranger();
    assert_int_equal(send(fd, hello_bytes, sizeof hello_bytes, MSG_NOSIGNAL), sizeof hello_bytes);
    assert_int_equal(stranger_reads(fd, answer, sizeof answer), sizeof answer);
    crypto_generichash_init(&hash, nets[0].key, AME__KEY_SIZE, sizeof proof);
    crypto_generichash_update(&hash, (const unsigned char *) "AME dialler", strlen("AME dialler"));
    crypto_generichash_update(&hash, hello_bytes, sizeof hello_bytes);
    crypto_generichash_update(&hash, answer, AME__ANSWER_SIZE - AME__PROOF_SIZE);
    crypto_generichash_final(&hash, proof, sizeof proof);
    assert_int_equal(send(fd, proof, sizeof proof, MSG_NOSIGNAL), sizeof proof);
    assert_int_equal(nets[0].strangers, 2);
    /* as if all this had been long ago */
    int64_t ago = (int64_t) (AME__HANDSHAKE_SECONDS + 5) * 1000000000;
    nets[0].swept_ns -= ago;
    ame__list_for_each(node, &nets[0].conns) ame__container_of(node, struct ame__conn, link)->deadline -= ago;
    uv_timer_start(&nets[0].sweeper, nets[0].sweeper.timer_cb, 0,
                   AME__SWEEP_MS); /* now, before the loop looks at sockets */
    serve_until(&seen[0].opened, 1);
    assert_int_equal(seen[0].open->peer, 1);
    ame__list_for_each(node, &nets[0].conns)
    {
        struct ame__conn *conn = ame__container_of(node, struct ame__conn, link);
        if (conn->state != AME__CONN_OPEN) conn->deadline = 0;
    }
    unsigned char byte;
    assert_int_equal(stranger_reads(silent, &byte, 1), 0);
    assert_int_equal(nets[0].strangers, 0);
    close(fd);
    close(silent);
}

static void many_silent_strangers_do_not_lock_out_a_rank(void **state)
{
    enum { MANY = AME__STRANGERS_MAX + 50 };
    int fds[MANY];
    (void) state;
    for (int i = 0; i < MANY; i++) {
        fds[i] = stranger();
        ame__net_poll(&nets[0]);
    }
    assert_in_range(nets[0].strangers, 1, AME__STRANGERS_MAX + nets[0].size);
    connect_both();
    for (int i = 0; i < MANY; i++) close(fds[i]);
}

/* ---- encryption ---------------------------------------------------------------------------------- */

static int set_up_encrypted(void **state)
{
    setenv("AME_ENCRYPT", "all", 1);
    int code = set_up(state);
    unsetenv("AME_ENCRYPT");
    return code;
}

static void an_encrypted_connection_carries_frames(void **state)
{
    connect_both();
    assert_non_null(seen[0].open->crypt);
    assert_non_null(seen[1].open->crypt);
    ame__conn_close(seen[1].open, AME_E_STATE, "again");
    serve_until(&seen[0].closed, 1);
    memset(seen, 0, sizeof seen);
    payload_is_read_ahead_and_put_right(state);
}

/* More than the kernel takes at once. */
static void an_encrypted_connection_goes_on_when_it_was_full(void **state)
{
    static unsigned char data[AME__PAYLOAD_MAX];
    enum { FRAMES = 30 };
    (void) state;
    connect_both();
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char) (i >> 3);
    for (int i = 0; i < FRAMES; i++) {
        struct ame__header header = {.kind = AME__FRAME_EAGER, .src = 1, .dst = 0, .length = sizeof data - (size_t) i};
        ame__conn_send_copy(seen[1].open, &header, data);
    }
    assert_true(seen[1].open->queued > 0);
    serve_until(&seen[0].frames, FRAMES);
    assert_memory_equal(seen[0].payload, data, sizeof data - FRAMES);
    assert_int_equal(seen[1].open->queued, 0);
}

static void bytes_that_are_added_on_the_way_are_noticed(void **state)
{
    unsigned char bytes[200] = {1};
    struct ame__header header = {.kind = AME__FRAME_EAGER, .src = 1, .dst = 0, .length = 10};
    (void) state;
    connect_both();
    ame__conn_send_copy(seen[1].open, &header, "0123456789");
    serve_until(&seen[0].frames, 1);
    assert_int_equal(send(seen[1].open->fd, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    unsigned char levels[AME__LOG_MODULE_COUNT];
    memcpy(levels, ame__log_levels, sizeof levels);
    memset(ame__log_levels, 0, sizeof ame__log_levels);
    serve_until(&seen[0].closed, 1);
    memcpy(ame__log_levels, levels, sizeof levels);
    assert_int_equal(seen[0].code, AME_E_AUTH);
    assert_non_null(strstr(seen[0].text, "rank 1"));
    assert_int_equal(seen[0].frames, 1);
}

static void different_settings_are_refused(void **state)
{
    (void) state;
    nets[0].encrypt = AME__ENCRYPT_OFF;
    assert_int_equal(ame__net_dial(&nets[1], 0, nets[0].offer, true, ame__now_ns() + 5000000000), AME_OK);
    serve_until(&seen[1].dial_failed, 1);
    assert_int_equal(seen[1].code, AME_E_CONFIG);
    assert_non_null(strstr(seen[1].text, "AME_ENCRYPT"));
    assert_int_equal(seen[0].opened, 0);
}

/* What somebody in between has changed in HELLO does not pass for another wish: it is under the proofs. */
static void encryption_cannot_be_talked_away(void **state)
{
    unsigned char bytes[AME__ANSWER_SIZE], proof[AME__PROOF_SIZE];
    struct ame__hello hello = {.version = AME__PROTOCOL_VERSION,
                               .size = 2,
                               .from = 1,
                               .to = 0,
                               .window = 1 << 20,
                               .encrypt = AME__ENCRYPT_ALL};
    struct ame__answer answer;
    unsigned char hello_bytes[AME__HELLO_SIZE];
    crypto_generichash_state hash;
    (void) state;
    memset(hello.nonce, 9, sizeof hello.nonce);
    ame__hello_encode(hello_bytes, &hello);
    int fd = stranger();
    assert_int_equal(send(fd, hello_bytes, sizeof hello_bytes, MSG_NOSIGNAL), sizeof hello_bytes);
    assert_int_equal(stranger_reads(fd, bytes, sizeof bytes), sizeof bytes);
    assert_true(ame__answer_decode(bytes, &answer));
    assert_int_equal(answer.encrypt, 1);
    answer.encrypt = 0; /* as the dialler would have to see it to believe that nothing is encrypted */
    unsigned char changed[AME__ANSWER_SIZE];
    ame__answer_encode(changed, &answer);
    crypto_generichash_init(&hash, nets[0].key, AME__KEY_SIZE, sizeof proof);
    crypto_generichash_update(&hash, (const unsigned char *) "AME acceptor", strlen("AME acceptor"));
    crypto_generichash_update(&hash, hello_bytes, sizeof hello_bytes);
    crypto_generichash_update(&hash, changed, AME__ANSWER_SIZE - AME__PROOF_SIZE);
    crypto_generichash_final(&hash, proof, sizeof proof);
    assert_memory_not_equal(proof, answer.proof, sizeof proof);
    close(fd);
}

static void a_bad_frame_closes_the_connection(void **state)
{
    struct ame__header header = {.kind = AME__FRAME_BYE, .src = 1, .dst = 0, .tag = -5};
    (void) state;
    connect_both();
    ame__conn_send_copy(seen[1].open, &header, NULL);
    serve_until(&seen[0].closed, 1);
    assert_int_equal(seen[0].code, AME_E_PROTOCOL);
    assert_non_null(strstr(seen[0].text, "tag"));
    assert_int_equal(seen[0].frames, 0);
}

int main(void)
{
#define TEST(name)   cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SEALED(name) cmocka_unit_test_setup_teardown(name, set_up_encrypted, tear_down)
    const struct CMUnitTest tests[] = {TEST(ranks_connect_and_exchange_frames),
                                       TEST(payload_is_read_ahead_and_put_right),
                                       TEST(what_was_sent_arrives_before_the_end),
                                       TEST(a_wrong_key_is_refused),
                                       TEST(a_wrong_rank_or_size_is_refused),
                                       TEST(nobody_listens),
                                       TEST(addresses_are_tried_in_turn),
                                       TEST(a_silent_address_does_not_stop_the_others),
                                       TEST(every_address_is_named_when_none_leads_there),
                                       TEST(garbage_is_dropped),
                                       TEST(another_version_is_told),
                                       TEST(a_false_proof_is_dropped),
                                       TEST(a_replayed_handshake_is_dropped),
                                       TEST(a_stop_does_not_count_as_silence),
                                       TEST(many_silent_strangers_do_not_lock_out_a_rank),
                                       TEST(a_bad_frame_closes_the_connection),
                                       SEALED(an_encrypted_connection_carries_frames),
                                       SEALED(an_encrypted_connection_goes_on_when_it_was_full),
                                       SEALED(bytes_that_are_added_on_the_way_are_noticed),
                                       SEALED(different_settings_are_refused),
                                       SEALED(encryption_cannot_be_talked_away)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
