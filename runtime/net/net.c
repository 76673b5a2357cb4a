/* net.c - the loop, the listener and dialling. See net.h. */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

enum { LISTEN_BACKLOG = 4096, ACCEPTS_PER_TURN = 64 };

int ame__net_open(struct ame__net *net, int rank, int size, bool one_host, uint64_t window,
                  const struct ame__net_events *events)
{
    memset(net, 0, sizeof *net);
    net->rank = rank;
    net->size = size;
    net->window = window;
    net->events = events;
    net->one_host = one_host;
    net->spare_fd = -1;
    ame__list_init(&net->conns);
    ame__list_init(&net->dials);
    if (sodium_init() < 0)
        return ame__fail(AME_E_SYSTEM, "libsodium cannot be initialised (no source of random bytes?)");
    int code = ame__encrypt_mode(&net->encrypt);
    if (code) return code;
    if (!one_host) ame__host_identity(net->host);
    int error = uv_loop_init(&net->loop);
    if (error)
        return ame__fail(error == UV_ENOMEM ? AME_E_NOMEM : AME_E_SYSTEM, "rank %d: no event loop: %s", rank,
                         uv_strerror(error));
    net->loop_open = true;
    net->spare_fd = size > 1 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    uv_timer_init(&net->loop, &net->sweeper);
    net->sweeper.data = net;
    uv_timer_init(&net->loop, &net->watcher);
    net->watcher.data = net;
    if (!one_host) ame__watch_hosts(net);
    net->stage = malloc(AME__STAGE_SIZE);
    if (net->encrypt) net->room = malloc(sizeof *net->room);
    return net->stage && (net->room || !net->encrypt) ? AME_OK
                                                      : ame__fail(AME_E_NOMEM, "out of memory for the receive buffer");
}

static void stop_listening(struct ame__net *net)
{
    for (; net->listener_count > 0; net->listener_count--) {
        struct ame__listener *listener = &net->listeners[net->listener_count - 1];
        uv_close((uv_handle_t *) &listener->poll, NULL);
        close(listener->fd);
    }
}

void ame__net_close(struct ame__net *net)
{
    if (!net->loop_open) return;
    ame__dial_forget(net);
    for (struct ame__list *node; (node = ame__list_first(&net->conns));)
        ame__conn_close(ame__container_of(node, struct ame__conn, link), AME_E_STATE, "ame_finalize");
    stop_listening(net);
    if (net->spare_fd >= 0) close(net->spare_fd);
    uv_close((uv_handle_t *) &net->sweeper, NULL);
    uv_close((uv_handle_t *) &net->watcher, NULL);
    uv_run(&net->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&net->loop)) ame__log(net, ERROR, "the event loop still has handles; please report this");
    net->loop_open = false;
    free(net->stage);
    if (net->room) sodium_memzero(net->room, sizeof *net->room);
    free(net->room);
    sodium_memzero(net->key, sizeof net->key);
}

void ame__net_abandon(struct ame__net *net)
{
    ame__list_for_each(node, &net->conns) close(ame__container_of(node, struct ame__conn, link)->fd);
    for (int i = 0; i < net->listener_count; i++) close(net->listeners[i].fd);
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

static bool accept_one(struct ame__net *net, int listener)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    int fd = accept4(listener, (struct sockaddr *) &from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            ame__log(net, WARN, "cannot accept a connection: %s (limit on open files: ulimit -n)", strerror(errno));
            if (net->strangers) drop_oldest_stranger(net);
            if (net->spare_fd < 0) return false;
            close(net->spare_fd); /* else this connection would keep the listener readable for ever */
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
    conn->remote = ame__net_options(fd, (struct sockaddr *) &from);
    ame__address_format((struct sockaddr *) &from, conn->address);
    conn->deadline = ame__now_ns() + (int64_t) AME__HANDSHAKE_SECONDS * 1000000000;
    ame__handshake_begin(conn);
    ame__handshake_read(conn); /* its HELLO is often here already */
    return true;
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    struct ame__net *net = poll->data;
    const struct ame__listener *listener = ame__container_of(poll, struct ame__listener, poll);
    (void) events;
    for (int i = 0; status == 0 && i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(net, listener->fd)) return;
}

/* ---- listening ----------------------------------------------------------------------------------- */

static void set_port(struct sockaddr_storage *address, int port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *) address)->sin_port = htons((uint16_t) port);
    else
        ((struct sockaddr_in6 *) address)->sin6_port = htons((uint16_t) port);
}

/* A socket that listens on the address, on `port` (0: any). -1: it cannot (errno). */
static int listener_at(struct sockaddr_storage address, int port)
{
    int on = 1, off = 0;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    set_port(&address, port);
    if (port) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* what an earlier job has closed */
    if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *) &address, ame__address_size(&address)) || listen(fd, LISTEN_BACKLOG)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Listens on the address; writes the port. On failure errno is set. */
static int listen_at(struct ame__net *net, const struct sockaddr_storage *address, int first, int last, int *port)
{
    struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof own;
    int fd = -1, ports = last - first + 1;
    if (net->listener_count == AME__LISTENERS_MAX) return errno = EMFILE, -1;
    int start = (int) getpid() % ports; /* ranks that start together shall not all begin with the same one */
    for (int i = 0; i < ports && fd < 0; i++) {
        fd = listener_at(*address, first ? first + (start + i) % ports : 0);
        if (fd < 0 && errno != EADDRINUSE && errno != EACCES) break;
    }
    struct ame__listener *listener = &net->listeners[net->listener_count];
    if (fd < 0) return -1;
    if (getsockname(fd, (struct sockaddr *) &own, &size) || uv_poll_init(&net->loop, &listener->poll, fd)) {
        close(fd);
        return -1;
    }
    net->listener_count++;
    listener->fd = fd;
    listener->poll.data = net;
    uv_poll_start(&listener->poll, UV_READABLE, on_listen);
    net->changed = true;
    *port = ame__address_port((const struct sockaddr *) &own);
    return 0;
}

static struct sockaddr_storage ipv4(uint32_t address)
{
    struct sockaddr_storage result;
    memset(&result, 0, sizeof result);
    result.ss_family = AF_INET;
    ((struct sockaddr_in *) &result)->sin_addr.s_addr = htonl(address);
    return result;
}

static int listen_locally(struct ame__net *net)
{
    struct sockaddr_storage loopback = ipv4(INADDR_LOOPBACK);
    int port;
    if (listen_at(net, &loopback, 0, 0, &port))
        return ame__fail_errno(errno, "rank %d: cannot listen on 127.0.0.1 (is the interface lo up?)", net->rank);
    ame__addresses_add(net->offer, (struct sockaddr *) &loopback, port);
    return AME_OK;
}

/* One socket for all interfaces, IPv4 and, where there is any, IPv6. */
static int listen_everywhere(struct ame__net *net, const struct ame__interfaces *all, int first, int last)
{
    struct sockaddr_storage loopback = ipv4(INADDR_LOOPBACK), any = ipv4(INADDR_ANY), any6 = {.ss_family = AF_INET6};
    int port;
    if (listen_at(net, &any6, first, last, &port) && listen_at(net, &any, first, last, &port))
        return ame__fail_errno(errno, "rank %d: cannot listen on any port from %d to %d", net->rank, first, last);
    ame__addresses_add(net->offer, (struct sockaddr *) &loopback, port);
    for (int i = 0; i < all->count; i++)
        if (all->list[i].chosen) ame__addresses_add(net->offer, (const struct sockaddr *) &all->list[i].address, port);
    return AME_OK;
}

/* A socket for each address that AME_IFACE chooses, and one for the ranks of this host. */
static int listen_chosen(struct ame__net *net, const struct ame__interfaces *all, int first, int last)
{
    int code = listen_locally(net), port, failed = 0;
    char text[AME__ADDRESS_MAX] = "";
    for (int i = 0; i < all->count && !code; i++) {
        const struct ame__interface *one = &all->list[i];
        if (!one->chosen) continue;
        if (listen_at(net, &one->address, first, last, &port) == 0) {
            ame__addresses_add(net->offer, (const struct sockaddr *) &one->address, port);
        } else {
            failed = errno;
            ame__address_format((const struct sockaddr *) &one->address, text);
        }
    }
    if (!code && net->listener_count == 1)
        code = ame__fail_errno(failed, "rank %d: cannot listen on %s with ports from %d to %d (0: any)", net->rank,
                               text, first, last);
    return code;
}

int ame__net_listen(struct ame__net *net)
{
    struct ame__interfaces all;
    int first, last, code;
    if (net->listener_count > 0) return AME_OK;
    if (net->listen_code) return ame__fail(net->listen_code, "rank %d could not listen before", net->rank);
    net->offer[0] = '\0';
    if (net->one_host) {
        code = listen_locally(net);
    } else {
        code = ame__port_range(&first, &last);
        if (!code) code = ame__interfaces_list(&all);
        if (!code && ame__var_is_set(AME__VAR_IFACE))
            code = listen_chosen(net, &all, first, last);
        else if (!code)
            code = listen_everywhere(net, &all, first, last);
    }
    net->listen_code = code;
    if (code)
        stop_listening(net);
    else
        ame__log(net, DEBUG, "listening on %s", net->offer);
    return code;
}
