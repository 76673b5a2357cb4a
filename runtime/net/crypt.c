#include "crypt.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/vars.h"
#include "wire/frame.h"

enum { HEADER_SIZE = crypto_secretstream_xchacha20poly1305_HEADERBYTES };

int ame__encrypt_mode(enum ame__encrypt *mode)
{
    const char *text = ame__var_text(AME__VAR_ENCRYPT);
    if (!strcmp(text, "0"))
        *mode = AME__ENCRYPT_OFF;
    else if (!strcmp(text, "1"))
        *mode = AME__ENCRYPT_HOSTS;
    else if (!strcmp(text, "2") || !strcmp(text, "all"))
        *mode = AME__ENCRYPT_ALL;
    else
        return ame__fail(AME_E_CONFIG,
                         "AME_ENCRYPT='%.40s': must be 0, 1 (between hosts) or 2 (also on one host; or all)", text);
    return AME_OK;
}

struct ame__crypt *ame__crypt_create(const unsigned char out_key[32], const unsigned char in_key[32])
{
    struct ame__crypt *crypt = calloc(1, sizeof *crypt);
    if (!crypt) return NULL;
    memcpy(crypt->out_key, out_key, sizeof crypt->out_key);
    memcpy(crypt->in_key, in_key, sizeof crypt->in_key);
    return crypt;
}

void ame__crypt_destroy(struct ame__crypt *crypt)
{
    if (!crypt) return;
    free(crypt->pending);
    free(crypt->rest);
    sodium_memzero(crypt, sizeof *crypt);
    free(crypt);
}

/* ---- sealing ------------------------------------------------------------------------------------- */

struct reader {
    const struct iovec *parts;
    int count;
    size_t skip; /* of the first part */
};

static void copy(struct reader *reader, unsigned char *to, size_t length)
{
    while (length) {
        const struct iovec *part = reader->parts;
        size_t step = part->iov_len - reader->skip;
        if (step > length) step = length;
        memcpy(to, (const unsigned char *) part->iov_base + reader->skip, step);
        to += step;
        length -= step;
        reader->skip += step;
        if (reader->skip < part->iov_len) continue;
        reader->parts++;
        reader->count--;
        reader->skip = 0;
    }
}

/* The next `length` bytes in one piece: where they are, if that is one, else in `plain`. */
static const unsigned char *contiguous(struct reader *reader, unsigned char *plain, size_t length)
{
    const struct iovec *part = reader->parts;
    if (part->iov_len - reader->skip >= length) return (const unsigned char *) part->iov_base + reader->skip;
    copy(reader, plain, length);
    return plain;
}

static size_t push(struct ame__crypt *crypt, unsigned char *sealed, const unsigned char *plain, size_t length)
{
    crypto_secretstream_xchacha20poly1305_push(&crypt->out, sealed, NULL, plain, length, NULL, 0,
                                               crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
    return length + AME__SEAL_SIZE;
}

size_t ame__crypt_seal(struct ame__crypt *crypt, const struct iovec *parts, int count, unsigned char *plain,
                       unsigned char sealed[AME__SEALED_MAX], size_t *length)
{
    unsigned char cell[AME__CELL_SIZE] = {0};
    struct reader reader = {parts, count, 0};
    size_t total = 0, used = 0;
    for (int i = 0; i < count && total < AME__CELL_DATA + AME__BODY_MAX; i++) total += parts[i].iov_len;
    if (total > AME__CELL_DATA + AME__BODY_MAX) total = AME__CELL_DATA + AME__BODY_MAX;
    if (!crypt->out_begun) {
        crypto_secretstream_xchacha20poly1305_init_push(&crypt->out, sealed, crypt->out_key);
        sodium_memzero(crypt->out_key, sizeof crypt->out_key);
        crypt->out_begun = true;
        used = HEADER_SIZE;
    }
    size_t first = total < AME__CELL_DATA ? total : AME__CELL_DATA;
    ame__put32(cell, (uint32_t) total);
    copy(&reader, cell + 4, first);
    used += push(crypt, sealed + used, cell, sizeof cell);
    if (total > first) {
        const unsigned char *body = contiguous(&reader, plain, total - first);
        used += push(crypt, sealed + used, body, total - first);
    }
    *length = used;
    return total;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static bool pull(struct ame__crypt *crypt, unsigned char *plain, const unsigned char *sealed, size_t length)
{
    unsigned char tag;
    return crypto_secretstream_xchacha20poly1305_pull(&crypt->in, plain, NULL, &tag, sealed, length + AME__SEAL_SIZE,
                                                      NULL, 0) == 0 &&
           tag == crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
}

static long open_cell(struct ame__crypt *crypt, const unsigned char *arrived, unsigned char *plain, size_t *length)
{
    unsigned char cell[AME__CELL_SIZE];
    if (!pull(crypt, cell, arrived, sizeof cell)) return -1;
    size_t total = ame__get32(cell);
    if (total > AME__CELL_DATA + AME__BODY_MAX) return -1;
    *length = total < AME__CELL_DATA ? total : AME__CELL_DATA;
    memcpy(plain, cell + 4, *length);
    crypt->body_left = total - *length;
    return AME__CELL_SIZE + AME__SEAL_SIZE;
}

long ame__crypt_open(struct ame__crypt *crypt, const unsigned char *arrived, size_t available,
                     unsigned char plain[AME__BODY_MAX], size_t *length)
{
    *length = 0;
    if (!crypt->in_begun) {
        if (available < HEADER_SIZE) return 0;
        crypto_secretstream_xchacha20poly1305_init_pull(&crypt->in, arrived, crypt->in_key);
        sodium_memzero(crypt->in_key, sizeof crypt->in_key);
        crypt->in_begun = true;
        return HEADER_SIZE;
    }
    size_t body = crypt->body_left;
    if (available < (body ? body : AME__CELL_SIZE) + AME__SEAL_SIZE) return 0;
    if (!body) return open_cell(crypt, arrived, plain, length);
    if (!pull(crypt, plain, arrived, body)) return -1;
    *length = body;
    crypt->body_left = 0;
    return (long) (body + AME__SEAL_SIZE);
}
