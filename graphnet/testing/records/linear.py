"""Matrix products against triple loops."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveLinear
from graphnet.testing.batches import batch_sizes, batched, broadcastable, sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops import Linear, MatMul


@st.composite
def linear_cases(draw):
    shape = draw(batched(min_rank=2))
    axis = draw(st.integers(1, len(shape) - 1))
    axis -= draw(st.sampled_from([0, len(shape)]))
    linear = Linear(draw(st.integers(1, 4)), bias=draw(st.booleans()), axis=axis)
    seed = draw(seeds)
    x = random_array(shape, seed)
    weight = random_array((linear.units, math.prod(shape[axis:])), seed + 1)
    bias = random_array((linear.units,), seed + 2) if linear.bias else None
    return Case(linear, (x, weight, bias), seed)


@st.composite
def product_cases(draw):
    leading_a, leading_b = draw(broadcastable(max_rank=2))
    rows, columns = draw(batch_sizes), draw(sizes)
    inner = draw(sizes)
    seed = draw(seeds)
    a = random_array((*leading_a, rows, inner), seed)
    b = random_array((*leading_b, inner, columns), seed + 1)
    return Case(MatMul(), (a, b), seed)


def product(_, a, b):
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*leading, *a.shape[-2:]))
    b = np.broadcast_to(b, (*leading, *b.shape[-2:]))
    y = np.zeros((*leading, a.shape[-2], b.shape[-1]))
    for *at, i, j in np.ndindex(y.shape):
        y[(*at, i, j)] = sum(a[(*at, i, k)] * b[(*at, k, j)] for k in range(a.shape[-1]))
    return y


RECORDS = [
    Record(
        Linear,
        linear_cases(),
        lambda operator, *inputs: NaiveLinear(operator).forward(*inputs)[0],
        linear=("x", "weight"),
    ),
    Record(MatMul, product_cases(), product, linear=("a", "b")),
]
