/* watch.c - notices that a host is lost: switched off, or cut off from the network.
 *
 * Such a host sends nothing that would end its connections. The kernel probes idle connections (keepalive) and gives up on
 * data that is not acknowledged (TCP_USER_TIMEOUT, counted from when that data was sent), which together can take twice the
 * time: idle for a while, then data sent into the void. So the time since anything has come from there, an acknowledgement
 * being enough, is asked of the kernel once a second. A stopped process is not lost: its kernel answers for it.
 */
#include "net.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/error.h"

enum { LOOK_EVERY_MS = 1000 };

static bool is_lost(const struct ame__conn *conn)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (!conn->remote || conn->state != AME__CONN_OPEN || getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size))
        return false;
    return info.tcpi_last_ack_recv > AME__LOST_AFTER_MS && info.tcpi_last_data_recv > AME__LOST_AFTER_MS;
}

static void look(uv_timer_t *timer)
{
    struct ame__net *net = timer->data;
    for (bool again = true; again;) { /* closing one may close others, so begin anew after each */
        again = false;
        ame__list_for_each(node, &net->conns)
        {
            struct ame__conn *conn = ame__container_of(node, struct ame__conn, link);
            char text[200];
            if (!is_lost(conn)) continue;
            snprintf(text, sizeof text, "nothing has come from %s for %d s: the host is down or cut off", conn->address,
                     AME__LOST_AFTER_MS / 1000);
            ame__conn_close(conn, AME_E_PEER_FAILED, text);
            again = true;
            break;
        }
    }
}

void ame__watch_hosts(struct ame__net *net)
{
    uv_timer_start(&net->watcher, look, LOOK_EVERY_MS, LOOK_EVERY_MS);
}
