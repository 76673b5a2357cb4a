/* boot.h - who am I: rank and size of this process, and a small exchange of values with the other ranks.
 *
 * The ways of being started are tried in the order of ame__boot_ways, or the one that AME_BOOT names; the first whose
 * probe says yes is taken, and each says why it was or was not chosen. A way that was chosen and then fails is an error; nothing falls back silently to a
 * job of one rank. Only the thread that runs ame_init or ame_finalize calls this layer (ame__boot_blame and
 * ame__boot_tolerate: with the engine's lock; ame__boot_abort: any thread).
 *
 * Life: ame__boot_open -> put* -> fence -> get* -> (ame__boot_release: done with the exchange) -> ame__boot_close.
 */
#ifndef AME_BOOT_BOOT_H
#define AME_BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AME__BOOT_VALUE_MAX 512 /* bytes of a value, with the final 0; PMI-1 carries no more in one line safely */
#define AME__BOOT_WHY_MAX   200

struct ame__boot {
    const struct ame__boot_way *way;
    int rank, size;
    int local_rank, local_size;  /* among the ranks of this host */
    int hosts;                   /* that the job has; 0: not known */
    char host[64];               /* name of this host */
    char why[AME__BOOT_WHY_MAX]; /* what made this way be chosen */
    int fd;                      /* connection to the launcher, or -1 */
    bool stale_values;           /* a value may be left over from another job: read it again if it leads nowhere */
    char directory[256];         /* of the file of the exchange */
    bool own_directory;          /* it is the launcher's and stays */
    char name[256];              /* the launcher's name for the exchange */
    char input[2048];            /* received from the launcher and not used yet */
    size_t input_length;
    bool lost;        /* the launcher has closed the connection */
    int64_t deadline; /* on ame__now_ns(): when the exchange must be done */
};

struct ame__boot_way {
    const char *name; /* as ame-info prints it: "pmi1" */
    const char *text; /* one line: who starts processes so */
    /* Is this the way? Looks at the environment and descriptors only; always fills in `why`. */
    bool (*probe)(char why[AME__BOOT_WHY_MAX]);
    int (*open)(struct ame__boot *boot);
    int (*put)(struct ame__boot *boot, const char *key, const char *value);
    int (*fence)(struct ame__boot *boot);
    int (*get)(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX]);
    /* All ranks are connected, or never will be: nobody will read a value any more. */
    void (*connected)(struct ame__boot *boot);
    /* The exchange is over. `leaving` is true at ame_finalize and false right after the start. */
    void (*release)(struct ame__boot *boot, bool leaving);
    /* Tells the launcher that an operation of this rank fails because rank `failed` has, so that it can name the first.
     */
    void (*blame)(struct ame__boot *boot, int failed);
    /* Asks the launcher, `on`, to let the job go on when another rank fails, or no longer. Counted. *agreed becomes false
     * if it was told otherwise. */
    int (*tolerate)(struct ame__boot *boot, bool on, bool *agreed);
    /* Asks the launcher to end the job; returns if it cannot. */
    void (*abort)(struct ame__boot *boot, int code);
};

extern const struct ame__boot_way *const ame__boot_ways[]; /* ends with NULL */

int ame__boot_open(struct ame__boot *boot);
int ame__boot_put(struct ame__boot *boot, const char *key, const char *value);
int ame__boot_fence(struct ame__boot *boot);
int ame__boot_get(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX]);
void ame__boot_connected(struct ame__boot *boot);
void ame__boot_release(struct ame__boot *boot, bool leaving);
void ame__boot_close(struct ame__boot *boot);
void ame__boot_blame(struct ame__boot *boot, int failed);
/* AME_OK without effect under a launcher that cannot be asked. */
int ame__boot_tolerate(struct ame__boot *boot, bool on, bool *agreed);
void ame__boot_abort(struct ame__boot *boot, int code);

/* The first variable that says "there are N > 1 ranks", as "NAME=value" in `text`; false if none does. */
bool ame__boot_several(char text[AME__BOOT_WHY_MAX]);
/* Is an ancestor of this process a rank that has called ame_init? Then this is a subprocess of a rank, with its
 * variables. */
bool ame__boot_inside_rank(void);
/* The nearest ancestor of process `pid` (0: of this one) that is a rank; 0 if there is none. */
long ame__boot_rank_above(long pid);
/* Name of the helper thread of each rank, by which ame__boot_inside_rank knows it. */
#define AME__BOOT_THREAD_NAME "ame-helper"

#endif
