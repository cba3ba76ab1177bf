"""Joining inputs along an axis, and cutting them apart again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.dimension import Size
from ops.fields import freeze_integers
from ops.operator import ShapeError, Spec, normalize_axis, show
from ops.shape import Rearrangement

__all__ = ["Concat"]


@dataclass(frozen=True)
class Concat(Rearrangement):
    """Join any number of inputs along one axis, in the order given.

    Shapes:
        - xs: one or more of one dtype, equal in all axes but ``axis``
        - y: the same, with the sum of their sizes along ``axis``

    Args:
        axis: the axis along which they follow each other; default 1, the channels.

    Raises:
        TypeError: the axis is no integer.
        ShapeError: there is no input, no such axis, or the inputs do not fit each other.

    Source: ONNX ``Concat``.

    >>> import numpy as np
    >>> Concat().forward(np.zeros((2, 3)), np.zeros((2, 4)))[0].shape
    (2, 7)
    """

    axis: int = 1

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")

    def infer(self, *xs: Spec) -> Spec:
        if not xs:
            raise ShapeError("expected at least one input, received none")
        first = xs[0]
        axis = normalize_axis(self.axis, first.rank)
        before, after = first.shape[:axis], first.shape[axis + 1 :]
        joined: Size = 0
        for x in xs:
            fits = x.rank == first.rank and (x.shape[:axis], x.shape[axis + 1 :]) == (before, after)
            if x.dtype != first.dtype or not fits:
                raise ShapeError(
                    f"expected inputs equal but for axis {axis}, "
                    f"received {show(first)} and {show(x)}"
                )
            joined = x.shape[axis] + joined
        return first.with_shape((*before, joined, *after))

    def forward(self, *xs: Array) -> tuple[Array, tuple[Any, ...]]:
        y = namespace(xs[0]).concatenate(xs, axis=self.axis)
        return y, tuple(x.shape[self.axis] for x in xs)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        before = (slice(None),) * normalize_axis(self.axis, dy.ndim)
        gradients: list[Array | None] = []
        start = 0
        for size, needed in zip(saved, needs, strict=True):
            part = dy[(*before, slice(start, start + size))]
            gradients.append(part.copy() if needed else None)
            start += size
        return tuple(gradients)
