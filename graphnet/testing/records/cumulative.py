"""Cumulative sums against exact sums of the entries that each one covers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.cumulative import CumSum


@st.composite
def cumsum_cases(draw):
    shape = draw(batched())
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    operator = CumSum(axis, exclusive=draw(st.booleans()), reverse=draw(st.booleans()))
    seed = draw(seeds)
    return Case(operator, (random_array(shape, seed),), seed)


def cumsum(operator, x):
    axis = operator.axis % x.ndim
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        i, n = index[axis], x.shape[axis]
        if operator.reverse:
            covered = range(i + operator.exclusive, n)
        else:
            covered = range(i + 1 - operator.exclusive)
        y[index] = math.fsum(x[(*index[:axis], j, *index[axis + 1 :])] for j in covered)
    return y


RECORDS = [Record(CumSum, cumsum_cases(), cumsum, linear=("x",))]
