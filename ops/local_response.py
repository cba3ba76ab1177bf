"""Local response normalization: neighbouring channels compete at each position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import NOT_NEGATIVE, POSITIVE, freeze_counts, freeze_numbers
from ops.operator import Operator, Spec, expect_floating, expect_rank, known

__all__ = ["LocalResponseNorm"]


@dataclass(frozen=True)
class LocalResponseNorm(Operator):
    """Division of each entry by a power of the squares in a window of channels around it.

    ``y_c = x_c / (k + alpha / size * sum_j x_j^2)^beta`` over the channels ``j`` that exist of
    ``c - floor((size - 1) / 2) .. c + ceil((size - 1) / 2)``.  An even window so reaches one
    channel further forward than back, as in ONNX; PyTorch's reaches further back.

    Shapes:
        - x, y: ``(N, C, *spatial)``

    Args:
        size: the number of channels in a window.
        alpha: the weight of the mean square, at least 0; default 1e-4.
        beta: the power, at least 0; default 0.75.
        k: what is added to the mean square, above 0; default 1 (``bias`` in ONNX).

    Raises:
        TypeError, ValueError: ``size`` is no positive integer, or a number is out of range.
        ShapeError: the input is not floating or has fewer than two axes.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional
    Neural Networks", 2012; window and the division of alpha as in ONNX ``LRN``.

    >>> import numpy as np
    >>> LocalResponseNorm(3, alpha=3.0, beta=1.0).forward(np.ones((1, 4)))[0]
    array([[0.33333333, 0.25      , 0.25      , 0.33333333]])
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        freeze_counts(self, "size")
        freeze_numbers(self, NOT_NEGATIVE, "alpha", "beta")
        freeze_numbers(self, POSITIVE, "k")

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, least=2)
        known(x.shape[1])
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        _, norm = self._norms(x)
        factor = norm**-self.beta  # the square of which may vanish where y does not
        return x * factor * factor, (x,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        if not needs[0]:
            return (None,)
        weighted, norm = self._norms(x)
        factor = norm**-self.beta
        dx = dy * factor * factor
        pull = dx * (weighted / norm) * (-2 * self.beta)
        for here, there in self._windows(x.shape[1]):
            # a window's norm bounds each of its entries, so their quotient is at most 1
            dx[:, there] += pull[:, here] * (weighted[:, there] / norm[:, here])
        return (dx,)

    def flops(self, x: Spec) -> int:
        return (2 * self.size + 4) * x.elements

    def _norms(self, x: Array) -> tuple[Array, Array]:
        """``sqrt(alpha / size) * x``, and the square root of what the power is taken of."""
        xp = namespace(x)
        weighted = x * math.sqrt(self.alpha / self.size)
        norm = xp.full_like(x, math.sqrt(self.k))
        for here, there in self._windows(x.shape[1]):
            norm[:, here] = xp.hypot(norm[:, here], weighted[:, there])  # no square overflows
        return weighted, norm

    def _windows(self, channels: int) -> Iterator[tuple[slice, slice]]:
        """For each offset in a window, the channels that have a neighbour there, and these."""
        before, after = (self.size - 1) // 2, self.size // 2
        for offset in range(max(-before, 1 - channels), min(after, channels - 1) + 1):
            first, last = max(0, -offset), channels - max(0, offset)
            yield slice(first, last), slice(first + offset, last + offset)
