"""Triangles of matrices, one entry at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.triangle import Triangle


@st.composite
def cases(draw):
    shape, seed = draw(batched(min_rank=2, max_rank=4)), draw(seeds)
    operator = Triangle(draw(st.booleans()), draw(st.sampled_from((0, 1, -1, 2, -2, 7, -7))))
    return Case(operator, (random_array(shape, seed),), seed)


def triangle(operator, x):
    y = np.zeros(x.shape)
    for *at, i, j in np.ndindex(x.shape):
        right = j - i
        if right >= operator.diagonal if operator.upper else right <= operator.diagonal:
            y[(*at, i, j)] = x[(*at, i, j)]
    return y


RECORDS = [Record(Triangle, cases(), triangle, linear=("x",))]
