// Softmax and its logarithm along one axis of (outer, size, inner), a row for each of the rest.

// Where a row begins; its entries lie `inner` apart.
__device__ inline Int begin_of(Int row, Int size, Int inner) {
    return row / inner * size * inner + row % inner;
}

KERNEL softmax(const T* x, T* y, Int rows, Int size, Int inner, Int logarithm) {
    ROW;
    Int begin = begin_of(row, size, inner), end = within ? size : 0;
    float largest = -INFINITE;
    for (Int at = lane; at < end; at += LANES)
        largest = larger(largest, widened(x[begin + at * inner]));
    largest = lanes_max(largest);
    float total = 0;
    for (Int at = lane; at < end; at += LANES)
        total += expf(widened(x[begin + at * inner]) - largest);
    total = lanes_sum(total);
    float shift = logf(total);
    for (Int at = lane; at < end; at += LANES) {
        float below = widened(x[begin + at * inner]) - largest;
        // a logarithm is at least the lowest number, and a NaN stays
        if (logarithm) below = (below < -FINITE ? -FINITE : below) - shift;
        y[begin + at * inner] = narrowed(logarithm ? below : expf(below) / total);
    }
}

KERNEL softmax_backward(const T* y, const T* dy, T* dx, Int rows, Int size, Int inner,
                        Int logarithm) {
    ROW;
    Int begin = begin_of(row, size, inner), end = within ? size : 0;
    float total = 0;
    for (Int at = lane; at < end; at += LANES) {
        Int place = begin + at * inner;
        total += logarithm ? widened(dy[place]) : widened(dy[place]) * widened(y[place]);
    }
    total = lanes_sum(total);
    for (Int at = lane; at < end; at += LANES) {
        Int place = begin + at * inner;
        float g = widened(dy[place]), w = widened(y[place]);
        dx[place] = narrowed(logarithm ? g - expf(w) * total : w * (g - total));
    }
}
