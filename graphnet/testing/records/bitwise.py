"""Logic on bits against Python's own operators, one pair of integers at a time."""

from __future__ import annotations

import operator as python

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched, broadcastable
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds
from ops.bitwise import BitShift, BitwiseAnd, BitwiseNot, BitwiseOr, BitwiseXor

DTYPES = ("int64", "int8", "uint8", "int32", "uint64")
UNSIGNED = ("uint8", "uint32", "uint64", "uint16")


def bits(shape, seed, dtype):
    """Entries over the whole range of the dtype."""
    info = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))


@st.composite
def pairs(draw, operator):
    shape_a, shape_b = draw(broadcastable())
    seed, dtype = draw(seeds), draw(st.sampled_from(DTYPES))
    return Case(operator, (bits(shape_a, seed, dtype), bits(shape_b, seed + 1, dtype)), seed)


@st.composite
def shifts(draw):
    """Places up to some more than there are."""
    shape_a, shape_b = draw(broadcastable())
    seed, dtype = draw(seeds), draw(st.sampled_from(UNSIGNED))
    width = 8 * np.dtype(dtype).itemsize
    places = np.random.default_rng(seed).integers(0, width + 3, shape_b)
    operator = BitShift(draw(st.sampled_from(("left", "right"))))
    return Case(operator, (bits(shape_a, seed, dtype), np.asarray(places, dtype)), seed)


not_cases = st.builds(
    lambda shape, seed, dtype: Case(BitwiseNot(), (bits(shape, seed, dtype),), seed),
    batched(min_rank=0),
    seeds,
    st.sampled_from(DTYPES),
)


def each(function):
    def reference(operator, *inputs):
        together = np.broadcast_arrays(*inputs)
        rows = zip(*(x.ravel().tolist() for x in together), strict=True)
        entries = [function(operator, *row) for row in rows]
        return np.array(entries, dtype=inputs[0].dtype).reshape(together[0].shape)

    return reference


def flipped(operator, x):
    largest = np.iinfo(x.dtype).max
    return each(lambda _, v: -v - 1 if x.dtype.kind == "i" else largest - v)(operator, x)


def shifted(operator, a, b):
    held = 256**a.dtype.itemsize

    def shift(_, v, places):
        return v * 2**places % held if operator.direction == "left" else v // 2**places

    return each(shift)(operator, a, b)


RECORDS = [
    Record(BitwiseAnd, pairs(BitwiseAnd()), each(lambda _, p, q: python.and_(p, q))),
    Record(BitwiseOr, pairs(BitwiseOr()), each(lambda _, p, q: python.or_(p, q))),
    Record(BitwiseXor, pairs(BitwiseXor()), each(lambda _, p, q: python.xor(p, q))),
    Record(BitwiseNot, not_cases, flipped),
    Record(BitShift, shifts(), shifted),
]
