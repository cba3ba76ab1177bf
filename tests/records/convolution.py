"""Convolution against naive nested loops."""

from __future__ import annotations

from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveConv
from graphnet.testing import Case, Record
from graphnet.testing.strategies import random_array, seeds, window_inputs
from ops import Conv
from tests.records.batches import batch_sizes


@st.composite
def cases(draw):
    fields, size = draw(window_inputs())
    groups = draw(st.integers(1, 2))
    filters, channels = (groups * draw(st.integers(1, 2)) for _ in range(2))
    seed = draw(seeds)
    conv = Conv(filters, groups=groups, bias=draw(st.booleans()), **fields)
    x = random_array((draw(batch_sizes), channels, *size), seed)
    windows = conv.windows(Case(conv, (x,)).specs[0])
    weight = random_array((filters, channels // groups, *windows.kernel), seed + 1)
    bias = random_array((filters,), seed + 2) if conv.bias else None
    return Case(conv, (x, weight, bias), seed)


def reference(operator, *inputs):
    return NaiveConv(operator).forward(*inputs)[0]


RECORDS = [Record(Conv, cases(), reference, linear=("x", "weight"))]
