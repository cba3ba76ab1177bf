"""ONNX's convolutions, pooling and resizing, around what the reference implementation lacks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from graphnet.testing.records.convolution import begin_end
from graphnet.testing.records.resize import COORDINATES
from tests.oracles import per_axis
from tests.oracles.onnx_node import integers, run


def windows(operator, rank):
    """The attributes of a window; a rule for padding goes by its name in the standard."""
    padding = operator.padding
    attributes = {
        "kernel_shape": per_axis(operator.kernel_size, rank),
        "strides": per_axis(operator.stride, rank),
        "dilations": per_axis(operator.dilation, rank),
    }
    if isinstance(padding, str):
        return attributes | {"auto_pad": {"same": "SAME_UPPER", "valid": "VALID"}[padding]}
    pairs = [p if isinstance(p, tuple) else (p, p) for p in per_axis(padding, rank)]
    return attributes | {"pads": begins_then_ends(pairs)}


def extents_of(attributes):
    """How far the entries of a window are spread."""
    pairs = zip(attributes["dilations"], attributes["kernel_shape"], strict=True)
    return [d * (k - 1) + 1 for d, k in pairs]


def begins_then_ends(pairs):
    return [pair[side] for side in (0, 1) for pair in pairs]


def conv(operator, x, weight, bias=None):
    return run("Conv", x, weight, bias, group=operator.groups, **windows(operator, x.ndim - 2))


def conv_transpose(operator, x, weight, bias=None):
    attributes = windows(operator, x.ndim - 2)
    attributes["output_padding"] = extra = per_axis(operator.output_padding, x.ndim - 2)
    strides, extents = attributes["strides"], extents_of(attributes)
    if any(more >= s for more, s in zip(extra, strides, strict=True)):
        return None  # the reference implementation knows none beyond the stride
    if operator.padding == "same" and any(s > e for s, e in zip(strides, extents, strict=True)):
        return None  # the standard would pad by less than nothing
    # group after group: the reference implementation mistakes channels for filters among them
    parts = [np.split(array, operator.groups, axis) for array, axis in ((x, 1), (weight, 0))]
    biases = [None] * operator.groups if bias is None else np.split(bias, operator.groups)
    each = zip(*parts, biases, strict=True)
    return np.concatenate([run("ConvTranspose", *given, **attributes) for given in each], axis=1)


def padded_windows(operator, x):
    """The attributes of a window, with the padding that a rule for it comes to.

    Under a rule the reference implementation of pooling forgets the dilation, and pads by less
    than nothing where the stride is larger than the kernel.
    """
    attributes = windows(operator, x.ndim - 2)
    attributes.pop("auto_pad", None)
    extents = extents_of(attributes)
    pairs = begin_end(operator.padding, x.shape[2:], extents, attributes["strides"])
    attributes["pads"] = begins_then_ends(pairs)
    return attributes


def max_pool(operator, x):
    attributes = padded_windows(operator, x)
    # apart, for where all strides are 1 the reference implementation mistakes ends for begins
    pads = attributes.pop("pads")
    half = len(pads) // 2
    padding = integers(0, 0, *pads[:half], 0, 0, *pads[half:])
    return run("MaxPool", run("Pad", x, padding, np.float64(-math.inf)), **attributes)


def avg_pool(operator, x):
    counted = int(operator.count_include_pad)
    return run("AveragePool", x, count_include_pad=counted, **padded_windows(operator, x))


def lp_pool(operator, x):
    if not operator.p.is_integer():
        return None  # the standard has whole exponents
    return run("LpPool", x, p=int(operator.p), **padded_windows(operator, x))


def global_max_pool(_, x):
    if x.ndim == 4:
        return run("GlobalMaxPool", x)
    # its reference implementation takes two spatial axes for granted
    return run("MaxPool", x, kernel_shape=x.shape[2:])


def global_lp_pool(operator, x):
    if not operator.p.is_integer():
        return None  # the standard has whole exponents
    # its reference implementation lacks GlobalLpPool
    return run("LpPool", x, kernel_shape=x.shape[2:], p=int(operator.p))


def resize(operator, x):
    sizes = x.shape[2:]
    if operator.size is None:
        scales = per_axis(operator.scale, len(sizes))
        given = {"scales": np.float32(scales)}
        outs = [math.floor(n * scale) for n, scale in zip(sizes, scales, strict=True)]
    else:
        outs = per_axis(operator.size, len(sizes))
        given = {"sizes": integers(*outs)}
        scales = [Fraction(out, n) for n, out in zip(sizes, outs, strict=True)]
    axes = list(zip(sizes, outs, scales, strict=True))
    coordinates = operator.coordinates
    if coordinates == "pytorch_half_pixel" and 1 in outs:
        return None  # the standard puts a sole output at 0, its reference implementation does not
    if coordinates == "align_corners" and any(n * float(scale) != out for n, out, scale in axes):
        return None  # the reference implementation takes the length before it was rounded
    if any(_misses(coordinates, *axis) for axis in axes):
        return None  # the reference implementation takes the wrong entries there
    # a rounded coordinate has no weights, but the reference implementation takes its one away
    weighs = operator.mode != "nearest"
    return run(
        "Resize",
        x,
        None,
        given.get("scales"),
        given.get("sizes"),
        axes=range(2, x.ndim),
        mode=operator.mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode=operator.nearest,
        cubic_coeff_a=operator.cubic_coefficient,
        exclude_outside=int(operator.exclude_outside and weighs),
        antialias=int(operator.antialias and weighs),
    )


def _misses(coordinates, n, out, scale):
    """Whether rounding moves some coordinate off the whole number or the half that it is."""
    place = COORDINATES[coordinates]
    pairs = (
        (place(i, n, out, Fraction(scale)), place(i, n, out, float(scale))) for i in range(out)
    )
    return any(2 * exact % 1 == 0 and exact != near for exact, near in pairs)


def max_unpool(operator, x, indices):
    # the size that the windows of the standard would give: each as far apart as it is long
    if any(n % pooled for n, pooled in zip(operator.size, x.shape[2:], strict=True)):
        return None
    kernel = [n // pooled for n, pooled in zip(operator.size, x.shape[2:], strict=True)]
    return run("MaxUnpool", x, indices, kernel_shape=kernel, strides=kernel)


def fold(operator, x):
    if x.size == 0:
        return None  # no size can be inferred beside one of 0
    attributes = padded_windows(operator, np.empty((1, 1, *operator.size)))
    kernel = integers(*attributes.pop("kernel_shape"))
    return run("Col2Im", x, integers(*operator.size), kernel, **attributes)


def grid_sample(operator, x, grid):
    if operator.padding == "reflection" and operator.align_corners and 1 in x.shape[2:]:
        return None  # the reference implementation divides by the length of an axis of one entry
    return run(
        "GridSample",
        x,
        grid,
        mode=operator.mode,
        padding_mode=operator.padding,
        align_corners=int(operator.align_corners),
    )


def deform_conv(operator, x, offset, weight, bias=None, mask=None):
    attributes = padded_windows(operator, x)
    return run(
        "DeformConv",
        x,
        weight,
        offset,
        bias,
        mask,
        group=operator.groups,
        offset_group=operator.offset_groups,
        **attributes,
    )


def roi_align(operator, x, boxes, examples):
    if not len(boxes):
        return None  # no size can be inferred beside one of 0
    high, wide = per_axis(operator.size, 2)
    mode = "half_pixel" if operator.aligned else "output_half_pixel"
    return run(
        "RoiAlign",
        x,
        boxes,
        examples,
        output_height=high,
        output_width=wide,
        sampling_ratio=operator.samples,
        spatial_scale=operator.scale,
        coordinate_transformation_mode=mode,
    )
