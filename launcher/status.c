#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    ANSWER_MS = 1000,    /* for the host daemons */
    CLIENTS_MAX = 8,     /* that wait for a table; more are turned away */
    STALL_ROWS_MAX = 20, /* of the table in a warning */
    SAME_STALL_MS = 500, /* two looks at the same wait agree so far about when it began */
    SHOW_MS = 10000,     /* ameexec --status waits for the table */
    NAME_SIZE = 100
};

struct client {
    uv_pipe_t pipe;
    uv_write_t write;
    char *text;
    bool used, waiting;
};

struct ame__status {
    struct ame__status_events events;
    const char *job_id;
    int size, hosts;
    int64_t started_ns;
    struct rank {
        struct ame__seen seen;
        bool known, fresh;
        int64_t warned_ms; /* when the wait began of which a warning has told */
    } * ranks;
    int asked; /* daemons that have not answered; > 0: ASKED */
    bool wanted, stall_wanted;
    uv_timer_t answer, stall;
    int64_t stall_ms;
    int listener;
    uv_poll_t poll;
    struct client clients[CLIENTS_MAX];
};

/* ---- the table ----------------------------------------------------------------------------------- */

static void append_table(struct ame__status *status, struct ame__bytes *text, int most)
{
    struct ame__row *rows = ame__xalloc((size_t) status->size * sizeof *rows);
    for (int rank = 0; rank < status->size; rank++) {
        const struct rank *one = &status->ranks[rank];
        rows[rank] = (struct ame__row){.rank = rank, .since_ms = -1, .heard_ms = -1};
        status->events.row(status->events.owner, rank, one->fresh ? &one->seen : NULL, &rows[rank]);
    }
    ame__table_append(text, rows, status->size, most);
    free(rows);
}

/* Who has waited too long, and has not been told of yet? Returns how many wait too long, 0 if all of them are known. */
static int count_stalled(struct ame__status *status)
{
    int stalled = 0;
    bool news = false;
    int64_t now_ms = ame__now_ns() / 1000000;
    for (int rank = 0; rank < status->size; rank++) {
        struct rank *one = &status->ranks[rank];
        const struct ame__seen *seen = &one->seen;
        if (!one->fresh || !seen->told || seen->report.doing != AME__DOING_WAITING || seen->since_ms < status->stall_ms)
            continue;
        int64_t began_ms = now_ms - seen->since_ms;
        stalled++;
        if (llabs(began_ms - one->warned_ms) > SAME_STALL_MS) news = true;
        one->warned_ms = began_ms;
    }
    return news ? stalled : 0;
}

static void warn_of_stall(struct ame__status *status)
{
    struct ame__bytes text = {0};
    int stalled = count_stalled(status);
    if (!stalled) return;
    char *title = ame__xprintf("ameexec: %d of %d ranks %s waited in one call for more than %g s (AME_STALL_WARN):\n",
                               stalled, status->size, stalled == 1 ? "has" : "have", (double) status->stall_ms / 1e3);
    ame__bytes_append(&text, title, strlen(title));
    append_table(status, &text, STALL_ROWS_MAX);
    status->events.print(status->events.owner, ame__bytes_data(&text), ame__bytes_length(&text));
    free(title);
    ame__bytes_finish(&text);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    free(client->text);
    memset(client, 0, sizeof *client);
}

static void on_written(uv_write_t *write, int code)
{
    struct client *client = write->data;
    (void) code;
    if (!uv_is_closing((uv_handle_t *) &client->pipe)) uv_close((uv_handle_t *) &client->pipe, on_client_closed);
}

static void give_table(struct client *client, const char *text, size_t length)
{
    client->waiting = false;
    client->text = ame__xprintf("%.*s", (int) length, text);
    client->write.data = client;
    uv_buf_t buffer = uv_buf_init(client->text, (unsigned) length);
    if (uv_write(&client->write, (uv_stream_t *) &client->pipe, &buffer, 1, on_written)) on_written(&client->write, 0);
}

static void tell(struct ame__status *status)
{
    struct ame__bytes text = {0};
    char *title = ame__xprintf("job %s: %d rank%s on %d host%s, running for %.1f s\n", status->job_id, status->size,
                               status->size == 1 ? "" : "s", status->hosts, status->hosts == 1 ? "" : "s",
                               (double) (ame__now_ns() - status->started_ns) / 1e9);
    ame__bytes_append(&text, title, strlen(title));
    free(title);
    append_table(status, &text, 0);
    if (status->wanted) status->events.print(status->events.owner, ame__bytes_data(&text), ame__bytes_length(&text));
    status->wanted = false;
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (status->clients[i].waiting)
            give_table(&status->clients[i], ame__bytes_data(&text), ame__bytes_length(&text));
    ame__bytes_finish(&text);
}

/* ---- asking -------------------------------------------------------------------------------------- */

static void answer_over(struct ame__status *status)
{
    bool readers = status->wanted;
    uv_timer_stop(&status->answer);
    status->asked = 0;
    for (int i = 0; i < CLIENTS_MAX; i++) readers = readers || status->clients[i].waiting;
    if (readers) tell(status);
    if (status->stall_wanted) warn_of_stall(status);
    status->stall_wanted = false;
}

static void on_answer_over(uv_timer_t *timer)
{
    answer_over(timer->data);
}

static void ask(struct ame__status *status)
{
    if (status->asked) return;
    for (int rank = 0; rank < status->size; rank++) status->ranks[rank].fresh = false;
    status->asked = status->events.ask(status->events.owner);
    uv_timer_start(&status->answer, on_answer_over, status->asked ? ANSWER_MS : 0, 0);
}

void ame__status_wanted(struct ame__status *status)
{
    status->wanted = true;
    ask(status);
}

static void on_stall(uv_timer_t *timer)
{
    struct ame__status *status = timer->data;
    status->stall_wanted = true;
    ask(status);
}

void ame__status_seen(struct ame__status *status, int rank, const char payload[AME__SEEN_SIZE])
{
    struct rank *one = &status->ranks[rank];
    ame__seen_decode(payload, &one->seen);
    one->known = one->fresh = true;
}

void ame__status_answered(struct ame__status *status)
{
    if (status->asked && !--status->asked) answer_over(status);
}

const struct ame__seen *ame__status_last(const struct ame__status *status, int rank)
{
    return status->ranks[rank].known ? &status->ranks[rank].seen : NULL;
}

/* ---- the socket ---------------------------------------------------------------------------------- */

static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", name); /* sun_path[0] stays 0: abstract */
    return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address->sun_path + 1));
}

/* The user at the other end. */
static bool is_ours(int fd)
{
    struct ucred who;
    socklen_t length = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && (who.uid == geteuid() || who.uid == 0);
}

static void on_client(uv_poll_t *poll, int code, int events)
{
    struct ame__status *status = poll->data;
    (void) code, (void) events;
    int fd = accept4(status->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), free_slot = 0;
    if (fd < 0) return;
    while (free_slot < CLIENTS_MAX && status->clients[free_slot].used) free_slot++;
    if (free_slot == CLIENTS_MAX || !is_ours(fd)) {
        close(fd);
        return;
    }
    struct client *client = &status->clients[free_slot];
    uv_pipe_init(poll->loop, &client->pipe, 0);
    client->pipe.data = client;
    client->used = client->waiting = true;
    uv_pipe_open(&client->pipe, fd);
    ask(status);
}

static void listen_for_clients(struct ame__status *status, uv_loop_t *loop)
{
    char name[NAME_SIZE];
    struct sockaddr_un address;
    snprintf(name, sizeof name, "ame.%lu.%ld.%s", (unsigned long) geteuid(), (long) getpid(), status->job_id);
    status->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (status->listener >= 0 && (bind(status->listener, (struct sockaddr *) &address, address_of(name, &address)) ||
                                  listen(status->listener, CLIENTS_MAX))) {
        ame__log(launcher, INFO, "ameexec --status will not find this job: %s", strerror(errno));
        close(status->listener);
        status->listener = -1;
    }
    if (status->listener < 0) return;
    uv_poll_init(loop, &status->poll, status->listener);
    status->poll.data = status;
    uv_poll_start(&status->poll, UV_READABLE, on_client);
}

struct ame__status *ame__status_create(uv_loop_t *loop, const char *job_id, int size, int hosts, double stall_seconds,
                                       const struct ame__status_events *events)
{
    struct ame__status *status = ame__xalloc(sizeof *status);
    status->events = *events;
    status->job_id = job_id;
    status->size = size;
    status->hosts = hosts;
    status->started_ns = ame__now_ns();
    status->ranks = ame__xalloc((size_t) size * sizeof *status->ranks);
    status->stall_ms = (int64_t) (stall_seconds * 1000);
    uv_timer_init(loop, &status->answer);
    uv_timer_init(loop, &status->stall);
    status->answer.data = status->stall.data = status;
    if (status->stall_ms) {
        uint64_t period = (uint64_t) status->stall_ms / 4 + 50;
        uv_timer_start(&status->stall, on_stall, period, period);
    }
    listen_for_clients(status, loop);
    return status;
}

void ame__status_close(struct ame__status *status)
{
    uv_close((uv_handle_t *) &status->answer, NULL);
    uv_close((uv_handle_t *) &status->stall, NULL);
    if (status->listener >= 0) {
        uv_close((uv_handle_t *) &status->poll, NULL);
        close(status->listener);
    }
    for (int i = 0; i < CLIENTS_MAX; i++) {
        uv_handle_t *handle = (uv_handle_t *) &status->clients[i].pipe;
        if (status->clients[i].used && !uv_is_closing(handle)) uv_close(handle, on_client_closed);
    }
}

void ame__status_free(struct ame__status *status)
{
    free(status->ranks);
    free(status);
}

/* ---- ameexec --status ---------------------------------------------------------------------------- */

struct job {
    long pid;
    char name[NAME_SIZE], id[NAME_SIZE]; /* of the socket; of the job */
};

/* The jobs on this host whose ameexec this user may ask, in *jobs. */
static size_t find_jobs(struct job **jobs)
{
    char line[512];
    size_t count = 0;
    FILE *file = fopen("/proc/net/unix", "re");
    *jobs = NULL;
    while (file && fgets(line, sizeof line, file)) {
        struct job job = {0};
        unsigned flags = 0;
        unsigned long uid;
        if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s @%99s", &flags, job.name) != 2 || flags != 0x10000 /* listens */)
            continue;
        if (sscanf(job.name, "ame.%lu.%ld.%99s", &uid, &job.pid, job.id) != 3) continue;
        if (uid != geteuid() && geteuid() != 0) continue;
        *jobs = ame__xrealloc(*jobs, (count + 1) * sizeof **jobs);
        (*jobs)[count++] = job;
    }
    if (file) fclose(file);
    return count;
}

static bool is_meant(const struct job *job, const char *wanted)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", job->pid);
    return !wanted || !strcmp(wanted, pid) || (*wanted && !strncmp(wanted, job->id, strlen(wanted)));
}

static int show(const struct job *job)
{
    char data[4096];
    struct sockaddr_un address;
    size_t shown = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = address_of(job->name, &address);
    if (fd < 0 || connect(fd, (struct sockaddr *) &address, length) || !is_ours(fd)) {
        fprintf(stderr, "ameexec: job %s (pid %ld) does not answer: %s\n", job->id, job->pid,
                errno ? strerror(errno) : "it belongs to another user");
        if (fd >= 0) close(fd);
        return 1;
    }
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (poll(&poll_fd, 1, SHOW_MS) > 0) {
        ssize_t got = read(fd, data, sizeof data);
        if (got <= 0) break;
        shown += fwrite(data, 1, (size_t) got, stdout);
    }
    close(fd);
    if (!shown)
        fprintf(stderr, "ameexec: job %s (pid %ld) did not answer within %d s\n", job->id, job->pid, SHOW_MS / 1000);
    return shown ? 0 : 1;
}

int ame__status_show(const char *wanted)
{
    struct job *jobs;
    size_t count = find_jobs(&jobs), meant = 0, last = 0;
    int code = 1;
    for (size_t i = 0; i < count; i++)
        if (is_meant(&jobs[i], wanted)) meant++, last = i;
    if (meant == 1) {
        code = show(&jobs[last]);
    } else if (!meant) {
        fprintf(stderr, "ameexec: there is no job%s%s of this user on this host%s\n", wanted ? " " : "",
                wanted ? wanted : "", count ? "; ameexec --status lists those that there are" : "");
    } else {
        printf("%-8s %s\n", "pid", "job");
        for (size_t i = 0; i < count; i++)
            if (is_meant(&jobs[i], wanted)) printf("%-8ld %s\n", jobs[i].pid, jobs[i].id);
        code = 0;
    }
    free(jobs);
    return code;
}
