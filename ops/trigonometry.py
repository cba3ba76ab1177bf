"""Trigonometric and hyperbolic functions and their inverses, entry by entry.

Angles are in radians.  Outside its domain a function is NaN, and at the edge of one its slope
is infinite, as IEEE 754 has them (NumPy warns).
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.pointwise import Pointwise

__all__ = [
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Cos",
    "Cosh",
    "Sin",
    "Sinh",
    "Tan",
]


@dataclass(frozen=True)
class Sin(Pointwise):
    """Sine ``y = sin(x)``, with ``dy/dx = cos(x)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Sin``.

    >>> import numpy as np
    >>> Sin().forward(np.array([0.0, 0.5, -2.0]))[0].round(4).tolist()
    [0.0, 0.4794, -0.9093]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).sin(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy * namespace(x).cos(x) if needs[0] else None,)


@dataclass(frozen=True)
class Cos(Pointwise):
    """Cosine ``y = cos(x)``, with ``dy/dx = -sin(x)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Cos``.

    >>> import numpy as np
    >>> Cos().forward(np.array([0.0, 0.5, -2.0]))[0].round(4).tolist()
    [1.0, 0.8776, -0.4161]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).cos(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (-dy * namespace(x).sin(x) if needs[0] else None,)


@dataclass(frozen=True)
class Tan(Pointwise):
    """Tangent ``y = tan(x)``, with ``dy/dx = 1 + y^2``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Tan``.

    >>> import numpy as np
    >>> Tan().forward(np.array([0.0, 0.5, -1.0]))[0].round(4).tolist()
    [0.0, 0.5463, -1.5574]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).tan(x)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        return (dy * (1.0 + y * y) if needs[0] else None,)


@dataclass(frozen=True)
class Asin(Pointwise):
    """Inverse sine ``y = asin(x)`` in ``-pi/2..pi/2``, with ``dy/dx = 1 / sqrt(1 - x^2)``.

    NaN outside ``-1..1``, at whose ends the slope is infinite.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Asin``.

    >>> import numpy as np
    >>> Asin().forward(np.array([-1.0, 0.0, 0.5]))[0].round(4).tolist()
    [-1.5708, 0.0, 0.5236]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).arcsin(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy / namespace(x).sqrt((1.0 - x) * (1.0 + x)) if needs[0] else None,)


@dataclass(frozen=True)
class Acos(Pointwise):
    """Inverse cosine ``y = acos(x)`` in ``0..pi``, with ``dy/dx = -1 / sqrt(1 - x^2)``.

    NaN outside ``-1..1``, at whose ends the slope is infinite.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Acos``.

    >>> import numpy as np
    >>> Acos().forward(np.array([-1.0, 0.0, 0.5]))[0].round(4).tolist()
    [3.1416, 1.5708, 1.0472]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).arccos(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (-dy / namespace(x).sqrt((1.0 - x) * (1.0 + x)) if needs[0] else None,)


@dataclass(frozen=True)
class Atan(Pointwise):
    """Inverse tangent ``y = atan(x)`` in ``-pi/2..pi/2``, with ``dy/dx = 1 / (1 + x^2)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Atan``.

    >>> import numpy as np
    >>> Atan().forward(np.array([-1e+30, 0.0, 1.0]))[0].round(4).tolist()
    [-1.5708, 0.0, 0.7854]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).arctan(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        # x^2 could overflow where the hypotenuse does not
        length = namespace(x).hypot(x, x.dtype.type(1))
        return (dy / length / length if needs[0] else None,)


@dataclass(frozen=True)
class Sinh(Pointwise):
    """Hyperbolic sine ``y = (exp(x) - exp(-x)) / 2``, with ``dy/dx = cosh(x)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Sinh``.

    >>> import numpy as np
    >>> Sinh().forward(np.array([0.0, 0.5, -2.0]))[0].round(4).tolist()
    [0.0, 0.5211, -3.6269]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).sinh(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy * namespace(x).cosh(x) if needs[0] else None,)


@dataclass(frozen=True)
class Cosh(Pointwise):
    """Hyperbolic cosine ``y = (exp(x) + exp(-x)) / 2``, with ``dy/dx = sinh(x)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Cosh``.

    >>> import numpy as np
    >>> Cosh().forward(np.array([0.0, 0.5, -2.0]))[0].round(4).tolist()
    [1.0, 1.1276, 3.7622]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).cosh(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy * namespace(x).sinh(x) if needs[0] else None,)


@dataclass(frozen=True)
class Asinh(Pointwise):
    """Inverse hyperbolic sine ``y = log(x + sqrt(x^2 + 1))``, ``dy/dx = 1 / sqrt(x^2 + 1)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Asinh``.

    >>> import numpy as np
    >>> Asinh().forward(np.array([0.0, 0.5, -1e+30]))[0].round(4).tolist()
    [0.0, 0.4812, -69.7707]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).arcsinh(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy / namespace(x).hypot(x, x.dtype.type(1)) if needs[0] else None,)


@dataclass(frozen=True)
class Acosh(Pointwise):
    """Inverse hyperbolic cosine ``y = log(x + sqrt(x^2 - 1))``, ``dy/dx = 1 / sqrt(x^2 - 1)``.

    NaN below 1, where the slope is infinite.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Acosh``.

    >>> import numpy as np
    >>> Acosh().forward(np.array([1.0, 2.0, 1e+30]))[0].round(4).tolist()
    [0.0, 1.317, 69.7707]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).arccosh(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        xp = namespace(x)
        # each root by itself, as x^2 could overflow
        return (dy / xp.sqrt(x - 1.0) / xp.sqrt(x + 1.0) if needs[0] else None,)


@dataclass(frozen=True)
class Atanh(Pointwise):
    """Inverse hyperbolic tangent ``y = log((1 + x) / (1 - x)) / 2``, ``dy/dx = 1 / (1 - x^2)``.

    NaN outside ``-1..1``; infinite at the ends, and so is the slope.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Atanh``.

    >>> import numpy as np
    >>> Atanh().forward(np.array([0.0, 0.5, -0.9]))[0].round(4).tolist()
    [0.0, 0.5493, -1.4722]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).arctanh(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy / ((1.0 - x) * (1.0 + x)) if needs[0] else None,)
