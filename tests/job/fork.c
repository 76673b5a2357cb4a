/* fork.c - the child of a fork cannot use the library and is told so; the parent and the job are not disturbed. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void exchange(void)
{
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size, got = -1, sum = 0;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), to, i, &got, sizeof got, from, i, AME_COMM_WORLD, NULL));
        CHECK_EQUAL(got, from);
        CHECK_OK(ame_allreduce(&check_rank, &sum, 1, AME_INT32, AME_SUM, AME_COMM_WORLD));
        CHECK_EQUAL(sum, check_size * (check_size - 1) / 2);
    }
}

/* In the child: the line of the first check that fails, else 0. No CHECK here: it would abort the job. */
static int child(void)
{
    char buf[8] = {0};
    int found;
    ame_request *request = NULL;
    if (ame_send(buf, 8, 0, 0, AME_COMM_WORLD) != AME_E_STATE) return __LINE__;
    if (!strstr(ame_last_error(), "fork")) return __LINE__;
    if (ame_recv(buf, 8, AME_ANY_SOURCE, 0, AME_COMM_WORLD, NULL) != AME_E_STATE) return __LINE__;
    if (ame_irecv(buf, 8, 0, 0, AME_COMM_WORLD, &request) != AME_E_STATE) return __LINE__;
    if (ame_iprobe(0, 0, AME_COMM_WORLD, &found, NULL) != AME_E_STATE) return __LINE__;
    if (ame_barrier(AME_COMM_WORLD) != AME_E_STATE) return __LINE__;
    if (ame_finalize() != AME_E_STATE) return __LINE__;
    if (ame_init() != AME_E_STATE) return __LINE__;
    return 0;
}

/* `orderly`: ends by exit, which runs what the library may have registered for the end of the process. */
static void fork_one(bool orderly)
{
    int status = -1;
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int line = child();
        if (line) fprintf(stderr, "rank %d: the child's check at line %d failed\n", check_rank, line);
        if (orderly) exit(line != 0);
        _exit(line != 0);
    }
    exchange(); /* while the child lives */
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_SAY(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: status %#x", (unsigned) status);
    exchange(); /* and after its end */
}

int main(void)
{
    check_begin();
    exchange();
    for (int i = 0; i < 5; i++) fork_one(i % 2);
    /* a child that lives on does not keep the job from ending: the launcher ends it */
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    return check_end();
}
