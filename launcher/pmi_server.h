/* pmi_server.h - the PMI-1 server of a job: key-value space and barrier. Pure: lines in, lines out, no I/O. */
#ifndef AME_LAUNCHER_PMI_SERVER_H
#define AME_LAUNCHER_PMI_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define AME__PMI_KEY_MAX   64
#define AME__PMI_VALUE_MAX 1024
#define AME__PMI_REPLY_MAX 2048

enum ame__pmi_state { AME__PMI_SILENT, AME__PMI_JOINED, AME__PMI_WAITING, AME__PMI_FINALIZED, AME__PMI_BROKEN };

enum ame__pmi_outcome {
    AME__PMI_NO_REPLY,
    AME__PMI_CONTINUE, /* no reply, and the request goes on with the next line */
    AME__PMI_REPLY,    /* to this rank */
    AME__PMI_RELEASE,  /* to every rank: the barrier is complete */
    AME__PMI_ABORT,    /* the rank wants the job to end with `abort_code` */
    AME__PMI_NOTED,    /* no reply; the state of the server has changed */
    AME__PMI_BLAME,    /* no reply; an operation of the rank failed because rank `blamed` has failed */
    AME__PMI_DROP,     /* not a request: close the connection */
};

struct ame__pmi_server {
    int size;
    char name[128];
    unsigned char *states; /* enum ame__pmi_state, by rank */
    int waiting;
    bool joined;     /* some rank has spoken PMI */
    bool connected;  /* libame says: all ranks are connected */
    int tolerates;   /* libame of rank 0 says so often that the failure of other ranks is its own affair */
    bool intolerant; /* the user wants every failure to end the job */
    int abort_code, blamed;
    int (*program_of)(const void *owner, int rank); /* for get_appnum; NULL: all 0 */
    const void *owner;
    struct ame__pmi_entry **buckets;
    size_t bucket_count, entry_count, bytes;
};

/* `mapping`: the value of PMI_process_mapping, or NULL. */
void ame__pmi_server_init(struct ame__pmi_server *server, int size, const char *name, const char *mapping);
/* Handles one line of `rank` (without the newline, not terminated). A reply ends with a newline and stands in
 * `reply[0..*reply_length-1]`. */
enum ame__pmi_outcome ame__pmi_server_handle(struct ame__pmi_server *server, int rank, const char *line, size_t length,
                                             char reply[AME__PMI_REPLY_MAX], size_t *reply_length);
enum ame__pmi_state ame__pmi_server_state(const struct ame__pmi_server *server, int rank);
void ame__pmi_server_break(struct ame__pmi_server *server, int rank);
/* A rank that waits in the barrier, or -1. */
int ame__pmi_server_waiter(const struct ame__pmi_server *server);
void ame__pmi_server_finish(struct ame__pmi_server *server);

#endif
