/* survive.c - a job whose ranks get along without some of them.
 *
 *     survive program|launcher|twice DEATH VICTIM...
 *
 * `program`: the program says that it survives failures; `launcher`: it leaves that to ameexec's options; `twice`: it says it
 * twice and takes it back once. DEATH: kill, exit3, exit0, or abort. Each victim dies when all have passed a barrier, `early` dies
 * before ame_init; the others get AME_E_PEER_FAILED for each of them, then send each other messages, print "rank R survived" and
 * finalize.
 */
#include <signal.h>
#include <unistd.h>

#include "job/check.h"

static void die(const char *death)
{
    if (!strcmp(death, "kill")) raise(SIGKILL);
    if (!strcmp(death, "abort")) ame_abort(9);
    _exit(!strcmp(death, "exit3") || !strcmp(death, "early") ? 3 : 0);
}

static bool is_victim(int rank, char **victims)
{
    for (; *victims; victims++)
        if (atoi(*victims) == rank) return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    const char *how = argv[1], *death = argv[2], *early = getenv("AME_RANK");
    char **victims = argv + 3, byte = 0;
    if (!strcmp(death, "early") && early && is_victim(atoi(early), victims)) die(death);
    check_begin();
    for (int times = !strcmp(how, "program") ? 1 : !strcmp(how, "twice") ? 2 : 0; times; times--)
        CHECK_OK(ame_tolerate_failures(1));
    if (!strcmp(how, "twice")) CHECK_OK(ame_tolerate_failures(0));
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    if (is_victim(check_rank, victims)) die(death);
    for (char **victim = victims; *victim; victim++) {
        int code = ame_recv(&byte, 1, atoi(*victim), 0, AME_COMM_WORLD, NULL);
        CHECK_EQUAL(code, AME_E_PEER_FAILED);
        CHECK_SAY(strstr(ame_last_error(), "has failed"), "%s", ame_last_error());
    }
    for (int other = 0; other < check_size; other++)
        if (!is_victim(other, victims))
            CHECK_OK(ame_sendrecv(&byte, 1, other, 1, &byte, 1, other, 1, AME_COMM_WORLD, NULL));
    printf("rank %d survived\n", check_rank);
    return ame_finalize() != AME_OK;
}
