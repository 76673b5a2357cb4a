/* ame-info.c - says what AME is here and why: version, how this process was started, addresses, settings; and, as a
 * job, whether every rank can talk to every other (--check).
 *
 * It links libame as a whole and looks inside, so that what it prints is what the library does and no second opinion.
 * It is the first thing to run when something does not work, so it must work when nothing else does: without --check it
 * starts nothing and connects to nothing.
 */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/vars.h"
#include "engine/engine.h"
#include "gpu/device.h"
#include "timeline.h"

enum { CHECK_BYTES = 64 << 10, CHECK_TURNS = 20 };

/* ---- what is here -------------------------------------------------------------------------------- */

static void print_version(void)
{
    printf("AME %s, protocol %u, built with %s, libuv %s (built against %s), libsodium %s\n", ame_version(),
           AME__PROTOCOL_VERSION, AME__BUILD, uv_version_string(), AME__UV_VERSION, sodium_version_string());
}

static void print_ways(void)
{
    char why[AME__BOOT_WHY_MAX], several[AME__BOOT_WHY_MAX];
    const char *named = ame__var_is_set(AME__VAR_JOB_ID) ? "auto" : ame__var_text(AME__VAR_BOOT);
    bool taken = false;
    printf("\nWays of being started, in the order in which they are tried:\n");
    for (const struct ame__boot_way *const *way = ame__boot_ways; *way; way++) {
        bool chosen = (*way)->probe(why) && (!strcmp(named, "auto") || !strcmp(named, (*way)->name));
        printf("  %-8s %-4s %s\n           %s\n", (*way)->name, chosen && !taken ? "YES" : "no", why, (*way)->text);
        taken |= chosen;
    }
    if (strcmp(named, "auto")) printf("  AME_BOOT=%s: only this one is tried.\n", named);
    if (!ame__boot_several(several))
        printf("  No variable of a launcher says that this process is one of several.\n");
    else
        printf("  %s says that this process is one of several ranks.\n", several);
}

static void print_addresses(void)
{
    struct ame__interfaces all;
    char text[AME__ADDRESS_MAX];
    int first, last, code = ame__interfaces_list(&all);
    printf("\nAddresses of this host (when all ranks share a host, only 127.0.0.1 is used):\n");
    for (int i = 0; i < all.count; i++) {
        const struct ame__interface *one = &all.list[i];
        ame__address_format((const struct sockaddr *) &one->address, text);
        *strrchr(text, ':') = '\0'; /* the port, which is not known yet */
        printf("  %-12s %s/%d%*s %s\n", one->name, text, one->prefix,
               strlen(text) < 40 ? 40 - (int) strlen(text) - (one->prefix > 9) - (one->prefix > 99) : 0, "",
               one->chosen     ? one->last_resort ? "offered to other hosts, tried last" : "offered to other hosts"
               : one->loopback ? "for ranks of this host"
               : one->up       ? "not offered"
                               : "not offered: down");
    }
    if (code) printf("  %s\n", ame_last_error());
    if (ame__port_range(&first, &last))
        printf("  %s\n", ame_last_error());
    else if (first)
        printf("  Listens for other hosts on a port from %d to %d.\n", first, last);
}

/* From the driver's lists: no context is made. */
static void print_gpus(void)
{
    static struct ame__gpu_listed list[AME__GPU_DEVICES_MAX];
    char why[AME__GPU_WHY_MAX];
    struct ame__gpu_wish wish;
    printf("\nGPUs (AME_GPU=%s):\n", ame__var_text(AME__VAR_GPU));
    if (ame__gpu_wish(&wish)) {
        printf("  %s\n", ame_last_error());
        return;
    }
    int count = ame__gpu_list(list, why);
    for (int i = 0; i < count; i++) {
        const ame_gpu_device *device = &list[i].device;
        printf("  %d %s, %s, PCI %s, NUMA node %d, sm_%d, %d multiprocessors, %.1f GiB%s\n", i, device->name,
               device->uuid, device->pci, device->numa, device->architecture, device->multiprocessors,
               (double) device->memory / (1 << 30), list[i].prohibited ? ", permits no contexts" : "");
    }
    int chosen =
        count && wish.kind != AME__GPU_OFF ? ame__gpu_choose(&wish, list, count, ame__gpu_local_rank(), why) : -1;
    if (chosen >= 0)
        printf("  This process would use device %d, unless ame_gpu_bind gives it another one.\n", chosen);
    else
        printf("  This process %s: %s.\n",
               ame__gpu_required(&wish) ? "cannot use one, but has to" : "would use the CPU",
               wish.kind == AME__GPU_OFF ? "AME_GPU=off" : why);
}

static void tell_unknown(const char *name, const char *nearest, void *arg)
{
    (void) arg;
    if (nearest)
        printf("  %s is set, but is not a variable of AME; maybe %s?\n", name, nearest);
    else
        printf("  %s is set, but is not a variable of AME\n", name);
}

static void print_variables(void)
{
    printf("\nVariables (* set in this environment):\n");
    for (int group = AME__VAR_BY_USER; group <= AME__VAR_BY_LAUNCHER; group++) {
        if (group == AME__VAR_BY_LAUNCHER) printf("  set by ameexec for its ranks:\n");
        for (int var = 0; var < AME__VAR_COUNT; var++) {
            const struct ame__var_info *info = &ame__var_table[var];
            if ((int) info->group != group) continue;
            bool set = ame__var_is_set(var);
            const char *value = ame__var_text(var);
            if (var == AME__VAR_AUTHKEY && set) value = "(secret)";
            printf("%c %-22s = %-12s", set ? '*' : ' ', info->name, value && *value ? value : "-");
            if (set && group == AME__VAR_BY_USER)
                printf(" (default %s)", *info->default_text ? info->default_text : "-");
            printf("\n      %s\n", info->help);
        }
    }
    ame__vars_check_names(tell_unknown, NULL);
}

/* The list of variables in the language of manual pages; ame.7 is made from it. */
static void print_manual(void)
{
    for (int var = 0; var < AME__VAR_COUNT; var++) {
        const struct ame__var_info *info = &ame__var_table[var];
        if (info->group == AME__VAR_BY_LAUNCHER && (var == 0 || ame__var_table[var - 1].group == AME__VAR_BY_USER))
            printf(".SS Set by ameexec for its ranks\n");
        printf(".TP\n.B %s\n", info->name);
        for (const char *c = info->help; *c; c++) printf(*c == '-' ? "\\-" : "%c", *c);
        if (info->group == AME__VAR_BY_USER)
            printf(".\nDefault: %s%s%s.\n", *info->default_text ? "" : "none", info->default_text[0] == '-' ? "\\" : "",
                   info->default_text);
        else
            printf(".\n");
    }
}

/* ---- --check ------------------------------------------------------------------------------------- */

static int failed(const char *what)
{
    fprintf(stderr, "ame-info --check: %s: %s\n", what, ame_last_error());
    return -1;
}

struct findings {
    double slowest; /* us, half round trip with the slowest partner */
    int32_t partner, direct, relayed;
};

static void fill(unsigned char *bytes, int from, int to)
{
    for (int i = 0; i < CHECK_BYTES; i++) bytes[i] = (unsigned char) (i * 7 + from * 31 + to * 17);
}

/* Exchanges with the ranks at `distance` on both sides, checks every byte, times short messages. */
static int exchange(int rank, int size, int distance, unsigned char *out, unsigned char *in, struct findings *findings)
{
    int right = (rank + distance) % size, left = (rank + size - distance) % size;
    ame_status status;
    fill(out, rank, right);
    if (ame_sendrecv(out, CHECK_BYTES, right, distance, in, CHECK_BYTES, left, distance, AME_COMM_WORLD, &status))
        return failed("exchange");
    fill(out, left, rank);
    if (status.length != CHECK_BYTES || memcmp(out, in, CHECK_BYTES)) {
        fprintf(stderr, "ame-info --check: the message from rank %d to rank %d arrived changed\n", left, rank);
        return -1;
    }
    double start = ame_wtime();
    for (int turn = 0; turn < CHECK_TURNS; turn++)
        if (ame_sendrecv(out, 8, right, 0, in, 8, left, 0, AME_COMM_WORLD, NULL)) return failed("exchange");
    double time = (ame_wtime() - start) / CHECK_TURNS * 1e6;
    if (time > findings->slowest) {
        findings->slowest = time;
        findings->partner = left;
    }
    if (ame__engine.peers[right].path == AME__RELAYED)
        findings->relayed++;
    else
        findings->direct++;
    return 0;
}

static void report(int size, const struct findings *all)
{
    int direct = 0, relayed = 0, worst = 0;
    for (int rank = 0; rank < size; rank++) {
        direct += all[rank].direct;
        relayed += all[rank].relayed;
        if (all[rank].slowest > all[worst].slowest) worst = rank;
    }
    printf("All %d ordered pairs of ranks exchanged messages: %d over direct links, %d through rank 0.\n",
           size * (size - 1), direct, relayed);
    if (size > 1)
        printf("Slowest exchange of 8 bytes: %.1f us, rank %d with rank %d.\n", all[worst].slowest, worst,
               all[worst].partner);
    printf("OK\n");
    fflush(stdout);
}

/* ---- --pairs: what ame doctor prints about its hosts, one rank on each ------------------------------ */

struct pair {
    double time; /* us: half round trip of 8 bytes */
    int32_t relayed;
    char address[AME__ADDRESS_MAX]; /* of the other side, as this one sees it */
};

static void report_pairs(int size, const struct pair *all)
{
    bool relayed = false;
    printf("  %-20s    %-20s %-10s %-28s %s\n", "from", "to", "way", "at", "8 bytes");
    for (int one = 0; one < size; one++)
        for (int other = one + 1; other < size; other++) {
            const struct pair *pair = &all[one * size + other];
            printf("  %-20s -> %-20s %-10s %-28s %.0f us\n", ame__peer_host(one), ame__peer_host(other),
                   pair->relayed ? "relayed" : "direct", pair->address, pair->time);
            relayed |= pair->relayed;
        }
    if (relayed)
        printf(
            "  Where it says relayed no direct connection could be opened and messages go through rank 0: a firewall\n"
            "  between the two? AME_PORT_RANGE=LO:HI listens on ports that it lets pass, AME_IFACE chooses "
            "networks.\n");
    fflush(stdout);
}

static int pairs(void)
{
    unsigned char bytes[8] = {0};
    if (ame_init()) {
        fprintf(stderr, "%s\n", ame_last_error());
        return 1;
    }
    int rank = ame_comm_rank(AME_COMM_WORLD), size = ame_comm_size(AME_COMM_WORLD);
    struct pair *mine = calloc((size_t) size, sizeof *mine), *all = calloc((size_t) size * size, sizeof *all);
    if (!mine || !all) ame_abort(1);
    /* One pair after the other, so that each has the network for itself. */
    for (int one = 0; one < size; one++)
        for (int other = one + 1; other < size; other++) {
            int partner = rank == one ? other : rank == other ? one : -1, code = ame_barrier(AME_COMM_WORLD);
            double start = 0;
            for (int turn = 0; partner >= 0 && turn <= CHECK_TURNS && !code; turn++) {
                if (turn == 1) start = ame_wtime(); /* the first one opens the connection */
                code = ame_sendrecv(bytes, 8, partner, 0, bytes, 8, partner, 0, AME_COMM_WORLD, NULL);
            }
            if (code) {
                failed("pairs of hosts");
                ame_abort(1);
            }
            if (partner < 0) continue;
            const struct ame__peer *peer = &ame__engine.peers[partner];
            mine[partner].time = (ame_wtime() - start) / CHECK_TURNS * 1e6;
            mine[partner].relayed = peer->path == AME__RELAYED;
            snprintf(mine[partner].address, sizeof mine[partner].address, "%s", peer->conn ? peer->conn->address : "-");
        }
    if (ame_gather(mine, (size_t) size * sizeof *mine, all, 0, AME_COMM_WORLD)) ame_abort(1);
    if (rank == 0) report_pairs(size, all);
    free(mine);
    free(all);
    return ame_finalize() ? 1 : 0;
}

static int check_pairs(int rank, int size)
{
    struct findings mine = {0}, *all = calloc((size_t) size, sizeof *all);
    unsigned char *out = malloc(CHECK_BYTES), *in = malloc(CHECK_BYTES);
    int result = all && out && in ? 0 : -1;
    for (int distance = 1; distance < size && !result; distance++)
        result = exchange(rank, size, distance, out, in, &mine);
    if (!result && ame_gather(&mine, sizeof mine, all, 0, AME_COMM_WORLD)) result = failed("gather");
    if (!result && rank == 0) report(size, all);
    free(all);
    free(out);
    free(in);
    return result;
}

static int check(void)
{
    if (ame_init()) {
        fprintf(stderr, "%s\n", ame_last_error());
        return 1;
    }
    int rank = ame_comm_rank(AME_COMM_WORLD), size = ame_comm_size(AME_COMM_WORLD);
    const struct ame__engine *engine = &ame__engine;
    if (rank == 0) {
        print_version();
        printf("Started by: %s (%s)\n", engine->boot.way->name, engine->boot.why);
        printf("Host %s, %d ranks, %d of them here; waiting: spins %.0f us%s, then sleeps\n", engine->host, size,
               engine->boot.local_size, (double) engine->spin_ns / 1000, engine->crowded ? " and yields" : "");
        if (size == 1) printf("One rank only. To check several: ameexec -np 4 ame-info --check\n");
        fflush(stdout);
    }
    if (ame_barrier(AME_COMM_WORLD)) return failed("barrier") ? 1 : 0;
    printf("Hello from rank %d of %d!\n", rank, size);
    fflush(stdout);
    int result = check_pairs(rank, size);
    if (result) ame_abort(1);
    if (ame_finalize()) return failed("finalize") ? 1 : 0;
    return 0;
}

/* ---- --mpi --------------------------------------------------------------------------------------- */

static int list_mpi(void)
{
#if AME__MPI
    static const struct {
        const char *name, *group;
        bool implemented;
    } functions[] = {
#define X(name, group, implemented) {name, group, implemented},
#include "mpi-list.inc"
#undef X
    };
    size_t count = sizeof functions / sizeof *functions, implemented = 0;
    for (size_t i = 0; i < count; i++) implemented += functions[i].implemented;
    printf("%zu functions of the MPI 5.0 ABI, %zu implemented; the others answer MPI_ERR_UNSUPPORTED_OPERATION.\n",
           count, implemented);
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(group, functions[i].group)) printf("\n%s\n", functions[i].group);
        group = functions[i].group;
        printf("  %s %s\n", functions[i].implemented ? "yes" : "no ", functions[i].name);
    }
    return 0;
#else
    fprintf(stderr, "ame-info: AME has been built without MPI (-Dmpi=disabled)\n");
    return 1;
#endif
}

static void usage(FILE *file)
{
    fprintf(
        file,
        "usage: ame-info [--check | --mpi | --version | --help]\n"
        "       ame-info --timeline FILE [-o PICTURE]\n"
        "\n"
        "Without an option: version, how this process was started and why, addresses, GPUs, and every variable with\n"
        "value, default and meaning.\n"
        "\n"
        "  -c, --check    as a job (ameexec -np 4 ame-info --check): each rank says hello, and every pair of\n"
        "                 ranks exchanges messages\n"
        "  --mpi          the functions of MPI, and which of them are implemented\n"
        "  -t, --timeline FILE\n"
        "                 draws what AME_TRACE has written, as SVG, into PICTURE or to standard output\n"
        "  -V, --version  the version\n"
        "  -h, --help     this text\n");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"check", no_argument, NULL, 'c'},
                                            {"timeline", required_argument, NULL, 't'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"manual", no_argument, NULL, 'm'}, /* for the build: makes ame.7 */
                                            {"mpi", no_argument, NULL, 'M'},
                                            {"pairs", no_argument, NULL, 'p'}, /* for ame doctor */
                                            {NULL, 0, NULL, 0}};
    int option = getopt_long(argc, argv, "ct:Vh", options, NULL);
    const char *trace = option == 't' ? optarg : NULL, *picture = NULL;
    if (trace && getopt_long(argc, argv, "o:", options, NULL) == 'o') picture = optarg;
    if (optind < argc && option != '?') {
        fprintf(stderr, "ame-info: '%s' is not an option\n", argv[optind]);
        option = '?';
    }
    switch (option) {
    case 'c': return check();
    case 't': return ame__timeline_draw(trace, picture);
    case 'V': print_version(); return 0;
    case 'm': print_manual(); return 0;
    case 'p': return pairs();
    case 'M': return list_mpi();
    case 'h': usage(stdout); return 0;
    case '?': usage(stderr); return 2;
    default: break;
    }
    print_version();
    print_ways();
    print_addresses();
    print_gpus();
    print_variables();
    return 0;
}
