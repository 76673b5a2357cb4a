/* bare.h - what peer.h needs, over plain sockets; see bare.c. */
#ifndef AME_BENCH_BARE_H
#define AME_BENCH_BARE_H

#include <stddef.h>

void bare_init(void);
void bare_finalize(void);
int bare_rank(void);
int bare_size(void);
/* One of the two ranks must be 0: there are no other connections. */
void bare_send(const void *buf, size_t length, int dest);
void bare_recv(void *buf, size_t length, int source);
void bare_barrier(void);
void bare_bcast(void *buf, size_t length);
void bare_gather(const void *send, size_t length, void *recv);
void bare_scatter(const void *send, void *recv, size_t length);

#endif
