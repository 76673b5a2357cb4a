/* driver.c - loads the CUDA driver. See driver.h. */
#include "driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/vars.h"

/* File scope because the driver, too, exists once in a process. Written under `once` only. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct ame__cuda cuda;
static bool loaded;
static char reason[512];

static const char *const symbols[] = {
#define NAME(field, symbol, parameters) #symbol,
    AME__CUDA_FUNCTIONS(NAME)
#undef NAME
};
static const size_t fields[] = {
#define OFFSET(field, symbol, parameters) offsetof(struct ame__cuda, field),
    AME__CUDA_FUNCTIONS(OFFSET)
#undef OFFSET
};

static bool find_functions(void *library, const char *name)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(library, symbols[i]);
        if (!address) {
            snprintf(reason, sizeof reason, "%s has no %s: a driver of CUDA 11.4 or newer is needed", name, symbols[i]);
            return false;
        }
        memcpy((char *) &cuda + fields[i], &address, sizeof address);
    }
    return true;
}

static void load(void)
{
    const char *name = ame__var_text(AME__VAR_CUDA_LIB);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *error = dlerror();
        snprintf(reason, sizeof reason, "no CUDA driver here: %.400s", error ? error : name);
        return;
    }
    if (!find_functions(library, name)) return;
    ame__cu_result result = cuda.init(0);
    if (result == AME__CU_STUB_LIBRARY) {
        snprintf(reason, sizeof reason, "%s is the stub for linking, not a driver", name);
    } else if (result == AME__CU_NO_DEVICE) {
        snprintf(reason, sizeof reason, "the CUDA driver finds no device (CUDA_VISIBLE_DEVICES, or none here)");
    } else if (result) {
        char text[200];
        ame__cuda_describe(result, text, sizeof text);
        snprintf(reason, sizeof reason, "the CUDA driver does not start: cuInit: %s", text);
    } else {
        int version = 0;
        (void) cuda.driver_version(&version);
        ame__log(gpu, INFO, "%s: driver for CUDA %d.%d", name, version / 1000, version % 1000 / 10);
        loaded = true;
    }
}

const struct ame__cuda *ame__cuda_load(const char **why)
{
    pthread_once(&once, load);
    if (loaded) return &cuda;
    *why = reason;
    return NULL;
}

void ame__cuda_describe(ame__cu_result result, char *text, size_t size)
{
    const char *name = NULL, *string = NULL;
    if (cuda.error_name) (void) cuda.error_name(result, &name);
    if (cuda.error_string) (void) cuda.error_string(result, &string);
    snprintf(text, size, "%s (%u%s%s)", name ? name : "CUDA error", result, string ? ", " : "", string ? string : "");
}
