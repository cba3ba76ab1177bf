"""Reductions: sums and means over chosen axes."""

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
    normalize_axis,
    show,
)

__all__ = ["Mean", "Sum"]


@dataclass(frozen=True)
class _Reduction(Operator):
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
        expect_floating("an input", x)
        axes = self._axes(x.rank)
        if self.keepdims:
            return x.with_shape(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)))
        return x.with_shape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))

    def _axes(self, rank: int) -> tuple[int, ...]:
        """The reduced axes, counted from the front."""
        if self.axis is None:
            return tuple(range(rank))
        entries = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        axes = tuple(normalize_axis(axis, rank) for axis in entries)
        if len(set(axes)) < len(axes):
            raise ShapeError(f"expected distinct axes, received {self.axis} for {rank} axes")
        return axes

    def _squeezed(self, kept: Array) -> Array:
        """``kept``, whose reduced axes have size 1, without them unless they stay."""
        if self.keepdims:
            return kept
        axes = self._axes(kept.ndim)
        return kept.reshape(tuple(n for axis, n in enumerate(kept.shape) if axis not in axes))

    def _spread(self, dy: Array, shape: tuple[int, ...]) -> Array:
        """``dy`` repeated along the reduced axes of ``shape``; a view."""
        axes = self._axes(len(shape))
        kept = dy.reshape(tuple(1 if axis in axes else n for axis, n in enumerate(shape)))
        return namespace(dy).broadcast_to(kept, shape)


@dataclass(frozen=True)
class Sum(_Reduction):
    """Sum of the entries along one axis, several or all.

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

    Source: ONNX ``ReduceSum``.

    >>> import numpy as np
    >>> Sum(axis=1).forward(np.array([[1.0, 2.0], [3.0, 4.0]]))[0]
    array([3., 7.])
    """

    def infer(self, x: Spec) -> Spec:
        return self._reduced(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._squeezed(x.sum(axis=self.axis, keepdims=True)), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        return (self._spread(dy, shape).copy() if needs[0] else None,)


@dataclass(frozen=True)
class Mean(_Reduction):
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
        reduced = self._reduced(x)
        if any(x.shape[axis] == 0 for axis in self._axes(x.rank)):
            raise ShapeError(f"expected entries to take the mean of, received {show(x)}")
        return reduced

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._squeezed(x.mean(axis=self.axis, keepdims=True)), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        count = math.prod(shape[axis] for axis in self._axes(len(shape)))
        return (self._spread(dy / count, shape).copy() if needs[0] else None,)
