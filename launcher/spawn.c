/* spawn.c - vfork and exec.
 *
 * vfork, because the host daemon starts a thousand ranks and because it makes the outcome of execve known at once: the
 * child shares the memory of the parent, which sleeps until the child has executed the program or left, so a failed
 * step is simply stored. In return the child does nothing but system calls, and all signals are blocked until the
 * handlers of the parent, which would run in shared memory, are out of the way (execve resets them; those that matter
 * are reset before unblocking).
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bytes.h"

struct child {
    const struct ame__spawn *spawn;
    char **script; /* arguments for /bin/sh, where the program has no format the kernel knows */
    pid_t parent;
    volatile int error;
    const char *volatile step;
};

static void fail(struct child *child, const char *step)
{
    child->error = errno;
    child->step = step;
    _exit(127);
}

static void set_signals(const struct ame__inherited *inherited)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &plain, NULL);
    if (!inherited->ignores_pipe) sigaction(SIGPIPE, &plain, NULL);
    sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
}

static void run_child(struct child *child) __attribute__((noinline, noreturn));
static void run_child(struct child *child)
{
    const struct ame__spawn *spawn = child->spawn;
    if (spawn->pty || spawn->session ? setsid() < 0 : setpgid(0, 0) < 0) fail(child, "setpgid");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) fail(child, "prctl");
    if (getppid() != child->parent) _exit(127);
    if (spawn->directory && chdir(spawn->directory)) fail(child, "chdir");
    for (int fd = 0; fd < 3; fd++)
        if (spawn->fds[fd] != fd && dup2(spawn->fds[fd], fd) < 0) fail(child, "dup2");
    if (spawn->pty && ioctl(0, TIOCSCTTY, 0)) fail(child, "ioctl TIOCSCTTY");
    if (spawn->pmi_fd == AME__SPAWN_PMI_FD) {
        if (fcntl(AME__SPAWN_PMI_FD, F_SETFD, 0)) fail(child, "fcntl");
    } else if (spawn->pmi_fd >= 0 && dup2(spawn->pmi_fd, AME__SPAWN_PMI_FD) < 0) {
        fail(child, "dup2");
    }
    if (spawn->state_fd >= 0 && dup2(spawn->state_fd, AME__SPAWN_STATE_FD) < 0) fail(child, "dup2");
    if (spawn->cpus && sched_setaffinity(0, sizeof *spawn->cpus, (const cpu_set_t *) (const void *) spawn->cpus))
        fail(child, "sched_setaffinity");
    if (setrlimit(RLIMIT_NOFILE, &spawn->inherited->files)) fail(child, "setrlimit");
    set_signals(spawn->inherited);
    execve(spawn->program, spawn->argv, spawn->env);
    if (errno == ENOEXEC) execve("/bin/sh", child->script, spawn->env);
    fail(child, "execve");
    __builtin_unreachable();
}

/* As execvp() does it: a text without "#!" is a shell script. */
static char **script_arguments(const struct ame__spawn *spawn)
{
    size_t count = 0;
    while (spawn->argv[count]) count++;
    char **words = ame__xalloc((count + 2) * sizeof *words);
    words[0] = (char *) "/bin/sh";
    words[1] = (char *) spawn->program;
    for (size_t i = 1; i < count; i++) words[i + 1] = spawn->argv[i];
    return words;
}

pid_t ame__spawn(const struct ame__spawn *spawn, const char **step)
{
    struct child child = {.spawn = spawn, .script = script_arguments(spawn), .parent = getpid()};
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = vfork();             // NOLINT(clang-analyzer-security.insecureAPI.vfork): see the head of this file
    if (pid == 0) run_child(&child); // NOLINT(clang-analyzer-unix.Vfork): only system calls there
    int error = pid < 0 ? errno : child.error;
    sigprocmask(SIG_SETMASK, &old, NULL);
    free(child.script);
    if (pid > 0 && !error) return pid;
    *step = pid < 0 ? "vfork" : child.step;
    errno = error;
    return -1;
}
