"""Convolution over any number of spatial axes, through windows and one matrix product.

A convolution multiplies every window of its input with every filter.  Laying each window
out as a row turns that into one matrix product per group:

    rows    (N * positions, kernel * C)     one row per window
    filters (kernel * C, F)
    output  (N * positions, F)

The reverse pass is the same algebra read backwards: the gradient of the filters is
``rows^T dy``, and the gradient of the input scatters ``dy filters^T`` back, one kernel
position at a time.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from ops.arrays import Array, namespace
from ops.fields import freeze_counts, freeze_flags
from ops.initializers import Constant, Kaiming
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    expect_bias,
    expect_floating,
    expect_spec,
    known,
    show,
)
from ops.windows import Padding, PerAxis, Windows, freeze_windows, pad_spatial

__all__ = [
    "Conv",
    "channels_from",
    "filter_layout",
    "filter_matrices",
    "position_rows",
    "scatter_rows",
    "window_rows",
]


@dataclass(frozen=True)
class Conv(Operator):
    """Convolution (cross-correlation) in 1, 2 or 3 dimensions; the input decides which.

    ``y[n, f, o] = bias[f] + sum_{c, i} weight[f, c, i] * padded[n, c, o * stride + i * dilation]``

    Shapes:
        - x: ``(N, C, *spatial)``
        - weight: ``(filters, C / groups, *kernel_size)``, bias: ``(filters,)``
        - y: ``(N, filters, *out)`` with
          ``out = floor((n + begin + end - dilation * (kernel_size - 1) - 1) / stride) + 1``

    Args:
        filters: the number of output channels.
        kernel_size: the size of the window; one integer, or one per spatial axis.
        stride: the distance between windows, in input positions; default 1.
        padding: zeros around the input: one integer, one per axis, a ``(begin, end)`` pair
            per axis, ``"valid"`` (none) or ``"same"`` (``out = ceil(n / stride)``); default 0.
        dilation: the distance between the entries of a window; default 1.
        groups: channels and filters are split into this many independent convolutions.
        bias: whether a learned constant is added to each filter's output.

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the rank, the channels, the groups or the kernel do not fit the input.

    Source: LeCun et al., "Backpropagation Applied to Handwritten Zip Code Recognition", 1989.

    >>> import graphnet as gn
    >>> image = gn.Input("image", ("N", 3, 32, 32))
    >>> Conv(64, kernel_size=3, stride=2, padding="same")(image).shape
    (N, 64, 16, 16)
    """

    filters: int
    kernel_size: PerAxis
    _: KW_ONLY
    stride: PerAxis = 1
    padding: Padding = 0
    dilation: PerAxis = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        freeze_counts(self, "filters", "groups")
        freeze_flags(self, "bias")
        freeze_windows(self, "kernel_size", "stride", "dilation")
        if self.filters % self.groups:
            raise ValueError(
                f"Conv: expected filters divisible by groups, "
                f"received {self.filters} filters in {self.groups} groups"
            )

    def windows(self, x: Spec) -> Windows:
        """The windows of this convolution over ``x``."""
        return Windows.over(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        learned = {"weight": Parameter(self._weight_shape(x), Kaiming(), x.dtype)}
        if self.bias:
            learned["bias"] = Parameter((self.filters,), Constant(0.0), x.dtype, decay=False)
        return learned

    def infer(self, x: Spec, weight: Spec, bias: Spec | None = None) -> Spec:
        expect_floating("an input", x)
        if weight.rank == x.rank and weight.shape[1] * self.groups != x.shape[1]:
            wanted = weight.shape[1] * self.groups
            raise ShapeError(
                f"expected {wanted} input channels, received {x.shape[1]} in {show(x)}"
            )
        expect_spec("a weight", weight, self._weight_shape(x), x.dtype)
        expect_bias(self.bias, bias, self.filters, x.dtype)
        return x.with_shape((x.shape[0], self.filters, *self.windows(x).out))

    def forward(
        self, x: Array, weight: Array, bias: Array | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        windows = self._windows_of(x)
        rows = window_rows(pad_spatial(x, windows.padding), windows, self.groups)
        y = rows @ filter_matrices(weight, self.groups)  # (G, N * positions, F / G)
        y = channels_from(y, (x.shape[0], *windows.out))
        if bias is not None:
            y += bias.reshape(-1, *[1] * len(windows.out))
        return y, (x, weight)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, weight = saved
        windows = self._windows_of(x)
        rows_dy = position_rows(dy, self.groups)  # (G, N * positions, F / G)
        dx = dweight = dbias = None
        if needs[0]:
            dx = scatter_rows(rows_dy, weight, windows, x.shape[0])
        if needs[1]:
            rows = window_rows(pad_spatial(x, windows.padding), windows, self.groups)
            dfilters = rows.swapaxes(1, 2) @ rows_dy  # (G, kernel * C / G, F / G)
            dweight = filter_layout(dfilters, weight.shape)
        if needs[2]:
            dbias = dy.sum(axis=(0, *range(2, dy.ndim)))
        return dx, dweight, dbias

    def flops(self, x: Spec, weight: Spec, bias: Spec | None = None) -> int:
        outputs = Conv.infer(self, x, weight, bias).elements  # not of what is derived
        products = math.prod(known(*weight.shape[1:]))
        return outputs * (2 * products + (bias is not None))

    def _weight_shape(self, x: Spec) -> tuple[int, ...]:
        windows = self.windows(x)
        (channels,) = known(x.shape[1])
        if channels % self.groups:
            raise ShapeError(
                f"expected channels divisible by {self.groups} groups, received {show(x)}"
            )
        return (self.filters, channels // self.groups, *windows.kernel)

    def _windows_of(self, x: Array) -> Windows:
        return self.windows(Spec(x.shape, x.dtype.name))


def window_rows(padded: Array, windows: Windows, groups: int) -> Array:
    """Windows of ``(N, C, *padded)`` as matrices ``(G, N * positions, kernel * C / G)``."""
    view = windows.view(padded)  # (N, C, *out, *kernel)
    spatial = len(windows.out)
    examples, channels = view.shape[:2]
    view = (
        view.reshape(examples, groups, channels // groups, *view.shape[2:])
        if groups > 1
        else view[:, None]
    )
    # (N, G, C / G, *out, *kernel) -> (G, N, *out, *kernel, C / G)
    view = view.transpose(1, 0, *range(3, 3 + 2 * spatial), 2)
    positions = examples * math.prod(windows.out)
    return view.reshape(groups, positions, math.prod(windows.kernel) * (channels // groups))


def filter_matrices(weight: Array, groups: int) -> Array:
    """A weight ``(F, C / G, *kernel)`` as matrices ``(G, kernel * C / G, F / G)``."""
    filters, channels, *kernel = weight.shape
    split = weight.reshape(groups, filters // groups, channels, *kernel)
    # (G, F / G, C / G, *kernel) -> (G, *kernel, C / G, F / G)
    split = split.transpose(0, *range(3, split.ndim), 2, 1)
    return split.reshape(groups, math.prod(kernel) * channels, filters // groups)


def filter_layout(filters: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of :func:`filter_matrices`: matrices back to ``(F, C / G, *kernel)``."""
    groups, _, per_group = filters.shape
    _, channels, *kernel = shape
    split = filters.reshape(groups, *kernel, channels, per_group)
    # (G, *kernel, C / G, F / G) -> (G, F / G, C / G, *kernel)
    split = split.transpose(0, split.ndim - 1, split.ndim - 2, *range(1, split.ndim - 2))
    return namespace(filters).ascontiguousarray(split).reshape(shape)


def position_rows(dy: Array, groups: int) -> Array:
    """``(N, F, *out)`` as matrices ``(G, N * positions, F / G)``."""
    filters = dy.shape[1]
    last = dy.transpose(0, *range(2, dy.ndim), 1)  # (N, F, *out) -> (N, *out, F)
    split = last.reshape(math.prod(last.shape[:-1]), groups, filters // groups)
    return split.transpose(1, 0, 2)


def channels_from(rows: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of :func:`position_rows`, with channels-last memory."""
    groups, _, per_group = rows.shape
    last = rows.transpose(1, 0, 2).reshape(*shape, groups * per_group)  # (N, *out, F)
    return last.transpose(0, last.ndim - 1, *range(1, last.ndim - 1))  # -> (N, F, *out)


def scatter_rows(rows: Array, weight: Array, windows: Windows, examples: int) -> Array:
    """The transpose of a convolution: ``(G, N * positions, F / G)`` back to ``(N, C, *size)``."""
    groups, width = rows.shape[0], weight.shape[1]
    filters = filter_matrices(weight, groups)  # (G, kernel * C / G, F / G)
    outputs = (examples, *windows.out)

    def part(number: int) -> Array:
        below = filters[:, number * width : (number + 1) * width]  # (G, C / G, F / G)
        return channels_from(rows @ below.swapaxes(1, 2), outputs)

    return windows.scatter(rows, (examples, groups * width), part)
