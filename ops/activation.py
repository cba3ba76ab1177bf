"""Smooth activations: one value in, one of the same shape out.

Every one is finite wherever its input is, and so is its gradient, and none overflows on the
way: an exponential is taken of nothing positive, and a power of nothing unbounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ops.arrays import Array, namespace
from ops.fields import POSITIVE, expect_choice, freeze_numbers
from ops.operator import Spec
from ops.pointwise import Pointwise
from ops.special import erfc, sigmoid

__all__ = ["GELU", "Mish", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh"]

# The constants of GELU's approximation by tanh.
_TANH_SCALE = math.sqrt(2.0 / math.pi)
_TANH_CUBE = 0.044715

# exp(-750) is 0 in float64 too, so what lies further out may be clipped.
_FAR = 750.0


@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """Logistic function ``y = 1 / (1 + exp(-x))``, with ``dy/dx = y * (1 - y)``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating
    errors", 1986.

    >>> import numpy as np
    >>> Sigmoid().forward(np.array([-1e3, 0.0, 1e3]))[0]
    array([0. , 0.5, 1. ])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = sigmoid(x)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        return (dy * y * (1.0 - y) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 3 * x.elements


@dataclass(frozen=True)
class Tanh(Pointwise):
    """Hyperbolic tangent, with ``dy/dx = 1 - y^2``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998.

    >>> import numpy as np
    >>> Tanh().forward(np.array([-1e3, 0.0, 1e3]))[0]
    array([-1.,  0.,  1.])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).tanh(x)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        return (dy * (1.0 - y) * (1.0 + y) if needs[0] else None,)


@dataclass(frozen=True)
class GELU(Pointwise):
    """Gaussian error linear unit ``y = x * P(X <= x)`` for a standard normal ``X``.

    Shapes:
        - x, y: any, equal

    Args:
        approximate: ``"none"`` for the exact probability ``erfc(-x / sqrt(2)) / 2``;
            ``"tanh"`` for ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2``.

    Raises:
        ValueError: ``approximate`` is neither.
        ShapeError: the input is not floating.

    Source: Hendrycks, Gimpel, "Gaussian Error Linear Units", 2016.

    >>> import numpy as np
    >>> GELU().forward(np.array([-1.0, 0.0, 1.0]))[0].round(4).tolist()
    [-0.1587, 0.0, 0.8413]
    """

    approximate: Literal["none", "tanh"] = "none"

    def __post_init__(self) -> None:
        expect_choice(self, "approximate", ("none", "tanh"))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x * self._probability(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        probability = self._probability(x)
        near = self._near(x)
        if self.approximate == "tanh":
            slope = _TANH_SCALE * (2.0 + 6.0 * _TANH_CUBE * near * near)
            density = probability * (1.0 - probability) * slope
        else:
            density = namespace(x).exp(-0.5 * near * near) / math.sqrt(2.0 * math.pi)
        return (dy * (probability + near * density) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        each = 9 if self.approximate == "tanh" else 4
        return each * x.elements

    def _probability(self, x: Array) -> Array:
        if self.approximate == "none":
            return 0.5 * erfc(x * -math.sqrt(0.5))
        near = self._near(x)
        # (1 + tanh(u)) / 2 is the sigmoid of 2 u, which keeps its accuracy where it is small
        return sigmoid(2.0 * _TANH_SCALE * (near + _TANH_CUBE * near * near * near))

    def _near(self, x: Array) -> Array:
        """The entries, clipped where probability and density are 0 or 1 in any precision."""
        return namespace(x).clip(x, -40.0, 40.0)


@dataclass(frozen=True)
class SiLU(Pointwise):
    """Sigmoid linear unit, or swish: ``y = x / (1 + exp(-x))``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", 2018.

    >>> import numpy as np
    >>> SiLU().forward(np.array([-1.0, 0.0, 1.0]))[0].round(4).tolist()
    [-0.2689, 0.0, 0.7311]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x * sigmoid(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        gate = sigmoid(x)
        return (dy * (gate + x * gate * (1.0 - gate)) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 4 * x.elements


@dataclass(frozen=True)
class Mish(Pointwise):
    """``y = x * tanh(log(1 + exp(x)))``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.

    >>> import numpy as np
    >>> Mish().forward(np.array([-1.0, 0.0, 1.0]))[0].round(4).tolist()
    [-0.3034, 0.0, 0.8651]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x * self._gate(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        gate = self._gate(x)
        slope = sigmoid(x) * (1.0 - gate) * (1.0 + gate)
        return (dy * (gate + x * slope) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 5 * x.elements

    def _gate(self, x: Array) -> Array:
        """``tanh(log(1 + e^x)) = (e^2x + 2 e^x) / (e^2x + 2 e^x + 2)``."""
        xp = namespace(x)
        # numerator and denominator times exp(-2 max(x, 0)), so that neither overflows
        rising, falling = xp.exp(xp.minimum(x, 0.0)), xp.exp(-xp.maximum(x, 0.0))
        numerator = rising * (rising + 2.0 * falling)
        return numerator / (numerator + 2.0 * falling * falling)


@dataclass(frozen=True)
class Softplus(Pointwise):
    """Smooth rectifier ``y = log(1 + exp(beta * x)) / beta``, with ``dy/dx = 1 - exp(-beta * y)``.

    It is computed as ``max(x, 0) + log(1 + exp(-beta * |x|)) / beta``, which no ``x`` overflows:
    there is no need of the threshold at which PyTorch's turns linear.

    Shapes:
        - x, y: any, equal

    Args:
        beta: how sharply the gradient turns from 0 to 1 about 0, itself above 0; default 1,
            which is all that ONNX's ``Softplus`` has.

    Raises:
        TypeError, ValueError: ``beta`` is no finite number above 0.
        ShapeError: the input is not floating.

    Source: Dugas, Bengio, Bélisle, Nadeau, Garcia, "Incorporating Second-Order Functional
    Knowledge for Better Option Pricing", 2001.

    >>> import numpy as np
    >>> Softplus().forward(np.array([-1e3, 0.0, 1e3]))[0].round(4).tolist()
    [0.0, 0.6931, 1000.0]
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "beta")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        decay = xp.exp(-self.beta * xp.minimum(xp.abs(x), _FAR / self.beta))
        y = xp.maximum(x, 0.0) + xp.log1p(decay) / self.beta
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        xp = namespace(y)
        falling = xp.expm1(-self.beta * xp.minimum(y, _FAR / self.beta))
        return (dy * -falling if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 5 * x.elements


@dataclass(frozen=True)
class Softsign(Pointwise):
    """``y = x / (1 + |x|)``, with ``dy/dx = 1 / (1 + |x|)^2``.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Turian, Bergstra, Bengio, "Quadratic features and deep architectures for chunking",
    2009.

    >>> import numpy as np
    >>> Softsign().forward(np.array([-3.0, 0.0, 1.0]))[0]
    array([-0.75,  0.  ,  0.5 ])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x / (1.0 + namespace(x).abs(x)), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        scale = 1.0 / (1.0 + namespace(x).abs(x))  # squared before the division, it overflows
        return (dy * scale * scale if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 2 * x.elements
