/* options.c - reading the command line.
 *
 * The spellings are those of MPICH's and Open MPI's mpiexec, srun and dlp_mpi's ameexec, so that existing scripts run;
 * one dash and two dashes mean the same. An option belongs to the whole job unless the table says that it belongs to
 * the program it stands before (ranks, directory, -env). The first word that is no option is the program; everything
 * from there to the next
 * ":" belongs to it and is never looked at.
 *
 * The table is the only place that knows a name. Each entry has a handler that gets the option's arguments; a handler
 * that refuses a value words the error itself.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/vars.h"
#include "mapping.h"
#include "bytes.h"

struct parser {
    struct ame__options *options;
    struct ame__app *app;
    const char *name; /* the option as it was written, for messages */
    int depth;        /* of -configfile */
};

typedef int handler(struct parser *parser, char **values);
struct entry {
    const char *names; /* separated by blanks; the first is shown first */
    const char *arguments;
    int count; /* of arguments */
    handler *handle;
    const char *help; /* NULL: not shown */
};

static int parse_words(struct parser *parser, char **words, int count);

static int bad(struct parser *parser, const char *value, const char *allowed)
{
    return ame__fail(AME_E_CONFIG, "option %s: '%s' is not %s", parser->name, value, allowed);
}

static int parse_int(struct parser *parser, const char *text, long least, long most, int *value)
{
    char *end;
    long number = strtol(text, &end, 10);
    char allowed[80];
    if (!*text || *end || number < least || number > most) {
        snprintf(allowed, sizeof allowed, "a number from %ld to %ld", least, most);
        return bad(parser, text, allowed);
    }
    *value = (int) number;
    return AME_OK;
}

static int parse_seconds(struct parser *parser, const char *text, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (*end == 's' && !end[1]) end++;
    if (!*text || *end || !(number >= 0 && number <= 1e8)) return bad(parser, text, "a number of seconds");
    *value = number;
    return AME_OK;
}

static void replace(char **place, const char *text)
{
    free(*place);
    *place = ame__xstrdup(text);
}

static void note_ignored(struct parser *parser, const char *value)
{
    char *old = parser->options->ignored;
    parser->options->ignored =
        ame__xprintf("%s%s%s%s%s", old ? old : "", old ? ", " : "", parser->name, value ? " " : "", value ? value : "");
    free(old);
}

static void add_setting(struct ame__settings *settings, const char *name, size_t name_length, const char *value)
{
    settings->items = ame__xrealloc(settings->items, (settings->count + 1) * sizeof *settings->items);
    struct ame__setting *item = &settings->items[settings->count++];
    item->name = ame__xprintf("%.*s", (int) name_length, name);
    item->value = value ? ame__xstrdup(value) : NULL;
}

/* ---- handlers ------------------------------------------------------------------------------------ */

static int set_ranks(struct parser *parser, char **values)
{
    return parse_int(parser, values[0], 1, AME__RANKS_MAX, &parser->app->ranks);
}

static int set_per_host(struct parser *parser, char **values)
{
    return parse_int(parser, values[0], 1, AME__RANKS_MAX, &parser->options->per_host);
}

static int set_directory(struct parser *parser, char **values)
{
    replace(&parser->app->directory, values[0]);
    return AME_OK;
}

/* "V", "V=x", and lists of these separated by ','. */
static int add_exports(struct parser *parser, struct ame__settings *settings, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        const char *equals = memchr(text, '=', length);
        if (equals) length = strlen(text); /* a value may hold commas: it reaches to the end */
        size_t name = equals ? (size_t) (equals - text) : length;
        if (!name) return bad(parser, text, "NAME or NAME=VALUE");
        add_setting(settings, text, name, equals ? equals + 1 : NULL);
        text += length;
        if (*text == ',') text++;
    }
    return AME_OK;
}

static int add_export(struct parser *parser, char **values)
{
    return add_exports(parser, &parser->options->env, values[0]);
}

/* srun's --export=ALL,NAME,NAME=VALUE or NONE */
static int set_export_policy(struct parser *parser, char **values)
{
    const char *text = values[0];
    if (!strcasecmp(text, "NONE")) {
        parser->options->env_policy = AME__ENV_NONE;
        return AME_OK;
    }
    if (!strncasecmp(text, "ALL", 3) && (!text[3] || text[3] == ',')) {
        text += text[3] ? 4 : 3;
        return add_exports(parser, &parser->options->env, text);
    }
    parser->options->env_policy = AME__ENV_NONE;
    return add_exports(parser, &parser->options->env, text);
}

static int add_env(struct parser *parser, char **values)
{
    add_setting(&parser->app->env, values[0], strlen(values[0]), values[1]);
    return AME_OK;
}

static int add_genv(struct parser *parser, char **values)
{
    add_setting(&parser->options->env, values[0], strlen(values[0]), values[1]);
    return AME_OK;
}

static int set_env_all(struct parser *parser, char **values)
{
    (void) values;
    parser->options->env_policy = AME__ENV_ALL;
    return AME_OK;
}

static int set_env_none(struct parser *parser, char **values)
{
    (void) values;
    parser->options->env_policy = AME__ENV_NONE;
    return AME_OK;
}

static int set_env_list(struct parser *parser, char **values)
{
    parser->options->env_policy = AME__ENV_LIST;
    replace(&parser->options->env_list, values[0]);
    return AME_OK;
}

static int set_tag(struct parser *parser, char **values)
{
    (void) values;
    replace(&parser->options->tag, "[%r] ");
    return AME_OK;
}

static int set_tag_pattern(struct parser *parser, char **values)
{
    replace(&parser->options->tag, values[0]);
    return AME_OK;
}

static int set_tag_time(struct parser *parser, char **values)
{
    (void) values;
    char *old = parser->options->tag;
    parser->options->tag = ame__xprintf("%%t %s", old ? old : "");
    free(old);
    return AME_OK;
}

static int set_out_pattern(struct parser *parser, char **values)
{
    replace(&parser->options->out_pattern, values[0]);
    return AME_OK;
}

static int set_err_pattern(struct parser *parser, char **values)
{
    replace(&parser->options->err_pattern, values[0]);
    return AME_OK;
}

static int set_both_patterns(struct parser *parser, char **values)
{
    char *pattern = strstr(values[0], "%r") ? ame__xstrdup(values[0]) : ame__xprintf("%s.%%r", values[0]);
    replace(&parser->options->out_pattern, pattern);
    replace(&parser->options->err_pattern, pattern);
    free(pattern);
    return AME_OK;
}

static int set_output(struct parser *parser, char **values)
{
    if (!strcmp(values[0], "raw"))
        parser->options->raw = true;
    else if (!strcmp(values[0], "tag"))
        return set_tag(parser, NULL);
    else if (!strncmp(values[0], "file=", 5))
        return set_both_patterns(parser, (char *[]){values[0] + 5});
    else if (strcmp(values[0], "line") != 0)
        return bad(parser, values[0], "one of raw, line, tag, file=PATTERN");
    return AME_OK;
}

static int set_only(struct parser *parser, char **values)
{
    if (strspn(values[0], "0123456789,-") != strlen(values[0]))
        return bad(parser, values[0], "a list of ranks such as 0,4-7");
    replace(&parser->options->only, values[0]);
    return AME_OK;
}

static int set_stdin(struct parser *parser, char **values)
{
    if (!strcmp(values[0], "all"))
        parser->options->stdin_mode = AME__STDIN_ALL;
    else if (!strcmp(values[0], "none"))
        parser->options->stdin_mode = AME__STDIN_NONE;
    else {
        parser->options->stdin_mode = AME__STDIN_RANK;
        if (!isdigit((unsigned char) values[0][0])) return bad(parser, values[0], "a rank, all or none");
        return parse_int(parser, values[0], 0, AME__RANKS_MAX, &parser->options->stdin_rank);
    }
    return AME_OK;
}

static int set_pty(struct parser *parser, char **values)
{
    return parse_int(parser, values[0], 0, AME__RANKS_MAX, &parser->options->pty_rank);
}

static int set_timeout(struct parser *parser, char **values)
{
    return parse_seconds(parser, values[0], &parser->options->timeout);
}

static int set_grace(struct parser *parser, char **values)
{
    return parse_seconds(parser, values[0], &parser->options->grace);
}

static int set_on_failure(struct parser *parser, char **values)
{
    if (!strcmp(values[0], "end"))
        parser->options->on_failure = AME__ON_FAILURE_END;
    else if (!strcmp(values[0], "continue"))
        parser->options->on_failure = AME__ON_FAILURE_CONTINUE;
    else
        return bad(parser, values[0], "end or continue");
    return AME_OK;
}

static int set_continue(struct parser *parser, char **values)
{
    (void) values;
    parser->options->on_failure = AME__ON_FAILURE_CONTINUE;
    return AME_OK;
}

static int set_mapping(struct parser *parser, char **values)
{
    struct ame__mapping *mapping = &parser->options->mapping;
    const char *name = parser->name + strspn(parser->name, "-");
    int tries;
    switch (*name) {
    case 'm': replace(&mapping->command, values[0]); break;
    case 'a': replace(&mapping->file, values[0]); break;
    case 'j': replace(&mapping->joblog, values[0]); break;
    case 'k': mapping->ordered = true; break;
    default:
        if (!values[0]) {
            mapping->resume = true;
            break;
        }
        if (parse_int(parser, values[0], 1, 1000, &tries)) return AME_E_CONFIG;
        replace(&mapping->tries, values[0]);
    }
    return AME_OK;
}

static int set_bind(struct parser *parser, char **values)
{
    static const struct {
        const char *name;
        enum ame__bind bind;
    } names[] = {{"none", AME__BIND_NONE},       {"hwthread", AME__BIND_HWTHREAD}, {"hwt", AME__BIND_HWTHREAD},
                 {"thread", AME__BIND_HWTHREAD}, {"core", AME__BIND_CORE},         {"cores", AME__BIND_CORE},
                 {"numa", AME__BIND_NUMA},       {"socket", AME__BIND_SOCKET},     {"package", AME__BIND_SOCKET}};
    struct ame__options *options = parser->options;
    size_t length = strcspn(values[0], ":");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].name) != length || strncmp(values[0], names[i].name, length) != 0) continue;
        options->bind = names[i].bind;
        options->bind_given = true;
        const char *rest = values[0] + length;
        if (isdigit((unsigned char) rest[0] ? rest[1] : 0))
            return parse_int(parser, rest + 1, 1, 8192, &options->cpus_per_rank);
        return AME_OK;
    }
    return bad(parser, values[0], "one of none, hwthread, core, core:N, numa, socket");
}

static int set_gpus(struct parser *parser, char **values)
{
    return parse_int(parser, values[0], 1, 256, &parser->options->gpus_per_rank);
}

static int set_bind_named(struct parser *parser, char **values)
{
    const char *kind = strrchr(parser->name, '-') + 1;
    (void) values;
    return set_bind(parser, (char *[]){(char *) kind});
}

/* One part of --map-by between its colons: slot, node, ppr:N:node (three parts), pe=N, or a word without effect. */
static int set_map_part(struct parser *parser, const char *part, const char **next)
{
    struct ame__options *options = parser->options;
    size_t length = strcspn(part, ":,");
    char *word = ame__xprintf("%.*s", (int) length, part);
    int rc = AME_OK;
    *next = part + length + (part[length] != '\0');
    if (!strncasecmp(word, "pe=", 3)) {
        rc = parse_int(parser, word + 3, 1, 8192, &options->cpus_per_rank);
    } else if (!strcasecmp(word, "node") || !strcasecmp(word, "host")) {
        options->map = AME__MAP_NODE;
    } else if (!strcasecmp(word, "slot")) {
        options->map = AME__MAP_SLOT;
    } else if (!strcasecmp(word, "ppr")) {
        size_t digits = strcspn(*next, ":");
        char *number = ame__xprintf("%.*s", (int) digits, *next);
        rc = parse_int(parser, number, 1, AME__RANKS_MAX, &options->per_host);
        free(number);
        *next += digits + ((*next)[digits] != '\0');
        if (rc == AME_OK && strncasecmp(*next, "node", 4) != 0) note_ignored(parser, part);
        *next += strcspn(*next, ":,");
        *next += **next != '\0';
    } else {
        note_ignored(parser, word); /* the order inside of a host */
    }
    free(word);
    return rc;
}

static int set_map(struct parser *parser, char **values)
{
    int rc = AME_OK;
    for (const char *at = values[0]; rc == AME_OK && *at;) rc = set_map_part(parser, at, &at);
    return rc;
}

static int set_hosts(struct parser *parser, char **values)
{
    if (ame__hosts_add_list(&parser->options->hosts, values[0]) == AME_OK) return AME_OK;
    return ame__error_prefix(AME_E_CONFIG, "option %s", parser->name);
}

static int set_hostfile(struct parser *parser, char **values)
{
    char *line = NULL;
    size_t size = 0;
    int rc = AME_OK, number = 0;
    FILE *file = fopen(values[0], "re");
    if (!file)
        return ame__fail(AME_E_CONFIG, "option %s: cannot read '%s': %s", parser->name, values[0], strerror(errno));
    while (rc == AME_OK && getline(&line, &size, file) >= 0) {
        number++;
        rc = ame__hosts_add_line(&parser->options->hosts, line);
    }
    if (rc != AME_OK)
        ame__error_prefix(rc, "%s, line %d", values[0], number);
    else if (!parser->options->hosts.count)
        rc = ame__fail(AME_E_CONFIG, "option %s: there are no hosts in '%s'", parser->name, values[0]);
    free(line);
    fclose(file);
    return rc;
}

static int set_launcher(struct parser *parser, char **values)
{
    static const struct {
        const char *name;
        enum ame__launcher launcher;
    } names[] = {{"ssh", AME__LAUNCHER_SSH},     {"rsh", AME__LAUNCHER_SSH},   {"slurm", AME__LAUNCHER_SLURM},
                 {"srun", AME__LAUNCHER_SLURM},  {"fork", AME__LAUNCHER_FORK}, {"local", AME__LAUNCHER_FORK},
                 {"auto", AME__LAUNCHER_DEFAULT}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(values[0], names[i].name) != 0) continue;
        parser->options->launcher = names[i].launcher;
        if (!strcasecmp(values[0], "rsh") && !parser->options->launcher_exec)
            replace(&parser->options->launcher_exec, "rsh");
        return AME_OK;
    }
    return bad(parser, values[0], "one of ssh, rsh, slurm, fork");
}

static int set_launcher_exec(struct parser *parser, char **values)
{
    replace(&parser->options->launcher_exec, values[0]);
    return AME_OK;
}

static int set_interface(struct parser *parser, char **values)
{
    add_setting(&parser->options->env, "AME_IFACE", 9, values[0]);
    return AME_OK;
}

static int set_flag(struct parser *parser, char **values)
{
    struct ame__options *options = parser->options;
    const char *name = parser->name + strspn(parser->name, "-");
    (void) values;
    if (!strcmp(name, "report-bindings"))
        options->report_bindings = true;
    else if (!strcmp(name, "dry-run") || !strcmp(name, "test-only") || !strcmp(name, "do-not-launch"))
        options->dry_run = true;
    else if (!strcmp(name, "no-mpi"))
        options->no_mpi = true;
    else if (!strcmp(name, "print-all-exitcodes"))
        options->print_exits = true;
    else if (!strcmp(name, "q") || !strcmp(name, "quiet"))
        options->quiet = true;
    else
        options->verbose = true;
    return AME_OK;
}

static int ignore(struct parser *parser, char **values)
{
    note_ignored(parser, values[0]);
    return AME_OK;
}

static int ignore_pair(struct parser *parser, char **values)
{
    char *both = ame__xprintf("%s %s", values[0], values[1]);
    note_ignored(parser, both);
    free(both);
    return AME_OK;
}

/* A file with one line per program, '#' for comments; words are separated by blanks, quotes hold a word together. */
static char **split_words(char *line, int *count)
{
    char **words = NULL;
    *count = 0;
    for (char *at = line;;) {
        at += strspn(at, " \t\r\n");
        if (!*at || *at == '#') return words;
        char *out = at, quote = 0;
        words = ame__xrealloc(words, ((size_t) *count + 2) * sizeof *words);
        words[(*count)++] = out;
        for (; *at && (quote || !strchr(" \t\r\n", *at)); at++) {
            if (quote ? *at == quote : *at == '"' || *at == '\'')
                quote = quote ? 0 : *at;
            else
                *out++ = *at;
        }
        bool last = !*at;
        *out = '\0';
        at += !last;
        words[*count] = NULL;
    }
}

static struct ame__app *new_app(struct ame__options *options)
{
    options->apps = ame__xrealloc(options->apps, (options->app_count + 1) * sizeof *options->apps);
    struct ame__app *app = &options->apps[options->app_count++];
    memset(app, 0, sizeof *app);
    return app;
}

static void keep(struct ame__options *options, void *memory)
{
    options->kept = ame__xrealloc(options->kept, (options->kept_count + 1) * sizeof *options->kept);
    options->kept[options->kept_count++] = memory;
}

static int read_configfile(struct parser *parser, char **values)
{
    char *line = NULL;
    size_t size = 0;
    int rc = AME_OK;
    if (parser->depth++) return ame__fail(AME_E_CONFIG, "option %s: not inside of a file of programs", parser->name);
    FILE *file = fopen(values[0], "re");
    if (!file)
        return ame__fail(AME_E_CONFIG, "option %s: cannot read '%s': %s", parser->name, values[0], strerror(errno));
    while (rc == AME_OK && getline(&line, &size, file) >= 0) {
        int count;
        char *text = ame__xstrdup(line);
        char **words = split_words(text, &count);
        keep(parser->options, text);
        keep(parser->options, words);
        if (count && parser->app->argc) parser->app = new_app(parser->options);
        if (count) rc = parse_words(parser, words, count);
    }
    free(line);
    fclose(file);
    return rc;
}

static int show_help(struct parser *parser, char **values);
static int show_version(struct parser *parser, char **values);
static int show_status(struct parser *parser, char **values);

/* ---- the table ----------------------------------------------------------------------------------- */

#define GROUP(title)                                                                                                   \
    {                                                                                                                  \
        "", title, 0, NULL, NULL                                                                                       \
    }
static const struct entry table[] = {
    GROUP("Ranks"),
    {"n np c", "N", 1, set_ranks, "number of ranks (default: the CPUs that ameexec may use)"},
    {"ppn N npernode ntasks-per-node", "N", 1, set_per_host, "ranks per host (default: its slots)"},
    {"host hosts H", "LIST", 1, set_hosts, "hosts, with slots: a,b:4,user@c:2"},
    {"f hostfile machinefile", "FILE", 1, set_hostfile, "file of hosts: lines 'host:N' or 'host slots=N'"},
    {"configfile app", "FILE", 1, read_configfile, "one program per line, each with its options"},
    {"wdir wd chdir D", "DIRECTORY", 1, set_directory, "working directory of the program that follows"},
    GROUP("Environment"),
    {"x", "NAME[=VALUE]", 1, add_export, "set a variable, or hand it on (FOO* for all that begin with FOO)"},
    {"genv", "NAME VALUE", 2, add_genv, "set a variable for all programs"},
    {"env", "NAME VALUE", 2, add_env, "set a variable for the program that follows"},
    {"export", "LIST", 1, set_export_policy, "ALL, NONE or a list of NAME and NAME=VALUE, as in srun"},
    {"genvall envall", "", 0, set_env_all, "hand on the whole environment (default)"},
    {"genvnone envnone", "", 0, set_env_none, "hand on nothing but what is named"},
    {"genvlist envlist", "LIST", 1, set_env_list, "hand on these variables only"},
    GROUP("Output and input"),
    {"l prepend-rank tag-output label tag", "", 0, set_tag, "begin each line with the rank: '[3] '"},
    {"prepend-pattern", "PATTERN", 1, set_tag_pattern, "begin each line so: %r rank, %h host, %p process, %t time"},
    {"timestamp-output", "", 0, set_tag_time, "begin each line with the time"},
    {"outfile-pattern o", "PATTERN", 1, set_out_pattern, "standard output to a file: %r %h %p %t as above"},
    {"errfile-pattern e", "PATTERN", 1, set_err_pattern, "standard error to a file"},
    {"output-filename", "PATTERN", 1, set_both_patterns, "both to one file per rank (.%r is added when missing)"},
    {"output", "HOW", 1, set_output, "line (default), tag, raw (ranks write directly) or file=PATTERN"},
    {"output-from local-ranks-filter", "RANKS", 1, set_only, "show the output of these ranks only, such as 0,4-7"},
    {"s stdin i", "WHO", 1, set_stdin, "who reads standard input: a rank (default 0), all or none"},
    {"pty", "RANK", 1, set_pty, "give this rank a terminal, for a debugger or a prompt"},
    GROUP("Placement"),
    {"bind-to", "WHAT", 1, set_bind, "none (default), hwthread, core, core:N, numa or socket"},
    {"map-by", "HOW", 1, set_map, "slot (default), node (one on each host in turn), ppr:N:node; :pe=N cores"},
    {"gpus-per-rank gpus-per-proc gpus-per-task", "K", 1, set_gpus,
     "each rank sees K GPUs of its host (CUDA_VISIBLE_DEVICES)"},
    {"launcher", "HOW", 1, set_launcher, "how other hosts are reached: ssh, rsh, slurm, fork (all ranks here)"},
    {"launcher-exec", "PATH", 1, set_launcher_exec, "the program that reaches them, in place of ssh"},
    {"iface", "NAMES", 1, set_interface, "the network interface that ranks use (AME_IFACE)"},
    {"no-mpi", "", 0, set_flag, "leave MPI programs to another MPI library (see ame-env)"},
    {"report-bindings", "", 0, set_flag, "print the CPUs of each rank"},
    GROUP("Failures and signals"),
    {"timeout", "SECONDS", 1, set_timeout, "end the job after this time with code 124 (also MPIEXEC_TIMEOUT)"},
    {"grace", "SECONDS", 1, set_grace, "time between SIGTERM and SIGKILL (default 3)"},
    {"on-failure", "WHAT", 1, set_on_failure, "what the failure of a rank does: end the job (default) or continue"},
    {"print-all-exitcodes", "", 0, set_flag, "print rank, process, end and time of each rank"},
    GROUP("A command for each line of input"),
    {"map", "COMMAND", 1, set_mapping, "run COMMAND for each line, on all ranks: {} is the line, {#} its number"},
    {"a arg-file", "FILE", 1, set_mapping, "read the lines from FILE, not from standard input"},
    {"k keep-order", "", 0, set_mapping, "print what the commands print in the order of the lines"},
    {"retries", "N", 1, set_mapping, "run a command that fails up to N times"},
    {"joblog", "FILE", 1, set_mapping, "write a line about each command to FILE"},
    {"resume", "", 0, set_mapping, "pass over the commands that --joblog FILE shows as done"},
    GROUP("Information"),
    {"status", "[JOB]", 0, show_status, "what the ranks of a running job are doing; alone on the command line"},
    {"v verbose info", "", 0, set_flag, "tell what is done"},
    {"q quiet", "", 0, set_flag, "do not tell which rank failed"},
    {"dry-run test-only do-not-launch", "", 0, set_flag, "print the plan, start nothing"},
    {"V version", "", 0, show_version, "print the version"},
    {"h help", "", 0, show_help, "print this"},
    /* Accepted so that existing scripts run. */
    {"oversubscribe nooversubscribe overcommit use-hwthread-cpus allow-run-as-root "
     "disable-hostname-propagation kill-on-bad-exit",
     "", 0, ignore, NULL},
    {"disable-auto-cleanup enable-recovery", "", 0, set_continue, NULL}, /* Hydra's and Open MPI's names */
    {"mca gmca pmixmca prtemca", "KEY VALUE", 2, ignore_pair, NULL},
    {"bind-to-core bind-to-socket bind-to-none", "", 0, set_bind_named, NULL},
    {"rmk rank-by mpi ranks-per-proc display display-map prefix start-timeout", "X", 1, ignore, NULL},
};
#define TABLE_LENGTH (sizeof table / sizeof *table)

/* Calls `visit` for each name of the entry until it returns true. */
static bool has_name(const struct entry *entry, const char *name, size_t length)
{
    for (const char *at = entry->names; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        if (size == length && !strncmp(at, name, size)) return true;
        at += size;
    }
    return false;
}

static const struct entry *find(const char *name, size_t length)
{
    for (size_t i = 0; i < TABLE_LENGTH; i++)
        if (has_name(&table[i], name, length)) return &table[i];
    return NULL;
}

static int show_help(struct parser *parser, char **values)
{
    (void) parser, (void) values;
    printf("usage: ameexec [options] [-n N] program [arguments] [: [options] [-n N] program [arguments]]...\n\n"
           "Starts N copies of a program, the ranks 0 to N-1 of one job, and ends with the exit code of the first\n"
           "that fails (128 + signal when killed, 124 after --timeout, 127 not found, 126 not executable).\n"
           "Options have one dash or two.\n");
    for (size_t i = 0; i < TABLE_LENGTH; i++) {
        const struct entry *entry = &table[i];
        char left[120] = "";
        if (!entry->handle) printf("\n%s\n", entry->arguments);
        if (!entry->help) continue;
        for (const char *at = entry->names; *at; at += strspn(at, " ")) {
            size_t size = strcspn(at, " ");
            size_t used = strlen(left);
            snprintf(left + used, sizeof left - used, "%s%s%.*s", used ? ", " : "", size == 1 ? "-" : "--", (int) size,
                     at);
            at += size;
        }
        size_t used = strlen(left);
        snprintf(left + used, sizeof left - used, "%s%s", *entry->arguments ? " " : "", entry->arguments);
        if (strlen(left) > 38)
            printf("  %s\n  %-38s%s\n", left, "", entry->help);
        else
            printf("  %-38s%s\n", left, entry->help);
    }
    return 1;
}

/* main.c has taken it already where it stands as it should. */
static int show_status(struct parser *parser, char **values)
{
    (void) values;
    return ame__fail(AME_E_CONFIG,
                     "option %s stands alone: ameexec --status, or ameexec --status JOB (a process id or name)",
                     parser->name);
}

static int show_version(struct parser *parser, char **values)
{
    (void) parser, (void) values;
    printf("ameexec (AME) %s\n", AME__VERSION);
    return 1;
}

static int unknown(const char *word, const char *name, size_t length)
{
    char wanted[80], nearest[80] = "";
    size_t best = length > 3 ? 3 : 2;
    snprintf(wanted, sizeof wanted, "%.*s", (int) length, name);
    for (size_t i = 0; i < TABLE_LENGTH; i++)
        for (const char *at = table[i].names; *at; at += strspn(at, " ")) {
            char candidate[80];
            size_t size = strcspn(at, " ");
            snprintf(candidate, sizeof candidate, "%.*s", (int) size, at);
            size_t distance = ame__edit_distance(wanted, candidate);
            if (size > 1 && distance < best) {
                best = distance;
                memcpy(nearest, candidate, sizeof nearest);
            }
            at += size;
        }
    if (*nearest) return ame__fail(AME_E_CONFIG, "unknown option '%s'; maybe --%s?", word, nearest);
    return ame__fail(AME_E_CONFIG, "unknown option '%s'; ameexec --help lists them", word);
}

/* ---- words --------------------------------------------------------------------------------------- */

/* "-n4": the number may follow directly. */
static const struct entry *find_glued(const char *name, size_t length, size_t *name_length)
{
    static const char *const glued[] = {"np", "n", "c", "N"};
    for (size_t i = 0; i < sizeof glued / sizeof *glued; i++) {
        size_t size = strlen(glued[i]);
        if (length > size && !strncmp(name, glued[i], size) && strspn(name + size, "0123456789") == length - size) {
            *name_length = size;
            return find(name, size);
        }
    }
    return NULL;
}

/* Handles words[0] and its arguments; returns how many words were used, 0 for help or version, or an error. */
static int parse_option(struct parser *parser, char **words, int count)
{
    char *name = words[0] + strspn(words[0], "-");
    size_t length = strcspn(name, "=");
    char *values[3] = {NULL};
    int used = 1, given = 0;
    const struct entry *entry = find(name, length);
    parser->name = words[0];
    if (!entry && !name[length]) {
        size_t size = 0;
        entry = find_glued(name, length, &size);
        if (entry) values[given++] = name + size;
    } else if (entry && name[length]) {
        if (!entry->count) return ame__fail(AME_E_CONFIG, "option --%.*s takes no value", (int) length, name);
        values[given++] = name + length + 1;
    }
    if (!entry) return unknown(words[0], name, length);
    while (given < entry->count) {
        char *equals = given == 1 && entry->handle != ignore_pair ? strchr(values[0], '=') : NULL;
        if (equals) { /* -genv NAME=VALUE */
            *equals = '\0';
            values[given++] = equals + 1;
            break;
        }
        if (used >= count)
            return ame__fail(AME_E_CONFIG, "option %s needs %s", words[0],
                             *entry->arguments ? entry->arguments : "a value");
        values[given++] = words[used++];
    }
    int rc = entry->handle(parser, values);
    return rc == AME_OK ? used : rc > 0 ? 0 : rc;
}

static int parse_words(struct parser *parser, char **words, int count)
{
    for (int i = 0; i < count;) {
        if (!strcmp(words[i], ":")) {
            if (!parser->app->argc) return ame__fail(AME_E_CONFIG, "no program before ':'");
            parser->app = new_app(parser->options);
            i++;
        } else if (!strcmp(words[i], "--") || words[i][0] != '-' || !words[i][1]) {
            i += !strcmp(words[i], "--");
            parser->app->argv = words + i;
            for (; i < count && strcmp(words[i], ":") != 0; i++) parser->app->argc++;
        } else {
            int used = parse_option(parser, words + i, count - i);
            if (used == 0) return 1;
            if (used < 0) return used;
            i += used;
        }
    }
    return AME_OK;
}

static const char *set_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Hosts of a batch system. One of several tasks of a Slurm step does not speak for the whole step. */
static int read_allocation(struct ame__options *options, const char **source)
{
    const char *value, *tasks = set_variable("SLURM_STEP_NUM_TASKS");
    bool step = set_variable("SLURM_STEP_ID") && set_variable("SLURM_STEP_NODELIST");
    *source = step ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
    if ((value = set_variable(*source))) {
        if (step && tasks && strcmp(tasks, "1") != 0) return AME_OK;
        const char *cpus = set_variable("SLURM_JOB_CPUS_PER_NODE");
        const char *counts = step ? cpus : set_variable("SLURM_NTASKS") ? set_variable("SLURM_TASKS_PER_NODE") : cpus;
        return ame__hosts_add_nodelist(&options->hosts, value, counts);
    }
    if ((value = set_variable(*source = "PBS_NODEFILE"))) {
        struct parser parser = {.options = options, .name = *source};
        return set_hostfile(&parser, (char *[]){(char *) value});
    }
    if ((value = set_variable(*source = "LSB_MCPU_HOSTS"))) return ame__hosts_add_pairs(&options->hosts, value);
    if ((value = set_variable(*source = "LSB_HOSTS"))) return ame__hosts_add_list(&options->hosts, value);
    return AME_OK;
}

/* What the environment says and the command line does not. */
static int read_surroundings(struct parser *parser)
{
    struct ame__options *options = parser->options;
    const char *value, *source = "HYDRA_HOST_FILE";
    int rc;
    if (options->launcher == AME__LAUNCHER_DEFAULT && (value = set_variable(parser->name = "HYDRA_LAUNCHER")))
        set_launcher(parser, (char *[]){(char *) value}); /* Hydra knows more of them than there are here */
    if (!options->launcher_exec && (value = set_variable("HYDRA_LAUNCHER_EXEC")))
        replace(&options->launcher_exec, value);
    if (options->hosts.count || options->launcher == AME__LAUNCHER_FORK) return AME_OK;
    parser->name = source;
    if ((value = set_variable(source)))
        rc = set_hostfile(parser, (char *[]){(char *) value});
    else
        rc = read_allocation(options, &source);
    if (rc != AME_OK) return ame__error_prefix(rc, "variable %s", source);
    if (options->hosts.count) replace(&options->allocation, source);
    return rc;
}

enum ame__parse_result ame__options_parse(int argc, char **argv, struct ame__options *options)
{
    memset(options, 0, sizeof *options);
    options->pty_rank = -1;
    options->grace = 3;
    struct parser parser = {.options = options, .app = new_app(options), .name = "MPIEXEC_TIMEOUT"};
    const char *limit = getenv("MPIEXEC_TIMEOUT");
    if (limit && *limit && parse_seconds(&parser, limit, &options->timeout) != AME_OK) return AME__PARSE_ERROR;
    int rc = parse_words(&parser, argv + 1, argc - 1);
    if (rc > 0) return AME__PARSE_DONE;
    if (rc < 0 || read_surroundings(&parser) != AME_OK) return AME__PARSE_ERROR;
    if (ame__mapping_prepare(options) != AME_OK) return AME__PARSE_ERROR;
    for (size_t i = 0; i < options->app_count; i++)
        if (!options->apps[i].argc) {
            ame__fail(AME_E_CONFIG, "no program given%s; usage: ameexec [options] -n N program [arguments]",
                      i ? " after ':'" : "");
            return AME__PARSE_ERROR;
        }
    return AME__PARSE_RUN;
}

static void finish_settings(struct ame__settings *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->items[i].name);
        free(settings->items[i].value);
    }
    free(settings->items);
}

void ame__options_finish(struct ame__options *options)
{
    for (size_t i = 0; i < options->app_count; i++) {
        free(options->apps[i].directory);
        finish_settings(&options->apps[i].env);
    }
    for (size_t i = 0; i < options->kept_count; i++) free(options->kept[i]);
    free(options->apps);
    free(options->kept);
    finish_settings(&options->env);
    free(options->env_list);
    free(options->tag);
    free(options->out_pattern);
    free(options->err_pattern);
    free(options->only);
    free(options->ignored);
    free(options->allocation);
    free(options->launcher_exec);
    free(options->mapping.command);
    free(options->mapping.file);
    free(options->mapping.joblog);
    free(options->mapping.tries);
    free(options->mapping.program);
    free(options->mapping.argv);
    ame__hosts_finish(&options->hosts);
    memset(options, 0, sizeof *options);
}
