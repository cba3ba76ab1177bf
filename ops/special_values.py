"""Which entries are no ordinary numbers: NaN and the infinities of IEEE 754.

No gradient flows through them: a truth value does not change by degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import freeze_flags
from ops.operator import Operator, Spec, expect_floating

__all__ = ["IsInf", "IsNaN"]


@dataclass(frozen=True)
class _Question(Operator):
    """What the two share: floating numbers in, truth values out."""

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        return Spec(x.shape, "bool")

    def backward(
        self, saved: tuple[Array, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return (None,)


@dataclass(frozen=True)
class IsNaN(_Question):
    """Whether an entry is NaN, ``y = (x != x)``.

    Shapes:
        - x: any
        - y: the shape of x, bool; no gradient flows through it

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``IsNaN``.

    >>> import numpy as np
    >>> IsNaN().forward(np.array([1.0, np.nan, np.inf]))[0].tolist()
    [False, True, False]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).isnan(x), ()


@dataclass(frozen=True)
class IsInf(_Question):
    """Whether an entry is infinite, ``y = (|x| = inf)``, of either sign or of one.

    Shapes:
        - x: any
        - y: the shape of x, bool; no gradient flows through it

    Args:
        positive: whether positive infinity counts; default True.
        negative: whether negative infinity counts; default True.

    Raises:
        TypeError: a field is not True or False.
        ShapeError: the input is not floating.

    Source: ONNX ``IsInf``.

    >>> import numpy as np
    >>> IsInf(negative=False).forward(np.array([-np.inf, np.nan, np.inf]))[0].tolist()
    [False, False, True]
    """

    positive: bool = True
    negative: bool = True

    def __post_init__(self) -> None:
        freeze_flags(self, "positive", "negative")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).zeros(x.shape, dtype="bool")
        if self.positive:
            y |= x == math.inf
        if self.negative:
            y |= x == -math.inf
        return y, ()
