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
#include <ifaddrs.h>
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
#include "base/vars.h"
#include "environ.h"
#include "proto.h"

/* ---- programs ------------------------------------------------------------------------------------ */

/* 0 when `path` can be executed, else ENOENT, EACCES or EISDIR. */
static int check_file(const char *path)
{
    struct stat info;
    if (stat(path, &info)) return errno == EACCES ? EACCES : ENOENT;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    return access(path, X_OK) ? EACCES : 0;
}

int ame__plan_search(const char *path, const char *name, char **result)
{
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
        error = ame__plan_search(getenv("PATH"), name, result);
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

static int check_directory(const char *directory)
{
    struct stat info;
    if (!directory || (stat(directory, &info) == 0 && S_ISDIR(info.st_mode))) return 0;
    ame__fail(AME_E_CONFIG, "working directory '%s': %s", directory,
              stat(directory, &info) == 0 ? "not a directory" : strerror(errno));
    return 1;
}

/* What is wrong here is wrong on every host, unless no rank runs here: then only the other hosts can tell. */
static int make_apps(struct ame__plan *plan)
{
    const struct ame__options *options = plan->options;
    bool here = false;
    for (size_t i = 0; i < plan->hosts.count; i++) here = here || plan->hosts.items[i].here;
    plan->programs = ame__xalloc(options->app_count * sizeof *plan->programs);
    plan->argvs = ame__xalloc(options->app_count * sizeof *plan->argvs);
    plan->envs = ame__xalloc(options->app_count * sizeof *plan->envs);
    for (size_t i = 0; i < options->app_count; i++) {
        const struct ame__app *app = &options->apps[i];
        int rc = check_directory(app->directory);
        if (!rc) rc = find_program(app, &plan->programs[i]);
        if (rc && here) return rc;
        if (!plan->programs[i]) plan->programs[i] = ame__xstrdup(app->argv[0]);
        plan->argvs[i] = ame__xalloc(((size_t) app->argc + 1) * sizeof **plan->argvs);
        memcpy(plan->argvs[i], app->argv, (size_t) app->argc * sizeof **plan->argvs);
        plan->envs[i] = ame__environ_added(&app->env);
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

/* Is this one of the addresses of this host? */
static bool own_address(const char *name)
{
    struct ifaddrs *list = NULL;
    unsigned char wanted[16];
    bool found = false;
    int family = inet_pton(AF_INET, name, wanted) == 1    ? AF_INET
                 : inet_pton(AF_INET6, name, wanted) == 1 ? AF_INET6
                                                          : 0;
    if (!family || getifaddrs(&list)) return false;
    for (struct ifaddrs *item = list; item && !found; item = item->ifa_next) {
        if (!item->ifa_addr || item->ifa_addr->sa_family != family) continue;
        const void *address = family == AF_INET
                                  ? (const void *) &((struct sockaddr_in *) (void *) item->ifa_addr)->sin_addr
                                  : &((struct sockaddr_in6 *) (void *) item->ifa_addr)->sin6_addr;
        found = !memcmp(address, wanted, family == AF_INET ? 4 : 16);
    }
    freeifaddrs(list);
    return found;
}

static bool is_here(const struct ame__plan *plan, const struct ame__host *host)
{
    static const char *const local[] = {"localhost", "127.0.0.1", "::1"};
    const char *node = getenv("SLURMD_NODENAME");
    if (plan->options->launcher == AME__LAUNCHER_FORK) return true;
    if (host->user) return false;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!strcasecmp(host->name, local[i])) return true;
    size_t own = strcspn(plan->host, "."), name = strcspn(host->name, ".");
    bool both = plan->host[own] && host->name[name]; /* both with a domain: then it counts */
    if (own == name && !strncasecmp(plan->host, host->name, name) && (!both || !strcasecmp(plan->host, host->name)))
        return true;
    return (node && !strcmp(node, host->name)) || own_address(host->name);
}

/* The names of this host become one; without hosts there is this one, with a slot for each CPU. */
static int make_hosts(struct ame__plan *plan, struct ame__hosts *hosts)
{
    const struct ame__hosts *given = &plan->options->hosts;
    struct ame__cpus allowed;
    int rc = AME_OK;
    ame__cpus_allowed(&allowed);
    for (size_t i = 0; i < given->count && rc == AME_OK; i++) {
        const struct ame__host *host = &given->items[i];
        bool here = is_here(plan, host);
        char *name = here         ? ame__xstrdup("localhost")
                     : host->user ? ame__xprintf("%s@%s", host->user, host->name)
                                  : ame__xstrdup(host->name);
        rc = ame__hosts_add(hosts, name, strlen(name), host->slots);
        free(name);
    }
    if (!given->count) rc = ame__hosts_add(hosts, "localhost", 9, ame__cpus_count(&allowed));
    if (rc != AME_OK) return 1;
    for (size_t i = 0; i < hosts->count; i++) {
        struct ame__host *host = &hosts->items[i];
        host->here = !host->user && !strcmp(host->name, "localhost");
        if (!host->here) continue;
        free(host->name);
        host->name = ame__xstrdup(plan->host);
    }
    return 0;
}

/* Keeps the hosts that have ranks, with their number as slots. */
static void keep_used(struct ame__plan *plan, const struct ame__hosts *hosts, const int *host_of)
{
    int *ranks = ame__xalloc(hosts->count * sizeof *ranks), *place = ame__xalloc(hosts->count * sizeof *place);
    for (int rank = 0; rank < plan->size; rank++) ranks[host_of[rank]]++;
    plan->hosts.items = ame__xalloc(hosts->count * sizeof *plan->hosts.items);
    for (size_t i = 0; i < hosts->count; i++) {
        if (!ranks[i]) continue;
        const struct ame__host *old = &hosts->items[i];
        place[i] = (int) plan->hosts.count;
        plan->hosts.items[plan->hosts.count++] = (struct ame__host){
            .name = ame__xstrdup(old->name),
            .user = old->user ? ame__xstrdup(old->user) : NULL,
            .slots = ranks[i],
            .here = old->here,
        };
    }
    for (int rank = 0; rank < plan->size; rank++) plan->ranks[rank].host = place[host_of[rank]];
    free(ranks);
    free(place);
}

static int place_ranks(struct ame__plan *plan, const struct ame__hosts *hosts)
{
    const struct ame__options *options = plan->options;
    int slots = ame__hosts_slots(hosts, options->per_host), rank = 0;
    long size = 0;
    for (size_t i = 0; i < options->app_count; i++) {
        int count = options->apps[i].ranks;
        size += count ? count : options->app_count > 1 ? 1 : slots;
    }
    if (size > AME__RANKS_MAX) {
        ame__fail(AME_E_CONFIG, "%ld ranks are more than the %d that one job can have", size, AME__RANKS_MAX);
        return 1;
    }
    plan->size = (int) size;
    plan->ranks = ame__xalloc((size_t) plan->size * sizeof *plan->ranks);
    for (size_t i = 0; i < options->app_count; i++) {
        int count = options->apps[i].ranks;
        if (!count) count = options->app_count > 1 ? 1 : slots;
        while (count--) plan->ranks[rank++].app = (int) i;
    }
    int *host_of = ame__xalloc((size_t) plan->size * sizeof *host_of);
    ame__hosts_map(hosts, options->map, options->per_host, plan->size, host_of);
    keep_used(plan, hosts, host_of);
    free(host_of);
    return 0;
}

static int make_ranks(struct ame__plan *plan)
{
    struct ame__hosts hosts = {0};
    int rc = make_hosts(plan, &hosts);
    if (!rc) rc = place_ranks(plan, &hosts);
    ame__hosts_finish(&hosts);
    return rc;
}

static int make_streams(struct ame__plan *plan)
{
    const struct ame__options *options = plan->options;
    bool alone = plan->size == 1 && !options->tag && !options->out_pattern && !options->err_pattern && !options->only &&
                 !options->mapping.command; /* of which several programs write */
    if (options->stdin_mode == AME__STDIN_RANK && check_rank(plan, "--stdin", options->stdin_rank)) return 1;
    if (options->pty_rank >= 0 && check_rank(plan, "--pty", options->pty_rank)) return 1;
    int reader = options->pty_rank >= 0 ? options->pty_rank : options->stdin_rank;
    for (int rank = 0; rank < plan->size; rank++) {
        struct ame__rank_plan *place = &plan->ranks[rank];
        bool here = plan->hosts.items[place->host].here;
        place->pty = rank == options->pty_rank;
        place->direct_output = here && !place->pty && (alone || options->raw);
        if (options->stdin_mode == AME__STDIN_ALL || place->pty)
            place->input = AME__INPUT_PIPE;
        else if (options->stdin_mode == AME__STDIN_RANK && rank == reader)
            place->input = !here || isatty(STDIN_FILENO) ? AME__INPUT_PIPE : AME__INPUT_DIRECT;
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
    if (getentropy(key, sizeof key) || getentropy(&number, sizeof number)) {
        ame__fail_errno(errno, "no random numbers for the key of the job");
        return 1;
    }
    base64(key, sizeof key, plan->authkey);
    explicit_bzero(key, sizeof key);
    snprintf(plan->job_id, sizeof plan->job_id, "%.40s-%d-%08x", plan->host, (int) getpid(), number);
    return 0;
}

int ame__plan_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd < 0) return 0;
    if (!bind(fd, (struct sockaddr *) &address, sizeof address) &&
        !getsockname(fd, (struct sockaddr *) &address, &length))
        port = ntohs(address.sin_port);
    close(fd);
    return port;
}

/* $PWD where it is right, because it keeps the names of symbolic links, which are often the same on all hosts. */
static char *current_directory(void)
{
    const char *name = getenv("PWD");
    struct stat here, there;
    if (name && *name == '/' && stat(".", &here) == 0 && stat(name, &there) == 0 && here.st_dev == there.st_dev &&
        here.st_ino == there.st_ino)
        return ame__xstrdup(name);
    return getcwd(NULL, 0);
}

static int read_limits(struct ame__plan *plan)
{
    int rc = ame__var_number(AME__VAR_HEARTBEAT, &plan->heartbeat);
    if (!rc) rc = ame__var_number(AME__VAR_STALL_WARN, &plan->stall);
    if (rc) return 1;
    if (plan->heartbeat < 0) plan->heartbeat = plan->hosts.count > 1 ? AME__SILENCE_MS / 1e3 : 0;
    return 0;
}

int ame__plan_make(struct ame__plan *plan, const struct ame__options *options)
{
    memset(plan, 0, sizeof *plan);
    plan->options = options;
    if (gethostname(plan->host, sizeof plan->host - 1) || !*plan->host) strcpy(plan->host, "localhost");
    int rc = make_ranks(plan);
    if (!rc) rc = make_apps(plan);
    if (!rc) rc = make_streams(plan);
    if (!rc) rc = make_identity(plan);
    if (!rc) rc = read_limits(plan);
    if (rc) return rc;
    plan->directory = current_directory();
    plan->base_env = ame__environ_base(options);
    return 0;
}

void ame__plan_finish(struct ame__plan *plan)
{
    for (size_t i = 0; i < plan->options->app_count; i++) {
        if (plan->programs) free(plan->programs[i]);
        if (plan->argvs) free(plan->argvs[i]);
        if (plan->envs && plan->envs[i]) ame__environ_free(plan->envs[i]);
    }
    free(plan->programs);
    free(plan->argvs);
    free(plan->ranks);
    free(plan->envs);
    free(plan->directory);
    ame__hosts_finish(&plan->hosts);
    if (plan->base_env) ame__environ_free(plan->base_env);
}

/* ---- the part of a host -------------------------------------------------------------------------- */

/* Is the variable set by an option, not only handed on? */
static bool is_given(const struct ame__settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++)
        if (settings->items[i].value && !strcmp(settings->items[i].name, name)) return true;
    return false;
}

void ame__plan_work(const struct ame__plan *plan, int host, const char *address, int port, struct ame__work *work)
{
    const struct ame__options *options = plan->options;
    int units = options->cpus_per_rank;
    memset(work, 0, sizeof *work);
    work->size = plan->size;
    work->port = port;
    work->bind = (int) (!options->bind_given && units ? AME__BIND_CORE : options->bind);
    work->units = units ? units : 1;
    work->grace_ms = (uint64_t) (options->grace * 1000);
    work->heartbeat_ms = (uint64_t) (plan->heartbeat * 1000);
    work->report_bindings = options->report_bindings;
    work->gpus_per_rank = options->gpus_per_rank;
    work->gpus_named = is_given(&options->env, "CUDA_VISIBLE_DEVICES");
    for (size_t i = 0; i < options->app_count; i++)
        work->gpus_named |= is_given(&options->apps[i].env, "CUDA_VISIBLE_DEVICES");
    work->directory = plan->hosts.items[host].here ? NULL : plan->directory;
    work->job_id = (char *) plan->job_id;
    work->authkey = (char *) plan->authkey;
    work->address = (char *) address;
    work->env = plan->base_env;
    work->app_count = (int) options->app_count;
    work->apps = ame__xalloc(options->app_count * sizeof *work->apps);
    for (size_t i = 0; i < options->app_count; i++)
        work->apps[i] =
            (struct ame__work_app){plan->programs[i], options->apps[i].directory, plan->argvs[i], plan->envs[i]};
    work->ranks = ame__xalloc((size_t) plan->hosts.items[host].slots * sizeof *work->ranks);
    for (int rank = 0; rank < plan->size; rank++) {
        const struct ame__rank_plan *place = &plan->ranks[rank];
        if (place->host != host) continue;
        work->ranks[work->count++] =
            (struct ame__work_rank){rank, place->app, place->input, place->direct_output, place->pty};
    }
}

/* ---- printing ------------------------------------------------------------------------------------ */

static void print_environment(const struct ame__work *work, int i, const struct ame__cpus *cpus)
{
    char **env = ame__environ_rank(work, i, cpus);
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
    ame__environ_free(env);
}

/* CPUs and what depends on them are known for this host only. */
static void print_rank(const struct ame__plan *plan, int rank, const struct ame__work *work, int i,
                       const struct ame__cpus *bound)
{
    static const char *const inputs[] = {"/dev/null", "ameexec's", "a copy of ameexec's"};
    const struct ame__rank_plan *place = &plan->ranks[rank];
    bool here = plan->hosts.items[place->host].here;
    const char *directory = plan->options->apps[place->app].directory;
    char cpus[512] = "any";
    if (bound) ame__cpus_format(bound, cpus, sizeof cpus);
    printf("rank %d on %s: %s", rank, ame__plan_host(plan, rank), plan->programs[place->app]);
    for (char **word = plan->argvs[place->app] + 1; *word; word++) printf(" %s", *word);
    printf("\n  directory %s\n  cpus %s\n  stdin %s%s\n  environment, in addition\n",
           directory         ? directory
           : plan->directory ? plan->directory
                             : ".",
           here ? cpus : "as that host has them", place->pty ? "a terminal, fed from " : "", inputs[place->input]);
    print_environment(work, i, bound);
}

void ame__plan_print(const struct ame__plan *plan)
{
    size_t count = plan->hosts.count;
    int port = ame__plan_free_port();
    const char *address = count > 1 ? ame__plan_host(plan, 0) : "127.0.0.1";
    struct ame__work *works = ame__xalloc(count * sizeof *works);
    struct ame__cpus **cpus = ame__xalloc(count * sizeof *cpus);
    int *next = ame__xalloc(count * sizeof *next);
    for (size_t i = 0; i < count; i++) {
        ame__plan_work(plan, (int) i, address, port, &works[i]);
        if (works[i].bind == AME__BIND_NONE) continue;
        cpus[i] = ame__xalloc((size_t) works[i].count * sizeof *cpus[i]);
        ame__affinity_place((enum ame__bind) works[i].bind, works[i].units, works[i].count, cpus[i]);
    }
    for (int rank = 0; rank < plan->size; rank++) {
        int host = plan->ranks[rank].host, i = next[host]++;
        print_rank(plan, rank, &works[host], i, cpus[host] ? &cpus[host][i] : NULL);
    }
    for (size_t i = 0; i < count; i++) {
        free(works[i].apps);
        free(works[i].ranks);
        free(cpus[i]);
    }
    free(works);
    free(cpus);
    free(next);
}
