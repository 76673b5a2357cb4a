/* ising.c - parallel tempering of the two-dimensional Ising model, beside its exact solution on a finite lattice
 *
 *     ameexec -np 4 ./ising --length 16 --temperatures 8 --sweeps 60000
 *
 * Each lattice is a replica (replica/ising.h). After every `interval` sweeps rank 0 gets the energies and exchanges
 * temperatures between neighbours on the ladder; lattices stay where they are, only who has which temperature travels.
 * Energies, heat capacities and the shares of accepted exchanges are compared with Kaufman's formula (replica/exact.h).
 * All is integer arithmetic: the fingerprint printed last is the same for any number of ranks, on processors and GPUs.
 *
 * With --ladders K there are K ladders side by side, to fill a GPU.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "replica/example.h"
#include "replica/exact.h"
#include "replica/ising.h"
#include "replica/kinds.h"
#include "replica/lanes.h"
#include "replica/plot.h"

enum { BLOCKS = 40, TEMPERATURES_MAX = 256 };

static uint64_t length = 16, temperatures = 8, ladders = 1, sweeps = 60000, interval = 10, equilibration = 2000,
                seed = 1;
static double lowest = 1.8, highest = 3.0;
static const char *out = "ising", *replicas_options = "table=0";
static int check;

static const struct example_option options[] = {
    {"length", EXAMPLE_NUMBER, &length, 8, ISING_LENGTH_MAX, "sites in each direction, a multiple of 8"},
    {"temperatures", EXAMPLE_NUMBER, &temperatures, 2, TEMPERATURES_MAX, "of a ladder"},
    {"from", EXAMPLE_REAL, &lowest, 0.5, 10, "lowest temperature"},
    {"to", EXAMPLE_REAL, &highest, 0.5, 10, "highest temperature"},
    {"ladders", EXAMPLE_NUMBER, &ladders, 1, 1e5, "side by side"},
    {"sweeps", EXAMPLE_NUMBER, &sweeps, BLOCKS, 1e12, "of each lattice"},
    {"equilibration", EXAMPLE_NUMBER, &equilibration, 0, 1e12, "sweeps before these, that are not counted"},
    {"interval", EXAMPLE_NUMBER, &interval, 1, 1e9, "sweeps from exchange to exchange"},
    {"seed", EXAMPLE_NUMBER, &seed, 0, 9e15, "of the random numbers"},
    {"out", EXAMPLE_TEXT, &out, 0, 0, "beginning of the names of the result files"},
    {"replicas", EXAMPLE_TEXT, &replicas_options, 0, 0, "options of ame_replicas_open, such as gpu=0 or pull=1"},
    {"check", EXAMPLE_FLAG, &check, 0, 0, "fail if the results do not agree with the exact ones"},
};

/* What rank 0 knows. Replica k * temperatures + i began at temperature i of ladder k. */
struct ladder {
    double temperature[TEMPERATURES_MAX];
    struct ising setting[TEMPERATURES_MAX];
    uint32_t *at;           /* by replica: its temperature */
    uint32_t *replica;      /* by ladder and temperature: who has it */
    struct ising *given;    /* by replica */
    struct ising_result *r; /* by replica */
    double sum[TEMPERATURES_MAX][BLOCKS], square[TEMPERATURES_MAX][BLOCKS], counted[TEMPERATURES_MAX][BLOCKS];
    uint64_t tried[TEMPERATURES_MAX], accepted[TEMPERATURES_MAX]; /* exchanges of i and i + 1 */
    uint64_t fingerprint;
};

static struct ladder *make_ladder(void)
{
    struct ladder *l = example_alloc(1, sizeof *l);
    uint64_t count = ladders * temperatures;
    l->at = example_alloc(count, sizeof *l->at);
    l->replica = example_alloc(count, sizeof *l->replica);
    l->given = example_alloc(count, sizeof *l->given);
    l->r = example_alloc(count, sizeof *l->r);
    for (uint64_t i = 0; i < temperatures; i++) {
        l->temperature[i] = lowest + (highest - lowest) * (double) i / (double) (temperatures - 1);
        l->setting[i] = (struct ising){.length = (uint32_t) length};
        ising_temperature(&l->setting[i], l->temperature[i]);
    }
    for (uint64_t k = 0, n = 0; k < ladders; k++)
        for (uint32_t i = 0; i < temperatures; i++, n++) {
            l->at[n] = i;
            l->replica[n] = (uint32_t) n;
        }
    return l;
}

static void free_ladder(struct ladder *l)
{
    free(l->at);
    free(l->replica);
    free(l->given);
    free(l->r);
    free(l);
}

/* Offers all pairs (i, i + 1) with even i, or with odd i, an exchange of their temperatures. */
static void exchange(struct ladder *l, uint64_t round, int count)
{
    for (uint64_t k = 0; k < ladders; k++)
        for (uint64_t i = round % 2; i + 1 < temperatures; i += 2) {
            uint32_t *low = &l->replica[k * temperatures + i], *high = low + 1, other = *low;
            ame_philox random = ame_philox4x32((uint32_t) round, (uint32_t) (round >> 32), (uint32_t) k,
                                               UINT32_MAX - (uint32_t) i, (uint32_t) seed, (uint32_t) (seed >> 32));
            double difference = 1 / l->temperature[i] - 1 / l->temperature[i + 1];
            double chance = exp(difference * (double) (l->r[*low].energy - l->r[*high].energy));
            int accepted = ame_fp_half_up(random.a) * 0x1p-32 < chance;
            l->tried[i] += (uint64_t) count;
            l->accepted[i] += (uint64_t) (count && accepted);
            if (!accepted) continue;
            *low = *high, *high = other;
            l->at[*low] = (uint32_t) i, l->at[*high] = (uint32_t) i + 1;
        }
}

static void sample(ame_replicas *set, struct ladder *l)
{
    const uint64_t rounds = (equilibration + sweeps + interval - 1) / interval,
                   begin = (equilibration + interval - 1) / interval;
    ame_replicas_report report;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t n = 0; n < ladders * temperatures; n++) l->given[n] = l->setting[l->at[n]];
        example_check(ame_replicas_run(set, interval, l->given, l->r));
        for (uint64_t n = 0; n < ladders * temperatures && round >= begin; n++) {
            uint64_t block = (round - begin) * BLOCKS / (rounds - begin);
            l->sum[l->at[n]][block] += (double) l->r[n].sum;
            l->square[l->at[n]][block] += (double) l->r[n].square;
            l->counted[l->at[n]][block] += (double) l->r[n].sweeps;
        }
        exchange(l, round, round >= begin);
        example_check(ame_replicas_inspect(set, &report));
        example_progress("sweep", (round + 1) * interval, rounds * interval, report.seconds);
    }
    for (uint64_t n = 0; n < ladders * temperatures; n++) l->fingerprint += l->r[n].fingerprint * (2 * n + 1);
}

/* ---- analysis ------------------------------------------------------------------------------------ */

struct row {
    double temperature, energy, error, exact_energy, capacity, capacity_error, exact_capacity;
};

/* Energy and heat capacity per site with their errors, from the spread of blocks. */
static struct row measure(const struct ladder *l, uint64_t i)
{
    const double sites = (double) (length * length), t = l->temperature[i];
    struct row row = {.temperature = t};
    double sum = 0, square = 0, counted = 0, energies = 0, energies2 = 0, capacities = 0, capacities2 = 0;
    for (int b = 0; b < BLOCKS; b++) sum += l->sum[i][b], square += l->square[i][b], counted += l->counted[i][b];
    double mean = sum / counted;
    for (int b = 0; b < BLOCKS; b++) {
        double energy = l->sum[i][b] / l->counted[i][b];
        double capacity =
            l->square[i][b] / l->counted[i][b] - 2 * mean * energy + mean * mean; /* about the mean of all */
        energies += energy / BLOCKS, energies2 += energy * energy / BLOCKS;
        capacities += capacity / BLOCKS, capacities2 += capacity * capacity / BLOCKS;
    }
    row.energy = mean / sites;
    row.error = sqrt(fmax(energies2 - energies * energies, 0) / (BLOCKS - 1)) / sites;
    row.capacity = (square / counted - mean * mean) / (t * t) / sites;
    row.capacity_error = sqrt(fmax(capacities2 - capacities * capacities, 0) / (BLOCKS - 1)) / (t * t) / sites;
    return row;
}

static void draw(const struct row *row)
{
    double t[TEMPERATURES_MAX], e[TEMPERATURES_MAX], error[TEMPERATURES_MAX], c[TEMPERATURES_MAX],
        c_error[TEMPERATURES_MAX];
    enum { FINE = 61 };
    double at[FINE], e_exact[FINE], c_exact[FINE];
    double *probability = example_alloc(length * length + 1, sizeof *probability);
    char path[1024];
    for (uint64_t i = 0; i < temperatures; i++) {
        t[i] = row[i].temperature, e[i] = row[i].energy, error[i] = row[i].error;
        c[i] = row[i].capacity, c_error[i] = row[i].capacity_error;
    }
    size_t fine = length <= 32 ? FINE : 0; /* it is a matter of seconds per point for larger ones */
    for (size_t i = 0; i < fine; i++) {
        at[i] = lowest + (highest - lowest) * (double) i / (FINE - 1);
        if (ising_exact_energies((int) length, at[i], probability)) example_fail("out of memory");
        ising_exact_moments((int) length, at[i], probability, &e_exact[i], &c_exact[i]);
    }
    free(probability);
    snprintf(path, sizeof path, "Ising model, %llu x %llu, by parallel tempering", (unsigned long long) length,
             (unsigned long long) length);
    plot *p = plot_new(path, "temperature", "energy and heat capacity per site");
    plot_series(p, PLOT_LINE, "energy, exact", fine, at, e_exact, NULL);
    plot_series(p, PLOT_POINTS, "energy, sampled", temperatures, t, e, error);
    plot_series(p, PLOT_LINE, "heat capacity, exact", fine, at, c_exact, NULL);
    plot_series(p, PLOT_POINTS, "heat capacity, sampled", temperatures, t, c, c_error);
    snprintf(path, sizeof path, "%s.svg", out);
    if (plot_write(p, path)) example_fail("cannot write %s", path);
}

/* Prints and writes all; 1 if it agrees with the exact values. */
static int report_results(const struct ladder *l, const ame_replicas_report *report)
{
    const int exact = length <= 64;
    struct row *row = example_alloc(temperatures, sizeof *row);
    double *probability[2], z_max = 0, swap_max = 0, c_max = 0;
    for (int k = 0; k < 2; k++) probability[k] = example_alloc(length * length + 1, sizeof **probability);
    FILE *file = example_file(out, ".csv");
    fprintf(
        file,
        "temperature,energy,error,exact_energy,heat_capacity,error,exact_heat_capacity,acceptance,exact_acceptance\n");
    printf("\n%11s  %22s %10s  %20s %9s  %s\n", "temperature", "energy per site", "exact", "heat capacity", "exact",
           "exchanges with the one before, exact");
    for (uint64_t i = 0; i < temperatures; i++) {
        double *now = probability[i % 2], *before = probability[(i + 1) % 2], swap = NAN, exact_swap = NAN;
        row[i] = measure(l, i);
        row[i].exact_energy = row[i].exact_capacity = NAN;
        if (exact && ising_exact_energies((int) length, row[i].temperature, now)) example_fail("out of memory");
        if (exact)
            ising_exact_moments((int) length, row[i].temperature, now, &row[i].exact_energy, &row[i].exact_capacity);
        if (i) swap = (double) l->accepted[i - 1] / (double) l->tried[i - 1];
        if (i && exact)
            exact_swap = ising_exact_acceptance((int) length, row[i - 1].temperature, before, row[i].temperature, now);
        z_max = fmax(z_max, fabs(row[i].energy - row[i].exact_energy) / row[i].error);
        c_max = fmax(c_max, fabs(row[i].capacity - row[i].exact_capacity) / row[i].capacity_error);
        swap_max = fmax(swap_max, fabs(swap - exact_swap));
        printf("%11.6f  %11.6f +- %.6f %10.6f  %9.4f +- %.4f %9.4f", row[i].temperature, row[i].energy, row[i].error,
               row[i].exact_energy, row[i].capacity, row[i].capacity_error, row[i].exact_capacity);
        printf(i ? "  %.3f  %.3f\n" : "\n", swap, exact_swap);
        fprintf(file, "%.9g,%.9g,%.3g,%.12g,%.9g,%.3g,%.9g,%.6g,%.6g\n", row[i].temperature, row[i].energy,
                row[i].error, row[i].exact_energy, row[i].capacity, row[i].capacity_error, row[i].exact_capacity, swap,
                exact_swap);
    }
    example_close(file);
    draw(row);
    if (exact)
        printf(
            "\nagainst the exact values: energies at most %.2f, heat capacities %.2f standard errors, exchanges %.3f\n",
            z_max, c_max, swap_max);
    example_busy(report);
    printf("%.1f million spin flips per second in all; results in %s.csv\nplot: %s.svg\nfingerprint: %016llx\n",
           1e-6 * (double) (ladders * temperatures * length * length) * (double) (equilibration + sweeps) /
               report->seconds,
           out, out, (unsigned long long) l->fingerprint);
    free(probability[0]);
    free(probability[1]);
    free(row);
    return !exact || (z_max < 5 && c_max < 5 && swap_max < 0.04);
}

/* ---- the job ------------------------------------------------------------------------------------- */

static int coordinate(ame_replicas *set)
{
    printf("Parallel tempering of the Ising model: %llu x %llu, %llu ladder%s of %llu temperatures, %llu sweeps, "
           "kernels for %s\n",
           (unsigned long long) length, (unsigned long long) length, (unsigned long long) ladders,
           ladders == 1 ? "" : "s", (unsigned long long) temperatures, (unsigned long long) sweeps,
           lanes_name(lanes_isa()));
    example_workers(set, ladders * temperatures);
    struct ladder *l = make_ladder();
    ame_replicas_report report;
    sample(set, l);
    example_check(ame_replicas_inspect(set, &report));
    int good = report_results(l, &report);
    free_ladder(l);
    if (check && !good) fprintf(stderr, "ising: the results do not agree with the exact ones\n");
    return check && !good;
}

int main(int argc, char **argv)
{
    example_begin(argc, argv, "Parallel tempering of the two-dimensional Ising model, beside its exact solution.",
                  options, sizeof options / sizeof options[0]);
    if (length % 8 || (equilibration + sweeps) / interval < 2UL * BLOCKS || lowest >= highest)
        example_fail(
            "--length must be a multiple of 8, --from less than --to, and --sweeps at least %d times --interval",
            2 * BLOCKS);
    ame_replica_kind kind = ising_kind((uint32_t) length);
    return example_run(&kind, ladders * temperatures, seed, replicas_options, coordinate);
}
