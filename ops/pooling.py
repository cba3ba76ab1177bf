"""Pooling over any number of spatial axes: windows in, one value each out.

Both kinds of pooling walk over the kernel positions.  At each position a strided slice of
the padded input holds, for every output position at once, the entry its window has there:
a maximum keeps the largest of these slices, an average their mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_flags
from ops.operator import Operator, ShapeError, Spec, expect_floating, expect_rank, show
from ops.windows import Padding, PerAxis, Windows, freeze_windows, pad_spatial

__all__ = ["AvgPool", "GlobalAvgPool", "GlobalMaxPool", "MaxPool"]


@dataclass(frozen=True)
class _Pool(Operator):
    """What maximum and average share: the fields, the windows and the shapes."""

    kernel_size: PerAxis
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1

    def __post_init__(self) -> None:
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel_size)
        freeze_windows(self, "kernel_size", "stride", "dilation")

    def windows(self, x: Spec) -> Windows:
        """The windows of this pooling over ``x``."""
        assert self.stride is not None, "__post_init__ fills it in"
        return Windows.over(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        windows = self.windows(x)
        if windows.only_padding():
            raise ShapeError(
                f"expected every window to meet the input, but one meets padding alone in {show(x)}"
            )
        return x.with_shape((*x.shape[:2], *windows.out))

    def flops(self, x: Spec) -> int:
        return self.infer(x).elements * math.prod(self.windows(x).kernel)

    def _slices(self, x: Array) -> tuple[Windows, list[tuple[slice, ...]]]:
        windows = self.windows(Spec(x.shape, x.dtype.name))
        every = (slice(None), slice(None))
        return windows, [every + here for here in windows.positions]


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest entry of each window; a tie's gradient goes to the first in raster order.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, *out)`` with
          ``out = floor((n + begin + end - dilation * (kernel_size - 1) - 1) / stride) + 1``

    Args:
        kernel_size: the size of the window; one integer, or one per spatial axis.
        stride: the distance between windows; the kernel size when None.
        padding: as in :class:`ops.Conv`; padded entries never win.
        dilation: the distance between the entries of a window.

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the kernel does not fit, or some window would meet padding alone.

    Source: Ranzato et al., "Unsupervised Learning of Invariant Feature Hierarchies", 2007.

    >>> import numpy as np
    >>> MaxPool(2).forward(np.arange(4.0).reshape(1, 1, 2, 2))[0].item()
    3.0
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        windows, slices = self._slices(x)
        padded = pad_spatial(x, windows.padding, -math.inf)
        y = padded[slices[0]].copy(order="K")
        # the winning kernel position of each window, in as few bytes as the kernel allows
        winner = xp.zeros_like(y, dtype="uint8" if len(slices) <= 256 else "int32")
        for number, here in enumerate(slices[1:], start=1):
            later = (padded[here] > y) * winner.dtype.type(number)
            xp.maximum(winner, later, out=winner)
            xp.maximum(y, padded[here], out=y)
        return y, (winner, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        winner, shape = saved
        windows = self.windows(Spec(shape, dy.dtype.name))
        return (windows.scatter(dy, shape[:2], lambda number: dy * (winner == number)),)


@dataclass(frozen=True)
class AvgPool(_Pool):
    """The mean of each window.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, *out)``, ``out`` as in :class:`ops.MaxPool`

    Args:
        kernel_size: the size of the window; one integer, or one per spatial axis.
        stride: the distance between windows; the kernel size when None.
        padding: zeros around the input, as in :class:`ops.Conv`.
        dilation: the distance between the entries of a window.
        count_include_pad: whether padded zeros count as entries; True as in PyTorch
            (ONNX's own default is False).

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the kernel does not fit, or some window would meet padding alone.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.

    >>> import numpy as np
    >>> AvgPool(2).forward(np.arange(4.0).reshape(1, 1, 2, 2))[0].item()
    1.5
    """

    count_include_pad: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_flags(self, "count_include_pad")

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        windows, slices = self._slices(x)
        padded = pad_spatial(x, windows.padding)
        y = padded[slices[0]].copy(order="K")
        for here in slices[1:]:
            y += padded[here]
        y /= self._counts(x, windows, slices)
        return y, (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        windows = self.windows(Spec(shape, dy.dtype.name))
        every = (slice(None), slice(None))
        share = dy / self._counts(dy, windows, [every + here for here in windows.positions])
        return (windows.scatter(dy, shape[:2], lambda _: share),)

    def _counts(self, like: Array, windows: Windows, slices: list[tuple[slice, ...]]) -> Any:
        """How many entries each window counts: a number, or an array ``(1, 1, *out)``."""
        if self.count_include_pad:
            return len(slices)
        ones = namespace(like).ones((1, 1, *windows.size), dtype=like.dtype)
        padded = pad_spatial(ones, windows.padding)
        return sum(padded[here] for here in slices)


@dataclass(frozen=True)
class GlobalAvgPool(Operator):
    """The mean over all spatial positions, which stay as axes of size 1.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, 1, ...)``

    Raises:
        ShapeError: there is no spatial axis, or one of size 0.

    Source: Lin, Chen, Yan, "Network In Network", 2013; ONNX ``GlobalAveragePool``.

    >>> import graphnet as gn
    >>> GlobalAvgPool()(gn.Input("x", ("N", 8, 4, 4))).shape
    (N, 8, 1, 1)
    """

    def infer(self, x: Spec) -> Spec:
        return _infer_global(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x.mean(axis=tuple(range(2, x.ndim)), keepdims=True), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        xp = namespace(dy)
        return (xp.broadcast_to(dy / math.prod(shape[2:]), shape).copy(),)

    def flops(self, x: Spec) -> int:
        return x.elements


@dataclass(frozen=True)
class GlobalMaxPool(Operator):
    """The maximum over all spatial positions; a tie's gradient goes to the first of them.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, 1, ...)``

    Raises:
        ShapeError: there is no spatial axis, or one of size 0.

    Source: ONNX ``GlobalMaxPool``.

    >>> import graphnet as gn
    >>> GlobalMaxPool()(gn.Input("x", ("N", 8, 4, 4))).shape
    (N, 8, 1, 1)
    """

    def infer(self, x: Spec) -> Spec:
        return _infer_global(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        spatial = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))  # (N, C, positions)
        first = spatial.argmax(axis=2, keepdims=True)
        y = namespace(x).take_along_axis(spatial, first, axis=2)
        return y.reshape(*x.shape[:2], *[1] * (x.ndim - 2)), (first, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        first, shape = saved
        positions = namespace(dy).arange(math.prod(shape[2:]))
        dx = (first == positions) * dy.reshape(*shape[:2], 1)  # (N, C, positions)
        return (dx.reshape(shape),)

    def flops(self, x: Spec) -> int:
        return x.elements


def _infer_global(x: Spec) -> Spec:
    expect_floating("an input", x)
    expect_rank("an input", x, 3)
    if 0 in x.shape[2:]:
        raise ShapeError(f"expected spatial sizes of at least 1, received {show(x)}")
    return x.with_shape((*x.shape[:2], *[1] * (x.rank - 2)))
