// Blocks one after the other, their threads as fibers.
//
// A fiber runs up to a barrier and then lets the next one run.  All threads of a block must meet
// the same barriers in the same order, as CUDA demands of __syncthreads; one that ends early while
// others wait is reported.

#include "emulator.h"

#include <ucontext.h>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

double exchanged[1024];

constexpr size_t STACK = 1 << 16;

struct Fiber {
    ucontext_t context;
    dim3 index;
    bool done = false;
    std::vector<char> stack;
};

static std::vector<Fiber> fibers;
static ucontext_t home;
static Fiber* running = nullptr;
static void (*body)(void*);
static void* given;

static void enter() {
    body(given);
    running->done = true;
    swapcontext(&running->context, &home);
}

void barrier() {
    Fiber* self = running;
    swapcontext(&self->context, &home);
}

static dim3 index_of(unsigned n) {
    return {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
}

static int run_block(unsigned count) {
    if (fibers.size() < count) fibers.resize(count);
    for (unsigned n = 0; n < count; ++n) {
        Fiber& fiber = fibers[n];
        fiber.stack.resize(STACK);
        fiber.index = index_of(n);
        fiber.done = false;
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

int run(void (*called)(void*), void* with, const unsigned* grid, const unsigned* block,
        bool meets) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = called;
    given = with;
    unsigned count = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                if (meets) {
                    if (run_block(count)) return 1;
                    continue;
                }
                for (unsigned n = 0; n < count; ++n) {
                    threadIdx = index_of(n);
                    body(given);
                }
            }
    return 0;
}

}  // namespace emulator
