/* mueller_cpu.c - Mueller-Brown walkers on a processor, one in each vector lane; see butane_cpu.c for the manner */
#include "mueller.h"
#include "lanes.h"

struct block {
    double row[MUELLER_ROWS][LANES], n[2][LANES];
    uint32_t random[2][LANES], walker[LANES];
};

static inline __attribute__((always_inline)) void draw_lane(struct block *b, int l, uint64_t step, uint32_t replica,
                                                            uint64_t seed)
{
    ame_philox r = mueller_random(step, b->walker[l], replica, seed);
    b->random[0][l] = r.a;
    b->random[1][l] = r.b;
}

static inline __attribute__((always_inline)) void move_lane(struct block *b, const struct mueller *m, int l)
{
    double x = b->row[0][l], y = b->row[1][l];
    mueller_step(m, &x, &y, b->n[0][l], b->n[1][l]);
    b->row[0][l] = x;
    b->row[1][l] = y;
}

static inline __attribute__((always_inline)) void sample_lane(struct block *b, int l)
{
    double x = b->row[0][l], y = b->row[1][l];
    b->row[2][l] += x;
    b->row[3][l] += y;
    b->row[4][l] = ame_fp_fma(x, x, b->row[4][l]);
    b->row[5][l] = ame_fp_fma(x, y, b->row[5][l]);
    b->row[6][l] = ame_fp_fma(y, y, b->row[6][l]);
}

void LANES_NAME(mueller_run)(const struct mueller *m, uint64_t seed, uint32_t replica, uint64_t first_step,
                             uint64_t steps, double *rows)
{
    struct block b __attribute__((aligned(64)));
    for (uint32_t first = 0; first < m->walkers; first += LANES) {
        uint32_t used = m->walkers - first < LANES ? m->walkers - first : LANES;
        for (uint32_t l = 0; l < LANES; l++) {
            b.walker[l] = first + (l < used ? l : used - 1);
            for (uint32_t row = 0; row < MUELLER_ROWS; row++) b.row[row][l] = rows[row * m->walkers + b.walker[l]];
        }
        for (uint64_t step = first_step; step < first_step + steps; step++) {
            LANES_LOOP(l) draw_lane(&b, l, step, replica, seed);
            LANES_LOOP(l) ame_fp_normals(b.random[0][l], b.random[1][l], &b.n[0][l], &b.n[1][l]);
            LANES_LOOP(l) move_lane(&b, m, l);
            if (step == m->sample_from)
                for (uint32_t row = 2; row < MUELLER_ROWS; row++) LANES_LOOP(l) b.row[row][l] = 0;
            if (step >= m->sample_from) LANES_LOOP(l) sample_lane(&b, l);
        }
        for (uint32_t l = 0; l < used; l++)
            for (uint32_t row = 0; row < MUELLER_ROWS; row++) rows[row * m->walkers + first + l] = b.row[row][l];
    }
}
