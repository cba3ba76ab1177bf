"""Adaptive pooling against a loop over outputs, with window bounds as exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool


@st.composite
def cases(draw, operator, array):
    rank = draw(st.integers(1, 3))
    largest = {1: 9, 2: 6, 3: 4}[rank]
    size, out = (tuple(draw(st.integers(1, largest)) for _ in range(rank)) for _ in range(2))
    one = len(set(out)) == 1 and draw(st.booleans())
    seed = draw(seeds)
    x = array((draw(batch_sizes), draw(st.integers(1, 2)), *size), seed)
    return Case(operator(out[0] if one else out), (x,), seed)


def over_windows(combine):
    def reference(operator, x):
        size = x.shape[2:]
        out = operator.output_size
        out = out if isinstance(out, tuple) else (out,) * len(size)
        y = np.zeros((*x.shape[:2], *out))
        for n, c, *at in np.ndindex(y.shape):
            ranges = [
                range(math.floor(Fraction(i * a, b)), math.ceil(Fraction((i + 1) * a, b)))
                for i, a, b in zip(at, size, out, strict=True)
            ]
            entries = [float(x[(n, c, *place)]) for place in itertools.product(*ranges)]
            y[(n, c, *at)] = combine(entries)
        return y

    return reference


RECORDS = [
    Record(
        AdaptiveAvgPool,
        cases(AdaptiveAvgPool, random_array),
        over_windows(lambda entries: math.fsum(entries) / len(entries)),
        linear=("x",),
    ),
    Record(AdaptiveMaxPool, cases(AdaptiveMaxPool, spaced_array), over_windows(max)),
]
