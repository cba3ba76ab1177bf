"""Quantization against Python's own rounding, one entry and its scale after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.quantization import Dequantize, Quantize

DTYPES = st.sampled_from(("uint8", "int8", "uint16", "int16"))


@st.composite
def shapes_and_scales(draw):
    """The shape of an input, that of its scales, the axis and the block size."""
    shape = list(draw(batched(max_rank=3)))
    axis = draw(st.integers(0, len(shape) - 1))
    form = draw(st.sampled_from(("one", "axis", "block")))
    block = None
    if form == "block":
        block = draw(st.sampled_from((1, 2, 3)))
        scales = list(shape)
        shape[axis] *= block
    else:
        scales = draw(st.sampled_from(([], [1]))) if form == "one" else [shape[axis]]
    return tuple(shape), tuple(scales), axis - draw(st.sampled_from((0, len(shape)))), block


def zero_points(draw, scales, dtype, seed):
    if draw(st.booleans()):
        return None
    info = np.iinfo(dtype)
    points = np.random.default_rng(seed).integers(info.min, info.max, scales, endpoint=True)
    return np.asarray(points, dtype)


@st.composite
def quantize_cases(draw):
    """Quotients that are no halves, some beyond the range of the dtype."""
    shape, scales, axis, block = draw(shapes_and_scales())
    dtype, seed = draw(DTYPES), draw(seeds)
    rng = np.random.default_rng(seed)
    scale = np.asarray(rng.choice((0.5, 2.0, 4.0), scales))
    info = np.iinfo(dtype)
    reach = (info.max - info.min) * draw(st.sampled_from((0.3, 0.6, 1.5)))
    # whole quotients of all scales, and a bit that is less than half of each
    x = np.rint(rng.uniform(-reach, reach, shape)) * 4.0 + rng.choice((-0.2, 0.1, 0.2), shape)
    operator = Quantize(axis, block, dtype)
    return Case(operator, (x, scale, zero_points(draw, scales, dtype, seed)), seed)


def per_entry(operator, scale, shape):
    """The scale of each entry, one after the other."""
    spread = np.empty(shape, scale.dtype)
    for at in np.ndindex(shape):
        if operator.block_size is not None:
            place = list(at)
            place[operator.axis] //= operator.block_size
            spread[at] = scale[tuple(place)]
        else:
            spread[at] = scale.ravel()[at[operator.axis] if scale.size > 1 else 0]
    return spread


def quantize(operator, x, scale, zero_point=None):
    info = np.iinfo(operator.dtype)
    scale = per_entry(operator, scale, x.shape)
    zero = None if zero_point is None else per_entry(operator, zero_point, x.shape)
    y = np.empty(x.shape, operator.dtype)
    for at in np.ndindex(x.shape):
        whole = round(float(x[at]) / float(scale[at])) + (0 if zero is None else int(zero[at]))
        y[at] = min(max(whole, info.min), info.max)
    return y


@st.composite
def dequantize_cases(draw):
    shape, scales, axis, block = draw(shapes_and_scales())
    dtype, seed = draw(st.sampled_from(("uint8", "int8", "int16", "int32"))), draw(seeds)
    x = np.asarray(np.random.default_rng(seed).integers(0, 100, shape), dtype)
    scale = spaced_array(scales, seed) if draw(st.booleans()) else random_array(scales, seed)
    zero = zero_points(draw, scales, "int8" if dtype == "int32" else dtype, seed)
    zero = None if zero is None else np.asarray(zero, dtype)
    return Case(Dequantize(axis, block), (x, np.asarray(scale), zero), seed)


def dequantize(operator, x, scale, zero_point=None):
    scale = per_entry(operator, scale, x.shape)
    zero = None if zero_point is None else per_entry(operator, zero_point, x.shape)
    y = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        y[at] = (int(x[at]) - (0 if zero is None else int(zero[at]))) * float(scale[at])
    return y


RECORDS = [
    Record(Quantize, quantize_cases(), quantize),
    Record(Dequantize, dequantize_cases(), dequantize, linear=("scale",)),
]
