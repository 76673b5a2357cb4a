/* remote.c - one ssh or srun per host.
 *
 * Its standard input and output are the control channel, so that no port has to be open and nothing secret is on a command
 * line: whatever the host needs comes through the channel, after the daemon there has said HELLO. The daemon is this very
 * program, by its absolute path.
 *
 * ssh never asks for anything (BatchMode): it runs in a session of its own, where it has no terminal, so that Ctrl-C is
 * ameexec's to handle; and with 100 hosts there would be 100 questions. What it says on standard error is kept, and its
 * last line becomes part of the message when it fails. Another program named by -launcher-exec is called as
 * "PROGRAM [-l USER] HOST COMMAND".
 *
 * srun is started once per host too, as a step of one task. With -u its standard input and output carry bytes as they are.
 */
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "environ.h"
#include "proto.h"

#define WORDS_MAX    40
#define ERR_LINE_MAX 4096

/* ---- command lines ------------------------------------------------------------------------------- */

static char *own_path(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return ame__xstrdup("ameexec");
    path[length] = '\0';
    return ame__xstrdup(path);
}

/* As one word for a shell; the single quotes of sh and csh alike. */
static char *quote(const char *text)
{
    struct ame__bytes bytes = {0};
    ame__bytes_append(&bytes, "'", 1);
    for (; *text; text++) ame__bytes_append(&bytes, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
    ame__bytes_append(&bytes, "'", 2);
    return bytes.data;
}

/* What the login shell of the other host is given. */
static char *shell_command(void)
{
    char *path = own_path(), *program = quote(path), *command;
    const char *libraries = getenv("LD_LIBRARY_PATH");
    if (libraries && *libraries) {
        char *setting = ame__xprintf("LD_LIBRARY_PATH=%s", libraries), *word = quote(setting);
        command = ame__xprintf("exec env %s %s --hostd", word, program);
        free(setting);
        free(word);
    } else {
        command = ame__xprintf("exec %s --hostd", program);
    }
    free(path);
    free(program);
    return command;
}

static void add(char **words, int *count, const char *word)
{
    if (*count < WORDS_MAX - 1) words[(*count)++] = ame__xstrdup(word);
}

static void ssh_words(const struct ame__remote *remote, const char *program, char **words)
{
    static const char *const options[] = {"-x",
                                          "-T",
                                          "-oBatchMode=yes",
                                          "-oConnectTimeout=10",
                                          "-oServerAliveInterval=5",
                                          "-oServerAliveCountMax=2",
                                          "-oForwardAgent=no",
                                          "-oClearAllForwardings=yes"};
    const char *name = strrchr(program, '/');
    bool is_ssh = !strcmp(name ? name + 1 : program, "ssh");
    int count = 0;
    char *command = shell_command();
    add(words, &count, program);
    for (size_t i = 0; is_ssh && i < sizeof options / sizeof *options; i++) add(words, &count, options[i]);
    if (remote->host->user) {
        add(words, &count, "-l");
        add(words, &count, remote->host->user);
    }
    if (is_ssh) add(words, &count, "--");
    add(words, &count, remote->host->name);
    add(words, &count, command);
    free(command);
}

static void srun_words(const struct ame__remote *remote, const char *program, char **words)
{
    static const char *const options[] = {
        "--overlap", "--mpi=none",      "-u",          "-N1",          "-n1",       "--mem=0",      "--quiet",
        "-K",        "--cpu-bind=none", "--input=all", "--output=all", "--chdir=/", "--export=ALL", "-w"};
    int count = 0;
    char *path = own_path();
    add(words, &count, program);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) add(words, &count, options[i]);
    add(words, &count, remote->host->name);
    add(words, &count, path);
    add(words, &count, "--hostd");
    free(path);
}

static bool use_slurm(const struct ame__options *options)
{
    char *found = NULL;
    if (options->launcher != AME__LAUNCHER_DEFAULT) return options->launcher == AME__LAUNCHER_SLURM;
    if (!getenv("SLURM_JOB_ID") || !options->allocation || strncmp(options->allocation, "SLURM", 5) != 0) return false;
    bool there = ame__plan_search(getenv("PATH"), "srun", &found) == 0;
    free(found);
    return there;
}

/* srun takes options from variables, which were meant for the step around ameexec, if there is one. */
static char **launcher_env(bool slurm)
{
    static const char *const prefixes[] = {
        "SLURM_NTASKS",        "SLURM_NPROCS",       "SLURM_TASKS_PER_NODE", "SLURM_NNODES",    "SLURM_STEP_",
        "SLURM_STEPID",        "SLURM_DISTRIBUTION", "SLURM_HOSTFILE",       "SLURM_CPU_BIND",  "SLURM_MPI_TYPE",
        "SLURM_CPUS_PER_TASK", "SLURM_MEM_",         "SLURM_NODELIST",       "SLURM_ARBITRARY", "SLURM_LABELIO",
        "SLURM_EXCLUSIVE",     "SRUN_CPUS_PER_TASK", "SLURM_STDIN",          "SLURM_STDOUT",    "SLURM_STDERR"};
    size_t count = 0, used = 0;
    while (environ[count]) count++;
    char **env = ame__xalloc((count + 1) * sizeof *env);
    for (size_t i = 0; i < count; i++) {
        bool drop = false;
        for (size_t k = 0; slurm && k < sizeof prefixes / sizeof *prefixes; k++)
            drop = drop || !strncmp(environ[i], prefixes[k], strlen(prefixes[k]));
        if (!drop) env[used++] = environ[i];
    }
    return env;
}

/* ---- standard error ------------------------------------------------------------------------------ */

static void take_line(struct ame__remote *remote, const char *line, size_t length)
{
    while (length && (line[length - 1] == '\r' || line[length - 1] == '\n')) length--;
    if (!length) return;
    snprintf(remote->last, sizeof remote->last, "%.*s", (int) length, line);
    for (char *at = remote->last; *at; at++)
        if ((unsigned char) *at < ' ') *at = ' ';
    if (remote->verbose) fprintf(stderr, "ameexec: host %s: %s\n", remote->host->name, remote->last);
}

enum progress { MORE, NOTHING_NOW, ENDED };

static enum progress read_err(struct ame__remote *remote)
{
    char *place = ame__bytes_reserve(&remote->err, ERR_LINE_MAX);
    ssize_t got = read(remote->err_fd, place, ERR_LINE_MAX);
    if (got < 0) return errno == EAGAIN ? NOTHING_NOW : errno == EINTR ? MORE : ENDED;
    remote->err.end += (size_t) got;
    for (;;) {
        const char *data = ame__bytes_data(&remote->err);
        size_t length = ame__bytes_length(&remote->err);
        const char *end = length ? memchr(data, '\n', length) : NULL;
        if (!end && got && length < ERR_LINE_MAX) return MORE;
        if (!length) return got ? MORE : ENDED;
        size_t line = end ? (size_t) (end - data) + 1 : length;
        take_line(remote, data, line);
        ame__bytes_consume(&remote->err, line);
    }
}

static void on_err(uv_poll_t *poll, int status, int events)
{
    struct ame__remote *remote = poll->data;
    (void) events;
    if (status < 0 || read_err(remote) == ENDED) uv_poll_stop(poll);
}

/* ---- start and end ------------------------------------------------------------------------------- */

static int start(struct ame__remote *remote, char **words, char **env, const struct ame__inherited *inherited)
{
    int channel[2], err[2];
    const char *step = "";
    char *program = NULL;
    bool slash = strchr(words[0], '/') != NULL;
    if (!slash && ame__plan_search(getenv("PATH"), words[0], &program)) {
        ame__fail(AME_E_CONFIG,
                  "host %s cannot be reached: %s: program not found in PATH; install it or give another "
                  "with -launcher-exec",
                  remote->host->name, words[0]);
        return -1;
    }
    if (!program) program = ame__xstrdup(words[0]);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) || pipe2(err, O_CLOEXEC)) {
        ame__fail_errno(errno, "host %s cannot be reached: socketpair", remote->host->name);
        return -1; /* the job ends now, and with it this process */
    }
    struct ame__spawn spawn = {.program = program,
                               .argv = words,
                               .env = env,
                               .fds = {channel[1], channel[1], err[1]},
                               .pmi_fd = -1,
                               .state_fd = -1,
                               .session = true,
                               .inherited = inherited};
    remote->pid = ame__spawn(&spawn, &step);
    int error = errno;
    close(channel[1]);
    close(err[1]);
    if (remote->pid < 0) {
        remote->pid = 0;
        close(channel[0]);
        close(err[0]);
        ame__fail_errno(error, "host %s cannot be reached: %s: %s", remote->host->name, program, step);
        free(program);
        return -1;
    }
    free(program);
    remote->err_fd = err[0];
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    fcntl(channel[0], F_SETFL, O_NONBLOCK);
    return channel[0];
}

int ame__remote_start(struct ame__remote *remote, uv_loop_t *loop, const struct ame__plan *plan, int host,
                      const struct ame__inherited *inherited)
{
    const struct ame__options *options = plan->options;
    bool slurm = use_slurm(options);
    char *words[WORDS_MAX] = {NULL};
    remote->host = &plan->hosts.items[host];
    remote->tool = options->launcher_exec ? options->launcher_exec : slurm ? "srun" : "ssh";
    remote->err_fd = -1;
    remote->verbose = options->verbose;
    if (slurm)
        srun_words(remote, remote->tool, words);
    else
        ssh_words(remote, remote->tool, words);
    char **env = launcher_env(slurm);
    int fd = start(remote, words, env, inherited);
    free(env);
    for (char **word = words; *word; word++) free(*word);
    if (fd < 0) return -1;
    uv_poll_init(loop, &remote->err_poll, remote->err_fd);
    remote->err_poll.data = remote;
    uv_poll_start(&remote->err_poll, UV_READABLE, on_err);
    uv_unref((uv_handle_t *) &remote->err_poll);
    return fd;
}

long ame__remote_hello(struct ame__remote *remote, const char *data, size_t length)
{
    const char *hello = length ? memmem(data, length, AME__HELLO, strlen(AME__HELLO)) : NULL;
    const char *end = hello ? memchr(hello, '\n', length - (size_t) (hello - data)) : NULL;
    char text[AME__HELLO_MAX], version[65] = "";
    int protocol = 0;
    const char *name = remote->host->name;
    if (!end && length > AME__NOISE_MAX) {
        ame__fail(AME_E_CONFIG, "host %s: what its login shell writes is endless; ameexec was not started there", name);
        return -1;
    }
    if (!end) return 0;
    snprintf(text, sizeof text, "%.*s", (int) (end - hello), hello);
    sscanf(text + strlen(AME__HELLO), "%d %64s %127s %127s %d", &protocol, version, remote->address, remote->peer,
           &remote->port);
    if (protocol != AME__PROTOCOL || strcmp(version, AME__VERSION) != 0 || remote->port < 0 || remote->port > 65535) {
        char *path = own_path();
        ame__fail(AME_E_CONFIG, "host %s has ameexec %.64s at %s, this one is %s; install the same version on both",
                  name, *version ? version : "of another version", path, AME__VERSION);
        free(path);
        return -1;
    }
    return end + 1 - data;
}

void ame__remote_wait(struct ame__remote *remote, int limit_ms)
{
    int64_t end = ame__now_ns() + (int64_t) limit_ms * 1000000;
    while (remote->pid > 0) {
        pid_t pid = waitpid(remote->pid, &remote->status, WNOHANG);
        if (pid != 0) break;
        if (ame__now_ns() >= end) {
            kill(remote->pid, SIGKILL);
            waitpid(remote->pid, &remote->status, 0);
            break;
        }
        poll(NULL, 0, 2);
    }
    remote->pid = 0;
    while (remote->err_fd >= 0 && read_err(remote) == MORE) {
    }
}

/* What the user can do about what ssh says. */
static const char *remedy(const struct ame__remote *remote)
{
    static const struct {
        const char *part, *remedy;
    } known[] = {
        {"Host key verification failed", "its key is not known yet: log in once by hand (ssh HOST)"},
        {"REMOTE HOST IDENTIFICATION", "its key has changed: see ssh-keygen -R"},
        {"Permission denied", "no such user, or no key that it accepts: 'ssh HOST true' must work without a password"},
        {"Could not resolve", "there is no such name: check its spelling, or give an address"},
        {"Connection refused", "no ssh server answers there"},
        {"timed out", "it is down, or a firewall drops ssh"},
        {"No route to host", "it is down, or in another network"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasestr(remote->last, known[i].part)) return known[i].remedy;
    return "'ssh HOST true' must work without a question";
}

char *ame__remote_failure(const struct ame__remote *remote)
{
    const char *name = remote->host->name;
    int code = WIFEXITED(remote->status) ? WEXITSTATUS(remote->status) : 128 + WTERMSIG(remote->status);
    const char *colon = *remote->last ? ": " : "";
    bool slurm = strstr(remote->tool, "srun") != NULL;
    char *path = own_path(), *text;
    if (code == 127 || code == 126)
        text =
            ame__xprintf("host %s: ameexec cannot be run there as %s%s%s; install AME at the same place on all hosts",
                         name, path, colon, remote->last);
    else if (code == 255 && !slurm)
        text = ame__xprintf("host %s cannot be reached%s%s; %s", name, colon, remote->last, remedy(remote));
    else
        text = ame__xprintf("host %s: %s ended with code %d before ameexec had started there%s%s", name, remote->tool,
                            code, colon, remote->last);
    free(path);
    return text;
}

void ame__remote_close(struct ame__remote *remote)
{
    ame__remote_wait(remote, 2000);
    if (remote->err_fd < 0) return;
    uv_close((uv_handle_t *) &remote->err_poll, NULL);
    close(remote->err_fd);
    remote->err_fd = -1;
    ame__bytes_finish(&remote->err);
}
