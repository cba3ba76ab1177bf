// Blocks one after the other, their threads as fibers.
//
// A fiber runs up to a barrier and then lets the next one run.  All threads of a block must meet
// the same barriers in the same order, as CUDA demands of __syncthreads, and those of a warp the
// same shuffles; one that ends early while others wait is reported.  At a shuffle a warp waits for
// its own threads alone, and so runs ahead of the others as far as it may.

#include "emulator.h"

#include <setjmp.h>
#include <ucontext.h>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

double exchanged[1024];

constexpr size_t STACK = 1 << 16;

enum class State { runs, shuffles, waits, ended };

struct Fiber {
    dim3 index;
    jmp_buf place;
    bool begun = false;  // it has a stack, and goes on where it stopped
    State state = State::runs;
    std::vector<char> stack;
};

static std::vector<Fiber> fibers;
static jmp_buf home;
static Fiber* running = nullptr;
static void (*body)(void*);
static void* given;

// Back to the loop over fibers, until this one's turn.  Jumps, unlike swapcontext, ask nothing of
// the system, and a fiber serves all blocks, so that a barrier costs little.
static void rest(State state) {
    running->state = state;
    if (!_setjmp(running->place)) _longjmp(home, 1);
}

static void enter() {
    for (;;) {
        body(given);
        rest(State::ended);
    }
}

void barrier() { rest(State::waits); }

void shuffle() { rest(State::shuffles); }

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

// What all threads of a warp have come to beyond its shuffles; `runs` where they differ.
static State run_warp(unsigned begin, unsigned end) {
    State own;
    do {
        for (unsigned n = begin; n < end; ++n) {
            resume(fibers[n]);
            if (n == begin) own = fibers[n].state;
            if (fibers[n].state != own) return State::runs;
        }
    } while (own == State::shuffles);
    return own;
}

static int run_block(unsigned count) {
    if (fibers.size() < count) fibers = std::vector<Fiber>(count);
    for (unsigned n = 0; n < count; ++n) fibers[n].index = index_of(n);
    State all = State::runs;
    while (all != State::ended) {
        for (unsigned begin = 0; begin < count; begin += 32) {
            State own = run_warp(begin, begin + 32 < count ? begin + 32 : count);
            if (own == State::runs || (begin && own != all)) {
                for (Fiber& fiber : fibers) fiber.begun = false;
                return 1;
            }
            all = own;
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
