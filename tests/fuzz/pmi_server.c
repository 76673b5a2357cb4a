/* Fuzzing launcher/pmi_server.c: requests of ranks, one per line; the first character of a line says which rank. */
#include "pmi_server.h"

#include "fuzz.h"

enum { RANKS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ame__pmi_server server;
    ame__pmi_server_init(&server, RANKS, "job", "(vector,(0,1,3))");
    for (const uint8_t *at = data, *end = data + size; at < end;) {
        const uint8_t *newline = memchr(at, '\n', (size_t) (end - at));
        size_t length = (size_t) ((newline ? newline : end) - at), reply_length = 0;
        char *line = malloc(length + 1), *reply = malloc(AME__PMI_REPLY_MAX); /* of their own, so that ASAN sees all */
        FUZZ_CHECK(line && reply);
        memcpy(line, at, length);
        int rank = length ? line[0] % RANKS : 0;
        rank = rank < 0 ? -rank : rank;
        enum ame__pmi_outcome outcome =
            ame__pmi_server_handle(&server, rank, line + (length > 0), length - (length > 0), reply, &reply_length);
        if (outcome == AME__PMI_REPLY || outcome == AME__PMI_RELEASE)
            FUZZ_CHECK(reply_length > 0 && reply_length < AME__PMI_REPLY_MAX && reply[reply_length - 1] == '\n' &&
                       !memchr(reply, '\n', reply_length - 1));
        if (outcome == AME__PMI_DROP) ame__pmi_server_break(&server, rank);
        FUZZ_CHECK(server.waiting >= 0 && server.waiting < RANKS);
        free(line);
        free(reply);
        at += length + 1;
    }
    ame__pmi_server_finish(&server);
    return 0;
}
