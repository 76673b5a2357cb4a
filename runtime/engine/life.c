/* life.c - the beginning and the end of a rank.
 *
 * Begin: the boot layer tells rank and size; rank 0 listens on a port chosen by the system and publishes its address
 * with a fresh random job key; everybody else dials it. Rank 0 has begun when all are connected.
 *
 * End: BYE to everybody this rank has a connection with, until each has answered, so that nothing in flight is lost by
 * closing. Rank 0 stays until all others have left, since it connects them.
 */
#include "engine.h"

#include <errno.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

enum {
    WINDOW_LEAST = 256 << 10,
    WINDOW_MOST = 4 << 20,
    WINDOW_ALL = 256 << 20, /* what all ranks together may have sent ahead to one */
    SPIN_US = 50,
    SPIN_US_CROWDED = 200,
    STALE_MS = 5000, /* for a connection to what may be left over from another job */
    RETRY_MS = 50,
    DEADLINE_MS = 20,       /* a timer may fire a little early, so it does again */
    DESCRIPTORS_BESIDE = 64 /* that a rank needs beside one for each connection */
};

struct ame__engine ame__engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- begin --------------------------------------------------------------------------------------- */

static int cores_for_ranks(void)
{
    cpu_set_t set;
    int online = (int) sysconf(_SC_NPROCESSORS_ONLN);
    /* A mask of one core means that each rank was bound to a core of its own, not that all share it. */
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 1 && CPU_COUNT(&set) < online)
        return CPU_COUNT(&set);
    return online;
}

static void choose_waiting(struct ame__engine *engine)
{
    engine->crowded = engine->boot.local_size > cores_for_ranks();
    if (!engine->spin_chosen) engine->spin_ns = (int64_t) (engine->crowded ? SPIN_US_CROWDED : SPIN_US) * 1000;
}

/* Not every way of being started tells how many ranks are on this host; now that all are connected, it is known. */
static void count_local_ranks(struct ame__engine *engine)
{
    int here = 0, before = 0;
    for (int rank = 0; rank < engine->size; rank++) {
        if (rank != engine->rank && strcmp(ame__peer_host(rank), engine->host)) continue;
        here++;
        before += rank < engine->rank;
    }
    if (engine->boot.local_size >= here) return;
    engine->boot.local_size = here;
    engine->boot.local_rank = before;
    choose_waiting(engine);
}

static int read_settings(struct ame__engine *engine)
{
    size_t window;
    double spin;
    int code = ame__var_flag(AME__VAR_DIRECT, &engine->direct);
    if (!code) code = ame__var_bytes(AME__VAR_EAGER_LIMIT, &engine->eager_limit);
    if (!code) code = ame__var_bytes(AME__VAR_EAGER_WINDOW, &window);
    if (!code) code = ame__var_number(AME__VAR_SPIN_US, &spin);
    if (code) return code;
    if (window == 0) {
        window = WINDOW_ALL / (size_t) engine->size;
        if (window < WINDOW_LEAST) window = WINDOW_LEAST;
        if (window > WINDOW_MOST) window = WINDOW_MOST;
    }
    engine->spin_ns = (int64_t) (spin * 1000);
    engine->spin_chosen = spin >= 0;
    choose_waiting(engine);
    bool one_host = engine->size == 1 || engine->boot.hosts == 1;
    return ame__net_open(&engine->net, engine->rank, engine->size, one_host, window, &ame__peer_events);
}

static void grant_window(struct ame__engine *engine, uint64_t window)
{
    engine->net.window = window;
    for (int rank = 0; rank < engine->size; rank++) engine->peers[rank].window = window;
}

static int make_tables(struct ame__engine *engine)
{
    pthread_condattr_t monotonic;
    engine->peers = calloc((size_t) engine->size, sizeof *engine->peers);
    engine->leavers = engine->rank == 0 ? calloc((size_t) engine->size, sizeof *engine->leavers) : NULL;
    if (!engine->peers || (engine->rank == 0 && !engine->leavers))
        return ame__fail(AME_E_NOMEM, "rank %d: out of memory for a job of %d ranks", engine->rank, engine->size);
    for (int rank = 0; rank < engine->size; rank++) {
        ame__list_init(&engine->peers[rank].held);
        engine->peers[rank].paused_for = -1;
    }
    grant_window(engine, engine->net.window);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->progressed, NULL);
    pthread_cond_init(&engine->helper_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    engine->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (engine->wake_fd < 0) return ame__fail_errno(errno, "rank %d: no eventfd", engine->rank);
    engine->timer_open = uv_timer_init(&engine->net.loop, &engine->notice_timer) == 0;
    engine->device_open = ame__staged_begin();
    return AME_OK;
}

/* Rank 0 has a connection to each rank; the soft limit may be lower than that and be raised. */
static int check_descriptors(const struct ame__engine *engine)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t) engine->size + DESCRIPTORS_BESIDE;
    if (engine->rank != 0 || getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed) return AME_OK;
    if (limit.rlim_max < needed && limit.rlim_max < (rlim_t) engine->size + DESCRIPTORS_BESIDE / 4)
        return ame__fail(AME_E_SYSTEM,
                         "rank 0 needs about %d open files to connect %d ranks, the limit is %llu (ulimit -Hn)",
                         (int) needed, engine->size, (unsigned long long) limit.rlim_max);
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return AME_OK;
}

/* What rank 0 publishes: protocol, name and identity of the host, addresses, its AME_DIRECT and AME_EAGER_WINDOW, key, with
 * '/' between, since values must not hold blanks. The two settings have to be the same on all ranks: by the first they choose
 * the ways of collective calls, and a rank grants the second to senders with whom it never shakes hands. */
static int publish(struct ame__engine *engine, char value[AME__BOOT_VALUE_MAX])
{
    char key[sodium_base64_ENCODED_LEN(AME__KEY_SIZE, sodium_base64_VARIANT_URLSAFE)];
    int code = ame__net_listen(&engine->net);
    if (code) return code;
    randombytes_buf(engine->net.key, AME__KEY_SIZE);
    sodium_bin2base64(key, sizeof key, engine->net.key, AME__KEY_SIZE, sodium_base64_VARIANT_URLSAFE);
    snprintf(value, AME__BOOT_VALUE_MAX, "%u/%s/%s/%s/%d/%llu/%s", AME__PROTOCOL_VERSION, engine->host,
             engine->net.host, engine->net.offer, engine->direct, (unsigned long long) engine->net.window, key);
    sodium_memzero(key, sizeof key);
    return ame__boot_put(&engine->boot, "ame-root", value);
}

static int dial_root(struct ame__engine *engine, char value[AME__BOOT_VALUE_MAX], int64_t deadline)
{
    char *rest = value;
    const char *version = strsep(&rest, "/"), *host = strsep(&rest, "/");
    size_t length = 0;
    if (host && strtoul(version, NULL, 10) != AME__PROTOCOL_VERSION)
        return ame__fail(AME_E_VERSION, "rank 0 on %s speaks protocol version %s, rank %d on %s version %u", host,
                         version, engine->rank, engine->host, AME__PROTOCOL_VERSION);
    const char *id = strsep(&rest, "/"), *addresses = strsep(&rest, "/"), *direct = strsep(&rest, "/"),
               *window = strsep(&rest, "/");
    if (!rest ||
        sodium_base642bin(engine->net.key, AME__KEY_SIZE, rest, strlen(rest), NULL, &length, NULL,
                          sodium_base64_VARIANT_URLSAFE) ||
        length != AME__KEY_SIZE)
        return ame__fail(AME_E_PROTOCOL,
                         "rank %d: what rank 0 has published cannot be read (another version of libame?)",
                         engine->rank);
    sodium_memzero(rest, strlen(rest));
    free(engine->peers[0].host);
    engine->peers[0].host = strdup(host);
    engine->direct = *direct == '1';
    grant_window(engine, strtoull(window, NULL, 10));
    bool same_host = engine->net.one_host || !strcmp(id, engine->net.host);
    int code = ame__net_dial(&engine->net, 0, addresses, same_host, deadline);
    if (!code) engine->peers[0].path = AME__DIALLING;
    return code;
}

static bool all_connected(void *arg)
{
    struct ame__engine *engine = arg;
    if (ame__now_ns() > engine->boot.deadline) return true;
    if (engine->rank == 0) return engine->introduced == engine->size - 1 || engine->absent > 0;
    return engine->ready || engine->peers[0].life != AME__ALIVE;
}

static void on_deadline(uv_timer_t *timer)
{
    (void) timer;
}

static int check_connected(struct ame__engine *engine)
{
    double seconds = 0;
    (void) ame__var_number(AME__VAR_CONNECT_TIMEOUT, &seconds);
    if (engine->rank != 0) {
        if (engine->ready) return AME_OK;
        if (engine->peers[0].life != AME__ALIVE) {
            ame__peer_blamed(0); /* it may have died, and that is the reason then */
            return ame__fail(engine->abort_code ? engine->abort_code : AME_E_CONNECT,
                             "rank %d on host %s cannot connect to rank 0 on host %s: %s%s", engine->rank, engine->host,
                             ame__peer_host(0), engine->peers[0].cause ? engine->peers[0].cause : "out of memory",
                             engine->net.one_host || !engine->abort_code || engine->abort_code == AME_E_CONFIG
                                 ? ""
                                 : " (firewall? see AME_PORT_RANGE; wrong interface? see AME_IFACE)");
        }
        if (engine->hub)
            return ame__fail(AME_E_TIMEOUT,
                             "rank %d on host %s: not all ranks have connected to rank 0 in %g s (AME_CONNECT_TIMEOUT)",
                             engine->rank, engine->host, seconds);
        return ame__fail(AME_E_TIMEOUT,
                         "rank %d on host %s: no connection to rank 0 on host %s in %g s (AME_CONNECT_TIMEOUT)%s%s",
                         engine->rank, engine->host, engine->peers[0].host ? engine->peers[0].host : "?", seconds,
                         engine->peers[0].cause ? ": " : "", engine->peers[0].cause ? engine->peers[0].cause : "");
    }
    int missing = 0, first = 0;
    for (int rank = engine->size - 1; rank > 0; rank--)
        if (!engine->peers[rank].host) missing++, first = rank;
    for (int rank = 1; engine->absent > 0 && rank < engine->size; rank++) {
        char others[80] = "";
        if (engine->peers[rank].life == AME__ALIVE) continue;
        ame__peer_blamed(rank);
        if (missing)
            snprintf(others, sizeof others, "; %d had not connected yet, the first one is rank %d", missing, first);
        return ame__fail(AME_E_PEER_FAILED,
                         "rank 0 on host %s: rank %d on host %s has failed before all had connected: %s%s",
                         engine->host, rank, ame__peer_host(rank),
                         engine->peers[rank].cause ? engine->peers[rank].cause : "it has finalized", others);
    }
    if (missing == 0) return AME_OK;
    return ame__fail(
        AME_E_TIMEOUT,
        "rank 0 on host %s: %d of %d ranks have not connected in %g s (AME_CONNECT_TIMEOUT), the first one is "
        "rank %d",
        engine->host, missing, engine->size, seconds, first);
}

static bool root_settled(void *arg)
{
    struct ame__engine *engine = arg;
    return engine->hub || engine->peers[0].life != AME__ALIVE || ame__now_ns() > engine->boot.deadline;
}

static int try_root(struct ame__engine *engine)
{
    char value[AME__BOOT_VALUE_MAX];
    int64_t limit = engine->boot.deadline, soon = ame__now_ns() + (int64_t) STALE_MS * 1000000;
    int code = ame__boot_get(&engine->boot, "ame-root", value);
    if (code) return code;
    if (engine->boot.stale_values && soon < limit) limit = soon;
    code = dial_root(engine, value, limit);
    sodium_memzero(value, sizeof value);
    if (code) ame__peer_gone(0, AME__FAILED, ame__error_text());
    if (code) engine->abort_code = code;
    return AME_OK;
}

/* Dials rank 0. Where a value can be left over from another job it is read again until it leads to rank 0. */
static int find_root(struct ame__engine *engine)
{
    struct ame__peer *root = &engine->peers[0];
    char *cause = NULL; /* of the last failure, to be told if it goes on */
    for (;;) {
        int code = try_root(engine);
        if (!code && engine->boot.stale_values) ame__wait_until(root_settled, engine, -1, NULL);
        if (code || !engine->boot.stale_values || engine->hub ||
            ame__now_ns() + (int64_t) RETRY_MS * 1000000 > engine->boot.deadline) {
            if (!root->cause && !engine->hub)
                root->cause = cause;
            else
                free(cause);
            return code;
        }
        ame__log(engine, DEBUG, "rank 0 was not found (%s); trying again", root->cause ? root->cause : "");
        free(cause);
        cause = root->cause;
        root->cause = NULL;
        root->life = AME__ALIVE;
        root->path = AME__UNLINKED;
        engine->abort_code = AME_OK;
        usleep(RETRY_MS * 1000);
    }
}

static int wait_for_all(struct ame__engine *engine)
{
    int64_t left = (engine->boot.deadline - ame__now_ns()) / 1000000;
    uv_update_time(&engine->net.loop); /* else the timer counts from when the loop ran last */
    uv_timer_start(&engine->notice_timer, on_deadline, left > 0 ? (uint64_t) left + 1 : 0, DEADLINE_MS);
    int code = engine->rank == 0 ? AME_OK : find_root(engine);
    if (!code) {
        ame__boot_release(&engine->boot, false);
        ame__wait_until(all_connected, engine, -1, NULL);
        code = check_connected(engine);
    }
    uv_timer_stop(&engine->notice_timer);
    if (!code && engine->rank == 0) ame__notice_ready();
    return code;
}

static int connect_star(struct ame__engine *engine)
{
    char value[AME__BOOT_VALUE_MAX];
    int code = engine->rank == 0 ? publish(engine, value) : AME_OK;
    sodium_memzero(value, sizeof value);
    if (!code) code = ame__boot_fence(&engine->boot);
    if (code) return code;
    pthread_mutex_lock(&engine->lock);
    code = wait_for_all(engine);
    if (!code) count_local_ranks(engine);
    pthread_mutex_unlock(&engine->lock);
    ame__boot_connected(&engine->boot);
    return code;
}

static void forked_child(void)
{
    struct ame__engine *engine = &ame__engine;
    enum ame__stage stage = atomic_load(&engine->stage);
    if (stage == AME__OFF || stage == AME__ENDED) return;
    atomic_store(&engine->stage, AME__FORKED);
    ame__net_abandon(&engine->net); /* else the others would not see the parent's end while this child lives */
    ame__boot_close(&engine->boot);
}

static void close_net(struct ame__engine *engine)
{
    if (!engine->net.loop_open) return;
    if (engine->timer_open) uv_close((uv_handle_t *) &engine->notice_timer, NULL);
    if (engine->device_open) ame__staged_end();
    ame__net_close(&engine->net);
}

void ame__engine_free(void)
{
    struct ame__engine *engine = &ame__engine;
    for (int bucket = 0; bucket < AME__CONTEXT_BUCKETS; bucket++)
        while (engine->contexts[bucket]) ame__context_destroy(engine->contexts[bucket]);
    ame__requests_free();
    for (int rank = 0; engine->peers && rank < engine->size; rank++) {
        free(engine->peers[rank].cause);
        free(engine->peers[rank].host);
    }
    free(engine->peers);
    free(engine->leavers);
    free(engine->slots);
    engine->peers = NULL;
    if (engine->wake_fd >= 0) close(engine->wake_fd);
    engine->wake_fd = -1;
    ame__boot_close(&engine->boot);
}

int ame__engine_open(void)
{
    struct ame__engine *engine = &ame__engine;
    engine->wake_fd = -1;
    ame__list_init(&engine->free_requests);
    ame__list_init(&engine->request_blocks);
    ame__list_init(&engine->callouts);
    int code = ame__boot_open(&engine->boot);
    if (code) return code;
    memcpy(engine->host, engine->boot.host, sizeof engine->host);
    engine->rank = engine->boot.rank;
    engine->size = engine->boot.size;
    ame__log_set_rank(engine->rank);
    ame__list_init(&engine->waits);
    ame__state_attach(engine->rank);
    ame__doing(AME__DOING_STARTING);
    code = read_settings(engine);
    if (!code) code = make_tables(engine);
    if (!code) code = check_descriptors(engine);
    if (!code && engine->size > 1) code = connect_star(engine);
    if (!code) {
        ame__doing(AME__DOING_COMPUTING); /* before there is a helper: it counts frames, which this reads */
        if (engine->size > 1) code = ame__helper_start();
    }
    if (code) {
        close_net(engine);
        ame__engine_free();
        ame__state_detach();
        return code;
    }
    pthread_atfork(NULL, NULL, forked_child);
    atomic_store_explicit(&engine->stage, AME__RUNNING, memory_order_release);
    ame__log(engine, DEBUG, "rank %d of %d is up (%s: %s)", engine->rank, engine->size, engine->boot.way->name,
             engine->boot.why);
    return AME_OK;
}

/* ---- end ----------------------------------------------------------------------------------------- */

struct farewell {
    struct ame__engine *engine;
    int64_t deadline;
};

/* Everybody this rank has a connection with has answered its BYE. */
static bool all_answered(void *arg)
{
    const struct farewell *farewell = arg;
    if (ame__now_ns() > farewell->deadline) return true;
    for (int rank = 0; rank < farewell->engine->size; rank++) {
        const struct ame__peer *peer = &farewell->engine->peers[rank];
        if (peer->conn && !peer->bye_acked) return false;
    }
    return true;
}

/* Rank 0: every other rank has closed its connection, after its own BYE or by failing. */
static bool all_left(void *arg)
{
    const struct ame__engine *engine = arg;
    return engine->absent == engine->size - 1;
}

/* The posted receives of the program. Those of collective calls stay: others may wait for what this rank passes on. */
static void cancel_posted(struct ame__list *posted, const char *text)
{
    ame__list_for_each(node, posted)
    {
        struct ame_request *request = ame__container_of(node, struct ame_request, link);
        if (!request->on_done) ame__request_done(request, AME_E_CANCELLED, text);
    }
}

/* What the program has started and not completed ends here; a partner that answers later gets GONE. */
static void cancel_all(struct ame__engine *engine)
{
    const char *text = "ame_finalize was called before this operation had completed";
    for (int bucket = 0; bucket < AME__CONTEXT_BUCKETS; bucket++)
        for (struct ame__context *context = engine->contexts[bucket]; context; context = context->next) {
            cancel_posted(&context->any_posted, text);
            for (int rank = 0; rank < engine->size; rank++)
                if (context->lanes[rank].posted.next) cancel_posted(&context->lanes[rank].posted, text);
        }
    for (int rank = 0; rank < engine->size; rank++)
        if (engine->peers[rank].conn) ame__frame_cancel(engine->peers[rank].conn, AME_E_CANCELLED, text);
    for (uint32_t index = 1; index < engine->slot_count; index++)
        if (engine->slots[index].request) ame__request_done(engine->slots[index].request, AME_E_CANCELLED, text);
    for (int rank = 0; rank < engine->size; rank++)
        for (struct ame__list *node; (node = ame__list_take(&engine->peers[rank].held));)
            ame__request_done(ame__container_of(node, struct ame_request, link), AME_E_CANCELLED, text);
}

static void say_goodbye(struct ame__engine *engine)
{
    double seconds = 10;
    (void) ame__var_number(AME__VAR_FINALIZE_TIMEOUT, &seconds);
    struct farewell farewell = {.engine = engine, .deadline = ame__now_ns() + (int64_t) (seconds * 1e9)};
    cancel_all(engine);
    for (int rank = 0; rank < engine->size; rank++)
        if (engine->peers[rank].conn) ame__peer_control(rank, AME__FRAME_BYE, 0, 0, 0);
    if (engine->rank == 0) {
        ame__wait_until(all_left, engine, -1, NULL);
    } else {
        uv_timer_t timer;
        uv_timer_init(&engine->net.loop, &timer);
        uv_update_time(&engine->net.loop);
        uv_timer_start(&timer, on_deadline, (uint64_t) (seconds * 1000) + 1, DEADLINE_MS);
        ame__wait_until(all_answered, &farewell, -1, NULL);
        uv_close((uv_handle_t *) &timer, NULL);
        ame__net_poll(&engine->net);
    }
}

void ame__engine_close(void)
{
    struct ame__engine *engine = &ame__engine;
    ame__helper_stop();
    pthread_mutex_lock(&engine->lock);
    ame__doing(AME__DOING_LEAVING);
    if (engine->size > 1 && !engine->aborted) say_goodbye(engine);
    pthread_mutex_unlock(&engine->lock);
    atomic_store(&engine->stage, AME__ENDED);
    ame__boot_release(&engine->boot, true);
    pthread_mutex_lock(&engine->lock);
    close_net(engine);
    ame__doing(AME__DOING_LEFT);
    ame__state_detach();
    pthread_mutex_unlock(&engine->lock);
}

/* The code with which another rank has ended the job; 0: none has, or it cannot be seen now. */
static int aborted_by_other(struct ame__engine *engine)
{
    int code = 0;
    if (atomic_load(&engine->stage) != AME__RUNNING || pthread_mutex_trylock(&engine->lock)) return 0;
    if (engine->aborted && engine->abort_rank != engine->rank) code = engine->abort_code;
    pthread_mutex_unlock(&engine->lock);
    return code;
}

_Noreturn void ame__engine_abort(int code)
{
    struct ame__engine *engine = &ame__engine;
    int first = aborted_by_other(engine); /* then this is what follows from it, and the launcher knows already */
    if (first) {
        fflush(NULL);
        _exit(first & 0xff ? first & 0xff : 1);
    }
    if (code == 0) code = 1;
    ame__boot_abort(&engine->boot, code); /* first, so that the launcher hears of it from nobody else before */
    if (atomic_load(&engine->stage) == AME__RUNNING) {
        /* The lock may be held by a thread that will not give it back; what matters is that the launcher hears of it.
         */
        for (int tries = 0; tries < 1000; tries++) {
            if (pthread_mutex_trylock(&engine->lock) == 0) {
                ame__notice_abort(engine->rank, code & 0xff ? code & 0xff : 1);
                pthread_mutex_unlock(&engine->lock);
                break;
            }
            sched_yield();
        }
    }
    fflush(NULL);
    _exit(code & 0xff ? code & 0xff : 1);
}
