"""Normalised exponentials along an axis: the softmax and its logarithm."""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import freeze_integers
from ops.operator import Operator, ShapeError, Spec, expect_floating, normalize_axis, show

__all__ = ["LogSoftmax", "Softmax", "below_maximum"]


@dataclass(frozen=True)
class _OverAxis(Operator):
    """What the normalised exponentials share: the axis, whose entries they weigh up."""

    axis: int = -1

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")

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
