/* butane_cpu.c - butane on a processor: many walkers at once, one in each vector lane
 *
 * The build compiles this file once for each instruction set (LANES_ISA names it), and butane.c picks one at run time. A block
 * of LANES walkers is copied out of the state, all its steps are made while it is in the first-level cache, and it is copied
 * back. All three sets give the same bits, because butane.h is made of operations that are exact to the last one.
 */
#include "butane.h"
#include "lanes.h"

/* What a block of walkers needs. Rows are atoms' coordinates, as in the state. */
struct block {
    double x[12][LANES], v[12][LANES], f[12][LANES], n[12][LANES];
    uint32_t random[12][LANES];
    double phi[LANES], sum[LANES], square[LANES];
    uint32_t walker[LANES];
};

static inline __attribute__((always_inline)) struct butane_atoms load(double (*rows)[LANES], int l)
{
    struct butane_atoms x = {{rows[0][l], rows[1][l], rows[2][l]},
                             {rows[3][l], rows[4][l], rows[5][l]},
                             {rows[6][l], rows[7][l], rows[8][l]},
                             {rows[9][l], rows[10][l], rows[11][l]}};
    return x;
}

static inline __attribute__((always_inline)) void store(double (*rows)[LANES], int l, const struct butane_atoms *x)
{
    rows[0][l] = x->a.x, rows[1][l] = x->a.y, rows[2][l] = x->a.z;
    rows[3][l] = x->b.x, rows[4][l] = x->b.y, rows[5][l] = x->b.z;
    rows[6][l] = x->c.x, rows[7][l] = x->c.y, rows[8][l] = x->c.z;
    rows[9][l] = x->d.x, rows[10][l] = x->d.y, rows[11][l] = x->d.z;
}

static inline __attribute__((always_inline)) void draw_lane(struct block *b, uint32_t call, int l, uint64_t step,
                                                            uint32_t replica, uint64_t seed)
{
    ame_philox r = butane_random(step, call, b->walker[l], replica, seed);
    uint32_t(*row)[LANES] = b->random + 4 * (size_t) call;
    row[0][l] = r.a, row[1][l] = r.b, row[2][l] = r.c, row[3][l] = r.d;
}

static void noise(struct block *b, uint64_t step, uint32_t replica, uint64_t seed)
{
    for (uint32_t call = 0; call < 3; call++) LANES_LOOP(l) draw_lane(b, call, l, step, replica, seed);
    for (int pair = 0; pair < 12; pair += 2)
        LANES_LOOP(l) ame_fp_normals(b->random[pair][l], b->random[pair + 1][l], &b->n[pair][l], &b->n[pair + 1][l]);
}

/* The body of the loop is a function of its own: what is local to it becomes registers, and not an array over the lanes. */
static inline __attribute__((always_inline)) void move_lane(struct block *b, const struct butane *w, int l)
{
    struct butane_atoms x = load(b->x, l), v = load(b->v, l), f = load(b->f, l), n = load(b->n, l);
    butane_step(w, &x, &v, &f, &n, &b->phi[l]);
    store(b->x, l, &x);
    store(b->v, l, &v);
    store(b->f, l, &f);
}

static void move(struct block *b, const struct butane *w)
{
    LANES_LOOP(l) move_lane(b, w, l);
}

static inline __attribute__((always_inline)) void force_lane(struct block *b, const struct butane *w, int l)
{
    struct butane_atoms x = load(b->x, l), f = butane_force(&x, w->centre, w->spring, &b->phi[l]);
    store(b->f, l, &f);
}

static void sample(struct block *b, const struct butane *w, uint32_t used, uint64_t *histogram)
{
    LANES_LOOP(l)
    {
        double offset = butane_wrap(b->phi[l] - w->centre);
        b->sum[l] += offset;
        b->square[l] = ame_fp_fma(offset, offset, b->square[l]);
    }
    for (uint32_t l = 0; l < used; l++) histogram[butane_bin(b->phi[l])]++;
}

void LANES_NAME(butane_run)(const struct butane *w, uint64_t seed, uint32_t replica, uint64_t first_step,
                            uint64_t steps, double *rows, uint64_t *histogram)
{
    struct block b __attribute__((aligned(64)));
    const uint32_t walkers = w->walkers;
    for (uint32_t first = 0; first < walkers; first += LANES) {
        uint32_t used = walkers - first < LANES ? walkers - first : LANES;
        for (uint32_t l = 0; l < LANES; l++) { /* lanes beyond the last walker repeat it, and are not stored */
            uint32_t walker = first + (l < used ? l : used - 1);
            b.walker[l] = walker;
            for (uint32_t row = 0; row < 12; row++) {
                b.x[row][l] = rows[row * walkers + walker];
                b.v[row][l] = rows[(12 + row) * walkers + walker];
            }
            b.sum[l] = rows[24 * walkers + walker];
            b.square[l] = rows[25 * walkers + walker];
        }
        LANES_LOOP(l) force_lane(&b, w, l);
        for (uint64_t step = first_step; step < first_step + steps; step++) {
            noise(&b, step, replica, seed);
            move(&b, w);
            if (butane_samples(w, step)) sample(&b, w, used, histogram);
        }
        for (uint32_t l = 0; l < used; l++) {
            for (uint32_t row = 0; row < 12; row++) {
                rows[row * walkers + first + l] = b.x[row][l];
                rows[(12 + row) * walkers + first + l] = b.v[row][l];
            }
            rows[24 * walkers + first + l] = b.sum[l];
            rows[25 * walkers + first + l] = b.square[l];
        }
    }
}
