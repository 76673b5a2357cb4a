/* net.c - the loop, the listener and dialling. See net.h. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum { LISTEN_BACKLOG = 4096, ACCEPTS_PER_TURN = 64 };

int ame__net_open(struct ame__net *net, int rank, int size, uint64_t window, const struct ame__net_events *events)
{
    memset(net, 0, sizeof *net);
    net->rank = rank;
    net->size = size;
    net->window = window;
    net->events = events;
    net->listen_fd = net->spare_fd = -1;
    ame__list_init(&net->conns);
    if (sodium_init() < 0)
        return ame__fail(AME_E_SYSTEM, "libsodium cannot be initialised (no source of random bytes?)");
    int error = uv_loop_init(&net->loop);
    if (error) return ame__fail(AME_E_SYSTEM, "no event loop: %s", uv_strerror(error));
    net->loop_open = true;
    net->spare_fd = size > 1 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    uv_timer_init(&net->loop, &net->sweeper);
    net->sweeper.data = net;
    net->stage = malloc(AME__STAGE_SIZE);
    return net->stage ? AME_OK : ame__fail(AME_E_NOMEM, "out of memory for the receive buffer");
}

void ame__net_close(struct ame__net *net)
{
    if (!net->loop_open) return;
    for (struct ame__list *node; (node = ame__list_first(&net->conns));)
        ame__conn_close(ame__container_of(node, struct ame__conn, link), AME_E_STATE, "ame_finalize");
    if (net->listen_fd >= 0) {
        uv_close((uv_handle_t *) &net->listen_poll, NULL);
        close(net->listen_fd);
        net->listen_fd = -1;
    }
    if (net->spare_fd >= 0) close(net->spare_fd);
    uv_close((uv_handle_t *) &net->sweeper, NULL);
    uv_run(&net->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&net->loop)) ame__log(net, ERROR, "the event loop still has handles; please report this");
    net->loop_open = false;
    free(net->stage);
    sodium_memzero(net->key, sizeof net->key);
}

void ame__net_abandon(struct ame__net *net)
{
    ame__list_for_each(node, &net->conns) close(ame__container_of(node, struct ame__conn, link)->fd);
    if (net->listen_fd >= 0) close(net->listen_fd);
}

void ame__net_poll(struct ame__net *net)
{
    net->changed = false;
    uv_run(&net->loop, UV_RUN_NOWAIT);
}

int ame__net_fd(const struct ame__net *net)
{
    return uv_backend_fd(&net->loop);
}

int ame__net_timeout(const struct ame__net *net)
{
    return uv_loop_alive(&net->loop) ? uv_backend_timeout(&net->loop) : -1; /* libuv: 0 with nothing to watch */
}

static void address_text(int fd, bool own, char text[AME__ADDRESS_MAX])
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    char host[INET_ADDRSTRLEN] = "?";
    memset(&address, 0, sizeof address);
    if (own ? getsockname(fd, (struct sockaddr *) &address, &size)
            : getpeername(fd, (struct sockaddr *) &address, &size))
        return;
    inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
    snprintf(text, AME__ADDRESS_MAX, "%s:%u", host, ntohs(address.sin_port));
}

static void set_options(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    /* Over loopback nothing has to be paced: where the system's default is bbr, reno (which is always there) moves long
     * messages up to 1.4 times as fast. */
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
}

/* When strangers take all places, the one that has waited longest makes room: a rank needs milliseconds, a stranger
 * stays. */
static void drop_oldest_stranger(struct ame__net *net)
{
    ame__list_for_each(node, &net->conns)
    {
        struct ame__conn *conn = ame__container_of(node, struct ame__conn, link);
        if (conn->state == AME__CONN_ACCEPTED || conn->state == AME__CONN_ANSWERED) {
            ame__conn_close(conn, AME_E_TIMEOUT, "too many connections without a proof");
            return;
        }
    }
}

static bool accept_one(struct ame__net *net)
{
    int fd = accept4(net->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            ame__log(net, WARN, "cannot accept a connection: %s (limit on open files: ulimit -n)", strerror(errno));
            if (net->strangers) drop_oldest_stranger(net);
            if (net->spare_fd < 0) return false;
            close(net->spare_fd); /* else this connection would keep the listener readable for ever */
            fd = accept4(net->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) close(fd);
            net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
            return fd >= 0;
        }
        return errno == EINTR || errno == ECONNABORTED;
    }
    if (net->strangers >= AME__STRANGERS_MAX + net->size) drop_oldest_stranger(net); /* all ranks may come at once */
    struct ame__conn *conn = ame__conn_create(net, fd, AME__CONN_ACCEPTED, -1);
    if (!conn) {
        close(fd);
        return true;
    }
    set_options(fd);
    address_text(fd, false, conn->address);
    conn->deadline = ame__now_ns() + (int64_t) AME__HANDSHAKE_SECONDS * 1000000000;
    ame__handshake_begin(conn);
    ame__handshake_read(conn); /* its HELLO is often here already */
    return true;
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    struct ame__net *net = poll->data;
    (void) events;
    for (int i = 0; status == 0 && i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(net)) return;
}

int ame__net_listen(struct ame__net *net, char address[AME__ADDRESS_MAX])
{
    if (net->listen_fd >= 0) {
        address_text(net->listen_fd, true, address);
        return AME_OK;
    }
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return ame__fail_errno(errno, "rank %d: no socket to listen on", net->rank);
    if (bind(fd, (struct sockaddr *) &any, sizeof any) || listen(fd, LISTEN_BACKLOG) ||
        uv_poll_init(&net->loop, &net->listen_poll, fd)) {
        int code = ame__fail_errno(errno, "rank %d: cannot listen on 127.0.0.1 (is the interface lo up?)", net->rank);
        close(fd);
        return code;
    }
    net->listen_fd = fd;
    net->listen_poll.data = net;
    uv_poll_start(&net->listen_poll, UV_READABLE, on_listen);
    net->changed = true;
    address_text(fd, true, address);
    ame__log(net, DEBUG, "listening on %s", address);
    return AME_OK;
}

static int parse_address(const char *text, struct sockaddr_in *address)
{
    char host[AME__ADDRESS_MAX], *end;
    const char *colon = strrchr(text, ':');
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    if (!colon || (size_t) (colon - text) >= sizeof host) return -1;
    memcpy(host, text, (size_t) (colon - text));
    host[colon - text] = '\0';
    long port = strtol(colon + 1, &end, 10);
    if (*end || port < 1 || port > 65535 || inet_pton(AF_INET, host, &address->sin_addr) != 1) return -1;
    address->sin_port = htons((uint16_t) port);
    return 0;
}

int ame__net_dial(struct ame__net *net, int peer, const char *text, int64_t deadline, struct ame__conn **result)
{
    struct sockaddr_in address;
    if (parse_address(text, &address))
        return ame__fail(AME_E_CONNECT, "rank %d offers '%.60s', which is not an address:port", peer, text);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return ame__fail_errno(errno, "no socket to reach rank %d at %s", peer, text);
    set_options(fd);
    if (connect(fd, (struct sockaddr *) &address, sizeof address) && errno != EINPROGRESS) {
        int code = ame__fail_errno(errno, "connect to rank %d at %s", peer, text);
        close(fd);
        return code;
    }
    struct ame__conn *conn = ame__conn_create(net, fd, AME__CONN_DIALLING, peer);
    if (!conn) {
        close(fd);
        return ame__fail(AME_E_NOMEM, "out of memory for a connection to rank %d", peer);
    }
    snprintf(conn->address, sizeof conn->address, "%s", text);
    conn->deadline = deadline;
    ame__handshake_begin(conn);
    *result = conn;
    return AME_OK;
}
