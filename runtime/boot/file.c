/* file.c - see file.h. */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

enum { NAME_LONGEST = 120, WAIT_MS_MOST = 100, CREATE_TRIES = 20, OLD_SECONDS = 24 * 3600 };

bool ame__boot_file_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return *name && *name != '.' && strlen(name) <= NAME_LONGEST && name[strspn(name, good)] == '\0';
}

int ame__boot_file_check_directory(const char *path)
{
    struct stat status;
    if (lstat(path, &status)) return ame__fail_errno(errno, "the directory %s", path);
    if (!S_ISDIR(status.st_mode)) return ame__fail(AME_E_BOOT, "%s is not a directory (or a link to one)", path);
    if (status.st_uid != geteuid())
        return ame__fail(AME_E_BOOT, "the directory %s belongs to user %u, not to %u who runs this program", path,
                         (unsigned) status.st_uid, (unsigned) geteuid());
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return ame__fail(AME_E_BOOT, "others may write into the directory %s (mode %o); chmod 700 it", path,
                         (unsigned) status.st_mode & 07777u);
    return AME_OK;
}

/* Another job that ends may remove the directory at any time, when it is empty. */
static int make_directory(const struct ame__boot *boot)
{
    if (boot->own_directory || mkdir(boot->directory, 0700) == 0 || errno == EEXIST)
        return ame__boot_file_check_directory(boot->directory);
    return ame__fail_errno(errno, "rank %d: the directory %s cannot be made", boot->rank, boot->directory);
}

static void path_of(const struct ame__boot *boot, const char *ending, char *path, size_t size)
{
    snprintf(path, size, "%s/%s%s", boot->directory, boot->name, ending);
}

int ame__boot_file_open(struct ame__boot *boot, const char *parent, bool own, const char *name)
{
    int length = own ? snprintf(boot->directory, sizeof boot->directory, "%s", parent)
                     : snprintf(boot->directory, sizeof boot->directory, "%s/ame-%u", parent, (unsigned) geteuid());
    if (*parent != '/' || length >= (int) sizeof boot->directory)
        return ame__fail(AME_E_CONFIG, "'%.100s' is not an absolute path of less than %zu bytes", parent,
                         sizeof boot->directory - 20);
    if (!ame__boot_file_name_is_good(name))
        return ame__fail(AME_E_CONFIG, "'%.150s' cannot name a job: letters, digits, '.', '_' and '-', up to %d", name,
                         (int) NAME_LONGEST);
    snprintf(boot->name, sizeof boot->name, "%s", name);
    boot->own_directory = own;
    return make_directory(boot);
}

static int write_file(const struct ame__boot *boot, const char *path, const char *value)
{
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < CREATE_TRIES; tries++) {
        int code = make_directory(boot);
        if (code) return code;
        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != ENOENT && errno != EEXIST) break;
    }
    if (fd < 0) return ame__fail_errno(errno, "rank %d: cannot write %s", boot->rank, path);
    size_t length = strlen(value);
    bool good = write(fd, value, length) == (ssize_t) length && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    int error = errno;
    close(fd);
    if (good) return AME_OK;
    unlink(path);
    return ame__fail_errno(error, "rank %d: cannot write %s", boot->rank, path);
}

/* Removes what jobs that were killed while they began have left behind. */
static void remove_old(const char *directory)
{
    DIR *files = opendir(directory);
    struct stat status;
    time_t limit = time(NULL) - OLD_SECONDS;
    for (struct dirent *file; files && (file = readdir(files));)
        if (file->d_name[0] != '.' && !fstatat(dirfd(files), file->d_name, &status, AT_SYMLINK_NOFOLLOW) &&
            S_ISREG(status.st_mode) && status.st_mtime < limit)
            unlinkat(dirfd(files), file->d_name, 0);
    if (files) closedir(files);
}

int ame__boot_file_put(struct ame__boot *boot, const char *key, const char *value)
{
    char path[sizeof boot->directory + sizeof boot->name + 8], draft[sizeof path];
    (void) key; /* there is one value */
    path_of(boot, "", path, sizeof path);
    path_of(boot, ".new", draft, sizeof draft);
    unlink(path); /* of an earlier job */
    if (!boot->own_directory) remove_old(boot->directory);
    int code = write_file(boot, draft, value);
    if (!code && rename(draft, path)) {
        code = ame__fail_errno(errno, "rank %d: cannot rename %s", boot->rank, draft);
        unlink(draft);
    }
    if (!code) ame__log(boot, DEBUG, "wrote %s", path);
    return code;
}

/* 0: read; an error code; or 1: it is not there yet. */
static int read_file(const char *path, char value[AME__BOOT_VALUE_MAX])
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ESTALE)) return 1;
    if (fd < 0) return ame__fail_errno(errno, "cannot read %s", path);
    bool good = fstat(fd, &status) == 0;
    ssize_t n = good ? read(fd, value, AME__BOOT_VALUE_MAX - 1) : -1;
    close(fd);
    if (!good || !S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_mode & 077)
        return ame__fail(AME_E_BOOT,
                         "%s is not a private file of this user (owner %u, mode %o): somebody else has put it there",
                         path, good ? (unsigned) status.st_uid : 0, good ? (unsigned) status.st_mode & 07777u : 0);
    char *end = n > 0 ? memchr(value, '\n', (size_t) n) : NULL;
    if (!end) return 1; /* some file systems show the name before the bytes */
    *end = '\0';
    return 0;
}

/* Makes a network file system look again, rather than remember that there was no such file. */
static void look_again(const char *directory)
{
    DIR *open_directory = opendir(directory);
    if (!open_directory) return;
    while (readdir(open_directory)) {
    }
    closedir(open_directory);
}

int ame__boot_file_get(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX])
{
    char path[sizeof boot->directory + sizeof boot->name + 8];
    (void) key;
    path_of(boot, "", path, sizeof path);
    for (int wait_ms = 1;; wait_ms = wait_ms < WAIT_MS_MOST / 2 ? 2 * wait_ms : WAIT_MS_MOST) {
        int code = read_file(path, value);
        if (code <= 0) return code;
        if (ame__now_ns() + (int64_t) wait_ms * 1000000 > boot->deadline) break;
        struct timespec pause = {.tv_nsec = wait_ms * 1000000L};
        nanosleep(&pause, NULL);
        look_again(boot->directory);
    }
    return ame__fail(
        AME_E_TIMEOUT,
        "rank %d of %d on host %s: rank 0 has not written %s in %s s (AME_CONNECT_TIMEOUT). Has it started, "
        "and do all hosts of the job share that directory? AME_SHARED_DIR names another one",
        boot->rank, boot->size, boot->host, path, ame__var_text(AME__VAR_CONNECT_TIMEOUT));
}

void ame__boot_file_connected(struct ame__boot *boot)
{
    char path[sizeof boot->directory + sizeof boot->name + 8];
    if (boot->rank != 0 || boot->size == 1) return;
    path_of(boot, "", path, sizeof path);
    unlink(path);
    if (!boot->own_directory) rmdir(boot->directory); /* stays while another job has a file there */
}
