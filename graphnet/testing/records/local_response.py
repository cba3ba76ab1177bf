"""Local response normalization against sums over the channels of each window, entry by entry."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes
from ops.local_response import LocalResponseNorm


@st.composite
def cases(draw):
    """Windows up to wider than the channels, and an alpha that lets the neighbours count."""
    shape = (draw(batch_sizes), draw(st.integers(1, 5)), *draw(shapes(0, 3, max_size=3)))
    operator = LocalResponseNorm(
        draw(st.integers(1, 6)),
        alpha=draw(st.sampled_from((1.5, 0.5, 1e-4, 0.0))),
        beta=draw(st.sampled_from((0.75, 0.5, 1.0, 2.0, 0.0))),
        k=draw(st.sampled_from((1.0, 0.5, 2.0))),
    )
    seed = draw(seeds)
    return Case(operator, (random_array(shape, seed),), seed)


def reference(operator, x):
    y = np.zeros_like(x)
    back, forth = math.floor((operator.size - 1) / 2), math.ceil((operator.size - 1) / 2)
    for n, c, *at in np.ndindex(x.shape):
        window = [j for j in range(c - back, c + forth + 1) if 0 <= j < x.shape[1]]
        squares = math.fsum(x[(n, j, *at)] ** 2 for j in window)
        base = operator.k + operator.alpha / operator.size * squares
        y[(n, c, *at)] = x[(n, c, *at)] / base**operator.beta
    return y


RECORDS = [Record(LocalResponseNorm, cases(), reference)]
