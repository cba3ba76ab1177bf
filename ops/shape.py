"""The same entries in another shape: flatten, reshape, transpose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.dimension import Dim, Size, is_symbolic
from ops.fields import freeze_integers, is_integer
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    normalize_axis,
    show,
    show_shape,
)

__all__ = ["Flatten", "Rearrangement", "Reshape", "Transpose"]


@dataclass(frozen=True)
class Rearrangement(Operator):
    """What they share: no arithmetic."""

    def flops(self, *specs: Spec) -> int:
        return 0


@dataclass(frozen=True)
class Flatten(Rearrangement):
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
        freeze_integers(self, "start_axis")

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
class Reshape(Rearrangement):
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
class Transpose(Rearrangement):
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
