// The same numbers elsewhere.

KERNEL copy(const T* x, T* y, Int size) {
    for (Int at = FIRST; at < size; at += STRIDE) y[at] = x[at];
}
