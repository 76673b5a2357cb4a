/* rank_pid.c - who am I, and how many of us are there?
 *
 *     ameexec -np 4 ./rank_pid
 *
 * Every process of the job runs this same program. The only difference between them is their rank, a number from 0 to
 * size - 1, and a program uses it to decide which part of the work is its own.
 */
#include <stdio.h>
#include <unistd.h>

#include <ame.h>

int main(void)
{
    /* First of all, join the job. Every function of AME returns AME_OK, or a negative code; ame_last_error() tells in
     * words what went wrong. */
    if (ame_init() != AME_OK) {
        fprintf(stderr, "rank_pid: %s\n", ame_last_error());
        return 1;
    }

    int rank = ame_comm_rank(AME_COMM_WORLD);
    int size = ame_comm_size(AME_COMM_WORLD);
    char host[256] = "?";
    gethostname(host, sizeof host - 1);

    /* The ranks run at the same time: the order of these lines differs from run to run. */
    printf("I am rank %d of %d on %s, process %ld\n", rank, size, host, (long) getpid());

    /* Last of all, leave the job. */
    return ame_finalize() == AME_OK ? 0 : 1;
}
