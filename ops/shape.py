"""The same entries in another shape: flattened, reshaped, transposed, squeezed, expanded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes, unbroadcast
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

__all__ = [
    "Expand",
    "Flatten",
    "Rearrangement",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "distinct_axes",
    "freeze_several",
]


@dataclass(frozen=True)
class Rearrangement(Operator):
    """What they share: no arithmetic."""

    def flops(self, *specs: Spec) -> int:
        return 0


@dataclass(frozen=True)
class _Reshaping(Rearrangement):
    """The same entries in raster order, in the shape that ``infer`` gives."""

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x.reshape(self.infer(Spec(x.shape, x.dtype.name)).shape), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        return (dy.copy().reshape(shape) if needs[0] else None,)


def freeze_several(owner: object, *names: str) -> None:
    """Check fields that hold one integer of any sign or several; all become tuples.

    Raises:
        TypeError: a value is neither.
    """
    for name in names:
        value = getattr(owner, name)
        entries = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if not all(map(is_integer, entries)):
            raise TypeError(
                f"{type(owner).__name__}: expected an integer or several for {name}, "
                f"received {value!r}"
            )
        object.__setattr__(owner, name, tuple(map(int, entries)))


def _freeze_wanted(owner: Any, least: int) -> None:
    """Check the field ``shape``: sizes of at least ``least``, ``-1``, and ``"N"`` at most once."""
    name, received = type(owner).__name__, owner.shape
    if not isinstance(received, (list, tuple)):
        raise TypeError(f"{name}: expected a tuple of sizes, received {received!r}")
    shape: list[int | str] = []
    for size in received:
        if size == "N":
            shape.append("N")
        elif not is_integer(size):
            raise TypeError(f'{name}: expected integers, -1 or "N", received {received!r}')
        elif int(size) < least and int(size) != -1:
            raise ValueError(
                f"{name}: expected sizes of at least {least}, or -1, received {received!r}"
            )
        else:
            shape.append(int(size))
    if shape.count("N") > 1:
        raise ValueError(f'{name}: expected "N" at most once, received {received!r}')
    object.__setattr__(owner, "shape", tuple(shape))


def distinct_axes(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The axes counted from the front, in the order given.

    Raises:
        ShapeError: one of them does not exist, or is named twice.
    """
    found = tuple(normalize_axis(axis, rank) for axis in axes)
    if len(set(found)) < len(found):
        raise ShapeError(f"expected distinct axes, received {axes} for {rank} axes")
    return found


@dataclass(frozen=True)
class Flatten(_Reshaping):
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


@dataclass(frozen=True)
class Reshape(_Reshaping):
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
        _freeze_wanted(self, least=0)
        if self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: expected -1 at most once, received {self.shape!r}")

    def infer(self, x: Spec) -> Spec:
        return x.with_shape(self._resolve(x))

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
        if self.axes is not None:
            freeze_several(self, "axes")

    def infer(self, x: Spec) -> Spec:
        return x.with_shape(tuple(x.shape[axis] for axis in self.order(x.rank)))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return x.transpose(self.order(x.ndim)), ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        order = self.order(dy.ndim)
        inverse = sorted(range(dy.ndim), key=order.__getitem__)
        return (dy.transpose(tuple(inverse)).copy() if needs[0] else None,)

    def order(self, rank: int) -> tuple[int, ...]:
        """The axes of x in the order of those of y, counted from the front.

        Raises:
            ShapeError: ``axes`` is no permutation of as many axes.
        """
        if self.axes is None:
            return tuple(reversed(range(rank)))
        if sorted(axis + rank if axis < 0 else axis for axis in self.axes) != list(range(rank)):
            raise ShapeError(f"expected each of {rank} axes once, received {self.axes}")
        return tuple(axis % rank for axis in self.axes)


@dataclass(frozen=True)
class Squeeze(_Reshaping):
    """Drop axes of size 1.

    Shapes:
        - x: any with size 1 along ``axes``, of any dtype
        - y: the shape of x without these axes

    Args:
        axes: the axis or axes to drop, negative ones counted from the end.  None drops all of
            size 1, for which every size must be known: a batch may be one example.

    Raises:
        TypeError: an axis is no integer.
        ShapeError: an axis is missing, named twice or not of size 1, or ``axes`` is None and
            the input has a symbolic size.

    Source: ONNX ``Squeeze``.

    >>> import numpy as np
    >>> Squeeze(-1).forward(np.zeros((1, 3, 1)))[0].shape
    (1, 3)
    """

    axes: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.axes is not None:
            freeze_several(self, "axes")

    def infer(self, x: Spec) -> Spec:
        if self.axes is None:
            if is_symbolic(x.shape):
                raise ShapeError(f"expected axes to drop, for N may be 1 in {show(x)}")
            return x.with_shape(tuple(n for n in x.shape if n != 1))
        axes = distinct_axes(self.axes, x.rank)  # type: ignore[arg-type]
        if any(x.shape[axis] != 1 for axis in axes):
            raise ShapeError(f"expected size 1 along axes {self.axes}, received {show(x)}")
        return x.with_shape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))


@dataclass(frozen=True)
class Unsqueeze(_Reshaping):
    """Insert axes of size 1.

    Shapes:
        - x: any, of any dtype
        - y: the sizes of x, in order, with 1 at ``axes``

    Args:
        axes: where the new axis or axes stand in y, negative ones counted from its end.

    Raises:
        TypeError: an axis is no integer.
        ShapeError: y has no such axis, or one is named twice.

    Source: ONNX ``Unsqueeze``.

    >>> import numpy as np
    >>> Unsqueeze((0, -1)).forward(np.zeros((2, 3)))[0].shape
    (1, 2, 3, 1)
    """

    axes: int | tuple[int, ...]

    def __post_init__(self) -> None:
        freeze_several(self, "axes")

    def infer(self, x: Spec) -> Spec:
        rank = x.rank + len(self.axes)  # type: ignore[arg-type]
        added = distinct_axes(self.axes, rank)  # type: ignore[arg-type]
        sizes = iter(x.shape)
        return x.with_shape(tuple(1 if axis in added else next(sizes) for axis in range(rank)))


@dataclass(frozen=True)
class Expand(Rearrangement):
    """Repeat the input along axes of size 1, and along new ones in front.

    Shapes:
        - x: any that broadcasts with ``shape``, of any dtype
        - y: what the shape of x and ``shape`` broadcast to, aligned at the last axis

    Args:
        shape: the wanted sizes.  ``1`` and ``-1`` keep the size of x.  ``"N"`` keeps it too,
            and promises that it is the batch, which is checked as long as a size is symbolic.

    Raises:
        TypeError, ValueError: an entry is no size, or ``"N"`` occurs twice.
        ShapeError: the shapes do not broadcast, or ``-1`` or ``"N"`` meets no axis of x.

    Source: ONNX ``Expand``.

    >>> import numpy as np
    >>> Expand((4, "N", 3)).forward(np.zeros((2, 1)))[0].shape
    (4, 2, 3)
    """

    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        _freeze_wanted(self, least=1)

    def infer(self, x: Spec) -> Spec:
        # one size of x for each wanted one, None where the axis is new
        added = len(self.shape) - x.rank
        aligned = (*[None] * added, *x.shape[max(-added, 0) :])
        for wanted, size in zip(self.shape, aligned, strict=True):
            strays = wanted == "N" and is_symbolic(x.shape) and size != "N"
            if strays or (wanted in (-1, "N") and size is None):
                raise ShapeError(
                    f"expected an input with a size for each -1, and the batch for N, of "
                    f"{show_shape(self.shape)}, received {show(x)}"  # type: ignore[arg-type]
                )
        stretched = tuple(1 if size in (-1, "N") else size for size in self.shape)
        return x.with_shape(broadcast_shapes(x.shape, stretched))  # type: ignore[arg-type]

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        shape = self.infer(Spec(x.shape, x.dtype.name)).shape
        return namespace(x).broadcast_to(x, shape).copy(), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (shape,) = saved
        if not needs[0]:
            return (None,)
        return (dy.copy() if dy.shape == shape else unbroadcast(dy, shape),)
