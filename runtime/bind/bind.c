/* bind.c - ame_gpu_bind: the ranks of a communicator share out the devices of their hosts.
 *
 * Four collective calls of the public interface:
 *     gatherv   each rank reports what it wants and, if it works, which devices it sees (no context is made for that)
 *     scatter   rank 0 has computed the map (gpu/map.h) and tells each its device; it takes it
 *     gather    whether that went well: a device may be in another process's exclusive use
 *     scatter   how many share each device; and whether a rank that needs one has got none, which is everybody's error
 * Then rank 0 prints the table. It sees no device itself unless it works.
 *
 * Reports are plain structs: all ranks run the same version of libame on the same kind of machine, which the handshake has
 * made sure of. What rank 0 indexes with is checked all the same.
 */
#include <ame_gpu.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "gpu/device.h"
#include "gpu/map.h"

enum { HOST_MAX = 64 };

struct report {
    char host[HOST_MAX];
    int works, count, bound;
    struct ame__gpu_wish wish;
    char why[AME__GPU_WHY_MAX];
    struct ame__gpu_listed list[]; /* `count` of them */
};

struct order {
    int chosen;
    char why[AME__GPU_WHY_MAX];
};

struct outcome {
    int bound;
    char why[AME__GPU_WHY_MAX];
};

struct verdict {
    int sharing, failed; /* rank that needs a device and has none; -1 */
    char host[HOST_MAX];
    char why[AME__GPU_WHY_MAX];
};

/* What rank 0 holds of all ranks. */
struct all {
    int size;
    size_t *lengths, *places;
    char *reports;
    struct ame__gpu_rank *ranks;
    struct order *orders;
    struct outcome *outcomes;
    struct verdict *verdicts;
};

static size_t report_bytes(int count)
{
    return sizeof(struct report) + (size_t) count * sizeof(struct ame__gpu_listed);
}

/* ---- what a rank says ---------------------------------------------------------------------------- */

static void look(struct report *report)
{
    ame_gpu_device device;
    if (ame__gpu_wish(&report->wish)) {
        report->wish.kind = AME__GPU_REQUIRE; /* a value that cannot be used is an error, whatever was meant */
        snprintf(report->why, sizeof report->why, "%.600s", ame__error_text());
    } else if (!report->works) {
        snprintf(report->why, sizeof report->why, "it does not work");
    } else if (report->wish.kind == AME__GPU_OFF) {
        snprintf(report->why, sizeof report->why, "AME_GPU=off");
    } else if (ame__gpu_untouched()) {
        report->count = ame__gpu_list(report->list, report->why);
    } else if (!ame_gpu_get(&device)) { /* it has used one already, and keeps it */
        report->list[0].device = device;
        report->count = report->bound = 1;
        if (report->wish.kind == AME__GPU_ORDINAL) report->wish.ordinal = 0;
    } else {
        snprintf(report->why, sizeof report->why, "%.600s", ame_gpu_why());
    }
}

static void take(const struct report *report, const struct order *order, struct outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    if (report->bound) {
        outcome->bound = 1;
        return;
    }
    if (order->chosen >= 0 && order->chosen < report->count) {
        outcome->bound = ame__gpu_take(&report->list[order->chosen].device) == AME_OK;
        if (!outcome->bound) snprintf(outcome->why, sizeof outcome->why, "%s", ame_gpu_why());
        return;
    }
    snprintf(outcome->why, sizeof outcome->why, "%s", order->why);
    if (ame__gpu_untouched()) ame__gpu_refuse(order->why);
}

/* ---- rank 0 -------------------------------------------------------------------------------------- */

static const struct report *report_of(const struct all *all, int rank)
{
    return (const struct report *) (const void *) (all->reports + all->places[rank]);
}

static int prepare(struct all *all, int size)
{
    size_t count = (size_t) size;
    all->size = size;
    all->lengths = calloc(count, sizeof *all->lengths);
    all->places = calloc(count, sizeof *all->places);
    all->ranks = calloc(count, sizeof *all->ranks);
    all->orders = calloc(count, sizeof *all->orders);
    all->outcomes = calloc(count, sizeof *all->outcomes);
    all->verdicts = calloc(count, sizeof *all->verdicts);
    if (all->lengths && all->places && all->ranks && all->orders && all->outcomes && all->verdicts) return AME_OK;
    return ame__fail(AME_E_NOMEM, "ame_gpu_bind: out of memory for %d ranks", size);
}

static void release(struct all *all)
{
    free(all->lengths);
    free(all->places);
    free(all->reports);
    free(all->ranks);
    free(all->orders);
    free(all->outcomes);
    free(all->verdicts);
}

static int make_room(struct all *all)
{
    size_t end = 0;
    for (int rank = 0; rank < all->size; rank++) {
        all->places[rank] = end;
        end += (all->lengths[rank] + 63) / 64 * 64;
        if (all->lengths[rank] < sizeof(struct report) || all->lengths[rank] > report_bytes(AME__GPU_DEVICES_MAX))
            return ame__fail(AME_E_PROTOCOL, "ame_gpu_bind: the report of rank %d has %zu bytes", rank,
                             all->lengths[rank]);
    }
    all->reports = calloc(1, end);
    return all->reports ? AME_OK : ame__fail(AME_E_NOMEM, "ame_gpu_bind: out of memory for %d reports", all->size);
}

static int compute(struct all *all)
{
    for (int i = 0; i < all->size; i++) {
        const struct report *report = report_of(all, i);
        struct ame__gpu_rank *rank = &all->ranks[i];
        if (report->count < 0 || report_bytes(report->count) != all->lengths[i])
            return ame__fail(AME_E_PROTOCOL, "ame_gpu_bind: the report of rank %d is not one", i);
        rank->works = report->works;
        rank->wish = report->wish;
        rank->list = report->list;
        rank->count = report->count;
        memcpy(rank->why, report->why, sizeof rank->why);
        rank->why[sizeof rank->why - 1] = '\0';
    }
    ame__gpu_map(all->ranks, all->size);
    for (int i = 0; i < all->size; i++) {
        all->orders[i].chosen = all->ranks[i].chosen;
        memcpy(all->orders[i].why, all->ranks[i].why, sizeof all->orders[i].why);
    }
    return AME_OK;
}

static void judge(struct all *all)
{
    int failed = -1;
    for (int i = 0; i < all->size; i++) {
        struct ame__gpu_rank *rank = &all->ranks[i];
        if (!all->outcomes[i].bound) {
            rank->chosen = -1;
            memcpy(rank->why, all->outcomes[i].why, sizeof rank->why);
            rank->why[sizeof rank->why - 1] = '\0';
        }
        if (rank->works && rank->chosen < 0 && failed < 0 && ame__gpu_required(&rank->wish)) failed = i;
    }
    ame__gpu_map_count(all->ranks, all->size);
    for (int i = 0; i < all->size; i++) {
        struct verdict *verdict = &all->verdicts[i];
        verdict->sharing = all->ranks[i].sharing;
        verdict->failed = failed;
        if (failed < 0) continue;
        snprintf(verdict->host, sizeof verdict->host, "%.*s", HOST_MAX - 1, report_of(all, failed)->host);
        memcpy(verdict->why, all->ranks[failed].why, sizeof verdict->why);
    }
}

static void print_row(FILE *table, int rank, const struct report *report, const struct ame__gpu_rank *is)
{
    char node[16] = "-";
    fprintf(table, "%5d  %-16.*s  ", rank, HOST_MAX, report->host);
    if (is->chosen < 0) {
        fprintf(table, "%s%s\n", is->works ? "CPU: " : "no GPU: ", is->why);
        return;
    }
    const ame_gpu_device *device = &is->list[is->chosen].device;
    if (device->numa >= 0) snprintf(node, sizeof node, "%d", device->numa);
    fprintf(table, "%d %-30s  %-40s  %-12s  %4s  %6d\n", device->ordinal, device->name, device->uuid, device->pci, node,
            is->sharing);
}

static void print(FILE *table, const struct all *all)
{
    int sharing = 0;
    fprintf(table, "%5s  %-16s  %-32s  %-40s  %-12s  %4s  %6s\n", "rank", "host", "device", "UUID", "PCI", "NUMA",
            "shared");
    for (int rank = 0; rank < all->size; rank++) {
        print_row(table, rank, report_of(all, rank), &all->ranks[rank]);
        sharing += all->ranks[rank].sharing > 1;
    }
    if (sharing)
        fprintf(table, "%d ranks share a device with others: they compute there in turn, or together under MPS.\n",
                sharing);
    fflush(table);
}

/* ---- all ranks ----------------------------------------------------------------------------------- */

/* Everything between the ranks. Errors of the collective calls are those of any such call. */
static int agree(ame_comm *comm, int rank, struct report *report, struct all *all, struct verdict *verdict)
{
    size_t length = report_bytes(report->count);
    struct order order;
    struct outcome outcome;
    int code = ame_gather(&length, sizeof length, all->lengths, 0, comm);
    if (!code && rank == 0) code = make_room(all);
    if (!code) code = ame_gatherv(report, length, all->reports, all->lengths, all->places, 0, comm);
    if (!code && rank == 0) code = compute(all);
    if (!code) code = ame_scatter(all->orders, &order, sizeof order, 0, comm);
    if (code) return code;
    order.why[sizeof order.why - 1] = '\0';
    take(report, &order, &outcome);
    code = ame_gather(&outcome, sizeof outcome, all->outcomes, 0, comm);
    if (!code && rank == 0) judge(all);
    if (!code) code = ame_scatter(all->verdicts, verdict, sizeof *verdict, 0, comm);
    return code;
}

static int bind(ame_comm *comm, int rank, int size, struct report *report, FILE *table)
{
    struct all all = {0};
    struct verdict verdict = {.failed = -1};
    int code = rank == 0 ? prepare(&all, size) : AME_OK;
    if (!code) code = agree(comm, rank, report, &all, &verdict);
    if (!code && rank == 0 && table) print(table, &all);
    release(&all);
    if (code) return code;
    ame__gpu_set_sharing(verdict.sharing);
    if (verdict.failed < 0) return AME_OK;
    return ame__fail(AME_E_GPU, "ame_gpu_bind: rank %d on host %.63s has no GPU: %.600s", verdict.failed, verdict.host,
                     verdict.why);
}

int ame_gpu_bind(ame_comm *comm, int works, FILE *table)
{
    int rank = ame_comm_rank(comm), size = ame_comm_size(comm);
    if (rank < 0) return rank;
    struct report *report = calloc(1, report_bytes(AME__GPU_DEVICES_MAX));
    if (!report) return ame__fail(AME_E_NOMEM, "ame_gpu_bind: out of memory");
    gethostname(report->host, sizeof report->host - 1);
    report->works = works != 0;
    look(report);
    int code = bind(comm, rank, size, report, table);
    free(report);
    return code;
}
