"""Remainders against Python's own, one pair of entries at a time, away from the jumps."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import broadcastable
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.bitwise import each
from graphnet.testing.strategies import seeds
from ops.modulo import Modulo


@st.composite
def cases(draw):
    """Divisors of either sign and, among floating numbers, quotients away from whole ones."""
    shape_a, shape_b = draw(broadcastable())
    operator, seed = Modulo(draw(st.booleans())), draw(seeds)
    rng = np.random.default_rng(seed)
    dtype = draw(st.sampled_from(("float64", "float64", "float64", "int64", "int8", "uint8")))
    if dtype != "float64":
        a, b = rng.integers(0, 60, shape_a), rng.integers(1, 9, shape_b)
        if dtype != "uint8":
            a, b = a - 30, np.where(rng.random(shape_b) < 0.5, b, -b)
        return Case(operator, (np.asarray(a, dtype), np.asarray(b, dtype)), seed)
    # whole quotients of these divisors are multiples of 0.5
    a = rng.integers(-12, 12, shape_a) / 2 + rng.uniform(0.1, 0.4, shape_a)
    b = rng.choice((-2.5, -1.0, -0.5, 0.5, 1.5, 2.0), shape_b)
    return Case(operator, (np.asarray(a), np.asarray(b)), seed)


def remainder(operator, p, q):
    if isinstance(p, float):
        return math.fmod(p, q) if operator.truncated else p - math.floor(p / q) * q
    return p - math.trunc(p / q) * q if operator.truncated else p % q


RECORDS = [Record(Modulo, cases(), each(remainder))]
