#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_text[AME__ERROR_TEXT_MAX];

const char *ame_strerror(int code)
{
    switch (code) {
    case AME_OK: return "success";
#define TEXT(name, value, text)                                                                                        \
    case name: return text;
        AME_ERROR_LIST(TEXT)
#undef TEXT
    default: return "unknown error code";
    }
}

const char *ame_errname(int code)
{
    switch (code) {
    case AME_OK: return "AME_OK";
#define NAME(name, value, text)                                                                                        \
    case name: return #name;
        AME_ERROR_LIST(NAME)
#undef NAME
    default: return "AME_E_unknown";
    }
}

const char *ame_last_error(void)
{
    return error_text;
}

const char *ame__error_text(void)
{
    return error_text;
}

const char *ame__errno_name(int err)
{
    const char *name = strerrorname_np(err);
    return name ? name : "errno";
}

int ame__fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error_text, sizeof error_text, format, args);
    va_end(args);
    return code;
}

int ame__fail_errno(int err, const char *format, ...)
{
    char text[AME__ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ame__fail(AME_E_SYSTEM, "%.800s: %s: %s", text, ame__errno_name(err), strerror(err));
}

int ame__error_prefix(int code, const char *format, ...)
{
    char prefix[AME__ERROR_TEXT_MAX / 4];
    char old[AME__ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(old, error_text, sizeof old);
    return ame__fail(code, "%s: %.760s", prefix, old);
}

int ame__error_adopt(int code, const char *text)
{
    return ame__fail(code, "%s", text ? text : ame_strerror(code));
}
