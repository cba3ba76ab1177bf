"""Deformable convolution against a loop over windows and the four entries about each point.

Offsets are no whole numbers, where slopes jump.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.deformable import DeformConv
from ops.operator import Spec
from ops.windows import Windows


@st.composite
def cases(draw):
    groups, parts = draw(st.sampled_from((1, 1, 2))), draw(st.sampled_from((1, 1, 2)))
    channels, filters = 2 * draw(st.sampled_from((1, 2))), groups * draw(st.sampled_from((1, 2)))
    fields = {
        "kernel_size": draw(st.sampled_from((1, 2, (2, 1), (1, 3)))),
        "stride": draw(st.sampled_from((1, 2, (1, 2)))),
        "padding": draw(st.sampled_from((0, 1, ((0, 1), (1, 0)), "same"))),
        "dilation": draw(st.sampled_from((1, 2))),
    }
    operator = DeformConv(
        filters, groups=groups, offset_groups=parts, bias=draw(st.booleans()), **fields
    )
    batch, seed = draw(batch_sizes), draw(seeds)
    size = draw(st.sampled_from(((5, 5), (5, 6), (6, 5))))
    windows = Windows.over(Spec((1, 1, *size)), **fields)
    k = math.prod(windows.kernel)
    rng = np.random.default_rng(seed)
    shape = (batch, parts * k * 2, *windows.out)
    offset = rng.integers(-3, 3, shape) + rng.uniform(0.1, 0.9, shape)
    weight = random_array((filters, channels // groups, *windows.kernel), seed + 1)
    bias = random_array((filters,), seed + 2) if operator.bias else None
    mask = None
    if draw(st.booleans()):
        mask = random_array((batch, parts * k, *windows.out), seed + 3)
    return Case(
        operator, (random_array((batch, channels, *size), seed), offset, weight, bias, mask)
    )


def between(image, row, column):
    """The image at a point between its entries, 0 outside."""
    total = 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * image[i, j]
    return total


def deform_conv(operator, x, offset, weight, bias=None, mask=None):
    fields = (operator.kernel_size, operator.stride, operator.padding, operator.dilation)
    windows = Windows.over(Spec(x.shape), *fields)
    entries = list(np.ndindex(*windows.kernel))
    parts, groups = operator.offset_groups, operator.groups
    channels, filters = x.shape[1], len(weight)
    y = np.zeros((len(x), filters, *windows.out))
    for n, f, *at in np.ndindex(y.shape):
        y[(n, f, *at)] = 0.0 if bias is None else bias[f]
        for c in range(channels // groups):
            channel = f // (filters // groups) * (channels // groups) + c
            part = channel // (channels // parts)
            for i, entry in enumerate(entries):
                number = part * len(entries) + i
                place = [
                    at[axis] * windows.stride[axis]
                    - windows.padding[axis][0]
                    + entry[axis] * windows.dilation[axis]
                    + offset[(n, 2 * number + axis, *at)]
                    for axis in (0, 1)
                ]
                factor = 1.0 if mask is None else mask[(n, number, *at)]
                seen = between(x[n, channel], *place)
                y[(n, f, *at)] += weight[(f, c, *entry)] * factor * seen
    return y


RECORDS = [Record(DeformConv, cases(), deform_conv, linear=("x", "weight", "mask"))]
