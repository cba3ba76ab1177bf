"""Operators that move entries and change none: flatten, reshape, transpose, concat, pad."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ops.arrays import Array, namespace
from ops.dimension import Dim, Size, is_symbolic
from ops.fields import is_integer
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    normalize_axis,
    show,
    show_shape,
)

__all__ = ["Concat", "Flatten", "Pad", "Reshape", "Transpose"]


@dataclass(frozen=True)
class _Rearrangement(Operator):
    """What they share: no arithmetic."""

    def flops(self, *specs: Spec) -> int:
        return 0


@dataclass(frozen=True)
class Flatten(_Rearrangement):
    """Join all axes from ``start_axis`` on into one, in raster order.

    Shapes:
        - x: ``(*leading, *rest)`` with ``start_axis`` leading axes, of any dtype
        - y: ``(*leading, product of rest)``

    Args:
        start_axis: the first axis that is joined; default 1, which keeps the batch.

    Raises:
        TypeError: ``start_axis`` is no integer.
        ShapeError: the input has no such axis.

    Source: ONNX ``Flatten``, whose leading axes stay apart here.

    >>> import numpy as np
    >>> Flatten().forward(np.zeros((2, 3, 4)))[0].shape
    (2, 12)
    """

    start_axis: int = 1

    def __post_init__(self) -> None:
        _expect_axis(self, "start_axis", self.start_axis)

    def infer(self, x: Spec) -> Spec:
        start = normalize_axis(self.start_axis, x.rank)
        return x.with_shape((*x.shape[:start], x.with_shape(x.shape[start:]).size))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        start = normalize_axis(self.start_axis, x.ndim)
        return x.reshape(*x.shape[:start], math.prod(x.shape[start:])), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        return (dy.copy().reshape(shape) if needs[0] else None,)


@dataclass(frozen=True)
class Reshape(_Rearrangement):
    """The same entries, in raster order, in another shape.

    Shapes:
        - x: any with as many entries as y, of any dtype
        - y: ``shape``

    Args:
        shape: the sizes of y.  ``-1`` stands for the one size that makes the number of
            entries agree.  ``"N"`` does so too, and promises that this size is the batch,
            which is checked as long as it is symbolic.  With both, ``"N"`` is the first size
            of x and ``-1`` fits the rest of each example.

    Raises:
        TypeError, ValueError: an entry is no size, or ``-1`` or ``"N"`` occurs twice.
        ShapeError: the numbers of entries differ, or leave ``-1`` or ``"N"`` open.

    Source: ONNX ``Reshape``.

    >>> import numpy as np
    >>> Reshape(("N", 2, -1)).forward(np.zeros((5, 6)))[0].shape
    (5, 2, 3)
    """

    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.shape, (list, tuple)):
            raise TypeError(f"Reshape: expected a tuple of sizes, received {self.shape!r}")
        shape: list[int | str] = []
        for size in self.shape:
            if size == "N":
                shape.append("N")
            elif not is_integer(size):
                raise TypeError(f'Reshape: expected integers, -1 or "N", received {self.shape!r}')
            elif int(size) < -1:
                raise ValueError(f"Reshape: expected sizes of at least -1, received {self.shape!r}")
            else:
                shape.append(int(size))
        if shape.count(-1) > 1 or shape.count("N") > 1:
            raise ValueError(
                f'Reshape: expected -1 and "N" at most once each, received {self.shape!r}'
            )
        object.__setattr__(self, "shape", tuple(shape))

    def infer(self, x: Spec) -> Spec:
        return x.with_shape(self._resolve(x))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x.reshape(self._resolve(Spec(x.shape, x.dtype.name))), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        return (dy.copy().reshape(shape) if needs[0] else None,)

    def _resolve(self, x: Spec) -> tuple[Size, ...]:
        known = math.prod(size for size in self.shape if isinstance(size, int) and size != -1)
        found: dict[Any, Any] = {}
        if -1 in self.shape and "N" in self.shape:
            if not x.shape or (is_symbolic(x.shape) and x.shape[0] != "N"):
                raise self._misfit(x)
            found["N"] = x.shape[0]
            found[-1] = self._quotient(x, x.with_shape(x.shape[1:]).size, known)
        elif -1 in self.shape:
            found[-1] = self._quotient(x, x.size, known)
        elif "N" in self.shape:
            found["N"] = self._quotient(x, x.size, known)
            if is_symbolic(x.shape) and found["N"] != "N":
                raise self._misfit(x)
        elif x.size != known:
            raise self._misfit(x)
        return tuple(found.get(size, size) for size in self.shape)

    def _quotient(self, x: Spec, entries: Size, known: int) -> Size:
        if known == 0 or (not isinstance(entries, Dim) and entries % known):
            raise self._misfit(x)
        try:
            return entries // known
        except ValueError:  # a symbolic size that is not known to be a multiple
            raise self._misfit(x) from None

    def _misfit(self, x: Spec) -> ShapeError:
        return ShapeError(f"expected entries that fit {show_shape(self.shape)}, received {show(x)}")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Transpose(_Rearrangement):
    """The axes in another order: axis ``i`` of y is axis ``axes[i]`` of x.

    Shapes:
        - x: any, of any dtype
        - y: ``(x.shape[axes[0]], x.shape[axes[1]], ...)``

    Args:
        axes: each axis of x once, negative ones counted from the end; reversed when None.

    Raises:
        TypeError: an axis is no integer.
        ShapeError: ``axes`` does not name each axis of the input once.

    Source: ONNX ``Transpose``.

    >>> import numpy as np
    >>> Transpose((0, 2, 3, 1)).forward(np.zeros((5, 3, 8, 9)))[0].shape
    (5, 8, 9, 3)
    """

    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.axes is None:
            return
        if not isinstance(self.axes, (list, tuple)) or not all(map(is_integer, self.axes)):
            raise TypeError(f"Transpose: expected integers for axes, received {self.axes!r}")
        object.__setattr__(self, "axes", tuple(map(int, self.axes)))

    def infer(self, x: Spec) -> Spec:
        return x.with_shape(tuple(x.shape[axis] for axis in self._order(x.rank)))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x.transpose(self._order(x.ndim)), ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        order = self._order(dy.ndim)
        inverse = sorted(range(dy.ndim), key=order.__getitem__)
        return (dy.transpose(tuple(inverse)).copy() if needs[0] else None,)

    def _order(self, rank: int) -> tuple[int, ...]:
        if self.axes is None:
            return tuple(reversed(range(rank)))
        if sorted(axis + rank if axis < 0 else axis for axis in self.axes) != list(range(rank)):
            raise ShapeError(f"expected each of {rank} axes once, received {self.axes}")
        return tuple(axis % rank for axis in self.axes)


@dataclass(frozen=True)
class Concat(_Rearrangement):
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
        _expect_axis(self, "axis", self.axis)

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
class Pad(_Rearrangement):
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


def _expect_axis(operator: Operator, name: str, axis: Any) -> None:
    if not is_integer(axis):
        raise TypeError(
            f"{type(operator).__name__}: expected an integer for {name}, received {axis!r}"
        )
