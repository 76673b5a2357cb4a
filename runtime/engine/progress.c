/* progress.c - the lock, waiting, and the helper thread. The rules are told in engine.h. */
#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum {
    TURNS_ALONE = 32, /* of the spin loop before it yields; about 10 us */
    POLL_EVERY = 64,  /* of so many turns of the spin loop one looks at all connections, the others at the hinted one */
    YIELDS_MOST = 50, /* while another thread waits for the lock */
    LOOK_AFTER_NS = 100000, /* a call looks at the connections first when none has for so long, */
    LOOKS_MOST = 256        /* so often at most */
};

static void lock_engine(struct ame__engine *engine)
{
    if (pthread_mutex_trylock(&engine->lock) == 0) return;
    atomic_fetch_add_explicit(&engine->contenders, 1, memory_order_relaxed);
    pthread_mutex_lock(&engine->lock);
    atomic_fetch_sub_explicit(&engine->contenders, 1, memory_order_relaxed);
}

static void unlock_engine(struct ame__engine *engine)
{
    pthread_mutex_unlock(&engine->lock);
}

/* A rank that has died may have left much on its way here, and the first byte sent to it makes the kernel throw away what
 * has not been read: so what is there is read before a call sends anything, where nobody has looked for a while. */
static void look_first(struct ame__engine *engine)
{
    struct pollfd fds = {.fd = ame__net_fd(&engine->net), .events = POLLIN};
    char text[AME__ERROR_TEXT_MAX]; /* of this thread's last failure, which is not about this */
    strcpy(text, ame__error_text());
    if (engine->net.changed) ame__net_poll(&engine->net);
    for (int turn = 0; turn < LOOKS_MOST && poll(&fds, 1, 0) > 0; turn++) ame__net_poll(&engine->net);
    ame__error_adopt(AME_OK, text);
    engine->looked_ns = ame__now_ns();
}

int ame__enter(const char *function)
{
    struct ame__engine *engine = &ame__engine;
    enum ame__stage stage = atomic_load_explicit(&engine->stage, memory_order_acquire);
    if (stage != AME__RUNNING)
        return ame__fail(AME_E_STATE, "%s: %s", function,
                         stage == AME__OFF || stage == AME__STARTING ? "ame_init has not been called (or has failed)"
                         : stage == AME__FORKED
                             ? "this process is a fork of a rank, in which libame cannot be used; start a new program"
                             : "ame_finalize has been called");
    lock_engine(engine);
    if (engine->size > 1 && ame__now_ns() - engine->looked_ns > LOOK_AFTER_NS) look_first(engine);
    if (engine->aborted) {
        int code = ame__fail(AME_E_ABORTED, "%s: rank %d has called ame_abort(%d)", function, engine->abort_rank,
                             engine->abort_code);
        unlock_engine(engine);
        return code;
    }
    return AME_OK;
}

/* wake_fd: reset by the driver when it wakes, by the helper only while there is no driver, which may sleep on it. */
static void poke(struct ame__engine *engine)
{
    uint64_t one = 1;
    if (engine->woken) return;
    engine->woken = true;
    if (write(engine->wake_fd, &one, sizeof one) < 0) { /* readable already */
    }
}

static void unpoke(struct ame__engine *engine)
{
    uint64_t count;
    if (!engine->woken) return;
    engine->woken = false;
    if (read(engine->wake_fd, &count, sizeof count) < 0) { /* cannot be */
    }
}

/* Whoever sleeps computed for how long before the last round: tells it of a new timer or watcher. */
static void tell_sleepers(struct ame__engine *engine)
{
    if (!engine->asleep && engine->helper_state != AME__WATCHING) return;
    if (engine->net.changed || ame__net_timeout(&engine->net) >= 0) poke(engine);
}

void ame__leave(void)
{
    if (ame__engine.net.changed) {
        char text[AME__ERROR_TEXT_MAX]; /* of this call's own failure; what the poll brings is not about this call */
        strcpy(text, ame__error_text());
        ame__net_poll(&ame__engine.net);
        ame__error_adopt(AME_OK, text);
        tell_sleepers(&ame__engine);
    }
    unlock_engine(&ame__engine);
}

void ame__wake(void)
{
    struct ame__engine *engine = &ame__engine;
    if (engine->followers) pthread_cond_broadcast(&engine->progressed);
    if (engine->asleep) poke(engine);
}

/* ---- functions of the program -------------------------------------------------------------------- */

void ame__callout_add(struct ame__callout *callout)
{
    ame__list_append(&ame__engine.callouts, &callout->link);
    ame__wake();
}

/* One that a thread may call which waits for `request` (NULL: for something else). */
static struct ame__callout *callout_for(const struct ame__engine *engine, const struct ame_request *request)
{
    for (struct ame__list *node = engine->callouts.next; node != &engine->callouts; node = node->next) {
        struct ame__callout *callout = ame__container_of(node, struct ame__callout, link);
        if (!callout->request || callout->request == request) return callout;
    }
    return NULL;
}

/* Calls one, if there is one. */
static bool call_out(struct ame__engine *engine, const struct ame_request *request)
{
    struct ame__callout *callout = callout_for(engine, request);
    if (!callout) return false;
    ame__list_remove(&callout->link);
    unlock_engine(engine);
    callout->run(callout);
    lock_engine(engine);
    callout->after(callout);
    return true;
}

/* ---- waiting ------------------------------------------------------------------------------------- */

void ame__progress(void)
{
    struct ame__engine *engine = &ame__engine;
    while (call_out(engine, NULL)) {
    }
    engine->rounds++;
    ame__net_poll(&engine->net);
    engine->looked_ns = ame__now_ns();
    if (engine->crowded || atomic_load_explicit(&engine->contenders, memory_order_relaxed)) {
        unlock_engine(engine);
        sched_yield();
        lock_engine(engine);
    }
}

/* Gives other threads that want the lock, and other processes that want the core, their turn. */
static void let_others(struct ame__engine *engine)
{
    unlock_engine(engine);
    for (int turn = 0; turn < YIELDS_MOST; turn++) {
        sched_yield();
        if (!atomic_load_explicit(&engine->contenders, memory_order_relaxed)) break;
    }
    lock_engine(engine);
}

/* What a thread waits for, and with whose connection in view. */
struct waiting {
    bool (*ready)(void *arg);
    void *arg;
    int hint;
    struct ame__wait *wait; /* may be NULL */
};

static const struct ame_request *awaited(const struct waiting *waiting)
{
    return waiting->wait ? waiting->wait->request : NULL;
}

/* Is there something to do for this thread other than to look for news? */
static bool over(const struct ame__engine *engine, const struct waiting *waiting)
{
    return waiting->ready(waiting->arg) || callout_for(engine, awaited(waiting));
}

/* Looks for news until it is over or the spin budget is used up; returns whether it is over.
 *
 * The first turns do nothing but look. What takes longer may be waiting for this very core: the kernel likes to put a rank
 * on the core of the one that woke it, and two that spin by turns on one core, each until its budget is used up, never
 * find out that the next core is free. So after that, and always when there are more ranks than cores, each turn yields. */
static bool spin(struct ame__engine *engine, const struct waiting *waiting)
{
    int hint = waiting->hint;
    int64_t end = engine->spin_ns ? ame__now_ns() + engine->spin_ns : 0;
    for (unsigned turn = 1;; turn++) {
        struct ame__conn *conn = hint >= 0 ? ame__peer_route(hint) : NULL;
        bool yield = engine->crowded || turn > TURNS_ALONE;
        if (conn && turn % POLL_EVERY) {
            if (!ame__list_empty(&conn->queue)) ame__conn_flush(conn);
            ame__conn_read(conn);
        } else {
            ame__net_poll(&engine->net);
        }
        if (over(engine, waiting)) return true;
        if (yield || atomic_load_explicit(&engine->contenders, memory_order_relaxed)) {
            let_others(engine);
            if (over(engine, waiting)) return true;
            if (ame__now_ns() >= end) return false;
        }
    }
}

static void sleep_until_news(struct ame__engine *engine)
{
    struct pollfd fds[2] = {{.fd = ame__net_fd(&engine->net), .events = POLLIN},
                            {.fd = engine->wake_fd, .events = POLLIN}};
    int timeout = ame__net_timeout(&engine->net);
    engine->asleep = true;
    unlock_engine(engine);
    (void) poll(fds, 2, timeout);
    lock_engine(engine);
    engine->asleep = false;
    unpoke(engine);
}

static void drive(struct ame__engine *engine, const struct waiting *waiting)
{
    engine->driving = true;
    engine->rounds++;
    while (!spin(engine, waiting)) {
        ame__net_poll(&engine->net); /* also hands new watchers to the kernel */
        if (over(engine, waiting)) break;
        if (engine->net.changed) continue;
        ame__wait_sleeps(waiting->wait);
        sleep_until_news(engine);
        ame__net_poll(&engine->net);
        if (over(engine, waiting)) break;
    }
    engine->driving = false;
    engine->looked_ns = ame__now_ns();
    if (engine->followers) pthread_cond_broadcast(&engine->progressed);
    tell_sleepers(engine);
    if (engine->helper_state == AME__PARKED && engine->helper_started) pthread_cond_signal(&engine->helper_wake);
}

void ame__wait_until(bool (*ready)(void *arg), void *arg, int hint, struct ame__wait *wait)
{
    struct ame__engine *engine = &ame__engine;
    struct waiting waiting = {.ready = ready, .arg = arg, .hint = hint, .wait = wait};
    while (!ready(arg)) {
        if (call_out(engine, awaited(&waiting))) continue;
        if (!engine->driving) {
            drive(engine, &waiting);
            continue;
        }
        tell_sleepers(
            engine); /* what this call has begun may be something new to watch, and the driver may be asleep */
        ame__wait_sleeps(wait);
        engine->followers++;
        pthread_cond_wait(&engine->progressed, &engine->lock);
        engine->followers--;
    }
    ame__wait_over(wait);
}

/* ---- helper thread ------------------------------------------------------------------------------- */

static void park(struct ame__engine *engine)
{
    engine->helper_state = AME__PARKED;
    pthread_cond_wait(&engine->helper_wake, &engine->lock);
}

static void tick(struct ame__engine *engine, int64_t ms)
{
    struct timespec until;
    engine->helper_state = AME__TICKING;
    int64_t end = ame__now_ns() + ms * 1000000;
    until.tv_sec = (time_t) (end / 1000000000);
    until.tv_nsec = (long) (end % 1000000000);
    pthread_cond_timedwait(&engine->helper_wake, &engine->lock, &until);
    /* Calls that only start something make no progress; a program may make nothing but such calls. */
    if (!engine->driving && !engine->helper_stop) ame__net_poll(&engine->net);
}

static void watch(struct ame__engine *engine)
{
    struct pollfd fds[2] = {{.fd = ame__net_fd(&engine->net), .events = POLLIN},
                            {.fd = engine->wake_fd, .events = POLLIN}};
    engine->helper_state = AME__WATCHING;
    ame__net_poll(&engine->net);
    if (engine->net.changed) return;
    int timeout = ame__net_timeout(&engine->net);
    unlock_engine(engine);
    (void) poll(fds, 2, timeout);
    lock_engine(engine);
    if (!engine->driving) unpoke(engine);
    if (!engine->driving && !engine->helper_stop) ame__net_poll(&engine->net);
}

static void *helper_main(void *arg)
{
    struct ame__engine *engine = arg;
    uint64_t seen = 0;
    int64_t ms = AME__TICK_MS_LEAST;
    lock_engine(engine);
    while (!engine->helper_stop) {
        if (engine->driving && engine->asleep) {
            park(engine);
        } else if (engine->driving || engine->rounds != seen) {
            seen = engine->rounds;
            tick(engine, ms);
            ms = 2 * ms < AME__TICK_MS_MOST ? 2 * ms : AME__TICK_MS_MOST;
        } else {
            watch(engine);
            ms = AME__TICK_MS_LEAST;
        }
    }
    unlock_engine(engine);
    return NULL;
}

int ame__helper_start(void)
{
    struct ame__engine *engine = &ame__engine;
    sigset_t all, old;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    int error = pthread_create(&engine->helper, &attributes, helper_main, engine);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return ame__fail_errno(
            error, "rank %d: the helper thread cannot be started (no memory, or ulimit -u is reached)", engine->rank);
    pthread_setname_np(engine->helper, AME__BOOT_THREAD_NAME); /* from here, so that it has it when ame_init returns */
    engine->helper_started = true;
    return AME_OK;
}

void ame__helper_stop(void)
{
    struct ame__engine *engine = &ame__engine;
    if (!engine->helper_started) return;
    lock_engine(engine);
    engine->helper_stop = true;
    pthread_cond_signal(&engine->helper_wake);
    poke(engine);
    unlock_engine(engine);
    pthread_join(engine->helper, NULL);
    engine->helper_started = false;
}
