"""Normalizations against Python's exact mean and variance of each group of entries.

The entries that share a mean are spaced apart and spread over 4 at least, so no variance is
small and central differences are accurate.  Two entries are normalized to -1 and 1 whatever
they are, but for eps: it is large enough then to leave a gradient that can be measured, and
so is gamma beside beta.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm


def epsilons(count):
    return st.sampled_from((1e-5, 1e-3, 0.1) if count > 2 else (0.1, 1.0))


def spread(groups, count, seed):
    """Rows of ``count`` spaced entries, each with a scale and an offset of its own."""
    rng = np.random.default_rng([seed, 3])
    rows = [rng.uniform(1, 2) * spaced_array((count,), seed + i) for i in range(groups)]
    return np.array(rows).reshape(groups, count) + rng.normal(size=(groups, 1))


def gain_and_shift(shape, seed):
    """gamma, at least 0.5 away from 0, and beta."""
    gamma, beta = random_array((2, *shape), seed)
    return gamma + np.copysign(0.5, gamma), beta


def normalized(entries, mean, variance, eps):
    return [(value - mean) / math.sqrt(variance + eps) for value in entries]


@st.composite
def last_axes(draw):
    """x, its shape from some axis on, that axis counted from either end, and a seed."""
    shape = draw(batched())
    first = draw(st.integers(1 if shape[0] == 0 and len(shape) > 1 else 0, len(shape) - 1))
    shape = (max(shape[0], 1), *shape[1:]) if first == 0 else shape
    seed = draw(seeds)
    axis = draw(st.sampled_from((first, first - len(shape))))
    x = spread(math.prod(shape[:first]), math.prod(shape[first:]), seed).reshape(shape)
    return x, shape[first:], axis, seed


@st.composite
def layer_cases(draw):
    x, shape, axis, seed = draw(last_axes())
    eps = draw(epsilons(math.prod(shape)))
    return Case(LayerNorm(axis, eps), (x, *gain_and_shift(shape, seed + 100)), seed)


def layer(operator, x, gamma, beta):
    y = np.zeros_like(x)
    for row in np.ndindex(x.shape[: x.ndim - gamma.ndim]):
        entries = x[row].ravel().tolist()
        mean, variance = statistics.fmean(entries), statistics.pvariance(entries)
        x_hat = normalized(entries, mean, variance, operator.eps)
        y[row] = np.reshape(
            [g * v + b for g, v, b in zip(gamma.flat, x_hat, beta.flat, strict=True)], gamma.shape
        )
    return y


@st.composite
def rms_cases(draw):
    x, shape, axis, seed = draw(last_axes())
    eps = draw(epsilons(math.prod(shape)))
    gamma, _ = gain_and_shift(shape, seed + 100)
    return Case(RMSNorm(axis, eps), (x, gamma), seed)


def rms(operator, x, gamma):
    y = np.zeros_like(x)
    for row in np.ndindex(x.shape[: x.ndim - gamma.ndim]):
        entries = x[row].ravel().tolist()
        square = math.fsum(value * value for value in entries) / len(entries)
        x_hat = normalized(entries, 0.0, square, operator.eps)
        y[row] = np.reshape([g * v for g, v in zip(gamma.flat, x_hat, strict=True)], gamma.shape)
    return y


@st.composite
def group_cases(draw):
    groups, width = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    batch, positions = draw(batch_sizes), draw(shapes(0, 3, max_size=3))
    count = width * math.prod(positions)
    seed = draw(seeds)
    x = spread(batch * groups, count, seed).reshape(batch, groups * width, *positions)
    learned = gain_and_shift((groups * width,), seed + 100)
    return Case(GroupNorm(groups, draw(epsilons(count))), (x, *learned), seed)


def group(operator, x, gamma, beta):
    y = np.zeros_like(x)
    width = x.shape[1] // operator.groups
    for n, g in np.ndindex(len(x), operator.groups):
        channels = range(g * width, (g + 1) * width)
        entries = [value for c in channels for value in x[n, c].ravel().tolist()]
        mean, variance = statistics.fmean(entries), statistics.pvariance(entries)
        for c in channels:
            x_hat = normalized(x[n, c].ravel().tolist(), mean, variance, operator.eps)
            y[n, c] = np.reshape([gamma[c] * v + beta[c] for v in x_hat], x.shape[2:])
    return y


@st.composite
def instance_cases(draw):
    channels, batch = draw(st.integers(1, 3)), draw(batch_sizes)
    positions = (*draw(shapes(0, 2, max_size=3)), draw(st.integers(2, 3)))
    seed = draw(seeds)
    rows = spread(batch * channels, math.prod(positions), seed)
    x = rows.reshape(batch, channels, *positions)
    operator = InstanceNorm(eps=draw(epsilons(math.prod(positions))))
    return Case(operator, (x, *gain_and_shift((channels,), seed + 100)), seed)


def instance(operator, x, gamma, beta):
    y = np.zeros_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        entries = x[n, c].ravel().tolist()
        mean, variance = statistics.fmean(entries), statistics.pvariance(entries)
        x_hat = normalized(entries, mean, variance, operator.eps)
        y[n, c] = np.reshape([gamma[c] * v + beta[c] for v in x_hat], x.shape[2:])
    return y


RECORDS = [
    Record(LayerNorm, layer_cases(), layer, linear=("gamma", "beta")),
    Record(RMSNorm, rms_cases(), rms, linear=("gamma",)),
    Record(GroupNorm, group_cases(), group, linear=("gamma", "beta")),
    Record(InstanceNorm, instance_cases(), instance, linear=("gamma", "beta")),
]
