/* reap.c - one walk through /proc.
 *
 * Process groups are not enough: a grandchild may have called setsid(). A subreaper keeps all its descendants below it,
 * so the tree of parents in /proc is complete, save for processes born during the walk; the caller repeats the walk
 * until it finds nothing and waitpid() says that there are no children.
 */
#include "reap.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"

struct process {
    int pid, parent;
    bool zombie, ours;
    char name[20];
};

static bool read_process(int proc, const char *entry, struct process *process)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "%.40s/stat", entry);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) return false;
    text[length] = '\0';
    char *open = strchr(text, '('), *close_ = strrchr(text, ')'); /* the name between them may hold anything */
    char state;
    if (!open || !close_ || sscanf(close_ + 1, " %c %d", &state, &process->parent) != 2) return false;
    process->pid = atoi(entry);
    process->zombie = state == 'Z' || state == 'X';
    process->ours = false;
    snprintf(process->name, sizeof process->name, "%.*s", (int) (close_ - open - 1), open + 1);
    return true;
}

static struct process *read_all(size_t *count)
{
    struct process *list = NULL;
    size_t room = 0;
    *count = 0;
    DIR *proc = opendir("/proc");
    if (!proc) return NULL;
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (!isdigit((unsigned char) entry->d_name[0])) continue;
        if (*count == room) {
            room = room ? 2 * room : 256;
            list = ame__xrealloc(list, room * sizeof *list);
        }
        if (read_process(dirfd(proc), entry->d_name, &list[*count])) ++*count;
    }
    closedir(proc);
    return list;
}

static int by_pid(const void *a, const void *b)
{
    const struct process *left = a, *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

static bool is_spared(const struct ame__spared *spared, int pid)
{
    for (size_t i = 0; spared && i < spared->count; i++)
        if (spared->pids[i] == pid) return true;
    return false;
}

static void mark(struct process *list, size_t count, const struct ame__spared *spared)
{
    int self = getpid();
    qsort(list, count, sizeof *list, by_pid);
    for (bool changed = true; changed;) { /* mostly one or two rounds: children have larger numbers */
        changed = false;
        for (size_t i = 0; i < count; i++) {
            if (list[i].ours || is_spared(spared, list[i].pid)) continue;
            struct process key = {.pid = list[i].parent};
            const struct process *parent = bsearch(&key, list, count, sizeof *list, by_pid);
            if (list[i].parent == self || (parent && parent->ours)) changed = list[i].ours = true;
        }
    }
}

size_t ame__descendants_signal(int signal, const struct ame__spared *spared, char *names, size_t size)
{
    size_t count, alive = 0, used = 0;
    struct process *list = read_all(&count);
    if (!list) return 0;
    mark(list, count, spared);
    if (names) *names = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!list[i].ours || list[i].zombie) continue;
        if (names && used + 64 < size)
            used += (size_t) snprintf(names + used, size - used, "%spid %d (%s)", used ? ", " : "", list[i].pid,
                                      list[i].name);
        if (signal) kill(list[i].pid, signal);
        alive++;
    }
    free(list);
    return alive;
}
