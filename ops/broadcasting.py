"""NumPy's broadcasting rule for shapes with a symbolic batch, and its transpose for gradients."""

from __future__ import annotations

from itertools import zip_longest

from ops.arrays import Array
from ops.dimension import Size
from ops.operator import ShapeError, Spec, show, show_shape

__all__ = ["broadcast_shapes", "expect_equal_dtypes", "unbroadcast"]


def broadcast_shapes(*shapes: tuple[Size, ...]) -> tuple[Size, ...]:
    """The shape to which ``shapes`` broadcast, aligned at the last axis.

    Raises:
        ShapeError: two sizes differ and neither is 1.

    >>> broadcast_shapes((4, 1, 3), (5, 1))
    (4, 5, 3)
    """
    out: list[Size] = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            received = " and ".join(map(show_shape, shapes))
            raise ShapeError(f"expected shapes that broadcast, received {received}")
        out.append(wide.pop() if wide else 1)
    return tuple(reversed(out))


def expect_equal_dtypes(a: Spec, b: Spec) -> None:
    """Refuse two inputs of different dtypes: neither is converted in silence.

    Raises:
        ShapeError: they differ.
    """
    if a.dtype != b.dtype:
        raise ShapeError(f"expected equal dtypes, received {show(a)} and {show(b)}")


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its value was broadcast from ``shape``.

    >>> import numpy as np
    >>> unbroadcast(np.ones((2, 3)), (3,))
    array([2., 2., 2.])
    """
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    stretched = tuple(
        axis + added for axis, n in enumerate(shape) if n == 1 and gradient.shape[axis + added] != 1
    )
    return gradient.sum(axis=(*range(added), *stretched), keepdims=True).reshape(shape)
