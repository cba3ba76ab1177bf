"""Activations with hard corners: pieces of lines and parabolas, chosen by thresholds.

Every one is finite wherever its input is, and so is its gradient, and none overflows on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import FINITE, NOT_NEGATIVE, POSITIVE, freeze_numbers, holds
from ops.operator import ShapeError, Spec, expect_numeric
from ops.pointwise import Pointwise

__all__ = ["Clip", "HardSigmoid", "HardSwish", "Shrink", "ThresholdedReLU"]


@dataclass(frozen=True)
class Clip(Pointwise):
    """The nearest value in ``low..high``: ``y = min(max(x, low), high)``.

    The gradient is 1 from ``low`` to ``high``, both bounds included, and 0 outside.
    ``Clip(0, 6)`` is the ReLU6 of mobile networks, ``Clip(-1, 1)`` the hard tanh.

    Shapes:
        - x, y: any, equal, of a floating or integer dtype

    Args:
        low: the lowest value; None, the default, for no bound.
        high: the highest value, at least ``low``; None, the default, for no bound.

    Raises:
        TypeError, ValueError: a bound is no finite number, or ``low`` lies above ``high``.
        ShapeError: the input is boolean, or of integers that do not hold a bound.

    Source: ONNX ``Clip``; the gradient at a bound is that of PyTorch's ``clamp``.

    >>> import numpy as np
    >>> Clip(0, 6).forward(np.array([-1.0, 2.0, 7.0]))[0]
    array([0., 2., 6.])
    """

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                freeze_numbers(self, FINITE, name)
        low, high = self._bounds()
        if low > high:
            raise ValueError(
                f"Clip: expected low of at most high, received low={low} and high={high}"
            )

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        for bound in (self.low, self.high):
            if bound is not None and not x.is_floating and not holds(x.dtype, bound):
                raise ShapeError(f"expected an input whose dtype holds {bound}, received {x.dtype}")
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        if x.dtype.kind == "f":
            return xp.clip(x, *self._bounds()), (x,)
        y = x if self.low is None else xp.maximum(x, int(self.low))
        return y if self.high is None else xp.minimum(y, int(self.high)), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        low, high = self._bounds()
        return (namespace(x).where((x >= low) & (x <= high), dy, 0) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 2 * x.elements

    def _bounds(self) -> tuple[float, float]:
        """The bounds as numbers, infinite where there is none."""
        return (
            -math.inf if self.low is None else self.low,
            math.inf if self.high is None else self.high,
        )


@dataclass(frozen=True)
class ThresholdedReLU(Pointwise):
    """``y = x`` where ``x > alpha``, else 0; at ``alpha``, where y jumps, the gradient is 0.

    Shapes:
        - x, y: any, equal

    Args:
        alpha: the threshold, of any sign; default 1.

    Raises:
        TypeError, ValueError: ``alpha`` is no finite number.
        ShapeError: the input is not floating.

    Source: Konda, Memisevic, Krueger, "Zero-bias autoencoders and the benefits of co-adapting
    features", 2014; ONNX ``ThresholdedRelu``.

    >>> import numpy as np
    >>> ThresholdedReLU().forward(np.array([-2.0, 0.5, 1.5]))[0]
    array([0. , 0. , 1.5])
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        freeze_numbers(self, FINITE, "alpha")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(x).where(x > self.alpha, x, 0), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        return (namespace(x).where(x > self.alpha, dy, 0) if needs[0] else None,)


@dataclass(frozen=True)
class HardSigmoid(Pointwise):
    """Piecewise linear sigmoid ``y = max(0, min(1, alpha * x + beta))``.

    The gradient is ``alpha`` where ``0 < y < 1``, and 0 elsewhere, at the two corners too.

    Shapes:
        - x, y: any, equal

    Args:
        alpha: the slope, above 0; default 0.2, that of ONNX (PyTorch's ``Hardsigmoid`` has 1/6).
        beta: the value at 0; default 0.5, that of both.

    Raises:
        TypeError, ValueError: ``alpha`` is no finite number above 0, or ``beta`` no finite one.
        ShapeError: the input is not floating.

    Source: ONNX ``HardSigmoid``; Courbariaux, Bengio, David, "BinaryConnect: Training Deep
    Neural Networks with binary weights during propagations", 2015.

    >>> import numpy as np
    >>> HardSigmoid().forward(np.array([-3.0, 0.0, 1.0, 3.0]))[0]
    array([0. , 0.5, 0.7, 1. ])
    """

    alpha: float = 0.2
    beta: float = 0.5

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "alpha")
        freeze_numbers(self, FINITE, "beta")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        # first to where the line is at -1 and 2: a steep one overflows on the way
        near = xp.clip(x, (-1.0 - self.beta) / self.alpha, (2.0 - self.beta) / self.alpha)
        y = xp.clip(self.alpha * near + self.beta, 0.0, 1.0)
        return y, (y,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (y,) = saved
        rising = (y > 0) & (y < 1)
        return (namespace(y).where(rising, self.alpha * dy, 0) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 4 * x.elements


@dataclass(frozen=True)
class HardSwish(Pointwise):
    """``y = x * max(0, min(1, x / 6 + 1 / 2))``: x times a hard sigmoid, near to SiLU.

    The gradient is ``x / 3 + 1 / 2`` where ``-3 < x < 3``, 0 below and 1 above; at the two
    corners it is that of the outer side.

    Shapes:
        - x, y: any, equal

    Raises:
        ShapeError: the input is not floating.

    Source: Howard et al., "Searching for MobileNetV3", 2019; ONNX ``HardSwish``.

    >>> import numpy as np
    >>> HardSwish().forward(np.array([-4.0, 0.0, 1.5, 4.0]))[0].tolist()
    [-0.0, 0.0, 1.125, 4.0]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x * self._gate(x), (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        gate = self._gate(x)
        rising = (gate > 0) & (gate < 1)
        return (dy * namespace(x).where(rising, 2.0 * gate - 0.5, gate) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 5 * x.elements

    def _gate(self, x: Array) -> Array:
        """The hard sigmoid, exactly 0 at -3 and 1 at 3 in every dtype."""
        return namespace(x).clip(x + 3.0, 0.0, 6.0) / 6.0


@dataclass(frozen=True)
class Shrink(Pointwise):
    """``y = x - bias`` above a threshold, ``x + bias`` below its negative, and 0 between them.

    ``Shrink(t, t)`` is the soft shrinkage of wavelet coefficients, ``Shrink(t, 0)`` the hard one.
    The gradient is 1 outside of ``-threshold..threshold``, and 0 inside and at both ends.

    Shapes:
        - x, y: any, equal

    Args:
        threshold: where entries start to count, at least 0; default 0.5.
        bias: how much nearer to 0 they come; default 0.

    Raises:
        TypeError, ValueError: the threshold is no finite number of at least 0, or the bias no
            finite number.
        ShapeError: the input is not floating.

    Source: Donoho, Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994; ONNX
    ``Shrink``.

    >>> import numpy as np
    >>> Shrink(1.0, 0.5).forward(np.array([-2.0, 0.5, 3.0]))[0]
    array([-1.5,  0. ,  2.5])
    """

    threshold: float = 0.5
    bias: float = 0.0

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "threshold")
        freeze_numbers(self, FINITE, "bias")

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        inside = xp.abs(x) <= self.threshold
        # NaN is neither, and stays
        return xp.where(inside, 0, x - self.bias * xp.sign(x)), (inside,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (inside,) = saved
        return (namespace(dy).where(inside, 0, dy) if needs[0] else None,)

    def flops(self, x: Spec) -> int:
        return 4 * x.elements
