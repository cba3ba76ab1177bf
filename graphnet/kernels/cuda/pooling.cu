// Pooling over two spatial axes, channels last: (N, H, W, C) -> (N, I, J, C).
//
// Backward gathers: each entry of the input asks the windows that hold it, so none is written
// twice and nothing is added atomically.

struct Geometry {
    Int height, width, down, across;     // sizes of the input and of the output
    Int kernel_h, kernel_w, stride_h, stride_w, begin_h, begin_w, spread_h, spread_w;
};

#define GEOMETRY                                                                               \
    Int height, Int width, Int down, Int across, Int kernel_h, Int kernel_w, Int stride_h,     \
        Int stride_w, Int begin_h, Int begin_w, Int spread_h, Int spread_w
#define GIVEN                                                                                  \
    {height, width, down, across, kernel_h, kernel_w, stride_h, stride_w, begin_h, begin_w,    \
     spread_h, spread_w}

KERNEL max_pool(const T* x, T* y, unsigned char* winner, Int size, Int channels,
                         GEOMETRY) {
    Geometry g = GIVEN;
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int c = at % channels, j = at / channels % g.across;
        Int i = at / channels / g.across % g.down, n = at / channels / g.across / g.down;
        float best = -INFINITE;
        int place = 0;
        bool first = true;
        for (Int p = 0; p < g.kernel_h; ++p) {
            Int row = i * g.stride_h - g.begin_h + p * g.spread_h;
            if (row < 0 || row >= g.height) continue;
            for (Int q = 0; q < g.kernel_w; ++q) {
                Int column = j * g.stride_w - g.begin_w + q * g.spread_w;
                if (column < 0 || column >= g.width) continue;
                float entry = widened(x[((n * g.height + row) * g.width + column) * channels + c]);
                // a NaN is larger than all others, and the first one stays
                if (first || (!(entry <= best) && best == best)) {
                    best = entry;
                    place = (int)(p * g.kernel_w + q);
                    first = false;
                }
            }
        }
        y[at] = narrowed(best);
        winner[at] = (unsigned char)place;
    }
}

KERNEL max_pool_backward(const T* dy, const unsigned char* winner, T* dx, Int size,
                                  Int channels, GEOMETRY) {
    Geometry g = GIVEN;
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int c = at % channels, column = at / channels % g.width;
        Int row = at / channels / g.width % g.height, n = at / channels / g.width / g.height;
        float total = 0;
        for (Int p = 0; p < g.kernel_h; ++p) {
            Int i = row + g.begin_h - p * g.spread_h;
            if (i < 0 || i % g.stride_h || i / g.stride_h >= g.down) continue;
            for (Int q = 0; q < g.kernel_w; ++q) {
                Int j = column + g.begin_w - q * g.spread_w;
                if (j < 0 || j % g.stride_w || j / g.stride_w >= g.across) continue;
                Int from =
                    ((n * g.down + i / g.stride_h) * g.across + j / g.stride_w) * channels + c;
                if (winner[from] == p * g.kernel_w + q) total += widened(dy[from]);
            }
        }
        dx[at] = narrowed(total);
    }
}

// How many positions of a window along one axis lie within the input.
__device__ inline Int inside(Int begin, Int kernel, Int spread, Int size) {
    Int count = 0;
    for (Int p = 0; p < kernel; ++p) {
        Int at = begin + p * spread;
        count += at >= 0 && at < size;
    }
    return count;
}

__device__ inline Int counted(const Geometry& g, Int i, Int j, Int pads) {
    if (pads) return g.kernel_h * g.kernel_w;
    return inside(i * g.stride_h - g.begin_h, g.kernel_h, g.spread_h, g.height) *
           inside(j * g.stride_w - g.begin_w, g.kernel_w, g.spread_w, g.width);
}

KERNEL avg_pool(const T* x, T* y, Int size, Int channels, Int pads, GEOMETRY) {
    Geometry g = GIVEN;
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int c = at % channels, j = at / channels % g.across;
        Int i = at / channels / g.across % g.down, n = at / channels / g.across / g.down;
        float total = 0;
        for (Int p = 0; p < g.kernel_h; ++p) {
            Int row = i * g.stride_h - g.begin_h + p * g.spread_h;
            if (row < 0 || row >= g.height) continue;
            for (Int q = 0; q < g.kernel_w; ++q) {
                Int column = j * g.stride_w - g.begin_w + q * g.spread_w;
                if (column < 0 || column >= g.width) continue;
                total += widened(x[((n * g.height + row) * g.width + column) * channels + c]);
            }
        }
        y[at] = narrowed(total / (float)counted(g, i, j, pads));
    }
}

KERNEL avg_pool_backward(const T* dy, T* dx, Int size, Int channels, Int pads,
                                  GEOMETRY) {
    Geometry g = GIVEN;
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int c = at % channels, column = at / channels % g.width;
        Int row = at / channels / g.width % g.height, n = at / channels / g.width / g.height;
        float total = 0;
        for (Int p = 0; p < g.kernel_h; ++p) {
            Int i = row + g.begin_h - p * g.spread_h;
            if (i < 0 || i % g.stride_h || i / g.stride_h >= g.down) continue;
            i /= g.stride_h;
            for (Int q = 0; q < g.kernel_w; ++q) {
                Int j = column + g.begin_w - q * g.spread_w;
                if (j < 0 || j % g.stride_w || j / g.stride_w >= g.across) continue;
                j /= g.stride_w;
                float share = widened(dy[((n * g.down + i) * g.across + j) * channels + c]);
                total += share / (float)counted(g, i, j, pads);
            }
        }
        dx[at] = narrowed(total);
    }
}

// The mean over all positions: x (N, positions, C) -> y (N, C).  A block has ACROSS channels of
// one example; all lie along x, as a grid takes 65535 blocks and no more along y.
KERNEL global_avg_pool(const T* x, T* y, Int positions, Int channels) {
    __shared__ float parts[DOWN][ACROSS];
    Int across = (channels + ACROSS - 1) / ACROSS, n = blockIdx.x / across;
    Int c = blockIdx.x % across * ACROSS + threadIdx.x;
    float total = 0;
    if (c < channels)
        for (Int at = threadIdx.y; at < positions; at += DOWN)
            total += widened(x[(n * positions + at) * channels + c]);
    parts[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y == 0 && c < channels) {
        total = 0;
        for (int row = 0; row < DOWN; ++row) total += parts[row][threadIdx.x];
        y[n * channels + c] = narrowed(total / (float)positions);
    }
}

KERNEL global_avg_pool_backward(const T* dy, T* dx, Int size, Int positions,
                                         Int channels) {
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int c = at % channels, n = at / channels / positions;
        dx[at] = narrowed(widened(dy[n * channels + c]) / (float)positions);
    }
}
