/* type_external32.c - the portable format of MPI_Pack_external: big-endian, IEEE 754, sizes that the standard fixes
 * (MPI 4.1, section 14.5.2).
 *
 * Integers that are wider here than there (long, wchar_t) lose their upper bytes when packed and are extended by their sign
 * when unpacked. A long double is packed as a 128-bit IEEE number. */
#include "mpi/datatype.h"

#include <float.h>
#include <string.h>

#if LDBL_MANT_DIG == 113
typedef long double quad;
#else
typedef __float128 quad;
#endif

static void reverse(unsigned char *bytes, int size)
{
    for (int i = 0; i < size / 2; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[size - 1 - i];
        bytes[size - 1 - i] = byte;
    }
}

static void to_big_endian(unsigned char *bytes, int size)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    reverse(bytes, size);
#else
    (void) bytes;
    (void) size;
    (void) reverse;
#endif
}

/* One number of `size` bytes here and `outer` bytes there. */
static void number_out(const struct ame__basic *basic, const unsigned char *from, int size, unsigned char *to,
                       int outer)
{
    unsigned char bytes[16];
    memcpy(bytes, from, (size_t) size);
    if (basic->kind == AME__KIND_LOGICAL && size == 1) bytes[0] = bytes[0] != 0;
    to_big_endian(bytes, size);
    memcpy(to, bytes + size - outer, (size_t) outer);
}

static void number_in(const struct ame__basic *basic, unsigned char *to, int size, const unsigned char *from, int outer)
{
    unsigned char bytes[16];
    bool negative = basic->kind == AME__KIND_SIGNED && (from[0] & 0x80);
    memset(bytes, negative ? 0xff : 0, sizeof bytes);
    memcpy(bytes + size - outer, from, (size_t) outer);
    to_big_endian(bytes, size);
    memcpy(to, bytes, (size_t) size);
}

static bool is_long_double(const struct ame__basic *basic)
{
    return basic->id == AME__BASIC_LONG_DOUBLE || basic->id == AME__BASIC_C_LONG_DOUBLE_COMPLEX ||
           basic->id == AME__BASIC_CXX_LONG_DOUBLE_COMPLEX;
}

static void long_double_out(const unsigned char *from, unsigned char *to)
{
    long double value;
    memcpy(&value, from, sizeof value);
    quad wide = value;
    memcpy(to, &wide, sizeof wide);
    to_big_endian(to, sizeof wide);
}

static void long_double_in(unsigned char *to, const unsigned char *from)
{
    unsigned char bytes[sizeof(quad)];
    quad wide;
    memcpy(bytes, from, sizeof bytes);
    to_big_endian(bytes, sizeof bytes);
    memcpy(&wide, bytes, sizeof wide);
    long double value = (long double) wide;
    memcpy(to, &value, sizeof value);
}

struct conversion {
    unsigned char *packed;
    bool packing;
};

static bool convert(void *context, const struct ame__basic *basic, void *data, int64_t length)
{
    struct conversion *conversion = context;
    int parts = basic->kind == AME__KIND_COMPLEX ? 2 : 1;
    int size = basic->size / parts, outer = basic->external32 / parts;
    unsigned char *inner = data;
    bool wide = is_long_double(basic);
    if (size == 1 && outer == 1 && basic->kind != AME__KIND_LOGICAL) {
        memcpy(conversion->packing ? conversion->packed : inner, conversion->packing ? inner : conversion->packed,
               (size_t) length);
        conversion->packed += length;
        return true;
    }
    for (int64_t i = 0; i < length / size; i++, inner += size, conversion->packed += outer) {
        if (wide && conversion->packing)
            long_double_out(inner, conversion->packed);
        else if (wide)
            long_double_in(inner, conversion->packed);
        else if (conversion->packing)
            number_out(basic, inner, size, conversion->packed, outer);
        else
            number_in(basic, inner, size, conversion->packed, outer);
    }
    return true;
}

enum ame__type_error ame__type_external32_size(const struct ame__datatype *type, int64_t count, int64_t *bytes)
{
    int64_t total;
    if (count < 0) return AME__TYPE_E_COUNT;
    if (__builtin_mul_overflow(type->external32, count, &total)) return AME__TYPE_E_OVERFLOW;
    *bytes = total;
    return AME__TYPE_OK;
}

static enum ame__type_error external32(const struct ame__datatype *type, int64_t count, const void *buf,
                                       unsigned char *packed, int64_t length, int64_t *position, bool packing)
{
    int64_t bytes;
    enum ame__type_error error = ame__type_external32_size(type, count, &bytes);
    if (error) return error;
    if (*position < 0 || length < 0) return AME__TYPE_E_ARG;
    if (*position > length || bytes > length - *position) return AME__TYPE_E_TRUNCATED;
    if (bytes == 0) return AME__TYPE_OK;
    ame__type_visit(type, count, buf, convert, &(struct conversion){packed + *position, packing});
    *position += bytes;
    return AME__TYPE_OK;
}

enum ame__type_error ame__type_external32_pack(const struct ame__datatype *type, int64_t count, const void *buf,
                                               void *packed, int64_t length, int64_t *position)
{
    return external32(type, count, buf, packed, length, position, true);
}

enum ame__type_error ame__type_external32_unpack(const struct ame__datatype *type, int64_t count, void *buf,
                                                 const void *packed, int64_t length, int64_t *position)
{
    return external32(type, count, buf, (unsigned char *) (uintptr_t) packed, length, position, false);
}
