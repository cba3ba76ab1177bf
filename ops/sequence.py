"""Sequences of different lengths in one array, steps along one axis and examples along another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_integers
from ops.operator import Interval, ShapeError, Spec, known, normalize_axis, show
from ops.shape import Rearrangement

__all__ = ["ReverseSequence"]


@dataclass(frozen=True)
class ReverseSequence(Rearrangement):
    """The first steps of each example in reverse, as many as its length says; the rest stays.

    ``y[b, t] = x[b, length_b - 1 - t]`` for ``t < length_b``, else ``x[b, t]``.

    Shapes:
        - x, y: any of two or more axes, equal, of any dtype
        - lengths: ``(N,)``, of an integer dtype, each from 0 to the number of steps

    Args:
        batch_axis: the axis of the examples; default 0.
        time_axis: the axis of the steps; default 1.

    Raises:
        TypeError: an axis is no integer.
        ShapeError: an axis is missing, both are the same, or the lengths do not fit.

    Source: ONNX ``ReverseSequence``, whose axes are the other way by default.

    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> ReverseSequence().forward(x, np.array([2, 3]))[0].tolist()
    [[2.0, 1.0, 3.0], [6.0, 5.0, 4.0]]
    """

    batch_axis: int = 0
    time_axis: int = 1

    def __post_init__(self) -> None:
        freeze_integers(self, "batch_axis", "time_axis")

    def infer(self, x: Spec, lengths: Spec) -> Spec:
        batch, time = self._axes(x.rank)
        known(x.shape[time])
        if lengths.shape != (x.shape[batch],) or lengths.dtype not in ("int64", "int32"):
            raise ShapeError(
                f"expected one length for each entry of {show(x)} along axis {batch}, int32 or "
                f"int64, received {show(lengths)}"
            )
        return x

    def domains(self, x: Spec, lengths: Spec) -> dict[str, Interval]:
        (steps,) = known(x.shape[self._axes(x.rank)[1]])
        return {"lengths": Interval(0, steps + 1)}

    def forward(self, x: Array, lengths: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._reversed(x, lengths), (lengths,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (lengths,) = saved
        return (self._reversed(dy, lengths) if needs[0] else None), None

    def _reversed(self, x: Array, lengths: Array) -> Array:
        """What is its own inverse, and so its own transpose."""
        xp = namespace(x)
        batch, time = self._axes(x.ndim)
        along = [1] * x.ndim
        along[time] = x.shape[time]
        steps = xp.arange(x.shape[time]).reshape(along)
        along[time], along[batch] = 1, x.shape[batch]
        length = lengths.astype("int64").reshape(along)
        source = xp.where(steps < length, length - 1 - steps, steps)
        return xp.take_along_axis(x, source, axis=time)

    def _axes(self, rank: int) -> tuple[int, int]:
        batch, time = normalize_axis(self.batch_axis, rank), normalize_axis(self.time_axis, rank)
        if batch == time:
            raise ShapeError(f"expected two axes, received axis {batch} for both")
        return batch, time
