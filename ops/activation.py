"""Activations: one value in, one of the same shape out.

Every one is finite wherever its input is (but for a leaky slope above 1), and none overflows
on the way: an exponential is taken of nothing positive, and a power of nothing unbounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ops.arrays import Array, namespace
from ops.fields import NOT_NEGATIVE, freeze_numbers, is_integer
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    normalize_axis,
    show,
)
from ops.special import erfc

__all__ = ["GELU", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Tanh"]

# The constants of GELU's approximation by tanh.
_TANH_SCALE = math.sqrt(2.0 / math.pi)
_TANH_CUBE = 0.044715


@dataclass(frozen=True)
class _Activation(Operator):
    """What the elementwise activations share: the shape stays."""

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        return x


@dataclass(frozen=True)
class ReLU(_Activation):
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
class LeakyReLU(_Activation):
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


@dataclass(frozen=True)
class Sigmoid(_Activation):
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
class Tanh(_Activation):
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
class GELU(_Activation):
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
        if self.approximate not in ("none", "tanh"):
            raise ValueError(
                f'GELU: expected approximate "none" or "tanh", received {self.approximate!r}'
            )

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
class SiLU(_Activation):
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


@dataclass(frozen=True)
class _OverAxis(Operator):
    """What the normalised exponentials share: the axis, whose entries they weigh up."""

    axis: int = -1

    def __post_init__(self) -> None:
        if not is_integer(self.axis):
            raise TypeError(
                f"{type(self).__name__}: expected an integer axis, received {self.axis!r}"
            )

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        axis = normalize_axis(self.axis, x.rank)
        if x.shape[axis] == 0:
            raise ShapeError(f"expected entries along axis {axis}, received {show(x)}")
        return x

    def flops(self, x: Spec) -> int:
        return 5 * x.elements


@dataclass(frozen=True)
class Softmax(_OverAxis):
    """Probabilities in proportion to ``exp(x)``: ``y_i = exp(x_i) / sum_j exp(x_j)``.

    Shapes:
        - x, y: any, equal

    Args:
        axis: the axis that sums to 1; default -1, the last.  The channels of an image lie
            along axis 1.

    Raises:
        TypeError: the axis is no integer.
        ShapeError: the input is not floating, or has no such axis or no entry along it.

    Source: Bridle, "Training Stochastic Model Recognition Algorithms as Networks", 1990.

    >>> import numpy as np
    >>> Softmax().forward(np.array([0.0, 0.0, -1e30]))[0]
    array([0.5, 0.5, 0. ])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        y = namespace(x).exp(below_maximum(x, self.axis))
        y /= y.sum(axis=self.axis, keepdims=True)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        weighted = (dy * y).sum(axis=self.axis, keepdims=True)
        return (y * (dy - weighted) if needs[0] else None,)


@dataclass(frozen=True)
class LogSoftmax(_OverAxis):
    """Logarithm of the softmax: ``y_i = x_i - log(sum_j exp(x_j))``.

    A result is at least the lowest finite number of the dtype.

    Shapes:
        - x, y: any, equal

    Args:
        axis: the axis along which ``exp(y)`` sums to 1; default -1, the last.  The channels
            of an image lie along axis 1.

    Raises:
        TypeError: the axis is no integer.
        ShapeError: the input is not floating, or has no such axis or no entry along it.

    Source: Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and softmax
    functions", 2021.

    >>> import numpy as np
    >>> LogSoftmax().forward(np.array([0.0, 0.0, -1e30]))[0].round(4).tolist()
    [-0.6931, -0.6931, -1e+30]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        y = below_maximum(x, self.axis)
        y -= xp.log(xp.exp(y).sum(axis=self.axis, keepdims=True))
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        total = dy.sum(axis=self.axis, keepdims=True)
        return (dy - namespace(y).exp(y) * total if needs[0] else None,)


def below_maximum(x: Array, axis: int) -> Array:
    """``x - max(x)`` along an axis, each entry at least the lowest finite number.

    >>> import numpy as np
    >>> below_maximum(np.array([3.0, 5.0]), 0)
    array([-2.,  0.])
    """
    xp = namespace(x)
    highest = x.max(axis=axis, keepdims=True)
    # an entry further below a positive maximum than the largest number would overflow
    lowest = xp.maximum(highest, 0) - float(xp.finfo(x.dtype).max)
    return xp.maximum(x, lowest) - highest


def _sigmoid(x: Array) -> Array:
    xp = namespace(x)
    decay = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, decay) / (1.0 + decay)
