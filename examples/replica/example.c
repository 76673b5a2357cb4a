/* example.c - see example.h */
#include "example.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *program = "example";

void example_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    ame_abort(1);
}

void example_check(int code)
{
    if (code != AME_OK) example_fail("%s", ame_last_error());
}

void *example_alloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) example_fail("out of memory");
    return memory;
}

/* ---- options ------------------------------------------------------------------------------------- */

static void print_default(const struct example_option *o)
{
    if (o->kind == EXAMPLE_NUMBER) printf(" (%llu)", (unsigned long long) *(uint64_t *) o->value);
    if (o->kind == EXAMPLE_REAL) printf(" (%g)", *(double *) o->value);
    if (o->kind == EXAMPLE_TEXT && *(const char **) o->value) printf(" (%s)", *(const char **) o->value);
}

static void print_help(const char *about, const struct example_option *options, size_t count)
{
    printf("%s\n\nOptions, with what they are if not given:\n", about);
    for (size_t i = 0; i < count; i++) {
        static const char *const values[] = {" N", " X", " TEXT", ""};
        char name[64];
        snprintf(name, sizeof name, "--%s%s", options[i].name, values[options[i].kind]);
        printf("  %-24s %s", name, options[i].help);
        print_default(&options[i]);
        printf("\n");
    }
}

/* NULL, or what is wrong with the value. */
static const char *take(const struct example_option *o, const char *value)
{
    char *end = NULL;
    if (o->kind == EXAMPLE_FLAG) {
        *(int *) o->value = 1;
        return NULL;
    }
    if (o->kind == EXAMPLE_TEXT) {
        *(const char **) o->value = value;
        return NULL;
    }
    double number = strtod(value, &end);
    if (!*value || *end) return "is not a number";
    if (!(number >= o->least && number <= o->most)) return "is out of range";
    if (o->kind == EXAMPLE_NUMBER && number != (double) (uint64_t) number) return "is not a whole number";
    if (o->kind == EXAMPLE_NUMBER)
        *(uint64_t *) o->value = (uint64_t) number;
    else
        *(double *) o->value = number;
    return NULL;
}

/* Reads all words; NULL, or an error text in `text`. */
static const char *read_options(int argc, char **argv, const struct example_option *options, size_t count,
                                char text[200])
{
    for (int i = 1; i < argc; i++) {
        const struct example_option *o = NULL;
        const char *word = argv[i], *equals = strchr(word, '=');
        size_t length = equals ? (size_t) (equals - word) : strlen(word);
        for (size_t k = 0; k < count && strncmp(word, "--", 2) == 0; k++)
            if (strlen(options[k].name) == length - 2 && strncmp(options[k].name, word + 2, length - 2) == 0)
                o = &options[k];
        const char *value = equals ? equals + 1 : NULL, *wrong = NULL;
        if (!o)
            wrong = "is not an option; see --help";
        else if (o->kind != EXAMPLE_FLAG && !value && i + 1 < argc)
            value = argv[++i];
        if (o && o->kind != EXAMPLE_FLAG && !value) wrong = "needs a value";
        if (!wrong) wrong = take(o, value);
        if (!wrong) continue;
        snprintf(text, 200, "%.60s%s%.60s %s", word, value && !equals ? " " : "", value && !equals ? value : "", wrong);
        return text;
    }
    return NULL;
}

void example_begin(int argc, char **argv, const char *about, const struct example_option *options, size_t count)
{
    const char *slash = strrchr(argv[0], '/');
    program = slash ? slash + 1 : argv[0];
    if (ame_init() != AME_OK) {
        fprintf(stderr, "%s: %s\n", program, ame_last_error());
        exit(1);
    }
    int rank = ame_comm_rank(AME_COMM_WORLD), help = 0;
    for (int i = 1; i < argc; i++) help |= strcmp(argv[i], "--help") == 0;
    if (help && rank == 0) print_help(about, options, count);
    char text[200];
    const char *wrong = help ? NULL : read_options(argc, argv, options, count, text);
    if (wrong && rank == 0) fprintf(stderr, "%s: %s\n", program, wrong);
    if (!help && !wrong) return;
    int code = ame_finalize() != AME_OK;
    exit(wrong ? 2 : code);
}

/* ---- output -------------------------------------------------------------------------------------- */

void example_progress(const char *what, uint64_t done, uint64_t all, double seconds)
{
    static double last = 0;
    if (done < all && seconds - last < 2) return;
    if (done == all && last == 0) return; /* it was short */
    last = seconds;
    double left = done ? seconds / (double) done * (double) (all - done) : 0;
    printf("%s %llu of %llu, %.0f s, %.0f s to go\n", what, (unsigned long long) done, (unsigned long long) all,
           seconds, left);
    fflush(stdout);
}

void example_workers(const ame_replicas *set, uint64_t replicas)
{
    ame_replicas_report report;
    example_check(ame_replicas_inspect(set, &report));
    printf("%llu replicas on %d worker%s:\n", (unsigned long long) replicas, report.workers,
           report.workers == 1 ? "" : "s");
    int size = ame_comm_size(AME_COMM_WORLD);
    for (int rank = 0; rank < size; rank++) { /* each description once, with the ranks that have it */
        const char *where = ame_replicas_worker(set, rank);
        int seen = !*where, count = 0;
        for (int other = 0; other < rank; other++) seen |= strcmp(ame_replicas_worker(set, other), where) == 0;
        for (int other = rank; other < size; other++) count += strcmp(ame_replicas_worker(set, other), where) == 0;
        if (!seen) printf("  %d x %s\n", count, where);
    }
    fflush(stdout);
}

int example_run(const ame_replica_kind *kind, uint64_t count, uint64_t seed, const char *options,
                int (*coordinate)(ame_replicas *set))
{
    ame_replicas *set;
    int code = 0;
    example_check(ame_replicas_open(AME_COMM_WORLD, kind, count, seed, options, &set));
    if (ame_comm_rank(AME_COMM_WORLD) == 0)
        code = coordinate(set);
    else
        example_check(ame_replicas_serve(set));
    example_check(ame_replicas_close(&set));
    return ame_finalize() == AME_OK ? code : 1;
}

void example_busy(const ame_replicas_report *report)
{
    printf("%d worker%s busy %.0f %% of %.1f s\n", report->workers, report->workers == 1 ? "" : "s",
           100 * report->busy / report->seconds / report->workers, report->seconds);
}

FILE *example_file(const char *prefix, const char *ending)
{
    char path[1024];
    snprintf(path, sizeof path, "%s%s", prefix, ending);
    FILE *file = fopen(path, "we");
    if (!file) example_fail("cannot write %s: %s", path, strerror(errno));
    return file;
}

void example_close(FILE *file)
{
    int wrong = ferror(file) ? EIO : 0;
    if (fclose(file)) wrong = errno;
    if (wrong) example_fail("cannot write the results: %s", strerror(wrong));
}
