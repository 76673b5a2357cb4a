/* error.h - how a failure travels.
 *
 * An error is worded once, where it is decided, by ame__fail(); its code then goes up unchanged. The text is kept per
 * thread. An operation that fails while another thread makes progress keeps its text in the operation
 * (ame__error_text_dup) and hands it to the thread that asks for the result (ame__error_adopt).
 */
#ifndef AME_BASE_ERROR_H
#define AME_BASE_ERROR_H

#include <ame.h>

#define AME__ERROR_TEXT_MAX 1024

/* Sets this thread's error text and returns `code`. */
int ame__fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Like ame__fail(AME_E_SYSTEM...) with ": <errno name>: <errno text>" added for `err`. */
int ame__fail_errno(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* This thread's error text. */
const char *ame__error_text(void);
/* Puts `prefix` and ": " before this thread's error text; returns `code`. */
int ame__error_prefix(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes `text` (copied) this thread's error text; returns `code`. */
int ame__error_adopt(int code, const char *text);
/* "EPIPE" for EPIPE; "errno" when the number has no name here. */
const char *ame__errno_name(int err);

#endif
