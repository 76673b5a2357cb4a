/* chains.c - Markov chains with parallel tempering, and the evidence of a model
 *
 *     ameexec -np 4 ./chains [steps] [checkpoint file]
 *
 * Metropolis-Hastings chains as in EPSIE: each chain keeps all its temperatures, chains are spread over the ranks by a pool,
 * one round of steps after the other. A task is the state of a chain (less than 2 kB), its result is the state some
 * steps later; so any rank can go on with any chain, and rank 0 writes all of them to the checkpoint after each round. Started
 * again, with more steps or after it was interrupted (Ctrl-C: exit code 75) or killed, the program goes on from there. Random numbers depend on (chain, temperature, step) only: the
 * results are the same bits with any number of ranks, and after any interruption.
 *
 * The model is Rosenbrock's function, lnL = -(1-x)^2 - 100 (y-x^2)^2, with a uniform prior on [-5,5]^2. Its evidence is known
 * by quadrature: lnZ = -5.80413236. Two estimates are printed:
 *     stepping stones          lnZ = sum over k of ln < L^(b[k+1]-b[k]) > at temperature 1/b[k]
 *     thermodynamic integral   lnZ = integral of <lnL> over b from 0 to 1, trapezoids with their second-order term
 * (Xie, Lewis, Fan, Kuo, Chen 2011; Friel, Hurn, Wyse 2014)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ame_pool.h>

enum { CHAINS = 12, RUNGS = 28, BURN = 500, ROUND = 2000 };

struct rung {
    double x, y, lnl;
    double ratio, sum, squares; /* sums of L^(b[k+1]-b[k]), lnL and its square, after the first BURN steps */
};

struct chain {
    uint64_t id, steps, counted;
    struct rung rungs[RUNGS]; /* from b = 0, the prior, to b = 1 */
};
_Static_assert(sizeof(struct chain) < 2000, "the state is short");

static void check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "chains: %s\n", ame_last_error());
    ame_abort(1);
}

static double beta(int k)
{
    return pow((double) k / (RUNGS - 1), 5);
}

/* ---- random numbers: a function of their place (the finalizer of SplitMix64, twice) --------------- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Uniform in (0, 1). */
static double uniform(const struct chain *chain, int k, int which)
{
    uint64_t place = mix(chain->id * 1000003 + (uint64_t) k * 64 + (uint64_t) which + 1);
    return ((double) (mix(place + chain->steps * UINT64_C(0x9e3779b97f4a7c15)) >> 11) + 0.5) * 0x1p-53;
}

/* ---- one chain ----------------------------------------------------------------------------------- */

static double log_likelihood(double x, double y)
{
    return -(1 - x) * (1 - x) - 100 * (y - x * x) * (y - x * x);
}

static void move(struct chain *chain, int k)
{
    struct rung *rung = &chain->rungs[k];
    double x = 10 * uniform(chain, k, 0) - 5, y = 10 * uniform(chain, k, 1) - 5;
    if (k > 0) { /* a normal step whose width is drawn too, since the valley is long and narrow */
        double width = pow(10, 2.5 * uniform(chain, k, 2) - 2), r = width * sqrt(-2 * log((x + 5) / 10));
        double angle = 2 * 3.14159265358979323846 * (y + 5) / 10;
        x = rung->x + r * cos(angle);
        y = rung->y + r * sin(angle);
    }
    if (fabs(x) > 5 || fabs(y) > 5) return;
    double lnl = log_likelihood(x, y);
    if (log(uniform(chain, k, 3)) >= beta(k) * (lnl - rung->lnl)) return;
    rung->x = x;
    rung->y = y;
    rung->lnl = lnl;
}

/* From the hottest to the coldest: neighbours exchange their positions with the probability that keeps both laws. */
static void swap(struct chain *chain)
{
    for (int k = 0; k + 1 < RUNGS; k++) {
        struct rung *hot = &chain->rungs[k], *cold = &chain->rungs[k + 1];
        if (log(uniform(chain, k, 4)) >= (beta(k + 1) - beta(k)) * (hot->lnl - cold->lnl)) continue;
        double x = hot->x, y = hot->y, lnl = hot->lnl;
        hot->x = cold->x;
        hot->y = cold->y;
        hot->lnl = cold->lnl;
        cold->x = x;
        cold->y = y;
        cold->lnl = lnl;
    }
}

static void evolve(struct chain *chain, uint64_t steps)
{
    for (; steps; steps--, chain->steps++) {
        for (int k = 0; k < RUNGS; k++) move(chain, k);
        swap(chain);
        if (chain->steps < BURN) continue;
        chain->counted++;
        for (int k = 0; k < RUNGS; k++) {
            struct rung *rung = &chain->rungs[k];
            if (k + 1 < RUNGS) rung->ratio += exp((beta(k + 1) - beta(k)) * rung->lnl);
            rung->sum += rung->lnl;
            rung->squares += rung->lnl * rung->lnl;
        }
    }
}

/* ---- the pool ------------------------------------------------------------------------------------ */

static int function(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    struct chain chain;
    (void) arg;
    if (task->length != sizeof chain) return AME_E_ARG;
    memcpy(&chain, task->data, sizeof chain);
    evolve(&chain, ROUND);
    return ame_pool_reply_copy(reply, &chain, sizeof chain);
}

static int source(ame_pool_task *task, void *chains)
{
    task->data = (const struct chain *) chains + task->index;
    task->length = sizeof(struct chain);
    return 1;
}

static void begin(struct chain *chains)
{
    memset(chains, 0, CHAINS * sizeof *chains);
    for (int c = 0; c < CHAINS; c++) {
        chains[c].id = (uint64_t) c + 1;
        for (int k = 0; k < RUNGS; k++) chains[c].rungs[k].lnl = log_likelihood(0, 0);
    }
}

/* 1 if there is a checkpoint, which then is in `chains`. */
static int load(struct chain *chains, const char *path)
{
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file) return 0;
    int whole = fread(chains, sizeof *chains, CHAINS, file) == CHAINS;
    fclose(file);
    return whole;
}

/* Written beside and renamed: there is always one whole checkpoint. */
static void save(const struct chain *chains, const char *path)
{
    char beside[4096];
    if (!path) return;
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "wb");
    int good = file && fwrite(chains, sizeof *chains, CHAINS, file) == CHAINS;
    if (file && fclose(file)) good = 0;
    if (good && rename(beside, path) == 0) return;
    fprintf(stderr, "chains: the checkpoint %s cannot be written\n", path);
    ame_abort(1);
}

/* 0 if it was interrupted: then some chains have not moved, and the checkpoint of the round before counts. */
static int round_of_all(ame_pool *pool, struct chain *chains)
{
    ame_pool_job job = {.count = CHAINS, .source = source, .source_arg = chains};
    ame_pool_outcome outcome;
    check(ame_pool_map(pool, &job));
    while (ame_pool_result(pool, &outcome))
        if (!outcome.code) memcpy(&chains[outcome.index], outcome.data, sizeof *chains);
    int code = ame_pool_finish(pool);
    if (code != AME_E_CANCELLED) check(code);
    return code == AME_OK;
}

/* ---- evidence ------------------------------------------------------------------------------------ */

static void evidence(const struct chain *chains)
{
    double stones = 0, integral = 0, before = 0, variance_before = 0;
    for (int k = 0; k < RUNGS; k++) {
        double counted = 0, ratio = 0, sum = 0, squares = 0;
        for (int c = 0; c < CHAINS; c++) {
            counted += (double) chains[c].counted;
            ratio += chains[c].rungs[k].ratio;
            sum += chains[c].rungs[k].sum;
            squares += chains[c].rungs[k].squares;
        }
        double mean = sum / counted, variance = squares / counted - mean * mean;
        if (k + 1 < RUNGS) stones += log(ratio / counted);
        if (k > 0) {
            double step = beta(k) - beta(k - 1);
            integral += step * (mean + before) / 2 - step * step * (variance - variance_before) / 12;
        }
        before = mean;
        variance_before = variance;
    }
    printf("lnZ by stepping stones %.3f, by thermodynamic integration %.3f, exact -5.804\n", stones, integral);
    printf("after %llu steps of %d chains with %d temperatures\n", (unsigned long long) chains[0].steps, CHAINS, RUNGS);
    printf(fabs(stones + 5.80413236) < 0.1 && fabs(integral + 5.80413236) < 0.3 ? "good\n" : "not good\n");
}

int main(int argc, char **argv)
{
    static struct chain chains[CHAINS];
    uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    const char *path = argc > 2 ? argv[2] : NULL;
    int going = 1;
    ame_pool *pool;
    check(ame_init());
    check(ame_pool_open(AME_COMM_WORLD, NULL, &pool));
    check(ame_pool_serve(pool, function, NULL)); /* the workers are in here until rank 0 closes the pool */
    if (ame_comm_rank(AME_COMM_WORLD) == 0) {
        if (load(chains, path))
            printf("going on after %llu steps\n", (unsigned long long) chains[0].steps);
        else
            begin(chains);
        while (chains[0].steps < steps && (going = round_of_all(pool, chains))) save(chains, path);
        if (going)
            evidence(chains);
        else
            printf("interrupted%s\n", path ? "; start it again to go on from the checkpoint" : "");
    }
    check(ame_pool_close(&pool));
    return ame_finalize() != AME_OK ? 1 : going ? 0 : 75; /* the exit code of those who could go on */
}
