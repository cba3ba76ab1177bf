"""What CuPy offers, from a committed list, so that it is known where CuPy is not installed.

A line of ``cupy_names.txt`` is ``pi`` for a value or ``sum(a, axis, dtype, out, keepdims)`` for
a function; ``ndarray.sum(...)`` is a method, ``add.at(...)`` a method of a ufunc.  The list is
written by ``tests/test_strict_names.py``.
"""

from __future__ import annotations

import functools

__all__ = ["accepts", "has", "is_module"]


def has(name: str) -> bool:
    """Whether CuPy has a function, class, value or method of this dotted name.

    >>> has("lib.stride_tricks.as_strided"), has("add.at"), has("exp2.at")
    (True, True, False)
    """
    return name in _names()


def accepts(name: str, argument: str) -> bool:
    """Whether the function takes the keyword; True where the list does not know.

    >>> accepts("sum", "keepdims"), accepts("sum", "where")
    (True, False)
    """
    arguments = _names()[name]
    return arguments is None or argument in arguments


def is_module(name: str) -> bool:
    """Whether the list holds names below this one.

    >>> is_module("linalg"), is_module("random")
    (True, False)
    """
    return name in _prefixes()


@functools.cache
def _names() -> dict[str, frozenset[str] | None]:
    from importlib import resources  # takes longer than all else here

    text = resources.files("graphnet.backends").joinpath("cupy_names.txt")
    names: dict[str, frozenset[str] | None] = {}
    for line in text.read_text(encoding="utf-8").splitlines():
        name, opening, arguments = line.partition("(")
        known = opening and "**" not in arguments
        names[name] = frozenset(arguments[:-1].split(", ")) if known else None
    return names


@functools.cache
def _prefixes() -> frozenset[str]:
    parts = (name.split(".")[:-1] for name in _names())
    return frozenset(".".join(path[:n]) for path in parts for n in range(1, len(path) + 1))
