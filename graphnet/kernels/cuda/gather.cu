// Slices picked by integer indices along one axis of (outer, size, inner), and added up again.
//
// The way back adds in the order of the indices: each index with its number is a key, keys are
// sorted, and the slices of one index then lie in one run.  Equal keys do not occur, so that the
// order is the same in every run.

#ifndef UNIT
#define UNIT UInt32
#endif

// An index counts from the end if it is below 0, and wraps around where it is out of range.
__device__ inline Int wrapped(Int index, Int size) {
    index %= size;
    return index < 0 ? index + size : index;
}

// y: (outer, count, inner), in units that hold the bytes of an entry.
KERNEL gather(const UNIT* x, const INTEGER* indices, UNIT* y, Int outer, Int size, Int inner,
              Int count) {
    for (Int at = FIRST; at < outer * count * inner; at += STRIDE) {
        Int i = at / inner % count, index = wrapped((Int)indices[i], size);
        y[at] = x[(at / inner / count * size + index) * inner + at % inner];
    }
}

// keys: (whole,), a power of two; those beyond the indices come last.
KERNEL index_keys(const INTEGER* indices, Int* keys, Int size, Int count, Int whole) {
    for (Int i = FIRST; i < whole; i += STRIDE)
        keys[i] = (i < count ? wrapped((Int)indices[i], size) : size) * whole + i;
}

__device__ inline void ordered(Int* keys, Int at, Int other, bool rising) {
    Int one = keys[at], two = keys[other];
    if ((one > two) == rising) {
        keys[at] = two;
        keys[other] = one;
    }
}

// One step of a bitonic sort: pairs `apart` from each other, in runs of `run` keys.
KERNEL sort_far(Int* keys, Int pairs, Int run, Int apart) {
    for (Int pair = FIRST; pair < pairs; pair += STRIDE) {
        Int at = pair / apart * 2 * apart + pair % apart;
        ordered(keys, at, at + apart, (at & run) == 0);
    }
}

// All steps of the runs from `first` to `last`, as far as pairs lie within 2 * LINE keys.
KERNEL sort_near(Int* keys, Int whole, Int first, Int last) {
    __shared__ Int own[2 * LINE];
    Int begin = (Int)blockIdx.x * 2 * LINE;
    for (Int at = threadIdx.x; at < 2 * LINE; at += LINE)
        if (begin + at < whole) own[at] = keys[begin + at];
    for (Int run = first; run <= last; run *= 2) {
        for (Int apart = run / 2 < LINE ? run / 2 : LINE; apart; apart /= 2) {
            __syncthreads();
            Int pair = threadIdx.x, at = pair / apart * 2 * apart + pair % apart;
            if (begin + at + apart < whole) ordered(own, at, at + apart, ((begin + at) & run) == 0);
        }
    }
    __syncthreads();
    for (Int at = threadIdx.x; at < 2 * LINE; at += LINE)
        if (begin + at < whole) keys[begin + at] = own[at];
}

// Where the run of each index begins among the sorted keys; the last one is the end of all.
KERNEL run_starts(const Int* keys, Int* starts, Int size, Int whole) {
    for (Int index = FIRST; index <= size; index += STRIDE) {
        Int low = 0, high = whole;
        while (low < high) {
            Int middle = (low + high) / 2;
            if (keys[middle] < index * whole) low = middle + 1;
            else high = middle;
        }
        starts[index] = low;
    }
}

// dx: (outer, size, inner), the sums of the slices dy: (outer, count, inner); `none` gets zeros.
KERNEL gather_backward(const T* dy, const Int* keys, const Int* starts, T* dx, Int outer, Int size,
                       Int inner, Int count, Int whole, Int none) {
    for (Int at = FIRST; at < outer * size * inner; at += STRIDE) {
        Int index = at / inner % size, first = at / inner / size * count;
        double total = 0;
        Int begin = starts[index], end = index == none ? begin : starts[index + 1];
        for (Int key = begin; key < end; ++key)
            total += (double)widened(dy[(first + (keys[key] & (whole - 1))) * inner + at % inner]);
        dx[at] = narrowed((float)total);
    }
}
