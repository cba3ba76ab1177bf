"""Convolution against SciPy's correlation of the padded input with the spread filter."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.signal import correlate

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


def reference(operator, x, weight, bias=None):
    spatial = x.ndim - 2
    stride, dilation = (
        v if isinstance(v, tuple) else (v,) * spatial for v in (operator.stride, operator.dilation)
    )
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    spread = np.zeros((*weight.shape[:2], *extents))
    spread[(..., *(slice(None, None, d) for d in dilation))] = weight
    padding = begin_end(operator.padding, x.shape[2:], extents, stride)
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    every = (slice(None), *(slice(None, None, s) for s in stride))
    width, per_group = weight.shape[1], len(weight) // operator.groups
    planes = []
    for f in range(len(weight)):
        first = f // per_group * width
        seen = padded[:, first : first + width]
        if len(x):
            planes.append(correlate(seen, spread[None, f], "valid", "direct")[:, 0][every])
        else:
            out = [n - e + 1 for n, e in zip(padded.shape[2:], extents, strict=True)]
            planes.append(np.zeros((0, *out))[every])
    y = np.stack(planes, axis=1)
    return y if bias is None else y + bias.reshape(-1, *[1] * spatial)


def begin_end(padding, size, extents, stride):
    """The zeros on each side, from the definition of each form of padding."""
    if padding == "valid":
        return [(0, 0)] * len(size)
    if padding == "same":
        pairs = []
        for n, extent, s in zip(size, extents, stride, strict=True):
            covered = (int(np.ceil(n / s)) - 1) * s + extent
            missing = max(covered - n, 0)
            pairs.append((missing // 2, missing - missing // 2))
        return pairs
    if isinstance(padding, int):
        return [(padding, padding)] * len(size)
    return [p if isinstance(p, tuple) else (p, p) for p in padding]


RECORDS = [Record(Conv, cases(), reference, linear=("x", "weight"))]
