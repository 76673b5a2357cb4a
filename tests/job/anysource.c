/* anysource.c - a receiver that takes from anybody serves everybody: senders that never stop do not starve the others.
 */
#include "check.h"

enum { DATA = 1, STOP = 2, LAST = 3, ENOUGH = 50 };

static void sender(void)
{
    long sent = 0;
    int stop = 0;
    ame_request *request;
    CHECK_OK(ame_irecv(NULL, 0, 0, STOP, AME_COMM_WORLD, &request));
    while (!stop) {
        sent++;
        CHECK_OK(ame_send(&sent, sizeof sent, 0, DATA, AME_COMM_WORLD));
        CHECK_OK(ame_test(&request, &stop, AME_STATUS_IGNORE));
    }
    CHECK_OK(ame_send(&sent, sizeof sent, 0, LAST, AME_COMM_WORLD));
}

static void receiver(void)
{
    long *have = calloc((size_t) check_size, sizeof *have), value, total = 0;
    int satisfied = 0, ended = 0;
    CHECK(have);
    while (ended < check_size - 1) {
        ame_status status;
        CHECK_OK(ame_recv(&value, sizeof value, AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &status));
        CHECK_EQUAL(status.length, sizeof value);
        long *of_source = &have[status.source];
        if (status.tag == LAST) {
            CHECK_EQUAL(value, *of_source);
            ended++;
            continue;
        }
        CHECK_EQUAL(status.tag, DATA);
        CHECK_EQUAL(value, *of_source + 1);
        *of_source = value;
        total++;
        if (value == ENOUGH && ++satisfied == check_size - 1)
            for (int r = 1; r < check_size; r++) CHECK_OK(ame_send(NULL, 0, r, STOP, AME_COMM_WORLD));
    }
    CHECK_EQUAL(satisfied, check_size - 1);
    CHECK(total >= (long) ENOUGH * (check_size - 1));
    free(have);
}

/* One rank asks, anybody answers; the answers of all ranks arrive, each once. */
static void one_answer_each(void)
{
    for (int root = 0; root < check_size; root++) {
        if (check_rank != root) {
            CHECK_OK(ame_send(&check_rank, sizeof check_rank, root, 10 + check_rank, AME_COMM_WORLD));
            continue;
        }
        char *seen = calloc((size_t) check_size, 1);
        CHECK(seen);
        for (int i = 1; i < check_size; i++) {
            int who = -1;
            ame_status status;
            CHECK_OK(ame_recv(&who, sizeof who, AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, &status));
            CHECK_EQUAL(status.source, who);
            CHECK_EQUAL(status.tag, 10 + who);
            CHECK(who >= 0 && who < check_size && who != root && !seen[who]);
            seen[who] = 1;
        }
        free(seen);
    }
}

int main(void)
{
    check_begin();
    if (check_rank == 0)
        receiver();
    else
        sender();
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    /* each root gets messages only when it asks for them, so no root can take those for another */
    one_answer_each();
    return check_end();
}
