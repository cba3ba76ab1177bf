"""Vectors scaled to a norm of 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import Range, freeze_integers, freeze_numbers
from ops.operator import Operator, Spec, expect_floating, normalize_axis

__all__ = ["LpNormalization"]

_EXPONENT = Range("a finite number of at least 1", lambda value: 1 <= value < math.inf)


@dataclass(frozen=True)
class LpNormalization(Operator):
    """Each vector along an axis divided by its p-norm: ``y = x / (sum |x|^p)^(1/p)``.

    A vector of zeros stays one, and has no gradient.  No power overflows or vanishes: entries
    are taken as fractions of the largest.

    Shapes:
        - x, y: any with at least one axis, equal

    Args:
        axis: the axis of the vectors; default -1, the last.
        p: the exponent, at least 1; default 2.

    Raises:
        TypeError, ValueError: the axis is no integer, or the exponent out of range.
        ShapeError: the input is not floating or has no such axis.

    Source: ONNX ``LpNormalization``.

    >>> import numpy as np
    >>> LpNormalization().forward(np.array([[3.0, -4.0], [0.0, 0.0]]))[0].tolist()
    [[0.6, -0.8], [0.0, 0.0]]
    """

    axis: int = -1
    p: float = 2.0

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        freeze_numbers(self, _EXPONENT, "p")

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        normalize_axis(self.axis, x.rank)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        size = xp.abs(x)
        # along no entry there is a sum, but no maximum
        largest = (size.max if x.shape[self.axis] else size.sum)(axis=self.axis, keepdims=True)
        largest = xp.where(largest > 0, largest, 1)
        total = ((size / largest) ** self.p).sum(axis=self.axis, keepdims=True)
        norm = xp.where(total > 0, total, 1) ** (1 / self.p)
        y = x / largest
        y /= norm
        return y, (y, largest, norm)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        y, largest, norm = saved
        if not needs[0]:
            return (None,)
        xp = namespace(y)
        # the derivative of the norm by each entry; a vector of zeros has no entry other than 0
        slope = xp.sign(y) * xp.abs(y) ** (self.p - 1)
        dx = dy - (dy * y).sum(axis=self.axis, keepdims=True) * slope
        dx /= norm
        dx /= largest
        return (xp.where((y != 0).any(axis=self.axis, keepdims=True), dx, 0),)

    def flops(self, x: Spec) -> int:
        return 5 * x.elements
