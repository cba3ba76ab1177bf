"""Arithmetic on two inputs that broadcast, and the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.broadcasting import broadcast_shapes, unbroadcast
from ops.operator import Operator, ShapeError, Spec, expect_floating, show

__all__ = ["Add", "Divide", "Identity", "Multiply", "Subtract"]


@dataclass(frozen=True)
class _Binary(Operator):
    """What the four share: shapes that broadcast, and one dtype."""

    def infer(self, a: Spec, b: Spec) -> Spec:
        expect_floating("a", a)
        expect_floating("b", b)
        if a.dtype != b.dtype:
            raise ShapeError(f"expected equal dtypes, received {show(a)} and {show(b)}")
        return a.with_shape(broadcast_shapes(a.shape, b.shape))


@dataclass(frozen=True)
class Add(_Binary):
    """Sum ``y = a + b`` of two inputs that broadcast.

    Shapes:
        - a, b: any that broadcast by NumPy's rule
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are not floating, or the shapes do not broadcast.

    Source: ONNX ``Add``.

    >>> import numpy as np
    >>> Add().forward(np.ones((2, 1)), np.arange(3.0))[0].tolist()
    [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Any, ...]]:
        return a + b, (a.shape, b.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        shape_a, shape_b = saved
        da = _summed(dy, shape_a) if needs[0] else None
        db = _summed(dy, shape_b) if needs[1] else None
        return da, db


@dataclass(frozen=True)
class Subtract(_Binary):
    """Difference ``y = a - b`` of two inputs that broadcast.

    Shapes:
        - a, b: any that broadcast by NumPy's rule
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are not floating, or the shapes do not broadcast.

    Source: ONNX ``Sub``.

    >>> import numpy as np
    >>> Subtract().forward(np.array([5.0, 7.0]), np.array([1.0, 2.0]))[0]
    array([4., 5.])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Any, ...]]:
        return a - b, (a.shape, b.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        shape_a, shape_b = saved
        da = _summed(dy, shape_a) if needs[0] else None
        db = -unbroadcast(dy, shape_b) if needs[1] else None
        return da, db


@dataclass(frozen=True)
class Multiply(_Binary):
    """Product ``y = a * b``, element by element, of two inputs that broadcast.

    Shapes:
        - a, b: any that broadcast by NumPy's rule
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are not floating, or the shapes do not broadcast.

    Source: ONNX ``Mul``.

    >>> import numpy as np
    >>> Multiply().forward(np.array([5.0, 7.0]), np.array([1.0, 2.0]))[0]
    array([ 5., 14.])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a * b, (a, b)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b = saved
        da = unbroadcast(dy * b, a.shape) if needs[0] else None
        db = unbroadcast(dy * a, b.shape) if needs[1] else None
        return da, db


@dataclass(frozen=True)
class Divide(_Binary):
    """Quotient ``y = a / b``, element by element, of two inputs that broadcast.

    Shapes:
        - a, b: any that broadcast by NumPy's rule; a 0 in b gives what IEEE 754 says
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are not floating, or the shapes do not broadcast.

    Source: ONNX ``Div``.

    >>> import numpy as np
    >>> Divide().forward(np.array([6.0, 7.0]), np.array([2.0, 2.0]))[0]
    array([3. , 3.5])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a / b, (a, b)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b = saved
        scaled = dy / b
        # b^2 could overflow where (dy / b) * (a / b) does not
        db = -unbroadcast(scaled * (a / b), b.shape) if needs[1] else None
        da = unbroadcast(scaled, a.shape) if needs[0] else None
        return da, db


@dataclass(frozen=True)
class Identity(Operator):
    """The input itself, ``y = x``: what stands in for an operator that inference drops.

    Shapes:
        - x, y: any, equal, of any dtype

    Source: ONNX ``Identity``.

    >>> import numpy as np
    >>> Identity().forward(np.array([1.0, 2.0]))[0]
    array([1., 2.])
    """

    def infer(self, x: Spec) -> Spec:
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x, ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (dy.copy() if needs[0] else None,)

    def flops(self, *specs: Spec) -> int:
        return 0


def _summed(dy: Array, shape: tuple[int, ...]) -> Array:
    """A gradient over ``shape`` that shares no memory with ``dy``."""
    return dy.copy() if dy.shape == shape else unbroadcast(dy, shape)
