/* pmi.c - see pmi.h. */
#include "pmi.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/vars.h"

static int connect_to(const struct addrinfo *list)
{
    for (const struct addrinfo *one = list; one; one = one->ai_next) {
        int fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) == 0) return fd;
        if (fd >= 0) close(fd);
    }
    return -1;
}

int ame__pmi_connect(struct ame__boot *boot, const char *place)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char host[256], own[256] = "";
    const char *colon = strrchr(place, ':');
    size_t length = colon ? (size_t) (colon - place) : 0;
    if (!colon || length >= sizeof host || length == 0)
        return ame__fail(AME_E_BOOT, "PMI_PORT='%.80s' is not host:port", place);
    memcpy(host, place, length);
    host[length] = '\0';
    /* The launcher's helper is on this host, whose name need not be known anywhere. */
    gethostname(own, sizeof own - 1);
    int error = getaddrinfo(strcmp(host, own) ? host : "127.0.0.1", colon + 1, &hints, &list);
    if (!error) boot->fd = connect_to(list);
    if (list) freeaddrinfo(list);
    if (boot->fd < 0 && !strcmp(host, own) && !getaddrinfo(host, colon + 1, &hints, &list)) {
        boot->fd = connect_to(list);
        freeaddrinfo(list);
    }
    if (boot->fd >= 0) return AME_OK;
    return ame__fail(AME_E_BOOT, "cannot connect to the launcher at PMI_PORT=%.80s: %s", place,
                     error ? gai_strerror(error) : strerror(errno));
}

int ame__pmi_send(struct ame__boot *boot, const char *bytes, size_t length)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t n = send(boot->fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t) n;
        } else if (n < 0 && errno != EINTR && errno != EAGAIN) {
            boot->lost = true;
            return ame__fail(AME_E_BOOT, "rank %d of %d: the launcher is gone (write to PMI_FD=%d: %s)", boot->rank,
                             boot->size, boot->fd, ame__errno_name(errno));
        }
    }
    return AME_OK;
}

int ame__pmi_receive(struct ame__boot *boot)
{
    for (;;) {
        int64_t left = (boot->deadline - ame__now_ns()) / 1000000;
        struct pollfd poller = {.fd = boot->fd, .events = POLLIN};
        int ready = left > 0 ? poll(&poller, 1, left > 60000 ? 60000 : (int) left) : 0;
        if (left <= 0)
            return ame__fail(AME_E_TIMEOUT,
                             "rank %d of %d on host %s: the other ranks did not get as far as ame_init in the time "
                             "of AME_CONNECT_TIMEOUT=%s s (waiting for the launcher at PMI_FD=%d)",
                             boot->rank, boot->size, boot->host, ame__var_text(AME__VAR_CONNECT_TIMEOUT), boot->fd);
        if (ready <= 0) continue;
        ssize_t n = recv(boot->fd, boot->input + boot->input_length, sizeof boot->input - boot->input_length, 0);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            boot->lost = true;
            return ame__fail(AME_E_BOOT,
                             "rank %d of %d: the launcher closed the connection PMI_FD=%d (%s). Has another program "
                             "of this rank used it already?",
                             boot->rank, boot->size, boot->fd, n ? ame__errno_name(errno) : "end of file");
        }
        if (n > 0) {
            boot->input_length += (size_t) n;
            return AME_OK;
        }
    }
}

void ame__pmi_consume(struct ame__boot *boot, size_t length)
{
    boot->input_length -= length;
    memmove(boot->input, boot->input + length, boot->input_length);
}
