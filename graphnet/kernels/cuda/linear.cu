// What a product of matrices does not do for a linear layer.

// Each row of y (rows, columns) as the bias, to which the product is added.
KERNEL spread(const T* bias, T* y, Int size, Int columns) {
    for (Int at = FIRST; at < size; at += STRIDE) y[at] = bias[at % columns];
}
