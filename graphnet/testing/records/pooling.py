"""Pooling against naive loops over windows, and over all positions."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveAvgPool, NaiveMaxPool
from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.convolution import begin_end
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array, window_inputs
from ops import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from ops.pooling import GlobalLpPool, LpPool

EXPONENTS = st.sampled_from((1.0, 2.0, 2.5, 3.0))


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
def global_cases(draw, operator, **choices):
    operator = operator(**{name: draw(choice) for name, choice in choices.items()})
    shape = (draw(batch_sizes), draw(st.integers(1, 3)), *draw(shapes(1, 3)))
    seed = draw(seeds)
    return Case(operator, (spaced_array(shape, seed),), seed)  # no ties


def over_positions(combine):
    def reference(operator, x):
        y = np.zeros((*x.shape[:2], *[1] * (x.ndim - 2)))
        for n, c in np.ndindex(x.shape[:2]):
            y[n, c] = combine(operator, x[n, c].ravel().tolist())
        return y

    return reference


def norm(operator, entries):
    return math.fsum(abs(entry) ** operator.p for entry in entries) ** (1 / operator.p)


def lp_pool(operator, x):
    rank = x.ndim - 2
    kernel, stride, dilation = (
        value if isinstance(value, tuple) else (value,) * rank
        for value in (operator.kernel_size, operator.stride, operator.dilation)
    )
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    pairs = begin_end(operator.padding, x.shape[2:], extents, stride)
    out = [
        (n + begin + end - extent) // s + 1
        for n, (begin, end), extent, s in zip(x.shape[2:], pairs, extents, stride, strict=True)
    ]
    y = np.zeros((*x.shape[:2], *out))
    for n, c, *at in np.ndindex(y.shape):
        ranges = [
            [e for e in range(o * s - begin, o * s - begin + extent, d) if 0 <= e < size]
            for o, s, (begin, _), extent, d, size in zip(
                at, stride, pairs, extents, dilation, x.shape[2:], strict=True
            )
        ]
        entries = [float(x[(n, c, *place)]) for place in itertools.product(*ranges)]
        y[(n, c, *at)] = norm(operator, entries)
    return y


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
    Record(LpPool, window_cases(LpPool, spaced_array, p=EXPONENTS), lp_pool),
    Record(
        GlobalAvgPool,
        global_cases(GlobalAvgPool),
        over_positions(lambda _, entries: math.fsum(entries) / len(entries)),
        linear=("x",),
    ),
    Record(
        GlobalMaxPool, global_cases(GlobalMaxPool), over_positions(lambda _, entries: max(entries))
    ),
    Record(
        GlobalLpPool,
        global_cases(GlobalLpPool, p=EXPONENTS),
        over_positions(norm),
    ),
]
