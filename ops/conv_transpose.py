"""Transposed convolution: the adjoint of a convolution, with the same matrix algebra.

A convolution reads an image through windows; its transpose writes one.  Every position of
its input is a window over its output, into which it adds the filters, weighted:

    rows    (N * positions, C)     one row per position of the input
    filters (kernel * F, C)
    output  windows of ``rows filters^T``, scattered back, one kernel position at a time

So the reverse pass of one is the forward pass of the other.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ops.arrays import Array
from ops.convolution import (
    channels_from,
    filter_layout,
    filter_matrices,
    position_rows,
    scatter_rows,
    window_rows,
)
from ops.fields import freeze_counts, freeze_flags, is_integer
from ops.initializers import Constant, Normal
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

__all__ = ["ConvTranspose"]


@dataclass(frozen=True)
class ConvTranspose(Operator):
    """Transposed convolution in 1, 2 or 3 dimensions; the input decides which.

    ``whole[n, f, o * stride + i * dilation] += x[n, c, o] * weight[c, f, i]``, summed over
    ``c``, ``o`` and ``i``; the output is ``whole`` without its padding, plus the bias.

    It is the adjoint of the :class:`ops.Conv` with the same fields and the same weight, whose
    filters are the channels here.

    The weight starts normal with variance ``2 / fan_in``, as Kaiming's; ``fan_in = C / groups *
    product(max(kernel_size / stride, 1))`` is how many terms an output entry has.

    Shapes:
        - x: ``(N, C, *spatial)``
        - weight: ``(C, filters / groups, *kernel_size)``, bias: ``(filters,)``
        - y: ``(N, filters, *out)`` with ``out = (n - 1) * stride - begin - end
          + dilation * (kernel_size - 1) + 1 + output_padding``

    Args:
        filters: the number of output channels.
        kernel_size: the size of the window; one integer, or one per spatial axis.
        stride: the distance between windows, in output positions; default 1.
        padding: what is cut off the output: one integer, one per axis, a ``(begin, end)`` pair
            per axis, ``"valid"`` (none) or ``"same"`` (``out = n * stride``); default 0.
        output_padding: positions the output has more at its end, one integer or one per axis;
            below the stride or the dilation, and 0 with ``"same"``; default 0.  It says which
            of the sizes is meant that a convolution maps to the same one.
        dilation: the distance between the entries of a window; default 1.
        groups: channels and filters are split into this many independent convolutions.
        bias: whether a learned constant is added to each filter's output.

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the rank, the channels, the groups, the padding or the output padding do
            not fit the input.

    Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional Networks", CVPR 2010; ONNX
    ``ConvTranspose``.

    >>> import graphnet as gn
    >>> code = gn.Input("code", ("N", 64, 16, 16))
    >>> ConvTranspose(3, kernel_size=4, stride=2, padding=1)(code).shape
    (N, 3, 32, 32)
    """

    filters: int
    kernel_size: PerAxis
    _: KW_ONLY
    stride: PerAxis = 1
    padding: Padding = 0
    output_padding: PerAxis = 0
    dilation: PerAxis = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        freeze_counts(self, "filters", "groups")
        freeze_flags(self, "bias")
        freeze_windows(self, "kernel_size", "stride", "dilation")
        self._freeze_output_padding()
        if self.filters % self.groups:
            raise ValueError(
                f"ConvTranspose: expected filters divisible by groups, "
                f"received {self.filters} filters in {self.groups} groups"
            )

    def windows(self, x: Spec) -> Windows:
        """The windows over the output, one for each position of ``x``."""
        return Windows.transposed(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.output_padding
        )

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        windows = self.windows(x)
        shape = self._weight_shape(x)
        met = (max(k / s, 1.0) for k, s in zip(windows.kernel, windows.stride, strict=True))
        fan_in = shape[0] // self.groups * math.prod(met)
        initializer = Normal(math.sqrt(2.0 / max(fan_in, 1.0)))
        learned = {"weight": Parameter(shape, initializer, x.dtype)}
        if self.bias:
            learned["bias"] = Parameter((self.filters,), Constant(0.0), x.dtype, decay=False)
        return learned

    def infer(self, x: Spec, weight: Spec, bias: Spec | None = None) -> Spec:
        expect_floating("an input", x)
        if weight.rank == x.rank and weight.shape[0] != x.shape[1]:
            raise ShapeError(
                f"expected {weight.shape[0]} input channels, received {x.shape[1]} in {show(x)}"
            )
        expect_spec("a weight", weight, self._weight_shape(x), x.dtype)
        expect_bias(self.bias, bias, self.filters, x.dtype)
        return x.with_shape((x.shape[0], self.filters, *self.windows(x).size))

    def forward(
        self, x: Array, weight: Array, bias: Array | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        rows = position_rows(x, self.groups)  # (G, N * positions, C / G)
        y = scatter_rows(rows, weight, self._windows_of(x), x.shape[0])
        if bias is not None:
            y += bias.reshape(-1, *[1] * (x.ndim - 2))
        return y, (x, weight)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, weight = saved
        dx = dweight = dbias = None
        if needs[0] or needs[1]:
            windows = self._windows_of(x)
            # (G, N * positions, kernel * F / G)
            rows_dy = window_rows(pad_spatial(dy, windows.padding), windows, self.groups)
            if needs[0]:
                rows = rows_dy @ filter_matrices(weight, self.groups)  # (G, N * positions, C / G)
                dx = channels_from(rows, (x.shape[0], *windows.out))
            if needs[1]:
                # (G, kernel * F / G, C / G)
                dfilters = rows_dy.swapaxes(1, 2) @ position_rows(x, self.groups)
                dweight = filter_layout(dfilters, weight.shape)
        if needs[2]:
            dbias = dy.sum(axis=(0, *range(2, dy.ndim)))
        return dx, dweight, dbias

    def flops(self, x: Spec, weight: Spec, bias: Spec | None = None) -> int:
        outputs = self.infer(x, weight, bias).elements
        products = x.elements * math.prod(known(*weight.shape[1:]))
        return 2 * products + outputs * (bias is not None)

    def _weight_shape(self, x: Spec) -> tuple[int, ...]:
        windows = self.windows(x)
        (channels,) = known(x.shape[1])
        if channels % self.groups:
            raise ShapeError(
                f"expected channels divisible by {self.groups} groups, received {show(x)}"
            )
        return (channels, self.filters // self.groups, *windows.kernel)

    def _windows_of(self, x: Array) -> Windows:
        return self.windows(Spec(x.shape, x.dtype.name))

    def _freeze_output_padding(self) -> None:
        value = self.output_padding
        several = isinstance(value, (list, tuple))
        entries: tuple[Any, ...] = tuple(value) if several else (value,)  # type: ignore[arg-type]
        if not all(map(is_integer, entries)):
            raise TypeError(
                f"ConvTranspose: expected integers for output_padding, received {value!r}"
            )
        if any(entry < 0 for entry in entries):
            raise ValueError(
                f"ConvTranspose: expected output_padding of at least 0, received {value!r}"
            )
        if any(entries) and self.padding == "same":
            raise ValueError(
                f'ConvTranspose: expected no output_padding with padding "same", received {value!r}'
            )
        plain = tuple(map(int, entries))
        object.__setattr__(self, "output_padding", plain if several else plain[0])
