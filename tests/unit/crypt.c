/* Unit tests of runtime/net/crypt.c: what is sealed on one side opens on the other, in whatever pieces it arrives; what was
 * changed, cut, left out, said again or put into another order on the way does not, and no wrong byte is ever handed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/crypt.h"

enum { STREAM_MAX = 1 << 20 };

static unsigned char key[2][32] = {{1}, {2}};
static unsigned char room[AME__BODY_MAX];

/* A stream of some records, and where each of its units begins. */
static struct stream {
    unsigned char data[STREAM_MAX], sealed[STREAM_MAX];
    size_t length, sealed_length;
    size_t units[64];
    int unit_count;
} stream;

static void add_record(struct ame__crypt *crypt, size_t length)
{
    struct iovec parts[2] = {{stream.data + stream.length, length / 3}, {NULL, length - length / 3}};
    size_t sealed, done = 0;
    parts[1].iov_base = stream.data + stream.length + length / 3;
    for (size_t i = 0; i < length; i++) stream.data[stream.length + i] = (unsigned char) (i * 7 + length);
    while (done < length) {
        bool begun = crypt->out_begun;
        struct iovec left[2] = {parts[0], parts[1]};
        for (int i = 0; i < 2; i++) { /* what is left of them */
            size_t before = i ? parts[0].iov_len : 0, skip = done > before ? done - before : 0;
            if (skip > left[i].iov_len) skip = left[i].iov_len;
            left[i].iov_base = (unsigned char *) left[i].iov_base + skip;
            left[i].iov_len -= skip;
        }
        size_t step = ame__crypt_seal(crypt, left, 2, room, stream.sealed + stream.sealed_length, &sealed);
        assert_in_range(step, 1, AME__CELL_DATA + AME__BODY_MAX);
        size_t at = stream.sealed_length;
        if (!begun) {
            stream.units[stream.unit_count++] = at;
            at += crypto_secretstream_xchacha20poly1305_HEADERBYTES;
        }
        stream.units[stream.unit_count++] = at;
        if (step > AME__CELL_DATA) stream.units[stream.unit_count++] = at + AME__CELL_SIZE + AME__SEAL_SIZE;
        stream.sealed_length += sealed;
        done += step;
    }
    stream.length += length;
}

static int make_stream(void **state)
{
    static const size_t lengths[] = {1, 48, 60, 61, 100, 200, 60};
    struct ame__crypt *crypt = ame__crypt_create(key[0], key[1]);
    (void) state;
    assert_non_null(crypt);
    memset(&stream, 0, sizeof stream);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) add_record(crypt, lengths[i]);
    stream.units[stream.unit_count] = stream.sealed_length;
    ame__crypt_destroy(crypt);
    return 0;
}

/* Opens what has arrived; checks that all that is handed on is what was sent. Returns how much that was; `refused`: the
 * rest was not opened because it is not what was sent. */
static size_t open_all(const unsigned char *arrived, size_t length, const unsigned char *out_key, bool *refused)
{
    static unsigned char plain[AME__BODY_MAX];
    struct ame__crypt *crypt = ame__crypt_create(key[1], out_key);
    size_t used = 0, done = 0, piece;
    long unit;
    assert_non_null(crypt);
    while ((unit = ame__crypt_open(crypt, arrived + used, length - used, plain, &piece)) > 0) {
        used += (size_t) unit;
        assert_true(used <= length && done + piece <= stream.length);
        assert_memory_equal(plain, stream.data + done, piece);
        done += piece;
    }
    *refused = unit < 0;
    ame__crypt_destroy(crypt);
    return done;
}

static void what_is_sealed_opens(void **state)
{
    bool refused;
    (void) state;
    assert_int_equal(open_all(stream.sealed, stream.sealed_length, key[0], &refused), stream.length);
    assert_false(refused);
}

static void long_messages_too(void **state)
{
    struct ame__crypt *crypt = ame__crypt_create(key[0], key[1]);
    bool refused;
    (void) state;
    memset(&stream, 0, sizeof stream);
    add_record(crypt, AME__BODY_MAX + AME__CELL_DATA);
    add_record(crypt, AME__BODY_MAX + AME__CELL_DATA + 1);
    add_record(crypt, 3 * AME__BODY_MAX);
    ame__crypt_destroy(crypt);
    assert_int_equal(open_all(stream.sealed, stream.sealed_length, key[0], &refused), stream.length);
    assert_false(refused);
}

static void nothing_is_seen_from_outside(void **state)
{
    (void) state;
    for (size_t i = 0; i + 16 <= stream.length; i++)
        assert_null(memmem(stream.sealed, stream.sealed_length, stream.data + i, 16));
}

static void a_cut_stream_gives_its_beginning(void **state)
{
    (void) state;
    size_t before = 0;
    for (size_t cut = 0; cut < stream.sealed_length; cut++) {
        bool refused;
        size_t done = open_all(stream.sealed, cut, key[0], &refused);
        assert_false(refused);
        assert_true(done >= before && done < stream.length);
        before = done;
    }
}

static void each_changed_bit_is_noticed(void **state)
{
    static unsigned char changed[STREAM_MAX];
    (void) state;
    memcpy(changed, stream.sealed, stream.sealed_length);
    for (size_t at = 0; at < stream.sealed_length; at++) {
        bool refused;
        size_t sound = 0;
        changed[at] ^= (unsigned char) (1 << at % 8);
        size_t done = open_all(changed, stream.sealed_length, key[0], &refused);
        changed[at] ^= (unsigned char) (1 << at % 8);
        assert_true(refused);
        for (int unit = 0; unit < stream.unit_count && stream.units[unit + 1] <= at; unit++)
            sound = stream.units[unit + 1];
        assert_int_equal(done, open_all(stream.sealed, sound, key[0], &refused)); /* what came before it, and no more */
    }
}

static void units_in_another_order_are_noticed(void **state)
{
    static unsigned char moved[2 * STREAM_MAX];
    (void) state;
    for (int a = 1; a < stream.unit_count; a++) {
        size_t begin = stream.units[a], end = stream.units[a + 1];
        bool refused;
        /* left out */
        memcpy(moved, stream.sealed, begin);
        memcpy(moved + begin, stream.sealed + end, stream.sealed_length - end);
        open_all(moved, stream.sealed_length - (end - begin), key[0], &refused);
        assert_true(refused || a >= stream.unit_count - 2); /* at the end it is as if the rest were still to come */
        /* said again */
        memcpy(moved, stream.sealed, end);
        memcpy(moved + end, stream.sealed + begin, stream.sealed_length - begin);
        open_all(moved, stream.sealed_length + end - begin, key[0], &refused);
        assert_true(refused);
        if (a + 1 == stream.unit_count) continue;
        /* swapped with the next */
        size_t last = stream.units[a + 2], second = last - end;
        memcpy(moved, stream.sealed, stream.sealed_length);
        memcpy(moved + begin, stream.sealed + end, second);
        memcpy(moved + begin + second, stream.sealed + begin, end - begin);
        open_all(moved, stream.sealed_length, key[0], &refused);
        assert_true(refused);
    }
}

static void the_other_direction_and_other_keys_do_not_open(void **state)
{
    unsigned char third[32] = {3};
    bool refused;
    (void) state;
    assert_int_equal(open_all(stream.sealed, stream.sealed_length, key[1], &refused), 0);
    assert_true(refused);
    assert_int_equal(open_all(stream.sealed, stream.sealed_length, third, &refused), 0);
    assert_true(refused);
}

static void the_variable_is_checked(void **state)
{
    static const struct {
        const char *text;
        int mode;
    } cases[] = {{"", AME__ENCRYPT_OFF},
                 {"0", AME__ENCRYPT_OFF},
                 {"1", AME__ENCRYPT_HOSTS},
                 {"2", AME__ENCRYPT_ALL},
                 {"all", AME__ENCRYPT_ALL},
                 {"yes", -1},
                 {"3", -1},
                 {"11", -1},
                 {"All", -1}};
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum ame__encrypt mode = AME__ENCRYPT_OFF;
        setenv("AME_ENCRYPT", cases[i].text, 1);
        int code = ame__encrypt_mode(&mode);
        assert_int_equal(code, cases[i].mode < 0 ? AME_E_CONFIG : AME_OK);
        if (cases[i].mode >= 0) assert_int_equal(mode, cases[i].mode);
        if (cases[i].mode < 0) assert_non_null(strstr(ame__error_text(), "AME_ENCRYPT"));
    }
    unsetenv("AME_ENCRYPT");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make_stream)
    const struct CMUnitTest tests[] = {TEST(what_is_sealed_opens),
                                       TEST(long_messages_too),
                                       TEST(nothing_is_seen_from_outside),
                                       TEST(a_cut_stream_gives_its_beginning),
                                       TEST(each_changed_bit_is_noticed),
                                       TEST(units_in_another_order_are_noticed),
                                       TEST(the_other_direction_and_other_keys_do_not_open),
                                       TEST(the_variable_is_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
