// A step of an optimizer over flat arrays, in which all parameters lie one behind the other.
//
// What varies from step to step lies in `numbers`, in device memory, so that a captured step can
// be replayed: RATE and STEP are told ahead of each step, and the others follow on the device.
// The gradient stays as it is; it is scaled and clipped as it is read, and `decay` times the
// parameter is added to it.  `limit` below 0 is none.

#define RATE 0       // the learning rate of this step
#define STEP 1       // the number of this step, counted from 1, skipped ones too
#define SCALE 2      // what the loss of the next step is multiplied by
#define GOOD 3       // steps since the scale changed
#define SKIPPED 4    // steps so far whose gradients were not finite
#define SKIP 5       // whether this one is of them
#define UNSCALE 6    // 1 / the scale of this step
#define FACTOR 7     // what brings the gradients to their largest norm
#define UPDATE 8     // the number of this update, counted from 1

#define EACH                              \
    if (numbers[SKIP] != 0) return;       \
    for (Int at = FIRST; at < size; at += STRIDE)

// A gradient as it counts, within `limit`; a NaN stays.
__device__ inline float arrived(float gradient, const double* numbers, double limit) {
    float g = gradient * (float)numbers[UNSCALE];
    if (limit >= 0) g = g > (float)limit ? (float)limit : g < -(float)limit ? -(float)limit : g;
    return g;
}

// An infinite parameter makes no NaN where nothing decays.
__device__ inline float decayed(float gradient, float parameter, double decay) {
    return decay != 0 ? gradient + (float)decay * parameter : gradient;
}

#define WHOLE \
    decayed(arrived(gradient[at], numbers, limit) * (float)numbers[FACTOR], parameter[at], decay)

KERNEL tell(double* numbers, double rate, double step) {
    numbers[RATE] = rate;
    numbers[STEP] = step;
    numbers[SKIP] = 0;
    numbers[UNSCALE] = 1;
    numbers[FACTOR] = 1;
    numbers[UPDATE] = step - numbers[SKIPPED];
}

// The gradient at which the reverse pass begins.
KERNEL seed(const double* numbers, float* gradient) { gradient[0] = (float)numbers[SCALE]; }

// Of each block: the sum of the squares of its gradients, and how many are not finite.
KERNEL measure(const float* gradient, const double* numbers, double* squares, double* wild,
                        Int size, double limit, Int scaled) {
    double total = 0, count = 0;
    for (Int at = FIRST; at < size; at += STRIDE) {
        float g = scaled ? gradient[at] / (float)numbers[SCALE] : gradient[at];
        count += !(fabsf(g) <= FINITE);
        if (limit >= 0) g = g > (float)limit ? (float)limit : g < -(float)limit ? -(float)limit : g;
        total += (double)g * (double)g;
    }
    total = line_sum(total);
    count = line_sum(count);
    if (threadIdx.x == 0) {
        squares[blockIdx.x] = total;
        wild[blockIdx.x] = count;
    }
}

// What follows from all blocks: how gradients are brought to `norm` at most (below 0 is none) and,
// where the loss is scaled, whether this step is skipped and what the next one's scale is.
KERNEL settle(double* numbers, const double* squares, const double* wild, Int blocks, double norm,
                       Int scaled, double patience, double largest) {
    double total = 0, count = 0;
    for (Int block = threadIdx.x; block < blocks; block += LINE) {
        total += squares[block];
        count += wild[block];
    }
    total = line_sum(total);
    count = line_sum(count);
    if (threadIdx.x != 0) return;
    double length = sqrt(total);
    if (norm >= 0) numbers[FACTOR] = norm / (length > norm || length != length ? length : norm);
    if (!scaled) return;
    numbers[UNSCALE] = 1 / numbers[SCALE];
    if (count > 0) {
        numbers[SKIP] = 1;
        numbers[SKIPPED] += 1;
        numbers[GOOD] = 0;
        if (numbers[SCALE] > 1) numbers[SCALE] /= 2;
        return;
    }
    numbers[GOOD] += 1;
    if (numbers[GOOD] >= patience) {
        numbers[GOOD] = 0;
        if (numbers[SCALE] < largest) numbers[SCALE] *= 2;
    }
}

KERNEL sgd(float* parameter, const float* gradient, float* velocity, const double* numbers,
                    Int size, double limit, double decay, double momentum, Int nesterov) {
    EACH {
        float change = (float)numbers[RATE] * WHOLE;
        if (velocity) {
            float speed = velocity[at] * (float)momentum - change;
            velocity[at] = speed;
            parameter[at] += nesterov ? (float)momentum * speed - change : speed;
        } else {
            parameter[at] -= change;
        }
    }
}

KERNEL rmsprop(float* parameter, const float* gradient, float* mean_square, const double* numbers,
                        Int size, double limit, double decay, double kept, double eps) {
    EACH {
        float whole = WHOLE;
        float square = mean_square[at] * (float)kept + (float)(1 - kept) * (whole * whole);
        mean_square[at] = square;
        parameter[at] -= (float)numbers[RATE] * whole / (sqrtf(square) + (float)eps);
    }
}

// `decoupled` is what AdamW takes of a parameter, times the rate.
KERNEL adam(float* parameter, const float* gradient, float* mean, float* mean_square,
                     const double* numbers, Int size, double limit, double decay, double beta1,
                     double beta2, double eps, double decoupled) {
    float rate = (float)(numbers[RATE] / (1 - pow(beta1, numbers[UPDATE])));
    float unbias = (float)(1 - pow(beta2, numbers[UPDATE]));
    float shrink = (float)(1 - numbers[RATE] * decoupled);
    EACH {
        float whole = WHOLE;
        float moment = mean[at] * (float)beta1 + (float)(1 - beta1) * whole;
        float square = mean_square[at] * (float)beta2 + (float)(1 - beta2) * (whole * whole);
        mean[at] = moment;
        mean_square[at] = square;
        parameter[at] = parameter[at] * shrink - rate * moment / (sqrtf(square / unbias) + (float)eps);
    }
}
