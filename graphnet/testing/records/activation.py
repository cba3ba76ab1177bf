"""Activations against their formulas, one Python float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops import GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh


def activation_cases(operators):
    """No entry is 0, where ReLU has its kink."""
    return st.builds(
        lambda operator, shape, seed: Case(operator, (spaced_array(shape, seed),), seed),
        operators,
        batched(min_rank=0),
        seeds,
    )


@st.composite
def axis_cases(draw, operator):
    shape = draw(batched())
    axes = [axis for axis, n in enumerate(shape) if n]
    if not axes:
        shape, axes = (*shape, 1), [len(shape)]
    axis = draw(st.sampled_from(axes)) - draw(st.sampled_from((0, len(shape))))
    seed = draw(seeds)
    return Case(operator(axis), (spaced_array(shape, seed),), seed)


def each(formula):
    """An oracle that calls ``formula(operator, value)`` for one entry at a time."""

    def reference(operator, x):
        entries = [formula(operator, float(value)) for value in x.flat]
        return np.array(entries, dtype=x.dtype).reshape(x.shape)

    return reference


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


def gelu(operator, value):
    if operator.approximate == "none":
        return value * math.erfc(-value / math.sqrt(2)) / 2
    inner = math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)
    return value * (1 + math.tanh(inner)) / 2


RECORDS = [
    Record(ReLU, activation_cases(st.just(ReLU())), each(lambda _, v: max(v, 0.0))),
    Record(
        LeakyReLU,
        activation_cases(st.sampled_from((0.0, 0.01, 0.5, 1.0, 1.5)).map(LeakyReLU)),
        each(lambda operator, v: v if v > 0 else operator.negative_slope * v),
    ),
    Record(
        Sigmoid, activation_cases(st.just(Sigmoid())), each(lambda _, v: 1 / (1 + math.exp(-v)))
    ),
    Record(Tanh, activation_cases(st.just(Tanh())), each(lambda _, v: math.tanh(v))),
    Record(GELU, activation_cases(st.sampled_from(("none", "tanh")).map(GELU)), each(gelu)),
    Record(SiLU, activation_cases(st.just(SiLU())), each(lambda _, v: v / (1 + math.exp(-v)))),
    Record(Softmax, axis_cases(Softmax), over_axis(softmax)),
    Record(LogSoftmax, axis_cases(LogSoftmax), over_axis(log_softmax)),
]
