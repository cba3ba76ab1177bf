// What expressions of elementwise operators name.

__device__ inline float logistic(float v) { return 1.0f / (1.0f + expf(-v)); }
// clipped where probability and density are 0 or 1
__device__ inline float near(float v) { return v < -40.0f ? -40.0f : v > 40.0f ? 40.0f : v; }
__device__ inline float gelu_chance(float v) {
    float n = near(v);
    return logistic(1.5957691216057308f * (n + 0.044715f * n * n * n));
}
