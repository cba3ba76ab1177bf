"""Cumulative sums and products along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_flags, freeze_integers
from ops.operator import Operator, Spec, expect_numeric, normalize_axis

__all__ = ["CumProd", "CumSum"]


@dataclass(frozen=True)
class _Cumulative(Operator):
    """What the two share: the fields, the shapes, and the direction of the run."""

    axis: int = -1
    exclusive: bool = False
    reverse: bool = False

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        freeze_flags(self, "exclusive", "reverse")

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        normalize_axis(self.axis, x.rank)
        return x

    def _ahead(self, x: Array, from_end: bool) -> Array:
        """The same memory, the axis first and in the direction of the run."""
        ahead = namespace(x).moveaxis(x, self.axis, 0)
        return ahead[::-1] if from_end else ahead


@dataclass(frozen=True)
class CumSum(_Cumulative):
    """Sum of each entry and all before it along an axis: ``y_i = sum_{j <= i} x_j``.

    The gradient is the same sum run the other way: ``dx_j = sum_{i >= j} dy_i``.

    Shapes:
        - x, y: any with at least one axis, equal, of a floating or integer dtype, which stays

    Args:
        axis: the axis along which the sum runs; default -1, the last.
        exclusive: whether an entry itself stays out, ``y_i = sum_{j < i} x_j``; default False.
        reverse: whether the sum runs from the end, ``y_i = sum_{j >= i} x_j``; default False.

    Raises:
        TypeError: a field is no integer, or not True or False.
        ShapeError: the input is boolean, or has no such axis.

    Source: ONNX ``CumSum``; Blelloch, "Prefix Sums and Their Applications", 1990.

    >>> import numpy as np
    >>> CumSum(exclusive=True).forward(np.array([1.0, 2.0, 3.0]))[0]
    array([0., 1., 3.])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._run(x, self.reverse), ()

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (self._run(dy, not self.reverse) if needs[0] else None,)

    def _run(self, x: Array, from_end: bool) -> Array:
        xp = namespace(x)
        y = xp.zeros(x.shape, dtype=x.dtype)
        ahead, total = self._ahead(x, from_end), self._ahead(y, from_end)
        if self.exclusive:
            ahead, total = ahead[:-1], total[1:]
        total[...] = xp.cumsum(ahead, axis=0, dtype=x.dtype)
        return y


@dataclass(frozen=True)
class CumProd(_Cumulative):
    """Product of each entry and all before it along an axis: ``y_i = prod_{j <= i} x_j``.

    The gradient of ``x_j`` is the product of all before it, times what the products after it
    hand back: ``dx_j = y_{j-1} s_j`` with ``s_j = dy_j + x_{j+1} s_{j+1}``.  Nothing is divided,
    so entries of 0 are as good as others.

    Shapes:
        - x, y: any with at least one axis, equal, of a floating or integer dtype, which stays

    Args:
        axis: the axis along which the product runs; default -1, the last.
        exclusive: whether an entry itself stays out, ``y_i = prod_{j < i} x_j``; default False.
        reverse: whether the product runs from the end, ``y_i = prod_{j >= i} x_j``; default
            False.

    Raises:
        TypeError: a field is no integer, or not True or False.
        ShapeError: the input is boolean, or has no such axis.

    Source: ONNX ``CumProd``; Blelloch, "Prefix Sums and Their Applications", 1990.

    >>> import numpy as np
    >>> CumProd().forward(np.array([2.0, 3.0, 0.5]))[0]
    array([2., 6., 3.])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._products(x, self.exclusive), (x,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        if not needs[0]:
            return (None,)
        dx = self._products(x, exclusive=True)
        ahead, given, result = (self._ahead(array, self.reverse) for array in (x, dy, dx))
        entries = len(ahead)
        later = namespace(x).zeros(ahead.shape[1:], dtype=dy.dtype)  # from the products after it
        for i in range(entries - 1, -1, -1):
            if self.exclusive:
                result[i] *= later
                later = given[i] + ahead[i] * later
            else:
                later = given[i] + later
                result[i] *= later
                later = ahead[i] * later
        return (dx,)

    def _products(self, x: Array, exclusive: bool) -> Array:
        xp = namespace(x)
        y = xp.ones(x.shape, dtype=x.dtype)
        ahead, total = self._ahead(x, self.reverse), self._ahead(y, self.reverse)
        if exclusive:
            ahead, total = ahead[:-1], total[1:]
        total[...] = xp.cumprod(ahead, axis=0, dtype=x.dtype)
        return y
