/* talk.c - ranks that exchange without end, until a call fails: for tests that cut a host off or kill a launcher.
 * Arguments: how often per second (0: without a pause), how often at all (0: without end). Each rank says "talking" once it has heard from all others, and
 * then, on its standard error, what went wrong and how long it waited for that.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ame.h>

#define AME_TALK_TEXT "The quick brown fox jumps over the lazy dog, and everybody on this network can read it."

int main(int argc, char **argv)
{
    unsigned pause = argc > 1 && atoi(argv[1]) > 0 ? 1000000u / (unsigned) atoi(argv[1]) : 0;
    if (ame_init() != AME_OK) {
        fprintf(stderr, "talk: %s\n", ame_last_error());
        return 1;
    }
    int turns = argc > 2 ? atoi(argv[2]) : 0;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    int rank = ame_comm_rank(AME_COMM_WORLD);
    char text[] = AME_TALK_TEXT; /* what a test looks for on the wire */
    for (int turn = 0; turns == 0 || turn < turns; turn++) {
        int64_t mine = turn + rank, sum = 0;
        double start = ame_wtime();
        if (ame_allreduce(&mine, &sum, 1, AME_INT64, AME_SUM, AME_COMM_WORLD) != AME_OK ||
            ame_bcast(text, sizeof text, 0, AME_COMM_WORLD) != AME_OK) {
            fprintf(stderr, "talk: rank %d on %s failed after %.1f s: %s\n", rank, host, ame_wtime() - start,
                    ame_last_error());
            return 7;
        }
        if (strcmp(text, AME_TALK_TEXT) != 0) { /* a changed byte: this must not be */
            fprintf(stderr, "talk: rank %d received another text: %s\n", rank, text);
            return 8;
        }
        if (turn == 1) {
            printf("rank %d on %s: talking\n", rank, host);
            fflush(stdout);
        }
        if (pause) usleep(pause);
    }
    return ame_finalize() == AME_OK ? 0 : 1;
}
