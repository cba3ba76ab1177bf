// Blocks one after the other, their threads as fibers.
//
// A fiber runs up to a barrier and then lets the next one run.  All threads of a block must meet
// the same barriers in the same order, as CUDA demands of __syncthreads; one that ends early while
// others wait is reported.

#include "emulator.h"

#include <setjmp.h>
#include <ucontext.h>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

double exchanged[1024];

constexpr size_t STACK = 1 << 16;

struct Fiber {
    dim3 index;
    jmp_buf place;
    bool begun = false;  // it has a stack, and goes on where it stopped
    bool done = false;
    std::vector<char> stack;
};

static std::vector<Fiber> fibers;
static jmp_buf home;
static Fiber* running = nullptr;
static void (*body)(void*);
static void* given;

// Back to the loop over fibers, until this one's turn.  Jumps, unlike swapcontext, ask nothing of
// the system, and a fiber serves all blocks, so that a barrier costs little.
static void rest() {
    if (!_setjmp(running->place)) _longjmp(home, 1);
}

static void enter() {
    for (;;) {
        body(given);
        running->done = true;
        rest();
    }
}

void barrier() { rest(); }

static void resume(Fiber& fiber) {
    running = &fiber;
    threadIdx = fiber.index;
    if (_setjmp(home)) return;
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    fiber.stack.resize(STACK);
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.data();
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, enter, 0);
    setcontext(&context);
}

static dim3 index_of(unsigned n) {
    return {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
}

static int run_block(unsigned count) {
    if (fibers.size() < count) fibers = std::vector<Fiber>(count);
    for (unsigned n = 0; n < count; ++n) {
        fibers[n].index = index_of(n);
        fibers[n].done = false;
    }
    for (unsigned ended = 0; ended != count;) {
        ended = 0;
        for (unsigned n = 0; n < count; ++n) {
            if (!fibers[n].done) resume(fibers[n]);
            ended += fibers[n].done;
        }
        if (ended && ended != count) {
            for (Fiber& fiber : fibers) fiber.begun = false;
            return 1;
        }
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
