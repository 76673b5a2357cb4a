/* Unit tests of runtime/boot: which way is chosen, and what the PMI-1 client makes of good, bad and missing answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "boot/boot.h"
#include "boot/env.h"

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
                                        "SLURM_JOB_ID",
                                        "SLURM_STEP_ID",
                                        "SLURM_PROCID",
                                        "SLURM_NTASKS",
                                        "SLURM_STEP_NUM_NODES",
                                        "SLURM_STEP_TASKS_PER_NODE",
                                        "SLURM_NODEID",
                                        "SLURM_LOCALID",
                                        "OMPI_MCA_orte_num_nodes",
                                        "OMPI_MCA_orte_jobfam_session_dir",
                                        "PMIX_SERVER_TMPDIR",
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

static void *play(void *arg);
static void *(*play_this)(void *) = play;

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
    assert_int_equal(pthread_create(&thread, NULL, play_this, &script), 0);
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

/* ---- what the environment says ------------------------------------------------------------------- */

static void mappings_are_read(void **state)
{
    int hosts, local_rank, local_size;
    (void) state;
    assert_true(ame__env_mapping("(vector,(0,3,2))", 4, 6, &hosts, &local_rank, &local_size));
    assert_int_equal(hosts, 3);
    assert_int_equal(local_rank, 0);
    assert_int_equal(local_size, 2);
    assert_true(ame__env_mapping("(vector,(0,1,2),(1,2,1))", 1, 4, &hosts, &local_rank, &local_size));
    assert_int_equal(hosts, 3);
    assert_int_equal(local_rank, 1);
    assert_int_equal(local_size, 2);
    assert_true(ame__env_mapping("(vector,(0,1,1))", 3, 5, &hosts, &local_rank, &local_size)); /* repeated */
    assert_int_equal(hosts, 1);
    assert_int_equal(local_rank, 3);
    assert_int_equal(local_size, 5);
    static const char *const bad[] = {
        "", "(vector)", "(vector,", "(vector,(0,0,1))", "(vector,(0,1,-1))", "(vector,(a))", "vector,(0,1,1)"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ame__env_mapping(bad[i], 0, 2, &hosts, &local_rank, &local_size));
}

static void tasks_per_node_are_read(void **state)
{
    (void) state;
    assert_int_equal(ame__env_tasks_on("2(x3),1", 0), 2);
    assert_int_equal(ame__env_tasks_on("2(x3),1", 2), 2);
    assert_int_equal(ame__env_tasks_on("2(x3),1", 3), 1);
    assert_int_equal(ame__env_tasks_on("2(x3),1", 4), -1);
    assert_int_equal(ame__env_tasks_on("4", 0), 4);
    assert_int_equal(ame__env_tasks_on("x", 0), -1);
    assert_int_equal(ame__env_tasks_on("2(x", 1), -1);
}

/* ---- PMI-2 --------------------------------------------------------------------------------------- */

/* A launcher that refuses version 1, then speaks frames: each answer is sent after one request. */
static void *play_frames(void *arg)
{
    struct script *script = arg;
    char line[2000], head[7];
    int lines = 2;
    FILE *requests = fdopen(dup(script->fd), "r");
    for (const char *const *answer = script->answers; *answer; answer++) {
        if (lines-- > 0) {
            if (!fgets(line, sizeof line, requests)) break;
        } else {
            if (fread(head, 1, 6, requests) != 6) break;
            head[6] = '\0';
            size_t length = (size_t) atoi(head);
            if (length >= sizeof line || fread(line, 1, length, requests) != length) break;
        }
        if (write(script->fd, *answer, strlen(*answer)) < 0) break;
    }
    fclose(requests);
    shutdown(script->fd, SHUT_RDWR);
    return NULL;
}

#define REFUSES_1 "cmd=response_to_init rc=-1\n"
#define ACCEPTS_2 "cmd=response_to_init rc=0 pmi_version=2 pmi_subversion=0\n"
#define FULLINIT  "51    cmd=fullinit-response;rc=0;rank=1;size=3;appnum=-1;"

static void pmi2_is_spoken_where_pmi1_is_refused(void **state)
{
    static const char *const good[] = {REFUSES_1,
                                       ACCEPTS_2,
                                       FULLINIT,
                                       "    68cmd=info-getjobattr-response;rc=0;found=TRUE;value=(vector,(0,2,2));",
                                       "26    cmd=kvs-put-response;rc=0;",
                                       "    28cmd=kvs-fence-response;rc=0;",
                                       "    69cmd=kvs-get-response;rc=0;found=TRUE;value=1/host/127.0.0.1:80/ab+/=;",
                                       NULL};
    static const char *const missing[] = {REFUSES_1,
                                          ACCEPTS_2,
                                          FULLINIT,
                                          "    46cmd=info-getjobattr-response;rc=0;found=FALSE;",
                                          "26    cmd=kvs-put-response;rc=0;",
                                          "    28cmd=kvs-fence-response;rc=0;",
                                          "    38cmd=kvs-get-response;rc=0;found=FALSE;",
                                          NULL};
    static const char *const no_length[] = {REFUSES_1, ACCEPTS_2, "cmd=fullinit-response;rc=0;", NULL};
    static const char *const too_long[] = {REFUSES_1, ACCEPTS_2, "999999cmd=fullinit-response;rc=0;", NULL};
    static const char *const refuses_both[] = {REFUSES_1, REFUSES_1, NULL};
    (void) state;
    play_this = play_frames;
    assert_int_equal(with_answers(good, exchange), AME_OK);
    assert_int_equal(with_answers(missing, exchange), AME_E_PROTOCOL);
    assert_int_equal(with_answers(no_length, exchange), AME_E_PROTOCOL);
    assert_int_equal(with_answers(too_long, exchange), AME_E_PROTOCOL);
    assert_int_equal(with_answers(refuses_both, exchange), AME_E_BOOT);
    play_this = play;
}

/* ---- files --------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/ame-unit-boot-XXXXXX";

static int make_folder(void **state)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    return clear_environment(state);
}

static int remove_folder(void **state)
{
    char command[100];
    (void) state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void be_rank(const char *rank)
{
    setenv("AME_SHARED_DIR", folder, 1);
    setenv("AME_JOB_TOKEN", "job.1", 1);
    setenv("AME_RANK", rank, 1);
    setenv("AME_SIZE", "2", 1);
    setenv("AME_CONNECT_TIMEOUT", "0.3", 1);
}

static void ranks_meet_in_a_directory(void **state)
{
    struct ame__boot root, other;
    char value[AME__BOOT_VALUE_MAX], path[100];
    struct stat status;
    (void) state;
    be_rank("1");
    assert_int_equal(ame__boot_open(&other), AME_OK);
    assert_string_equal(other.way->name, "shared");
    assert_true(other.stale_values);
    assert_int_equal(ame__boot_get(&other, "ame-root", value), AME_E_TIMEOUT); /* not there yet */
    assert_non_null(strstr(ame_last_error(), "rank 1 of 2"));
    be_rank("0");
    assert_int_equal(ame__boot_open(&root), AME_OK);
    char left_over[120];
    struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    snprintf(left_over, sizeof left_over, "%s/ame-%u/job.0", folder, (unsigned) geteuid());
    close(open(left_over, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(utimensat(AT_FDCWD, left_over, long_ago, 0), 0); /* of a job that was killed */
    assert_int_equal(ame__boot_put(&root, "ame-root", "old"), AME_OK);
    assert_int_equal(ame__boot_put(&root, "ame-root", "value"), AME_OK);
    assert_int_equal(ame__boot_get(&other, "ame-root", value), AME_OK);
    assert_string_equal(value, "value");
    snprintf(path, sizeof path, "%s/ame-%u/job.1", folder, (unsigned) geteuid());
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    ame__boot_connected(&root);
    snprintf(path, sizeof path, "%s/ame-%u", folder, (unsigned) geteuid());
    assert_int_equal(stat(path, &status), -1); /* nothing is left behind */
}

static void what_others_could_have_written_is_refused(void **state)
{
    struct ame__boot boot;
    char value[AME__BOOT_VALUE_MAX], path[100], file[120];
    (void) state;
    be_rank("1");
    snprintf(path, sizeof path, "%s/ame-%u", folder, (unsigned) geteuid());
    assert_int_equal(ame__boot_open(&boot), AME_OK);
    snprintf(file, sizeof file, "%s/job.1", path);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "value\n", 6), 6);
    assert_int_equal(ame__boot_get(&boot, "ame-root", value), AME_OK);
    fchmod(fd, 0644); /* the key was readable by others */
    assert_int_equal(ame__boot_get(&boot, "ame-root", value), AME_E_BOOT);
    fchmod(fd, 0600);
    assert_int_equal(ftruncate(fd, 3), 0); /* not whole */
    assert_int_equal(ame__boot_get(&boot, "ame-root", value), AME_E_TIMEOUT);
    close(fd);
    unlink(file);
    assert_int_equal(symlink("/etc/hostname", file), 0);
    assert_int_equal(ame__boot_get(&boot, "ame-root", value), AME_E_SYSTEM);
    unlink(file);
    chmod(path, 0770);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
    assert_non_null(strstr(ame_last_error(), "others may write"));
    rmdir(path);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
    unlink(path);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
        assert_non_null(strstr(ame_last_error(), "belongs to user"));
    }
    setenv("AME_JOB_TOKEN", "../x", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_CONFIG);
}

static void a_way_can_be_named(void **state)
{
    struct ame__boot boot;
    (void) state;
    be_rank("1");
    setenv("AME_BOOT", "single", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT); /* AME_SIZE=2 */
    setenv("AME_BOOT", "pmi1", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
    assert_non_null(strstr(ame_last_error(), "AME_BOOT=pmi1"));
    setenv("AME_BOOT", "nonsense", 1);
    assert_int_equal(ame__boot_open(&boot), AME_E_CONFIG);
    setenv("AME_BOOT", "auto", 1);
    assert_int_equal(ame__boot_open(&boot), AME_OK);
    assert_string_equal(boot.way->name, "shared");
}

/* What the environment holds in some situations, and the way that is right. */
static void the_order_of_detection(void **state)
{
    struct ame__boot boot;
    (void) state;
    setenv("SLURM_JOB_ID", "7", 1); /* the script of a batch job: not a task */
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_NTASKS", "4", 1);
    assert_int_equal(ame__boot_open(&boot), AME_OK);
    assert_string_equal(boot.way->name, "single");
    setenv("SLURM_STEP_ID", "0", 1);
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    setenv("SLURM_STEP_NUM_NODES", "2", 1);
    setenv("SLURM_STEP_TASKS_PER_NODE", "2(x2)", 1);
    setenv("SLURM_NODEID", "0", 1);
    setenv("SLURM_LOCALID", "0", 1);
    setenv("AME_SHARED_DIR", folder, 1);
    assert_int_equal(ame__boot_open(&boot), AME_OK);
    assert_string_equal(boot.way->name, "slurm");
    assert_int_equal(boot.size, 4);
    assert_int_equal(boot.hosts, 2);
    assert_int_equal(boot.local_size, 2);
    /* Open MPI inside that, on one host, with its own directory */
    setenv("PMIX_NAMESPACE", "123", 1);
    setenv("PMIX_RANK", "1", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "3", 1);
    setenv("OMPI_MCA_orte_num_nodes", "1", 1);
    setenv("PMIX_SERVER_TMPDIR", folder, 1);
    setenv("AME_BOOT", "session", 1); /* whether libpmix is here or not */
    assert_int_equal(ame__boot_open(&boot), AME_OK);
    assert_int_equal(boot.rank, 1);
    assert_int_equal(boot.size, 3);
    assert_int_equal(boot.hosts, 1);
    setenv("OMPI_MCA_orte_num_nodes", "2", 1); /* its directory is of one host */
    assert_int_equal(ame__boot_open(&boot), AME_E_BOOT);
}

int main(void)
{
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(alone_without_variables, clear_environment),
                                       cmocka_unit_test_setup(refuses_to_be_one_of_one, clear_environment),
                                       cmocka_unit_test_setup(stale_descriptors_are_passed_over, clear_environment),
                                       cmocka_unit_test_setup(both_dialects_are_understood, clear_environment),
                                       cmocka_unit_test_setup(bad_answers_are_errors, clear_environment),
                                       cmocka_unit_test_setup(silence_ends_in_time, clear_environment),
                                       cmocka_unit_test_setup(bad_numbers_are_told, clear_environment),
                                       cmocka_unit_test(mappings_are_read),
                                       cmocka_unit_test(tasks_per_node_are_read),
                                       cmocka_unit_test_setup(pmi2_is_spoken_where_pmi1_is_refused, clear_environment),
                                       FILE_TEST(ranks_meet_in_a_directory),
                                       FILE_TEST(what_others_could_have_written_is_refused),
                                       FILE_TEST(a_way_can_be_named),
                                       FILE_TEST(the_order_of_detection)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
