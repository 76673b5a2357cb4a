/* output.h - what ranks wrote, on its way to standard output, standard error or files. */
#ifndef AME_LAUNCHER_OUTPUT_H
#define AME_LAUNCHER_OUTPUT_H

#include <sys/types.h>
#include <uv.h>

#include "plan.h"

struct ame__output;

struct ame__output_events {
    /* Nobody reads standard output any more. */
    void (*on_reader_gone)(void *owner);
    /* A file (or standard output) cannot be written; told once. */
    void (*on_failure)(void *owner, const char *text);
    /* Something that was queued has been written. */
    void (*on_progress)(void *owner);
    void *owner;
};

struct ame__output *ame__output_create(uv_loop_t *loop, const struct ame__plan *plan,
                                       const struct ame__output_events *events);
/* Opens the files whose names are known before the ranks run. False and the error text when one cannot be opened. */
bool ame__output_open_files(struct ame__output *output);
/* The rank has a process id now; opens its files where their names hold %p. */
void ame__output_started(struct ame__output *output, int rank, pid_t pid);
/* `number`: 1 standard output, 2 standard error. */
void ame__output_feed(struct ame__output *output, int rank, unsigned number, const char *data, size_t length);
/* Lets held parts of lines go and ends an unfinished tagged line. */
void ame__output_end_lines(struct ame__output *output);
/* Bytes taken and not written yet. */
size_t ame__output_queued(const struct ame__output *output);
/* Writes what can be written now. */
void ame__output_flush(struct ame__output *output);
/* Throws away what is queued and what will come. */
void ame__output_discard(struct ame__output *output);
/* True when the last byte written to standard error did not end a line. */
bool ame__output_mid_line(const struct ame__output *output);
/* Two steps: close, then run the loop until it has let go of the handles, then free. */
void ame__output_close(struct ame__output *output);
void ame__output_free(struct ame__output *output);

#endif
