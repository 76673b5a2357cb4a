/* example.h - what the replica examples share beside physics: options, progress, checks of calls, and how a run is described */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ame_replica.h>

/* Ends the job with a message if a call of libame has failed. */
void example_check(int code);
/* Memory, all 0; ends the job if there is none. */
void *example_alloc(size_t count, size_t size);
/* Ends the job with a message. */
void example_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

enum example_kind { EXAMPLE_NUMBER, EXAMPLE_REAL, EXAMPLE_TEXT, EXAMPLE_FLAG };
struct example_option {
    const char *name; /* "walkers" for --walkers */
    enum example_kind kind;
    void *value; /* uint64_t, double, const char *, int */
    double least, most;
    const char *help;
};
/* Joins the job and reads the options: --name value, --name=value, --flag. With --help rank 0 prints `about` and the list, and
 * the process ends with 0; with a wrong option, with 2. Values before the call are the defaults. */
void example_begin(int argc, char **argv, const char *about, const struct example_option *options, size_t count);

/* Opens a set of `count` replicas; rank 0 calls coordinate(set), the others serve. Leaves the job. Returns what the process has to
 * end with: on rank 0 what coordinate returned. */
int example_run(const ame_replica_kind *kind, uint64_t count, uint64_t seed, const char *options,
                int (*coordinate)(ame_replicas *set));

/* A line of progress on rank 0's output, every two seconds at most. */
void example_progress(const char *what, uint64_t done, uint64_t all, double seconds);
/* Prints who computes: "4 workers: 4 x CPU of node1 (no CUDA driver here)". */
void example_workers(const ame_replicas *set, uint64_t replicas);
/* Prints "4 workers busy 97 % of 12.3 s". */
void example_busy(const ame_replicas_report *report);
/* A file "prefix + ending" to be written; ends the job if it cannot be. */
FILE *example_file(const char *prefix, const char *ending);
/* Closes it; ends the job if it could not be written. */
void example_close(FILE *file);

#endif
