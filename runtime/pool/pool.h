/* pool.h - how a pool works, and what its files share.
 *
 * A pool is rank 0, which manages, and workers. It uses the public interface of ame.h only: a duplicate of the
 * communicator, and frames (frame.h) between rank 0 and each worker. One loop or one map is a run; each rank counts the
 * runs that it begins, which are the same on all, so a frame that is late is known by its number.
 *
 * Rank 0. Everything that is shared there is in `manager` and guarded by manager->lock:
 *     the program's thread   begins and ends runs, lists tasks (source, submit), takes results, executes tasks
 *     the service thread     waits for what comes from the workers, one posted receive for each of them, so that a death
 *                            ends just that receive; settles reports and hands out the next tasks (service.c)
 *     the ticker             time limit, signals, progress, syncing the journal; ten times a second, and only while a run
 *                            needs it (ticker.c)
 * Whoever changes something hands out what has become possible (ame__feed) and concludes the run if it was the last thing
 * (ame__conclude); nobody has to be woken for that. Frames are sent with ame_isend under the lock; they are short enough to
 * go at once, and their number is bounded by that of the batches.
 *
 * Tasks are pieces: a range of indices, or one task with data. A piece is at one place at a time:
 *
 *     generator (indices not yet reached) --> granted to a worker --> settled (done, failed)
 *     queue (submitted, or to be repeated) -----^      |
 *          ^------------ its worker died, left --------+--> abandoned: over the time limit; what comes later is ignored
 *
 * A worker executes its pieces in order and reports in order, so a result belongs to the head of link->granted. What a
 * frame grants is a batch: about AME__POOL_BATCH_NS of work, as measured, growing by a factor of two at most, and less
 * when tasks run short. While tasks are short and many are left a second batch is on its way before the first is done.
 *
 * Death. All tasks of the batch at the head may have killed the worker; they are repeated one at a time (solo), so that
 * the second death tells which it was. Later batches had not begun.
 *
 * Results wait in `ready` (or `slots`, by index, when ordered) until the program takes them. Handing out stops while a
 * window of them is full; tasks that are repeated pass it, since the order may wait for just those.
 *
 * A worker has one thread in the pool, the program's; with a time limit also a watchdog, which ends the process when a task
 * does not return (worker.c).
 */
#ifndef AME_POOL_POOL_H
#define AME_POOL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <ame_pool.h>

#include "base/list.h"
#include "pool/frame.h"
#include "pool/options.h"

enum {
    AME__POOL_BATCH_NS = 1000000,     /* of work in one message, and between two reports */
    AME__POOL_PREFETCH_NS = 50000000, /* longer tasks are not fetched ahead: waiting costs them nothing */
    AME__POOL_BATCH_MAX = 1 << 20,    /* indices in one message */
    AME__POOL_FAILURES_MAX = 1000,    /* kept for ame_pool_failure */
    AME__POOL_FILL_MAX = 256,         /* tasks taken from a source while results wait */
    AME__POOL_TICK_MS = 100,
    AME__POOL_RESULTS_KEPT = 16 /* of runs, for ranks that come late */
};

struct ame__piece {
    struct ame__list link;       /* in queue->row or link->granted */
    uint64_t first, count;       /* indices; count is 1 if there is data, or solo */
    uint64_t stamp;              /* order among those of the same priority */
    int priority, prefers, only; /* as in ame_pool_task */
    uint32_t deaths, errors;     /* how often its worker died, its function failed */
    uint32_t batch;
    bool solo;      /* has lost a worker: goes alone */
    bool abandoned; /* its result is not wanted any more */
    void *data;
    uint64_t length;
    ame_request *send; /* of data, when longer than a frame holds */
};

/* Tasks that wait (queue.c). */
struct ame__queue {
    struct ame__list row;
    struct ame__piece **heap;
    size_t count, room; /* of the heap */
};

/* What rank 0 knows of a rank, itself included. */
struct ame__link {
    int rank;
    bool gone, closed; /* died; has said BYE */
    bool traces;       /* keeps a timeline */
    bool joined;       /* has begun run `run` (serving: any map) and has not been told its end */
    bool serving, left;
    bool stuck; /* over the time limit, and nothing heard since */
    bool took_part;
    uint32_t run;
    enum ame__pool_how how;
    uint64_t count;           /* as READY says */
    struct ame__list granted; /* pieces, in the order of execution */
    uint32_t last_batch;      /* number of the newest batch */
    int batches;              /* not completely reported */
    uint64_t last_size;       /* tasks in the newest batch */
    double task_ns;           /* of late, per task; 0: not known */
    int64_t head_since;       /* when it began with its oldest task, as far as is known */
    struct ame__queue own;    /* tasks that prefer it */
    struct ame__list hungry;  /* in manager->hungry while it could take more than there is */
    struct ame__list sends;   /* frames under way */
    ame_request *receive;
    struct ame__trace *seen;       /* for the timeline, should it die */
    struct ame__outcome *incoming; /* whose body is being received, of this run */
    uint32_t incoming_run;
    char host[AME__POOL_HOST_MAX];
    unsigned char frame[AME__POOL_FRAME_MAX];
};

/* A result on its way to the program. */
struct ame__outcome {
    struct ame__list link;
    uint64_t index, length;
    int code, rank, attempts;
    bool resumed;
    float seconds;
    char *text; /* malloc'ed; NULL: none */
    void *body; /* malloc'ed; NULL: data is in `bytes` */
    unsigned char bytes[];
};

struct ame__run {
    enum ame__pool_how how;
    bool active;   /* begun, and not yet concluded */
    bool stopping; /* nothing more is handed out */
    bool closed;   /* no more tasks are submitted */
    bool stream;   /* tasks come from ame_pool_submit until that says that there are no more */
    bool ordered;
    bool interrupted;
    bool root_left;
    uint64_t count, next;         /* tasks, AME_POOL_OPEN: not known; first index that the generator has not given */
    uint64_t gap;                 /* with a journal: indices from `next` on that it does not have */
    uint64_t submitted;           /* from source or ame_pool_submit */
    uint64_t queued, outstanding; /* in queues; granted and not abandoned */
    uint64_t stored, stored_bytes, queued_bytes;
    uint64_t deliver; /* ordered: next index to deliver */
    uint64_t done, failed, resumed, retried;
    uint64_t busy_ns;
    uint64_t messages; /* between rank 0 and the others */
    int64_t begun, ended;
    int lost;
    ame_pool_source source;
    void *source_arg;
    ame_pool_sink sink;
    void *sink_arg;
    int code; /* why it cannot go on, before it is concluded; its result after that */
    char text[AME__POOL_TEXT_MAX];
};

struct ame__manager {
    pthread_mutex_t lock;
    pthread_cond_t news; /* results, tasks for rank 0, the end of a run, a worker's BYE */
    pthread_cond_t tick;
    pthread_cond_t space;    /* in the window, for those who list tasks from other threads */
    int listing;             /* how many wait for that */
    bool waiting;            /* the program's thread, for `news` */
    struct ame__link *links; /* by rank */
    struct ame__run run;
    uint32_t run_number;
    uint64_t stamps;
    struct ame__queue queue;
    struct ame__list hungry;
    struct ame__list ready;
    struct ame__outcome **slots; /* ordered: by index modulo the window */
    struct ame__list taken;      /* by the program's thread, which alone uses it and `last` */
    struct ame__outcome *last;   /* delivered, its memory still the program's to use */
    struct ame__list failures;
    uint64_t failure_count;
    struct {
        int code;
        char text[AME__POOL_TEXT_MAX];
    } results[AME__POOL_RESULTS_KEPT];
    struct ame__journal *journal; /* of the run; NULL: none */
    bool syncing;                 /* the ticker is, without the lock */
    int64_t shown;                /* when progress was written last; 0: never in this run */
    pthread_t service, ticker;
    bool service_started, ticker_started, closing;
};

/* This rank as one who executes tasks. */
struct ame__worker {
    struct ame__list pieces; /* on rank 0: unused, they are in links[0].granted */
    uint64_t next, end;      /* loop: of the piece at hand, when `holding` next - 1 is being executed */
    bool holding, ended, left, cancels;
    int64_t since, told; /* when the present task began; when rank 0 was told last */
    uint64_t unreported, busy_ns;
    uint32_t run; /* of the tasks at hand */
    uint64_t limit_ms, result_max;
    int64_t begun;
    uint64_t done, all_busy_ns; /* in this run */
    int code;
    char text[AME__POOL_TEXT_MAX];
    struct ame__watchdog *watchdog;
    unsigned char report[AME__POOL_FRAME_MAX];
    struct ame__cursor cursor; /* in `report`, behind the last record */
    int filled;                /* records in it */
};

struct ame_pool {
    ame_comm *comm;
    int rank, size;
    struct ame__pool_options options;
    uint32_t run; /* begun by this rank */
    enum ame__pool_how how;
    bool running;   /* between ame_pool_loop or _map and _finish */
    bool serving;   /* ame_pool_serve has been called */
    int progress;   /* enum ame__progress_kind */
    bool signals;   /* are being caught */
    bool tolerates; /* ame_tolerate_failures has been called */
    ame_pool_function function;
    void *arg;
    char host[AME__POOL_HOST_MAX];
    struct ame__trace *trace; /* NULL: AME_TRACE is not set */
    struct ame__worker worker;
    struct ame__manager *manager; /* rank 0 */
};

struct ame_pool_reply {
    void *data;
    uint64_t length;
    char text[AME__POOL_TEXT_MAX];
};

/* Rank 0 executes tasks: if it shall, or if there is nobody else. */
static inline bool ame__root_works(const struct ame_pool *pool)
{
    return pool->options.root_works != 0 || pool->size == 1;
}

/* ---- tasks that wait (queue.c) ------------------------------------------------------------------- */

struct ame__piece *ame__piece_create(uint64_t first, uint64_t count);
void ame__piece_destroy(struct ame__piece *piece);
/* Puts a piece into the queue where it belongs; the pool owns it from then on. */
int ame__queue_add(struct ame_pool *pool, struct ame__piece *piece);
/* The next piece for `rank`, of at most `most` indices; NULL: none for it now. */
struct ame__piece *ame__queue_take(struct ame_pool *pool, int rank, uint64_t most);
/* Moves the generator past indices that the journal has. */
void ame__queue_skip(struct ame_pool *pool);
/* What is there and not handed out, as far as is known. */
uint64_t ame__queue_left(const struct ame_pool *pool);
void ame__queue_drop(struct ame_pool *pool);
/* Tasks that prefer `rank` become anybody's. */
void ame__queue_release(struct ame_pool *pool, int rank);
void ame__queue_init(struct ame__queue *queue);

/* ---- handing out and settling (manager.c); the lock is held -------------------------------------- */

int ame__manager_open(struct ame_pool *pool);
void ame__manager_close(struct ame_pool *pool);
/* Hands out what `rank` can take now; what all can take. */
void ame__feed(struct ame_pool *pool, struct ame__link *link);
void ame__feed_all(struct ame_pool *pool);
/* Tasks for rank 0 itself: true, and they are in links[0].granted. */
bool ame__feed_self(struct ame_pool *pool);
/* The `count` oldest tasks of `link` are done, without data. */
void ame__settle_done(struct ame_pool *pool, struct ame__link *link, uint64_t count);
/* The oldest task of `link` has ended. `body`, malloc'ed, is taken over; else `bytes` is copied. */
void ame__settle(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_record *record, void *body);
/* `tasks` took `busy_ns`. */
void ame__measure(struct ame_pool *pool, struct ame__link *link, uint64_t tasks, uint64_t busy_ns);
/* Takes back what `link` has not reported: it has died (`cause`), or leaves (NULL; `holding`: in the middle of one). */
void ame__take_back(struct ame_pool *pool, struct ame__link *link, const char *cause, bool holding);
/* The oldest task of `link` is over the time limit. */
void ame__abandon(struct ame_pool *pool, struct ame__link *link);
void ame__send_frame(struct ame_pool *pool, struct ame__link *link, const struct ame__pool_frame *frame);
void ame__send_end(struct ame_pool *pool, struct ame__link *link);

/* ---- runs (run.c); the lock is held -------------------------------------------------------------- */

void ame__run_begin(struct ame_pool *pool, enum ame__pool_how how, const ame_pool_job *job);
/* A worker has joined the run; all that have. */
void ame__admit(struct ame_pool *pool, struct ame__link *link);
void ame__admit_all(struct ame_pool *pool);
/* Nothing more is handed out. */
void ame__run_stop(struct ame_pool *pool);
/* The run cannot go on, for this reason. */
void ame__run_fail(struct ame_pool *pool, int code, const char *text);
/* Writes the journal as far as it has come. */
void ame__run_flush(struct ame_pool *pool);
/* The program's thread waits for the conclusion; closes the journal. */
void ame__run_end(struct ame_pool *pool);
/* Ends the run if there is nothing more to be done in it. */
void ame__conclude(struct ame_pool *pool);
/* A result: kept as failure, written to the journal, stored for the program. */
void ame__run_outcome(struct ame_pool *pool, struct ame__outcome *outcome);
/* Whether the program's thread would find a result. */
bool ame__run_delivers(const struct ame_pool *pool);
/* Gives a result to the program's sink, and frees it. */
void ame__sink(struct ame_pool *pool, struct ame__outcome *outcome);
struct ame__outcome *ame__outcome_create(uint64_t index, uint64_t inline_bytes);
void ame__outcome_destroy(struct ame__outcome *outcome);
void ame__outcomes_drop(struct ame_pool *pool);
void ame__outcome_show(const struct ame_pool *pool, const struct ame__outcome *outcome, ame_pool_outcome *shown);
/* The program's thread waits for manager->news. */
void ame__wait_news(struct ame_pool *pool);
void ame__tell_news(struct ame__manager *manager);
/* There may be room in the window. */
void ame__tell_space(struct ame__manager *manager);

/* ---- threads (service.c, ticker.c) --------------------------------------------------------------- */

int ame__service_start(struct ame_pool *pool);
void ame__service_join(struct ame_pool *pool);
int ame__ticker_start(struct ame_pool *pool);
void ame__ticker_join(struct ame_pool *pool);
/* A run has begun that needs the ticker, or the pool closes. The lock is held. */
void ame__ticker_wake(struct ame_pool *pool);
int ame__thread_start(pthread_t *thread, void *(*main)(void *), void *arg, const char *name);

/* Rank 0's own loop: settles what it has done. The lock is held. */
void ame__loop_tell(struct ame_pool *pool);

/* ---- a worker's side (worker.c, task.c) ---------------------------------------------------------- */

int ame__worker_open(struct ame_pool *pool);
void ame__worker_close(struct ame_pool *pool);
int ame__worker_join(struct ame_pool *pool, enum ame__pool_how how, uint64_t count);
bool ame__worker_next(struct ame_pool *pool, uint64_t *index);
void ame__worker_failed(struct ame_pool *pool, int code, const char *text);
void ame__worker_finish(struct ame_pool *pool);
/* Executes tasks until the run is over or the worker is dismissed. */
void ame__worker_map(struct ame_pool *pool);
void ame__worker_cancel(struct ame_pool *pool);
/* Calls the function and describes what became of it in `record`, which points into `reply`; *body, if not NULL, is
 * memory to be taken over that holds the data. Returns nanoseconds. */
uint64_t ame__task_execute(struct ame_pool *pool, const ame_pool_task *task, uint64_t result_max,
                           struct ame_pool_reply *reply, struct ame__pool_record *record);

#endif
