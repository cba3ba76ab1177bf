"""Pooling against naive loops over windows, and over all positions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveAvgPool, NaiveMaxPool
from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array, window_inputs
from ops import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool


@st.composite
def window_cases(draw, operator, array, **choices):
    fields, size = draw(window_inputs(pad_below_kernel=True))
    if draw(st.booleans()):
        fields["stride"] = None  # the kernel size
    drawn = {name: draw(choice) for name, choice in choices.items()}
    pool = operator(**fields, **drawn)
    seed = draw(seeds)
    x = array((draw(batch_sizes), draw(st.integers(1, 2)), *size), seed)
    case = Case(pool, (x,), seed)
    assume(not pool.windows(case.specs[0]).only_padding())  # rare: wide steps over few entries
    return case


@st.composite
def global_cases(draw, operator):
    shape = (draw(batch_sizes), draw(st.integers(1, 3)), *draw(shapes(1, 3)))
    seed = draw(seeds)
    return Case(operator, (spaced_array(shape, seed),), seed)  # no ties


def over_positions(combine):
    def reference(_, x):
        y = np.zeros((*x.shape[:2], *[1] * (x.ndim - 2)))
        for n, c in np.ndindex(x.shape[:2]):
            y[n, c] = combine(x[n, c].ravel().tolist())
        return y

    return reference


RECORDS = [
    Record(
        MaxPool,
        window_cases(MaxPool, spaced_array),
        lambda operator, x: NaiveMaxPool(operator).forward(x)[0],
    ),
    Record(
        AvgPool,
        window_cases(AvgPool, random_array, count_include_pad=st.booleans()),
        lambda operator, x: NaiveAvgPool(operator).forward(x)[0],
        linear=("x",),
    ),
    Record(
        GlobalAvgPool,
        global_cases(GlobalAvgPool()),
        over_positions(lambda entries: math.fsum(entries) / len(entries)),
        linear=("x",),
    ),
    Record(GlobalMaxPool, global_cases(GlobalMaxPool()), over_positions(max)),
]
