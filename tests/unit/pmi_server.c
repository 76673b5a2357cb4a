/* Unit tests of the PMI-1 server of ameexec: the exchange as Hydra answers it, its limits, and lines that are no requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pmi_server.h"

static struct ame__pmi_server server;
static char reply[AME__PMI_REPLY_MAX + 1];

static int set_up(void **state)
{
    (void) state;
    ame__pmi_server_init(&server, 3, "job-1", "(vector,(0,1,3))");
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    ame__pmi_server_finish(&server);
    return 0;
}

static enum ame__pmi_outcome ask(int rank, const char *line)
{
    size_t length = 0;
    enum ame__pmi_outcome outcome = ame__pmi_server_handle(&server, rank, line, strlen(line), reply, &length);
    assert_true(length <= AME__PMI_REPLY_MAX);
    reply[length] = '\0';
    return outcome;
}

static void answers(int rank, const char *line, const char *expected)
{
    assert_int_equal(ask(rank, line), AME__PMI_REPLY);
    assert_string_equal(reply, expected);
}

static void a_whole_exchange(void **state)
{
    (void) state;
    for (int rank = 0; rank < 3; rank++)
        answers(rank, "cmd=init pmi_version=1 pmi_subversion=1",
                "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
    answers(0, "cmd=get_maxes", "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024\n");
    answers(0, "cmd=get_my_kvsname", "cmd=my_kvsname kvsname=kvs_job-1\n");
    answers(0, "cmd=get kvsname=job-1 key=PMI_process_mapping",
            "cmd=get_result rc=0 msg=success value=(vector,(0,1,3))\n");
    answers(0, "cmd=put kvsname=job-1 key=k value=ab+/=:1", "cmd=put_result rc=0 msg=success\n");
    answers(0, "cmd=put kvsname=job-1 key=k value=second", "cmd=put_result rc=0 msg=success\n");
    assert_int_equal(ask(1, "cmd=barrier_in"), AME__PMI_NO_REPLY);
    assert_int_equal(ame__pmi_server_waiter(&server), 1);
    assert_int_equal(ask(0, "cmd=barrier_in"), AME__PMI_NO_REPLY);
    assert_int_equal(ask(2, "cmd=barrier_in"), AME__PMI_RELEASE);
    assert_string_equal(reply, "cmd=barrier_out\n");
    assert_int_equal(ame__pmi_server_waiter(&server), -1);
    answers(2, "cmd=get kvsname=job-1 key=k", "cmd=get_result rc=0 msg=success value=second\n");
    assert_int_equal(ame__pmi_server_state(&server, 2), AME__PMI_JOINED);
    answers(2, "cmd=finalize", "cmd=finalize_ack\n");
    assert_int_equal(ame__pmi_server_state(&server, 2), AME__PMI_FINALIZED);
}

static void what_is_missing_or_too_long_is_said(void **state)
{
    char line[3000], *end;
    (void) state;
    ask(0, "cmd=get kvsname=x key=nosuchkey");
    assert_non_null(strstr(reply, "rc=-1"));
    ask(0, "cmd=init pmi_version=2 pmi_subversion=0");
    assert_non_null(strstr(reply, "rc=-1"));
    ask(0, "cmd=put key=only");
    assert_non_null(strstr(reply, "rc=-1"));
    end = line + sprintf(line, "cmd=put kvsname=x key=long value=");
    memset(end, 'v', AME__PMI_VALUE_MAX + 1);
    end[AME__PMI_VALUE_MAX + 1] = '\0';
    ask(0, line);
    assert_non_null(strstr(reply, "rc=-1"));
    end[AME__PMI_VALUE_MAX] = '\0';
    ask(0, line);
    assert_non_null(strstr(reply, "rc=0"));
    ask(1, "cmd=get kvsname=x key=long");
    assert_int_equal(strlen(strstr(reply, "value=")), 6 + AME__PMI_VALUE_MAX + 1);
    end = line + sprintf(line, "cmd=put kvsname=x key=");
    memset(end, 'k', AME__PMI_KEY_MAX + 1);
    strcpy(end + AME__PMI_KEY_MAX + 1, " value=1");
    ask(0, line);
    assert_non_null(strstr(reply, "rc=-1"));
    ask(0, "cmd=no_such_command a=b");
    assert_non_null(strstr(reply, "rc=-1"));
}

static void aborts_carry_a_code(void **state)
{
    static const struct {
        const char *line;
        int code;
    } cases[] = {{"cmd=abort exitcode=7", 7},
                 {"cmd=abort", 1},
                 {"cmd=abort exitcode=0", 0},
                 {"cmd=abort exitcode=256", 1},
                 {"cmd=abort exitcode=", 1}};
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask(1, cases[i].line), AME__PMI_ABORT);
        assert_int_equal(server.abort_code, cases[i].code);
    }
}

static void blame_names_a_rank_of_the_job(void **state)
{
    static const char *const bad[] = {"cmd=ame_failed", "cmd=ame_failed rank=3", "cmd=ame_failed rank=-1",
                                      "cmd=ame_failed rank=99999999999999999999"};
    (void) state;
    assert_int_equal(ask(0, "cmd=ame_failed rank=2"), AME__PMI_BLAME);
    assert_int_equal(server.blamed, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(ask(0, bad[i]), AME__PMI_CONTINUE);
}

static void what_is_no_request_is_dropped(void **state)
{
    static const char *const bad[] = {"GET / HTTP/1.0", "", " ", "cmd"};
    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(ask(0, bad[i]), AME__PMI_DROP);
}

static void random_lines_are_survived(void **state)
{
    static const char *const words[] = {"cmd=", "put",   "get", "key=",  "value=", " ", "=",  "barrier_in",
                                        "init", "abort", "\0x", "rank=", "k",      "1", "\t", "mcmd=spawn"};
    (void) state;
    srand(3);
    for (int round = 0; round < 100000; round++) {
        char line[200] = "";
        size_t length = 0;
        for (int word = rand() % 8; word > 0; word--) strcat(line, words[rand() % 16]);
        ame__pmi_server_handle(&server, rand() % 3, line, strlen(line), reply, &length);
        assert_true(length <= AME__PMI_REPLY_MAX);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(a_whole_exchange),
                                       TEST(what_is_missing_or_too_long_is_said),
                                       TEST(aborts_carry_a_code),
                                       TEST(blame_names_a_rank_of_the_job),
                                       TEST(what_is_no_request_is_dropped),
                                       TEST(random_lines_are_survived)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
