/* Fuzzing runtime/net/addr.c and runtime/boot/env.c: addresses and lists of them, AME_IFACE, AME_PORT_RANGE, and where
 * launchers say that ranks are. The first byte says which.
 */
#include <netinet/in.h>

#include "boot/env.h"
#include "fuzz.h"
#include "net/addr.h"

static void addresses(const char *text, bool same_host)
{
    struct sockaddr_storage list[AME__CANDIDATES_MAX];
    struct ame__interfaces here = {.count = 1};
    char again[AME__ADDRESS_MAX];
    struct sockaddr_in *own = (struct sockaddr_in *) &here.list[0].address;
    own->sin_family = AF_INET;
    own->sin_addr.s_addr = htonl(0x0a000001);
    here.list[0].prefix = 8;
    here.list[0].up = here.list[0].chosen = true;
    int count = ame__addresses_order(text, same_host, &here, list);
    FUZZ_CHECK(count <= AME__CANDIDATES_MAX);
    for (int i = 0; i < count; i++) {
        struct sockaddr_storage parsed;
        ame__address_format((struct sockaddr *) &list[i], again);
        FUZZ_CHECK(ame__address_parse(again, strlen(again), &parsed));
        FUZZ_CHECK(ame__address_equal((struct sockaddr *) &parsed, (struct sockaddr *) &list[i]));
        FUZZ_CHECK(ame__address_port((struct sockaddr *) &parsed) == ame__address_port((struct sockaddr *) &list[i]));
        FUZZ_CHECK(same_host || !ame__address_is_loopback((struct sockaddr *) &list[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    unsigned kind = fuzz_byte(&input), number = fuzz_byte(&input);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(0x0a010203)}};
    int hosts = 0, rank = 0, ranks = 0, first, last;
    char *text = fuzz_text(&input);
    switch (kind % 6) {
    case 0: addresses(text, number & 1); break;
    case 1: (void) ame__iface_rule(text, "eth0", (struct sockaddr *) &address); break;
    case 2:
        if (ame__env_mapping(text, (int) number % 60, 60, &hosts, &rank, &ranks))
            FUZZ_CHECK(hosts >= 1 && rank >= 0 && rank < ranks && ranks <= 60);
        break;
    case 3: FUZZ_CHECK(ame__env_tasks_on(text, (int) number) >= -1); break;
    case 4:
        setenv("AME_PORT_RANGE", text, 1);
        if (ame__port_range(&first, &last) == 0) FUZZ_CHECK(first >= 0 && first <= last && last <= 65535);
        break;
    default:
        setenv("AME_FUZZ_NUMBER", text, 1);
        if (ame__env_number("AME_FUZZ_NUMBER", 3, 300, &ranks) == 0) FUZZ_CHECK(ranks >= 3 && ranks <= 300);
    }
    free(text);
    return 0;
}
