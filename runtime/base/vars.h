/* vars.h - the one table of all AME_* variables: name, kind, default, limits, help.
 *
 * ame-info prints it, the manual page is made from it, and every reader goes through it, so that each setting, default
 * and limit stands once. Read from the environment at each call, so call at start and keep the value.
 */
#ifndef AME_BASE_VARS_H
#define AME_BASE_VARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ame__var_kind { AME__VAR_FLAG, AME__VAR_NUMBER, AME__VAR_SECONDS, AME__VAR_BYTES, AME__VAR_TEXT };
enum ame__var_group { AME__VAR_BY_USER, AME__VAR_BY_LAUNCHER };

/* X(identifier, group, kind, default, minimum, maximum, help); a size accepts the endings k, M and G (powers of 1024).
 */
#define AME__VARS(X)                                                                                                   \
    X(ALLOW_SINGLETON, BY_USER, FLAG, "0", 0, 1,                                                                       \
      "1: run as a job of one rank even if the environment says that there are more")                                  \
    X(BOOT, BY_USER, TEXT, "auto", 0, 0,                                                                               \
      "how this process was started: auto, or one of the ways that ame-info lists (without effect under ameexec)")     \
    X(CONNECT_TIMEOUT, BY_USER, SECONDS, "60", 0.1, 1e6, "time in which all ranks must have found each other")         \
    X(CUDA_LIB, BY_USER, TEXT, "libcuda.so.1", 0, 0, "the CUDA driver that is loaded when a GPU is wanted")            \
    X(DIRECT, BY_USER, FLAG, "1", 0, 1,                                                                                \
      "0: no direct links, messages between other ranks go through rank 0; rank 0's setting counts")                   \
    X(EAGER_LIMIT, BY_USER, BYTES, "256k", 0, 1 << 20,                                                                 \
      "messages up to this length are sent at once; longer ones wait for the receive to be posted")                    \
    X(EAGER_WINDOW, BY_USER, BYTES, "0", 0, 1 << 30,                                                                   \
      "bytes one rank may send ahead to another that does not receive; 0: by number of ranks; that of rank 0 counts")  \
    X(ENCRYPT, BY_USER, TEXT, "0", 0, 0,                                                                               \
      "1: encrypt and authenticate all messages between hosts; 2 or all: also those of one host; the same in all "     \
      "ranks")                                                                                                         \
    X(FINALIZE_TIMEOUT, BY_USER, SECONDS, "10", 0.1, 1e6,                                                              \
      "how long ame_finalize waits for a rank that does not answer; rank 0 waits for all others as long as they run")  \
    X(GPU, BY_USER, TEXT, "auto", 0, 0,                                                                                \
      "which device a rank uses: auto (one if there is one, else the CPU), off, require (fails without one), "         \
      "exclusive "                                                                                                     \
      "(the same, not shared), the number of a visible device, or a UUID (its beginning is enough)")                   \
    X(GPU_CHUNK, BY_USER, BYTES, "512k", 4096, 1 << 20,                                                                \
      "parts in which device memory is sent and received, so that copies and network work at the same time")           \
    X(GPU_SLOTS, BY_USER, NUMBER, "4", 0, 256,                                                                         \
      "parts of pinned memory for that, of 1 MiB each; long sends take two each, or wait; receives that find none "    \
      "use ordinary memory")                                                                                           \
    X(HEARTBEAT, BY_USER, SECONDS, "-1", -1, 1e8,                                                                      \
      "a rank that has been stopped (SIGSTOP, not by a debugger) for so long has failed, and ameexec kills it; 0: a "  \
      "stopped rank is waited for; -1: 0 in a job on one host, 13 on several")                                         \
    X(IFACE, BY_USER, TEXT, "", 0, 0,                                                                                  \
      "interfaces for connections between hosts: beginnings of names (eth,ib), = for whole names (=eth0), ^ for all "  \
      "but these (^docker,virbr), or networks (10.1.0.0/16)")                                                          \
    X(JOB_TOKEN, BY_USER, TEXT, "", 0, 0,                                                                              \
      "name of the job, the same in all of its ranks and in no other job; with AME_SHARED_DIR, AME_RANK and AME_SIZE " \
      "(or RANK and WORLD_SIZE) it starts a job without a launcher")                                                   \
    X(LOG, BY_USER, TEXT, "error", 0, 0,                                                                               \
      "level (none error warn info debug trace), then module:level (base boot net engine comm coll gpu launcher), "    \
      "separated by commas")                                                                                           \
    X(LOG_FILE, BY_USER, TEXT, "", 0, 0, "file for the log, one per process: %h host, %p process, %r rank")            \
    X(POOL, BY_USER, TEXT, "", 0, 0,                                                                                   \
      "options of all pools, name=value separated by commas; they override the program's (ame_pool(3) lists them)")    \
    X(PROGRESS, BY_USER, TEXT, "auto", 0, 0,                                                                           \
      "what a pool tells on standard error: 1 lines, bar one line written anew, 0 nothing; auto: bar on a terminal "   \
      "(not among tagged lines)")                                                                                      \
    X(PORT_RANGE, BY_USER, TEXT, "", 0, 0,                                                                             \
      "lower:upper, the ports to listen on for other hosts (also MPIEXEC_PORT_RANGE); empty: any")                     \
    X(SHARED_DIR, BY_USER, TEXT, "", 0, 0, "directory that all hosts of the job share, through which its ranks meet")  \
    X(SPIN_US, BY_USER, NUMBER, "-1", -1, 1e6,                                                                         \
      "microseconds that a waiting call spins before it sleeps; -1: 50, or 200 when ranks outnumber cores (it then "   \
      "yields)")                                                                                                       \
    X(STALL_WARN, BY_USER, SECONDS, "0", 0, 1e8,                                                                       \
      "after this time in one call that waits, ameexec tells which ranks wait, for what and since when; 0: never")     \
    X(TRACE, BY_USER, TEXT, "", 0, 0,                                                                                  \
      "file for a timeline of the tasks of pools, for chrome://tracing, Perfetto and ame-info --timeline")             \
    X(RANK, BY_LAUNCHER, NUMBER, "", 0, 1 << 24, "rank of this process")                                               \
    X(SIZE, BY_LAUNCHER, NUMBER, "", 1, 1 << 24, "number of ranks")                                                    \
    X(LOCAL_RANK, BY_LAUNCHER, NUMBER, "", 0, 1 << 24, "position of this process among the ranks of this host")        \
    X(LOCAL_SIZE, BY_LAUNCHER, NUMBER, "", 1, 1 << 24, "number of ranks on this host")                                 \
    X(HOST, BY_LAUNCHER, TEXT, "", 0, 0, "address of rank 0, for programs that use dlp_mpi's own back end")            \
    X(PORT, BY_LAUNCHER, NUMBER, "", 0, 65535, "port of rank 0, for programs that use dlp_mpi's own back end")         \
    X(AUTHKEY, BY_LAUNCHER, TEXT, "", 0, 0, "key for programs that use dlp_mpi's own back end (base64); a secret")     \
    X(JOB_ID, BY_LAUNCHER, TEXT, "", 0, 0, "name of this job; tells libame that ameexec is the launcher")              \
    X(STATE_FD, BY_LAUNCHER, NUMBER, "", 0, 1 << 24, "descriptor of the page in which a rank tells what it is doing")  \
    X(TERMINAL, BY_LAUNCHER, NUMBER, "", 0, 1 << 16,                                                                   \
      "columns of the terminal on which appears what ranks write to standard error, untagged; not set: on none")

enum ame__var {
#define AME__VAR_ENUM(id, group, kind, def, min, max, help) AME__VAR_##id,
    AME__VARS(AME__VAR_ENUM)
#undef AME__VAR_ENUM
        AME__VAR_COUNT
};

struct ame__var_info {
    const char *name; /* "AME_SPIN_US" */
    enum ame__var_group group;
    enum ame__var_kind kind;
    const char *default_text;
    double minimum, maximum;
    const char *help;
};
extern const struct ame__var_info ame__var_table[AME__VAR_COUNT];

/* The text from the environment, else the default; NULL for a variable of the launcher that is not set. */
const char *ame__var_text(enum ame__var var);
bool ame__var_is_set(enum ame__var var);
/* Parses the value: a number, seconds, bytes or 0/1. AME_E_CONFIG names variable, value and what is allowed. */
int ame__var_number(enum ame__var var, double *value);
int ame__var_bytes(enum ame__var var, size_t *value);
int ame__var_flag(enum ame__var var, bool *value);
/* Calls `unknown` for each AME_* name in the environment that is not in the table, with the nearest known name or NULL.
 */
void ame__vars_check_names(void (*unknown)(const char *name, const char *nearest, void *arg), void *arg);
/* Number of insertions, deletions and changes that turn `a` into `b`; for suggestions. */
size_t ame__edit_distance(const char *a, const char *b);

#endif
