/* start.c - the shortest job: init, barrier, finalize. ./run times the launcher's command from outside.
 *
 * usage: bench_start */
#include "measure.h"
#include "peer.h"

int main(int argc, char **argv)
{
    measure_limit();
    peer_init(&argc, &argv);
    peer_barrier();
    peer_finalize();
    return 0;
}
