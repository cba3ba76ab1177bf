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

from graphnet.kernels.naive import NaiveBatchNorm
from graphnet.testing.batches import batch_sizes, batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array
from ops import BatchNorm, BatchNormInference, GroupNorm, LayerNorm


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


def statistics_of(channels, seed):
    """running_mean and a positive running_var."""
    mean, var = random_array((2, channels), seed)
    return mean, 0.5 + np.abs(var)


def normalized(entries, mean, variance, eps):
    return [(value - mean) / math.sqrt(variance + eps) for value in entries]


@st.composite
def batch_cases(draw):
    channels, positions = draw(st.integers(1, 3)), draw(shapes(0, 3, max_size=3))
    batch = draw(st.integers(1 if math.prod(positions) > 1 else 2, 4))
    count = batch * math.prod(positions)
    seed = draw(seeds)
    operator = BatchNorm(eps=draw(epsilons(count)), momentum=draw(st.sampled_from((0.0, 0.9, 1.0))))
    rows = spread(channels, count, seed).reshape(channels, batch, *positions)
    x = np.ascontiguousarray(np.moveaxis(rows, 0, 1))  # (C, N, *positions) -> (N, C, *positions)
    learned, running = gain_and_shift((channels,), seed + 100), statistics_of(channels, seed + 101)
    return Case(operator, (x, *learned, *running), seed)


@st.composite
def inference_cases(draw):
    shape = draw(batched(min_rank=2))
    seed = draw(seeds)
    operator = BatchNormInference(eps=draw(st.sampled_from((1e-5, 0.1))))
    x = random_array(shape, seed)
    learned, running = gain_and_shift(shape[1:2], seed + 100), statistics_of(shape[1], seed + 101)
    return Case(operator, (x, *learned, *running), seed)


def inference(operator, x, gamma, beta, running_mean, running_var):
    y = np.zeros_like(x)
    for n, c, *at in np.ndindex(x.shape):
        (x_hat,) = normalized([x[(n, c, *at)]], running_mean[c], running_var[c], operator.eps)
        y[(n, c, *at)] = gamma[c] * x_hat + beta[c]
    return y


@st.composite
def layer_cases(draw):
    shape = draw(batched())
    first = draw(st.integers(1 if shape[0] == 0 and len(shape) > 1 else 0, len(shape) - 1))
    shape = (max(shape[0], 1), *shape[1:]) if first == 0 else shape
    count = math.prod(shape[first:])
    seed = draw(seeds)
    axis = draw(st.sampled_from((first, first - len(shape))))
    x = spread(math.prod(shape[:first]), count, seed).reshape(shape)
    learned = gain_and_shift(shape[first:], seed + 100)
    return Case(LayerNorm(axis, draw(epsilons(count))), (x, *learned), seed)


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


RECORDS = [
    Record(
        BatchNorm,
        batch_cases(),
        lambda operator, *inputs: NaiveBatchNorm(operator).forward(*inputs)[0],
        linear=("gamma", "beta"),
    ),
    Record(
        BatchNormInference,
        inference_cases(),
        inference,
        linear=("x", "gamma", "beta", "running_mean"),
    ),
    Record(LayerNorm, layer_cases(), layer, linear=("gamma", "beta")),
    Record(GroupNorm, group_cases(), group, linear=("gamma", "beta")),
]
