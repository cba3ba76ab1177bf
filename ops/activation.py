"""Activations: one value in, one of the same shape out.

Every one is finite wherever its input is (but for a leaky slope above 1), and none overflows
on the way: an exponential is taken of nothing positive, and a power of nothing unbounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ops.arrays import Array, namespace
from ops.fields import expect_choice
from ops.operator import Spec
from ops.pointwise import Pointwise
from ops.special import erfc

__all__ = ["GELU", "SiLU", "Sigmoid", "Tanh"]

# The constants of GELU's approximation by tanh.
_TANH_SCALE = math.sqrt(2.0 / math.pi)
_TANH_CUBE = 0.044715


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
        y = _sigmoid(x)
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
        return _sigmoid(2.0 * _TANH_SCALE * (near + _TANH_CUBE * near * near * near))

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
        return x * _sigmoid(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        gate = _sigmoid(x)
        return (dy * (gate + x * gate * (1.0 - gate)) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 4 * x.elements


def _sigmoid(x: Array) -> Array:
    xp = namespace(x)
    decay = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, decay) / (1.0 + decay)
