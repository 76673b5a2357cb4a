#include "vars.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

const struct ame__var_info ame__var_table[AME__VAR_COUNT] = {
#define ROW(id, group, kind, def, min, max, help) {"AME_" #id, AME__VAR_##group, AME__VAR_##kind, def, min, max, help},
    AME__VARS(ROW)
#undef ROW
};

extern char **environ;

bool ame__var_is_set(enum ame__var var)
{
    const char *text = getenv(ame__var_table[var].name);
    return text && *text;
}

const char *ame__var_text(enum ame__var var)
{
    const char *text = getenv(ame__var_table[var].name);
    if (text && *text) return text;
    return ame__var_table[var].group == AME__VAR_BY_LAUNCHER ? NULL : ame__var_table[var].default_text;
}

static double unit_of(const char *end)
{
    switch (*end) {
    case 'k':
    case 'K': return 1024.0;
    case 'm':
    case 'M': return 1024.0 * 1024;
    case 'g':
    case 'G': return 1024.0 * 1024 * 1024;
    default: return 0;
    }
}

int ame__var_number(enum ame__var var, double *value)
{
    const struct ame__var_info *info = &ame__var_table[var];
    const char *text = ame__var_text(var);
    if (!text) return ame__fail(AME_E_CONFIG, "%s is not set", info->name);
    char *end;
    double number = strtod(text, &end);
    bool good = end != text;
    if (good && info->kind == AME__VAR_BYTES && unit_of(end) > 0) {
        number *= unit_of(end);
        end++;
    }
    if (!good || *end || !(number >= info->minimum && number <= info->maximum))
        return ame__fail(AME_E_CONFIG, "%s='%s': must be a number from %.15g to %.15g%s (%s)", info->name, text,
                         info->minimum, info->maximum,
                         info->kind == AME__VAR_BYTES     ? " bytes, with k, M or G as ending if you like"
                         : info->kind == AME__VAR_SECONDS ? " seconds"
                                                          : "",
                         info->help);
    *value = number;
    return AME_OK;
}

int ame__var_bytes(enum ame__var var, size_t *value)
{
    double number;
    int code = ame__var_number(var, &number);
    if (code == AME_OK) *value = (size_t) number;
    return code;
}

int ame__var_flag(enum ame__var var, bool *value)
{
    const char *text = ame__var_text(var);
    if (!text || strlen(text) != 1 || (*text != '0' && *text != '1'))
        return ame__fail(AME_E_CONFIG, "%s='%s': must be 0 or 1 (%s)", ame__var_table[var].name, text ? text : "",
                         ame__var_table[var].help);
    *value = *text == '1';
    return AME_OK;
}

size_t ame__edit_distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    size_t row[MOST + 1], length_a = strlen(a), length_b = strlen(b);
    if (length_a > MOST || length_b > MOST) return MOST;
    for (size_t j = 0; j <= length_b; j++) row[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t best = diagonal + (toupper((unsigned char) a[i - 1]) != toupper((unsigned char) b[j - 1]));
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length_b];
}

static void check_name(const char *name, void (*unknown)(const char *, const char *, void *), void *arg)
{
    const char *nearest = NULL;
    size_t best = 4;
    for (int var = 0; var < AME__VAR_COUNT; var++) {
        size_t distance = ame__edit_distance(name, ame__var_table[var].name);
        if (distance == 0) return;
        if (distance < best) {
            best = distance;
            nearest = ame__var_table[var].name;
        }
    }
    unknown(name, nearest, arg);
}

void ame__vars_check_names(void (*unknown)(const char *name, const char *nearest, void *arg), void *arg)
{
    for (char **entry = environ; *entry; entry++) {
        char name[64];
        size_t length = strcspn(*entry, "=");
        if (strncmp(*entry, "AME_", 4) || length >= sizeof name) continue;
        memcpy(name, *entry, length);
        name[length] = '\0';
        check_name(name, unknown, arg);
    }
}
