/* mismatch.c - ranks that disagree about the length of a collective call: AME_E_MISMATCH, within a time limit, on those
 * that can see it, naming argument and rank; no crash, no lock-up, nothing written behind a buffer. Argument: the call.
 */
#include <unistd.h>

#include "check.h"

enum { GUARD = 64 };

/* A rank that need not notice may succeed or fail with the same code, and nothing else. */
static void check_either(int code)
{
    CHECK_SAY(code == AME_OK || code == AME_E_MISMATCH, "%s: %s", ame_errname(code), ame_last_error());
}

static void check_mismatch(int code, int other)
{
    char name[32];
    snprintf(name, sizeof name, "rank %d", other);
    CHECK_CODE(code, AME_E_MISMATCH, "length");
    CHECK_SAY(strstr(ame_last_error(), name), "'%s' does not name %s", ame_last_error(), name);
}

/* The odd one out gives a longer buffer than the others. */
static void bcast(int root, int odd, size_t length, size_t odd_length)
{
    size_t mine = check_rank == odd ? odd_length : length;
    unsigned char *buf = check_alloc(mine + GUARD);
    memset(buf, 0xee, mine + GUARD);
    int code = ame_bcast(buf, mine, root, AME_COMM_WORLD);
    if (check_rank == odd && odd != root)
        check_mismatch(code, root);
    else if (odd == root && check_rank != root)
        check_mismatch(code, root);
    else
        check_either(code);
    CHECK_ALL(buf + mine, GUARD, 0xee);
    free(buf);
}

static void gather(int root, int odd, size_t length, size_t odd_length)
{
    size_t mine = check_rank == odd ? odd_length : length, total = mine * (size_t) check_size;
    unsigned char *out = check_alloc(mine), *in = check_alloc(total + GUARD);
    memset(out, 1, mine);
    memset(in, 0xee, total + GUARD);
    int code = ame_gather(out, mine, in, root, AME_COMM_WORLD);
    if (check_rank == root && odd != root)
        check_mismatch(code, odd);
    else if (check_rank == root)
        CHECK_CODE(code, AME_E_MISMATCH, "length");
    else
        check_either(code);
    CHECK_ALL(in + total, GUARD, 0xee);
    free(out);
    free(in);
}

static void scatter(int root, int odd, size_t length, size_t odd_length)
{
    size_t mine = check_rank == odd ? odd_length : length;
    unsigned char *out = check_alloc(mine * (size_t) check_size), *in = check_alloc(mine + GUARD);
    memset(out, 1, mine * (size_t) check_size);
    memset(in, 0xee, mine + GUARD);
    int code = ame_scatter(out, in, mine, root, AME_COMM_WORLD);
    if (check_rank != root && (check_rank == odd || odd == root))
        check_mismatch(code, root);
    else
        check_either(code);
    CHECK_ALL(in + mine, GUARD, 0xee);
    free(out);
    free(in);
}

static void reduce(int root, int odd, size_t length, size_t odd_length)
{
    size_t count = (check_rank == odd ? odd_length : length) / 4;
    unsigned char *out = check_alloc(count * 4), *in = check_alloc(count * 4 + GUARD);
    memset(out, 0, count * 4);
    memset(in, 0xee, count * 4 + GUARD);
    int code = ame_reduce(out, in, count, AME_INT32, AME_SUM, root, AME_COMM_WORLD);
    if (check_rank == root)
        CHECK_CODE(code, AME_E_MISMATCH, "count");
    else
        check_either(code);
    CHECK_ALL(in + count * 4, GUARD, 0xee);
    free(out);
    free(in);
}

int main(int argc, char **argv)
{
    void (*run)(int, int, size_t, size_t) = NULL;
    CHECK(argc == 5); /* call, root (first or last), odd one out (first, second or last), "longer" or "shorter" */
    check_begin();
    if (!strcmp(argv[1], "bcast")) run = bcast;
    if (!strcmp(argv[1], "gather")) run = gather;
    if (!strcmp(argv[1], "scatter")) run = scatter;
    if (!strcmp(argv[1], "reduce")) run = reduce;
    CHECK(run);
    if (check_size < 2) return check_end();
    int root = strcmp(argv[2], "last") ? 0 : check_size - 1;
    int odd = !strcmp(argv[3], "first") ? 0 : !strcmp(argv[3], "second") ? 1 : check_size - 1;
    bool longer = !strcmp(argv[4], "longer");
    alarm(20); /* a lock-up ends here: killed by SIGALRM */
    run(root, odd, 1000, longer ? 2000 : 400);
    /* After a mismatch the communicator may be out of step, but messages still work. */
    int to = (check_rank + 1) % check_size, from = (check_rank + check_size - 1) % check_size, got = -1;
    CHECK_OK(ame_sendrecv(&check_rank, sizeof(int), to, 1, &got, sizeof got, from, 1, AME_COMM_WORLD, NULL));
    CHECK_EQUAL(got, from);
    return check_end();
}
