/* life.c - ame_init, ame_finalize, ame_abort and their relatives: the public face of engine/life.c. */
#include "comm.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

static void warn_unknown(const char *name, const char *nearest, void *arg)
{
    (void) arg;
    if (nearest)
        ame__log(base, WARN, "%s is not a variable of AME; maybe %s?", name, nearest);
    else
        ame__log(base, WARN, "%s is not a variable of AME (ame-info prints all)", name);
}

int ame_init(void)
{
    struct ame__engine *engine = &ame__engine;
    enum ame__stage expected = AME__OFF;
    if (!atomic_compare_exchange_strong(&engine->stage, &expected, AME__STARTING))
        return ame__fail(AME_E_STATE, "ame_init: %s",
                         expected == AME__ENDED      ? "ame_finalize has been called; a process can be a rank once"
                         : expected == AME__FORKED   ? "this process is a fork of a rank; start a new program instead"
                         : expected == AME__STARTING ? "it is running in another thread"
                                                     : "it has been called already");
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 &&
           fd <= STDERR_FILENO) { /* closed: a socket must not take its place */
    }
    if (fd >= 0) close(fd);
    ame__log_open();
    ame__vars_check_names(warn_unknown, NULL);
    int code = ame__engine_open();
    if (code) {
        atomic_store(&engine->stage, AME__OFF);
        return ame__error_prefix(code, "ame_init");
    }
    pthread_mutex_lock(&engine->lock);
    code = ame__comm_world_create();
    pthread_mutex_unlock(&engine->lock);
    if (code) (void) ame_finalize();
    return code;
}

int ame_finalize(void)
{
    static const char function[] = "ame_finalize";
    int code = ame__enter(function);
    if (code == AME_E_STATE) return code;
    if (!code) ame__leave();
    atomic_store(&ame__engine.stage, AME__LEAVING);
    ame__engine_close();
    ame__comm_free_all();
    ame__engine_free();
    ame__log_close();
    return AME_OK;
}

int ame_initialized(void)
{
    return atomic_load_explicit(&ame__engine.stage, memory_order_acquire) == AME__RUNNING;
}

int ame_finalized(void)
{
    return atomic_load_explicit(&ame__engine.stage, memory_order_acquire) == AME__ENDED;
}

void ame_abort(int code)
{
    ame__engine_abort(code);
}

int ame_tolerate_failures(int on)
{
    static const char function[] = "ame_tolerate_failures";
    bool agreed = true;
    int code = ame__enter(function);
    if (code) return code;
    if (ame__engine.rank == 0) code = ame__boot_tolerate(&ame__engine.boot, on != 0, &agreed);
    ame__leave();
    if (code) return ame__error_prefix(code, function);
    if (!agreed)
        return ame__fail(AME_E_CONFIG,
                         "%s: ameexec was started with --on-failure end, so the failure of any rank ends the job",
                         function);
    return AME_OK;
}

const char *ame_version(void)
{
    return AME__VERSION;
}

double ame_wtime(void)
{
    return (double) ame__now_ns() * 1e-9;
}
