"""The softmax and its logarithm against their formulas, a list of entries at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops.softmax import LogSoftmax, Softmax


@st.composite
def axis_cases(draw, operator):
    shape = draw(batched())
    axes = [axis for axis, n in enumerate(shape) if n]
    if not axes:
        shape, axes = (*shape, 1), [len(shape)]
    axis = draw(st.sampled_from(axes)) - draw(st.sampled_from((0, len(shape))))
    seed = draw(seeds)
    return Case(operator(axis), (spaced_array(shape, seed),), seed)


def over_axis(formula):
    """An oracle that calls ``formula`` for the entries along the axis, a list at a time."""

    def reference(operator, x):
        y = np.zeros_like(x)
        rows, results = np.moveaxis(x, operator.axis, -1), np.moveaxis(y, operator.axis, -1)
        for row in np.ndindex(rows.shape[:-1]):
            results[row] = formula(rows[row].tolist())
        return y

    return reference


def softmax(entries):
    weights = [math.exp(value) for value in entries]
    return [weight / math.fsum(weights) for weight in weights]


def log_softmax(entries):
    return [math.log(probability) for probability in softmax(entries)]


RECORDS = [
    Record(Softmax, axis_cases(Softmax), over_axis(softmax)),
    Record(LogSoftmax, axis_cases(LogSoftmax), over_axis(log_softmax)),
]
