"""Joining inputs along an axis, repeating them, and cutting them apart again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ops.arrays import Array, namespace
from ops.dimension import Size
from ops.fields import freeze_integers, freeze_sizes
from ops.operator import ShapeError, Spec, normalize_axis, show
from ops.shape import Rearrangement

__all__ = ["Concat", "Split", "Stack", "Tile"]


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


@dataclass(frozen=True)
class Stack(Rearrangement):
    """Join any number of equal inputs along a new axis, in the order given.

    Shapes:
        - xs: one or more of one shape and dtype
        - y: their shape, with their number at ``axis``

    Args:
        axis: where the new axis stands in y, counted from its end if negative; default 0.

    Raises:
        TypeError: the axis is no integer.
        ShapeError: there is no input, y has no such axis, or the inputs differ.

    Source: ONNX ``ConcatFromSequence`` with ``new_axis=1``.

    >>> import numpy as np
    >>> Stack(axis=1).forward(np.zeros((2, 3)), np.zeros((2, 3)))[0].shape
    (2, 2, 3)
    """

    axis: int = 0

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")

    def infer(self, *xs: Spec) -> Spec:
        if not xs:
            raise ShapeError("expected at least one input, received none")
        first = xs[0]
        axis = normalize_axis(self.axis, first.rank + 1)
        for x in xs:
            if x != first:
                raise ShapeError(f"expected equal inputs, received {show(first)} and {show(x)}")
        return first.with_shape((*first.shape[:axis], len(xs), *first.shape[axis:]))

    def forward(self, *xs: Array) -> tuple[Array, tuple[Array, ...]]:
        return namespace(xs[0]).stack(xs, axis=self.axis), ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        before = (slice(None),) * normalize_axis(self.axis, dy.ndim)
        # the ellipsis keeps an array where the inputs have no axis
        return tuple(
            dy[(*before, number, ...)].copy() if needed else None
            for number, needed in enumerate(needs)
        )


@dataclass(frozen=True)
class Split(Rearrangement):
    """Cut the input into parts along one axis; each is an output.

    Shapes:
        - x: any, of any dtype
        - ys: two or more, equal to x but for their sizes along ``axis``, which add up to its

    Args:
        parts: how many equal parts, or the size of each.
        axis: the axis that is cut, counted from the end if negative; default 1, the channels.

    Raises:
        TypeError, ValueError: a field is no integer, a size not positive, or there are fewer
            than two parts.
        ShapeError: there is no such axis, or the parts do not add up to it.

    Source: ONNX ``Split``, whose default axis is 0.

    >>> import numpy as np
    >>> [y.tolist() for y in Split((1, 2)).forward(np.array([[1.0, 2.0, 3.0]]))[0]]
    [[[1.0]], [[2.0, 3.0]]]
    """

    parts: int | tuple[int, ...]
    axis: int = 1

    def __post_init__(self) -> None:
        freeze_sizes(self, "parts")
        freeze_integers(self, "axis")
        if (self.parts if isinstance(self.parts, int) else len(self.parts)) < 2:
            raise ValueError(f"Split: expected at least two parts, received {self.parts}")

    def infer(self, x: Spec) -> tuple[Spec, ...]:
        axis = normalize_axis(self.axis, x.rank)
        before, whole, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        sizes: tuple[Size, ...]
        if isinstance(self.parts, tuple):
            sizes = self.parts
            fits = sum(self.parts) == whole
        else:
            try:
                size = whole // self.parts
            except ValueError:  # a symbolic size that is not known to be a multiple
                size = 0
            sizes = (size,) * self.parts
            fits = size * self.parts == whole
        if not fits:
            wanted = f"sizes {sizes}" if sizes is self.parts else f"{self.parts} equal parts"
            raise ShapeError(f"expected {wanted} along axis {axis}, received {show(x)}")
        return tuple(x.with_shape((*before, size, *after)) for size in sizes)

    def forward(self, x: Array) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return tuple(x[region] for region in self.regions(x.shape)), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: tuple[Array | None, ...], needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        if not needs[0]:
            return (None,)
        given = next(part for part in dy if part is not None)
        dx = namespace(given).empty(shape, dtype=given.dtype)
        for region, part in zip(self.regions(shape), dy, strict=True):
            dx[region] = 0 if part is None else part
        return (dx,)

    def regions(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """Where each part lies in x."""
        axis = normalize_axis(self.axis, len(shape))
        parts = self.parts
        sizes = parts if isinstance(parts, tuple) else (shape[axis] // parts,) * parts
        ends = accumulate(sizes)
        before = (slice(None),) * axis
        return [(*before, slice(end - n, end)) for n, end in zip(sizes, ends, strict=True)]


@dataclass(frozen=True)
class Tile(Rearrangement):
    """The whole input again and again along each axis.

    Shapes:
        - x: ``(n_0, n_1, ...)``, of any dtype
        - y: ``(n_0 * repeats[0], n_1 * repeats[1], ...)``

    Args:
        repeats: how often, one number per axis of x, the batch included.

    Raises:
        TypeError, ValueError: a number is no positive integer.
        ShapeError: the numbers are not as many as the axes of the input.

    Source: ONNX ``Tile``.

    >>> import numpy as np
    >>> Tile((1, 2)).forward(np.array([[1.0, 2.0]]))[0]
    array([[1., 2., 1., 2.]])
    """

    repeats: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.repeats, (list, tuple)):
            raise TypeError(f"Tile: expected one number per axis, received {self.repeats!r}")
        freeze_sizes(self, "repeats")

    def infer(self, x: Spec) -> Spec:
        if len(self.repeats) != x.rank:
            raise ShapeError(
                f"expected an input of {len(self.repeats)} axes, one for each of the repeats "
                f"{self.repeats}, received {show(x)}"
            )
        return x.with_shape(tuple(n * k for n, k in zip(x.shape, self.repeats, strict=True)))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return namespace(x).tile(x, self.repeats), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        if not needs[0]:
            return (None,)
        pairs = zip(self.repeats, shape, strict=True)
        # (n_0 * k_0, n_1 * k_1, ...) -> (k_0, n_0, k_1, n_1, ...)
        copies = dy.reshape(tuple(size for pair in pairs for size in pair))
        return (copies.sum(axis=tuple(range(0, copies.ndim, 2))),)
