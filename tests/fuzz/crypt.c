/* Fuzzing runtime/net/crypt.c: two ends of an encrypted connection, and somebody between them who does with what is sent
 * what the input says: cuts it into other pieces, changes, adds, leaves out, says again. Whatever he does, what is handed on
 * is a beginning of what was sent, and all of it if he did nothing. The first byte says whether he is allowed to.
 */
#include "fuzz.h"
#include "net/crypt.h"

enum { STREAM_MAX = 4 << 20, STEPS_MAX = 100 };

static unsigned char plain[AME__BODY_MAX], data[STREAM_MAX], sealed[STREAM_MAX];

/* Sends some records; returns how many sealed bytes that gave. */
static size_t send_some(struct ame__crypt *crypt, struct fuzz *input, size_t *length)
{
    size_t used = 0;
    for (int record = 1 + (int) fuzz_byte(input) % 8; record > 0 && used + AME__SEALED_MAX < STREAM_MAX; record--) {
        unsigned kind = fuzz_byte(input);
        size_t size = 1 + (kind & 1 ? fuzz_word(input) : kind >> 1), made;
        struct iovec parts[2] = {{data + *length, size / 2}, {data + *length + size / 2, size - size / 2}};
        memset(data + *length, (int) kind, size);
        *length += ame__crypt_seal(crypt, parts, 2, plain, sealed + used, &made);
        used += made;
    }
    return used;
}

/* What the one in between does; returns how many bytes then arrive. */
static size_t meddle(struct fuzz *input, size_t length)
{
    if (!length) return 0;
    size_t at = fuzz_word(input) * 7 % length, size = fuzz_byte(input) % (length - at + 1);
    switch (fuzz_byte(input) % 5) {
    case 0: sealed[at] ^= (unsigned char) (1 + fuzz_byte(input) % 255); break;
    case 1: memmove(sealed + at, sealed + at + size, length - at - size); return length - size;
    case 2: memmove(sealed + at + size, sealed + at, length - at); return length + size;
    case 3: return at;
    default: memset(sealed + at, (int) fuzz_byte(input), size);
    }
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz input = {bytes, size};
    unsigned char keys[2][32] = {{1}, {2}};
    size_t sent = 0, done = 0, piece = 0, rest = 0;
    bool honest = fuzz_byte(&input) & 1, refused = false;
    struct ame__crypt *from = ame__crypt_create(keys[0], keys[1]), *to = ame__crypt_create(keys[1], keys[0]);
    unsigned char *arrived = malloc(STREAM_MAX), *opened = malloc(AME__BODY_MAX);
    FUZZ_CHECK(from && to && arrived && opened);
    for (int step = 0; step < STEPS_MAX && input.left && !refused; step++) {
        if (sent + 9 * (AME__BODY_MAX + AME__CELL_DATA) > STREAM_MAX / 2) break;
        size_t length = send_some(from, &input, &sent);
        if (!honest) length = meddle(&input, length);
        if (rest + length > STREAM_MAX) break;
        memcpy(arrived + rest, sealed, length);
        size_t used = 0, available = rest + length;
        long unit = 0;
        while ((unit = ame__crypt_open(to, arrived + used, available - used, opened, &piece)) > 0) {
            used += (size_t) unit;
            FUZZ_CHECK(used <= available && done + piece <= sent && !memcmp(opened, data + done, piece));
            done += piece;
        }
        refused = unit < 0;
        rest = available - used;
        memmove(arrived, arrived + used, rest);
        FUZZ_CHECK(refused || rest < AME__UNIT_MAX);
        FUZZ_CHECK(!honest || (!refused && done == sent));
    }
    ame__crypt_destroy(from);
    ame__crypt_destroy(to);
    free(arrived);
    free(opened);
    return 0;
}
