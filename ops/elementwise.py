"""Arithmetic on inputs that broadcast, choices between them, and the identity.

Integers are computed with as well, for shapes, counts and indices inside a graph; no gradient
flows through them.  A result that their dtype cannot hold wraps around, as in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes, expect_equal_dtypes, unbroadcast
from ops.operator import Interval, Operator, ShapeError, Spec, expect_numeric, show

__all__ = [
    "Add",
    "Divide",
    "Identity",
    "Maximum",
    "Minimum",
    "Multiply",
    "Power",
    "Subtract",
    "Where",
]


@dataclass(frozen=True)
class _Binary(Operator):
    """What operators on two numbers share: shapes that broadcast, and one dtype."""

    def infer(self, a: Spec, b: Spec) -> Spec:
        expect_numeric("a", a)
        expect_numeric("b", b)
        expect_equal_dtypes(a, b)
        return a.with_shape(broadcast_shapes(a.shape, b.shape))


@dataclass(frozen=True)
class Add(_Binary):
    """Sum ``y = a + b`` of two inputs that broadcast.

    Shapes:
        - a, b: any that broadcast by NumPy's rule
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

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
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

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
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

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

    The quotient of integers is cut off at the point: ``-7 / 2`` is -3.

    Shapes:
        - a, b: any that broadcast by NumPy's rule; a 0 in b gives what IEEE 754 says, and
          anything for integers
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

    Source: ONNX ``Div``.

    >>> import numpy as np
    >>> Divide().forward(np.array([6.0, 7.0]), np.array([2.0, 2.0]))[0]
    array([3. , 3.5])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        if a.dtype.kind == "f":
            return a / b, (a, b)
        down = a // b
        # rounded down, a quotient below 0 that is not whole is one too low
        return down + ((down * b != a) & ((a < 0) != (b < 0))).astype(a.dtype), (a, b)

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
class Power(_Binary):
    """Power ``y = a^b``, element by element, of two inputs that broadcast.

    ``dy/da = b * a^(b - 1)``, which is 0 for ``b = 0`` whatever a is, and ``dy/db = y * log(a)``,
    which is 0 for ``a = 0`` and ``b >= 0``, as it is 0 next to it.  A negative a has a power
    for a whole b only, else y is NaN; its gradient in b is always NaN.  Among integers b is at
    least 0.

    Shapes:
        - a, b: any that broadcast by NumPy's rule; an a of 0 with b below 0 gives what
          IEEE 754 says
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

    Source: ONNX ``Pow``.

    >>> import numpy as np
    >>> Power().forward(np.array([2.0, -3.0, 9.0]), np.array([3.0, 2.0, 0.5]))[0]
    array([8., 9., 3.])
    """

    def domains(self, a: Spec, b: Spec) -> dict[str, Interval]:
        return {} if b.is_floating else {"b": Interval(low=0)}

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(a).power(a, b)
        return y, (a, b, y)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b, y = saved
        xp = namespace(a)
        da = db = None
        if needs[0]:
            # for b = 0 any finite power serves, and a^-1 might be infinite
            power = xp.power(a, xp.where(b == 0, 0.0, b - 1.0))
            da = unbroadcast(dy * power * b, a.shape)
        if needs[1]:
            logarithm = xp.log(xp.where((a == 0) & (b >= 0), 1.0, a))
            db = unbroadcast(dy * y * logarithm, b.shape)
        return da, db


@dataclass(frozen=True)
class Maximum(_Binary):
    """The larger of two inputs that broadcast, ``y = max(a, b)``; NaN where either is.

    The gradient flows to the larger one, and to a where they tie.

    Shapes:
        - a, b: any that broadcast by NumPy's rule
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

    Source: ONNX ``Max``, of two inputs.

    >>> import numpy as np
    >>> Maximum().forward(np.array([1.0, 5.0]), np.array([3.0, 2.0]))[0]
    array([3., 5.])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(a).maximum(a, b), (a, b)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b = saved
        return _shared_out(a >= b, dy, a.shape, b.shape, needs)


@dataclass(frozen=True)
class Minimum(_Binary):
    """The smaller of two inputs that broadcast, ``y = min(a, b)``; NaN where either is.

    The gradient flows to the smaller one, and to a where they tie.

    Shapes:
        - a, b: any that broadcast by NumPy's rule
        - y: the shape they broadcast to

    Raises:
        ShapeError: the dtypes differ or are boolean, or the shapes do not broadcast.

    Source: ONNX ``Min``, of two inputs.

    >>> import numpy as np
    >>> Minimum().forward(np.array([1.0, 5.0]), np.array([3.0, 2.0]))[0]
    array([1., 2.])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(a).minimum(a, b), (a, b)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b = saved
        return _shared_out(a <= b, dy, a.shape, b.shape, needs)


@dataclass(frozen=True)
class Where(Operator):
    """``y = a`` where the condition holds, else ``b``; three inputs that broadcast.

    An entry that is not taken gets a gradient of 0, even if it is NaN or infinite.

    Shapes:
        - condition: bool; a, b: of one dtype, any; their shapes broadcast by NumPy's rule
        - y: the shape they broadcast to, with the dtype of a and b

    Raises:
        ShapeError: the condition is not boolean, the dtypes of a and b differ, or the shapes
            do not broadcast.

    Source: ONNX ``Where``.

    >>> import numpy as np
    >>> Where().forward(np.array([True, False]), np.array([1.0, 2.0]), np.array(0.0))[0]
    array([1., 0.])
    """

    def infer(self, condition: Spec, a: Spec, b: Spec) -> Spec:
        if condition.dtype != "bool":
            raise ShapeError(f"expected a condition of dtype bool, received {show(condition)}")
        expect_equal_dtypes(a, b)
        return a.with_shape(broadcast_shapes(condition.shape, a.shape, b.shape))

    def forward(self, condition: Array, a: Array, b: Array) -> tuple[Array, tuple[Any, ...]]:
        return namespace(condition).where(condition, a, b), (condition, a.shape, b.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        condition, shape_a, shape_b = saved
        return None, *_shared_out(condition, dy, shape_a, shape_b, needs[1:])

    def flops(self, *specs: Spec) -> int:
        return 0


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


def _shared_out(
    to_a: Array,
    dy: Array,
    shape_a: tuple[int, ...],
    shape_b: tuple[int, ...],
    needs: tuple[bool, ...],
) -> tuple[Array | None, Array | None]:
    """Each entry of ``dy`` to one of two inputs: to the first where ``to_a`` holds."""
    where = namespace(to_a).where
    da = unbroadcast(where(to_a, dy, 0), shape_a) if needs[0] else None
    db = unbroadcast(where(to_a, 0, dy), shape_b) if needs[1] else None
    return da, db
