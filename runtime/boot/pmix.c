/* pmix.c - started by a launcher that serves PMIx: Open MPI's mpirun, srun --mpi=pmix. The client library libpmix.so.2 is
 * looked up at run time, so that nothing depends on it.
 *
 * The few structures it takes are written out here; they are the same in all versions from 2 on (version 1 has the same
 * library name and others, so the version is asked first). Only rank 0 puts a value. The fence must collect data: without
 * that it is no barrier between the nodes of Slurm, and a value may be asked of a rank that has gone. PMIx is left right
 * after the exchange, with which its thread and descriptors go too.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/vars.h"

#include "env.h"
#include "ways.h"

enum {
    TYPE_BOOL = 1,
    TYPE_STRING = 3,
    TYPE_INT = 6,
    TYPE_INT32 = 9,
    TYPE_UINT16 = 13,
    TYPE_UINT32 = 14,
    TYPE_UINT64 = 15,
    TYPE_RANK = 40
};
enum { SCOPE_GLOBAL = 3 };
#define RANK_WILDCARD 0xfffffffeu

typedef struct {
    char name_space[256];
    uint32_t rank;
} process;
typedef struct {
    uint16_t type;
    union {
        bool flag;
        char *string;
        int32_t integer;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        struct {
            char *bytes;
            size_t size;
        } object;
        char room[24]; /* 16 in version 2 */
    } data;
} value_of_pmix;
typedef struct {
    char key[512];
    uint32_t flags;
    value_of_pmix value;
} info;
_Static_assert(sizeof(process) == 260 && sizeof(value_of_pmix) == 32 && offsetof(info, value) == 520,
               "structures of PMIx");

/* The library, which is loaded once and stays, since it cannot be unloaded safely. File scope because a process is one
 * rank; used by the thread that runs ame_init, save for `fence`. */
static struct {
    void *handle;
    int (*init)(process *, info *, size_t);
    int (*put)(uint8_t, const char *, value_of_pmix *);
    int (*commit)(void);
    int (*fence_nb)(const process *, size_t, const info *, size_t, void (*)(int, void *), void *);
    int (*get)(const process *, const char *, const info *, size_t, value_of_pmix **);
    int (*finalize)(const info *, size_t);
    const char *(*error_string)(int);
    const char *(*version)(void);
} pmix;

/* The fence ends in the library's thread. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    int status;
} fence_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool load(char why[AME__BOOT_WHY_MAX])
{
    static const struct {
        const char *name;
        void **function;
    } symbols[] = {{"PMIx_Init", (void **) &pmix.init},
                   {"PMIx_Put", (void **) &pmix.put},
                   {"PMIx_Commit", (void **) &pmix.commit},
                   {"PMIx_Fence_nb", (void **) &pmix.fence_nb},
                   {"PMIx_Get", (void **) &pmix.get},
                   {"PMIx_Finalize", (void **) &pmix.finalize},
                   {"PMIx_Error_string", (void **) &pmix.error_string},
                   {"PMIx_Get_version", (void **) &pmix.version}};
    if (pmix.handle) return true;
    void *handle = dlopen("libpmix.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(why, AME__BOOT_WHY_MAX, "libpmix.so.2 cannot be loaded: %.150s", dlerror());
        return false;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        *symbols[i].function = dlsym(handle, symbols[i].name);
        if (*symbols[i].function) continue;
        snprintf(why, AME__BOOT_WHY_MAX, "libpmix.so.2 has no %s", symbols[i].name);
        return false;
    }
    const char *text = pmix.version(), *digits = text + strcspn(text, "0123456789");
    if (strtol(digits, NULL, 10) < 2) {
        snprintf(why, AME__BOOT_WHY_MAX, "libpmix.so.2 is '%.100s', which is older than version 2", text);
        return false;
    }
    pmix.handle = handle;
    return true;
}

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    static const char *const rank[] = {"PMIX_NAMESPACE", "PMIX_RANK", NULL};
    const char *missing = ame__env_missing(rank);
    if (missing) {
        snprintf(why, AME__BOOT_WHY_MAX, "%s is not set", missing);
    } else if (ame__env_is_ancestors(rank)) {
        snprintf(why, AME__BOOT_WHY_MAX, "PMIX_NAMESPACE and PMIX_RANK are for the rank that has started this process");
    } else if (load(why)) {
        snprintf(why, AME__BOOT_WHY_MAX, "PMIX_NAMESPACE=%.60s, PMIX_RANK=%.12s; %.60s is here",
                 getenv("PMIX_NAMESPACE"), getenv("PMIX_RANK"), pmix.version());
        return true;
    }
    return false;
}

/* A number that the job or a rank has, or `otherwise`; versions differ in its type. */
static int number_of(const process *whom, const char *key, int otherwise)
{
    value_of_pmix *value = NULL;
    uint64_t number = 0;
    if (pmix.get(whom, key, NULL, 0, &value) || !value) return otherwise;
    switch (value->type) {
    case TYPE_UINT16: number = value->data.u16; break;
    case TYPE_INT:
    case TYPE_INT32:
    case TYPE_UINT32:
    case TYPE_RANK: number = value->data.u32; break;
    case TYPE_UINT64: number = value->data.u64; break;
    default: number = UINT64_MAX;
    }
    free(value);
    return number <= 1 << 24 ? (int) number : otherwise;
}

static process someone(const struct ame__boot *boot, uint32_t rank)
{
    process result = {.rank = rank};
    memcpy(result.name_space, boot->name, sizeof result.name_space);
    return result;
}

static int open_pmix(struct ame__boot *boot)
{
    process self;
    memset(&self, 0, sizeof self);
    int status = pmix.init(&self, NULL, 0);
    if (status)
        return ame__fail(AME_E_BOOT,
                         "PMIx_Init failed: %s (%d). PMIX_NAMESPACE=%.60s may be left over from an outer launcher; "
                         "ame-info lists other ways, AME_BOOT names one",
                         pmix.error_string(status), status, getenv("PMIX_NAMESPACE"));
    _Static_assert(sizeof boot->name >= sizeof self.name_space, "the name of a job of PMIx");
    memcpy(boot->name, self.name_space, sizeof self.name_space);
    process all = someone(boot, RANK_WILDCARD);
    boot->size = number_of(&all, "pmix.job.size", 0);
    boot->rank = (int) self.rank;
    if (boot->size < 1 || boot->rank < 0 || boot->rank >= boot->size)
        return ame__fail(AME_E_BOOT, "PMIx says that this is rank %d of %d", boot->rank, boot->size);
    boot->hosts = number_of(&all, "pmix.num.nodes", 0);
    boot->local_size = number_of(&all, "pmix.local.size", 1);
    boot->local_rank = number_of(&self, "pmix.lrank", 0);
    return AME_OK;
}

static int put(struct ame__boot *boot, const char *key, const char *text)
{
    char copy[AME__BOOT_VALUE_MAX];
    value_of_pmix value = {.type = TYPE_STRING, .data.string = copy};
    snprintf(copy, sizeof copy, "%s", text);
    int status = pmix.put(SCOPE_GLOBAL, key, &value);
    if (!status) status = pmix.commit();
    memset(copy, 0, sizeof copy);
    if (status) return ame__fail(AME_E_BOOT, "rank %d: PMIx_Put failed: %s", boot->rank, pmix.error_string(status));
    return AME_OK;
}

static void fence_ended(int status, void *arg)
{
    (void) arg;
    pthread_mutex_lock(&fence_state.lock);
    fence_state.done = true;
    fence_state.status = status;
    pthread_cond_signal(&fence_state.ended);
    pthread_mutex_unlock(&fence_state.lock);
}

static int fence(struct ame__boot *boot)
{
    static info collect; /* the library may read it until the fence ends */
    pthread_condattr_t monotonic;
    struct timespec limit = {.tv_sec = boot->deadline / 1000000000, .tv_nsec = boot->deadline % 1000000000};
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&fence_state.ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    snprintf(collect.key, sizeof collect.key, "pmix.collect");
    collect.value.type = TYPE_BOOL;
    collect.value.data.flag = true;
    int status = pmix.fence_nb(NULL, 0, &collect, 1, fence_ended, NULL);
    if (status) return ame__fail(AME_E_BOOT, "rank %d: PMIx_Fence failed: %s", boot->rank, pmix.error_string(status));
    pthread_mutex_lock(&fence_state.lock);
    while (!fence_state.done && pthread_cond_timedwait(&fence_state.ended, &fence_state.lock, &limit) == 0) {
    }
    bool done = fence_state.done;
    status = fence_state.status;
    pthread_mutex_unlock(&fence_state.lock);
    if (!done)
        return ame__fail(AME_E_TIMEOUT,
                         "rank %d of %d on host %s: the other ranks did not get as far as ame_init in the time of "
                         "AME_CONNECT_TIMEOUT=%s s (PMIx_Fence in %.100s)",
                         boot->rank, boot->size, boot->host, ame__var_text(AME__VAR_CONNECT_TIMEOUT), boot->name);
    if (status)
        return ame__fail(AME_E_BOOT, "rank %d of %d: PMIx_Fence failed: %s (has another rank ended?)", boot->rank,
                         boot->size, pmix.error_string(status));
    return AME_OK;
}

static int get(struct ame__boot *boot, const char *key, char text[AME__BOOT_VALUE_MAX])
{
    process root = someone(boot, 0);
    value_of_pmix *value = NULL;
    int status = pmix.get(&root, key, NULL, 0, &value);
    if (status || !value)
        return ame__fail(AME_E_BOOT, "rank %d: PMIx_Get of what rank 0 has published failed: %s", boot->rank,
                         pmix.error_string(status));
    bool good = value->type == TYPE_STRING && value->data.string && strlen(value->data.string) < AME__BOOT_VALUE_MAX;
    if (good) strcpy(text, value->data.string);
    if (value->type == TYPE_STRING) free(value->data.string);
    free(value);
    return good ? AME_OK : ame__fail(AME_E_PROTOCOL, "rank %d: the value of %s is not a short text", boot->rank, key);
}

static void release(struct ame__boot *boot, bool leaving)
{
    if (leaving) return;
    int status = pmix.finalize(NULL, 0);
    if (status) ame__log(boot, WARN, "PMIx_Finalize: %s", pmix.error_string(status));
    (void) boot;
}

const struct ame__boot_way ame__boot_pmix = {.name = "pmix",
                                             .text = "Open MPI's mpirun, or srun --mpi=pmix (libpmix.so.2)",
                                             .probe = probe,
                                             .open = open_pmix,
                                             .put = put,
                                             .fence = fence,
                                             .get = get,
                                             .release = release};
