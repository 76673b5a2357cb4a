/* Fuzzing launcher/hosts.c: lists of hosts, lines of host files, Slurm's and LSF's lists, and what is made of them. The
 * first byte says which form the rest has, the second how ranks are placed.
 */
#include "fuzz.h"
#include "hosts.h"

enum { RANKS = 200 };

static int read_hosts(struct ame__hosts *hosts, unsigned form, char *text)
{
    char *counts;
    int rc = 0;
    switch (form % 4) {
    case 0: return ame__hosts_add_list(hosts, text);
    case 1:
        for (char *rest = text, *line; rc == 0 && (line = strsep(&rest, "\n"));) rc = ame__hosts_add_line(hosts, line);
        return rc;
    case 2:
        counts = text;
        text = strsep(&counts, "\n");
        return ame__hosts_add_nodelist(hosts, text, counts);
    default: return ame__hosts_add_pairs(hosts, text);
    }
}

static void place(const struct ame__hosts *hosts, unsigned how)
{
    int host_of[RANKS], per_host = (int) (how >> 1) % 5, size = 1 + (int) (how * 7) % RANKS;
    char mapping[1024];
    FUZZ_CHECK(ame__hosts_slots(hosts, per_host) >= (int) (hosts->count < RANKS ? hosts->count : RANKS));
    ame__hosts_map(hosts, how & 1 ? AME__MAP_NODE : AME__MAP_SLOT, per_host, size, host_of);
    for (int rank = 0; rank < size; rank++) FUZZ_CHECK(host_of[rank] >= 0 && host_of[rank] < (int) hosts->count);
    if (ame__hosts_mapping(host_of, size, mapping, sizeof mapping)) FUZZ_CHECK(strlen(mapping) < sizeof mapping);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz input = {data, size};
    struct ame__hosts hosts = {0};
    unsigned form = fuzz_byte(&input), how = fuzz_byte(&input);
    char *text = fuzz_text(&input);
    (void) read_hosts(&hosts, form, text);
    FUZZ_CHECK(hosts.count <= AME__HOSTS_MAX);
    for (size_t i = 0; i < hosts.count; i++) { /* names are arguments of ssh and srun */
        FUZZ_CHECK(hosts.items[i].slots >= 1 && hosts.items[i].slots <= AME__SLOTS_MAX);
        FUZZ_CHECK(hosts.items[i].name[0] != '-' && !strpbrk(hosts.items[i].name, " \t\n'\"$`;|&<>(){}*?"));
        FUZZ_CHECK(!hosts.items[i].user ||
                   (hosts.items[i].user[0] != '-' && !strpbrk(hosts.items[i].user, " \n'\"$`;@")));
    }
    if (hosts.count) place(&hosts, how);
    ame__hosts_finish(&hosts);
    free(text);
    return 0;
}
