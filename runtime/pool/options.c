#include "options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/vars.h"

struct option {
    const char *name;
    enum ame__option_kind kind;
    double def, min, max;
    size_t offset;
};

static const struct option table[] = {
#define ROW(name, kind, def, min, max, help)                                                                           \
    {#name, AME__OPTION_##kind, def, min, max, offsetof(struct ame__pool_options, name)},
    AME__POOL_OPTIONS(ROW)
#undef ROW
};
enum { COUNT = sizeof table / sizeof table[0] };

static double *value_of(struct ame__pool_options *options, const struct option *option)
{
    return (double *) (void *) ((char *) options + option->offset);
}

void ame__options_init(struct ame__pool_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < COUNT; i++) *value_of(options, &table[i]) = table[i].def;
}

void ame__options_free(struct ame__pool_options *options)
{
    free(options->journal);
    free(options->job);
    options->journal = options->job = NULL;
}

static int unknown(const char *name, const char *function)
{
    const char *best = "journal";
    size_t least = ame__edit_distance(name, best);
    for (size_t i = 0; i < COUNT; i++) {
        size_t distance = ame__edit_distance(name, table[i].name);
        if (distance >= least) continue;
        least = distance;
        best = table[i].name;
    }
    return ame__fail(AME_E_CONFIG, "%s: there is no option '%s' of a pool%s%s%s", function, name,
                     least <= 3 ? "; maybe '" : "", least <= 3 ? best : "", least <= 3 ? "'?" : "");
}

static int set_text(char **field, const char *value, const char *function)
{
    char *copy = *value ? strdup(value) : NULL;
    if (*value && !copy) return ame__fail(AME_E_NOMEM, "%s: out of memory", function);
    free(*field);
    *field = copy;
    return AME_OK;
}

int ame__option_set(struct ame__pool_options *options, const char *name, const char *value, const char *function)
{
    if (!name || !value) return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL", function, name ? "value" : "name");
    if (!strcmp(name, "journal")) return set_text(&options->journal, value, function);
    if (!strcmp(name, "job")) return set_text(&options->job, value, function);
    const struct option *option = NULL;
    for (size_t i = 0; i < COUNT && !option; i++)
        if (!strcmp(name, table[i].name)) option = &table[i];
    if (!option) return unknown(name, function);
    char *end;
    double number = strtod(value, &end);
    if (end != value && option->kind == AME__OPTION_BYTES && *end) {
        static const char units[] = "kmg";
        const char *unit = strchr(units, tolower((unsigned char) *end));
        for (const char *u = units; unit && u <= unit; u++) number *= 1024;
        if (unit) end++;
    }
    bool whole = option->kind == AME__OPTION_SECONDS || option->kind == AME__OPTION_BYTES ||
                 number == (double) (long long) number;
    if (end == value || *end || !whole || !(number >= option->min && number <= option->max))
        return ame__fail(AME_E_CONFIG, "%s: option '%s' of a pool is '%.100s'; it must be %s from %g to %g", function,
                         name, value,
                         option->kind == AME__OPTION_FLAG || option->kind == AME__OPTION_NUMBER ? "a number"
                         : option->kind == AME__OPTION_SECONDS                                  ? "seconds"
                                                                                                : "bytes",
                         option->min, option->max);
    *value_of(options, option) = number;
    return AME_OK;
}

int ame__options_parse(struct ame__pool_options *options, const char *text, const char *function)
{
    char *copy = strdup(text ? text : ""), *rest = copy;
    if (!copy) return ame__fail(AME_E_NOMEM, "%s: out of memory", function);
    int code = AME_OK;
    for (char *word; !code && (word = strtok_r(rest, ", \t\n", &rest));) {
        char *value = strchr(word, '=');
        if (value) *value++ = '\0';
        code = value ? ame__option_set(options, word, value, function)
                     : ame__fail(AME_E_CONFIG, "%s: '%.100s' is not of the form name=value", function, word);
    }
    free(copy);
    return code;
}
