/* lanes.h - one source for several instruction sets, and vector lanes by the compiler
 *
 * A file with a kernel for processors is compiled once for each set, with -DLANES_ISA=name; LANES_NAME(f) is then f_name.
 * LANES_LOOP(l) runs over the lanes of a block; what is inside has no branches, so that the compiler puts neighbouring l
 * into one vector. LANES is a multiple of every vector's length.
 */
#ifndef LANES_H
#define LANES_H

#define LANES 16

#ifndef LANES_ISA
#define LANES_ISA plain
#endif
#define LANES_JOIN(name, isa)  name##_##isa
#define LANES_JOIN2(name, isa) LANES_JOIN(name, isa)
#define LANES_NAME(name)       LANES_JOIN2(name, LANES_ISA)

/* A table of the variants of f, to be indexed with lanes_isa(). */
#ifdef LANES_X86
#define LANES_TABLE(name)                                                                                              \
    {                                                                                                                  \
        name##_plain, name##_avx2, name##_avx512                                                                       \
    }
#else
#define LANES_TABLE(name)                                                                                              \
    {                                                                                                                  \
        name##_plain                                                                                                   \
    }
#endif

enum lanes_isa { LANES_PLAIN, LANES_AVX2, LANES_AVX512, LANES_COUNT };

/* The widest set that this processor has; EXAMPLE_LANES=plain or avx2 asks for less. */
enum lanes_isa lanes_isa(void);
/* Its name. */
const char *lanes_name(enum lanes_isa isa);

#define LANES_PRAGMA(text) _Pragma(#text)
#define LANES_LOOP(l)      LANES_PRAGMA(omp simd) for (int l = 0; l < LANES; l++)

#endif
