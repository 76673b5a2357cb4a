/* lanes.c - the choice among the instruction sets that the kernels were compiled for */
#include "lanes.h"

#include <stdlib.h>
#include <string.h>

static enum lanes_isa best(void)
{
#if defined(LANES_X86)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return LANES_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return LANES_AVX2;
#endif
    return LANES_PLAIN;
}

enum lanes_isa lanes_isa(void)
{
    static enum lanes_isa chosen = LANES_COUNT;
    if (chosen != LANES_COUNT) return chosen;
    enum lanes_isa isa = best();
    const char *wanted = getenv("EXAMPLE_LANES"); /* for tests: a narrower set than the best */
    for (int i = 0; wanted && i < (int) isa; i++)
        if (strcmp(wanted, lanes_name((enum lanes_isa) i)) == 0) isa = (enum lanes_isa) i;
    return chosen = isa;
}

const char *lanes_name(enum lanes_isa isa)
{
    static const char *const names[] = {"plain", "avx2", "avx512"};
    return names[isa];
}
