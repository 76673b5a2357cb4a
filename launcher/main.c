/* main.c - ameexec: starts the ranks of a job and looks after them.
 *
 * The command line becomes options (options.c), these a plan (plan.c), and the front carries it out (front.c) with the
 * help of a host daemon (hostd.c). ameexec --help and ameexec(1) tell what it does for the user.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "front.h"
#include "hostd.h"
#include "options.h"
#include "plan.h"
#include "status.h"

/* Descriptors 0, 1 and 2 must be something, or files opened later would take their places. */
static void open_standard_files(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0) return;
        if (fd <= STDERR_FILENO) continue;
        close(fd);
        return;
    }
}

/* Keeps what ranks must find as ameexec found it, and then changes it for ameexec. */
static void prepare_process(struct ame__inherited *inherited)
{
    struct sigaction pipe_action, ignore = {.sa_handler = SIG_IGN};
    sigprocmask(SIG_SETMASK, NULL, &inherited->mask);
    sigaction(SIGPIPE, &ignore, &pipe_action);
    inherited->ignores_pipe = pipe_action.sa_handler == SIG_IGN;
    getrlimit(RLIMIT_NOFILE, &inherited->files);
    struct rlimit files = {inherited->files.rlim_max, inherited->files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Descriptors that a careless parent left open must not reach the ranks: they would hold its pipes open. */
static void close_on_exec(void)
{
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
    long limit = sysconf(_SC_OPEN_MAX); /* Linux before 5.11 */
    for (int fd = 3; fd < limit; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
}

static int run(const struct ame__options *options, struct ame__inherited *inherited)
{
    struct ame__plan plan;
    int code = ame__plan_make(&plan, options);
    if (code) {
        fprintf(stderr, "ameexec: %s\n", ame__error_text());
        ame__plan_finish(&plan);
        return code;
    }
    if (options->verbose) {
        if (options->ignored) fprintf(stderr, "ameexec: accepted without effect: %s\n", options->ignored);
        fprintf(stderr, "ameexec: job %s: %d ranks on %s", plan.job_id, plan.size, plan.hosts.items[0].name);
        for (size_t i = 1; i < plan.hosts.count && i < 16; i++) fprintf(stderr, " %s", plan.hosts.items[i].name);
        fprintf(stderr, "%s%s%s\n", plan.hosts.count > 16 ? " ..." : "", options->allocation ? ", from " : "",
                options->allocation ? options->allocation : "");
    }
    if (options->dry_run)
        ame__plan_print(&plan);
    else
        code = ame__front_run(&plan, inherited);
    ame__plan_finish(&plan);
    return code;
}

int main(int argc, char **argv)
{
    struct ame__options options;
    struct ame__inherited inherited;
    open_standard_files();
    close_on_exec();
    prepare_process(&inherited);
    ame__log_open();
    if (argc == 2 && !strcmp(argv[1], "--hostd")) ame__hostd_serve(&inherited);
    if ((argc == 2 || argc == 3) && (!strcmp(argv[1], "--status") || !strcmp(argv[1], "-status")))
        return ame__status_show(argv[2]) | (fflush(stdout) ? 1 : 0);
    int code = 0;
    switch (ame__options_parse(argc, argv, &options)) {
    case AME__PARSE_DONE: break;
    case AME__PARSE_ERROR:
        fprintf(stderr, "ameexec: %s\n", ame__error_text());
        code = 1;
        break;
    case AME__PARSE_RUN: code = run(&options, &inherited); break;
    }
    ame__options_finish(&options);
    ame__log_close();
    return fflush(stdout) ? 1 : code;
}
