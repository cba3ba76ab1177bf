"""What activations compute with one entry, and with its gradient; see :mod:`entries`."""

from __future__ import annotations

import math

import numpy as np

from graphnet.kernels.compiled.elementary import erfc, log1p, logistic, tanh
from graphnet.kernels.compiled.entries import (
    ONE,
    THREE,
    TWO,
    ZERO,
    above,
    below,
    inlined,
    sign_at,
    within,
)
from graphnet.kernels.compiled.exponential import exp, expm1

HALF, SIX = np.float32(0.5), np.float32(6)
#: GELU: beyond it probabilities are 0 or 1.
FAR = np.float32(40)
MINUS_SQRT_HALF, MINUS_HALF = np.float32(-math.sqrt(0.5)), np.float32(-0.5)
DENSITY = np.float32(1 / math.sqrt(2 * math.pi))
CUBE, CUBE_SLOPE = np.float32(0.044715), np.float32(6 * 0.044715)
SCALE, TWICE_SCALE = np.float32(math.sqrt(2 / math.pi)), np.float32(2 * math.sqrt(2 / math.pi))
SELU_SCALE = np.float32(1.0507009873554805)
SELU_BELOW = np.float32(1.0507009873554805 * 1.6732632423543772)
SELU_MOST = np.float32(0.95 * float(np.finfo(np.float32).max))


# -- smooth activations


@inlined
def sigmoid(a, _y, _z, _p, _q):
    return logistic(a)


@inlined
def sigmoid_slope(g, w, _z, _p, _q):
    return g * w * (ONE - w)


@inlined
def hyperbolic_tangent(a, _y, _z, _p, _q):
    return tanh(a)


@inlined
def tanh_slope(g, w, _z, _p, _q):
    return g * (ONE - w) * (ONE + w)


@inlined
def gelu(a, _y, _z, _p, _q):
    return a * (HALF * erfc(a * MINUS_SQRT_HALF))


@inlined
def gelu_slope(g, a, _z, _p, _q):
    near = within(a, -FAR, FAR)
    density = DENSITY * exp(MINUS_HALF * near * near)
    return g * (HALF * erfc(a * MINUS_SQRT_HALF) + near * density)


@inlined
def _chance(near):
    return logistic(TWICE_SCALE * (near + CUBE * near * near * near))


@inlined
def gelu_by_tanh(a, _y, _z, _p, _q):
    return a * _chance(within(a, -FAR, FAR))


@inlined
def gelu_by_tanh_slope(g, a, _z, _p, _q):
    near = within(a, -FAR, FAR)
    chance = _chance(near)
    slope = SCALE * (TWO + CUBE_SLOPE * near * near)
    return g * (chance + near * (chance * (ONE - chance) * slope))


@inlined
def silu(a, _y, _z, _p, _q):
    return a * logistic(a)


@inlined
def silu_slope(g, a, _z, _p, _q):
    gate = logistic(a)
    return g * (gate + a * gate * (ONE - gate))


@inlined
def _mish_gate(x):
    e = exp(-abs(x))
    rising, falling = (e, ONE) if x < ZERO else (ONE, e)
    numerator = rising * (rising + TWO * falling)
    return numerator / (numerator + TWO * falling * falling)


@inlined
def mish(a, _y, _z, _p, _q):
    return a * _mish_gate(a)


@inlined
def mish_slope(g, a, _z, _p, _q):
    gate = _mish_gate(a)
    return g * (gate + a * (logistic(a) * (ONE - gate) * (ONE + gate)))


@inlined
def softplus(a, _y, _z, p, _q):
    return above(a) + log1p(exp(-p * abs(a))) / p


@inlined
def softplus_slope(g, w, _z, p, _q):
    return g * -expm1(-p * w)


@inlined
def softsign(a, _y, _z, _p, _q):
    return a / (ONE + abs(a))


@inlined
def softsign_slope(g, a, _z, _p, _q):
    scale = ONE / (ONE + abs(a))
    return g * scale * scale


# -- rectifiers and what has corners


@inlined
def relu(a, _y, _z, _p, _q):
    return above(a)


@inlined
def where_positive(g, w, _z, _p, _q):
    return g if w > ZERO else ZERO


@inlined
def leaky(a, _y, _z, p, _q):
    return above(a) + p * below(a)


@inlined
def leaky_slope(g, w, _z, p, _q):
    return g if w > ZERO else p * g


@inlined
def elu(a, _y, _z, p, _q):
    return above(a) + p * expm1(below(a))


@inlined
def elu_slope(g, a, _z, p, _q):
    return g * (ONE if a > ZERO else p * exp(below(a)))


@inlined
def celu(a, _y, _z, p, _q):
    return above(a) + p * expm1(below(a) / p)


@inlined
def celu_slope(g, a, _z, p, _q):
    return g * exp(below(a) / p)


@inlined
def selu(a, _y, _z, _p, _q):
    return SELU_SCALE * within(a, ZERO, SELU_MOST) + SELU_BELOW * expm1(below(a))


@inlined
def selu_slope(g, a, _z, _p, _q):
    return g * (SELU_SCALE if a > ZERO else SELU_BELOW * exp(below(a)))


@inlined
def clipped(a, _y, _z, p, q):
    return within(a, p, q)


@inlined
def where_within(g, a, _z, p, q):
    return g if (a >= p) & (a <= q) else ZERO


@inlined
def threshold(a, _y, _z, p, _q):
    return a if a > p else ZERO


@inlined
def where_above(g, a, _z, p, _q):
    return g if a > p else ZERO


@inlined
def hard_sigmoid(a, _y, _z, p, q):
    near = within(a, (-ONE - q) / p, (TWO - q) / p)
    return within(p * near + q, ZERO, ONE)


@inlined
def hard_sigmoid_slope(g, w, _z, p, _q):
    return p * g if (w > ZERO) & (w < ONE) else ZERO


@inlined
def _hard_gate(x):
    return within(x + THREE, ZERO, SIX) / SIX


@inlined
def hard_swish(a, _y, _z, _p, _q):
    return a * _hard_gate(a)


@inlined
def hard_swish_slope(g, a, _z, _p, _q):
    gate = _hard_gate(a)
    return g * (TWO * gate - HALF if (gate > ZERO) & (gate < ONE) else gate)


@inlined
def shrink(a, _y, _z, p, q):
    return ZERO if abs(a) <= p else a - q * sign_at(a)


@inlined
def unless_inside(g, a, _z, p, _q):
    return ZERO if abs(a) <= p else g
