/* Unit tests of runtime/boot: which way is chosen, and what the PMI-1 client makes of good, bad and missing answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "boot/boot.h"

static const char *const variables[] = {"PMI_FD",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "AME_SIZE",
                                        "AME_RANK",
                                        "AME_JOB_ID",
                                        "MPI_LOCALNRANKS",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "SLURM_STEP_NUM_TASKS",
                                        "PMIX_RANK",
                                        "AME_ALLOW_SINGLETON",
                                        "MPI_LOCALRANKID",
                                        "PMI_PORT",
                                        "PMI_ID",
                                        "PMIX_NAMESPACE",
                                        "AME_BOOT",
                                        "AME_SHARED_DIR",
                                        "AME_JOB_TOKEN",
                                        "AME_CONNECT_TIMEOUT"};

static int clear_environment(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    return 0;
}

static void alone_without_variables(void **state)
{
    struct ame__boot boot;
    (void) state;
    assert_int_equal(ame__boot_open(&boot), AME_OK);
    assert_int_equal(boot.size, 1);
    assert_int_equal(boot.rank, 0);
    assert_string_equal(boot.way->name, "single");
    assert_int_equal(boot.fd, -1);
    ame__boot_close(&boot);
}

static void refuses_to_be_one_of_one(void **state)
{
    static const char *const counts[] = {"AME_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS",
                                         "MPI_LOCALNRANKS"};
    struct ame__boot boot;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        clear_environment(state);
        setenv(counts[i], "4", 1);
        assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
        assert_non_null(strstr(ame_last_error(), counts[i]));
        assert_non_null(strstr(ame_last_error(), "AME_ALLOW_SINGLETON"));
        setenv("AME_ALLOW_SINGLETON", "1", 1);
        assert_int_equal(ame__boot_open(&boot), AME_OK);
        assert_int_equal(boot.size, 1);
        clear_environment(state);
        setenv(counts[i], "1", 1);
        assert_int_equal(ame__boot_open(&boot), AME_OK);
    }
}

static void stale_descriptors_are_passed_over(void **state)
{
    struct ame__boot boot;
    char text[20];
    int pipe_fds[2];
    (void) state;
    assert_int_equal(pipe(pipe_fds), 0);
    snprintf(text, sizeof text, "%d", pipe_fds[0]);
    setenv("PMI_RANK", "0", 1);
    setenv("PMI_SIZE", "2", 1);
    setenv("PMI_FD", text, 1); /* open, but not a socket */
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT); /* closed */
    setenv("PMI_FD", "-3", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
    setenv("PMI_FD", "99999999999999999999", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
}

/* ---- a launcher that says what it is told to ----------------------------------------------------- */

struct script {
    int fd;
    const char *const *answers; /* one for each request; NULL: close */
};

static void *play(void *arg)
{
    struct script *script = arg;
    char line[2000];
    FILE *requests = fdopen(dup(script->fd), "r");
    for (const char *const *answer = script->answers; *answer && fgets(line, sizeof line, requests); answer++)
        if (write(script->fd, *answer, strlen(*answer)) < 0) break;
    fclose(requests);
    shutdown(script->fd, SHUT_RDWR);
    return NULL;
}

/* Opens the boot layer against a launcher with these answers, then runs `more`. */
static int with_answers(const char *const *answers, int (*more)(struct ame__boot *))
{
    int fds[2];
    char text[20];
    pthread_t thread;
    struct ame__boot boot;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    snprintf(text, sizeof text, "%d", fds[0]);
    setenv("PMI_FD", text, 1);
    setenv("PMI_RANK", "1", 1);
    setenv("PMI_SIZE", "3", 1);
    struct script script = {.fd = fds[1], .answers = answers};
    assert_int_equal(pthread_create(&thread, NULL, play, &script), 0);
    int code = ame__boot_open(&boot);
    if (!code && more) code = more(&boot);
    ame__boot_close(&boot);
    shutdown(fds[1], SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fds[1]);
    return code;
}

#define INIT_HYDRA "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n"
#define INIT_SLURM "cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1\n"

static int exchange(struct ame__boot *boot)
{
    char value[AME__BOOT_VALUE_MAX];
    assert_int_equal(boot->rank, 1);
    assert_int_equal(boot->size, 3);
    int code = ame__boot_put(boot, "k", "v");
    if (!code) code = ame__boot_fence(boot);
    if (!code) code = ame__boot_get(boot, "ame-root", value);
    if (!code) assert_string_equal(value, "1/host/127.0.0.1:80/ab+/=");
    return code;
}

static void both_dialects_are_understood(void **state)
{
    static const char *const hydra[] = {INIT_HYDRA,
                                        "cmd=my_kvsname kvsname=kvs_1_0_2_vm\n",
                                        "cmd=get_result rc=0 msg=success value=(vector,(0,3,1))\n",
                                        "cmd=put_result rc=0 msg=success\n",
                                        "cmd=barrier_out\n",
                                        "cmd=get_result rc=0 msg=success value=1/host/127.0.0.1:80/ab+/=\n",
                                        NULL};
    static const char *const slurm[] = {INIT_SLURM,
                                        "cmd=my_kvsname rc=0 kvsname=8.0\n",
                                        "cmd=get_result rc=1\n",
                                        "cmd=put_result rc=0\n",
                                        "cmd=barrier_out rc=0\n",
                                        "cmd=get_result rc=0 value=1/host/127.0.0.1:80/ab+/=\n",
                                        NULL};
    (void) state;
    assert_int_equal(with_answers(hydra, exchange), AME_OK);
    assert_int_equal(with_answers(slurm, exchange), AME_OK);
}

static void bad_answers_are_errors(void **state)
{
    static char too_long[5000];
    static const char *const closes[] = {NULL};
    static const char *const refuses[] = {"cmd=response_to_init rc=-1\n", NULL};
    static const char *const other[] = {"cmd=barrier_out\n", NULL};
    static const char *const nonsense[] = {"hello, who are you?\n", NULL};
    static const char *const no_name[] = {INIT_HYDRA, "cmd=my_kvsname\n", NULL};
    static const char *const dies[] = {INIT_HYDRA, "cmd=my_kvsname kvsname=k\n", "cmd=get_result rc=1\n",
                                       "cmd=put_result rc=0\n", NULL};
    static const char *const missing[] = {INIT_HYDRA,
                                          "cmd=my_kvsname kvsname=k\n",
                                          "cmd=get_result rc=1\n",
                                          "cmd=put_result rc=0\n",
                                          "cmd=barrier_out\n",
                                          "cmd=get_result rc=-1 msg=key_ame-root_not_found value=unknown\n",
                                          NULL};
    (void) state;
    memset(too_long, 'x', sizeof too_long - 2);
    too_long[sizeof too_long - 2] = '\n';
    const char *const long_line[] = {too_long, NULL};
    assert_int_equal(with_answers(closes, NULL), AME_E_BOOT);
    assert_int_equal(with_answers(refuses, NULL), AME_E_BOOT);
    assert_int_equal(with_answers(other, NULL), AME_E_PROTOCOL);
    assert_int_equal(with_answers(nonsense, NULL), AME_E_PROTOCOL);
    assert_int_equal(with_answers(no_name, NULL), AME_E_PROTOCOL);
    assert_int_equal(with_answers(long_line, NULL), AME_E_PROTOCOL);
    assert_int_equal(with_answers(dies, exchange), AME_E_BOOT);
    assert_int_equal(with_answers(missing, exchange), AME_E_BOOT);
}

static void silence_ends_in_time(void **state)
{
    int fds[2];
    char text[20];
    struct ame__boot boot;
    (void) state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    snprintf(text, sizeof text, "%d", fds[0]);
    setenv("PMI_FD", text, 1);
    setenv("PMI_RANK", "1", 1);
    setenv("PMI_SIZE", "3", 1);
    setenv("AME_CONNECT_TIMEOUT", "0.2", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_TIMEOUT);
    assert_non_null(strstr(ame_last_error(), "AME_CONNECT_TIMEOUT"));
    close(fds[1]);
}

static void bad_numbers_are_told(void **state)
{
    static const char *const bad[][2] = {{"3", "3"}, {"-1", "3"}, {"0", "0"}, {"x", "3"}, {"0", "99999999999"}};
    int fds[2];
    char text[20];
    struct ame__boot boot;
    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        snprintf(text, sizeof text, "%d", fds[0]);
        setenv("PMI_FD", text, 1);
        setenv("PMI_RANK", bad[i][0], 1);
        setenv("PMI_SIZE", bad[i][1], 1);
        assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
        close(fds[0]);
        close(fds[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(alone_without_variables, clear_environment),
                                       cmocka_unit_test_setup(refuses_to_be_one_of_one, clear_environment),
                                       cmocka_unit_test_setup(stale_descriptors_are_passed_over, clear_environment),
                                       cmocka_unit_test_setup(both_dialects_are_understood, clear_environment),
                                       cmocka_unit_test_setup(bad_answers_are_errors, clear_environment),
                                       cmocka_unit_test_setup(silence_ends_in_time, clear_environment),
                                       cmocka_unit_test_setup(bad_numbers_are_told, clear_environment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
