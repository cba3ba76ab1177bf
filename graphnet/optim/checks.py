"""Checks of hyper-parameters while a schedule or an optimizer is constructed."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

from ops.operator import is_integer

__all__ = [
    "BELOW_ONE",
    "NOT_NEGATIVE",
    "POSITIVE",
    "UP_TO_ONE",
    "Range",
    "expect_count",
    "expect_number",
    "freeze_numbers",
]


class Range(NamedTuple):
    """The values a number may have: in words, and as a test that NaN never passes."""

    words: str
    holds: Callable[[float], bool]


POSITIVE = Range("a finite number above 0", lambda value: 0 < value < math.inf)
NOT_NEGATIVE = Range("a finite number of at least 0", lambda value: 0 <= value < math.inf)
BELOW_ONE = Range("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
UP_TO_ONE = Range("a number above 0 and at most 1", lambda value: 0 < value <= 1)


def expect_number(owner: object, name: str, value: Any, allowed: Range) -> float:
    """The value as a Python float.

    A NumPy scalar in its place would turn float32 arrays into float64 ones.

    Raises:
        TypeError: the value is no number.
        ValueError: the value is out of range, or NaN.
    """
    message = f"{type(owner).__name__}: expected {allowed.words} for {name}, received {value!r}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(message)
    if not allowed.holds(float(value)):
        raise ValueError(message)
    return float(value)


def freeze_numbers(owner: object, allowed: Range, *names: str) -> None:
    """Check fields of a frozen dataclass with :func:`expect_number`, and make them floats."""
    for name in names:
        value = expect_number(owner, name, getattr(owner, name), allowed)
        object.__setattr__(owner, name, value)


def expect_count(owner: object, name: str, value: Any) -> int:
    """The value as a Python integer of at least 1.

    Raises:
        TypeError: the value is no integer.
        ValueError: the value is below 1.
    """
    message = f"{type(owner).__name__}: expected an integer of at least 1 for {name}"
    if not is_integer(value):
        raise TypeError(f"{message}, received {value!r}")
    if value < 1:
        raise ValueError(f"{message}, received {value}")
    return int(value)
