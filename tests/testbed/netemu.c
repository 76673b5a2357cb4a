/* netemu.c - a switch that delays, loses and slows down frames, where the kernel has no netem.
 *
 *     netemu [-d DELAY] [-j JITTER] [-l LOSS] [-r RATE] [-w FILE] [-x BYTES] INTERFACE...
 *
 * DELAY (one way) and JITTER are in microseconds, LOSS in percent, RATE in Mbit/s per port. It learns which address is at
 * which interface, as a bridge does, over packet sockets; the interfaces must not be in a bridge meanwhile. Frames to one
 * port never overtake each other. A frame of segmentation offload passes as a whole, with its checksum state in the
 * virtio_net_hdr in front of it, and counts as one. FILE gets a copy of all frames. When BYTES of data have passed over TCP
 * (IPv4, ssh apart), one bit is changed in the middle of what comes next, with the checksum made right.
 * `ip link set eth0 gso_max_segs 1` on the hosts gives real ones. Prints
 * "ready" and runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORTS_MAX = 32, ADDRESSES_MAX = 256, HEADER = 10, BATCH = 64, BUFFER = 64 << 20 };

struct packet {
    struct packet *next;
    int64_t due;
    size_t length;
    unsigned char bytes[];
};

struct port {
    int fd;
    struct packet *head, **tail;
    int64_t last; /* when the last packet of the queue leaves */
    int64_t busy; /* until when the line is occupied, with a rate */
};

static struct port ports[PORTS_MAX];
static int port_count;
static struct {
    unsigned char address[ETH_ALEN];
    int port;
} learned[ADDRESSES_MAX];
static int learned_count;
static double delay_us, jitter_us, loss_percent, rate_mbit;
static FILE *record;
static long change_after = -1; /* -1: nothing is (any more) to be changed */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool open_port(struct port *port, const char *interface)
{
    int one = 1, size = BUFFER;
    unsigned index = if_nametoindex(interface);
    struct packet_mreq promiscuous = {.mr_ifindex = (int) index, .mr_type = PACKET_MR_PROMISC};
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int) index};

    port->tail = &port->head;
    port->fd = index == 0 ? -1 : socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (port->fd < 0) return false;
    setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(port->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    return setsockopt(port->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) == 0 &&
           setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) == 0 &&
           setsockopt(port->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) == 0 &&
           bind(port->fd, (struct sockaddr *) &address, sizeof address) == 0;
}

static void learn(const unsigned char *address, int port)
{
    int i = 0;
    while (i < learned_count && memcmp(learned[i].address, address, ETH_ALEN) != 0) i++;
    if (i == ADDRESSES_MAX) return;
    if (i == learned_count) learned_count++;
    memcpy(learned[i].address, address, ETH_ALEN);
    learned[i].port = port;
}

static int port_of(const unsigned char *address) /* -1: not known, or for all */
{
    for (int i = 0; i < learned_count && !(address[0] & 1); i++)
        if (memcmp(learned[i].address, address, ETH_ALEN) == 0) return learned[i].port;
    return -1;
}

static void queue(struct port *port, const unsigned char *bytes, size_t length)
{
    struct packet *packet = malloc(sizeof *packet + length);
    if (!packet) return; /* lost */
    int64_t t = now();
    double wait = delay_us + (jitter_us > 0 ? (2 * drand48() - 1) * jitter_us : 0);
    packet->next = NULL;
    packet->length = length;
    packet->due = t + (int64_t) (1e3 * wait);
    memcpy(packet->bytes, bytes, length);
    if (rate_mbit > 0) {
        port->busy = (port->busy > t ? port->busy : t) + (int64_t) ((double) length * 8e3 / rate_mbit);
        packet->due += port->busy - t;
    }
    if (packet->due < port->last) packet->due = port->last;
    port->last = packet->due;
    *port->tail = packet;
    port->tail = &packet->next;
}

static int64_t send_due(struct port *port, int64_t t) /* when the next one is due, 0: there is none */
{
    struct packet *packet;
    while ((packet = port->head) && packet->due <= t) {
        port->head = packet->next;
        if (!port->head) port->tail = &port->head;
        if (send(port->fd, packet->bytes, packet->length, 0) < 0)
            fprintf(stderr, "netemu: %zu bytes are lost: %s\n", packet->length, strerror(errno));
        free(packet);
    }
    return packet ? packet->due : 0;
}

/* Changes a bit, when it is time, in a frame with its virtio_net_hdr. */
static void change(unsigned char *bytes, size_t length)
{
    enum { CHECKSUM_LATER = 1, LEAST = 64, SSH = 22 };
    unsigned char *ip = bytes + HEADER + ETH_HLEN;
    if (change_after < 0 || length < HEADER + ETH_HLEN + 40 || ip[-2] != 8 || ip[-1] != 0 || ip[9] != IPPROTO_TCP)
        return;
    unsigned char *tcp = ip + (ip[0] & 15) * 4, *data = tcp + (tcp[12] >> 4) * 4, *end = ip + (ip[2] << 8 | ip[3]);
    if (end > bytes + length || end < data + LEAST || (tcp[0] << 8 | tcp[1]) == SSH || (tcp[2] << 8 | tcp[3]) == SSH)
        return;
    if ((change_after -= end - data) >= 0) return;
    unsigned char *word = data + (end - data) / 4 * 2;
    unsigned before = (unsigned) (word[0] << 8 | word[1]), sum = (unsigned) (tcp[16] << 8 | tcp[17]);
    word[1] ^= 4;
    if (!(bytes[0] & CHECKSUM_LATER)) { /* RFC 1624 */
        sum = (~sum & 0xffff) + (~before & 0xffff) + (unsigned) (word[0] << 8 | word[1]);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = ~((sum & 0xffff) + (sum >> 16));
        tcp[16] = (unsigned char) (sum >> 8);
        tcp[17] = (unsigned char) sum;
    }
    puts("changed");
    fflush(stdout);
}

static void forward(int from)
{
    static unsigned char bytes[1 << 17];
    for (int i = 0; i < BATCH; i++) {
        ssize_t length = recv(ports[from].fd, bytes, sizeof bytes, 0);
        if (length < HEADER + ETH_HLEN) return;
        learn(bytes + HEADER + ETH_ALEN, from);
        int to = port_of(bytes + HEADER);
        if (record) fwrite(bytes + HEADER, 1, (size_t) length - HEADER, record);
        change(bytes, (size_t) length);
        if (to == from || (loss_percent > 0 && drand48() * 100 < loss_percent)) continue;
        for (int p = 0; p < port_count; p++)
            if (p != from && (to < 0 || to == p)) queue(&ports[p], bytes, (size_t) length);
    }
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "d:j:l:r:w:x:")) != -1;) switch (option) {
        case 'd': delay_us = atof(optarg); break;
        case 'j': jitter_us = atof(optarg); break;
        case 'l': loss_percent = atof(optarg); break;
        case 'r': rate_mbit = atof(optarg); break;
        case 'w': record = fopen(optarg, "wb"); break;
        case 'x': change_after = atol(optarg); break;
        default: return 2;
        }
    if (record) setvbuf(record, NULL, _IONBF, 0); /* it ends by a signal */
    prctl(PR_SET_TIMERSLACK, 1000);
    srand48(now() ^ getpid());
    struct pollfd watched[PORTS_MAX];
    for (; optind < argc && port_count < PORTS_MAX; optind++, port_count++) {
        if (!open_port(&ports[port_count], argv[optind])) {
            fprintf(stderr, "netemu: %s: %s\n", argv[optind], strerror(errno));
            return 1;
        }
        watched[port_count] = (struct pollfd){ports[port_count].fd, POLLIN, 0};
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int64_t t = now(), next = t + INT64_C(1000000000);
        for (int p = 0; p < port_count; p++) {
            int64_t due = send_due(&ports[p], t);
            if (due && due < next) next = due;
        }
        struct timespec wait = {(next - t) / 1000000000, (next - t) % 1000000000};
        if (ppoll(watched, (nfds_t) port_count, &wait, NULL) <= 0) continue;
        for (int p = 0; p < port_count; p++)
            if (watched[p].revents & POLLIN) forward(p);
    }
}
