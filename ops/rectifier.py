"""Rectifiers: the identity above 0 (but for a factor), a line or a bounded curve below.

All are continuous.  Where the slopes on the two sides of 0 differ, the gradient at 0 is that of
the side below.  Every one is finite wherever its input is, and so is its gradient, but for a leaky
or learned slope beyond 1, whose product with a huge input may overflow.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.broadcasting import unbroadcast
from ops.fields import FINITE, NOT_NEGATIVE, POSITIVE, freeze_flags, freeze_numbers
from ops.initializers import Constant
from ops.operator import (
    Operator,
    Parameter,
    Spec,
    expect_floating,
    expect_numeric,
    expect_rank,
    expect_spec,
    known,
)
from ops.pointwise import Pointwise

__all__ = ["CELU", "ELU", "SELU", "LeakyReLU", "PReLU", "ReLU"]


# The SELU whose outputs have mean 0 and variance 1 where its inputs have: equation 14 of the
# paper.  ONNX gives the same two rounded to float32.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@dataclass(frozen=True)
class ReLU(Pointwise):
    """Rectified linear unit ``y = max(x, 0)``; the gradient at 0 is 0.

    Shapes:
        - x, y: any, equal, of a floating or integer dtype

    Raises:
        ShapeError: the input is boolean.

    Source: Nair, Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.

    >>> import numpy as np
    >>> ReLU().forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).maximum(x, 0)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        return (namespace(y).where(y > 0, dy, 0) if needs[0] else None,)


@dataclass(frozen=True)
class LeakyReLU(Pointwise):
    """``y = x`` where ``x > 0``, else ``negative_slope * x``; the gradient at 0 is the slope.

    Shapes:
        - x, y: any, equal

    Args:
        negative_slope: the slope below 0, itself at least 0; default 0.01.

    Raises:
        TypeError, ValueError: the slope is no finite number of at least 0.
        ShapeError: the input is not floating.

    Source: Maas, Hannun, Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic
    Models", 2013.

    >>> import numpy as np
    >>> LeakyReLU(0.5).forward(np.array([-1.0, 2.0]))[0]
    array([-0.5,  2. ])
    """

    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "negative_slope")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        # one of the two terms is 0
        y = xp.maximum(x, 0) + self.negative_slope * xp.minimum(x, 0)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved  # as positive as x, since the slope is not negative
        return (namespace(y).where(y > 0, dy, self.negative_slope * dy) if needs[0] else None,)


@dataclass(frozen=True, kw_only=True)
class PReLU(Operator):
    """Leaky rectifier with a learned slope: ``y = x`` where ``x > 0``, else ``slope * x``.

    At 0 the gradient is the slope, and the slope itself gets none.

    Shapes:
        - x, y: ``(N, C, *spatial)``, equal; any when ``shared``
        - slope: ``(C,)``, one for each channel (axis 1); ``(1,)`` when ``shared``

    Args:
        shared: whether one slope serves all entries, which is PyTorch's default.
        init: the first value of each slope; default 0.25.  Slopes are learned without weight
            decay, which would draw them towards a plain ReLU.

    Raises:
        TypeError, ValueError: ``shared`` is no flag, or ``init`` no finite number.
        ShapeError: the input is not floating or has no known channel axis, or the slope does
            not fit it.

    Source: He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", ICCV 2015.

    >>> import numpy as np
    >>> PReLU().forward(np.array([[-2.0, -2.0], [3.0, 3.0]]), np.array([0.5, 0.25]))[0]
    array([[-1. , -0.5],
           [ 3. ,  3. ]])
    """

    shared: bool = False
    init: float = 0.25

    def __post_init__(self) -> None:
        freeze_flags(self, "shared")
        freeze_numbers(self, FINITE, "init")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return {"slope": Parameter(self._shape(x), Constant(self.init), x.dtype, decay=False)}

    def infer(self, x: Spec, slope: Spec) -> Spec:
        expect_floating("an input", x)
        expect_spec("a slope", slope, self._shape(x), x.dtype)
        return x

    def forward(self, x: Array, slope: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        # one of the two terms is 0
        y = xp.maximum(x, 0) + slope.reshape(self._across(x)) * xp.minimum(x, 0)
        return y, (x, slope)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, slope = saved
        xp = namespace(x)
        across = self._across(x)
        dx = xp.where(x > 0, dy, slope.reshape(across) * dy) if needs[0] else None
        dslope = None
        if needs[1]:
            dslope = unbroadcast(dy * xp.minimum(x, 0), across).reshape(slope.shape)
        return dx, dslope

    def _shape(self, x: Spec) -> tuple[int, ...]:
        if self.shared:
            return (1,)
        expect_rank("an input", x, least=2)
        return known(x.shape[1])

    def _across(self, x: Array) -> tuple[int, ...]:
        """The shape in which the slope broadcasts to ``x``: ``(C, 1, ...)``, or none at all."""
        return () if self.shared else (x.shape[1], *[1] * (x.ndim - 2))


@dataclass(frozen=True)
class ELU(Pointwise):
    """Exponential linear unit: ``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``.

    The gradient at 0 is ``alpha``.

    Shapes:
        - x, y: any, equal

    Args:
        alpha: the value approached far below 0 is ``-alpha``; at least 0, default 1.

    Raises:
        TypeError, ValueError: ``alpha`` is no finite number of at least 0.
        ShapeError: the input is not floating.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and Accurate Deep Network Learning by
    Exponential Linear Units", 2015.

    >>> import numpy as np
    >>> ELU(2.0).forward(np.array([-1e3, -1.0, 2.0]))[0].round(4).tolist()
    [-2.0, -1.2642, 2.0]
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "alpha")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        # one of the two terms is 0
        return xp.maximum(x, 0) + self.alpha * xp.expm1(xp.minimum(x, 0)), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        xp = namespace(x)
        # from x: alpha + y would lose what is left of the slope far below 0
        below = self.alpha * xp.exp(xp.minimum(x, 0))
        return (dy * xp.where(x > 0, 1.0, below) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 3 * x.elements


@dataclass(frozen=True)
class CELU(Pointwise):
    """Smooth ELU: ``y = x`` where ``x > 0``, else ``alpha * (exp(x / alpha) - 1)``.

    The gradient at 0 is 1, from both sides.

    Shapes:
        - x, y: any, equal

    Args:
        alpha: the value approached far below 0 is ``-alpha``; above 0, default 1.

    Raises:
        TypeError, ValueError: ``alpha`` is no finite number above 0.
        ShapeError: the input is not floating.

    Source: Barron, "Continuously Differentiable Exponential Linear Units", 2017.

    >>> import numpy as np
    >>> CELU(2.0).forward(np.array([-1e3, -1.0, 2.0]))[0].round(4).tolist()
    [-2.0, -0.7869, 2.0]
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "alpha")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        # one of the two terms is 0
        return xp.maximum(x, 0) + self.alpha * xp.expm1(self._exponent(x)), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        # the exponent is 0, and the slope 1, where x is not below 0
        return (dy * namespace(x).exp(self._exponent(x)) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 4 * x.elements

    def _exponent(self, x: Array) -> Array:
        """``min(x, 0) / alpha``, clipped where its exponential is 0, so that it cannot overflow."""
        return namespace(x).clip(x, -750.0 * self.alpha, 0.0) / self.alpha


@dataclass(frozen=True)
class SELU(Pointwise):
    """Scaled ELU: ``y = scale * x`` where ``x > 0``, else ``scale * alpha * (exp(x) - 1)``.

    ``alpha = 1.67326...`` and ``scale = 1.05070...`` are those that hold a mean of 0 and a
    variance of 1 from layer to layer.  The gradient at 0 is ``scale * alpha``.  Inputs above
    0.95 of the largest number of their dtype give what 0.95 of it gives, instead of infinity.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks", 2017.

    >>> import numpy as np
    >>> SELU().forward(np.array([-1e3, 0.0, 1.0]))[0].round(4).tolist()
    [-1.7581, 0.0, 1.0507]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        above = xp.clip(x, 0.0, 0.95 * float(xp.finfo(x.dtype).max))
        # one of the two terms is 0
        below = xp.expm1(xp.minimum(x, 0))
        return _SELU_SCALE * above + _SELU_SCALE * _SELU_ALPHA * below, (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        xp = namespace(x)
        below = _SELU_SCALE * _SELU_ALPHA * xp.exp(xp.minimum(x, 0))
        return (dy * xp.where(x > 0, _SELU_SCALE, below) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 3 * x.elements
