"""Comparisons and logic against Python's own operators, one pair of entries at a time."""

from __future__ import annotations

import math
import operator as python

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched, broadcastable
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds
from ops.comparison import (
    And,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Not,
    NotEqual,
    Or,
    Xor,
)

#: The entries of each dtype: few, so that they tie often.
ENTRIES = {
    "float64": (-1.5, -0.0, 0.0, 0.5, 0.75, math.nan, math.inf, -math.inf),
    "int64": (-2, 0, 1),
    "int8": (-128, 0, 127),
    "uint8": (0, 1, 255),
    "bool": (False, True),
}


def entries(dtype, shape, seed):
    return np.random.default_rng(seed).choice(np.array(ENTRIES[dtype], dtype), shape)


@st.composite
def pairs(draw, operator, dtypes):
    shape_a, shape_b = draw(broadcastable())
    dtype = draw(st.sampled_from(dtypes))
    seed = draw(seeds)
    return Case(operator, (entries(dtype, shape_a, seed), entries(dtype, shape_b, seed + 1)), seed)


not_cases = st.builds(
    lambda shape, seed: Case(Not(), (entries("bool", shape, seed),), seed),
    batched(min_rank=0),
    seeds,
)


def loop(function):
    def reference(_, *inputs):
        together = np.broadcast_arrays(*inputs)
        rows = zip(*(x.ravel().tolist() for x in together), strict=True)
        return np.array([function(*row) for row in rows], dtype=bool).reshape(together[0].shape)

    return reference


def comparison(operator, function):
    return Record(operator, pairs(operator(), tuple(ENTRIES)), loop(function))


def logical(operator, function):
    return Record(operator, pairs(operator(), ("bool",)), loop(function))


RECORDS = [
    comparison(Equal, python.eq),
    comparison(NotEqual, python.ne),
    comparison(Less, python.lt),
    comparison(LessOrEqual, python.le),
    comparison(Greater, python.gt),
    comparison(GreaterOrEqual, python.ge),
    Record(Not, not_cases, loop(python.not_)),
    logical(And, lambda p, q: p and q),
    logical(Or, lambda p, q: p or q),
    logical(Xor, lambda p, q: (p or q) and not (p and q)),
]
