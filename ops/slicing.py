"""Regions of an input: a slice takes one out, a pad puts one into a border."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ops.arrays import Array, namespace
from ops.dimension import Dim
from ops.fields import expect_choice, holds, is_integer
from ops.operator import ShapeError, Spec, show
from ops.shape import Rearrangement, distinct_axes, freeze_several

__all__ = ["Pad", "Slice"]

#: An end from here on means no end, as exporters write it: the largest 32-bit integer.
_UNBOUNDED = 2**31 - 1


@dataclass(frozen=True)
class Slice(Rearrangement):
    """The entries ``starts, starts + steps, ...`` before ``ends`` along each of some axes.

    A start or end below 0 counts from the end of the axis.  What still lies outside is
    clipped: to ``0..n`` for a positive step, and for a negative one a start to ``0..n-1`` and
    an end to ``-1..n-1``, where ``-1`` takes the first entry in.

    Shapes:
        - x: any, of any dtype
        - y: ``ceil((end - start) / step)`` entries along each of the axes, or none

    Args:
        starts: the first entry, one number per axis or one alone.
        ends: the entry ahead of which to stop, likewise; ``2**31 - 1`` or more for the end of
            any axis, ``-2**31`` or less for its beginning.
        axes: which axes, negative ones counted from the end; the first ones when None.  The
            symbolic batch can only be taken whole.
        steps: from entry to entry, not 0; 1 when None.

    Raises:
        TypeError, ValueError: a field is no integer, a step is 0, or their numbers differ.
        ShapeError: an axis is missing, named twice, or symbolic and not taken whole.

    Source: ONNX ``Slice``.

    >>> import numpy as np
    >>> Slice(1, 4, axes=1, steps=2).forward(np.array([[0.0, 1.0, 2.0, 3.0, 4.0]]))[0]
    array([[1., 3.]])
    >>> Slice(-1, -(2**31), steps=-1).forward(np.array([0.0, 1.0, 2.0]))[0]
    array([2., 1., 0.])
    """

    starts: int | tuple[int, ...]
    ends: int | tuple[int, ...]
    axes: int | tuple[int, ...] | None = None
    steps: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        freeze_several(self, "starts", "ends")
        count = len(self.starts)  # type: ignore[arg-type]
        if self.axes is None:
            object.__setattr__(self, "axes", tuple(range(count)))
        if self.steps is None:
            object.__setattr__(self, "steps", (1,) * count)
        freeze_several(self, "axes", "steps")
        for name in ("ends", "axes", "steps"):
            if len(getattr(self, name)) != count:
                raise ValueError(
                    f"Slice: expected as many {name} as the {count} starts, "
                    f"received {getattr(self, name)}"
                )
        if 0 in self.steps:  # type: ignore[operator]
            raise ValueError(f"Slice: expected steps other than 0, received {self.steps}")

    def infer(self, x: Spec) -> Spec:
        distinct_axes(self.axes, x.rank)  # type: ignore[arg-type]
        sizes = list(x.shape)
        for axis, start, end, step in self._bounds(x.rank):
            size = x.shape[axis]
            if not isinstance(size, Dim):
                sizes[axis] = len(_entries(start, end, step, size))
            elif (start, step) != (0, 1) or end < _UNBOUNDED:
                raise ShapeError(
                    f"expected all of the symbolic axis {axis}, which is start 0, step 1 and an "
                    f"end of 2**31 - 1 or more, received {start}, {step} and {end}"
                )
        return x.with_shape(tuple(sizes))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x[self.region(x.shape)], (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        if not needs[0]:
            return (None,)
        dx = namespace(dy).zeros(shape, dtype=dy.dtype)
        dx[self.region(shape)] = dy
        return (dx,)

    def region(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """What of x of this shape the slice is, a slice for each axis."""
        region: list[Any] = [slice(None)] * len(shape)
        for axis, start, end, step in self._bounds(len(shape)):
            region[axis] = _as_slice(_entries(start, end, step, shape[axis]))
        # the ellipsis keeps an array where x has no axis
        return (*region, ...)

    def _bounds(self, rank: int) -> Iterator[tuple[int, int, int, int]]:
        """The number, start, end and step of each sliced axis."""
        axes = [axis % rank for axis in self.axes]  # type: ignore[union-attr]
        return zip(axes, self.starts, self.ends, self.steps, strict=True)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pad(Rearrangement):
    """A border around the input: of one constant, of its mirrored or of its outermost entries.

    Shapes:
        - x: ``(n_0, n_1, ...)``, of any dtype
        - y: ``(begin_0 + n_0 + end_0, begin_1 + n_1 + end_1, ...)``

    Args:
        padding: one ``(begin, end)`` pair per axis of x, the batch included.
        value: what a constant border holds; default 0.
        mode: ``"constant"``; ``"reflect"``, the entries next to the outermost one, mirrored at
            it; ``"edge"``, the outermost entry; or ``"wrap"``, the entries from the other end.
            Default ``"constant"``.

    Raises:
        TypeError, ValueError: an entry is no integer or negative, the value no number, or the
            mode unknown.
        ShapeError: the dtype of the input does not hold the value, the pairs are not as many as
            its axes, or an axis has too few entries: ``reflect`` needs one more than it adds at
            either end, ``wrap`` as many, ``edge`` needs one.

    Source: ONNX ``Pad``.

    >>> import numpy as np
    >>> Pad(((0, 0), (1, 2))).forward(np.ones((1, 2)))[0]
    array([[0., 1., 1., 0., 0.]])
    >>> Pad(((2, 1),), mode="reflect").forward(np.array([1.0, 2.0, 3.0]))[0]
    array([3., 2., 1., 2., 3., 2.])
    """

    padding: tuple[tuple[int, int], ...]
    value: float = 0.0
    mode: str = "constant"

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
        expect_choice(self, "mode", ("constant", "reflect", "edge", "wrap"))
        object.__setattr__(self, "padding", tuple(pairs))
        object.__setattr__(self, "value", float(self.value))

    def infer(self, x: Spec) -> Spec:
        if not x.is_floating and not holds(x.dtype, self.value):
            raise ShapeError(
                f"expected an input whose dtype holds {self.value}, received {x.dtype}"
            )
        if len(self.padding) != x.rank:
            raise ShapeError(
                f"expected an input of {len(self.padding)} axes, one for each (begin, end) pair, "
                f"received {show(x)}"
            )
        pairs = list(zip(x.shape, self.padding, strict=True))
        if self.mode != "constant":
            for axis, (n, pair) in enumerate(pairs):
                least = {"edge": 1, "wrap": max(pair), "reflect": max(pair) + 1}[self.mode]
                if max(pair) and (isinstance(n, Dim) or n < least):
                    raise ShapeError(
                        f"expected at least {least} entries along axis {axis} for {self.mode} "
                        f"padding {pair}, received {show(x)}"
                    )
        return x.with_shape(tuple(n + (begin + end) for n, (begin, end) in pairs))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        padded = self.infer(Spec(x.shape, x.dtype.name)).shape
        y = namespace(x).full(padded, self.value, dtype=x.dtype)
        y[self.interior(y)] = x
        for axis, border, source in self._borders(y):
            y[_along(axis, border)] = y[_along(axis, source)]
        return y, ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        if self.mode == "constant":
            return (dy[self.interior(dy)].copy(),)
        folded = dy.copy()
        # an axis that was padded later repeats the borders of those before it
        for axis, border, source in reversed(self._borders(dy)):
            part = folded[_along(axis, border)]
            if self.mode == "edge":
                part = part.sum(axis=axis, keepdims=True)
            folded[_along(axis, source)] += part
        return (folded[self.interior(dy)],)

    def interior(self, y: Array) -> tuple[slice, ...]:
        """Where x lies in y."""
        pairs = zip(y.shape, self.padding, strict=True)
        return tuple(slice(begin, n - end) for n, (begin, end) in pairs)

    def _borders(self, y: Array) -> list[tuple[int, range, range]]:
        """The axis of each border that repeats entries, its positions and theirs."""
        if self.mode == "constant":
            return []
        borders = []
        for axis, (size, (begin, end)) in enumerate(zip(y.shape, self.padding, strict=True)):
            last = size - end - 1
            if self.mode == "edge":
                sources = range(begin, begin + 1), range(last, last + 1)
            elif self.mode == "wrap":
                sources = range(last + 1 - begin, last + 1), range(begin, begin + end)
            else:
                sources = range(2 * begin, begin, -1), range(last - 1, last - 1 - end, -1)
            places = range(begin), range(last + 1, size)
            pairs = zip(places, sources, strict=True)
            borders += [(axis, border, source) for border, source in pairs if border]
        return borders


def _entries(start: int, end: int, step: int, size: int) -> range:
    """The positions from start to end on an axis of known size, as :class:`Slice` clips them."""
    low, high = (0, size) if step > 0 else (-1, size - 1)
    start = min(max(start + size if start < 0 else start, 0), high)
    end = min(max(end + size if end < 0 else end, low), high)
    return range(start, end, step)


def _as_slice(run: range) -> slice:
    """The slice that takes these positions."""
    if not run:
        return slice(0, 0)
    # a stop of -1 would count from the end
    return slice(run.start, run.stop if run.stop >= 0 else None, run.step)


def _along(axis: int, run: range) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, _as_slice(run))
