// Updates of all parameters at once: they, their gradients and slots lie in one flat array each.
//
// What varies from step to step lies in device memory: control = {rate, step, scale of the loss,
// steps since it grew}, all double.  Where a gradient is not finite under a scale that grows and
// shrinks, factors[0] is 0, and nothing changes.  The first `edge` entries decay.

#define CONTROL_RATE 0
#define CONTROL_STEP 1
#define CONTROL_SCALE 2
#define CONTROL_GOOD 3

// The next step and its learning rate, from a table of rates that begins with step `first`.
KERNEL next_step(double* control, const double* rates, const Int* first, Int count) {
    control[CONTROL_STEP] += 1;
    Int at = (Int)control[CONTROL_STEP] - first[0];
    control[CONTROL_RATE] = rates[at < 0 ? 0 : at < count ? at : count - 1];
}

// Squares of the gradients without the scale of the loss, a sum for each block.  Where the scale
// grows and shrinks, infinities are to be seen, and so not clipped.
KERNEL squares(const float* gradients, const double* control, double* parts, Int size,
                        double limit, double growth) {
    double total = 0, inverse = 1 / control[CONTROL_SCALE];
    for (Int at = FIRST; at < size; at += STRIDE) {
        double value = gradients[at] * inverse;
        bool finite = fabs(value) <= (double)FINITE;
        if (limit > 0 && value == value && (finite || growth == 0))
            value = fmax(-limit, fmin(limit, value));
        total += value * value;
    }
    total = line_sum(total);
    if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

// What gradients are multiplied by ahead of being clipped one by one, and after that; and the
// next scale of the loss.  By one block.  growth is 0 where the scale is fixed.
KERNEL factors_of(const double* parts, double* control, float* factors, Int count,
                           double clip_norm, double growth, Int interval) {
    double total = 0;
    for (Int at = threadIdx.x; at < count; at += LINE) total += parts[at];
    total = line_sum(total);
    if (threadIdx.x != 0) return;
    double scale = control[CONTROL_SCALE], norm = sqrt(total);
    factors[0] = (float)(1 / scale);
    factors[1] = clip_norm > 0 ? (float)(clip_norm / fmax(norm, clip_norm)) : 1.0f;
    if (growth == 0) return;
    if (total <= 1.7976931348623157e308) {
        control[CONTROL_GOOD] += 1;
        if (control[CONTROL_GOOD] >= (double)interval) {
            control[CONTROL_SCALE] = fmin(scale * growth, 16777216.0);
            control[CONTROL_GOOD] = 0;
        }
    } else {
        factors[0] = 0;
        control[CONTROL_SCALE] = fmax(scale / growth, 1.0);
        control[CONTROL_GOOD] = 0;
        control[CONTROL_STEP] -= 1;  // the step does not count
    }
}

#define UPDATE                                                                             \
    float scale = factors[0], shrink = factors[1];                                         \
    if (scale == 0) return;                                                                \
    float rate = (float)control[CONTROL_RATE];                                             \
    for (Int at = FIRST; at < size; at += STRIDE) {                                        \
        float gradient = gradients[at] * scale;                                            \
        if (limit > 0 && gradient == gradient)                                             \
            gradient = fmaxf(-(float)limit, fminf((float)limit, gradient));                \
        gradient *= shrink;                                                                \
        if (at < edge) gradient += (float)decay * parameters[at];

KERNEL sgd(float* parameters, const float* gradients, float* velocity,
                    const double* control, const float* factors, Int size, Int edge, double decay,
                    double limit, double momentum, Int nesterov) {
    UPDATE
        float change = rate * gradient;
        if (velocity) {
            float speed = velocity[at] * (float)momentum - change;
            velocity[at] = speed;
            parameters[at] += nesterov ? (float)momentum * speed - change : speed;
        } else {
            parameters[at] -= change;
        }
    }
}

KERNEL rmsprop(float* parameters, const float* gradients, float* mean_square,
                        const double* control, const float* factors, Int size, Int edge,
                        double decay, double limit, double kept, double eps) {
    UPDATE
        float square = (float)kept * mean_square[at] + (float)(1 - kept) * gradient * gradient;
        mean_square[at] = square;
        parameters[at] -= rate * gradient / (sqrtf(square) + (float)eps);
    }
}

// decay acts on the gradient; decoupled on the parameter itself.
KERNEL adam(float* parameters, const float* gradients, float* mean, float* mean_square,
                     const double* control, const float* factors, Int size, Int edge, double decay,
                     double limit, double beta1, double beta2, double eps, double decoupled) {
    double step = control[CONTROL_STEP];
    float first = (float)(control[CONTROL_RATE] / (1 - pow(beta1, step)));
    float second = (float)(1 - pow(beta2, step));
    UPDATE
        float moment = (float)beta1 * mean[at] + (float)(1 - beta1) * gradient;
        float square = (float)beta2 * mean_square[at] + (float)(1 - beta2) * gradient * gradient;
        float parameter = parameters[at];
        if (at < edge) parameter *= 1 - rate * (float)decoupled;
        mean[at] = moment;
        mean_square[at] = square;
        parameters[at] = parameter - first * moment / (sqrtf(square / second) + (float)eps);
    }
}
