/* type_basic.h - the predefined datatypes: name, size, alignment and meaning of each, whatever the ABI.
 *
 * The one table from which everything that knows a predefined type is made: the objects that handles stand for, sizes in
 * external32, the choice of an operation's function. Which handle stands for which of them is the ABI's matter.
 * Fortran types have the sizes of gfortran without options: INTEGER, LOGICAL, REAL of 4 bytes, DOUBLE PRECISION of 8.
 */
#ifndef AME_MPI_TYPE_BASIC_H
#define AME_MPI_TYPE_BASIC_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/* What the bytes of a type mean: to operations, and to the conversion to external32. */
enum ame__kind {
    AME__KIND_SIGNED = 1,
    AME__KIND_UNSIGNED,
    AME__KIND_ADDRESS, /* MPI_AINT, MPI_OFFSET, MPI_COUNT: signed; valid wherever integers of C or Fortran are */
    AME__KIND_FLOAT,
    AME__KIND_COMPLEX, /* two floats of half the size */
    AME__KIND_LOGICAL,
    AME__KIND_BYTE,   /* MPI_BYTE: bitwise operations only */
    AME__KIND_TEXT,   /* MPI_CHAR, MPI_WCHAR, MPI_CHARACTER: no operations */
    AME__KIND_PACKED, /* MPI_PACKED */
    AME__KIND_PAIR,   /* value and index, for MINLOC and MAXLOC */
    AME__KIND_MARKER, /* MPI_LB, MPI_UB of MPI-1: no data, only a bound for a struct */
};

/* X(name, C type, kind, bytes in external32). Where C has no type of that width, an array of bytes stands for it. */
#define AME__BASICS(X)                                                                                                 \
    X(CHAR, char, TEXT, 1)                                                                                             \
    X(SIGNED_CHAR, signed char, SIGNED, 1)                                                                             \
    X(UNSIGNED_CHAR, unsigned char, UNSIGNED, 1)                                                                       \
    X(BYTE, unsigned char, BYTE, 1)                                                                                    \
    X(PACKED, unsigned char, PACKED, 1)                                                                                \
    X(WCHAR, wchar_t, TEXT, 2)                                                                                         \
    X(SHORT, short, SIGNED, 2)                                                                                         \
    X(UNSIGNED_SHORT, unsigned short, UNSIGNED, 2)                                                                     \
    X(INT, int, SIGNED, 4)                                                                                             \
    X(UNSIGNED, unsigned, UNSIGNED, 4)                                                                                 \
    X(LONG, long, SIGNED, 4)                                                                                           \
    X(UNSIGNED_LONG, unsigned long, UNSIGNED, 4)                                                                       \
    X(LONG_LONG, long long, SIGNED, 8)                                                                                 \
    X(UNSIGNED_LONG_LONG, unsigned long long, UNSIGNED, 8)                                                             \
    X(INT8_T, int8_t, SIGNED, 1)                                                                                       \
    X(INT16_T, int16_t, SIGNED, 2)                                                                                     \
    X(INT32_T, int32_t, SIGNED, 4)                                                                                     \
    X(INT64_T, int64_t, SIGNED, 8)                                                                                     \
    X(UINT8_T, uint8_t, UNSIGNED, 1)                                                                                   \
    X(UINT16_T, uint16_t, UNSIGNED, 2)                                                                                 \
    X(UINT32_T, uint32_t, UNSIGNED, 4)                                                                                 \
    X(UINT64_T, uint64_t, UNSIGNED, 8)                                                                                 \
    X(AINT, intptr_t, ADDRESS, 8)                                                                                      \
    X(COUNT, int64_t, ADDRESS, 8)                                                                                      \
    X(OFFSET, int64_t, ADDRESS, 8)                                                                                     \
    X(FLOAT, float, FLOAT, 4)                                                                                          \
    X(DOUBLE, double, FLOAT, 8)                                                                                        \
    X(LONG_DOUBLE, long double, FLOAT, 16)                                                                             \
    X(C_BOOL, bool, LOGICAL, 1)                                                                                        \
    X(CXX_BOOL, bool, LOGICAL, 1)                                                                                      \
    X(C_FLOAT_COMPLEX, float _Complex, COMPLEX, 8)                                                                     \
    X(C_DOUBLE_COMPLEX, double _Complex, COMPLEX, 16)                                                                  \
    X(C_LONG_DOUBLE_COMPLEX, long double _Complex, COMPLEX, 32)                                                        \
    X(CXX_FLOAT_COMPLEX, float _Complex, COMPLEX, 8)                                                                   \
    X(CXX_DOUBLE_COMPLEX, double _Complex, COMPLEX, 16)                                                                \
    X(CXX_LONG_DOUBLE_COMPLEX, long double _Complex, COMPLEX, 32)                                                      \
    X(CHARACTER, char, TEXT, 1)                                                                                        \
    X(LOGICAL, int32_t, LOGICAL, 4)                                                                                    \
    X(INTEGER, int32_t, SIGNED, 4)                                                                                     \
    X(REAL, float, FLOAT, 4)                                                                                           \
    X(DOUBLE_PRECISION, double, FLOAT, 8)                                                                              \
    X(COMPLEX, float _Complex, COMPLEX, 8)                                                                             \
    X(DOUBLE_COMPLEX, double _Complex, COMPLEX, 16)                                                                    \
    X(LOGICAL1, int8_t, LOGICAL, 1)                                                                                    \
    X(LOGICAL2, int16_t, LOGICAL, 2)                                                                                   \
    X(LOGICAL4, int32_t, LOGICAL, 4)                                                                                   \
    X(LOGICAL8, int64_t, LOGICAL, 8)                                                                                   \
    X(LOGICAL16, struct ame__bytes16, LOGICAL, 16)                                                                     \
    X(INTEGER1, int8_t, SIGNED, 1)                                                                                     \
    X(INTEGER2, int16_t, SIGNED, 2)                                                                                    \
    X(INTEGER4, int32_t, SIGNED, 4)                                                                                    \
    X(INTEGER8, int64_t, SIGNED, 8)                                                                                    \
    X(INTEGER16, struct ame__bytes16, SIGNED, 16)                                                                      \
    X(REAL2, uint16_t, FLOAT, 2)                                                                                       \
    X(C_FLOAT16, uint16_t, FLOAT, 2)                                                                                   \
    X(BFLOAT16, uint16_t, FLOAT, 2)                                                                                    \
    X(REAL4, float, FLOAT, 4)                                                                                          \
    X(REAL8, double, FLOAT, 8)                                                                                         \
    X(REAL16, struct ame__bytes16, FLOAT, 16)                                                                          \
    X(COMPLEX4, struct ame__bytes4, COMPLEX, 4)                                                                        \
    X(COMPLEX8, float _Complex, COMPLEX, 8)                                                                            \
    X(COMPLEX16, double _Complex, COMPLEX, 16)                                                                         \
    X(COMPLEX32, struct ame__bytes32, COMPLEX, 32)

/* X(name, C type of both, basic of the value, basic of the index). */
#define AME__PAIRS(X)                                                                                                  \
    X(FLOAT_INT, float, int, FLOAT, INT)                                                                               \
    X(DOUBLE_INT, double, int, DOUBLE, INT)                                                                            \
    X(LONG_INT, long, int, LONG, INT)                                                                                  \
    X(2INT, int, int, INT, INT)                                                                                        \
    X(SHORT_INT, short, int, SHORT, INT)                                                                               \
    X(LONG_DOUBLE_INT, long double, int, LONG_DOUBLE, INT)                                                             \
    X(2REAL, float, float, REAL, REAL)                                                                                 \
    X(2DOUBLE_PRECISION, double, double, DOUBLE_PRECISION, DOUBLE_PRECISION)                                           \
    X(2INTEGER, int32_t, int32_t, INTEGER, INTEGER)

/* X(name, which bound). */
#define AME__MARKERS(X) X(LB, lower) X(UB, upper)

struct ame__bytes4 {
    _Alignas(2) unsigned char bytes[4];
};
struct ame__bytes16 {
    _Alignas(16) unsigned char bytes[16];
};
struct ame__bytes32 {
    _Alignas(16) unsigned char bytes[32];
};

enum ame__basic_id {
    AME__BASIC_NONE, /* so that 0 is no type */
#define AME__BASIC_ID(name, ...) AME__BASIC_##name,
    AME__BASICS(AME__BASIC_ID) AME__PAIRS(AME__BASIC_ID) AME__MARKERS(AME__BASIC_ID)
#undef AME__BASIC_ID
        AME__BASIC_END
};

struct ame__basic {
    const char *name; /* "MPI_INT" */
    enum ame__basic_id id;
    enum ame__kind kind;
    int32_t size;                           /* bytes of data: a pair's without the gaps */
    int32_t extent;                         /* bytes from one to the next in an array */
    int32_t alignment;                      /* as the C compiler has it in a struct */
    int32_t external32;                     /* bytes in external32 */
    const struct ame__basic *value, *index; /* of a pair, else NULL */
    int32_t index_at;                       /* of a pair: where its index lies */
};

/* The description of a predefined type is ame__basics[id]. */
extern const struct ame__basic ame__basics[AME__BASIC_END];
/* The one whose MPI_ name this is, or NULL. Knows also the second names (MPI_LONG_LONG_INT, MPI_C_COMPLEX). */
const struct ame__basic *ame__basic_named(const char *name);

#endif
