"""The remainder of a division, with the sign of the divisor or of the dividend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes, expect_equal_dtypes, unbroadcast
from ops.fields import freeze_flags
from ops.operator import Operator, Spec, expect_numeric

__all__ = ["Modulo"]


@dataclass(frozen=True)
class Modulo(Operator):
    """Remainder ``y = a - q * b`` of two inputs that broadcast, for a whole quotient q.

    With ``q = floor(a / b)`` it has the sign of b, as in Python; with ``q = trunc(a / b)`` that
    of a, as in C.  The gradients are ``dy`` and ``-q dy``; at a jump they are those of the
    side on which q is.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one floating or integer dtype; a 0 in b
          gives NaN among floating numbers and anything among integers
        - y: the shape they broadcast to

    Args:
        truncated: whether the quotient is rounded towards 0, and not down; default False.

    Raises:
        TypeError: ``truncated`` is not True or False.
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

    Source: ONNX ``Mod``, whose ``fmod`` is ``truncated`` here; Boute, "The Euclidean definition
    of the functions div and mod", 1992.

    >>> import numpy as np
    >>> a, b = np.array([-5.0, 5.0]), np.array([3.0, -3.0])
    >>> Modulo().forward(a, b)[0], Modulo(truncated=True).forward(a, b)[0]
    (array([ 1., -1.]), array([-2.,  2.]))
    """

    truncated: bool = False

    def __post_init__(self) -> None:
        freeze_flags(self, "truncated")

    def infer(self, a: Spec, b: Spec) -> Spec:
        expect_numeric("a", a)
        expect_equal_dtypes(a, b)
        return a.with_shape(broadcast_shapes(a.shape, b.shape))

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(a)
        y = xp.fmod(a, b) if self.truncated else xp.remainder(a, b)
        return y, (a, b, y)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b, y = saved
        da = unbroadcast(dy.copy(), a.shape) if needs[0] else None
        db = None
        if needs[1]:
            quotient = namespace(a).rint((a - y) / b)
            db = unbroadcast(-dy * quotient, b.shape)
        return da, db
