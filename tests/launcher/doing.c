/* doing.c - ranks that are in a place of their choice for ever: `doing PLACE...`, one word per rank, the last one for all the
 * rest. Rank 0 never sends anything, so nothing ends. */
#include <signal.h>
#include <unistd.h>

#include "job/check.h"

int main(int argc, char **argv)
{
    char byte = 0;
    const char *rank = getenv("AME_RANK");
    int self = rank ? atoi(rank) : 0;
    const char *place = argv[self + 1 < argc ? self + 1 : argc - 1];
    if (argc < 2) return 2;
    if (!strcmp(place, "outside")) pause();
    check_begin();
    if (!strcmp(place, "recv")) ame_recv(&byte, 1, 0, 7, AME_COMM_WORLD, NULL);
    if (!strcmp(place, "any")) ame_recv(&byte, 1, AME_ANY_SOURCE, AME_ANY_TAG, AME_COMM_WORLD, NULL);
    if (!strcmp(place, "probe")) ame_probe(0, 8, AME_COMM_WORLD, NULL);
    if (!strcmp(place, "ssend")) ame_ssend(&byte, 1, 0, 9, AME_COMM_WORLD);
    if (!strcmp(place, "barrier")) ame_barrier(AME_COMM_WORLD);
    if (!strcmp(place, "crash")) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (!strcmp(place, "waitall")) {
        ame_request *requests[2];
        for (int i = 0; i < 2; i++) ame_irecv(&byte, 1, 0, 10 + i, AME_COMM_WORLD, &requests[i]);
        ame_waitall(2, requests, NULL);
    }
    if (!strcmp(place, "ibcast")) {
        ame_request *request;
        ame_ibcast(&byte, 1, 0, AME_COMM_WORLD, &request);
        ame_wait(&request, NULL);
    }
    if (!strcmp(place, "finalize")) return ame_finalize() != AME_OK;
    pause();
    return 0;
}
