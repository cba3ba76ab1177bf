// The mean softmax cross-entropy of rows of logits (rows, classes), one block a row.

KERNEL losses(const T* x, const Int* labels, float* probabilities, double* values,
                       Int classes) {
    Int row = blockIdx.x;
    const T* logits = x + row * classes;
    float largest = -INFINITE;
    for (Int c = threadIdx.x; c < classes; c += LINE) largest = larger(largest, widened(logits[c]));
    largest = line_max(largest);
    float total = 0;
    for (Int c = threadIdx.x; c < classes; c += LINE) {
        float value = expf(widened(logits[c]) - largest);
        probabilities[row * classes + c] = value;
        total += value;
    }
    total = line_sum(total);
    Int label = labels[row];
    // a label that hits no class spoils the loss and the gradient
    if (label < 0 || label >= classes) {
        total = NOT_A_NUMBER;
        label = 0;
    }
    for (Int c = threadIdx.x; c < classes; c += LINE) probabilities[row * classes + c] /= total;
    if (threadIdx.x == 0) {
        double value = (double)logf(total) - ((double)widened(logits[label]) - (double)largest);
        values[row] = value > (double)FINITE ? (double)FINITE : value;  // a NaN stays
    }
}

// The mean of the values, by one block.
KERNEL mean(const double* values, float* loss, Int rows) {
    double total = 0;
    for (Int row = threadIdx.x; row < rows; row += LINE) total += values[row];
    total = line_sum(total);
    if (threadIdx.x == 0) loss[0] = (float)(total / (double)rows);
}

KERNEL losses_backward(const float* probabilities, const Int* labels, const float* dy,
                                T* dx, Int rows, Int classes) {
    float share = dy[0] / (float)rows;
    for (Int at = FIRST; at < rows * classes; at += STRIDE) {
        float hit = labels[at / classes] == at % classes ? 1.0f : 0.0f;
        dx[at] = narrowed((probabilities[at] - hit) * share);
    }
}
