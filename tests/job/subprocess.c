/* subprocess.c - a program using AME that is started by a rank is a job of its own of size 1 and disturbs nobody. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* What the subprocess does; its exit status tells. */
static int alone(void)
{
    char got = 0;
    if (ame_init() != AME_OK) {
        fprintf(stderr, "subprocess: %s\n", ame_last_error());
        return 10;
    }
    if (ame_comm_size(AME_COMM_WORLD) != 1 || ame_comm_rank(AME_COMM_WORLD) != 0) return 11;
    ame_request *request;
    if (ame_isend("x", 1, 0, 0, AME_COMM_WORLD, &request) != AME_OK) return 12;
    if (ame_recv(&got, 1, 0, 0, AME_COMM_WORLD, NULL) != AME_OK || got != 'x') return 13;
    if (ame_wait(&request, NULL) != AME_OK) return 14;
    if (ame_barrier(AME_COMM_WORLD) != AME_OK) return 15;
    return ame_finalize() == AME_OK ? 0 : 16;
}

static void start_one(const char *program, bool through_shell)
{
    int status = -1;
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (through_shell)
            execl("/bin/sh", "sh", "-c", "\"$0\" alone; exit $?", program, (char *) NULL);
        else
            execl(program, program, "alone", (char *) NULL);
        _exit(127);
    }
    int sum = 0;
    CHECK_OK(ame_allreduce(&check_rank, &sum, 1, AME_INT32, AME_SUM, AME_COMM_WORLD));
    CHECK_EQUAL(sum, check_size * (check_size - 1) / 2);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_SAY(WIFEXITED(status) && WEXITSTATUS(status) == 0, "subprocess: status %#x", (unsigned) status);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
}

int main(int argc, char **argv)
{
    if (argc > 1) return alone();
    check_begin();
    for (int i = 0; i < 4; i++) start_one(argv[0], i % 2);
    return check_end();
}
