"""Elementary functions of one value, entry by entry.

Outside its domain, and where a result is too large for the dtype, a function follows IEEE 754:
NaN or an infinity, with no exception (NumPy warns).  Each docstring says what the gradient is
there; a slope that is infinite turns a ``dy`` of 0 into NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.operator import ShapeError, Spec, expect_numeric
from ops.pointwise import Pointwise
from ops.special import erf

__all__ = [
    "Abs",
    "Ceil",
    "Erf",
    "Exp",
    "Floor",
    "Log",
    "Neg",
    "Reciprocal",
    "Round",
    "Sign",
    "Sqrt",
]


@dataclass(frozen=True)
class Exp(Pointwise):
    """Exponential ``y = exp(x)``, with ``dy/dx = y``; both infinite where y is too large.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Exp``.

    >>> import numpy as np
    >>> Exp().forward(np.array([-1e3, 0.0, 1.0]))[0].round(4).tolist()
    [0.0, 1.0, 2.7183]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).exp(x)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        return (dy * y if needs[0] else None,)


@dataclass(frozen=True)
class Log(Pointwise):
    """Natural logarithm ``y = log(x)``, with ``dy/dx = 1 / x``.

    At 0, y is negative infinity and the slope is infinite.  Below 0, y is NaN; the gradient is
    ``dy / x`` there too, so that an entry whose y nobody reads (``dy = 0``) gets 0.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Log``.

    >>> import numpy as np
    >>> Log().forward(np.array([0.5, 1.0, 4.0]))[0].round(4).tolist()
    [-0.6931, 0.0, 1.3863]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).log(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy / x if needs[0] else None,)


@dataclass(frozen=True)
class Sqrt(Pointwise):
    """Square root ``y = sqrt(x)``, with ``dy/dx = 1 / (2 * y)``.

    At 0, y is 0 and the slope is infinite.  Below 0, y and the gradient are NaN.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Sqrt``.

    >>> import numpy as np
    >>> Sqrt().forward(np.array([0.0, 0.25, 9.0]))[0]
    array([0. , 0.5, 3. ])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).sqrt(x)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        return (dy / (2.0 * y) if needs[0] else None,)


@dataclass(frozen=True)
class Reciprocal(Pointwise):
    """Reciprocal ``y = 1 / x``, with ``dy/dx = -y^2``; both infinite at 0.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Reciprocal``.

    >>> import numpy as np
    >>> Reciprocal().forward(np.array([-0.5, 1.0, 4.0]))[0]
    array([-2.  ,  1.  ,  0.25])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = 1.0 / x
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        # y^2 could overflow where (dy * y) * y does not
        return (-dy * y * y if needs[0] else None,)


@dataclass(frozen=True)
class Abs(Pointwise):
    """Absolute value ``y = |x|``; the gradient at 0 is 0.

    Shapes:
        - x, y: any, equal, of a floating or integer dtype

    Raises:
        ShapeError: the input is boolean.

    Source: ONNX ``Abs``.

    >>> import numpy as np
    >>> Abs().forward(np.array([-1.5, 0.0, 2.0]))[0]
    array([1.5, 0. , 2. ])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).abs(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (dy * namespace(x).sign(x) if needs[0] else None,)


@dataclass(frozen=True)
class Neg(Pointwise):
    """The negative, ``y = -x``.

    Shapes:
        - x, y: any, equal, of a floating or signed integer dtype

    Raises:
        ShapeError: the input is boolean or unsigned.

    Source: ONNX ``Neg``.

    >>> import numpy as np
    >>> Neg().forward(np.array([-1.5, 2.0]))[0]
    array([ 1.5, -2. ])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        if x.dtype.startswith("uint"):
            raise ShapeError(f"expected an input of a signed dtype, received {x.dtype}")
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return -x, ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (-dy if needs[0] else None,)


@dataclass(frozen=True)
class Erf(Pointwise):
    """Error function ``y = 2 / sqrt(pi) * integral of exp(-t^2) for t from 0 to x``.

    ``dy/dx = 2 / sqrt(pi) * exp(-x^2)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Erf``.

    >>> import numpy as np
    >>> Erf().forward(np.array([-1e30, 0.0, 0.5]))[0].round(4).tolist()
    [-1.0, 0.0, 0.5205]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return erf(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        (x,) = saved
        xp = namespace(x)
        # the slope is 0 in any precision from 28 on, where x^2 cannot overflow yet
        near = xp.clip(x, -28.0, 28.0)
        return (dy * (2.0 / math.sqrt(math.pi) * xp.exp(-near * near)),)


@dataclass(frozen=True)
class _Step(Pointwise):
    """What the piecewise constant functions share: a gradient of 0 everywhere."""

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (namespace(dy).zeros_like(dy) if needs[0] else None,)


@dataclass(frozen=True)
class Floor(_Step):
    """The largest integer of at most x, as a floating number; the gradient is 0 everywhere.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Floor``.

    >>> import numpy as np
    >>> Floor().forward(np.array([-1.5, 1.0, 1.5]))[0]
    array([-2.,  1.,  1.])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).floor(x), ()


@dataclass(frozen=True)
class Ceil(_Step):
    """The smallest integer of at least x, as a floating number; the gradient is 0 everywhere.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Ceil``.

    >>> import numpy as np
    >>> Ceil().forward(np.array([-1.5, 1.0, 1.5]))[0]
    array([-1.,  1.,  2.])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).ceil(x), ()


@dataclass(frozen=True)
class Round(_Step):
    """The nearest integer, as a floating number, halves to the even one; the gradient is 0.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: ONNX ``Round``.

    >>> import numpy as np
    >>> Round().forward(np.array([-1.5, 0.5, 1.2, 2.5]))[0]
    array([-2.,  0.,  1.,  2.])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).rint(x), ()


@dataclass(frozen=True)
class Sign(_Step):
    """``y = -1``, 0 or 1 for x below, at or above 0, NaN for NaN; the gradient is 0 everywhere.

    Shapes:
        - x, y: any, equal, of a floating or integer dtype

    Raises:
        ShapeError: the input is boolean.

    Source: ONNX ``Sign``.

    >>> import numpy as np
    >>> Sign().forward(np.array([-1.5, 0.0, 2.5]))[0]
    array([-1.,  0.,  1.])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        if x.dtype.kind != "f":
            return xp.sign(x), ()
        # CuPy's own sign of NaN is 0
        return xp.where(xp.isnan(x), x, xp.sign(x)), ()
