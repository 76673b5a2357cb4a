/* crypt.h - encryption and integrity of what goes over one connection (AME_ENCRYPT): bytes in, bytes out, no I/O.
 *
 * Each direction is one stream of libsodium (crypto_secretstream_xchacha20poly1305) with a key of its own, which the
 * handshake makes. On the wire it is the header of the stream, then records:
 *
 *     cell   sealed, always AME__CELL_SIZE plain bytes: how many bytes of data the record has (4 bytes, little-endian), then
 *            the first of them, then zeros
 *     body   sealed, what did not fit into the cell, up to AME__BODY_MAX; missing when there is nothing left
 *
 * So a small frame costs one sealing, and the length of a body has been proved before anybody waits for its bytes: a
 * changed byte is noticed as soon as its cell or body is here, and nothing is handed on before it has been proved. The
 * stream counts: what is left out, said again or put into another order does not open either. That the end of a stream is
 * the end is told by BYE, a frame like any other.
 *
 * Cells and bodies show roughly how long messages are. A key of the job that becomes known later does not open what was
 * recorded: the keys also depend on a Diffie-Hellman exchange (X25519), of which nothing is kept.
 */
#ifndef AME_NET_CRYPT_H
#define AME_NET_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sodium.h>
#include <sys/uio.h>

enum {
    AME__SEAL_SIZE = crypto_secretstream_xchacha20poly1305_ABYTES, /* what sealing adds */
    AME__CELL_SIZE = 64,
    AME__CELL_DATA = AME__CELL_SIZE - 4,
    AME__BODY_MAX = 16 << 10,
    /* Room for what one ame__crypt_seal gives: the stream's header, cell, body. */
    AME__SEALED_MAX =
        crypto_secretstream_xchacha20poly1305_HEADERBYTES + AME__CELL_SIZE + AME__BODY_MAX + 2 * AME__SEAL_SIZE,
    /* More than this is never kept of what has arrived. */
    AME__UNIT_MAX = AME__BODY_MAX + AME__SEAL_SIZE
};

enum ame__encrypt { AME__ENCRYPT_OFF, AME__ENCRYPT_HOSTS, AME__ENCRYPT_ALL };
/* Reads AME_ENCRYPT; AME_E_CONFIG if it is none of 0, 1 (between hosts), 2 or all (also on one host). */
int ame__encrypt_mode(enum ame__encrypt *mode);

struct ame__crypt {
    crypto_secretstream_xchacha20poly1305_state out, in;
    bool out_begun, in_begun; /* the header of the stream has been written, read */
    unsigned char out_key[crypto_secretstream_xchacha20poly1305_KEYBYTES],
        in_key[crypto_secretstream_xchacha20poly1305_KEYBYTES]; /* until then */
    size_t body_left;                                           /* plain bytes of the body that comes next; 0: a cell */
    /* The connection's: sealed bytes that wait to be sent, and those of a unit that is not complete. NULL: none. */
    unsigned char *pending, *rest;
    size_t pending_length, pending_sent, rest_length;
};

/* NULL: out of memory. Both keys may be wiped then. */
struct ame__crypt *ame__crypt_create(const unsigned char out_key[32], const unsigned char in_key[32]);
void ame__crypt_destroy(struct ame__crypt *crypt);

/* Seals the first bytes of `parts` into one record; `plain` is room for AME__BODY_MAX bytes in between. Returns how many
 * bytes of the parts that were, and in `length` how many bytes of `sealed` that gave. */
size_t ame__crypt_seal(struct ame__crypt *crypt, const struct iovec *parts, int count, unsigned char *plain,
                       unsigned char sealed[AME__SEALED_MAX], size_t *length);
/* Opens the first unit (header, cell or body) of what has arrived; its data, `length` bytes, are then in `plain`. Returns
 * the bytes that the unit took, 0 if it is not complete, -1 if it is not what the other side has sent. */
long ame__crypt_open(struct ame__crypt *crypt, const unsigned char *arrived, size_t available,
                     unsigned char plain[AME__BODY_MAX], size_t *length);

#endif
