"""Convolution against a loop over output positions, with padding from its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, window_inputs
from ops import Conv


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
    kernel = weight.shape[2:]
    stride, dilation = (
        v if isinstance(v, tuple) else (v,) * spatial for v in (operator.stride, operator.dilation)
    )
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    pairs = begin_end(operator.padding, x.shape[2:], extents, stride)
    padded = np.pad(x, ((0, 0), (0, 0), *pairs))
    out = [(n - e) // s + 1 for n, e, s in zip(padded.shape[2:], extents, stride, strict=True)]
    width, per_group = weight.shape[1], len(weight) // operator.groups
    y = np.zeros((len(x), len(weight), *out))
    for n, f, *at in np.ndindex(y.shape):
        first = f // per_group * width
        window = padded[
            (
                n,
                slice(first, first + width),
                *(
                    slice(o * s, o * s + e, d)
                    for o, s, e, d in zip(at, stride, extents, dilation, strict=True)
                ),
            )
        ]
        y[(n, f, *at)] = (window * weight[f]).sum() + (0.0 if bias is None else bias[f])
    return y


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
