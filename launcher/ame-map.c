/* ame-map.c - what ameexec --map runs on all ranks: a command for each line of standard input.
 *
 *     ame-map [-k] [-r TRIES] [-l JOBLOG] [-R] COMMAND
 *
 * A pool like any other. On rank 0 a thread reads lines, no further ahead than the pool's window, so that all ranks work
 * while the next line is not there yet. Rank 0 prints what the commands printed: of each command all at once, its standard
 * output, then its standard error, when it has ended. A command that fails makes its task fail, so it is tried again as
 * often as -r says; what is printed is of the last try.
 *
 * The job log has the columns of GNU parallel's, one line per command, written when its output has been printed. With -R
 * commands that it shows as done are passed over; a line of the input whose command is not the one in the log is an error,
 * since then the log belongs to other input. A last line that is cut off is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ame_pool.h>

enum {
    MANY_FAILED = 101, /* exit codes: the number of commands that failed up to 100, */
    NOT_DONE = 75,     /* interrupted, */
    OTHER = 255        /* anything else */
};

/* How a command ended, in front of its output; a task is the number of its line, and the line. All ranks run the same program on machines of one kind. */
struct result {
    uint64_t number; /* of the line, from 1 */
    int32_t code, signal;
    double begun, seconds;
    uint64_t command_length, out_length; /* of what follows: command, standard output; the rest is standard error */
};

struct bytes {
    char *data;
    size_t length, room;
};

static struct {
    const char *command, *joblog;
    bool ordered, resume;
    int tries, log_fd;
    uint64_t failed;                /* commands */
    char **done;                    /* by number of the line, from 0: the command that the log has, or NULL */
    uint64_t done_count, last_done; /* room in `done`; the last such line, from 1 */
} map = {.tries = 1, .log_fd = -1};

/* Standard input, on rank 0; all but `stop` is the reading thread's. */
static struct {
    ame_pool *pool;
    pthread_t thread;
    bool started, ended;
    int stop;           /* an eventfd: readable when nothing more is to be read */
    struct bytes bytes; /* read, of which `used` have been taken, and `seen` have no newline */
    size_t used, seen;
    uint64_t lines;
    struct bytes task;
} input = {.stop = -1};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "ameexec: %s: %s\n", what, why);
    fflush(stderr);
    if (ame_initialized()) ame_abort(OTHER);
    exit(OTHER);
}

static _Noreturn void die_log(const char *why)
{
    char what[4200];
    snprintf(what, sizeof what, "job log '%s'", map.joblog);
    die(what, why);
}

static void append(struct bytes *bytes, const char *data, size_t length)
{
    if (bytes->length + length + 1 > bytes->room) {
        size_t room = 2 * bytes->room + length + 64;
        char *more = realloc(bytes->data, room);
        if (!more) die("--map", "out of memory");
        bytes->data = more;
        bytes->room = room;
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    bytes->data[bytes->length] = '\0';
}

/* ---- the command of a line ----------------------------------------------------------------------- */

/* As one word of the shell. `text` need not end with a 0. */
static void append_quoted(struct bytes *bytes, const char *text, size_t length)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:@%,";
    size_t simple = 0;
    while (simple < length && text[simple] && strchr(plain, text[simple])) simple++;
    if (length && simple == length) {
        append(bytes, text, length);
        return;
    }
    append(bytes, "'", 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\'')
            append(bytes, "'\\''", 4);
        else
            append(bytes, text + i, 1);
    }
    append(bytes, "'", 1);
}

/* {} becomes the line, {#} its number; without {} the line is put at the end. */
static void make_command(struct bytes *bytes, const char *line, size_t length, uint64_t number)
{
    bool placed = false;
    for (const char *at = map.command; *at;) {
        if (!strncmp(at, "{}", 2)) {
            append_quoted(bytes, line, length);
            placed = true;
            at += 2;
        } else if (!strncmp(at, "{#}", 3)) {
            char text[24];
            append(bytes, text, (size_t) snprintf(text, sizeof text, "%llu", (unsigned long long) number));
            at += 3;
        } else {
            append(bytes, at++, 1);
        }
    }
    if (placed) return;
    append(bytes, " ", 1);
    append_quoted(bytes, line, length);
}

/* ---- a worker ------------------------------------------------------------------------------------ */

/* Reads both pipes to their ends. */
static void collect(int out, int err, struct bytes *out_bytes, struct bytes *err_bytes)
{
    struct pollfd fds[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    struct bytes *into[2] = {out_bytes, err_bytes};
    char buffer[65536];
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0) continue;
        for (int i = 0; i < 2; i++) {
            if (!fds[i].revents) continue;
            ssize_t got = read(fds[i].fd, buffer, sizeof buffer);
            if (got > 0) append(into[i], buffer, (size_t) got);
            if (got > 0 || (got < 0 && errno == EINTR)) continue;
            close(fds[i].fd);
            fds[i].fd = -1;
        }
    }
}

/* Runs `command`; 0, or errno. */
static int run(const char *command, struct result *result, struct bytes *out, struct bytes *err)
{
    int pipes[2][2], status = 0;
    pid_t pid;
    if (pipe2(pipes[0], O_CLOEXEC)) return errno;
    if (pipe2(pipes[1], O_CLOEXEC)) {
        int error = errno;
        close(pipes[0][0]);
        close(pipes[0][1]);
        return error;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[0][1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipes[1][1], STDERR_FILENO);
    const char *argv[] = {"sh", "-c", command, NULL};
    int error = posix_spawn(&pid, "/bin/sh", &actions, NULL, (char *const *) (uintptr_t) argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[0][1]);
    close(pipes[1][1]);
    collect(pipes[0][0], pipes[1][0], out, err);
    if (error) return error;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    result->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return 0;
}

static int execute(const ame_pool_task *task, ame_pool_reply *reply, void *arg)
{
    struct timespec now;
    struct result result = {0};
    struct bytes command = {0}, out = {0}, err = {0}, all = {0};
    (void) arg;
    memcpy(&result.number, task->data, sizeof result.number);
    make_command(&command, (const char *) task->data + sizeof result.number, task->length - sizeof result.number,
                 result.number);
    clock_gettime(CLOCK_REALTIME, &now);
    result.begun = (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
    double begun = ame_wtime();
    int error = run(command.data, &result, &out, &err);
    result.seconds = ame_wtime() - begun;
    result.command_length = command.length;
    result.out_length = out.length;
    append(&all, (const char *) &result, sizeof result);
    append(&all, command.data, command.length);
    if (out.length) append(&all, out.data, out.length);
    if (err.length) append(&all, err.data, err.length);
    free(command.data);
    free(out.data);
    free(err.data);
    if (ame_pool_reply_give(reply, all.data, all.length)) return AME_E_NOMEM;
    if (!error) return result.code ? result.code : result.signal ? 128 + result.signal : 0;
    return ame_pool_reply_text(reply, strerror(error)) ? AME_E_NOMEM : AME_E_SYSTEM;
}

/* ---- rank 0 reads ------------------------------------------------------------------------------------ */

/* Waits for more input and appends it; false: nothing more is wanted. */
static bool read_more(void)
{
    char buffer[65536];
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = input.stop, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) return errno == EINTR;
    if (fds[1].revents) return false;
    ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno != EINTR && errno != EAGAIN) die("standard input", strerror(errno));
    if (got > 0) append(&input.bytes, buffer, (size_t) got);
    input.ended = got == 0;
    return true;
}

/* The next line, of which the last may lack its newline; false: there is none. It is valid until the next call. */
static bool next_line(const char **line, size_t *length)
{
    for (const char *newline = NULL;;) {
        size_t left = input.bytes.length - input.used;
        const char *rest = input.bytes.data + input.used;
        if (left) newline = memchr(rest + input.seen, '\n', left - input.seen);
        if (newline || (input.ended && left)) {
            *line = rest;
            *length = newline ? (size_t) (newline - rest) : left;
            input.used += *length + (newline != NULL);
            input.seen = 0;
            return true;
        }
        if (input.ended) return false;
        if (left) memmove(input.bytes.data, rest, left);
        input.bytes.length = input.seen = left;
        input.used = 0;
        if (!read_more()) return false;
    }
}

/* Whether the log shows the line as done; dies if it shows another one. */
static bool is_done(const char *line, size_t length, uint64_t number)
{
    const char *old = number <= map.done_count ? map.done[number - 1] : NULL;
    struct bytes command = {0};
    if (!old) return false;
    make_command(&command, line, length, number);
    for (char *at = command.data; *at; at++)
        if (*at == '\n') *at = ' '; /* as it is written */
    if (strcmp(old, command.data) != 0) die_log("it is of other input, or of another command");
    free(command.data);
    return true;
}

/* The thread: makes a task of each line that is to be done. */
static void *read_lines(void *arg)
{
    const char *line;
    size_t length;
    (void) arg;
    while (next_line(&line, &length)) {
        uint64_t number = ++input.lines;
        if (is_done(line, length, number)) continue;
        input.task.length = 0;
        append(&input.task, (const char *) &number, sizeof number);
        append(&input.task, line, length);
        ame_pool_task task = {.data = input.task.data, .length = input.task.length, .prefers = AME_POOL_ANYONE};
        int code = ame_pool_submit(input.pool, &task);
        if (code == AME_E_CANCELLED) return NULL;
        if (code) die("--map", ame_last_error());
    }
    if (!input.ended) return NULL;
    if (input.lines < map.last_done) die_log("it is of other input, which has more lines");
    (void) ame_pool_submit(input.pool, NULL);
    return NULL;
}

static void start_reading(ame_pool *pool)
{
    input.pool = pool;
    input.stop = eventfd(0, EFD_CLOEXEC);
    int error = input.stop < 0 ? errno : pthread_create(&input.thread, NULL, read_lines, NULL);
    if (error) die("--map: standard input cannot be read", strerror(error));
    input.started = true;
}

static void stop_reading(void)
{
    const uint64_t one = 1;
    if (!input.started) return;
    if (write(input.stop, &one, sizeof one) < 0) die("--map", strerror(errno));
    pthread_join(input.thread, NULL);
    close(input.stop);
    free(input.bytes.data);
    free(input.task.data);
}

/* ---- rank 0 prints ----------------------------------------------------------------------------------- */

static void write_all(int fd, const char *data, size_t length, const char *name)
{
    while (length) {
        ssize_t done = write(fd, data, length);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) die(name, strerror(errno));
        data += done;
        length -= (size_t) done;
    }
}

static void write_log(const ame_pool_outcome *outcome, const struct result *result, const char *command)
{
    char *line = NULL;
    int length = asprintf(&line, "%llu\t%s\t%.3f\t%10.3f\t0\t%llu\t%d\t%d\t%.*s\n", (unsigned long long) result->number,
                          outcome->host, result->begun, result->seconds, (unsigned long long) result->out_length,
                          result->code, result->signal, (int) result->command_length, command);
    if (length < 0) die_log("out of memory");
    for (char *at = line; at < line + length - 1; at++)
        if (*at == '\n') *at = ' ';
    write_all(map.log_fd, line, (size_t) length, map.joblog);
    free(line);
}

/* Prints what a command has printed; see ame_pool_sink. */
static void print(const ame_pool_outcome *outcome, void *arg)
{
    struct result result;
    (void) arg;
    map.failed += outcome->code != 0;
    if (outcome->length < sizeof result) { /* its workers died */
        fprintf(stderr, "ameexec: %s\n", outcome->text);
        return;
    }
    memcpy(&result, outcome->data, sizeof result);
    const char *command = (const char *) outcome->data + sizeof result, *out = command + result.command_length;
    size_t rest = outcome->length - sizeof result - result.command_length - result.out_length;
    write_all(STDOUT_FILENO, out, result.out_length, "standard output");
    write_all(STDERR_FILENO, out + result.out_length, rest, "standard error");
    if (outcome->code == AME_E_SYSTEM) fprintf(stderr, "ameexec: %s\n", outcome->text);
    if (map.log_fd >= 0) write_log(outcome, &result, command);
}

/* ---- the job log --------------------------------------------------------------------------------- */

static const char log_head[] = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/* One line: what was done well is kept. false: it is none of a job log. */
static bool take_log_line(char *line)
{
    char *fields[9], *at = line;
    for (int i = 0; i < 9; i++) {
        fields[i] = at;
        if (i < 8 && !(at = strchr(at, '\t'))) return false;
        if (i < 8) *at++ = '\0';
    }
    uint64_t number = strtoull(fields[0], NULL, 10);
    if (number == 0 || number > UINT64_MAX / 16) return false;
    if (strtol(fields[6], NULL, 10) || strtol(fields[7], NULL, 10)) return true;
    if (number > map.done_count) {
        uint64_t count = number > 2 * map.done_count ? number : 2 * map.done_count;
        char **done = realloc(map.done, count * sizeof *done);
        if (!done) die_log("out of memory");
        memset(done + map.done_count, 0, (count - map.done_count) * sizeof *done);
        map.done = done;
        map.done_count = count;
    }
    if (number > map.last_done) map.last_done = number;
    free(map.done[number - 1]);
    map.done[number - 1] = strdup(fields[8]);
    return true;
}

/* Reads an old log; returns where its last whole line ends. */
static off_t read_log(FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    off_t good = 0;
    for (ssize_t length; (length = getline(&line, &room, file)) > 0 && line[length - 1] == '\n'; good += length) {
        if (good == 0 && strcmp(line, log_head) != 0) die_log("this file is not a job log");
        line[length - 1] = '\0';
        if (good && !take_log_line(line)) die_log("it has a line that is none of a job log");
    }
    free(line);
    return good;
}

/* A job that has been killed may still be ending. */
static void lock_log(void)
{
    for (int i = 0; flock(map.log_fd, LOCK_EX | LOCK_NB); i++) {
        struct timespec pause = {.tv_nsec = 100000000};
        if (errno != EWOULDBLOCK) die_log(strerror(errno));
        if (i == 20) die_log("another job writes it");
        nanosleep(&pause, NULL);
    }
}

static void open_log(void)
{
    off_t good = 0;
    map.log_fd = open(map.joblog, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (map.log_fd < 0) die_log(strerror(errno));
    lock_log();
    if (!map.resume && lseek(map.log_fd, 0, SEEK_END) > 0)
        die_log("it exists: go on from it with --resume, or remove it");
    FILE *old = map.resume ? fopen(map.joblog, "re") : NULL;
    if (map.resume && !old) die_log(strerror(errno));
    if (old) {
        good = read_log(old);
        fclose(old);
    }
    if (ftruncate(map.log_fd, good)) die_log(strerror(errno));
    if (good == 0) write_all(map.log_fd, log_head, sizeof log_head - 1, map.joblog);
}

/* ---- begin and end ------------------------------------------------------------------------------- */

static void parse(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "+kr:l:R")) != -1;) {
        switch (option) {
        case 'k': map.ordered = true; break;
        case 'r': map.tries = (int) strtol(optarg, NULL, 10); break;
        case 'l': map.joblog = optarg; break;
        case 'R': map.resume = true; break;
        default: exit(OTHER);
        }
    }
    if (optind != argc - 1) die("ame-map", "is started by ameexec --map");
    map.command = argv[optind];
}

static int work(void)
{
    char options[100];
    ame_pool *pool;
    ame_pool_outcome outcome;
    ame_pool_job job = {.count = AME_POOL_STREAM, .function = execute, .sink = print};
    int rank = ame_comm_rank(AME_COMM_WORLD);
    snprintf(options, sizeof options, "ordered=%d,retry_errors=%d,retries=%d", map.ordered, map.tries - 1,
             map.tries > 1 ? map.tries - 1 : 1);
    if (ame_pool_open(AME_COMM_WORLD, options, &pool)) die("--map", ame_last_error());
    if (rank == 0 && map.joblog) open_log();
    int code = ame_pool_map(pool, &job);
    if (rank == 0 && !code) start_reading(pool);
    while (!code && ame_pool_result(pool, &outcome)) {
    }
    if (!code) code = ame_pool_finish(pool);
    stop_reading();
    bool told = code == AME_OK || code == AME_E_TASK || rank;
    if (!told) fprintf(stderr, "ameexec: %s\n", ame_last_error());
    int end = code == AME_E_CANCELLED ? NOT_DONE : code && code != AME_E_TASK ? OTHER : 0;
    if (!end && rank == 0) end = map.failed < MANY_FAILED ? (int) map.failed : MANY_FAILED;
    if (map.log_fd >= 0 && (fdatasync(map.log_fd) || close(map.log_fd))) die_log(strerror(errno));
    if (ame_pool_close(&pool) || ame_finalize()) die("--map", ame_last_error());
    return end;
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    if (ame_init()) die("--map", ame_last_error());
    int rank = ame_comm_rank(AME_COMM_WORLD), end = work();
    for (uint64_t i = 0; i < map.done_count; i++) free(map.done[i]);
    free(map.done);
    return rank == 0 ? end : 0; /* rank 0 speaks for the job */
}
