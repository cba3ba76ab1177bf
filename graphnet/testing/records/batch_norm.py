"""Batch normalization against its naive kernel, and with given statistics one float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveBatchNorm
from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.normalization import epsilons, gain_and_shift, normalized, spread
from graphnet.testing.strategies import random_array, seeds, shapes
from ops.batch_norm import BatchNorm, BatchNormInference


def statistics_of(channels, seed):
    """running_mean and a positive running_var."""
    mean, var = random_array((2, channels), seed)
    return mean, 0.5 + np.abs(var)


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
]
