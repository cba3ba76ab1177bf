"""Entries picked by integer indices.

An index below 0 counts from the end of its axis, as -1 does for the last entry.  Indices that
are fed are checked against the size of the axis.  One that is computed within a graph and
lies out of range raises IndexError on NumPy and wraps around on CuPy, so that nothing is read
or written out of bounds on either.

Where indices are equal, gradients add up.  CuPy adds them in no fixed order, so the last digits
may differ from run to run; where a kernel of the card serves, it has an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.dimension import Size, is_symbolic
from ops.fields import freeze_integers
from ops.operator import (
    Interval,
    ShapeError,
    Spec,
    expect_integers,
    expect_rank,
    known,
    normalize_axis,
    show,
)
from ops.scatter import added_back, added_up, picked, picked_along, places_along, places_of
from ops.shape import Rearrangement

__all__ = [
    "AlongAxis",
    "Gather",
    "GatherElements",
    "GatherND",
    "expect_elements",
    "expect_indices",
    "expect_places",
    "places_domain",
]


@dataclass(frozen=True)
class AlongAxis(Rearrangement):
    """What picking and writing along one axis share: the axis, and which indices there are."""

    axis: int = 0

    def domains(self, x: Spec, indices: Spec, *updates: Spec) -> dict[str, Interval]:
        (n,) = known(x.shape[normalize_axis(self.axis, x.rank)])
        return {"indices": Interval(-n, n)}


@dataclass(frozen=True)
class Gather(AlongAxis):
    """Slices of the input along one axis, as many and in such order as the indices say.

    ``y[..., i, j, ..., :] = x[..., indices[i, j, ...], :]``, where the index stands on ``axis``.

    Shapes:
        - x: any of one or more axes, of any dtype
        - indices: any, of an integer dtype, each in ``-n <= i < n`` for n entries along the axis
        - y: ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``

    Args:
        axis: the axis along which to pick, counted from the end if negative; default 0.

    Raises:
        TypeError: the axis is no integer.
        ShapeError: there is no such axis or no entry along it, the indices are no integers, or
            y would have two symbolic axes.

    Source: ONNX ``Gather``.

    >>> import numpy as np
    >>> Gather(axis=1).forward(np.array([[1.0, 2.0, 3.0]]), np.array([0, -1]))[0]
    array([[1., 3.]])
    """

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")

    def infer(self, x: Spec, indices: Spec) -> Spec:
        axis = normalize_axis(self.axis, x.rank)
        expect_indices(indices, x, axis)
        rest = (*x.shape[:axis], *x.shape[axis + 1 :])
        if is_symbolic(rest) and is_symbolic(indices.shape):
            raise ShapeError(
                f"expected one symbolic axis in the output, received {show(x)} and indices "
                f"{show(indices)}; GatherElements picks by indices of each example's own"
            )
        return x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))

    def forward(self, x: Array, indices: Array) -> tuple[Array, tuple[Any, ...]]:
        return picked(x, indices, self.axis), (indices, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        indices, shape = saved
        if not needs[0]:
            return None, None
        return added_back(dy, indices, shape, normalize_axis(self.axis, len(shape))), None


@dataclass(frozen=True)
class GatherElements(AlongAxis):
    """One entry of the input for each index, at the place of the index but for one axis.

    ``y[i, j, k] = x[i, indices[i, j, k], k]`` for three axes and ``axis=1``.

    Shapes:
        - x: any of one or more axes, of any dtype
        - indices: as many axes, of an integer dtype and any size along ``axis``, elsewhere no
          larger than x; each in ``-n <= i < n`` for n entries of x along the axis
        - y: the shape of the indices

    Args:
        axis: the axis along which to pick, counted from the end if negative; default 0.

    Raises:
        TypeError: the axis is no integer.
        ShapeError: there is no such axis or no entry along it, or the indices are no integers
            or do not fit the input.

    Source: ONNX ``GatherElements``; PyTorch's ``gather``, which knows no index below 0.

    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> GatherElements(axis=1).forward(x, np.array([[1], [0]]))[0]
    array([[2.],
           [3.]])
    """

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")

    def infer(self, x: Spec, indices: Spec) -> Spec:
        expect_elements(indices, x, normalize_axis(self.axis, x.rank))
        return x.with_shape(indices.shape)

    def forward(self, x: Array, indices: Array) -> tuple[Array, tuple[Any, ...]]:
        return picked_along(x, indices, normalize_axis(self.axis, x.ndim)), (indices, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        indices, shape = saved
        if not needs[0]:
            return None, None
        flat = places_along(indices, shape, normalize_axis(self.axis, len(shape)))
        return added_up(dy, flat, shape), None


@dataclass(frozen=True)
class GatherND(Rearrangement):
    """Slices of the input at places given by as many indices as it takes, side by side.

    ``y[b, i, ..., :] = x[b, *indices[b, i, :], ..., :]`` for one batch axis b.

    Shapes:
        - x: ``(*batch, *sizes, *rest)``, of any dtype
        - indices: ``(*batch, *places, k)``, of an integer dtype, one index for each of the k
          sizes, in ``-n <= i < n``
        - y: ``(*batch, *places, *rest)``

    Args:
        batch_axes: how many leading axes x and indices have in common; default 0.

    Raises:
        TypeError, ValueError: ``batch_axes`` is no integer of at least 0.
        ShapeError: the batch axes differ, x has fewer axes than there are indices, or the
            indices are no integers.

    Source: ONNX ``GatherND``; TensorFlow's ``gather_nd``.

    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> GatherND().forward(x, np.array([[0, 1], [-1, 0]]))[0]
    array([2., 3.])
    """

    batch_axes: int = 0

    def __post_init__(self) -> None:
        freeze_integers(self, "batch_axes")
        if self.batch_axes < 0:
            raise ValueError(
                f"GatherND: expected batch_axes of at least 0, received {self.batch_axes}"
            )

    def infer(self, x: Spec, indices: Spec) -> Spec:
        count = expect_places(indices, x, self.batch_axes)
        rest = x.shape[self.batch_axes + count :]
        return x.with_shape((*indices.shape[:-1], *rest))

    def domains(self, x: Spec, indices: Spec) -> dict[str, Interval]:
        return places_domain(x, indices, self.batch_axes)

    def forward(self, x: Array, indices: Array) -> tuple[Array, tuple[Any, ...]]:
        places, rows = places_of(indices, x.shape, self.batch_axes)
        y = picked(x.reshape(rows), places, 0)
        return y.reshape(self._picked_shape(indices, x.shape)), (places, x.shape, rows)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        places, shape, rows = saved
        if not needs[0]:
            return None, None
        return added_back(dy, places, rows, 0).reshape(shape), None

    def _picked_shape(self, indices: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*indices.shape[:-1], *shape[self.batch_axes + indices.shape[-1] :])


def expect_indices(indices: Spec, x: Spec, axis: int) -> None:
    """Refuse indices that are no integers, or any where the axis has no entry.

    Raises:
        ShapeError: one of these.
    """
    expect_integers("indices", indices)
    if x.shape[axis] == 0 and all(n != 0 for n in indices.shape):
        raise ShapeError(
            f"expected entries along axis {axis} for indices {show(indices)}, received {show(x)}"
        )


def expect_elements(indices: Spec, x: Spec, axis: int) -> None:
    """Refuse indices that do not lie within the input, but for the axis.

    Raises:
        ShapeError: one of these, or those of :func:`expect_indices`.
    """
    expect_indices(indices, x, axis)
    fits = indices.rank == x.rank and all(
        other == axis or _within(n, size)
        for other, (n, size) in enumerate(zip(indices.shape, x.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"expected indices no larger than {show(x)} but along axis {axis}, "
            f"received {show(indices)}"
        )


def expect_places(indices: Spec, x: Spec, batch_axes: int = 0) -> int:
    """How many indices make up one place of the input, along the last axis of the indices.

    Raises:
        ShapeError: the indices are no integers, or do not fit the input.
    """
    expect_integers("indices", indices)
    expect_rank("indices", indices, least=batch_axes + 1)
    (count,) = known(indices.shape[-1])
    sizes = x.shape[batch_axes : batch_axes + count]
    empty = 0 in sizes and all(n != 0 for n in indices.shape)
    if x.rank < batch_axes + count or x.shape[:batch_axes] != indices.shape[:batch_axes] or empty:
        raise ShapeError(
            f"expected indices for some first axes of {show(x)}, after {batch_axes} axes in "
            f"common, received {show(indices)}"
        )
    return count


def places_domain(x: Spec, indices: Spec, batch_axes: int = 0) -> dict[str, Interval]:
    """The indices that some axis has; which one is theirs, their place along the last axis says."""
    count = expect_places(indices, x, batch_axes)
    sizes = known(*x.shape[batch_axes : batch_axes + count])
    return {"indices": Interval(-max(sizes), max(sizes))} if sizes else {}


def _within(n: Size, size: Size) -> bool:
    return n == size or (isinstance(n, int) and isinstance(size, int) and n <= size)
