"""Max pooling with places, and entries put back, one window or entry after the other."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveMaxPool
from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.pooling import window_cases
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.unpooling import MaxPoolWithIndices, MaxUnpool


def pool_with_places(operator, x):
    """No entries tie, so a maximum tells its place."""
    y, _ = NaiveMaxPool(operator).forward(x)
    order = "F" if operator.column_major else "C"
    places = np.empty(y.shape, "int64")
    plane = math.prod(x.shape[2:])
    for at in np.ndindex(y.shape):
        n, c = at[:2]
        entries = x[n, c].ravel(order=order).tolist()
        places[at] = (n * x.shape[1] + c) * plane + entries.index(y[at])
    return y, places


@st.composite
def unpool_cases(draw):
    axes = draw(st.integers(1, 3))
    size = tuple(draw(st.sampled_from((3, 2, 4))) for _ in range(axes))
    pooled = tuple(draw(st.integers(1, n)) for n in size)
    batch, channels, seed = draw(batch_sizes), draw(st.sampled_from((1, 2))), draw(seeds)
    shape = (batch, channels, *pooled)
    rng = np.random.default_rng(seed)
    indices = rng.permutation(batch * channels * math.prod(size))[: math.prod(shape)]
    return Case(MaxUnpool(size), (random_array(shape, seed), indices.reshape(shape)), seed)


def unpool(operator, x, indices):
    y = np.zeros((*x.shape[:2], *operator.size))
    for at in np.ndindex(x.shape):
        y[np.unravel_index(int(indices[at]), y.shape)] = x[at]
    return y


RECORDS = [
    Record(
        MaxPoolWithIndices,
        window_cases(MaxPoolWithIndices, spaced_array, column_major=st.booleans()),
        pool_with_places,
    ),
    Record(MaxUnpool, unpool_cases(), unpool, linear=("x",)),
]
