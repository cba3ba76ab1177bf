// A step of an optimizer over flat arrays, in which all parameters lie one behind the other.
//
// The gradient comes clipped and stays as it is; `decay` times the parameter is added to it.

#define EACH for (Int at = FIRST; at < size; at += STRIDE)

// An infinite parameter makes no NaN where nothing decays.
__device__ inline float decayed(float gradient, float parameter, double decay) {
    return decay != 0 ? gradient + (float)decay * parameter : gradient;
}

KERNEL sgd(float* parameter, const float* gradient, float* velocity, Int size, double rate,
                    double decay, double momentum, Int nesterov) {
    EACH {
        float change = (float)rate * decayed(gradient[at], parameter[at], decay);
        if (velocity) {
            float speed = velocity[at] * (float)momentum - change;
            velocity[at] = speed;
            parameter[at] += nesterov ? (float)momentum * speed - change : speed;
        } else {
            parameter[at] -= change;
        }
    }
}

KERNEL rmsprop(float* parameter, const float* gradient, float* mean_square, Int size,
                        double rate, double decay, double kept, double eps) {
    EACH {
        float whole = decayed(gradient[at], parameter[at], decay);
        float square = mean_square[at] * (float)kept + (float)(1 - kept) * (whole * whole);
        mean_square[at] = square;
        parameter[at] -= (float)rate * whole / (sqrtf(square) + (float)eps);
    }
}

// rate and unbias have the number of the step in them; shrink is what AdamW leaves of a parameter.
KERNEL adam(float* parameter, const float* gradient, float* mean, float* mean_square,
                     Int size, double rate, double decay, double beta1, double beta2, double eps,
                     double unbias, double shrink) {
    EACH {
        float whole = decayed(gradient[at], parameter[at], decay);
        float moment = mean[at] * (float)beta1 + (float)(1 - beta1) * whole;
        float square = mean_square[at] * (float)beta2 + (float)(1 - beta2) * (whole * whole);
        mean[at] = moment;
        mean_square[at] = square;
        parameter[at] = parameter[at] * (float)shrink -
                        (float)rate * moment / (sqrtf(square / (float)unbias) + (float)eps);
    }
}
