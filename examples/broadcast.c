/* broadcast.c - one rank knows something, and then all of them do
 *
 *     ameexec -np 4 ./broadcast
 *
 * Rank 0 fills in a record, as if it had read it from a file, and gives a copy to all others. A record without pointers
 * can be sent as it is, because all ranks run the same program on machines of the same kind.
 */
#include <stdio.h>
#include <string.h>

#include <ame.h>

struct settings {
    char name[32];
    int steps;
    double temperature;
};

int main(void)
{
    if (ame_init() != AME_OK) {
        fprintf(stderr, "broadcast: %s\n", ame_last_error());
        return 1;
    }
    int rank = ame_comm_rank(AME_COMM_WORLD);
    const int root = 0; /* the rank that has the data; any rank can be the root */

    struct settings settings;
    memset(&settings, 0, sizeof settings);
    if (rank == root) {
        snprintf(settings.name, sizeof settings.name, "argon");
        settings.steps = 1000;
        settings.temperature = 87.3;
    }

    /* A collective call: every rank makes it, with the same root and the same length. */
    if (ame_bcast(&settings, sizeof settings, root, AME_COMM_WORLD) != AME_OK) {
        fprintf(stderr, "broadcast: %s\n", ame_last_error());
        ame_abort(1);
    }
    printf("rank %d: %s, %d steps at %.1f K\n", rank, settings.name, settings.steps, settings.temperature);

    return ame_finalize() == AME_OK ? 0 : 1;
}
