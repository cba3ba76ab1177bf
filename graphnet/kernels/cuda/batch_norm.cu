// Batch normalization of rows of channels (rows, C), with what follows it: an addition and ReLU.
//
// A block is a tile of ACROSS channels and DOWN rows.  Of the rows it gets every gridDim.y-th
// stretch of `stretch` rows; its sums are taken about the first entry of the stretch, and
// stretches are combined in double, so that a large mean costs the variance no digits.

// Sums of two values over the rows of a tile, valid where threadIdx.y is 0.
__device__ inline void tile_sums(double& a, double& b) {
    __shared__ double parts[2][DOWN][ACROSS];
    parts[0][threadIdx.y][threadIdx.x] = a;
    parts[1][threadIdx.y][threadIdx.x] = b;
    __syncthreads();
    a = b = 0;
    if (threadIdx.y == 0)
        for (int row = 0; row < DOWN; ++row) {
            a += parts[0][row][threadIdx.x];
            b += parts[1][row][threadIdx.x];
        }
    __syncthreads();
}

// means, squares: (stretches, C), the mean of each stretch and the squares about it.
KERNEL statistics(const T* x, double* means, double* squares, Int rows, Int channels,
                           Int stretch) {
    TILE;
    float total = 0, square = 0, about = 0;
    if (c < channels) {
        about = widened(x[begin * channels + c]);
        for (Int row = begin + threadIdx.y; row < end; row += DOWN) {
            float apart = widened(x[row * channels + c]) - about;
            total += apart;
            square += apart * apart;
        }
    }
    double sum = total, squared = square;
    tile_sums(sum, squared);
    if (threadIdx.y == 0 && c < channels) {
        double count = (double)(end - begin);
        means[blockIdx.y * channels + c] = about + sum / count;
        squares[blockIdx.y * channels + c] = squared - sum * sum / count;
    }
}

// Statistics of the batch from those of its stretches, and what follows from them.
KERNEL finalize(const double* means, const double* squares, const float* gamma,
                         const float* running_mean, const float* running_var, float* new_mean,
                         float* new_var, float* mean, float* rstd, float* scale, Int rows,
                         Int channels, Int stretch, double eps, double momentum) {
    Int c = (Int)blockIdx.x * ACROSS + threadIdx.x;
    Int stretches = (rows + stretch - 1) / stretch;
    double total = 0, none = 0;
    if (c < channels)
        for (Int at = threadIdx.y; at < stretches; at += DOWN) {
            Int count = at < stretches - 1 ? stretch : rows - at * stretch;
            total += means[at * channels + c] * (double)count;
        }
    tile_sums(total, none);
    __shared__ double centers[ACROSS];
    if (threadIdx.y == 0) centers[threadIdx.x] = total / (double)rows;
    __syncthreads();
    double center = centers[threadIdx.x], spread = 0;
    if (c < channels)
        for (Int at = threadIdx.y; at < stretches; at += DOWN) {
            Int count = at < stretches - 1 ? stretch : rows - at * stretch;
            double apart = means[at * channels + c] - center;
            spread += squares[at * channels + c] + apart * apart * (double)count;
        }
    tile_sums(spread, none);
    if (threadIdx.y == 0 && c < channels) {
        double var = spread / (double)rows, inverse = 1 / sqrt(var + eps);
        mean[c] = (float)center;
        rstd[c] = (float)inverse;
        scale[c] = (float)(gamma[c] * inverse);
        new_mean[c] = (float)(momentum * running_mean[c] + (1 - momentum) * center);
        new_var[c] = (float)(momentum * running_var[c] + (1 - momentum) * var);
    }
}

// The scale at inference, from given statistics.
KERNEL scale_of(const float* gamma, const float* var, float* scale, Int channels,
                         double eps) {
    for (Int c = FIRST; c < channels; c += STRIDE)
        scale[c] = (float)(gamma[c] / sqrt((double)var[c] + eps));
}

// y = (x - mean) * scale + beta, plus `added` if there is one, and rectified if so wanted.
KERNEL apply(const T* x, const float* mean, const float* scale, const float* beta,
                      const T* added, T* y, Int rows, Int channels, Int stretch, Int relu) {
    TILE;
    if (c >= channels) return;
    float center = mean[c], factor = scale[c], shift = beta[c];
    for (Int row = begin + threadIdx.y; row < end; row += DOWN) {
        Int at = row * channels + c;
        float value = (widened(x[at]) - center) * factor + shift;
        if (added) value += widened(added[at]);
        y[at] = narrowed(relu && value < 0 ? 0.0f : value);
    }
}

// What of dy passes the ReLU: decided by y where something was added, else by x.
__device__ inline float passed(float dy, float apart, float factor, float shift, const T* y,
                               Int at, Int relu) {
    if (!relu) return dy;
    bool open = y ? widened(y[at]) > 0 : apart * factor + shift > 0;
    return open ? dy : 0.0f;
}

// plain, along: (stretches, C), the sums of what passes and of that times x - mean; what passes
// is written to `through` where that is wanted.
KERNEL gradient_sums(const T* x, const T* y, const T* dy, const float* mean,
                              const float* scale, const float* beta, T* through, double* plain,
                              double* along, Int rows, Int channels, Int stretch, Int relu) {
    TILE;
    float total = 0, turned = 0;
    if (c < channels) {
        float center = mean[c], factor = scale[c], shift = beta[c];
        for (Int row = begin + threadIdx.y; row < end; row += DOWN) {
            Int at = row * channels + c;
            float apart = widened(x[at]) - center;
            float arriving = passed(widened(dy[at]), apart, factor, shift, y, at, relu);
            if (through) through[at] = narrowed(arriving);
            total += arriving;
            turned += arriving * apart;
        }
    }
    double sum = total, product = turned;
    tile_sums(sum, product);
    if (threadIdx.y == 0 && c < channels) {
        plain[blockIdx.y * channels + c] = sum;
        along[blockIdx.y * channels + c] = product;
    }
}

// The gradients of gamma and beta, and the three factors of that of x: (3, C).
KERNEL gradient_factors(const double* plain, const double* along, const float* gamma,
                                 const float* rstd, float* dgamma, float* dbeta, float* factors,
                                 Int rows, Int channels, Int stretch) {
    Int c = (Int)blockIdx.x * ACROSS + threadIdx.x;
    Int stretches = (rows + stretch - 1) / stretch;
    double sum = 0, product = 0;
    if (c < channels)
        for (Int at = threadIdx.y; at < stretches; at += DOWN) {
            sum += plain[at * channels + c];
            product += along[at * channels + c];
        }
    tile_sums(sum, product);
    if (threadIdx.y == 0 && c < channels) {
        product *= rstd[c];
        if (dbeta) dbeta[c] = (float)sum;
        if (dgamma) dgamma[c] = (float)product;
        double factor = (double)gamma[c] * rstd[c];
        factors[c] = (float)factor;
        factors[channels + c] = (float)(-factor * rstd[c] * product / (double)rows);
        factors[2 * channels + c] = (float)(-factor * sum / (double)rows);
    }
}

KERNEL gradient(const T* x, const T* y, const T* dy, const float* mean,
                         const float* scale, const float* beta, const float* factors, T* dx,
                         Int rows, Int channels, Int stretch, Int relu) {
    TILE;
    if (c >= channels) return;
    float center = mean[c], factor = scale[c], shift = beta[c];
    float one = factors[c], two = factors[channels + c], three = factors[2 * channels + c];
    for (Int row = begin + threadIdx.y; row < end; row += DOWN) {
        Int at = row * channels + c;
        float apart = widened(x[at]) - center;
        float arriving = passed(widened(dy[at]), apart, factor, shift, y, at, relu);
        dx[at] = narrowed(arriving * one + apart * two + three);
    }
}

// What follows from statistics that were found elsewhere: `rstd` is 1 / sqrt(var + eps).
KERNEL renew(const float* gamma, const float* running_mean, const float* running_var,
             const float* mean, const float* rstd, float* new_mean, float* new_var, float* scale,
             Int channels, double eps, double momentum) {
    for (Int c = FIRST; c < channels; c += STRIDE) {
        double center = mean[c], inverse = rstd[c];
        // a variance far below eps may come out as less than nothing, a NaN stays
        double var = 1 / (inverse * inverse) - (double)(float)eps;
        if (var < 0) var = 0;
        scale[c] = gamma[c] * rstd[c];
        new_mean[c] = (float)(momentum * running_mean[c] + (1 - momentum) * center);
        new_var[c] = (float)(momentum * running_var[c] + (1 - momentum) * var);
    }
}

// Where a channel has no finite statistics, scale or shift, what a ReLU that hides NaN made of it
// is replaced by what is meant; all other channels cost a look at three numbers.
KERNEL reveal(const T* x, const float* mean, const float* scale, const float* beta, T* y,
              Int rows, Int channels, Int stretch) {
    TILE;
    if (c >= channels) return;
    float center = mean[c], factor = scale[c], shift = beta[c];
    // the difference is NaN unless all are finite
    if ((center - center) + (factor - factor) + (shift - shift) == 0) return;
    for (Int row = begin + threadIdx.y; row < end; row += DOWN) {
        Int at = row * channels + c;
        float value = (widened(x[at]) - center) * factor + shift;
        y[at] = narrowed(value < 0 ? 0.0f : value);
    }
}
