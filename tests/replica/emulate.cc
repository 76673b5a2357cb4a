// emulate.cc - the kernels for GPUs, from their own source, on a processor: they must give the bits of the C functions
//
// Until a GPU has run them this is what is known of the .cu files: indices, barriers and the order of sums are right. Each
// thread of a block is a context with a stack of its own; a barrier hands over to the next one, so that all threads come
// to it before any goes on. Threads run one after the other between two barriers, by turns forward and backward, so that a
// barrier that is missing changes results. What is not seen here: what nvcc makes of it, memory that is not coherent, speed.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

#include <ame_replica.h>

// ---- a little of CUDA ----

struct dim {
    unsigned x, y, z;
};
static dim threadIdx, blockIdx, blockDim;

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

static const size_t stack_bytes = 128 * 1024;
struct thread {
    ucontext_t context;
    bool done;
};
static std::vector<thread> threads;
static ucontext_t scheduler;
static void (*entry)(const ame_replica *replicas, unsigned count);
static const ame_replica *entry_replicas;
static unsigned entry_count;

static void body()
{
    unsigned self = threadIdx.x;
    entry(entry_replicas, entry_count);
    threads[self].done = true;
    swapcontext(&threads[self].context, &scheduler);
}

static void __syncthreads()
{
    unsigned self = threadIdx.x;
    swapcontext(&threads[self].context, &scheduler);
}

template <typename T> static T atomicAdd(T *to, T value)
{
    T old = *to;
    *to = old + value;
    return old;
}

static int __shfl_down_sync(unsigned, int value, int offset) // all threads of the block call it
{
    static int slots[1024];
    slots[threadIdx.x] = value;
    __syncthreads();
    unsigned other = threadIdx.x + static_cast<unsigned>(offset);
    int result = other / 32 == threadIdx.x / 32 && other < blockDim.x ? slots[other] : value;
    __syncthreads();
    return result;
}

static void run_block()
{
    static std::vector<char> stacks;
    stacks.resize(blockDim.x * stack_bytes);
    threads.assign(blockDim.x, thread());
    for (unsigned t = 0; t < blockDim.x; t++) {
        getcontext(&threads[t].context);
        threads[t].context.uc_stack.ss_sp = stacks.data() + t * stack_bytes;
        threads[t].context.uc_stack.ss_size = stack_bytes;
        makecontext(&threads[t].context, body, 0);
    }
    bool left = true;
    for (int turn = 0; left; turn++) {
        left = false;
        for (unsigned i = 0; i < blockDim.x; i++) {
            unsigned t = turn % 2 ? blockDim.x - 1 - i : i;
            if (threads[t].done) continue;
            threadIdx = {t, 0, 0};
            swapcontext(&scheduler, &threads[t].context);
            left |= !threads[t].done;
        }
    }
}

static void launch(void (*kernel)(const ame_replica *, unsigned), unsigned blocks, unsigned block,
                   std::vector<ame_replica> &replicas)
{
    entry = kernel;
    entry_replicas = replicas.data();
    entry_count = static_cast<unsigned>(replicas.size());
    blockDim = {block, 1, 1};
    for (unsigned y = 0; y < replicas.size(); y++)
        for (unsigned x = 0; x < blocks; x++) {
            blockIdx = {x, y, 0};
            run_block();
        }
}

// ---- the kernels ----

#include "../../examples/replica/butane.cu"
#include "../../examples/replica/ising.cu"
#include "../../examples/replica/mueller.cu"

extern "C" {
#include "kinds.h"
}

// ---- comparison ----

static int failed;

typedef void kernel_function(const ame_replica *, unsigned);

// Memory of three replicas, all 0, aligned as the library does it.
static char *memory(size_t bytes)
{
    size_t room = (3 * bytes + 63) / 64 * 64 + 64;
    return static_cast<char *>(memset(aligned_alloc(64, room), 0, room));
}

// Three replicas, two runs, by the kernels and by the C function; parameters change in between.
static void compare(const ame_replica_kind &kind, kernel_function *kernel, kernel_function *summary,
                    const void *const parameters[2], const uint64_t steps[2])
{
    char *state[2], *result[2];
    for (int way = 0; way < 2; way++) state[way] = memory(kind.state_size), result[way] = memory(kind.result_size);
    uint64_t first = 0;
    for (int run = 0; run < 2; run++) {
        for (int way = 0; way < 2; way++) {
            std::vector<ame_replica> replicas;
            memset(result[way], 0, 3 * kind.result_size);
            for (uint64_t id = 0; id < 3; id++) {
                ame_replica r = {id,
                                 42,
                                 first,
                                 steps[run],
                                 static_cast<const char *>(parameters[run]) + id * kind.parameters_size,
                                 state[way] + id * kind.state_size,
                                 result[way] + id * kind.result_size};
                if (run == 0) kind.start(&r, kind.arg);
                replicas.push_back(r);
            }
            if (way == 0) {
                kind.run(replicas.data(), 3, kind.arg);
            } else {
                launch(kernel, (kind.lanes + kind.threads - 1) / kind.threads, kind.threads, replicas);
                if (summary) launch(summary, 1, kind.summary_threads, replicas);
            }
        }
        int same = memcmp(state[0], state[1], 3 * kind.state_size) == 0 &&
                   memcmp(result[0], result[1], 3 * kind.result_size) == 0;
        printf("%s, run %d: %s\n", kind.name, run, same ? "the same bits" : "DIFFERENT");
        failed |= !same;
        first += steps[run];
    }
    for (int way = 0; way < 2; way++) free(state[way]), free(result[way]);
}

static void check_butane()
{
    struct butane w[2][3];
    const void *parameters[2] = {w[0], w[1]};
    const uint64_t steps[2] = {23, 34};
    for (int run = 0; run < 2; run++)
        for (int id = 0; id < 3; id++) {
            memset(&w[run][id], 0, sizeof w[run][id]);
            w[run][id].equilibration = 11, w[run][id].walkers = 150, w[run][id].stride = 5;
            butane_window(&w[run][id], 40 * id - 170, 100, 0.004, 5, 298.15);
        }
    compare(butane_kind(150), butane_kernel, butane_summary, parameters, steps);
}

static void check_mueller()
{
    struct mueller m[2][3];
    const void *parameters[2] = {m[0], m[1]};
    const uint64_t steps[2] = {30, 41};
    for (int run = 0; run < 2; run++)
        for (int id = 0; id < 3; id++) {
            memset(&m[run][id], 0, sizeof m[run][id]);
            m[run][id].centre[0] = -0.5 + 0.1 * id, m[run][id].centre[1] = 1.4 - 0.1 * run;
            m[run][id].spring = 1000, m[run][id].walkers = 150;
            m[run][id].sample_from = run ? 35 : 5;
            mueller_dynamics(&m[run][id], 1e-5, 10);
        }
    compare(mueller_kind(150), mueller_kernel, mueller_summary, parameters, steps);
}

static void check_ising(uint32_t length)
{
    struct ising m[2][3];
    const void *parameters[2] = {m[0], m[1]};
    const uint64_t steps[2] = {5, 8};
    for (int run = 0; run < 2; run++)
        for (int id = 0; id < 3; id++) {
            memset(&m[run][id], 0, sizeof m[run][id]);
            m[run][id].length = length;
            ising_temperature(&m[run][id], 2.1 + 0.2 * ((id + run) % 3));
        }
    compare(ising_kind(length), ising_kernel, nullptr, parameters, steps);
}

int main()
{
    check_butane();
    check_mueller();
    check_ising(8);
    check_ising(40);
    return failed;
}
