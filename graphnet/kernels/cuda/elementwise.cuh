// What expressions of elementwise operators name.

__device__ inline float logistic(float v) { return 1.0f / (1.0f + expf(-v)); }
// tanh(log(1 + e^v)), without an exponential that overflows; a NaN stays
__device__ inline float mish_gate(float v) {
    float rising = expf(v > 0 ? 0.0f : v), falling = expf(v > 0 ? -v : 0.0f * v);
    float numerator = rising * (rising + 2.0f * falling);
    return numerator / (numerator + 2.0f * falling * falling);
}
// clipped where probability and density are 0 or 1
__device__ inline float near(float v) { return v < -40.0f ? -40.0f : v > 40.0f ? 40.0f : v; }
__device__ inline float gelu_chance(float v) {
    float n = near(v);
    return logistic(1.5957691216057308f * (n + 0.044715f * n * n * n));
}
