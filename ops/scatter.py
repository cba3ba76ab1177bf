"""Picking entries by integer indices, and the transposes, which add them up again.

An index below 0 counts from the end of its axis.  One that is out of range raises IndexError
on NumPy and wraps around on CuPy: nothing is read or written out of bounds on either.
"""

from __future__ import annotations

import math

from ops.arrays import Array, namespace

__all__ = ["added_back", "added_up", "picked", "picked_along", "places_along", "places_of"]


def picked(x: Array, indices: Array, axis: int) -> Array:
    """The slices of ``x`` at the indices along one axis.

    >>> import numpy as np
    >>> picked(np.array([1.0, 2.0, 3.0]), np.array([0, -1]), axis=0)
    array([1., 3.])
    """
    return namespace(x).take(x, _signed(indices), axis=axis)


def added_back(dy: Array, indices: Array, shape: tuple[int, ...], axis: int) -> Array:
    """The transpose of :func:`picked`: zeros of ``shape`` to which the slices are added.

    >>> import numpy as np
    >>> added_back(np.array([1.0, 2.0, 4.0]), np.array([0, -1, 0]), (3,), axis=0)
    array([5., 0., 2.])
    """
    xp = namespace(dy)
    n, outer, inner = shape[axis], math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    # in the layout of dy, (outer, indices, inner)
    places = (_from_front(indices, n) * inner).reshape(indices.size, 1) + xp.arange(inner)
    places = xp.arange(outer).reshape(outer, 1, 1) * (n * inner) + places
    return added_up(dy, places, shape)


def picked_along(x: Array, indices: Array, axis: int) -> Array:
    """The entry of ``x`` for each index, at the place of the index but for one axis.

    >>> import numpy as np
    >>> picked_along(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1], [0]]), axis=1)
    array([[2.],
           [3.]])
    """
    near = tuple(slice(None if other == axis else n) for other, n in enumerate(indices.shape))
    return namespace(x).take_along_axis(x[near], _signed(indices), axis=axis)


def places_along(indices: Array, shape: tuple[int, ...], axis: int) -> Array:
    """The place in ``shape``, in raster order, of the entry that each index picks along an axis.

    >>> import numpy as np
    >>> places_along(np.array([[1], [0]]), (2, 2), axis=1)
    array([[1],
           [2]])
    """
    xp = namespace(indices)
    places = _from_front(indices, shape[axis]) * math.prod(shape[axis + 1 :])
    for other, n in enumerate(indices.shape):
        if other != axis:
            steps = xp.arange(n) * math.prod(shape[other + 1 :])
            places = places + steps.reshape((n,) + (1,) * (indices.ndim - other - 1))
    return places


def places_of(
    indices: Array, shape: tuple[int, ...], batch_axes: int = 0
) -> tuple[Array, tuple[int, int]]:
    """The rows of ``shape`` that indices ``(*batch, *places, k)`` pick, and the matrix they are of.

    A row is what the first axes leave, as many as there are batch axes and indices.

    >>> import numpy as np
    >>> places_of(np.array([[0, 1], [1, -1]]), (2, 3, 4))
    (array([1, 5]), (6, 4))
    """
    xp = namespace(indices)
    count = indices.shape[-1]
    batch, sizes = shape[:batch_axes], shape[batch_axes : batch_axes + count]
    places = xp.zeros(indices.shape[:-1], dtype="int64")
    for axis, n in enumerate(sizes):
        places = places * n + _from_front(indices[..., axis], n)
    first = xp.arange(math.prod(batch)).reshape((*batch, *[1] * (places.ndim - batch_axes)))
    places = places + first * math.prod(sizes)
    return places, (math.prod(batch) * math.prod(sizes), math.prod(shape[batch_axes + count :]))


def added_up(values: Array, places: Array, shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` to which each value is added at its place in raster order.

    A GPU adds values of one place in no fixed order: the last digits may differ between runs.

    >>> import numpy as np
    >>> added_up(np.array([1.0, 2.0, 4.0]), np.array([3, 0, 3]), (2, 2))
    array([[2., 0.],
           [0., 5.]])
    """
    xp = namespace(values)
    # add.at is several times as fast along one axis as along many
    sums = xp.zeros(math.prod(shape), dtype=values.dtype)
    xp.add.at(sums, places.reshape(-1), values.reshape(-1))
    return sums.reshape(shape)


def _from_front(indices: Array, n: int) -> Array:
    """Indices of either sign as positions; those out of range meet the array library's answer."""
    return namespace(indices).arange(n)[_signed(indices)]


def _signed(indices: Array) -> Array:
    # no library takes every integer dtype for an index
    return indices.astype("int64", copy=False)
