/* round_robin.c - split a list of independent tasks among the ranks
 *
 *     ameexec -np 4 ./round_robin [number of tasks]
 *
 * The simplest way to share out work: rank r takes tasks r, r + size, r + 2 * size and so on (what dlp_mpi calls
 * split_round_robin). No rank needs to ask another one what to do. At the end rank 0 gathers all results, as many from
 * each rank as that rank had tasks, and puts them back into the order of the list.
 */
#include <stdio.h>
#include <stdlib.h>

#include <ame.h>

static void check(int code)
{
    if (code == AME_OK) return;
    fprintf(stderr, "round_robin: %s\n", ame_last_error());
    ame_abort(1);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (memory) return memory;
    fprintf(stderr, "round_robin: out of memory\n");
    ame_abort(1);
}

/* How many of `tasks` fall to `rank`. */
static size_t share(size_t tasks, size_t rank, size_t size)
{
    return tasks / size + (rank < tasks % size);
}

/* The task: number of steps of the Collatz sequence from n + 1 down to 1. Some tasks take longer than others. */
static int64_t work(size_t n)
{
    int64_t steps = 0;
    for (size_t x = n + 1; x != 1; x = x % 2 ? 3 * x + 1 : x / 2) steps++;
    return steps;
}

/* Rank 0: results[] holds the results of rank 0, then those of rank 1, and so on. Print them by task. */
static void print_results(const int64_t *results, const size_t *lengths, size_t tasks, size_t size)
{
    int64_t sum = 0;
    const int64_t *of_rank = results;
    for (size_t r = 0; r < size; r++) {
        size_t count = lengths[r] / sizeof *results;
        for (size_t i = 0; i < count; i++) {
            if (tasks <= 10) printf("task %zu, done by rank %zu: %lld\n", r + i * size, r, (long long) of_rank[i]);
            sum += of_rank[i];
        }
        of_rank += count;
    }
    printf("Sum of %zu results from %zu ranks: %lld\n", tasks, size, (long long) sum);
}

int main(int argc, char **argv)
{
    if (ame_init() != AME_OK) {
        fprintf(stderr, "round_robin: %s\n", ame_last_error());
        return 1;
    }
    size_t rank = (size_t) ame_comm_rank(AME_COMM_WORLD);
    size_t size = (size_t) ame_comm_size(AME_COMM_WORLD);
    size_t tasks = argc > 1 ? strtoull(argv[1], NULL, 10) : 10;

    size_t count = share(tasks, rank, size);
    int64_t *mine = allocate(count, sizeof *mine);
    size_t done = 0;
    for (size_t task = rank; task < tasks; task += size) mine[done++] = work(task);

    int64_t *results = NULL;
    size_t *lengths = NULL; /* bytes that come from each rank; only the root of the gather needs to know */
    if (rank == 0) {
        results = allocate(tasks, sizeof *results);
        lengths = allocate(size, sizeof *lengths);
        for (size_t r = 0; r < size; r++) lengths[r] = share(tasks, r, size) * sizeof *results;
    }
    check(ame_gatherv(mine, count * sizeof *mine, results, lengths, NULL, 0, AME_COMM_WORLD));
    if (rank == 0) print_results(results, lengths, tasks, size);

    free(lengths);
    free(results);
    free(mine);
    return ame_finalize() == AME_OK ? 0 : 1;
}
