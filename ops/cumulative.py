"""Cumulative sums along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_flags, freeze_integers
from ops.operator import Operator, ShapeError, Spec, normalize_axis

__all__ = ["CumSum"]


@dataclass(frozen=True)
class CumSum(Operator):
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

    axis: int = -1
    exclusive: bool = False
    reverse: bool = False

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        freeze_flags(self, "exclusive", "reverse")

    def infer(self, x: Spec) -> Spec:
        if x.dtype == "bool":
            raise ShapeError("expected an input of a floating or integer dtype, received bool")
        normalize_axis(self.axis, x.rank)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._run(x, self.reverse), ()

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (self._run(dy, not self.reverse) if needs[0] else None,)

    def _run(self, x: Array, from_end: bool) -> Array:
        xp = namespace(x)
        y = xp.zeros(x.shape, dtype=x.dtype)
        # the same memory, the summed axis first and in the direction of the sum
        ahead, total = (xp.moveaxis(array, self.axis, 0) for array in (x, y))
        if from_end:
            ahead, total = ahead[::-1], total[::-1]
        if self.exclusive:
            ahead, total = ahead[:-1], total[1:]
        total[...] = xp.cumsum(ahead, axis=0, dtype=x.dtype)
        return y
