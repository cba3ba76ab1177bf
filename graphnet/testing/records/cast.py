"""Casts against Python's own numbers, and bytes against those of the struct module.

A floating input is cast to float64, integers and truth values: in a narrower floating dtype a
central difference drowns in rounding.
"""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.bitwise import bits
from graphnet.testing.strategies import seeds, spaced_array
from ops.cast import BitCast, Cast

NARROW = ("bool", "int8", "uint8", "int16", "int32", "int64")
CODES = {"int8": "b", "uint8": "B", "int32": "i", "uint32": "I", "float32": "f",
         "int64": "q", "uint64": "Q", "float64": "d"}  # fmt: skip
WIDTHS = (("int8", "uint8"), ("int32", "uint32", "float32"), ("int64", "uint64", "float64"))


@st.composite
def cast_cases(draw):
    shape, seed = draw(batched(min_rank=0)), draw(seeds)
    if draw(st.booleans()):
        x = spaced_array(shape, seed, -4.0, 4.0)
        target = draw(st.sampled_from(("float64", "float64", "bool", "int8", "int64")))
    else:
        source = draw(st.sampled_from(NARROW))
        x = np.asarray(np.random.default_rng(seed).integers(0, 100, shape).astype(source))
        target = draw(st.sampled_from((*NARROW, "float32", "float64")))
    return Case(Cast(target), (x,), seed)


def cast(operator, x):
    convert = {"b": bool, "i": int, "u": int, "f": float}[np.dtype(operator.dtype).kind]
    entries = [convert(value) for value in x.ravel().tolist()]
    return np.array(entries, dtype=operator.dtype).reshape(x.shape)


@st.composite
def bit_cast_cases(draw):
    """Integers alone: the bits of a float32 are no rounding of a float64's."""
    names = draw(st.sampled_from(WIDTHS))
    source = draw(st.sampled_from([name for name in names if "int" in name]))
    shape, seed = draw(batched(min_rank=0)), draw(seeds)
    return Case(BitCast(draw(st.sampled_from(names))), (bits(shape, seed, source),), seed)


def bit_cast(operator, x):
    source, target = CODES[x.dtype.name], CODES[operator.dtype]
    entries = [struct.unpack(f"<{target}", struct.pack(f"<{source}", v))[0] for v in x.flat]
    return np.array(entries, dtype=operator.dtype).reshape(x.shape)


RECORDS = [
    Record(Cast, cast_cases(), cast),
    Record(BitCast, bit_cast_cases(), bit_cast),
]
