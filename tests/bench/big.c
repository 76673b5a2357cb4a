/* big.c - one message of 5 GiB (or the given number of MiB) from rank 0 to rank 1, checked by a checksum.
 *
 * Both buffers are touched before, so that page faults are not measured. The time is that until rank 1 has answered
 * with 8 bytes, sent as soon as its receive returns. Prints microseconds (twice);
 * a wrong checksum ends the job with an error. Needs twice the size in memory.
 *
 * usage: bench_big [MiB] */
#include "measure.h"
#include "peer.h"

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

/* Depends on the position of every word; not cryptographic, it has to find lost, doubled and exchanged pieces. */
static uint64_t checksum(const uint64_t *words, size_t count)
{
    uint64_t sum = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < count; i++) sum = rotate(sum ^ words[i], 27) * 0x2545f4914f6cdd1du + 1;
    return sum;
}

static void fill(uint64_t *words, size_t count)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        words[i] = x;
    }
}

int main(int argc, char **argv)
{
    measure_limit();
    peer_init(&argc, &argv);
    if (peer_size() != 2) {
        fprintf(stderr, "bench_big: needs 2 ranks\n");
        peer_abort();
    }
    size_t length = (size_t) (argc > 1 ? strtoull(argv[1], NULL, 10) : 5120) << 20, count = length / sizeof(uint64_t);
    uint64_t *words = measure_alloc(length), word = 0, sum;
    if (peer_rank() == 0) {
        fill(words, count);
        sum = checksum(words, count);
        peer_barrier();
        double start = measure_now_us();
        peer_send(words, length, 1);
        peer_recv(&word, sizeof word, 1);
        double took = measure_now_us() - start;
        peer_send(&sum, sizeof sum, 1);
        peer_recv(&word, sizeof word, 1);
        if (word != sum) {
            fprintf(stderr, "bench_big: checksum %016llx sent, %016llx received\n", (unsigned long long) sum,
                    (unsigned long long) word);
            peer_abort();
        }
        measure_print("big", length, took, took);
    } else {
        memset(words, 0, length);
        peer_barrier();
        peer_recv(words, length, 0);
        peer_send(&word, sizeof word, 0);
        peer_recv(&sum, sizeof sum, 0);
        word = checksum(words, count);
        peer_send(&word, sizeof word, 0);
    }
    free(words);
    peer_finalize();
    return 0;
}
