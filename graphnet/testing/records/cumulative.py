"""Cumulative sums and products against those of the entries that each one covers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.product import factors
from graphnet.testing.strategies import random_array, seeds
from ops.cumulative import CumProd, CumSum


@st.composite
def cases(draw, operator, array=random_array):
    shape = draw(batched())
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    operator = operator(axis, exclusive=draw(st.booleans()), reverse=draw(st.booleans()))
    seed = draw(seeds)
    return Case(operator, (array(shape, seed),), seed)


def each_run(combine):
    """The reference that combines the entries that each result covers."""

    def reference(operator, x):
        axis = operator.axis % x.ndim
        y = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            i, n = index[axis], x.shape[axis]
            if operator.reverse:
                covered = range(i + operator.exclusive, n)
            else:
                covered = range(i + 1 - operator.exclusive)
            y[index] = combine(x[(*index[:axis], j, *index[axis + 1 :])] for j in covered)
        return y

    return reference


RECORDS = [
    Record(CumSum, cases(CumSum), each_run(math.fsum), linear=("x",)),
    Record(CumProd, cases(CumProd, factors), each_run(math.prod)),
]
