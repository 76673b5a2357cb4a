/* abort.c - ame_abort(code) by one rank ends all, at once, with that code as the exit code of the job.
 * Arguments: the rank that aborts ("last" for the last one), the code, and where it does so:
 * "main", "thread", "before" ame_init, "after" ame_finalize.
 */
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static int code;

static void *abort_now(void *arg)
{
    (void) arg;
    ame_abort(code);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    const char *where = argv[3], *rank = getenv("AME_RANK"), *size = getenv("AME_SIZE");
    CHECK(rank && size);
    bool me = !strcmp(argv[1], "last") ? atoi(rank) == atoi(size) - 1 : atoi(rank) == atoi(argv[1]);
    code = atoi(argv[2]);
    if (me && !strcmp(where, "before")) ame_abort(code);
    check_begin();
    if (!strcmp(where, "after")) {
        check_end();
        if (me) ame_abort(code);
        for (;;) pause();
    }
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    if (me) {
        pthread_t thread;
        if (strcmp(where, "thread")) ame_abort(code);
        CHECK(pthread_create(&thread, NULL, abort_now, NULL) == 0);
    }
    /* nobody ever sends this */
    int never, result = ame_recv(&never, sizeof never, AME_ANY_SOURCE, 1, AME_COMM_WORLD, NULL);
    CHECK_SAY(result == AME_E_ABORTED || result == AME_E_PEER_FAILED, "%s", ame_errname(result));
    for (;;) pause(); /* the launcher ends us */
}
