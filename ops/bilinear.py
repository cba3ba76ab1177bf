"""Bilinear interpolation between the four entries about a point of an image."""

from __future__ import annotations

from collections.abc import Iterator

from ops.arrays import Array, namespace

__all__ = ["corners"]


def corners(
    rows: Array, columns: Array, height: int, width: int
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """The entries about points, with their weights and how these change with the point.

    An entry outside of the image has the weight 0.

    Args:
        rows: coordinates along the first axis, of any shape that broadcasts with ``columns``.
        columns: coordinates along the second axis.
        height: how many rows the image has.
        width: how many columns.

    Yields:
        Four times the place in the image, in raster order, the weight, and its slopes by row
        and by column.

    >>> import numpy as np
    >>> found = list(corners(np.array(0.25), np.array(1.0), 2, 2))
    >>> [(int(place), float(weight)) for place, weight, _, _ in found]
    [(1, 0.75), (1, 0.0), (3, 0.25), (3, 0.0)]
    """
    for row, row_weight, row_slope in _ends(rows, height):
        for column, column_weight, column_slope in _ends(columns, width):
            yield (
                row * width + column,
                row_weight * column_weight,
                row_slope * column_weight,
                row_weight * column_slope,
            )


def _ends(at: Array, n: int) -> list[tuple[Array, Array, Array]]:
    """The two entries about a coordinate, with the weight of each and its slope."""
    xp = namespace(at)
    # further out there is nothing, and an index of it exists
    at = xp.clip(at, -2.0, n)
    base = xp.floor(at)
    t = at - base
    one = xp.ones_like(at)
    found = []
    for entry, weight, slope in ((base, 1.0 - t, -one), (base + 1.0, t, one)):
        inside = (entry >= 0) & (entry < n)
        place = xp.clip(entry, 0, n - 1).astype("int64")
        found.append((place, weight * inside, slope * inside))
    return found
