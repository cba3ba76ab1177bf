"""Transposed convolution against its definition: every product is added where it belongs."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import one_or_each, random_array, seeds
from ops.conv_transpose import ConvTranspose


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    most = 3 if rank < 3 else 2

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    size, kernel, stride, dilation = each(1, most), each(1, most), each(1, 3), each(1, 3)
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    padding = draw(st.sampled_from(["valid", "same", "int", "axes", "pairs"]))
    if padding == "same":
        extra = (0,) * rank
    whole = [
        (n - 1) * s + d * (k - 1) + 1 + more
        for n, k, s, d, more in zip(size, kernel, stride, dilation, extra, strict=True)
    ]
    limits = [min(2, (n - 1) // 2) for n in whole]  # both sides leave at least one entry
    if padding == "int":
        padding = draw(st.integers(0, min(limits)))
    elif padding == "axes":
        padding = tuple(draw(st.integers(0, limit)) for limit in limits)
    elif padding == "pairs":
        padding = tuple(
            (draw(st.integers(0, limit)), draw(st.integers(0, limit))) for limit in limits
        )
    groups = draw(st.integers(1, 2))
    filters, channels = (groups * draw(st.integers(1, 2)) for _ in range(2))
    seed = draw(seeds)
    operator = ConvTranspose(
        filters,
        one_or_each(draw, kernel),
        stride=one_or_each(draw, stride),
        padding=padding,
        output_padding=one_or_each(draw, extra),
        dilation=one_or_each(draw, dilation),
        groups=groups,
        bias=draw(st.booleans()),
    )
    x = random_array((draw(batch_sizes), channels, *size), seed)
    weight = random_array((channels, filters // groups, *kernel), seed + 1)
    bias = random_array((filters,), seed + 2) if operator.bias else None
    return Case(operator, (x, weight, bias), seed)


def reference(operator, x, weight, bias=None):
    size, kernel = x.shape[2:], weight.shape[2:]
    stride, dilation, extra = (
        value if isinstance(value, tuple) else (value,) * len(size)
        for value in (operator.stride, operator.dilation, operator.output_padding)
    )
    begins, out = [], []
    for axis, (n, k, s, d) in enumerate(zip(size, kernel, stride, dilation, strict=True)):
        extent = d * (k - 1) + 1
        if operator.padding == "same":
            begins.append(max(extent - s, 0) // 2)
            out.append(n * s)
            continue
        entry = 0 if operator.padding == "valid" else operator.padding
        entry = entry[axis] if isinstance(entry, tuple) else entry
        begin, end = entry if isinstance(entry, tuple) else (entry, entry)
        begins.append(begin)
        out.append((n - 1) * s - begin - end + extent + extra[axis])
    groups = operator.groups
    width, per_group = x.shape[1] // groups, operator.filters // groups
    y = np.zeros((len(x), operator.filters, *out))
    if bias is not None:
        for f, value in enumerate(bias.tolist()):
            y[:, f] = value
    for o, i in itertools.product(np.ndindex(*size), np.ndindex(*kernel)):
        place = [
            a * s + b * d - begin
            for a, b, s, d, begin in zip(o, i, stride, dilation, begins, strict=True)
        ]
        if not all(0 <= p < n for p, n in zip(place, out, strict=True)):
            continue
        for example, f in np.ndindex(len(x), operator.filters):
            group = f // per_group
            y[(example, f, *place)] += math.fsum(
                x[(example, c, *o)] * weight[(c, f % per_group, *i)]
                for c in range(group * width, (group + 1) * width)
            )
    return y


RECORDS = [Record(ConvTranspose, cases(), reference, linear=("x", "weight"))]
