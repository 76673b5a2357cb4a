/* Fuzzing runtime/boot/pmi1.c and pmi2.c: the input is all that a launcher ever says, on PMI_FD, to a rank that goes through
 * its whole start. The first byte says in which version, and on how many ranks.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "boot/boot.h"
#include "boot/ways.h"
#include "fuzz.h"

static void set_number(const char *name, int number)
{
    char text[20];
    snprintf(text, sizeof text, "%d", number);
    setenv(name, text, 1);
}

static void go_through(const struct ame__boot_way *way)
{
    struct ame__boot boot = {.fd = -1, .size = 1, .local_size = 1, .way = way};
    char value[AME__BOOT_VALUE_MAX];
    boot.deadline = ame__now_ns() + 1000000000;
    int code = way->open(&boot);
    FUZZ_CHECK(code <= 0);
    if (!code) {
        FUZZ_CHECK(boot.local_size >= 1 && boot.local_size <= boot.size && boot.local_rank >= 0 &&
                   boot.local_rank < boot.local_size && boot.hosts >= 0);
        code = ame__boot_put(&boot, "ame-root", "a/value");
    }
    if (!code) code = ame__boot_fence(&boot);
    if (!code && !ame__boot_get(&boot, "ame-root", value)) FUZZ_CHECK(strlen(value) < sizeof value);
    ame__boot_blame(&boot, 0);
    ame__boot_release(&boot, true);
    ame__boot_close(&boot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    int pair[2], room = 1 << 20;
    unsigned how = fuzz_byte(&input);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (input.left) (void) send(pair[1], input.at, input.left, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(pair[1], SHUT_WR); /* its requests still have somewhere to go */
    set_number("PMI_FD", pair[0]);
    set_number("PMI_SIZE", 1 + (int) (how >> 1 & 7));
    set_number("PMI_RANK", (int) (how >> 1 & 7) / 2);
    go_through(how & 1 ? &ame__boot_pmi2 : &ame__boot_pmi1);
    close(pair[1]);
    return 0;
}
