// The same numbers in another type.

KERNEL widen(const T* x, float* y, Int size) {
    for (Int at = FIRST; at < size; at += STRIDE) y[at] = widened(x[at]);
}

KERNEL narrow(const float* x, T* y, Int size) {
    for (Int at = FIRST; at < size; at += STRIDE) y[at] = narrowed(x[at]);
}
