"""Derivatives without a derivation: central differences, and the tests built on them.

The dot-product test compares ``<v, J u>``, by central differences, with ``<u, J^T v>``, from
the reverse pass, for random directions ``u`` and ``v``.  It costs two forward passes for any
number of inputs.  The tolerance is relative to the sum of absolute terms, so neither side
can pass by cancelling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["directional_derivative", "dot", "mismatch", "numerical_gradient", "rounding"]

#: Step of the central difference in float64: truncation h^2 and rounding eps/h are both small.
STEP = 1e-5


def directional_derivative(
    f: Callable[[np.ndarray], list[np.ndarray]], x: np.ndarray, u: np.ndarray
) -> list[np.ndarray]:
    """``J u`` of a function with several results, by central differences.

    >>> directional_derivative(lambda x: [x**2], np.array([3.0]), np.array([1.0]))[0].round(6)
    array([6.])
    """
    above, below = f(x + STEP * u), f(x - STEP * u)
    return [(a - b) / (2 * STEP) for a, b in zip(above, below, strict=True)]


def dot(pairs: list[tuple[Any, Any]]) -> tuple[float, float]:
    """The inner product of lists of arrays, and the sum of the absolute terms.

    >>> dot([(np.array([1.0, -2.0]), np.array([3.0, 1.0]))])
    (1.0, 5.0)
    """
    terms = [np.asarray(a) * np.asarray(b) for a, b in pairs]
    return float(sum(t.sum() for t in terms)), float(sum(np.abs(t).sum() for t in terms))


def rounding(outputs: list[tuple[Any, Any]]) -> float:
    """What rounding alone may add to ``<v, J u>`` by central differences.

    Each of two results is off by some units in its last place, and the step divides that; and
    entries of order 1 that are moved by the step are off themselves.

    Args:
        outputs: pairs of a direction ``v`` and the result it multiplies.
    """
    eps = float(np.finfo("float64").eps)
    return 8 * eps * (dot(outputs)[1] / STEP + float(sum(np.abs(v).sum() for v, _ in outputs)))


def mismatch(
    left: tuple[float, float], right: tuple[float, float], allowance: float = 0.0
) -> float:
    """How far two inner products differ beyond ``allowance``, relative to the absolute terms.

    The scale is the larger of the two sums of absolute terms.

    >>> mismatch((1.0, 5.0), (1.5, 4.0))
    0.1
    """
    scale = max(left[1], right[1])
    beyond = abs(left[0] - right[0]) - allowance
    return max(beyond, 0.0) / scale if scale else 0.0 * beyond  # NaN stays NaN


def numerical_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, step: float = STEP
) -> np.ndarray:
    """The gradient of a scalar function, one entry at a time.

    >>> numerical_gradient(lambda x: float((x**2).sum()), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    gradient = np.zeros_like(x)
    moved = x.copy()
    for index in np.ndindex(*x.shape):
        moved[index] = x[index] + step
        above = f(moved)
        moved[index] = x[index] - step
        gradient[index] = (above - f(moved)) / (2 * step)
        moved[index] = x[index]
    return gradient
