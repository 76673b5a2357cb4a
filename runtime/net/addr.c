/* addr.c - see addr.h. */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/vars.h"

/* ---- addresses ----------------------------------------------------------------------------------- */

/* The bytes of an address; an IPv4 address in IPv6 form gives its four. */
static const unsigned char *bytes_of(const struct sockaddr *address, int *length)
{
    if (address->sa_family == AF_INET) {
        *length = 4;
        return (const unsigned char *) &((const struct sockaddr_in *) (const void *) address)->sin_addr;
    }
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *) (const void *) address)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
    *length = mapped ? 4 : 16;
    return v6->s6_addr + (mapped ? 12 : 0);
}

int ame__address_port(const struct sockaddr *address)
{
    return ntohs(address->sa_family == AF_INET ? ((const struct sockaddr_in *) (const void *) address)->sin_port
                                               : ((const struct sockaddr_in6 *) (const void *) address)->sin6_port);
}

socklen_t ame__address_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

bool ame__address_is_loopback(const struct sockaddr *address)
{
    int length;
    const unsigned char *bytes = bytes_of(address, &length);
    return length == 4 ? bytes[0] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *) (const void *) bytes);
}

bool ame__address_in_network(const struct sockaddr *address, const struct sockaddr *network, int prefix)
{
    int length, other;
    const unsigned char *a = bytes_of(address, &length), *b = bytes_of(network, &other);
    if (length != other || prefix < 0 || prefix > 8 * length) return false;
    if (memcmp(a, b, (size_t) prefix / 8)) return false;
    return prefix % 8 == 0 || (a[prefix / 8] ^ b[prefix / 8]) >> (8 - prefix % 8) == 0;
}

bool ame__address_equal(const struct sockaddr *a, const struct sockaddr *b)
{
    int length;
    (void) bytes_of(a, &length);
    return ame__address_in_network(a, b, 8 * length);
}

void ame__address_format(const struct sockaddr *address, char text[AME__ADDRESS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    int length;
    const unsigned char *bytes = bytes_of(address, &length);
    inet_ntop(length == 4 ? AF_INET : AF_INET6, bytes, host, sizeof host);
    snprintf(text, AME__ADDRESS_MAX, length == 4 ? "%s:%d" : "[%s]:%d", host, ame__address_port(address));
}

/* An address without a port. */
static bool parse_host(const char *text, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *) address)->sin_addr) == 1)
        address->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *) address)->sin6_addr) == 1)
        address->ss_family = AF_INET6;
    return address->ss_family != AF_UNSPEC;
}

bool ame__address_parse(const char *text, size_t length, struct sockaddr_storage *address)
{
    char copy[AME__ADDRESS_MAX], *end, *host = copy;
    if (length >= sizeof copy) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *colon = strrchr(copy, ':');
    if (!colon || colon == copy || colon[1] < '0' || colon[1] > '9') return false;
    long port = strtol(colon + 1, &end, 10);
    if (*end || port < 1 || port > 65535) return false;
    *colon = '\0';
    bool brackets = *copy == '[' && colon[-1] == ']';
    if (brackets) {
        host = copy + 1;
        colon[-1] = '\0';
    }
    if (!parse_host(host, address) || (address->ss_family == AF_INET6) != brackets) return false;
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *) address)->sin_port = htons((uint16_t) port);
    else
        ((struct sockaddr_in6 *) address)->sin6_port = htons((uint16_t) port);
    return true;
}

/* ---- interfaces ---------------------------------------------------------------------------------- */

/* Does one item of AME_IFACE fit? -1: it cannot be read. */
static int item_fits(const char *item, bool exact, const char *name, const struct sockaddr *address)
{
    struct sockaddr_storage network;
    char host[AME__ADDRESS_MAX];
    size_t length = strcspn(item, "/");
    if (length >= sizeof host) return -1;
    memcpy(host, item, length);
    host[length] = '\0';
    if (parse_host(host, &network)) {
        int most = network.ss_family == AF_INET ? 32 : 128;
        char *end = NULL;
        long prefix = item[length] ? strtol(item + length + 1, &end, 10) : most;
        if (end && (end == item + length + 1 || *end || prefix < 0 || prefix > most)) return -1;
        return ame__address_in_network(address, (struct sockaddr *) &network, (int) prefix);
    }
    if (!*item || strpbrk(item, "/^= ")) return -1;
    return exact ? !strcmp(name, item) : !strncmp(name, item, strlen(item));
}

int ame__iface_rule(const char *rule, const char *name, const struct sockaddr *address)
{
    char copy[512];
    const char *at = rule;
    bool except = *at == '^';
    if (except) at++;
    bool exact = *at == '=';
    if (exact) at++;
    bool found = false;
    if (strlen(at) >= sizeof copy)
        return ame__fail(AME_E_CONFIG, "AME_IFACE is longer than %zu bytes", sizeof copy), -1;
    snprintf(copy, sizeof copy, "%s", at);
    for (char *rest = copy, *item; (item = strsep(&rest, ","));) {
        int fits = item_fits(item, exact, name, address);
        if (fits < 0) {
            ame__fail(
                AME_E_CONFIG,
                "AME_IFACE='%.200s': '%.60s' is neither the name of an interface nor a network such as 10.0.0.0/8 "
                "(a list is eth,ib; =eth0 is the whole name; ^docker,virbr is all but these)",
                rule, item);
            return -1;
        }
        found |= fits;
    }
    return found != except;
}

/* Interfaces that seldom lead to another host: of containers, virtual machines, VPNs. */
static bool is_virtual(const char *name)
{
    static const char *const beginnings[] = {"docker", "veth", "virbr", "br-",  "vmnet",     "vboxnet", "tun",
                                             "tap",    "wg",   "cni",   "cali", "flannel",   "podman",  "lxc",
                                             "lxdbr",  "ppp",  "utun",  "zt",   "tailscale", NULL};
    for (const char *const *beginning = beginnings; *beginning; beginning++)
        if (!strncmp(name, *beginning, strlen(*beginning))) return true;
    return false;
}

static int prefix_of(const struct sockaddr *mask)
{
    int length, bits = 0;
    if (!mask || (mask->sa_family != AF_INET && mask->sa_family != AF_INET6)) return -1;
    const unsigned char *bytes = bytes_of(mask, &length);
    while (bits < 8 * length && bytes[bits / 8] & 0x80 >> bits % 8) bits++;
    return bits;
}

static int place_of(const struct ame__interface *one)
{
    return one->chosen ? one->last_resort : one->loopback ? 2 : 3;
}

static void sort_by_place(struct ame__interfaces *all)
{
    for (int i = 1; i < all->count; i++) { /* keeps the system's order among equals */
        struct ame__interface one = all->list[i];
        int j = i;
        for (; j > 0 && place_of(&all->list[j - 1]) > place_of(&one); j--) all->list[j] = all->list[j - 1];
        all->list[j] = one;
    }
}

static int take_interface(const struct ifaddrs *from, const char *rule, struct ame__interface *one)
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *) (void *) from->ifa_addr)->sin6_addr;
    memset(one, 0, sizeof *one);
    snprintf(one->name, sizeof one->name, "%s", from->ifa_name);
    memcpy(&one->address, from->ifa_addr,
           from->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    one->prefix = prefix_of(from->ifa_netmask);
    one->loopback = from->ifa_flags & IFF_LOOPBACK || ame__address_is_loopback(from->ifa_addr);
    one->up = from->ifa_flags & IFF_UP;
    one->last_resort = is_virtual(one->name) || from->ifa_flags & IFF_POINTOPOINT || !(from->ifa_flags & IFF_RUNNING);
    /* A link-local address means something only together with the interface at the other end. */
    bool usable = one->up && !one->loopback && !(from->ifa_addr->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(v6));
    int fits = *rule ? ame__iface_rule(rule, one->name, from->ifa_addr) : 1;
    if (fits < 0) return AME_E_CONFIG;
    one->chosen = usable && fits;
    if (*rule) one->last_resort = false; /* the user has said what is good */
    return AME_OK;
}

int ame__interfaces_list(struct ame__interfaces *all)
{
    const char *rule = ame__var_text(AME__VAR_IFACE);
    struct ifaddrs *list;
    int code = AME_OK, chosen = 0;
    char names[300] = "";
    all->count = 0;
    if (getifaddrs(&list)) return ame__fail_errno(errno, "the interfaces of this host cannot be listed");
    for (struct ifaddrs *from = list; from && !code && all->count < AME__INTERFACES_MAX; from = from->ifa_next) {
        if (!from->ifa_addr || (from->ifa_addr->sa_family != AF_INET && from->ifa_addr->sa_family != AF_INET6))
            continue;
        struct ame__interface *one = &all->list[all->count];
        code = take_interface(from, rule, one);
        if (code) break;
        all->count++;
        chosen += one->chosen;
        size_t length = strlen(names);
        if (!strstr(names, one->name))
            snprintf(names + length, sizeof names - length, "%s%s", length ? " " : "", one->name);
    }
    freeifaddrs(list);
    if (!code && *rule && !chosen)
        code =
            ame__fail(AME_E_CONFIG, "AME_IFACE='%.200s' chooses no interface that is up; there are: %s", rule, names);
    sort_by_place(all);
    return code;
}

int ame__port_range(int *first, int *last)
{
    const char *name = "AME_PORT_RANGE", *text = ame__var_text(AME__VAR_PORT_RANGE);
    char rest;
    *first = *last = 0;
    if (!*text) {
        name = "MPIEXEC_PORT_RANGE";
        text = getenv(name);
    }
    if (!text || !*text) return AME_OK;
    if (sscanf(text, "%d%*1[:-]%d%c", first, last, &rest) != 2 || *first < 1 || *last > 65535 || *first > *last)
        return ame__fail(AME_E_CONFIG, "%s='%.40s': must be two ports, lower:upper, from 1 to 65535", name, text);
    return AME_OK;
}

void ame__host_identity(char text[AME__HOST_ID_MAX])
{
    char seed[256] = "";
    unsigned char hash[crypto_generichash_BYTES_MIN];
    struct stat status;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file) {
        if (!fgets(seed, 64, file)) seed[0] = '\0';
        fclose(file);
    }
    size_t length = strlen(seed);
    if (stat("/proc/self/ns/net", &status) == 0)
        snprintf(seed + length, sizeof seed - length, "%llu", (unsigned long long) status.st_ino);
    if (length == 0) gethostname(seed + strlen(seed), 64);
    crypto_generichash(hash, sizeof hash, (const unsigned char *) seed, strlen(seed), NULL, 0);
    sodium_bin2hex(text, 17, hash, 8);
}

/* ---- lists --------------------------------------------------------------------------------------- */

bool ame__addresses_add(char list[AME__ADDRESSES_MAX], const struct sockaddr *address, int port)
{
    struct sockaddr_storage copy;
    char text[AME__ADDRESS_MAX];
    size_t length = strlen(list);
    memset(&copy, 0, sizeof copy);
    memcpy(&copy, address, address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    if (copy.ss_family == AF_INET)
        ((struct sockaddr_in *) &copy)->sin_port = htons((uint16_t) port);
    else
        ((struct sockaddr_in6 *) &copy)->sin6_port = htons((uint16_t) port);
    ame__address_format((struct sockaddr *) &copy, text);
    if (length + 1 + strlen(text) >= AME__ADDRESSES_MAX) return false;
    snprintf(list + length, AME__ADDRESSES_MAX - length, "%s%s", length ? "," : "", text);
    return true;
}

/* 0: loopback of this host, 1: in a network that this host is in, 2: else; -1: not from here. */
static int merit(const struct sockaddr *address, bool same_host, const struct ame__interfaces *here)
{
    int best = 2;
    if (ame__address_is_loopback(address)) return same_host ? 0 : -1;
    for (int i = 0; i < here->count; i++) {
        const struct ame__interface *one = &here->list[i];
        const struct sockaddr *own = (const struct sockaddr *) &one->address;
        /* The same private address on two hosts (docker0): it would lead back to this one. */
        if (!same_host && ame__address_equal(address, own)) return -1;
        if (one->chosen && !one->last_resort && one->prefix > 0 && ame__address_in_network(address, own, one->prefix))
            best = 1;
    }
    return best;
}

int ame__addresses_order(const char *list, bool same_host, const struct ame__interfaces *here,
                         struct sockaddr_storage out[AME__CANDIDATES_MAX])
{
    int merits[AME__CANDIDATES_MAX], count = 0;
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        struct sockaddr_storage address;
        if (!ame__address_parse(at, strcspn(at, ","), &address)) return -1;
        int found = merit((struct sockaddr *) &address, same_host, here), place = count;
        if (found < 0 || count == AME__CANDIDATES_MAX) continue;
        for (; place > 0 && merits[place - 1] > found; place--) {
            merits[place] = merits[place - 1];
            out[place] = out[place - 1];
        }
        merits[place] = found;
        out[place] = address;
        count++;
    }
    return count;
}
