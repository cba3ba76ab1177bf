"""Reductions: sums, means and norms over chosen axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_flags, is_integer
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_numeric,
    normalize_axis,
    show,
)

__all__ = [
    "Mean",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "Reduction",
    "Sum",
]


@dataclass(frozen=True)
class Reduction(Operator):
    """What the reductions share: the fields, the shapes and the way back."""

    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False

    def __post_init__(self) -> None:
        owner = type(self).__name__
        freeze_flags(self, "keepdims")
        if self.axis is None:
            return
        several = isinstance(self.axis, (list, tuple))
        entries: tuple[Any, ...] = tuple(self.axis) if several else (self.axis,)  # type: ignore[arg-type]
        if not entries:
            raise ValueError(f"{owner}: expected at least one axis, or None for all, received ()")
        if not all(map(is_integer, entries)):
            raise TypeError(
                f"{owner}: expected None, an integer or several for axis, received {self.axis!r}"
            )
        axes = tuple(map(int, entries))
        object.__setattr__(self, "axis", axes if several else axes[0])

    def flops(self, x: Spec) -> int:
        return x.elements

    def _reduced(self, x: Spec) -> Spec:
        axes = self.axes_of(x.rank)
        if self.keepdims:
            return x.with_shape(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)))
        return x.with_shape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))

    def axes_of(self, rank: int) -> tuple[int, ...]:
        """The reduced axes, counted from the front."""
        if self.axis is None:
            return tuple(range(rank))
        entries = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        axes = tuple(normalize_axis(axis, rank) for axis in entries)
        if len(set(axes)) < len(axes):
            raise ShapeError(f"expected distinct axes, received {self.axis} for {rank} axes")
        return axes

    def _expect_entries(self, x: Spec, what: str) -> None:
        """Refuse to reduce over no entry."""
        if any(x.shape[axis] == 0 for axis in self.axes_of(x.rank)):
            raise ShapeError(f"expected entries to take the {what} of, received {show(x)}")

    def _squeezed(self, kept: Array) -> Array:
        """``kept``, whose reduced axes have size 1, without them unless they stay."""
        axes = () if self.keepdims else self.axes_of(kept.ndim)
        shape = tuple(n for axis, n in enumerate(kept.shape) if axis not in axes)
        # NumPy gives a scalar, no array, where the input has no axis
        return namespace(kept).asarray(kept).reshape(shape)

    def _kept(self, dy: Array, shape: tuple[int, ...]) -> Array:
        """``dy`` with an axis of size 1 for each reduced axis of ``shape``; a view."""
        axes = self.axes_of(len(shape))
        return dy.reshape(tuple(1 if axis in axes else n for axis, n in enumerate(shape)))

    def _spread(self, dy: Array, shape: tuple[int, ...]) -> Array:
        """``dy`` repeated along the reduced axes of ``shape``; a view."""
        return namespace(dy).broadcast_to(self._kept(dy, shape), shape)

    def _rows(self, x: Array) -> Array:
        """``x`` as ``(*kept, entries)``: the reduced axes joined at the end, in raster order."""
        order, kept = self._order(x.ndim)
        sizes = tuple(x.shape[axis] for axis in order)
        return x.transpose(order).reshape(*sizes[:kept], math.prod(sizes[kept:]))

    def _from_rows(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """Rows of entries back in the order of ``shape``."""
        order, _ = self._order(len(shape))
        inverse = sorted(range(len(shape)), key=order.__getitem__)
        return rows.reshape(tuple(shape[axis] for axis in order)).transpose(tuple(inverse))

    def _order(self, rank: int) -> tuple[tuple[int, ...], int]:
        """All axes, those that stay first, and how many of them stay."""
        axes = self.axes_of(rank)
        kept = tuple(axis for axis in range(rank) if axis not in axes)
        return (*kept, *sorted(axes)), len(kept)


@dataclass(frozen=True)
class Sum(Reduction):
    """Sum of the entries along one axis, several or all.

    Shapes:
        - x: any, of a floating or integer dtype, which stays; a sum of integers that it
          cannot hold wraps around
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: the input is boolean, or an axis is missing or named twice.

    Source: ONNX ``ReduceSum``.

    >>> import numpy as np
    >>> Sum(axis=1).forward(np.array([[1.0, 2.0], [3.0, 4.0]]))[0]
    array([3., 7.])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        return self._reduced(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        total = x.sum(axis=self.axis, dtype=x.dtype, keepdims=True)
        return self._squeezed(total), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        return (self._spread(dy, shape).copy() if needs[0] else None,)


@dataclass(frozen=True)
class Mean(Reduction):
    """Mean of the entries along one axis, several or all.

    Shapes:
        - x: any
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: the input is not floating, an axis is missing or named twice, or the
            mean is one over no entry.

    Source: ONNX ``ReduceMean``.

    >>> import numpy as np
    >>> Mean(axis=1).forward(np.array([[1.0, 2.0], [3.0, 4.0]]))[0]
    array([1.5, 3.5])
    """

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        reduced = self._reduced(x)
        self._expect_entries(x, "mean")
        return reduced

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._squeezed(x.mean(axis=self.axis, keepdims=True)), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        count = math.prod(shape[axis] for axis in self.axes_of(len(shape)))
        return (self._spread(dy / count, shape).copy() if needs[0] else None,)


@dataclass(frozen=True)
class ReduceL1(Reduction):
    """Sum of the absolute values, ``y = sum |x|``; the gradient at 0 is 0.

    Shapes:
        - x: any, of a floating or integer dtype, which stays; a sum of integers that it
          cannot hold wraps around
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: the input is boolean, or an axis is missing or named twice.

    Source: ONNX ``ReduceL1``.

    >>> import numpy as np
    >>> ReduceL1(axis=1).forward(np.array([[1.0, -2.0], [3.0, 0.0]]))[0]
    array([3., 3.])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        return self._reduced(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        total = abs(x).sum(axis=self.axis, dtype=x.dtype, keepdims=True)
        return self._squeezed(total), (x,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (namespace(x).sign(x) * self._kept(dy, x.shape) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 2 * x.elements


@dataclass(frozen=True)
class ReduceL2(Reduction):
    """Euclidean length, ``y = sqrt(sum x^2)``; the gradient of a vector of zeros is 0.

    No square overflows or vanishes: entries are squared as fractions of the largest.

    Shapes:
        - x: any
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: the input is not floating, or an axis is missing or named twice.

    Source: ONNX ``ReduceL2``; Blue, "A Portable Fortran Program to Find the Euclidean Norm of
    a Vector", 1978.

    >>> import numpy as np
    >>> ReduceL2(axis=1).forward(np.array([[3e200, 4e200], [0.0, 0.0]]))[0]
    array([5.e+200, 0.e+000])
    """

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        return self._reduced(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        size = abs(x)
        # over no entry there is a sum, but no maximum
        largest = (size.max if x.size else size.sum)(axis=self.axis, keepdims=True)
        scale = xp.where((largest > 0) & (largest < math.inf), largest, 1)
        size /= scale
        size *= size
        length = xp.sqrt(size.sum(axis=self.axis, keepdims=True))
        # apart, since their product may be too large for a number, or too small for a precise one
        return self._squeezed(scale * length), (x, scale, length)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, scale, length = saved
        if not needs[0]:
            return (None,)
        dx = x / scale
        dx /= namespace(x).where(length > 0, length, 1)
        dx *= self._kept(dy, x.shape)
        return (dx,)

    def flops(self, x: Spec) -> int:
        return 5 * x.elements


@dataclass(frozen=True)
class ReduceLogSumExp(Reduction):
    """Logarithm of the sum of exponentials, ``y = log(sum exp(x))``, with ``dx = dy exp(x - y)``.

    No exponential overflows: the largest entry is taken out of the sum.

    Shapes:
        - x: any
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: the input is not floating, an axis is missing or named twice, or there is
            no entry to take the sum of.

    Source: ONNX ``ReduceLogSumExp``; Blanchard, Higham, Higham, "Accurately computing the
    log-sum-exp and softmax functions", 2021.

    >>> import numpy as np
    >>> ReduceLogSumExp().forward(np.array([1000.0, 1000.0]))[0].round(4).item()
    1000.6931
    """

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        reduced = self._reduced(x)
        self._expect_entries(x, "log-sum-exp")
        return reduced

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        highest = x.max(axis=self.axis, keepdims=True)
        limit = float(xp.finfo(x.dtype).max)
        shift = xp.clip(highest, -limit, limit)  # infinities have no difference
        total = _powers(x, shift).sum(axis=self.axis, keepdims=True)
        return self._squeezed(highest + xp.log(total)), (x, shift, total)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, shift, total = saved
        if not needs[0]:
            return (None,)
        dx = _powers(x, shift)  # y itself is too coarse where x is large
        dx /= total
        dx *= self._kept(dy, x.shape)
        return (dx,)

    def flops(self, x: Spec) -> int:
        return 4 * x.elements


def _powers(x: Array, shift: Array) -> Array:
    """``exp(x - shift)`` for a finite shift; a difference beyond the lowest number is it."""
    xp = namespace(x)
    lowest = xp.maximum(shift, 0) - float(xp.finfo(x.dtype).max)
    return xp.exp(xp.maximum(x, lowest) - shift)
