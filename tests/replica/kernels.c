/* kernels.c - the kinds of replicas of the examples, without a job: forces, and the same bits for each instruction set, for
 * any division into runs, and for what they gave when this was written */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "butane.h"
#include "ising.h"
#include "kinds.h"
#include "lanes.h"
#include "mueller.h"

/* FNV-1a of bytes: what is compared. */
static uint64_t hash(const void *data, size_t length)
{
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < length; i++) h = (h ^ ((const unsigned char *) data)[i]) * 1099511628211ull;
    return h;
}

/* The state of replica 3 after its start, in memory of the caller. */
static void *started(const ame_replica_kind *kind, const void *parameters)
{
    void *memory = calloc(1, kind->state_size);
    assert_non_null(memory);
    ame_replica replica = {.id = 3, .seed = 42, .parameters = parameters, .state = memory};
    assert_int_equal(kind->start(&replica, kind->arg), 0);
    return memory;
}

/* ---- butane ---- */

static double bond(vec3 p)
{
    double stretch = sqrt(vec3_dot(p, p)) - BUTANE_BOND;
    return BUTANE_BOND_K / 2 * stretch * stretch;
}

static double angle(vec3 p, vec3 q)
{
    double bend = acos(-vec3_dot(p, q) / sqrt(vec3_dot(p, p) * vec3_dot(q, q))) - BUTANE_ANGLE;
    return BUTANE_ANGLE_K / 2 * bend * bend;
}

/* The energy, term by term, without what butane_force uses. */
static double energy(const struct butane_atoms *x, double centre, double spring)
{
    vec3 p = vec3_minus(x->b, x->a), q = vec3_minus(x->c, x->b), r = vec3_minus(x->d, x->c);
    vec3 m = vec3_cross(p, q), n = vec3_cross(q, r);
    double phi = atan2(sqrt(vec3_dot(q, q)) * vec3_dot(p, n), vec3_dot(m, n)),
           offset = remainder(phi - centre, 2 * BUTANE_PI);
    return bond(p) + bond(q) + bond(r) + angle(p, q) + angle(q, r) + butane_torsion(cos(phi)) +
           spring / 2 * offset * offset;
}

static void butane_forces(void **state)
{
    (void) state;
    double worst = 0;
    for (uint32_t n = 0; n < 100; n++) {
        double atom[12] = {-0.06, 0.14, 0, 0, 0, 0, 0.154, 0, 0, 0.21, 0.05, 0.1};
        for (uint32_t i = 0; i < 12; i++) atom[i] += (ame_philox4x32(n, i, 0, 0, 0, 0).a * 0x1p-32 - 0.5) * 0.05;
        struct butane_atoms x, f;
        memcpy(&x, atom, sizeof x);
        double phi, force[12];
        f = butane_force(&x, 1, 100, &phi);
        memcpy(force, &f, sizeof f);
        for (size_t i = 0; i < 12; i++) {
            const double h = 1e-6;
            double at[2], keep = atom[i];
            for (int side = 0; side < 2; side++) {
                atom[i] = keep + (side ? h : -h);
                memcpy(&x, atom, sizeof x);
                at[side] = energy(&x, 1, 100);
            }
            atom[i] = keep;
            worst = fmax(worst, fabs(force[i] + (at[1] - at[0]) / (2 * h)) / (1 + fabs(force[i])));
        }
    }
    assert_true(worst < 1e-6);
}

static struct butane window(uint32_t walkers)
{
    struct butane w = {.equilibration = 100, .walkers = walkers, .stride = 5};
    butane_window(&w, 15, 100, 0.004, 5, 298.15);
    return w;
}

/* 500 steps in runs of `length`. */
static uint64_t butane_hash(butane_function *run, uint32_t walkers, uint64_t length)
{
    struct butane w = window(walkers);
    ame_replica_kind kind = butane_kind(walkers);
    double *rows = started(&kind, &w);
    for (uint64_t step = 0; step < 500; step += length)
        run(&w, 42, 3, step, length, rows, (uint64_t *) (rows + (size_t) BUTANE_ROWS * walkers));
    uint64_t h = hash(rows, butane_state_size(walkers));
    free(rows);
    return h;
}

/* What all sets of instructions must give. */
#define EACH_ISA(isa) for (int isa = 0; isa <= (int) lanes_isa(); isa++)

static void butane_bits(void **state)
{
    (void) state;
    butane_function *const run[] = LANES_TABLE(butane_run);
    const uint64_t right = butane_hash(run[0], 37, 500);
    print_message("butane: %016llx\n", (unsigned long long) right);
    EACH_ISA(isa)
    {
        assert_true(butane_hash(run[isa], 37, 500) == right);
        assert_true(butane_hash(run[isa], 37, 50) == right);
        assert_true(butane_hash(run[isa], 1, 500) != right);
    }
}

/* ---- Mueller-Brown ---- */

static void mueller_gradient(void **state)
{
    (void) state;
    double gx, gy, unused;
    const double points[5][3] = {{-0.55822363, 1.44172584, -146.69951721},
                                 {0.62349940, 0.02803776, -108.16672412},
                                 {-0.05001082, 0.46669410, -80.76781813},
                                 {-0.82200156, 0.62431280, -40.66484351},
                                 {0.21248658, 0.29298833, -72.24894011}};
    for (size_t i = 0; i < 5; i++) { /* the stationary points */
        double v = mueller_potential(points[i][0], points[i][1], &gx, &gy);
        assert_true(fabs(v - points[i][2]) < 1e-8);
        assert_true(fabs(gx) < 1e-4 && fabs(gy) < 1e-4);
    }
    const double h = 1e-5;
    (void) mueller_potential(0.1, 0.4, &gx, &gy);
    double dx = mueller_potential(0.1 + h, 0.4, &unused, &unused) - mueller_potential(0.1 - h, 0.4, &unused, &unused);
    double dy = mueller_potential(0.1, 0.4 + h, &unused, &unused) - mueller_potential(0.1, 0.4 - h, &unused, &unused);
    assert_true(fabs(gx - dx / (2 * h)) < 1e-5 && fabs(gy - dy / (2 * h)) < 1e-5);
}

static void mueller_bits(void **state)
{
    (void) state;
    mueller_function *const run[] = LANES_TABLE(mueller_run);
    struct mueller m = {.centre = {-0.5, 1.4}, .spring = 1000, .sample_from = 20, .walkers = 37};
    mueller_dynamics(&m, 1e-5, 10);
    ame_replica_kind kind = mueller_kind(37);
    uint64_t right = 0;
    EACH_ISA(isa)
    {
        double *rows = started(&kind, &m);
        for (uint64_t step = 0; step < 200; step += isa ? 40 : 200) run[isa](&m, 42, 3, step, isa ? 40 : 200, rows);
        uint64_t h = hash(rows, kind.state_size);
        if (isa == 0) right = h;
        assert_true(h == right);
        free(rows);
    }
}

/* ---- Ising ---- */

/* Energy and fingerprint of the lattice, site by site. */
static void ising_count(const int8_t *spins, int length, int64_t *sum, uint64_t *fingerprint)
{
    int row = length / 2;
    *sum = 0;
    *fingerprint = 0;
#define SPIN(x, y) spins[((((x) + (y)) & 1) ? length * row : 0) + (y) *row + (x) / 2]
    for (int y = 0; y < length; y++)
        for (int x = 0; x < length; x++) *sum -= SPIN(x, y) * (SPIN((x + 1) % length, y) + SPIN(x, (y + 1) % length));
#undef SPIN
    for (int s = 0; s < length * length; s++) *fingerprint += spins[s] > 0 ? ising_mark((uint32_t) s) : 0;
}

static void ising_bits(void **state)
{
    (void) state;
    ising_function *const run[] = LANES_TABLE(ising_run);
    for (uint32_t length = 8; length <= ISING_LENGTH_MAX; length *= 2) {
        struct ising m = {.length = length};
        ising_temperature(&m, 2.3);
        ame_replica_kind kind = ising_kind(length);
        struct ising_result right;
        EACH_ISA(isa)
        {
            int8_t *spins = started(&kind, &m);
            struct ising_result r;
            run[isa](&m, 42, 3, 0, 50, spins, &r);
            run[isa](&m, 42, 3, 50, 50, spins, &r);
            if (isa == 0) right = r;
            assert_memory_equal(&r, &right, sizeof r);
            int64_t sum;
            uint64_t fingerprint;
            ising_count(spins, (int) length, &sum, &fingerprint);
            assert_true(sum == r.energy && fingerprint == r.fingerprint); /* kept up to date through all sweeps */
            assert_true(r.sweeps == 50);
            free(spins);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(butane_forces), cmocka_unit_test(butane_bits),
                                       cmocka_unit_test(mueller_gradient), cmocka_unit_test(mueller_bits),
                                       cmocka_unit_test(ising_bits)};
    print_message("instruction set: %s\n", lanes_name(lanes_isa()));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
