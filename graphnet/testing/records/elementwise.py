"""Arithmetic and choices against Python's own operators, one tuple of entries at a time."""

from __future__ import annotations

import math
import operator as python

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched, broadcastable
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops.elementwise import (
    Add,
    Divide,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    Power,
    Subtract,
    Where,
)


@st.composite
def binary_cases(draw, operator):
    shape_a, shape_b = draw(broadcastable())
    seed = draw(seeds)
    a, b = spaced_array(shape_a, seed), spaced_array(shape_b, seed + 1)
    if isinstance(operator, Divide):
        b += np.copysign(0.5, b)  # a divisor near 0 leaves central differences no accuracy
    return Case(operator, (a, b), seed)


@st.composite
def power_cases(draw):
    """Positive bases: next to a whole exponent, a negative one has no power.

    A base of 0 has slopes on both sides where the exponent is even; differences find them 0.
    """
    shape_a, shape_b = draw(broadcastable())
    seed = draw(seeds)
    a = spaced_array(shape_a, seed, low=0.3, high=2.3)
    b = spaced_array(shape_b, seed + 1, low=-2.5, high=2.5)
    if draw(st.booleans()):
        a = np.where(a < 1.0, 0.0, a)
        b = np.where(b < 0.0, 2.0, 4.0)
    return Case(Power(), (a, b), seed)


@st.composite
def extremum_cases(draw, operator):
    """Both inputs are parts of one spaced array, so that no entry of one ties with the other's."""
    shape_a, shape_b = draw(broadcastable())
    seed = draw(seeds)
    size_a, size_b = math.prod(shape_a), math.prod(shape_b)
    entries = spaced_array((size_a + size_b,), seed)
    a, b = entries[:size_a].copy(), entries[size_a:].copy()
    return Case(operator, (a.reshape(shape_a), b.reshape(shape_b)), seed)


@st.composite
def where_cases(draw):
    pair = draw(broadcastable())
    out = np.broadcast_shapes(*pair)
    narrowed = tuple(draw(st.sampled_from((n, 1))) for n in out)
    third = narrowed[draw(st.sampled_from(range(len(out) + 1))) :]
    shape, shape_a, shape_b = draw(st.permutations((*pair, third)))
    seed = draw(seeds)
    condition = np.random.default_rng([seed, 2]).integers(0, 2, shape).astype(bool)
    return Case(
        Where(), (condition, spaced_array(shape_a, seed), spaced_array(shape_b, seed + 1)), seed
    )


def loop(function):
    def reference(_, *inputs):
        together = np.broadcast_arrays(*inputs)
        rows = zip(*(x.ravel().tolist() for x in together), strict=True)
        return np.array([function(*row) for row in rows]).reshape(together[0].shape)

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
    Record(Power, power_cases(), loop(math.pow)),
    Record(Maximum, extremum_cases(Maximum()), loop(max)),
    Record(Minimum, extremum_cases(Minimum()), loop(min)),
    Record(Where, where_cases(), loop(lambda c, p, q: p if c else q), linear=("a", "b")),
    Record(Identity, identity_cases, lambda _, x: x, linear=("x",)),
]
