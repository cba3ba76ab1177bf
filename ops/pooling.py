"""Pooling over any number of spatial axes: windows in, one value each out.

All kinds of pooling walk over the kernel positions.  At each position a strided slice of
the padded input holds, for every output position at once, the entry its window has there:
a maximum keeps the largest of these slices, an average their mean, a norm their magnitude.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import Range, freeze_flags, freeze_numbers
from ops.operator import Operator, ShapeError, Spec, expect_floating, expect_rank, show
from ops.windows import Padding, PerAxis, Windows, freeze_windows, pad_spatial

__all__ = ["AvgPool", "GlobalAvgPool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"]

_EXPONENT = Range("a finite number of at least 1", lambda value: 1 <= value < math.inf)


@dataclass(frozen=True)
class _Pool(Operator):
    """What maximum, average and norm share: the fields, the windows and the shapes."""

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

    NaN counts as the largest.  Padding never takes a gradient: where every entry is -inf, the
    first one that is no padding takes it.

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
        winner = xp.empty_like(y, dtype="uint8" if len(slices) <= 256 else "int32")
        winner[...] = windows.first_inside(x, winner.dtype.name)
        for number, here in enumerate(slices[1:], start=1):
            highest = xp.maximum(y, padded[here])
            # a NaN differs from everything, itself too: the first one wins, and for good
            later = ((highest != y) & (y == y)) * winner.dtype.type(number)
            xp.maximum(winner, later, out=winner)
            y = highest
        return y, (winner, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
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
        if not needs[0]:
            return (None,)
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
class LpPool(_Pool):
    """The p-norm of each window: ``y = (sum |x|^p)^(1/p)``.

    Its gradient is ``sign(x) (|x| / y)^(p - 1)``, and 0 where a window holds zeros alone.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, *out)``, ``out`` as in :class:`ops.MaxPool`

    Args:
        kernel_size: the size of the window; one integer, or one per spatial axis.
        stride: the distance between windows; the kernel size when None.
        padding: zeros around the input, as in :class:`ops.Conv`.
        dilation: the distance between the entries of a window.
        p: the exponent, at least 1; default 2.

    Raises:
        TypeError, ValueError: a field is no number or out of range.
        ShapeError: the kernel does not fit, or some window would meet padding alone.

    Source: Gulcehre, Cho, Pascanu, Bengio, "Learned-Norm Pooling for Deep Feedforward and
    Recurrent Neural Networks", 2014; ONNX ``LpPool``.

    >>> import numpy as np
    >>> LpPool(2).forward(np.array([[[3.0, -4.0]]]))[0].item()
    5.0
    """

    p: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_numbers(self, _EXPONENT, "p")

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        windows, slices = self._slices(x)
        magnitude = xp.abs(pad_spatial(x, windows.padding))
        largest = magnitude[slices[0]].copy(order="K")
        for here in slices[1:]:
            xp.maximum(largest, magnitude[here], out=largest)
        scale = _norm_scale(largest)
        total = xp.zeros_like(scale)
        for here in slices:
            total += (magnitude[here] / scale) ** self.p
        y = scale * total ** (1 / self.p)
        return y, (x, y)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        x, y = saved
        windows, slices = self._slices(x)
        padded = pad_spatial(x, windows.padding)

        def part(number: int) -> Array:
            return dy * _norm_slope(padded[slices[number]], y, self.p)

        return (windows.scatter(dy, x.shape[:2], part),)

    def flops(self, x: Spec) -> int:
        return 3 * super().flops(x)  # a quotient, a power and a sum for each entry


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
        if not needs[0]:
            return (None,)
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
        if not needs[0]:
            return (None,)
        first, shape = saved
        positions = namespace(dy).arange(math.prod(shape[2:]))
        dx = (first == positions) * dy.reshape(*shape[:2], 1)  # (N, C, positions)
        return (dx.reshape(shape),)

    def flops(self, x: Spec) -> int:
        return x.elements


@dataclass(frozen=True)
class GlobalLpPool(Operator):
    """The p-norm over all spatial positions: ``y = (sum |x|^p)^(1/p)``.

    Its gradient is ``sign(x) (|x| / y)^(p - 1)``, and 0 where all entries are 0.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, 1, ...)``

    Args:
        p: the exponent, at least 1; default 2.

    Raises:
        TypeError, ValueError: the exponent is no number or out of range.
        ShapeError: there is no spatial axis, or one of size 0.

    Source: ONNX ``GlobalLpPool``.

    >>> import numpy as np
    >>> GlobalLpPool().forward(np.array([[[3.0, -4.0]]]))[0].item()
    5.0
    """

    p: float = 2.0

    def __post_init__(self) -> None:
        freeze_numbers(self, _EXPONENT, "p")

    def infer(self, x: Spec) -> Spec:
        return _infer_global(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        spatial = tuple(range(2, x.ndim))
        magnitude = namespace(x).abs(x)
        scale = _norm_scale(magnitude.max(axis=spatial, keepdims=True))
        total = ((magnitude / scale) ** self.p).sum(axis=spatial, keepdims=True)
        y = scale * total ** (1 / self.p)
        return y, (x, y)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, y = saved
        return (dy * _norm_slope(x, y, self.p) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 3 * x.elements  # a quotient, a power and a sum for each entry


def _norm_scale(largest: Array) -> Array:
    """What magnitudes are divided by, so that no power of them overflows or vanishes."""
    xp = namespace(largest)
    return xp.where((largest > 0) & (largest < math.inf), largest, 1)


def _norm_slope(x: Array, y: Array, p: float) -> Array:
    """The derivative by ``x`` of the p-norm ``y``, of which ``|x|`` is never more; 0 where y is."""
    xp = namespace(x)
    ratio = x / xp.where(y == 0, 1, y)
    return xp.sign(x) * xp.abs(ratio) ** (p - 1)


def _infer_global(x: Spec) -> Spec:
    expect_floating("an input", x)
    expect_rank("an input", x, least=3)
    if 0 in x.shape[2:]:
        raise ShapeError(f"expected spatial sizes of at least 1, received {show(x)}")
    return x.with_shape((*x.shape[:2], *[1] * (x.rank - 2)))
