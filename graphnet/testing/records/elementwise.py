"""Arithmetic against Python's own operators, one pair of entries at a time."""

from __future__ import annotations

import operator as python

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched, broadcastable
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops import Add, Divide, Identity, Multiply, Subtract


@st.composite
def binary_cases(draw, operator):
    shape_a, shape_b = draw(broadcastable())
    seed = draw(seeds)
    a, b = spaced_array(shape_a, seed), spaced_array(shape_b, seed + 1)
    if isinstance(operator, Divide):
        b += np.copysign(0.5, b)  # a divisor near 0 leaves central differences no accuracy
    return Case(operator, (a, b), seed)


def loop(function):
    def reference(_, a, b):
        pairs = np.broadcast(a, b)
        return np.array([function(p, q) for p, q in pairs], dtype=a.dtype).reshape(pairs.shape)

    return reference


identity_cases = st.builds(
    lambda shape, seed: Case(Identity(), (spaced_array(shape, seed),), seed),
    batched(min_rank=0),
    seeds,
)

RECORDS = [
    Record(Add, binary_cases(Add()), loop(python.add), linear=("a", "b")),
    Record(Subtract, binary_cases(Subtract()), loop(python.sub), linear=("a", "b")),
    Record(Multiply, binary_cases(Multiply()), loop(python.mul), linear=("a", "b")),
    Record(Divide, binary_cases(Divide()), loop(python.truediv), linear=("a",)),
    Record(Identity, identity_cases, lambda _, x: x, linear=("x",)),
]
