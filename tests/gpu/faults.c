/* faults.c - what becomes of messages in device memory when the device fails in the middle: the error is told on both
 * sides, nobody hangs, and messages in host memory go on.
 *
 *     gpu_faults send|recv BYTES CODE    rank 1's device fails while it sends (receives) BYTES; CODE: of the driver
 *
 * The mock driver makes the error (MOCKCUDA_FAIL).
 */
#include <ame_gpu.h>

#include "../job/check.h"

/* A message in host memory from rank 0 to rank 1 and back. */
static void host_messages_work(void)
{
    int value = 17, other = 1 - check_rank;
    if (check_rank == 0) CHECK_OK(ame_send(&value, sizeof value, other, 5, AME_COMM_WORLD));
    CHECK_OK(ame_recv(&value, sizeof value, other, 5, AME_COMM_WORLD, NULL));
    CHECK_EQUAL(value, 17);
    if (check_rank == 1) CHECK_OK(ame_send(&value, sizeof value, other, 5, AME_COMM_WORLD));
}

static void failing(bool sender, size_t bytes, const char *driver_code)
{
    int sticky = atoi(driver_code) >= 700, expected = sticky ? AME_E_GPU_LOST : AME_E_GPU;
    unsigned char *host = check_alloc(bytes);
    void *memory = NULL;
    check_fill(host, bytes, 1);
    if (check_rank == 0) {
        int code =
            sender ? ame_recv(host, bytes, 1, 3, AME_COMM_WORLD, NULL) : ame_send(host, bytes, 1, 3, AME_COMM_WORLD);
        CHECK_SAY(code == (sender ? AME_E_PEER_LEFT : AME_OK), "%s", ame_last_error());
        if (sender) CHECK(strstr(ame_last_error(), "withdrawn"));
    } else {
        CHECK_OK(ame_gpu_malloc(bytes, &memory));
        int code = sender ? ame_send(memory, bytes, 0, 3, AME_COMM_WORLD)
                          : ame_recv(memory, bytes, 0, 3, AME_COMM_WORLD, NULL);
        CHECK_SAY(code == expected, "%d %s", code, ame_last_error());
        CHECK_SAY(strstr(ame_last_error(), driver_code) && strstr(ame_last_error(), "rank 1 on host") &&
                      strstr(ame_last_error(), "GPU-"),
                  "%s", ame_last_error());
        CHECK_EQUAL(ame_gpu_lost(), sticky);
        CHECK_EQUAL(ame_gpu_is_device(memory), 1);
        CHECK_EQUAL(ame_gpu_is_device(host), 0);
        if (sticky) {
            CHECK_CODE(ame_send(memory, 10, 0, 3, AME_COMM_WORLD), AME_E_GPU_LOST, driver_code);
            CHECK_CODE(ame_recv(memory, 10, 0, 3, AME_COMM_WORLD, NULL), AME_E_GPU_LOST, driver_code);
        }
    }
    host_messages_work();
    free(host);
}

int main(int argc, char **argv)
{
    check_begin();
    CHECK(argc == 4 && check_size == 2);
    CHECK_OK(ame_gpu_bind(AME_COMM_WORLD, check_rank == 1, NULL));
    CHECK_EQUAL(ame_gpu_usable(), check_rank == 1);
    failing(!strcmp(argv[1], "send"), strtoull(argv[2], NULL, 10), argv[3]);
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    return check_end();
}
