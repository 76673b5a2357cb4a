/* comm.h - communicators, and what the public calls share: argument checks and the hand-over of results. */
#ifndef AME_COMM_COMM_H
#define AME_COMM_COMM_H

#include "engine/engine.h"

/* AME_OK if `comm` is a communicator; text and code otherwise. Needs the lock. */
int ame__comm_check(const struct ame_comm *comm, const char *function);
/* AME_OK if 0 <= rank < size; `argument` is the name of the argument. */
int ame__comm_check_rank(const struct ame_comm *comm, int rank, const char *argument, const char *function);
int ame__check_buffer(const void *buffer, size_t length, const char *argument, const char *function);

int ame__comm_world_create(void);
void ame__comm_free_all(void);
/* Makes a communicator of the ranks `members` (of the world; NULL: all), in which this rank is `rank`. */
struct ame_comm *ame__comm_create(uint64_t lineage, int rank, int size, int *members);
/* This rank has no memory for the communicator of this lineage, in which it should be: tells rank `rank` (of the
 * world), so that collective calls there fail instead of waiting. */
void ame__comm_absent(uint64_t lineage, int rank);
/* The lineage of a child: every member computes the same one without asking the others. */
uint64_t ame__comm_child_lineage(struct ame_comm *parent, uint64_t color);

void ame__fill_status(const struct ame_request *request, ame_status *status);
/* The result of a completed request, its text made this thread's; the request's text is kept. */
int ame__take_result(const struct ame_request *request, const char *function);
/* Waits for `request` (on the caller's stack), gives its result and status, and frees its text. */
int ame__finish(struct ame_request *request, const char *function, ame_status *status);
bool ame__request_ready(void *request);
/* Rank of the world from which the completion of this request will come, or -1. */
int ame__request_hint(const struct ame_request *request);

#endif
