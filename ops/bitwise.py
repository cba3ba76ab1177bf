"""Integers bit by bit: logic on each bit of two inputs that broadcast, and shifts.

No gradient flows through them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes, expect_equal_dtypes
from ops.fields import expect_choice
from ops.operator import Operator, ShapeError, Spec, expect_integers, show

__all__ = ["BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"]


@dataclass(frozen=True)
class _Bitwise(Operator):
    """What operators on two integers share: shapes that broadcast, and one dtype."""

    def infer(self, a: Spec, b: Spec) -> Spec:
        expect_integers("a", a)
        expect_equal_dtypes(a, b)
        return a.with_shape(broadcast_shapes(a.shape, b.shape))

    def backward(
        self, saved: tuple[Array, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return None, None


@dataclass(frozen=True)
class BitwiseAnd(_Bitwise):
    """The bits that are set in both of two inputs, ``y = a & b``.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one integer dtype
        - y: the shape they broadcast to, of that dtype; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ or are no integers, or the shapes do not broadcast.

    Source: ONNX ``BitwiseAnd``.

    >>> import numpy as np
    >>> BitwiseAnd().forward(np.array([0b1100]), np.array([0b1010]))[0].tolist() == [0b1000]
    True
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a & b, ()


@dataclass(frozen=True)
class BitwiseOr(_Bitwise):
    """The bits that are set in at least one of two inputs, ``y = a | b``.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one integer dtype
        - y: the shape they broadcast to, of that dtype; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ or are no integers, or the shapes do not broadcast.

    Source: ONNX ``BitwiseOr``.

    >>> import numpy as np
    >>> BitwiseOr().forward(np.array([0b1100]), np.array([0b1010]))[0].tolist() == [0b1110]
    True
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a | b, ()


@dataclass(frozen=True)
class BitwiseXor(_Bitwise):
    """The bits that are set in exactly one of two inputs, ``y = a ^ b``.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one integer dtype
        - y: the shape they broadcast to, of that dtype; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ or are no integers, or the shapes do not broadcast.

    Source: ONNX ``BitwiseXor``.

    >>> import numpy as np
    >>> BitwiseXor().forward(np.array([0b1100]), np.array([0b1010]))[0].tolist() == [0b0110]
    True
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a ^ b, ()


@dataclass(frozen=True)
class BitwiseNot(Operator):
    """Every bit the other way, ``y = ~x``: ``-x - 1`` for signed integers.

    Shapes:
        - x, y: any, equal, of an integer dtype; no gradient flows through y

    Raises:
        ShapeError: the dtype is no integer one.

    Source: ONNX ``BitwiseNot``.

    >>> import numpy as np
    >>> BitwiseNot().forward(np.array([5, -1]))[0].tolist()
    [-6, 0]
    """

    def infer(self, x: Spec) -> Spec:
        expect_integers("an input", x)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return ~x, ()

    def backward(
        self, saved: tuple[Array, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return (None,)


@dataclass(frozen=True)
class BitShift(_Bitwise):
    """The bits of a moved by b places, ``y = a << b`` or ``y = a >> b``; zeros follow.

    A shift by the width of the dtype, or more, leaves no bit.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one unsigned dtype
        - y: the shape they broadcast to, of that dtype; no gradient flows through it

    Args:
        direction: ``"left"``, which multiplies by ``2^b``, or ``"right"``, which divides.

    Raises:
        ValueError: the direction is neither.
        ShapeError: the dtypes differ or are not unsigned, or the shapes do not broadcast.

    Source: ONNX ``BitShift``.

    >>> import numpy as np
    >>> BitShift("left").forward(np.array([3], "uint8"), np.array([2, 8], "uint8"))[0]
    array([12,  0], dtype=uint8)
    """

    direction: str

    def __post_init__(self) -> None:
        expect_choice(self, "direction", ("left", "right"))

    def infer(self, a: Spec, b: Spec) -> Spec:
        if np.dtype(a.dtype).kind != "u":
            raise ShapeError(f"expected a of an unsigned dtype, received {show(a)}")
        return super().infer(a, b)

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(a)
        width = 8 * a.dtype.itemsize
        # in machine code a shift by the width or more may be one by its remainder
        places = xp.minimum(b, width - 1)
        moved = xp.left_shift(a, places) if self.direction == "left" else a >> places
        return xp.where(b < width, moved, 0).astype(a.dtype, copy=False), ()
