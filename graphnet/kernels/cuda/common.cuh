// What all sources here begin with: the type of the arrays, sums over a block, and Philox.
//
// Arrays hold T; arithmetic is in float, and sums over a batch end in double.  Arguments are
// pointers, long long and double alone, which is how Python's integers and floats arrive.
// No kernel adds atomically: results are the same, bit for bit, in every run.

#if defined(HALF)
#ifndef EMULATED
#include <cuda_fp16.h>
#endif
typedef __half T;
__device__ inline float widened(T x) { return __half2float(x); }
__device__ inline T narrowed(float x) { return __float2half(x); }
__device__ inline float widened(float x) { return x; }
#elif defined(BFLOAT16)
#ifndef EMULATED
#include <cuda_bf16.h>
#endif
typedef __nv_bfloat16 T;
__device__ inline float widened(T x) { return __bfloat162float(x); }
__device__ inline T narrowed(float x) { return __float2bfloat16(x); }
__device__ inline float widened(float x) { return x; }
#else
typedef float T;
__device__ inline float widened(T x) { return x; }
__device__ inline T narrowed(float x) { return x; }
#endif

// A result in the type of where it goes.
__device__ inline void store(float* at, float x) { *at = x; }
#if defined(HALF) || defined(BFLOAT16)
__device__ inline void store(T* at, float x) { *at = narrowed(x); }
#endif

// On the processor, in tests, a kernel is a plain function.
#ifdef EMULATED
#define KERNEL static void
#else
#define KERNEL extern "C" __global__ void
#endif

typedef long long Int;
typedef unsigned long long Word;

// Labels and indices come in the dtype that INTEGER names.
typedef signed char Int8;
typedef short Int16;
typedef int Int32;
typedef unsigned char UInt8;
typedef unsigned short UInt16;
typedef unsigned UInt32;
#ifndef INTEGER
#define INTEGER Int
#endif

#define FINITE 3.402823466e+38f
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define INFINITE __int_as_float(0x7f800000)

// Threads of a block that is a line, and the sides of one that is a tile of rows and channels.
#define LINE 256
#define ACROSS 32
#define DOWN 8

// The place of a thread among all of a grid of lines, and how many there are.
#define FIRST ((Int)blockIdx.x * blockDim.x + threadIdx.x)
#define STRIDE ((Int)gridDim.x * blockDim.x)

// The channel of a thread of a tile, and the stretch of rows of its block.
#define TILE                                             \
    Int c = (Int)blockIdx.x * ACROSS + threadIdx.x;      \
    Int begin = (Int)blockIdx.y * stretch;               \
    Int end = begin + stretch < rows ? begin + stretch : rows

__device__ inline float larger(float a, float b) {
    // a NaN is larger than all others
    return a != a || a >= b ? a : b;
}

// The sum of a value over a warp, in each of its threads.
template <class V> __device__ inline V warp_sum(V value) {
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

// The largest value over a warp, in each of its threads; NaN if there is one.
__device__ inline float warp_max(float value) {
    for (int step = 16; step; step /= 2)
        value = larger(value, __shfl_xor_sync(0xffffffffu, value, step));
    return value;
}

// Entries in a row that a warp walks over, or a single thread where LANES is 1.  The grid has as
// many threads as it needs; those beyond the last row have none, but meet all barriers.
#ifndef LANES
#define LANES 32
#endif
#define ROW                                    \
    Int row = FIRST / LANES;                   \
    int lane = (int)(FIRST % LANES);           \
    bool within = row < rows

template <class V> __device__ inline V lanes_sum(V value) {
    return LANES == 1 ? value : warp_sum(value);
}

__device__ inline float lanes_max(float value) { return LANES == 1 ? value : warp_max(value); }

// The sum of a value over a block of LINE threads, in each of them.
template <class V> __device__ inline V line_sum(V value) {
    __shared__ V parts[LINE / 32];
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < LINE / 32; ++warp) value += parts[warp];
    return value;
}

// The largest value over a block of LINE threads, in each of them; NaN if there is one.
__device__ inline float line_max(float value) {
    __shared__ float parts[LINE / 32];
    value = warp_max(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    value = parts[0];
    for (int warp = 1; warp < LINE / 32; ++warp) value = larger(value, parts[warp]);
    return value;
}

// Philox4x32-10: four words for a key and a counter whose upper half is 0.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
struct Words {
    unsigned word[4];
};

__device__ inline Words philox(Word key, Word counter) {
    unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
    Words c = {{(unsigned)counter, (unsigned)(counter >> 32), 0u, 0u}};
    for (int round = 0; round < 10; ++round) {
        Word p0 = (Word)c.word[0] * 0xD2511F53u, p1 = (Word)c.word[2] * 0xCD9E8D57u;
        Words next = {{(unsigned)(p1 >> 32) ^ c.word[1] ^ k0, (unsigned)p1,
                       (unsigned)(p0 >> 32) ^ c.word[3] ^ k1, (unsigned)p0}};
        c = next;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// A word as a number in [0, 1) with 24 random bits.
__device__ inline float uniform(unsigned word) { return (float)(word >> 8) * (1.0f / 16777216.0f); }
