// What a product of matrices does not do for a linear layer.

// Each row of y (rows, columns) as the bias, to which the product is added.
KERNEL spread(const T* bias, T* y, Int size, Int columns) {
    for (Int at = FIRST; at < size; at += STRIDE) y[at] = bias[at % columns];
}

// Sums of columns of x (rows, columns) over stretches of rows: (stretches, columns).
KERNEL column_sums(const T* x, double* sums, Int rows, Int columns, Int stretch) {
    Int c = FIRST, begin = (Int)blockIdx.y * stretch;
    Int end = begin + stretch < rows ? begin + stretch : rows;
    if (c >= columns) return;
    float total = 0;
    for (Int row = begin; row < end; ++row) total += widened(x[row * columns + c]);
    sums[blockIdx.y * columns + c] = total;
}

KERNEL column_total(const double* sums, T* y, Int columns, Int stretches) {
    for (Int c = FIRST; c < columns; c += STRIDE) {
        double total = 0;
        for (Int at = 0; at < stretches; ++at) total += sums[at * columns + c];
        y[c] = narrowed((float)total);
    }
}
