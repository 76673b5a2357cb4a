/* Fuzzing runtime/pool/frame.c: a frame from another rank of a pool. What it holds lies within it, and what was read can be
 * written again.
 */
#include "pool/frame.h"

#include "fuzz.h"

static void check_within(const void *at, uint64_t length, const unsigned char *begin, const unsigned char *end)
{
    const unsigned char *from = at;
    FUZZ_CHECK(!length || (from >= begin && from <= end && length <= (uint64_t) (end - from)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char again[AME__POOL_FRAME_MAX];
    struct ame__pool_frame frame;
    struct ame__pool_record record;
    if (size > AME__POOL_FRAME_MAX) size = AME__POOL_FRAME_MAX;
    unsigned char *exact = malloc(size + 1);
    FUZZ_CHECK(exact);
    if (size) memcpy(exact, data, size);
    struct ame__cursor in = ame__cursor_on(exact, size), out = ame__cursor_on(again, sizeof again);
    int got = 0;
    if (ame__pool_frame_get(&in, &frame)) {
        check_within(frame.text, frame.text_length, exact, exact + size);
        ame__pool_frame_put(&out, &frame);
        FUZZ_CHECK(!out.bad);
        while ((got = ame__pool_record_get(&in, &record)) > 0) {
            check_within(record.text, record.text_length, exact, exact + size);
            if (record.data) check_within(record.data, record.length, exact, exact + size);
            FUZZ_CHECK(record.text_length <= AME__POOL_TEXT_MAX);
            (void) ame__pool_record_put(&out, &record);
            FUZZ_CHECK(!out.bad);
        }
    }
    free(exact);
    return 0;
}
