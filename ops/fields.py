"""Checks of configuration while a frozen dataclass is constructed: numbers, counts, flags.

Every checked field ends as a Python number: a NumPy scalar in its place would turn float32
arrays into float64 ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BELOW_ONE",
    "FINITE",
    "NOT_NEGATIVE",
    "POSITIVE",
    "SHARE",
    "UP_TO_ONE",
    "Range",
    "expect_choice",
    "expect_count",
    "expect_number",
    "freeze_counts",
    "freeze_flags",
    "freeze_integers",
    "freeze_numbers",
    "freeze_sizes",
    "holds",
    "is_integer",
]


class Range(NamedTuple):
    """The values a number may have: in words, and as a test that NaN never passes."""

    words: str
    holds: Callable[[float], bool]


FINITE = Range("a finite number", math.isfinite)
POSITIVE = Range("a finite number above 0", lambda value: 0 < value < math.inf)
NOT_NEGATIVE = Range("a finite number of at least 0", lambda value: 0 <= value < math.inf)
BELOW_ONE = Range("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
UP_TO_ONE = Range("a number above 0 and at most 1", lambda value: 0 < value <= 1)
SHARE = Range("a number in 0..1", lambda value: 0 <= value <= 1)


def expect_number(owner: object, name: str, value: Any, allowed: Range) -> float:
    """The value as a Python float.

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
    owner_name = type(owner).__name__
    if not is_integer(value):
        raise TypeError(f"{owner_name}: expected an integer for {name}, received {value!r}")
    if value < 1:
        raise ValueError(f"{owner_name}: expected {name} of at least 1, received {value}")
    return int(value)


def freeze_counts(owner: object, *names: str) -> None:
    """Check fields that hold one positive integer.

    Raises:
        TypeError: a value is no integer.
        ValueError: a value is below 1.
    """
    for name in names:
        object.__setattr__(owner, name, expect_count(owner, name, getattr(owner, name)))


def freeze_sizes(owner: object, *names: str) -> None:
    """Check fields that hold one positive integer or a tuple of them; lists become tuples.

    Raises:
        TypeError: a value is no integer.
        ValueError: a value is below 1.
    """
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, (list, tuple)):
            value = tuple(expect_count(owner, name, entry) for entry in value)
        else:
            value = expect_count(owner, name, value)
        object.__setattr__(owner, name, value)


def freeze_flags(owner: object, *names: str) -> None:
    """Check fields that are True or False.

    Raises:
        TypeError: a value is neither.
    """
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(
                f"{type(owner).__name__}: expected True or False for {name}, received {value!r}"
            )
        object.__setattr__(owner, name, bool(value))


def freeze_integers(owner: object, *names: str) -> None:
    """Check fields that hold one integer of any sign, such as an axis.

    Raises:
        TypeError: a value is no integer.
    """
    for name in names:
        value = getattr(owner, name)
        if not is_integer(value):
            raise TypeError(
                f"{type(owner).__name__}: expected an integer for {name}, received {value!r}"
            )
        object.__setattr__(owner, name, int(value))


def expect_choice(owner: object, name: str, choices: tuple[str, ...]) -> None:
    """Check a field that holds one of a few words.

    Raises:
        ValueError: the value is none of them.
    """
    value = getattr(owner, name)
    if value not in choices:
        *most, last = (f'"{choice}"' for choice in choices)
        raise ValueError(
            f"{type(owner).__name__}: expected {', '.join(most)} or {last} for {name}, "
            f"received {value!r}"
        )


def holds(dtype: str, value: float) -> bool:
    """Whether an integer or boolean dtype has this very value.

    >>> holds("uint8", 255.0), holds("uint8", 256.0), holds("int64", 0.5)
    (True, False, False)
    """
    try:
        return value.is_integer() and bool(np.dtype(dtype).type(int(value)) == value)
    except OverflowError:
        return False


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer, which True and False are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
