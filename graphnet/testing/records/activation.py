"""Smooth activations against their formulas, one Python float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh


def activation_cases(operators):
    """No entry is 0, where rectifiers have their kink."""
    return st.builds(
        lambda operator, shape, seed: Case(operator, (spaced_array(shape, seed),), seed),
        operators,
        batched(min_rank=0),
        seeds,
    )


def each(formula):
    """An oracle that calls ``formula(operator, value)`` for one entry at a time."""

    def reference(operator, x):
        entries = [formula(operator, float(value)) for value in x.flat]
        return np.array(entries, dtype=x.dtype).reshape(x.shape)

    return reference


def gelu(operator, value):
    if operator.approximate == "none":
        return value * math.erfc(-value / math.sqrt(2)) / 2
    inner = math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)
    return value * (1 + math.tanh(inner)) / 2


def softplus(operator, value):
    return math.log(1 + math.exp(operator.beta * value)) / operator.beta


RECORDS = [
    Record(
        Sigmoid, activation_cases(st.just(Sigmoid())), each(lambda _, v: 1 / (1 + math.exp(-v)))
    ),
    Record(Tanh, activation_cases(st.just(Tanh())), each(lambda _, v: math.tanh(v))),
    Record(GELU, activation_cases(st.sampled_from(("none", "tanh")).map(GELU)), each(gelu)),
    Record(SiLU, activation_cases(st.just(SiLU())), each(lambda _, v: v / (1 + math.exp(-v)))),
    Record(
        Mish,
        activation_cases(st.just(Mish())),
        each(lambda _, v: v * math.tanh(math.log(1 + math.exp(v)))),
    ),
    Record(
        Softplus,
        activation_cases(st.sampled_from((0.5, 1.0, 3.0)).map(Softplus)),
        each(softplus),
    ),
    Record(Softsign, activation_cases(st.just(Softsign())), each(lambda _, v: v / (1 + abs(v)))),
]
