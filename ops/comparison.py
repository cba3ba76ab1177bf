"""Comparisons of two inputs that broadcast, and logic on their boolean results.

No gradient flows through them: a truth value does not change by degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array
from ops.broadcasting import broadcast_shapes, expect_equal_dtypes
from ops.operator import Operator, ShapeError, Spec, show

__all__ = [
    "And",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Not",
    "NotEqual",
    "Or",
    "Xor",
]


@dataclass(frozen=True)
class _Comparison(Operator):
    """What the comparisons share: one dtype in, booleans out."""

    def infer(self, a: Spec, b: Spec) -> Spec:
        expect_equal_dtypes(a, b)
        return Spec(broadcast_shapes(a.shape, b.shape), "bool")

    def backward(
        self, saved: tuple[Array, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return None, None


@dataclass(frozen=True)
class Equal(_Comparison):
    """Whether ``a == b``, for two inputs that broadcast; never for NaN.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one dtype, boolean ones included
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ, or the shapes do not broadcast.

    Source: ONNX ``Equal``.

    >>> import numpy as np
    >>> Equal().forward(np.array([1.0, 2.0, np.nan]), np.array([1.0, 3.0, np.nan]))[0]
    array([ True, False, False])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a == b, ()


@dataclass(frozen=True)
class NotEqual(_Comparison):
    """Whether ``a != b``, for two inputs that broadcast; always for NaN.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one dtype, boolean ones included
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ, or the shapes do not broadcast.

    Source: IEEE 754; ONNX writes it as ``Not`` of ``Equal``.

    >>> import numpy as np
    >>> NotEqual().forward(np.array([1.0, 2.0, np.nan]), np.array([1.0, 3.0, np.nan]))[0]
    array([False,  True,  True])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a != b, ()


@dataclass(frozen=True)
class Less(_Comparison):
    """Whether ``a < b``, for two inputs that broadcast; never for NaN.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one dtype; False is less than True
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ, or the shapes do not broadcast.

    Source: ONNX ``Less``.

    >>> import numpy as np
    >>> Less().forward(np.array([1, 2, 3]), np.array(2))[0]
    array([ True, False, False])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a < b, ()


@dataclass(frozen=True)
class LessOrEqual(_Comparison):
    """Whether ``a <= b``, for two inputs that broadcast; never for NaN.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one dtype; False is less than True
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ, or the shapes do not broadcast.

    Source: ONNX ``LessOrEqual``.

    >>> import numpy as np
    >>> LessOrEqual().forward(np.array([1, 2, 3]), np.array(2))[0]
    array([ True,  True, False])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a <= b, ()


@dataclass(frozen=True)
class Greater(_Comparison):
    """Whether ``a > b``, for two inputs that broadcast; never for NaN.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one dtype; True is greater than False
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ, or the shapes do not broadcast.

    Source: ONNX ``Greater``.

    >>> import numpy as np
    >>> Greater().forward(np.array([1, 2, 3]), np.array(2))[0]
    array([False, False,  True])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a > b, ()


@dataclass(frozen=True)
class GreaterOrEqual(_Comparison):
    """Whether ``a >= b``, for two inputs that broadcast; never for NaN.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, of one dtype; True is greater than False
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: the dtypes differ, or the shapes do not broadcast.

    Source: ONNX ``GreaterOrEqual``.

    >>> import numpy as np
    >>> GreaterOrEqual().forward(np.array([1, 2, 3]), np.array(2))[0]
    array([False,  True,  True])
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a >= b, ()


@dataclass(frozen=True)
class Not(Operator):
    """Logical negation of each entry.

    Shapes:
        - x, y: any, equal, bool; no gradient flows through it

    Raises:
        ShapeError: the input is not boolean.

    Source: ONNX ``Not``.

    >>> import numpy as np
    >>> Not().forward(np.array([True, False]))[0]
    array([False,  True])
    """

    def infer(self, x: Spec) -> Spec:
        _expect_boolean("an input", x)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return ~x, ()

    def backward(
        self, saved: tuple[Array, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return (None,)


@dataclass(frozen=True)
class _Logical(Operator):
    """What the connectives share: booleans in, booleans out."""

    def infer(self, a: Spec, b: Spec) -> Spec:
        _expect_boolean("a", a)
        _expect_boolean("b", b)
        return a.with_shape(broadcast_shapes(a.shape, b.shape))

    def backward(
        self, saved: tuple[Array, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return None, None


@dataclass(frozen=True)
class And(_Logical):
    """Whether both of two inputs that broadcast are True.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, bool
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: an input is not boolean, or the shapes do not broadcast.

    Source: ONNX ``And``.

    >>> import numpy as np
    >>> And().forward(np.array([False, True]), np.array([[False], [True]]))[0].tolist()
    [[False, False], [False, True]]
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a & b, ()


@dataclass(frozen=True)
class Or(_Logical):
    """Whether at least one of two inputs that broadcast is True.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, bool
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: an input is not boolean, or the shapes do not broadcast.

    Source: ONNX ``Or``.

    >>> import numpy as np
    >>> Or().forward(np.array([False, True]), np.array([[False], [True]]))[0].tolist()
    [[False, True], [True, True]]
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a | b, ()


@dataclass(frozen=True)
class Xor(_Logical):
    """Whether exactly one of two inputs that broadcast is True.

    Shapes:
        - a, b: any that broadcast by NumPy's rule, bool
        - y: the shape they broadcast to, bool; no gradient flows through it

    Raises:
        ShapeError: an input is not boolean, or the shapes do not broadcast.

    Source: ONNX ``Xor``.

    >>> import numpy as np
    >>> Xor().forward(np.array([False, True]), np.array([[False], [True]]))[0].tolist()
    [[False, True], [True, False]]
    """

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a ^ b, ()


def _expect_boolean(name: str, spec: Spec) -> None:
    if spec.dtype != "bool":
        raise ShapeError(f"expected {name} of dtype bool, received {show(spec)}")
