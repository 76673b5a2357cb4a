/* ame.c - the command `ame`: `ame doctor` examines hosts; `ame info` and `ame exec` are ame-info and ameexec.
 *
 * The doctor does what a job does, a piece at a time, so that the first piece that fails is the answer: it starts one process
 * on each host (is it reached, is AME there, in which version, how long does it take), all hosts at the same time; then one job
 * over all hosts that were reached, in which every pair exchanges messages (which address, which port, directly or through
 * rank 0, how fast). All of it through the ordinary ameexec and ame-info that stand beside this program, with the hosts and the
 * options of a launcher that it was given. It changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "bytes.h"
#include "options.h"

enum { WORDS_MAX = 24, ANSWER_MAX = 2000 };
static const char host_limit[] = "30", pairs_limit[] = "300"; /* seconds */

struct patient {
    const struct ame__host *host;
    char *name; /* user@host */
    pid_t pid;
    int fd;
    int64_t start;
    double seconds;
    char answer[ANSWER_MAX];
    bool reached;
};

struct words {
    const char *list[WORDS_MAX];
    int count;
};

static void add(struct words *words, const char *word)
{
    if (words->count < WORDS_MAX - 1) words->list[words->count++] = word;
}

/* The program of that name in this program's folder. */
static char *beside(const char *name)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return ame__xstrdup(name);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    *slash = '\0';
    return ame__xprintf("%s/%s", path, name);
}

static struct words ameexec_on(const char *ameexec, const struct ame__options *options, const char *hosts,
                               const char *limit)
{
    static const char *const launchers[] = {NULL, "ssh", "slurm", "fork"};
    struct words words = {0};
    add(&words, ameexec);
    add(&words, "-hosts");
    add(&words, hosts);
    add(&words, "-ppn");
    add(&words, "1");
    add(&words, "--timeout");
    add(&words, limit);
    if (launchers[options->launcher]) {
        add(&words, "-launcher");
        add(&words, launchers[options->launcher]);
    }
    if (options->launcher_exec) {
        add(&words, "-launcher-exec");
        add(&words, options->launcher_exec);
    }
    return words;
}

static pid_t run(const struct words *words, int output)
{
    pid_t pid = fork();
    if (pid) return pid;
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, STDIN_FILENO);
    if (output >= 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
    }
    execv(words->list[0], (char *const *) (uintptr_t) words->list);
    dprintf(STDERR_FILENO, "%s: %s\n", words->list[0], strerror(errno));
    _exit(127);
}

static void start(struct patient *patient, const char *ameexec, const char *info, const struct ame__options *options)
{
    int fds[2];
    struct words words = ameexec_on(ameexec, options, patient->name, host_limit);
    add(&words, "-n");
    add(&words, "1");
    add(&words, info);
    add(&words, "--version");
    patient->start = ame__now_ns();
    patient->fd = -1;
    if (pipe2(fds, O_CLOEXEC)) return;
    patient->pid = run(&words, fds[1]);
    close(fds[1]);
    patient->fd = fds[0];
}

/* Reads what it said until it ends; ameexec has a time limit, so it does. */
static void listen_to(struct patient *patient)
{
    size_t used = 0;
    ssize_t n = 0;
    int status = -1;
    char rest[256];
    while (patient->fd >= 0) {
        bool room = used < sizeof patient->answer - 1;
        n = room ? read(patient->fd, patient->answer + used, sizeof patient->answer - 1 - used)
                 : read(patient->fd, rest, sizeof rest);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        if (room) used += (size_t) n;
    }
    patient->answer[used] = '\0';
    if (patient->fd >= 0) close(patient->fd);
    if (patient->pid > 0) waitpid(patient->pid, &status, 0);
    patient->seconds = (double) (ame__now_ns() - patient->start) * 1e-9;
    patient->reached = status == 0;
}

static bool same_version(const struct patient *patient)
{
    static const char ours[] = "AME " AME__VERSION ",";
    return !strncmp(patient->answer, ours, sizeof ours - 1);
}

static void print_patient(const struct patient *patient)
{
    if (patient->reached && same_version(patient)) {
        printf("  %-24s reached in %.2f s, %.*s\n", patient->name, patient->seconds,
               (int) strcspn(patient->answer, ",\n"), patient->answer);
        return;
    }
    printf("  %-24s %s\n", patient->name,
           patient->reached ? "HAS ANOTHER VERSION; install the same one everywhere" : "NOT REACHED");
    for (const char *line = patient->answer; *line;) {
        size_t length = strcspn(line, "\n");
        printf("  %-24s | %.*s\n", "", (int) length, line);
        line += length + (line[length] == '\n');
    }
}

static int examine_pairs(const struct patient *patients, size_t count, const char *ameexec, const char *info,
                         const struct ame__options *options)
{
    struct ame__bytes list = {0};
    size_t reached = 0;
    for (size_t i = 0; i < count; i++) {
        if (!patients[i].reached || !same_version(&patients[i])) continue;
        if (reached++) ame__bytes_append(&list, ",", 1);
        ame__bytes_append(&list, patients[i].name, strlen(patients[i].name));
    }
    ame__bytes_append(&list, "", 1);
    int status = 0;
    if (reached > 1) {
        printf("\nEvery pair of the %zu hosts that were reached:\n", reached);
        fflush(stdout);
        struct words words = ameexec_on(ameexec, options, ame__bytes_data(&list), pairs_limit);
        add(&words, info);
        add(&words, "--pairs");
        pid_t pid = run(&words, -1);
        if (pid < 0 || waitpid(pid, &status, 0) < 0) status = 1;
    }
    ame__bytes_finish(&list);
    return status ? 1 : 0;
}

static int doctor(const struct ame__options *options)
{
    static struct ame__host here = {.name = (char *) (uintptr_t) "localhost", .slots = 1};
    const struct ame__hosts alone = {.items = &here, .count = 1};
    const struct ame__hosts *hosts = options->hosts.count ? &options->hosts : &alone;
    struct patient *patients = ame__xalloc(hosts->count * sizeof *patients);
    char *ameexec = beside("ameexec"), *info = beside("ame-info");
    size_t well = 0;
    printf("AME %s examines %zu host%s%s%s.\n\nEach host:\n", AME__VERSION, hosts->count, hosts->count == 1 ? "" : "s",
           options->allocation ? " of " : "", options->allocation ? options->allocation : "");
    fflush(stdout);
    for (size_t i = 0; i < hosts->count; i++) {
        const struct ame__host *host = patients[i].host = &hosts->items[i];
        patients[i].name = ame__xprintf("%s%s%s", host->user ? host->user : "", host->user ? "@" : "", host->name);
        start(&patients[i], ameexec, info, options);
    }
    for (size_t i = 0; i < hosts->count; i++) {
        listen_to(&patients[i]);
        print_patient(&patients[i]);
        well += patients[i].reached && same_version(&patients[i]);
    }
    int code = examine_pairs(patients, hosts->count, ameexec, info, options);
    if (well == hosts->count && !code)
        printf("\nAll is well: ameexec -hosts ... will work on %s.\n", hosts->count == 1 ? "it" : "them");
    else
        printf("\n%zu of %zu hosts can be used%s.\n", well, hosts->count, code ? ", and not all pairs could talk" : "");
    for (size_t i = 0; i < hosts->count; i++) free(patients[i].name);
    free(patients);
    free(ameexec);
    free(info);
    return well == hosts->count && !code ? 0 : 1;
}

static void usage(FILE *file)
{
    fprintf(file,
            "usage: ame doctor [-hosts a,b,... | -f HOSTFILE] [-launcher ssh|slurm] [-launcher-exec PROGRAM]\n"
            "       ame info [...]     the same as ame-info\n"
            "       ame exec [...]     the same as ameexec\n"
            "\n"
            "ame doctor reaches each host, compares versions, lets every pair of hosts exchange messages, and says\n"
            "what to do where that fails. Without hosts it takes those of the Slurm, PBS or LSF job around it, or\n"
            "this host.\n");
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (!strcmp(argv[1], "info") || !strcmp(argv[1], "exec"))) {
        char *program = beside(argv[1][0] == 'i' ? "ame-info" : "ameexec");
        argv[1] = program;
        execv(program, argv + 1);
        fprintf(stderr, "ame: %s: %s\n", program, strerror(errno));
        return 127;
    }
    if (argc < 2 || strcmp(argv[1], "doctor")) {
        bool help = argc >= 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help"));
        usage(help ? stdout : stderr);
        return help ? 0 : 2;
    }
    /* The options are ameexec's; it wants a program behind them. */
    char **words = ame__xalloc((size_t) (argc + 1) * sizeof *words);
    memcpy(words, argv + 1, (size_t) (argc - 1) * sizeof *words);
    words[argc - 1] = (char *) (uintptr_t) "true";
    struct ame__options options;
    int code = 1;
    switch (ame__options_parse(argc, words, &options)) {
    case AME__PARSE_DONE: code = 0; break;
    case AME__PARSE_ERROR: fprintf(stderr, "ame doctor: %s\n", ame__error_text()); break;
    case AME__PARSE_RUN: code = doctor(&options); break;
    }
    ame__options_finish(&options);
    free(words);
    return code;
}
