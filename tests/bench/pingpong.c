/* pingpong.c - latency and bandwidth between two ranks.
 *
 * Rank 0 sends a message, rank 1 sends one of the same size back; half the time of a round trip is printed. The data
 * of the first round trip of each size is verified.
 *
 * usage: bench_pingpong [budget in ms per size] [size ...] */
#include "measure.h"
#include "peer.h"

struct pingpong {
    unsigned char *buf;
    size_t size;
    int rank;
};

static void round_trip(void *arg)
{
    struct pingpong *p = arg;
    if (p->rank == 0) {
        peer_send(p->buf, p->size, 1);
        peer_recv(p->buf, p->size, 1);
    } else if (p->rank == 1) {
        peer_recv(p->buf, p->size, 0);
        peer_send(p->buf, p->size, 0);
    }
}

static void verify(struct pingpong *p)
{
    int rank = peer_rank();
    if (rank == 0) {
        measure_fill(p->buf, p->size, 1);
        peer_send(p->buf, p->size, 1);
        peer_recv(p->buf, p->size, 1);
        measure_verdict("pingpong", p->size, measure_intact(p->buf, p->size, 2));
    } else if (rank == 1) {
        peer_recv(p->buf, p->size, 0);
        measure_verdict("pingpong", p->size, measure_intact(p->buf, p->size, 1));
        measure_fill(p->buf, p->size, 2);
        peer_send(p->buf, p->size, 0);
    }
}

static void measure_size(size_t size, double budget_us)
{
    struct pingpong p = {measure_alloc(size), size, peer_rank()};
    double median, minimum;
    memset(p.buf, 0, size);
    verify(&p);
    measure_run(round_trip, &p, budget_us, &median, &minimum);
    if (peer_rank() == 0) measure_print("pingpong", size, median / 2, minimum / 2);
    free(p.buf);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {8, 1024, 8192, 65536, 1 << 20, 16 << 20, 64 << 20};
    measure_limit();
    peer_init(&argc, &argv);
    if (peer_size() < 2) {
        fprintf(stderr, "bench_pingpong: needs 2 ranks\n");
        peer_abort();
    }
    double budget_us = measure_budget_us(argc, argv, 200e3);
    measure_sizes(argc, argv, sizes, sizeof sizes / sizeof sizes[0], budget_us, measure_size);
    peer_finalize();
    return 0;
}
