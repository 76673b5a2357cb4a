/* sums.h - the sum of one number per walker, in an order that does not depend on who adds
 *
 * SUMS_PARTS partial sums, part p over the walkers p, p + SUMS_PARTS and so on, then the parts in their order. On a GPU each
 * thread of a block makes one part; a processor makes them one after the other, and gets the same bits.
 */
#ifndef SUMS_H
#define SUMS_H

#include <stdint.h>

#include <ame_numeric.h>

#define SUMS_PARTS 128

/* Part number `part` of the sum of (value * scale)^power over the walkers; power is 1 or 2. */
AME_HD double sums_part(const double *value, uint32_t walkers, uint32_t part, double scale, int power)
{
    double sum = 0;
    for (uint32_t w = part; w < walkers; w += SUMS_PARTS) {
        double v = value[w] * scale;
        sum += power == 2 ? v * v : v;
    }
    return sum;
}

/* All of it, on one processor. */
static inline double sums_all(const double *value, uint32_t walkers, double scale, int power)
{
    double sum = 0;
    for (uint32_t part = 0; part < SUMS_PARTS; part++) sum += sums_part(value, walkers, part, scale, power);
    return sum;
}

#endif
