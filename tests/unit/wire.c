/* Unit tests of runtime/wire: every header survives the way over the wire, and bad bytes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"

static struct ame__header sample(uint8_t kind)
{
    return (struct ame__header){.kind = kind,
                                .tag = 0x7fffffff,
                                .context = 0x1122334455667788u,
                                .src = 3,
                                .dst = 9,
                                .length = 1000,
                                .id = 0x99aabbccddeeff00u,
                                .other = 0x0123456789abcdefu};
}

static void headers_round_trip(void **state)
{
    (void) state;
    for (uint8_t kind = 1; kind < AME__FRAME_COUNT; kind++) {
        unsigned char bytes[AME__HEADER_SIZE];
        struct ame__header in = sample(kind), out;
        in.length = kind == AME__FRAME_RTS ? (uint64_t) 5 << 30 : 0;
        ame__header_encode(bytes, &in);
        assert_null(ame__header_decode(bytes, 10, &out));
        assert_int_equal(out.kind, in.kind);
        assert_int_equal(out.tag, in.tag);
        assert_int_equal(out.context, in.context);
        assert_int_equal(out.src, in.src);
        assert_int_equal(out.dst, in.dst);
        assert_int_equal(out.length, in.length);
        assert_int_equal(out.id, in.id);
        assert_int_equal(out.other, in.other);
        assert_int_equal(ame__header_payload(&out), 0);
    }
}

static void the_layout_is_fixed(void **state)
{
    static const unsigned char expected[AME__HEADER_SIZE] = {
        1,    3,    0,    0,    0xff, 0xff, 0xff, 0x7f, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
        3,    0,    0,    0,    9,    0,    0,    0,    0xe8, 3,    0,    0,    0,    0,    0,    0,
        0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01};
    unsigned char bytes[AME__HEADER_SIZE];
    struct ame__header header = sample(AME__FRAME_EAGER);
    (void) state;
    ame__header_encode(bytes, &header);
    assert_memory_equal(bytes, expected, sizeof bytes);
}

static void refused(size_t at, unsigned char value, const char *what)
{
    unsigned char bytes[AME__HEADER_SIZE];
    struct ame__header header = sample(AME__FRAME_EAGER);
    ame__header_encode(bytes, &header);
    bytes[at] = value;
    const char *wrong = ame__header_decode(bytes, 10, &header);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, what));
}

static void bad_headers_are_refused(void **state)
{
    (void) state;
    refused(0, 0, "kind");
    refused(0, AME__FRAME_COUNT, "kind");
    refused(0, 255, "kind");
    refused(1, AME__PROTOCOL_VERSION + 1, "version");
    refused(2, 1, "padding");
    refused(3, 1, "padding");
    refused(7, 0x80, "tag");
    refused(16, 10, "source");
    refused(19, 0xff, "source");
    refused(20, 10, "destination");
    refused(23, 0x80, "destination");
    refused(26, 0xff, "length");
    refused(31, 0x80, "length");
}

static void each_kind_has_its_limit(void **state)
{
    unsigned char bytes[AME__HEADER_SIZE];
    struct ame__header header = sample(AME__FRAME_EAGER), out;
    (void) state;
    header.length = AME__PAYLOAD_MAX;
    ame__header_encode(bytes, &header);
    assert_null(ame__header_decode(bytes, 10, &out));
    assert_int_equal(ame__header_payload(&out), AME__PAYLOAD_MAX);
    header.length++;
    ame__header_encode(bytes, &header);
    assert_non_null(ame__header_decode(bytes, 10, &out));
    header.kind = AME__FRAME_BYE;
    header.length = 1;
    ame__header_encode(bytes, &header);
    assert_non_null(ame__header_decode(bytes, 10, &out));
    header.kind = AME__FRAME_RTS;
    header.length = (uint64_t) 1 << 63;
    ame__header_encode(bytes, &header);
    assert_non_null(ame__header_decode(bytes, 10, &out));
}

/* Whatever arrives, decoding gives a header within its limits or says no. */
static void random_bytes_are_survived(void **state)
{
    (void) state;
    srand(7);
    for (int round = 0; round < 200000; round++) {
        unsigned char bytes[AME__HEADER_SIZE];
        struct ame__header header;
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char) (rand() >> 4);
        bytes[0] %= AME__FRAME_COUNT + 2;
        if (round % 2) memset(bytes + 1, 0, 3), bytes[1] = AME__PROTOCOL_VERSION;
        if (round % 4 == 3) memset(bytes + 16, 0, 14);
        if (ame__header_decode(bytes, 10, &header)) continue;
        assert_in_range(header.kind, 1, AME__FRAME_COUNT - 1);
        assert_in_range(header.src, 0, 9);
        assert_in_range(header.dst, 0, 9);
        assert_true(header.tag >= 0);
        assert_true(ame__header_payload(&header) <= AME__PAYLOAD_MAX);
    }
}

static void handshakes_round_trip(void **state)
{
    struct ame__hello hello = {.version = 7, .size = 12, .from = 3, .to = 4, .window = 1u << 30, .encrypt = 0x102},
                      hello_out;
    struct ame__answer answer = {.version = 7, .refusal = AME__REFUSE_RANK, .window = 99}, answer_out;
    unsigned char bytes[AME__ANSWER_SIZE];
    (void) state;
    memset(hello.nonce, 5, sizeof hello.nonce);
    memset(answer.nonce, 6, sizeof answer.nonce);
    memset(answer.proof, 7, sizeof answer.proof);
    ame__hello_encode(bytes, &hello);
    assert_true(ame__hello_decode(bytes, &hello_out));
    assert_memory_equal(&hello, &hello_out, sizeof hello);
    bytes[3] ^= 1;
    assert_false(ame__hello_decode(bytes, &hello_out));
    ame__answer_encode(bytes, &answer);
    assert_true(ame__answer_decode(bytes, &answer_out));
    assert_memory_equal(&answer, &answer_out, sizeof answer);
    bytes[0] = 'G';
    assert_false(ame__answer_decode(bytes, &answer_out));
    for (uint32_t refusal = 0; refusal < 6; refusal++) assert_non_null(ame__refusal_text(refusal));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_round_trip),        cmocka_unit_test(the_layout_is_fixed),
        cmocka_unit_test(bad_headers_are_refused),   cmocka_unit_test(each_kind_has_its_limit),
        cmocka_unit_test(random_bytes_are_survived), cmocka_unit_test(handshakes_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
