"""PyTorch's convolutions, pooling and resizing, with the configurations that it lacks composed.

PyTorch pads both sides of an axis alike; what one side has more, ``F.pad`` adds.
"""

from __future__ import annotations

import math

from graphnet.testing.records.convolution import begin_end
from tests.oracles import Lazy, per_axis

torch = Lazy("torch")
F = Lazy("torch.nn.functional")


class Windows:
    """Window fields as PyTorch takes them: one per axis, ``padding`` for both sides of each."""

    def __init__(self, operator, kernel, size):
        rank = len(size)
        self.kernel = kernel
        self.stride, self.dilation = (
            per_axis(value, rank) for value in (operator.stride, operator.dilation)
        )
        self.extent = [d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True)]
        self.pairs = begin_end(operator.padding, size, self.extent, self.stride)
        # torch's max_pool takes half a kernel at most
        self.padding = [min(*pair, k // 2) for pair, k in zip(self.pairs, kernel, strict=True)]
        self.spread = tuple(range(-rank, 0))  # the axes of the kernel, in ``unfold``

    @classmethod
    def over(cls, operator, x):
        return cls(operator, per_axis(operator.kernel_size, x.ndim - 2), x.shape[2:])

    def pad_rest(self, x, value=0.0):
        """What the sides of each axis have more than ``padding``."""
        rest = zip(reversed(self.pairs), reversed(self.padding), strict=True)
        return F.pad(x, [n - both for pair, both in rest for n in pair], value=value)

    def unfold(self, x):
        """All windows, padded by zeros: ``(N, C, *out, *kernel)``."""
        x = F.pad(x, [n for pair in reversed(self.pairs) for n in pair])
        axes = zip(self.extent, self.stride, self.dilation, strict=True)
        for axis, (extent, stride, dilation) in enumerate(axes, start=2):
            x = x.unfold(axis, extent, stride)[..., ::dilation]
        return x


def by_rank(name, x):
    """The function of PyTorch for as many spatial axes as x has."""
    return getattr(F, name.format(x.ndim - 2))


def conv(operator, x, weight, bias=None):
    windows = Windows(operator, weight.shape[2:], x.shape[2:])
    return by_rank("conv{}d", x)(
        windows.pad_rest(x),
        weight,
        bias,
        windows.stride,
        windows.padding,
        windows.dilation,
        operator.groups,
    )


def conv_transpose(operator, x, weight, bias=None):
    rank = x.ndim - 2
    strides = per_axis(operator.stride, rank)
    # of an output that is a multiple of the input, which is what "same" asks for
    multiple = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    windows = Windows(operator, weight.shape[2:], multiple)
    extra = per_axis(operator.output_padding, rank)
    if operator.padding == "same":
        extra = [max(s - e, 0) for s, e in zip(windows.stride, windows.extent, strict=True)]
    y = by_rank("conv_transpose{}d", x)(
        x,
        weight,
        bias,
        windows.stride,
        windows.padding,
        extra,
        operator.groups,
        windows.dilation,
    )
    for axis, ((begin, end), both) in enumerate(zip(windows.pairs, windows.padding, strict=True)):
        y = y.narrow(axis + 2, begin - both, y.shape[axis + 2] - (begin + end - 2 * both))
    return y


def max_pool(operator, x):
    windows = Windows.over(operator, x)
    return by_rank("max_pool{}d", x)(
        windows.pad_rest(x, -math.inf),
        windows.kernel,
        windows.stride,
        windows.padding,
        windows.dilation,
    )


def avg_pool(operator, x):
    windows = Windows.over(operator, x)
    alike = all(begin == end for begin, end in windows.pairs)
    # in three axes torch wants a kernel no larger than the input without its padding
    fits = all(k <= n for k, n in zip(windows.kernel, x.shape[2:], strict=True))
    if alike and fits and set(windows.dilation) == {1}:
        return by_rank("avg_pool{}d", x)(
            x,
            windows.kernel,
            windows.stride,
            windows.padding,
            count_include_pad=operator.count_include_pad,
        )
    # torch dilates no averages, and pads both sides alike
    means = windows.unfold(x).mean(windows.spread)
    if operator.count_include_pad:
        return means
    return means / windows.unfold(torch.ones_like(x)).mean(windows.spread)


def lp_pool(operator, x):
    # torch's lp_pool takes powers of x itself, not of |x|, and neither pads nor dilates
    windows = Windows.over(operator, x)
    return torch.linalg.vector_norm(windows.unfold(x), operator.p, windows.spread)


def adaptive_avg_pool(size, x):
    return by_rank("adaptive_avg_pool{}d", x)(x, size)


def adaptive_max_pool(size, x):
    return by_rank("adaptive_max_pool{}d", x)(x, size)


def resize(operator, x):
    if operator.antialias:
        return None  # torch's own leaves out what lies outside, and has another cubic
    size = x.shape[2:]
    out = operator.size and per_axis(operator.size, len(size))
    scale = operator.scale and per_axis(operator.scale, len(size))
    if scale and any(s != 1 and math.floor(n * s) == n for n, s in zip(size, scale, strict=True)):
        return None  # torch takes an axis that keeps its size for unchanged, whatever the scale
    coordinates = operator.coordinates
    if coordinates == "half_pixel_symmetric":
        # half_pixel, unless a part of an entry is cut off
        whole = scale is None or all((n * s).is_integer() for n, s in zip(size, scale, strict=True))
        coordinates = "half_pixel" if whole else coordinates
    elif coordinates == "pytorch_half_pixel":
        # as ONNX calls it; PyTorch itself has no special case for an output of one entry
        outs = out or [math.floor(n * s) for n, s in zip(size, scale, strict=True)]
        coordinates = "half_pixel" if 1 not in outs else coordinates
    if operator.mode == "nearest":
        mode = {
            ("asymmetric", "floor"): "nearest",
            ("half_pixel", "round_prefer_ceil"): "nearest-exact",
        }.get((coordinates, operator.nearest))
        aligned = None
    else:
        aligned = {"half_pixel": False, "align_corners": True}.get(coordinates)
        mode = None if aligned is None else _smooth(operator, len(size))
    if mode is None:
        return None  # torch has no such coordinates, rounding or kernel
    if mode == "bicubic" and len(size) == 1:
        # torch's cubic takes two spatial axes, of which one may stay as it is
        x, out, scale = x[..., None], out and (*out, 1), scale and (*scale, 1.0)
        return F.interpolate(x, out, scale, mode, aligned)[..., 0]
    return F.interpolate(x, out, scale, mode, aligned)


def _smooth(operator, rank):
    """PyTorch's name of a mode that interpolates; None where it has none."""
    if operator.mode == "linear":
        return ("linear", "bilinear", "trilinear")[rank - 1]
    if rank == 3 or operator.exclude_outside or operator.cubic_coefficient != -0.75:
        return None  # torch's cubic has at most two axes, Keys' a of -0.75, and repeats the border
    return "bicubic"


def grid_sample(operator, x, grid):
    if x.ndim == 3 or operator.mode == "cubic":
        return None  # two axes or more, and a cubic that leaves points outside where they are
    mode = {"linear": "bilinear", "nearest": "nearest"}[operator.mode]
    return F.grid_sample(x, grid, mode, operator.padding, operator.align_corners)


def fold(operator, x):
    image = torch.zeros((1, 1, *operator.size))
    windows = Windows.over(operator, image)
    if len(operator.size) != 2 or not len(x) or windows.pad_rest(image).shape != image.shape:
        return None  # PyTorch has two axes, an example and as much padding at either end
    return F.fold(
        x, operator.size, windows.kernel, windows.dilation, windows.padding, windows.stride
    )


def max_pool_with_indices(operator, x):
    windows = Windows.over(operator, x)
    if operator.column_major or windows.pad_rest(x, 0.0).shape != x.shape or not x.numel():
        return None
    y, places = by_rank("max_pool{}d", x)(
        x,
        windows.kernel,
        windows.stride,
        windows.padding,
        windows.dilation,
        return_indices=True,
    )
    planes = torch.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2])
    first = planes * math.prod(x.shape[2:])
    return y, places + first.reshape(*x.shape[:2], *[1] * (x.ndim - 2))


def max_unpool(operator, x, indices):
    planes = torch.zeros((*x.shape[:2], *operator.size), dtype=x.dtype)
    return planes.flatten().scatter(0, indices.flatten(), x.flatten()).reshape(planes.shape)
