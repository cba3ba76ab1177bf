// What is between the products of attention, on scores (N, heads, queries, keys), a row for each
// query.  Scores come as quarters, so that neither a sum with a mask nor a difference overflows.

// A quarter of the lowest difference of scores whose exponential is told from 0.
#define FAR_BELOW -1e4f

// Which keys a query attends to, and what is added to its scores.
struct Mask {
    const unsigned char* allowed;
    const float* added;
    Int batch, head, query, key;  // strides
};

__device__ inline float masked(float score, Mask mask, Int at, Int key) {
    at += key * mask.key;
    if (mask.allowed && !mask.allowed[at]) return -INFINITE;
    return mask.added ? score + mask.added[at] / 4 : score;
}

#define MASK                                                                              \
    Mask mask = {allowed, added, mask_batch, mask_head, mask_query, mask_key};            \
    Int query = row % queries;                                                            \
    Int begin = query + past - before < 0 ? 0 : query + past - before;                    \
    Int end = query + past + after + 1 < keys ? query + past + after + 1 : keys;          \
    Int at = row / queries / heads * mask_batch + row / queries % heads * mask_head +     \
             query * mask_query

// A score, of quarters, under a soft cap, and its slope.
__device__ inline float capped(float score, float cap, float* slope) {
    float most = 5 * cap;
    // at five times the cap the tangent is 1; a NaN stays
    float share = tanhf((score < -most ? -most : score > most ? most : score) * (4 / cap));
    *slope = 1 - share * share;
    return share * (cap / 4);
}

// Scores become weights.  highest and totals: those of each row, written where `first`, else read;
// slopes: of the soft cap, where there is one and they are wanted.
KERNEL attend(float* scores, const unsigned char* allowed, const float* added, float* highest,
              float* totals, float* slopes, Int rows, Int heads, Int queries, Int keys,
              Int mask_batch, Int mask_head, Int mask_query, Int mask_key, Int past, Int before,
              Int after, double softcap, Int first) {
    ROW;
    MASK;
    float* own = scores + row * keys;
    Int last = within ? keys : 0;
    float largest = -FINITE;  // where no key is left, all weights are 0
    for (Int key = lane; key < last; key += LANES) {
        float score = own[key], slope = 1;
        if (softcap) score = capped(score, (float)softcap, &slope);
        if (slopes) slopes[row * keys + key] = slope;
        score = key < begin || key >= end ? -INFINITE : masked(score, mask, at, key);
        own[key] = score;
        largest = larger(largest, score);
    }
    if (first) largest = lanes_max(largest);
    else if (within) largest = highest[row];
    float total = 0;
    for (Int key = lane; key < last; key += LANES) {
        float apart = own[key] - largest;
        own[key] = expf(4 * (apart < FAR_BELOW ? FAR_BELOW : apart));
        total += own[key];
    }
    if (first) {
        total = lanes_sum(total);
        total = total < 1 ? 1.0f : total;  // a NaN stays
    } else if (within) {
        total = totals[row];
    }
    for (Int key = lane; key < last; key += LANES) own[key] /= total;
    if (first && lane == 0 && within) {
        highest[row] = largest;
        totals[row] = total;
    }
}

// dscores = (dweights - sum(dweights * weights)) * weights, in place.
KERNEL attend_backward(float* gradients, const float* weights, Int rows, Int keys) {
    ROW;
    Int last = within ? keys : 0;
    float total = 0;
    for (Int key = lane; key < last; key += LANES)
        total += gradients[row * keys + key] * weights[row * keys + key];
    total = lanes_sum(total);
    for (Int key = lane; key < last; key += LANES) {
        Int place = row * keys + key;
        gradients[place] = (gradients[place] - total) * weights[place];
    }
}
