/* single.c - starts alone and says what it found: "AME_E_BOOT TEXT" and exit code 3, or "size N sockets N" and 0. */
#include <dirent.h>
#include <unistd.h>

#include "../job/check.h"

/* Open descriptors of this process that are sockets; by their names, since the helper thread may close one meanwhile. */
static int sockets(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[16] = "";
        if (readlinkat(dirfd(folder), entry->d_name, name, sizeof name - 1) > 0 && !strncmp(name, "socket:", 7))
            count++;
    }
    closedir(folder);
    return count;
}

int main(void)
{
    int before = sockets(), code = ame_init();
    if (code != AME_OK) {
        printf("%s %s\n", ame_errname(code), ame_last_error());
        CHECK(!ame_initialized());
        return 3;
    }
    char got = 0;
    int size = ame_comm_size(AME_COMM_WORLD), rank = ame_comm_rank(AME_COMM_WORLD);
    CHECK_OK(ame_sendrecv("x", 1, rank, 0, &got, 1, rank, 0, AME_COMM_WORLD, NULL));
    CHECK(got == 'x');
    CHECK_OK(ame_barrier(AME_COMM_WORLD));
    printf("size %d sockets %d\n", size, sockets() - before);
    CHECK_OK(ame_finalize());
    return 0;
}
