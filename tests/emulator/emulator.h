// What CUDA C needs to run on the processor: blocks one after the other, their threads as fibers.
//
// A fiber runs up to a barrier and then lets the next one run.  All threads of a block must meet
// the same barriers in the same order, as CUDA demands of __syncthreads; one that ends early while
// others wait is reported.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

using std::fabs;

struct dim3 {
    unsigned x, y, z;
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__ static
#define __device__ static
#define __shared__ static
#define __restrict__

namespace emulator {

constexpr size_t STACK = 1 << 16;

struct Fiber {
    ucontext_t context;
    dim3 index;
    unsigned barriers = 0;
    bool done = false;
    std::vector<char> stack;
};

static std::vector<Fiber> fibers;
static ucontext_t home;
static Fiber* running = nullptr;
static void (*body)(void*);
static void* given;
static double exchanged[1024];

static void enter() {
    body(given);
    running->done = true;
    swapcontext(&running->context, &home);
}

static void barrier() {
    running->barriers += 1;
    Fiber* self = running;
    swapcontext(&self->context, &home);
}

static unsigned lane() {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

// 0, or 1 where threads of a block met different barriers.
static int run_block() {
    unsigned count = blockDim.x * blockDim.y * blockDim.z;
    if (fibers.size() < count) fibers.resize(count);
    for (unsigned n = 0; n < count; ++n) {
        Fiber& fiber = fibers[n];
        fiber.stack.resize(STACK);
        fiber.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
        fiber.done = false;
        fiber.barriers = 0;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = &home;
        makecontext(&fiber.context, enter, 0);
    }
    for (bool waiting = true; waiting;) {
        waiting = false;
        unsigned ended = 0;
        for (unsigned n = 0; n < count; ++n) {
            running = &fibers[n];
            if (!running->done) {
                threadIdx = running->index;
                swapcontext(&home, &running->context);
            }
            ended += running->done;
            waiting = waiting || !running->done;
        }
        if (ended && ended != count) return 1;
    }
    return 0;
}

template <class... A, size_t... I>
static void apply(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

template <class... A>
struct Bound {
    void (*kernel)(A...);
    void** arguments;
    static void call(void* self) {
        auto* bound = static_cast<Bound*>(self);
        apply(bound->kernel, bound->arguments, std::index_sequence_for<A...>{});
    }
};

template <class... A>
static int launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block,
                  void** arguments, bool meets) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    Bound<A...> bound{kernel, arguments};
    body = Bound<A...>::call;
    given = &bound;
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                if (meets) {
                    if (run_block()) return 1;
                    continue;
                }
                unsigned count = blockDim.x * blockDim.y * blockDim.z;
                for (unsigned n = 0; n < count; ++n) {
                    threadIdx = {n % blockDim.x, n / blockDim.x % blockDim.y,
                                 n / blockDim.x / blockDim.y};
                    body(given);
                }
            }
    return 0;
}

}  // namespace emulator

static inline void __syncthreads() { emulator::barrier(); }

template <class V>
static V __shfl_xor_sync(unsigned, V value, int mask) {
    unsigned lane = emulator::lane();
    emulator::exchanged[lane] = value;
    emulator::barrier();
    V other = (V)emulator::exchanged[(lane & ~31u) | ((lane ^ mask) & 31u)];
    emulator::barrier();
    return other;
}

static inline float __int_as_float(int bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef _Float16 __half;
static inline float __half2float(__half x) { return (float)x; }
static inline __half __float2half(float x) { return (__half)x; }

// the upper half of a float, rounded to nearest even
struct __nv_bfloat16 {
    unsigned short bits;
};
static inline float __bfloat162float(__nv_bfloat16 x) { return __int_as_float((int)x.bits << 16); }
static inline __nv_bfloat16 __float2bfloat16(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return {0x7fff};
    bits += 0x7fff + (bits >> 16 & 1);
    return {(unsigned short)(bits >> 16)};
}

#define EXPORT(name, meets)                                                              \
    extern "C" int launch_##name(const unsigned* grid, const unsigned* block, void** a) { \
        return emulator::launch(name, grid, block, a, meets);                             \
    }
