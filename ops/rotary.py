"""Rotary position embedding: pairs of features turned by angles that grow with the position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.broadcasting import broadcast_shapes, unbroadcast
from ops.fields import freeze_counts, freeze_flags
from ops.operator import Operator, ShapeError, Spec, expect_floating, expect_rank, known, show

__all__ = ["RotaryEmbedding"]


@dataclass(frozen=True)
class RotaryEmbedding(Operator):
    """Pairs of features of each head turned by an angle of their position's own.

    For a pair ``(a, b)`` at position t: ``(a cos_t - b sin_t, a sin_t + b cos_t)``.  The first r
    features of each head are turned, twice as many as there are angles; the others stay.  The
    inner product of two vectors that are turned depends on how far apart they are, and not on
    where.

    Shapes:
        - x, y: ``(N, T, heads * d)``, equal
        - cos, sin: ``(T, r / 2)``, or ``(N, T, r / 2)`` for positions of each example's own

    Args:
        heads: the number of heads; default 1.
        interleaved: whether a pair lies side by side, and not half of r apart; default False.

    Raises:
        TypeError, ValueError: ``heads`` is no positive integer, or ``interleaved`` no flag.
        ShapeError: the inputs have other ranks, are not floating, do not divide into the heads
            or do not fit each other.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021;
    ONNX ``RotaryEmbedding``.

    >>> import numpy as np
    >>> angle = np.array([[0.0], [np.pi / 2]])
    >>> x = np.array([[[1.0, 2.0], [1.0, 2.0]]])
    >>> RotaryEmbedding().forward(x, np.cos(angle), np.sin(angle))[0].round(6).tolist()
    [[[1.0, 2.0], [-2.0, 1.0]]]
    """

    heads: int = 1
    interleaved: bool = False

    def __post_init__(self) -> None:
        freeze_counts(self, "heads")
        freeze_flags(self, "interleaved")

    def infer(self, x: Spec, cos: Spec, sin: Spec) -> Spec:
        expect_rank("an input", x, 3)
        expect_floating("an input", x)
        expect_rank("cosines", cos, least=2, most=3)
        if sin != cos or cos.dtype != x.dtype:
            raise ShapeError(
                f"expected cosines and sines of one shape and of {x.dtype}, "
                f"received {show(cos)} and {show(sin)}"
            )
        features, pairs = known(x.shape[2], cos.shape[-1])
        if features % self.heads or 2 * pairs > features // self.heads:
            raise ShapeError(
                f"expected features that divide into {self.heads} heads of {2 * pairs} or more "
                f"for cosines {show(cos)}, received {show(x)}"
            )
        if broadcast_shapes(cos.shape[:-1], x.shape[:2]) != x.shape[:2]:
            raise ShapeError(
                f"expected cosines for the positions of {show(x)}, received {show(cos)}"
            )
        return x

    def forward(self, x: Array, cos: Array, sin: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._turned(x, cos, sin), (x, cos, sin)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, cos, sin = saved
        dx = self._turned(dy, cos, -sin) if needs[0] else None  # back by the same angle
        if not (needs[1] or needs[2]):
            return dx, None, None
        pairs = cos.shape[-1]
        a, b = self._pairs(self._split(x), pairs)
        da, db = self._pairs(self._split(dy), pairs)
        # the heads share their angles: (N, T, heads, pairs) -> (N, T, pairs)
        dcos = unbroadcast((da * a + db * b).sum(axis=2), cos.shape) if needs[1] else None
        dsin = unbroadcast((db * a - da * b).sum(axis=2), sin.shape) if needs[2] else None
        return dx, dcos, dsin

    def flops(self, x: Spec, cos: Spec, sin: Spec) -> int:
        batch, positions, pairs = known(*x.shape[:2], cos.shape[-1])
        return 6 * batch * positions * self.heads * pairs

    def _turned(self, x: Array, cos: Array, sin: Array) -> Array:
        y = x.copy()
        pairs = cos.shape[-1]
        cos, sin = cos[..., None, :], sin[..., None, :]  # the same for every head
        a, b = self._pairs(self._split(x), pairs)
        left, right = self._pairs(self._split(y), pairs)
        left[...] = a * cos - b * sin
        right[...] = a * sin + b * cos
        return y

    def _split(self, x: Array) -> Array:
        """``(N, T, heads * d) -> (N, T, heads, d)``."""
        batch, positions, features = x.shape
        return x.reshape(batch, positions, self.heads, features // self.heads)

    def _pairs(self, x: Array, pairs: int) -> tuple[Array, Array]:
        """The first and the second of each pair ``(..., pairs)``, as views."""
        if self.interleaved:
            return x[..., : 2 * pairs : 2], x[..., 1 : 2 * pairs : 2]
        return x[..., :pairs], x[..., pairs : 2 * pairs]
