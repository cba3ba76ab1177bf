// The softmax cross-entropy of logits (outer, classes, inner), a row of classes for each label.
//
// What counts is a divisor of the loss for the mean, 1 for the sum; a label that hits no class
// spoils its loss and its gradient, and every gradient of a mean over labels of which some do not
// count, whose number it spoils too.

// How far a logit is from the largest, at least the lowest finite number; a NaN stays.
__device__ inline double apart(float logit, float largest) {
    double value = (double)logit - (double)largest;
    return value < -(double)FINITE ? -(double)FINITE : value;
}

KERNEL losses(const T* x, const INTEGER* labels, float* largests, float* totals, double* values,
              Int rows, Int size, Int inner, double smoothing, Int ignores, Int ignored) {
    ROW;
    const T* logits = x + row / inner * size * inner + row % inner;
    Int end = within ? size : 0;
    float largest = -INFINITE;
    for (Int c = lane; c < end; c += LANES)
        largest = larger(largest, widened(logits[c * inner]));
    largest = lanes_max(largest);
    float total = 0;
    double below = 0;  // the sum of all logits, each below the largest
    for (Int c = lane; c < end; c += LANES) {
        float logit = widened(logits[c * inner]);
        total += expf(logit - largest);
        if (smoothing) below += apart(logit, largest);
    }
    total = lanes_sum(total);
    below = lanes_sum(below);
    if (lane || !within) return;
    Int label = (Int)labels[row];
    bool hits = label >= 0 && label < size, counts = !ignores || label != ignored;
    if (!hits && counts) total = NOT_A_NUMBER;
    double picked = hits ? apart(widened(logits[label * inner]), largest) : 0;
    double value = (double)logf(total) - (1 - smoothing) * picked - smoothing / (double)size * below;
    values[row] = value > (double)FINITE ? (double)FINITE : value;  // a NaN stays
    largests[row] = largest;
    totals[row] = total;
}

// 1 for a label that counts, 0 for one that does not, NaN for one that hits no class.
__device__ inline double weight_of(Int label, Int size, Int ignores, Int ignored) {
    if (ignores && label == ignored) return 0;
    return label >= 0 && label < size ? 1 : (double)NOT_A_NUMBER;
}

// The sum of the values of the labels that count, and their number: a part of each block.
KERNEL loss_parts(const double* values, const INTEGER* labels, double* parts, Int rows, Int size,
                  Int ignores, Int ignored) {
    double total = 0, number = 0;
    for (Int row = FIRST; row < rows; row += STRIDE) {
        double weight = weight_of((Int)labels[row], size, ignores, ignored);
        total += weight == 0 ? 0 : weight * values[row];
        number += weight;
    }
    total = line_sum(total);
    number = line_sum(number);
    if (threadIdx.x) return;
    parts[2 * blockIdx.x] = total;
    parts[2 * blockIdx.x + 1] = number;
}

// The loss, and what it is divided by; a mean of nothing is 0, and has no gradient.
KERNEL loss_total(const double* parts, float* loss, float* divisor, Int count, Int rows,
                  Int ignores, Int averages) {
    double total = 0, number = 0;
    for (Int part = threadIdx.x; part < count; part += LINE) {
        total += parts[2 * part];
        number += parts[2 * part + 1];
    }
    total = line_sum(total);
    number = line_sum(number);
    if (threadIdx.x) return;
    if (!ignores) number = (double)rows;
    if (!averages) number = 1;
    total = number == 0 ? 0 : total / number;
    loss[0] = (float)(total > (double)FINITE ? (double)FINITE : total);
    divisor[0] = (float)number;
}

// The losses themselves.
KERNEL loss_each(const double* values, const INTEGER* labels, float* losses, Int rows, Int size,
                 Int ignores, Int ignored) {
    for (Int row = FIRST; row < rows; row += STRIDE) {
        double weight = weight_of((Int)labels[row], size, ignores, ignored);
        losses[row] = (float)(weight == 0 ? 0 : weight * values[row]);
    }
}

// dy is one number or, where there is no divisor, one for each label.
KERNEL losses_backward(const T* x, const INTEGER* labels, const float* largests,
                       const float* totals, const float* divisor, const float* dy, T* dx,
                       Int rows, Int size, Int inner, double smoothing, Int ignores,
                       Int ignored) {
    ROW;
    if (!within) return;
    Int label = (Int)labels[row], begin = row / inner * size * inner + row % inner;
    float rest = (float)(smoothing / (double)size), most = (float)(1 - smoothing);
    float share = divisor ? dy[0] : dy[row];
    if (divisor) share = divisor[0] == 0 ? 0.0f : share / divisor[0];
    if (ignores) share *= (float)weight_of(label, size, ignores, ignored);
    for (Int c = lane; c < size; c += LANES) {
        Int at = begin + c * inner;
        float above = expf(widened(x[at]) - largests[row]) / totals[row];
        if (smoothing) above -= rest;
        if (label == c) above -= most;
        dx[at] = narrowed(above * share);
    }
}
