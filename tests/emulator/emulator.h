// What CUDA C needs to run on the processor; the blocks are run by emulator.cpp, compiled once.

#include <math.h>
#include <string.h>
#include <type_traits>
#include <utility>

struct dim3 {
    unsigned x, y, z;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__ static
#define __device__ static
#define __shared__ static
#define __restrict__

namespace emulator {

extern double exchanged[1024];

// Let the other threads of the block run up to here, or those of the warp.
void barrier();
void shuffle();

// 0, or 1 where threads of a block met different barriers.
int run(void (*body)(void*), void* given, const unsigned* grid, const unsigned* block, bool meets);

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
    Bound<A...> bound{kernel, arguments};
    return run(Bound<A...>::call, &bound, grid, block, meets);
}

}  // namespace emulator

static inline void __syncthreads() { emulator::barrier(); }

template <class V>
static V __shfl_xor_sync(unsigned, V value, int mask) {
    unsigned lane = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    emulator::exchanged[lane] = value;
    emulator::shuffle();
    V other = (V)emulator::exchanged[(lane & ~31u) | ((lane ^ mask) & 31u)];
    emulator::shuffle();
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
