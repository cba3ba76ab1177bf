// Layer normalization of rows (rows, features), one block a row.
//
// As in the reference, statistics are those of the row times a power of two that brings its
// largest entry to at most 2, so that no square overflows: shrinks, means and rstds per row.

// What is learned is of the type of x or, where WIDE is defined, in float.
#ifdef WIDE
typedef float G;
__device__ inline G learned(float x) { return x; }
#else
typedef T G;
__device__ inline G learned(float x) { return narrowed(x); }
#endif

KERNEL layer_norm(const T* x, const G* gamma, const G* beta, T* y, float* shrinks,
                           float* means, float* rstds, Int features, double eps) {
    Int row = blockIdx.x;
    const T* from = x + row * features;
    float largest = 1;
    for (Int f = threadIdx.x; f < features; f += LINE)
        largest = larger(largest, fabsf(widened(from[f])));
    largest = line_max(largest);
    int exponent;
    float mantissa = frexpf(largest, &exponent), shrink = 2 * mantissa / largest;
    float total = 0;
    for (Int f = threadIdx.x; f < features; f += LINE) total += widened(from[f]) * shrink;
    float mean = line_sum(total) / (float)features;
    float square = 0;
    for (Int f = threadIdx.x; f < features; f += LINE) {
        float apart = widened(from[f]) * shrink - mean;
        square += apart * apart;
    }
    square = line_sum(square) / (float)features + (float)eps * shrink * shrink;
    // eps times shrink^2 may vanish beside equal entries, which are 0 by now and stay so
    float rstd = 1 / sqrtf(fmaxf(square, 1.17549435e-38f));
    for (Int f = threadIdx.x; f < features; f += LINE) {
        float hat = (widened(from[f]) * shrink - mean) * rstd;
        y[row * features + f] = narrowed(hat * widened(gamma[f]) + widened(beta[f]));
    }
    if (threadIdx.x == 0) {
        shrinks[row] = shrink;
        means[row] = mean;
        rstds[row] = rstd;
    }
}

KERNEL layer_norm_backward(const T* x, const G* gamma, const T* dy, const float* shrinks,
                                    const float* means, const float* rstds, T* dx,
                                    Int features) {
    Int row = blockIdx.x;
    float shrink = shrinks[row], mean = means[row], rstd = rstds[row], plain = 0, along = 0;
    for (Int f = threadIdx.x; f < features; f += LINE) {
        float arriving = widened(dy[row * features + f]) * widened(gamma[f]);
        plain += arriving;
        along += arriving * (widened(x[row * features + f]) * shrink - mean) * rstd;
    }
    plain = line_sum(plain) / (float)features;
    along = line_sum(along) / (float)features;
    for (Int f = threadIdx.x; f < features; f += LINE) {
        float arriving = widened(dy[row * features + f]) * widened(gamma[f]);
        float hat = (widened(x[row * features + f]) * shrink - mean) * rstd;
        dx[row * features + f] = narrowed((arriving - plain - hat * along) * rstd * shrink);
    }
}

// Sums over a stretch of rows for the gradients of gamma and beta: (stretches, features).
KERNEL layer_norm_sums(const T* x, const T* dy, const float* shrinks,
                                const float* means, const float* rstds, double* plain,
                                double* along, Int rows, Int features, Int stretch) {
    Int f = FIRST, begin = (Int)blockIdx.y * stretch;
    Int end = begin + stretch < rows ? begin + stretch : rows;
    if (f >= features) return;
    float total = 0, turned = 0;
    for (Int row = begin; row < end; ++row) {
        float arriving = widened(dy[row * features + f]);
        total += arriving;
        turned += arriving * (widened(x[row * features + f]) * shrinks[row] - means[row]) * rstds[row];
    }
    plain[blockIdx.y * features + f] = total;
    along[blockIdx.y * features + f] = turned;
}

KERNEL layer_norm_total(const double* plain, const double* along, G* dgamma, G* dbeta,
                                 Int features, Int stretches) {
    for (Int f = FIRST; f < features; f += STRIDE) {
        double total = 0, turned = 0;
        for (Int at = 0; at < stretches; ++at) {
            total += plain[at * features + f];
            turned += along[at * features + f];
        }
        if (dbeta) dbeta[f] = learned((float)total);
        if (dgamma) dgamma[f] = learned((float)turned);
    }
}
