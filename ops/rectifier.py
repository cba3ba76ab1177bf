"""Rectifiers: activations with a kink, linear or bounded on each side of it."""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import NOT_NEGATIVE, freeze_numbers
from ops.pointwise import Pointwise

__all__ = ["LeakyReLU", "ReLU"]


@dataclass(frozen=True)
class ReLU(Pointwise):
    """Rectified linear unit ``y = max(x, 0)``; the gradient at 0 is 0.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Nair, Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.

    >>> import numpy as np
    >>> ReLU().forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """

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
