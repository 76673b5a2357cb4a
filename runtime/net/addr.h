/* addr.h - addresses: which interfaces this host has and which of them are offered, addresses as text, and the order in
 * which the addresses of another rank are tried. No names are looked up anywhere.
 *
 * An offer is a list such as "127.0.0.1:4000,10.0.0.1:4000,[fd00::1]:4000", the best first. Loopback stands in it for
 * the ranks of the same host only; who dials knows by the identity of the host (ame__host_identity) whether it is one.
 */
#ifndef AME_NET_ADDR_H
#define AME_NET_ADDR_H

#include <stdbool.h>
#include <sys/socket.h>

enum {
    AME__ADDRESS_MAX = 64,    /* "[fd00::1]:65535" */
    AME__ADDRESSES_MAX = 352, /* of a list; it must fit into a value of the boot layer */
    AME__CANDIDATES_MAX = 16, /* addresses of one rank that are tried */
    AME__INTERFACES_MAX = 64,
    AME__HOST_ID_MAX = 20
};

struct ame__interface {
    char name[32];
    struct sockaddr_storage address; /* port 0 */
    int prefix;                      /* length of the network's part */
    bool loopback, up;
    bool last_resort; /* a bridge of containers or machines, a tunnel, or without a carrier */
    bool chosen;      /* is offered to other hosts */
};
struct ame__interfaces {
    int count;
    struct ame__interface list[AME__INTERFACES_MAX];
};

/* The IPv4 and IPv6 addresses of this host, those that are offered to others first and in that order. AME_E_CONFIG if
 * AME_IFACE cannot be read or chooses none. */
int ame__interfaces_list(struct ame__interfaces *all);
/* The first and last port to listen on, 0 and 0: any (AME_PORT_RANGE, else MPIEXEC_PORT_RANGE). */
int ame__port_range(int *first, int *last);
/* What makes two processes share a loopback interface: the running kernel and the network namespace. 16 hex digits. */
void ame__host_identity(char text[AME__HOST_ID_MAX]);

/* Does AME_IFACE=`rule` choose this address of the interface `name`? -1: the rule cannot be read (error text). The
 * grammar is NCCL's, with networks added: a list of beginnings of names ("eth,ib"), "=" before it for whole names, "^"
 * for all but these, and addresses or networks ("10.1.0.0/16") in place of names. */
int ame__iface_rule(const char *rule, const char *name, const struct sockaddr *address);

/* "a.b.c.d:port" or "[v6]:port"; false: it is neither. */
bool ame__address_parse(const char *text, size_t length, struct sockaddr_storage *address);
void ame__address_format(const struct sockaddr *address, char text[AME__ADDRESS_MAX]);
int ame__address_port(const struct sockaddr *address);
socklen_t ame__address_size(const struct sockaddr_storage *address);
bool ame__address_is_loopback(const struct sockaddr *address);
/* Same family and address, whatever the ports; an IPv4 address in IPv6 form equals the plain one. */
bool ame__address_equal(const struct sockaddr *a, const struct sockaddr *b);
bool ame__address_in_network(const struct sockaddr *address, const struct sockaddr *network, int prefix);
/* Appends ",address" (the comma if there is something before); false: no room. */
bool ame__addresses_add(char list[AME__ADDRESSES_MAX], const struct sockaddr *address, int port);
/* Of the list that another rank offers, what is worth trying from here, best first: loopback only on the `same_host`,
 * own addresses only there too, then networks that both are in. Returns how many; -1: the list cannot be read. */
int ame__addresses_order(const char *list, bool same_host, const struct ame__interfaces *here,
                         struct sockaddr_storage out[AME__CANDIDATES_MAX]);

#endif
