/* plan.c - from options to a plan; see plan.h.
 *
 * Programs are looked up here, as execvp() would do it, so that a wrong name is reported before any rank runs. A name
 * with a slash is taken relative to the rank's working directory.
 *
 * Rank 0's port for programs that use dlp_mpi's own back end (AME_PORT) is one that the system gave a moment ago and that
 * is free again: that back end binds it without SO_REUSEADDR, so it cannot be kept for it. libame does not use it.
 */
#include "plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "bytes.h"
#include "environ.h"

/* ---- programs ------------------------------------------------------------------------------------ */

/* 0 when `path` can be executed, else ENOENT, EACCES or EISDIR. */
static int check_file(const char *path)
{
    struct stat info;
    if (stat(path, &info)) return errno == EACCES ? EACCES : ENOENT;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    return access(path, X_OK) ? EACCES : 0;
}

static int search_path(const char *name, char **result)
{
    const char *path = getenv("PATH");
    int error = ENOENT;
    if (!path || !*path) path = "/usr/local/bin:/usr/bin:/bin";
    for (const char *at = path;; at++) {
        size_t length = strcspn(at, ":");
        char *file = ame__xprintf("%.*s%s%s", (int) length, at, length ? "/" : "", name);
        int rc = check_file(file);
        if (rc == 0) {
            *result = length ? file : ame__xprintf("./%s", name);
            if (!length) free(file);
            return 0;
        }
        if (rc == EACCES) error = rc;
        free(file);
        at += length;
        if (!*at) return error;
    }
}

static int find_program(const struct ame__app *app, char **result)
{
    const char *name = app->argv[0];
    int error;
    if (strchr(name, '/')) {
        bool relative = app->directory && name[0] != '/';
        char *file = relative ? ame__xprintf("%s/%s", app->directory, name) : ame__xstrdup(name);
        error = check_file(file);
        free(file);
        if (!error) *result = ame__xstrdup(name);
    } else {
        error = search_path(name, result);
    }
    if (!error) return 0;
    if (error == ENOENT) {
        ame__fail(AME_E_CONFIG, "%s: program not found%s%s", name, strchr(name, '/') ? "" : " in PATH",
                  !strchr(name, '/') && check_file(name) == 0 ? "; there is one in this directory, write ./ before it"
                                                              : "");
        return 127;
    }
    ame__fail(AME_E_CONFIG, "%s: %s", name, error == EISDIR ? "is a directory" : "not executable (permission denied)");
    return 126;
}

static int make_apps(struct ame__plan *plan)
{
    const struct ame__options *options = plan->options;
    plan->programs = ame__xalloc(options->app_count * sizeof *plan->programs);
    plan->argvs = ame__xalloc(options->app_count * sizeof *plan->argvs);
    for (size_t i = 0; i < options->app_count; i++) {
        const struct ame__app *app = &options->apps[i];
        struct stat info;
        if (app->directory && stat(app->directory, &info)) {
            ame__fail(AME_E_CONFIG, "working directory '%s': %s", app->directory, strerror(errno));
            return 1;
        }
        if (app->directory && !S_ISDIR(info.st_mode)) {
            ame__fail(AME_E_CONFIG, "working directory '%s': not a directory", app->directory);
            return 1;
        }
        int rc = find_program(app, &plan->programs[i]);
        if (rc) return rc;
        plan->argvs[i] = ame__xalloc(((size_t) app->argc + 1) * sizeof **plan->argvs);
        memcpy(plan->argvs[i], app->argv, (size_t) app->argc * sizeof **plan->argvs);
    }
    return 0;
}

/* ---- ranks --------------------------------------------------------------------------------------- */

static int check_rank(const struct ame__plan *plan, const char *option, int rank)
{
    if (rank < plan->size) return 0;
    ame__fail(AME_E_CONFIG, "option %s: there is no rank %d in a job of %d", option, rank, plan->size);
    return 1;
}

static int make_ranks(struct ame__plan *plan)
{
    const struct ame__options *options = plan->options;
    struct ame__cpus allowed;
    ame__cpus_allowed(&allowed);
    int cpus = ame__cpus_count(&allowed), rank = 0;
    for (size_t i = 0; i < options->app_count; i++) {
        int count = options->apps[i].ranks;
        plan->size += count ? count : options->app_count > 1 ? 1 : cpus;
    }
    if (plan->size > AME__RANKS_MAX) {
        ame__fail(AME_E_CONFIG, "%d ranks are more than the %d that one job can have", plan->size, AME__RANKS_MAX);
        return 1;
    }
    plan->share = cpus / plan->size ? cpus / plan->size : 1;
    plan->ranks = ame__xalloc((size_t) plan->size * sizeof *plan->ranks);
    for (size_t i = 0; i < options->app_count; i++) {
        int count = options->apps[i].ranks;
        if (!count) count = options->app_count > 1 ? 1 : cpus;
        while (count--) plan->ranks[rank++].app = (int) i;
    }
    return 0;
}

static void make_bindings(struct ame__plan *plan)
{
    const struct ame__options *options = plan->options;
    enum ame__bind bind = options->bind;
    int units = options->cpus_per_rank ? options->cpus_per_rank : 1;
    if (!options->bind_given && options->cpus_per_rank) bind = AME__BIND_CORE;
    if (bind == AME__BIND_NONE) return;
    plan->cpus = ame__xalloc((size_t) plan->size * sizeof *plan->cpus);
    ame__affinity_place(bind, units, plan->size, plan->cpus);
    for (int rank = 0; rank < plan->size; rank++) plan->ranks[rank].cpus = &plan->cpus[rank];
}

static int make_streams(struct ame__plan *plan)
{
    const struct ame__options *options = plan->options;
    bool alone = plan->size == 1 && !options->tag && !options->out_pattern && !options->err_pattern && !options->only;
    if (options->stdin_mode == AME__STDIN_RANK && check_rank(plan, "--stdin", options->stdin_rank)) return 1;
    if (options->pty_rank >= 0 && check_rank(plan, "--pty", options->pty_rank)) return 1;
    int reader = options->pty_rank >= 0 ? options->pty_rank : options->stdin_rank;
    for (int rank = 0; rank < plan->size; rank++) {
        struct ame__rank_plan *place = &plan->ranks[rank];
        place->pty = rank == options->pty_rank;
        place->direct_output = !place->pty && (alone || options->raw);
        if (options->stdin_mode == AME__STDIN_ALL || place->pty)
            place->input = AME__INPUT_PIPE;
        else if (options->stdin_mode == AME__STDIN_RANK && rank == reader)
            place->input = isatty(STDIN_FILENO) ? AME__INPUT_PIPE : AME__INPUT_DIRECT;
    }
    return 0;
}

void ame__plan_release_input(const struct ame__plan *plan)
{
    for (int rank = 0; rank < plan->size; rank++) {
        if (plan->ranks[rank].input != AME__INPUT_DIRECT) continue;
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0) return;
        dup2(fd, STDIN_FILENO);
        close(fd);
        return;
    }
}

/* ---- names and secrets --------------------------------------------------------------------------- */

static void base64(const unsigned char *data, size_t length, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        unsigned triple = (unsigned) data[i] << 16;
        if (i + 1 < length) triple |= (unsigned) data[i + 1] << 8;
        if (i + 2 < length) triple |= data[i + 2];
        *text++ = digits[triple >> 18];
        *text++ = digits[triple >> 12 & 63];
        *text++ = i + 1 < length ? digits[triple >> 6 & 63] : '=';
        *text++ = i + 2 < length ? digits[triple & 63] : '=';
    }
    *text = '\0';
}

static int make_identity(struct ame__plan *plan)
{
    unsigned char key[64];
    unsigned number;
    if (gethostname(plan->host, sizeof plan->host - 1) || !*plan->host) strcpy(plan->host, "localhost");
    if (getentropy(key, sizeof key) || getentropy(&number, sizeof number)) {
        ame__fail_errno(errno, "no random numbers for the key of the job");
        return 1;
    }
    base64(key, sizeof key, plan->authkey);
    explicit_bzero(key, sizeof key);
    snprintf(plan->job_id, sizeof plan->job_id, "%.40s-%d-%08x", plan->host, (int) getpid(), number);
    return 0;
}

/* Leaves the port 0 on a host without IPv4: only dlp_mpi's own back end misses it. */
static void choose_port(struct ame__plan *plan)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (!bind(fd, (struct sockaddr *) &address, sizeof address) &&
        !getsockname(fd, (struct sockaddr *) &address, &length))
        plan->port = ntohs(address.sin_port);
    close(fd);
}

int ame__plan_make(struct ame__plan *plan, const struct ame__options *options)
{
    memset(plan, 0, sizeof *plan);
    plan->options = options;
    getrlimit(RLIMIT_NOFILE, &plan->files);
    int rc = make_apps(plan);
    if (!rc) rc = make_ranks(plan);
    if (!rc) rc = make_streams(plan);
    if (!rc) rc = make_identity(plan);
    if (rc) return rc;
    choose_port(plan);
    make_bindings(plan);
    plan->base_env = ame__environ_base(options);
    return 0;
}

void ame__plan_finish(struct ame__plan *plan)
{
    for (size_t i = 0; i < plan->options->app_count; i++) {
        if (plan->programs) free(plan->programs[i]);
        if (plan->argvs) free(plan->argvs[i]);
    }
    free(plan->programs);
    free(plan->argvs);
    free(plan->ranks);
    free(plan->cpus);
    if (plan->base_env) ame__plan_env_free(plan->base_env);
}

/* ---- printing ------------------------------------------------------------------------------------ */

void ame__plan_report_bindings(const struct ame__plan *plan)
{
    char text[512];
    for (int rank = 0; rank < plan->size; rank++) {
        if (plan->ranks[rank].cpus) ame__cpus_format(plan->ranks[rank].cpus, text, sizeof text);
        fprintf(stderr, "ameexec: rank %d on %s: %s%s\n", rank, plan->host,
                plan->ranks[rank].cpus ? "bound to CPU " : "not bound", plan->ranks[rank].cpus ? text : "");
    }
}

static void print_environment(const struct ame__plan *plan, int rank)
{
    char **env = ame__plan_env(plan, rank);
    for (char **item = env; *item; item++) {
        size_t name = strcspn(*item, "=");
        char *key = ame__xprintf("%.*s", (int) name, *item);
        const char *old = getenv(key);
        if (!strcmp(key, "AME_AUTHKEY"))
            printf("    %s=(secret)\n", key);
        else if (!old || strcmp(old, *item + name + 1) != 0)
            printf("    %s\n", *item);
        free(key);
    }
    ame__plan_env_free(env);
}

void ame__plan_print(const struct ame__plan *plan)
{
    static const char *const inputs[] = {"/dev/null", "ameexec's", "a copy of ameexec's"};
    char *here = getcwd(NULL, 0);
    for (int rank = 0; rank < plan->size; rank++) {
        const struct ame__rank_plan *place = &plan->ranks[rank];
        char cpus[512] = "any";
        if (place->cpus) ame__cpus_format(place->cpus, cpus, sizeof cpus);
        const char *directory = plan->options->apps[place->app].directory;
        printf("rank %d on %s: %s", rank, plan->host, plan->programs[place->app]);
        for (char **word = plan->argvs[place->app] + 1; *word; word++) printf(" %s", *word);
        printf("\n  directory %s\n  cpus %s\n  stdin %s%s\n  environment, in addition\n", directory ? directory : here,
               cpus, place->pty ? "a terminal, fed from " : "", inputs[place->input]);
        print_environment(plan, rank);
    }
    free(here);
}
