/* dial.c - reaching another rank at one of the addresses that it offers.
 *
 * Addresses are tried in the order of ame__addresses_order; when one has not answered after STAGGER_MS, or has failed,
 * the next is tried beside it (RFC 8305). The first on which the key has been proved is taken, the others are closed:
 * only one of them ever sends the last message of the handshake, so the other side too has one connection.
 */
#include "net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum {
    STAGGER_MS = 250,
    ATTEMPT_MS = 4000, /* for the connection to one address: three SYNs */
    PROBE_AFTER_S = 5,
    PROBE_EVERY_S = 2,
    CAUSES_MAX = 600
};

struct ame__dial {
    struct ame__list link; /* in net->dials */
    struct ame__net *net;
    int peer;
    int64_t deadline, next_at;
    int count, next, active;
    int code;
    struct sockaddr_storage addresses[AME__CANDIDATES_MAX];
    char causes[CAUSES_MAX];
};

bool ame__net_options(int fd, const struct sockaddr *peer)
{
    struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof own;
    int on = 1, lost = AME__LOST_AFTER_MS, after = PROBE_AFTER_S, every = PROBE_EVERY_S;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    bool here = ame__address_is_loopback(peer) ||
                (getsockname(fd, (struct sockaddr *) &own, &size) == 0 && own.ss_family == peer->sa_family &&
                 ame__address_equal(peer, (struct sockaddr *) &own));
    if (here) {
        /* Over loopback nothing has to be paced: where the system's default is bbr, reno (which is always there) moves
         * long messages up to 1.4 times as fast. */
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
    } else { /* a host that is switched off or cut off sends nothing that would end the connection */
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof after);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost, sizeof lost);
    }
    return !here;
}

static void note_failure(struct ame__dial *dial, int code, const char *text)
{
    size_t length = strlen(dial->causes);
    snprintf(dial->causes + length, sizeof dial->causes - length, "%s%s", length ? "; " : "", text);
    bool telling = code == AME_E_VERSION || code == AME_E_AUTH || code == AME_E_CONFIG;
    if (!dial->code || dial->code == AME_E_TIMEOUT || telling) dial->code = code;
}

/* Begins with one address; what goes wrong is noted. */
static void attempt(struct ame__dial *dial, const struct sockaddr_storage *address)
{
    char text[AME__ADDRESS_MAX], cause[AME__ADDRESS_MAX + 100];
    ame__address_format((const struct sockaddr *) address, text);
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool remote = fd >= 0 && ame__net_options(fd, (const struct sockaddr *) address);
    if (fd < 0 ||
        (connect(fd, (const struct sockaddr *) address, ame__address_size(address)) && errno != EINPROGRESS)) {
        snprintf(cause, sizeof cause, "%s: %s", text, strerror(errno));
        note_failure(dial, AME_E_CONNECT, cause);
        if (fd >= 0) close(fd);
        return;
    }
    struct ame__conn *conn = ame__conn_create(dial->net, fd, AME__CONN_DIALLING, dial->peer);
    if (!conn) {
        close(fd);
        note_failure(dial, AME_E_NOMEM, "out of memory for a connection");
        return;
    }
    ame__log(net, DEBUG, "dialling rank %d at %s", dial->peer, text);
    snprintf(conn->address, sizeof conn->address, "%s", text);
    int64_t limit = ame__now_ns() + (int64_t) ATTEMPT_MS * 1000000;
    conn->dial = dial;
    conn->remote = remote;
    conn->deadline = limit < dial->deadline ? limit : dial->deadline;
    dial->active++;
    ame__handshake_begin(conn);
}

/* Goes on to the next address until one is under way. */
static void go_on(struct ame__dial *dial)
{
    int before = dial->active;
    while (dial->next < dial->count && dial->active == before) attempt(dial, &dial->addresses[dial->next++]);
    dial->next_at = ame__now_ns() + (int64_t) STAGGER_MS * 1000000;
}

static void drop_dial(struct ame__dial *dial)
{
    ame__list_remove(&dial->link);
    free(dial);
}

int64_t ame__dial_deadline(const struct ame__conn *conn)
{
    return conn->dial->deadline;
}

void ame__dial_failed(struct ame__conn *conn, int code, const char *text)
{
    struct ame__dial *dial = conn->dial;
    if (!dial) return; /* another address was faster */
    struct ame__net *net = dial->net;
    conn->dial = NULL;
    dial->active--;
    note_failure(dial, code, text);
    if (ame__now_ns() < dial->deadline) go_on(dial);
    if (dial->active) return;
    struct ame__dial last = *dial;
    drop_dial(dial);
    net->events->dial_failed(net, last.peer, last.code, last.causes);
}

void ame__dial_won(struct ame__conn *winner)
{
    struct ame__dial *dial = winner->dial;
    if (!dial) return;
    winner->dial = NULL;
    ame__list_for_each(node, &dial->net->conns)
    {
        struct ame__conn *conn = ame__container_of(node, struct ame__conn, link);
        if (conn->dial != dial) continue;
        conn->dial = NULL;
        ame__conn_close(conn, AME_E_CONNECT, "another address was faster");
    }
    drop_dial(dial);
}

void ame__dial_postpone(struct ame__net *net, int64_t by)
{
    ame__list_for_each(node, &net->dials) ame__container_of(node, struct ame__dial, link)->deadline += by;
}

void ame__dial_next(struct ame__net *net)
{
    int64_t now = ame__now_ns();
    ame__list_for_each(node, &net->dials)
    {
        struct ame__dial *dial = ame__container_of(node, struct ame__dial, link);
        if (dial->next_at <= now && dial->next < dial->count && dial->active) go_on(dial);
    }
}

void ame__dial_forget(struct ame__net *net)
{
    ame__list_for_each(node, &net->conns) ame__container_of(node, struct ame__conn, link)->dial = NULL;
    ame__list_for_each(dial, &net->dials) free(ame__container_of(dial, struct ame__dial, link));
    ame__list_init(&net->dials);
}

int ame__net_dial(struct ame__net *net, int peer, const char *addresses, bool same_host, int64_t deadline)
{
    struct ame__interfaces here = {0};
    struct ame__dial *dial = calloc(1, sizeof *dial);
    int code = AME_OK;
    if (!dial) return ame__fail(AME_E_NOMEM, "out of memory for a connection to rank %d", peer);
    if (!net->one_host) code = ame__interfaces_list(&here);
    dial->net = net;
    dial->peer = peer;
    dial->deadline = deadline;
    ame__list_append(&net->dials, &dial->link);
    if (!code) dial->count = ame__addresses_order(addresses, same_host, &here, dial->addresses);
    if (!code && dial->count < 0)
        code =
            ame__fail(AME_E_CONNECT, "rank %d offers '%.200s', which is not a list of address:port", peer, addresses);
    else if (!code && dial->count == 0)
        code = ame__fail(AME_E_CONNECT, "rank %d offers no address that can be reached from another host (%.200s)",
                         peer, addresses);
    if (!code) {
        go_on(dial);
        if (dial->active) return AME_OK;
        code = ame__fail(dial->code, "%s", dial->causes);
    }
    drop_dial(dial);
    return code;
}
