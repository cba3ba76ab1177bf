"""Whether two arrays agree, where they differ most, and arrays laid out in unusual ways."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["close", "scattered", "worst"]


def close(a: Any, b: Any, rtol: float) -> bool:
    """Equal shapes, and entries equal to ``rtol`` of the largest; NaN and inf must agree.

    Below a hundredth, the error allowed is that of a hundredth: inputs are of order 1, and a
    result that small may be what is left of terms that cancelled.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=b.dtype.kind == "f"):
        return False
    a, b = a[finite].astype("float64"), b[finite].astype("float64")
    scale = max(float(np.abs(b).max(initial=0.0)), 1e-2)
    return bool(np.abs(a - b).max(initial=0.0) <= rtol * scale)


def worst(a: Any, b: Any) -> str:
    """Where an array is furthest from the one expected, and by how much, in words."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return f"in shape: {a.shape}, expected {b.shape}"
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(a.astype("float64") - b.astype("float64"))
    alike = (a == b) | ((a != a) & (b != b))  # infinite or NaN, both
    # what is left of NaN comes from an entry of which only one is infinite or NaN
    distance = np.where(alike, -1.0, np.where(np.isnan(distance), math.inf, distance))
    at = np.unravel_index(int(distance.argmax()), a.shape)
    place = f"[{', '.join(map(str, at))}]" if at else "its one entry"
    return f"most at {place}: {a[at]:.9g}, expected {b[at]:.9g}"


def scattered(x: np.ndarray) -> np.ndarray:
    """The same values in memory with gaps, axes in reversed order, and negative strides."""
    wide = np.zeros(tuple(2 * n for n in reversed(x.shape)), dtype=x.dtype)
    # the ellipsis keeps an array where x has no axis
    every_second: tuple[Any, ...] = (..., *(slice(None, None, -2) for _ in x.shape))
    view: np.ndarray = wide[every_second].T
    view[...] = x
    return view
