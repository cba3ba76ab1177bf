"""Regions of an input: a slice takes one out, a pad puts one into a border."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from ops.arrays import Array, namespace
from ops.fields import is_integer
from ops.operator import ShapeError, Spec, expect_floating, show
from ops.shape import Rearrangement

__all__ = ["Pad"]


@dataclass(frozen=True)
class Pad(Rearrangement):
    """A border of one constant around the input.

    Shapes:
        - x: ``(n_0, n_1, ...)``
        - y: ``(begin_0 + n_0 + end_0, begin_1 + n_1 + end_1, ...)``

    Args:
        padding: one ``(begin, end)`` pair per axis of x, the batch included.
        value: what the border holds; default 0.

    Raises:
        TypeError, ValueError: an entry is no integer or negative, or the value no number.
        ShapeError: the input is not floating, or the pairs are not as many as its axes.

    Source: ONNX ``Pad``, mode ``constant``.

    >>> import numpy as np
    >>> Pad(((0, 0), (1, 2))).forward(np.ones((1, 2)))[0]
    array([[0., 1., 1., 0., 0.]])
    """

    padding: tuple[tuple[int, int], ...]
    value: float = 0.0

    def __post_init__(self) -> None:
        pairs = []
        for pair in self.padding:
            if not (isinstance(pair, (list, tuple)) and len(pair) == 2):
                raise TypeError(
                    f"Pad: expected a (begin, end) pair per axis, received padding {self.padding!r}"
                )
            if not all(map(is_integer, pair)):
                raise TypeError(f"Pad: expected integers for padding, received {self.padding!r}")
            if min(pair) < 0:
                raise ValueError(f"Pad: expected padding of at least 0, received {self.padding!r}")
            pairs.append((int(pair[0]), int(pair[1])))
        if not isinstance(self.value, Real) or isinstance(self.value, bool):
            raise TypeError(f"Pad: expected a number for value, received {self.value!r}")
        object.__setattr__(self, "padding", tuple(pairs))
        object.__setattr__(self, "value", float(self.value))

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        if len(self.padding) != x.rank:
            raise ShapeError(
                f"expected an input of {len(self.padding)} axes, one for each (begin, end) pair, "
                f"received {show(x)}"
            )
        pairs = zip(x.shape, self.padding, strict=True)
        return x.with_shape(tuple(n + (begin + end) for n, (begin, end) in pairs))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        padded = self.infer(Spec(x.shape, x.dtype.name)).shape
        y = namespace(x).full(padded, self.value, dtype=x.dtype)
        y[self._interior(y)] = x
        return y, ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (dy[self._interior(dy)].copy() if needs[0] else None,)

    def _interior(self, y: Array) -> tuple[slice, ...]:
        pairs = zip(y.shape, self.padding, strict=True)
        return tuple(slice(begin, n - end) for n, (begin, end) in pairs)
