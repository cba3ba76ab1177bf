"""One triangle of each matrix, on one side of a diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_flags, freeze_integers
from ops.operator import Spec, expect_rank
from ops.shape import Rearrangement

__all__ = ["Triangle"]


@dataclass(frozen=True)
class Triangle(Rearrangement):
    """The entries of each matrix on and above a diagonal, or on and below it; the others are 0.

    ``y[..., i, j] = x[..., i, j]`` where ``j - i >= diagonal``, or ``<=`` for the lower one.

    Shapes:
        - x, y: ``(..., rows, columns)``, of any dtype

    Args:
        upper: whether the triangle above is kept; the one below if False; default True.
        diagonal: how many columns the diagonal lies to the right of the main one; default 0.

    Raises:
        TypeError: ``upper`` is not True or False, or ``diagonal`` no integer.
        ShapeError: the input has fewer than two axes.

    Source: ONNX ``Trilu``.

    >>> import numpy as np
    >>> Triangle(upper=False, diagonal=-1).forward(np.ones((3, 3)))[0].tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """

    upper: bool = True
    diagonal: int = 0

    def __post_init__(self) -> None:
        freeze_flags(self, "upper")
        freeze_integers(self, "diagonal")

    def infer(self, x: Spec) -> Spec:
        expect_rank("an input", x, least=2)
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._kept(x), ()

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (self._kept(dy) if needs[0] else None,)

    def _kept(self, x: Array) -> Array:
        xp = namespace(x)
        rows, columns = x.shape[-2:]
        # further out all diagonals are the same, and an offset of 2^62 would overflow
        diagonal = min(max(self.diagonal, -rows), columns)
        offsets = xp.arange(columns) - xp.arange(rows)[:, None]
        inside = offsets >= diagonal if self.upper else offsets <= diagonal
        return xp.where(inside, x, xp.zeros((), dtype=x.dtype))
