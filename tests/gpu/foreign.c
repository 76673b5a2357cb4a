/* foreign.c - a message in memory that the CPU cannot read, in a process that has no device as far as this library knows:
 * what a program that uses CUDA by itself may do. It is told what to do about it; both ranks get an error, nobody hangs.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "../job/check.h"

enum { BYTES = 100000 };

int main(void)
{
    dup2(STDOUT_FILENO, STDERR_FILENO); /* where the test looks for the log */
    check_begin();
    void *memory =
        mmap(NULL, BYTES, check_rank == 0 ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    int code = check_rank == 0 ? ame_send(memory, BYTES, 1, 1, AME_COMM_WORLD)
                               : ame_recv(memory, BYTES, 0, 1, AME_COMM_WORLD, NULL);
    CHECK_SAY(check_rank == 0 || code == AME_E_PEER_FAILED, "%d %s", code, ame_last_error());
    ame_abort(3);
}
