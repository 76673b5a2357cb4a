/* Unit tests of the verdict of ameexec: which of several ranks that end is the one that failed, in whatever order the launcher
 * hears of their ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "verdict.h"

enum { RANKS = 4, KILLED = SIGKILL, FAILED = 9 << 8, FINE = 0, CODE_KILLED = 128 + SIGKILL };

static struct ame__options options;
static struct ame__rank_plan places[RANKS];
static struct ame__host host = {.name = (char *) "h", .slots = RANKS};
static struct ame__plan plan = {
    .options = &options, .size = RANKS, .ranks = places, .hosts = {.items = &host, .count = 1}};
static struct ame__pmi_server server;
static struct ame__verdict verdict;
static uv_loop_t loop;
static int decisions, tellings;

static void decided(void *owner, int number)
{
    assert_ptr_equal(owner, &verdict);
    assert_int_equal(number, SIGTERM);
    decisions++;
}

static void told(void *owner, const char *message)
{
    assert_ptr_equal(owner, &verdict);
    assert_non_null(message);
    tellings++;
}

static const struct ame__seen *last_seen(void *owner, int rank)
{
    (void) owner, (void) rank;
    return NULL;
}

static void says(int rank, const char *line)
{
    char reply[AME__PMI_REPLY_MAX];
    size_t length = 0;
    ame__pmi_server_handle(&server, rank, line, strlen(line), reply, &length);
}

/* A job whose ranks have all joined and are connected. */
static int begin(void **state)
{
    struct ame__verdict_events events = {.decided = decided, .told = told, .last_seen = last_seen, .owner = &verdict};
    (void) state;
    decisions = tellings = 0;
    options.on_failure = AME__ON_FAILURE_DEFAULT;
    ame__pmi_server_init(&server, RANKS, "job", NULL);
    for (int rank = 0; rank < RANKS; rank++) says(rank, "cmd=init pmi_version=1 pmi_subversion=1");
    server.connected = true;
    uv_loop_init(&loop);
    ame__verdict_init(&verdict, &plan, &server, &events);
    ame__verdict_open(&verdict, &loop);
    for (int rank = 0; rank < RANKS; rank++) ame__verdict_started(&verdict, rank, 100 + rank);
    return 0;
}

static int end(void **state)
{
    (void) state;
    ame__verdict_close(&verdict);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    ame__verdict_free(&verdict);
    ame__pmi_server_finish(&server);
    return 0;
}

static void is_verdict(int rank, int code)
{
    char name[20];
    snprintf(name, sizeof name, "rank %d ", rank);
    assert_int_equal(decisions, 1);
    assert_int_equal(ame__verdict_code(&verdict), code);
    assert_non_null(verdict.message);
    assert_memory_equal(verdict.message, name, strlen(name));
}

static void at_once(void **state)
{
    (void) state;
    ame__verdict_exited(&verdict, 2, 3 << 8);
    is_verdict(2, 3);
    ame__verdict_exited(&verdict, 1, KILLED);
    is_verdict(2, 3);
}

/* The next order of 0 to count-1, in place; false after the last. */
static bool next_order(int order[], int count)
{
    int i = count - 2, j = count - 1;
    while (i >= 0 && order[i] > order[i + 1]) i--;
    if (i < 0) return false;
    while (order[j] < order[i]) j--;
    int swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
    for (int low = i + 1, high = count - 1; low < high; low++, high--) {
        swapped = order[low];
        order[low] = order[high];
        order[high] = swapped;
    }
    return true;
}

/* Rank 3 is killed, and each rank meets the failure of the one after it: whoever is seen to end first. */
static void chain(void **state)
{
    int order[RANKS] = {0, 1, 2, 3};
    do {
        for (int rank = 0; rank < RANKS - 1; rank++) ame__verdict_blames(&verdict, rank, rank + 1);
        for (int i = 0; i < RANKS; i++) {
            assert_int_equal(decisions, 0);
            ame__verdict_exited(&verdict, order[i], order[i] == RANKS - 1 ? KILLED : FAILED);
            if (order[i] == RANKS - 1) break;
        }
        is_verdict(RANKS - 1, CODE_KILLED);
        end(state);
        begin(state);
    } while (next_order(order, RANKS));
}

/* The same where the others go on; rank 0 has met it as well, and lives. */
static void chain_survived(void **state)
{
    int order[RANKS - 1] = {0, 1, 2};
    do {
        options.on_failure = AME__ON_FAILURE_CONTINUE;
        for (int rank = 0; rank < RANKS - 1; rank++) ame__verdict_blames(&verdict, rank, rank + 1);
        for (int i = 0; i < RANKS - 1; i++)
            ame__verdict_exited(&verdict, order[i] + 1, order[i] + 1 == RANKS - 1 ? KILLED : FAILED);
        assert_int_equal(decisions, 0);
        assert_int_equal(tellings, RANKS - 1);
        assert_int_equal(ame__verdict_code(&verdict), CODE_KILLED);
        end(state);
        begin(state);
    } while (next_order(order, RANKS - 1));
}

/* It blames one that lives on: after a while it is the one that failed. */
static void blamed_lives(void **state)
{
    (void) state;
    ame__verdict_blames(&verdict, 1, 2);
    ame__verdict_exited(&verdict, 1, FAILED);
    assert_int_equal(decisions, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    is_verdict(1, 9);
}

/* It blames one that then ends as it should. */
static void blamed_ends_well(void **state)
{
    (void) state;
    ame__verdict_blames(&verdict, 0, 1);
    ame__verdict_blames(&verdict, 1, 2);
    ame__verdict_exited(&verdict, 0, FAILED);
    says(2, "cmd=finalize");
    assert_int_equal(decisions, 0);
    ame__verdict_exited(&verdict, 2, FINE);
    is_verdict(0, 9);
}

/* A connection between them broke: each says that it was the other. */
static void blame_each_other(void **state)
{
    (void) state;
    ame__verdict_blames(&verdict, 1, 2);
    ame__verdict_blames(&verdict, 2, 1);
    ame__verdict_blames(&verdict, 0, 1);
    ame__verdict_exited(&verdict, 0, FAILED);
    assert_int_equal(decisions, 0);
    ame__verdict_exited(&verdict, 2, 5 << 8);
    ame__verdict_exited(&verdict, 1, 5 << 8);
    assert_int_equal(decisions, 1);
    assert_int_equal(ame__verdict_code(&verdict), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_once, begin, end),
        cmocka_unit_test_setup_teardown(chain, begin, end),
        cmocka_unit_test_setup_teardown(chain_survived, begin, end),
        cmocka_unit_test_setup_teardown(blamed_lives, begin, end),
        cmocka_unit_test_setup_teardown(blamed_ends_well, begin, end),
        cmocka_unit_test_setup_teardown(blame_each_other, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
