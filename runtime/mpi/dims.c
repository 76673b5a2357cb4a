/* dims.c - MPI_Dims_create: the most balanced grid.
 *
 * "As close to each other as possible" is taken as: the difference between the largest and the smallest dimension is the
 * least possible; among equals, the one whose smallest dimension is the largest, then whose sum is the least. (J. L. Träff, F. D. Lübbe: Specification
 * Guideline Violations by MPI_Dims_create, EuroMPI 2015, show that heuristics on prime factors miss it.) The search runs
 * over the divisors, from the root upwards, and leaves out what cannot get better. It ends after STEPS_MAX steps with the
 * best so far; the numbers with the most divisors take a hundredth of a second in 2 to 12 dimensions. */
#include "mpi/topology.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { FACTORS_MAX = 31, STEPS_MAX = 1000000 }; /* an int has at most 30 prime factors: what is beyond is 1 */

struct search {
    const int *divisors;
    int length, ndims, spread, steps;
    int dims[FACTORS_MAX], best[FACTORS_MAX];
};

/* base to the power of n, or a little more than INT_MAX. */
static int64_t power(int64_t base, int n)
{
    int64_t result = 1;
    for (int i = 0; i < n && result <= INT_MAX; i++) result *= base;
    return result;
}

/* The largest number whose n-th power is at most `value`. */
static int root(int value, int n)
{
    int low = 1, high = n == 1 ? value : 46340; /* square root of INT_MAX */
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (power(middle, n) <= value)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The first divisor whose n-th power is at least `value`. */
static int first_divisor(const struct search *search, int value, int n)
{
    int least = root(value, n), low = 0, high = search->length;
    if (power(least, n) < value) least++;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (search->divisors[middle] < least)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether dims are to be preferred to the best so far. */
static bool is_better(const struct search *search)
{
    const int *dims = search->dims, *best = search->best;
    int spread = dims[0] - dims[search->ndims - 1];
    if (spread != search->spread) return spread < search->spread;
    if (dims[0] != best[0]) return dims[0] > best[0];
    int64_t sum = 0;
    for (int i = 0; i < search->ndims; i++) sum += dims[i] - best[i];
    return sum <= 0;
}

/* Dimensions from `at` on, each at most the one before, for a grid of `rest`. */
static void descend(struct search *search, int at, int rest)
{
    int left = search->ndims - at, limit = at ? search->dims[at - 1] : INT_MAX;
    if (left == 1) {
        if (rest > limit) return;
        search->dims[at] = rest;
        if (!is_better(search)) return;
        search->spread = search->dims[0] - rest;
        memcpy(search->best, search->dims, sizeof search->best);
        return;
    }
    for (int i = first_divisor(search, rest, left); i < search->length && search->divisors[i] <= limit; i++) {
        int here = search->divisors[i];
        if (rest % here) continue;
        if (++search->steps > STEPS_MAX) return;
        search->dims[at] = here;
        if (search->dims[0] - root(rest / here, left - 1) > search->spread) {
            if (at == 0) return; /* larger ones only get worse */
            continue;
        }
        descend(search, at + 1, rest / here);
    }
}

static int compare(const void *a, const void *b)
{
    int left = *(const int *) a, right = *(const int *) b;
    return (left > right) - (left < right);
}

/* All divisors in ascending order; an int has at most 1536. */
static int find_divisors(int value, int divisors[])
{
    int length = 0;
    for (int i = 1; i <= value / i; i++)
        if (value % i == 0) {
            divisors[length++] = i;
            if (i != value / i) divisors[length++] = value / i;
        }
    qsort(divisors, (size_t) length, sizeof *divisors, compare);
    return length;
}

/* best[ndims] for `nnodes` */
static void balance(int nnodes, int ndims, int best[])
{
    int divisors[1600];
    struct search search = {
        .divisors = divisors, .ndims = ndims < FACTORS_MAX ? ndims : FACTORS_MAX, .spread = INT_MAX};
    search.length = find_divisors(nnodes, divisors);
    descend(&search, 0, nnodes);
    for (int i = 0; i < ndims; i++) best[i] = i < search.ndims ? search.best[i] : 1;
}

enum ame__topo_error ame__dims_create(int nnodes, int ndims, int dims[])
{
    if (nnodes < 1 || ndims < 0) return AME__TOPO_E_ARG;
    int free_dims = 0;
    int64_t given = 1;
    for (int i = 0; i < ndims; i++) {
        if (dims[i] < 0) return AME__TOPO_E_DIMS;
        if (dims[i] == 0) free_dims++;
        if (dims[i] > 0 && (given *= dims[i]) > nnodes) return AME__TOPO_E_DIMS;
    }
    if (nnodes % given || (free_dims == 0 && given != nnodes)) return AME__TOPO_E_DIMS;
    if (free_dims == 0) return AME__TOPO_OK;
    int *best = calloc((size_t) free_dims, sizeof *best);
    if (!best) return AME__TOPO_E_MEMORY;
    balance((int) (nnodes / given), free_dims, best);
    for (int i = 0, next = 0; i < ndims; i++)
        if (dims[i] == 0) dims[i] = best[next++];
    free(best);
    return AME__TOPO_OK;
}
