// Normalization of rows (rows, features), one block a row.
//
// As in the reference, statistics are those of the row times a power of two that brings its
// largest entry to at most 2, so that no square overflows: shrinks, means and rstds per row.
// Where RMS is defined the mean is 0, and nothing is added.

// What is learned is of the type of x or, where WIDE is defined, in float.
#ifdef WIDE
typedef float G;
#else
typedef T G;
#endif

// Where entry f of a row lies, and which number learned belongs to it.
struct Place {
    Int at, learned;
};

// A row is a group of channels of an example, (groups, each, positions) or, where LAST is defined,
// (positions, groups, each); without GROUPED it is all that there is.
__device__ inline Place place_of(Int row, Int f, Int features, Int groups, Int each) {
#if defined(GROUPED) && defined(LAST)
    Int positions = features / each, group = row % groups * each + f % each;
    return {(row / groups * positions + f / each) * groups * each + group, group};
#elif defined(GROUPED)
    return {row * features + f, row % groups * each + f / (features / each)};
#else
    return {row * features + f, f};
#endif
}

#define PLACE(f) place_of(row, f, features, groups, each)

KERNEL layer_norm(const T* x, const G* gamma, const G* beta, T* y, float* shrinks, float* means,
                  float* rstds, Int features, Int groups, Int each, double eps) {
    Int row = blockIdx.x;
    float largest = 1;
    for (Int f = threadIdx.x; f < features; f += LINE)
        largest = larger(largest, fabsf(widened(x[PLACE(f).at])));
    largest = line_max(largest);
    int exponent;
    float mantissa = frexpf(largest, &exponent), shrink = 2 * mantissa / largest, mean = 0;
#ifndef RMS
    float total = 0;
    for (Int f = threadIdx.x; f < features; f += LINE) total += widened(x[PLACE(f).at]) * shrink;
    mean = line_sum(total) / (float)features;
#endif
    float square = 0;
    for (Int f = threadIdx.x; f < features; f += LINE) {
        float apart = widened(x[PLACE(f).at]) * shrink - mean;
        square += apart * apart;
    }
    square = line_sum(square) / (float)features + (float)eps * shrink * shrink;
    // eps times shrink^2 may vanish beside equal entries, which are 0 by now and stay so
    float rstd = 1 / sqrtf(fmaxf(square, 1.17549435e-38f));
    for (Int f = threadIdx.x; f < features; f += LINE) {
        Place place = PLACE(f);
        float hat = (widened(x[place.at]) * shrink - mean) * rstd;
        float shift = beta ? widened(beta[place.learned]) : 0.0f;
        y[place.at] = narrowed(hat * widened(gamma[place.learned]) + shift);
    }
    if (threadIdx.x == 0) {
        shrinks[row] = shrink;
        means[row] = mean;
        rstds[row] = rstd;
    }
}

KERNEL layer_norm_backward(const T* x, const G* gamma, const T* dy, const float* shrinks,
                           const float* means, const float* rstds, T* dx, Int features,
                           Int groups, Int each) {
    Int row = blockIdx.x;
    float shrink = shrinks[row], mean = means[row], rstd = rstds[row], plain = 0, along = 0;
    for (Int f = threadIdx.x; f < features; f += LINE) {
        Place place = PLACE(f);
        float arriving = widened(dy[place.at]) * widened(gamma[place.learned]);
        plain += arriving;
        along += arriving * (widened(x[place.at]) * shrink - mean) * rstd;
    }
#ifdef RMS
    plain = 0;
#else
    plain = line_sum(plain) / (float)features;
#endif
    along = line_sum(along) / (float)features;
    for (Int f = threadIdx.x; f < features; f += LINE) {
        Place place = PLACE(f);
        float arriving = widened(dy[place.at]) * widened(gamma[place.learned]);
        float hat = (widened(x[place.at]) * shrink - mean) * rstd;
        dx[place.at] = narrowed((arriving - plain - hat * along) * rstd * shrink);
    }
}
