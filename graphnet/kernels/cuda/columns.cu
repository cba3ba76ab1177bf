// Sums over rows and additions to them: (rows, C), channels last.

// partial: (stretches, C), the sums of each stretch of rows.
KERNEL column_sums(const T* x, double* partial, Int rows, Int channels, Int stretch) {
    __shared__ double parts[DOWN][ACROSS];
    TILE;
    float total = 0;
    if (c < channels)
        for (Int row = begin + threadIdx.y; row < end; row += DOWN)
            total += widened(x[row * channels + c]);
    parts[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y == 0 && c < channels) {
        double sum = 0;
        for (int down = 0; down < DOWN; ++down) sum += parts[down][threadIdx.x];
        partial[blockIdx.y * channels + c] = sum;
    }
}

// The sums over all stretches.
KERNEL column_totals(const double* partial, T* sums, Int stretches, Int channels) {
    for (Int c = FIRST; c < channels; c += STRIDE) {
        double total = 0;
        for (Int at = 0; at < stretches; ++at) total += partial[at * channels + c];
        sums[c] = narrowed((float)total);
    }
}

// y = y + bias.
KERNEL add_to_rows(T* y, const T* bias, Int size, Int channels) {
    for (Int at = FIRST; at < size; at += STRIDE)
        y[at] = narrowed(widened(y[at]) + widened(bias[at % channels]));
}
