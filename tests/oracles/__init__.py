"""Oracles: other libraries that compute the same operators, by code of their own.

A record's reference is a naive loop that one hand wrote beside the operator, so both may
misread a definition alike.  A library that others wrote and use does not share the mistake.

Each module holds ``TABLE``, from an operator's class to a function ``(operator, *inputs)`` that
computes its outputs with the library, and ``check(case)``, which compares them with the
operator's own.  The function returns None for a case that the library cannot express, and
``check`` then returns False; each such exclusion gives its reason.  ``LACKING`` says of which
operators the library knows nothing, and why.  A library is imported when it is first used, and
where it is not installed its tests are skipped.

- ``torch_oracle``: outputs and every gradient.
- ``onnx_oracle``: outputs, from the reference implementation of the standard.
- ``scipy_oracle``: outputs, of what signal processing and special functions cover.
"""

from __future__ import annotations

import importlib
from typing import Any

from graphnet.testing import Case
from graphnet.testing.checks import close, worst


class Lazy:
    """A module that is imported when something of it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_", "pytest")):
            # the collectors of tests and doctests ask for these of every name in a module
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)


def as_tuple(outputs):
    """One output or several, as a tuple."""
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def expect_agreement(case: Case, library: str, what: str, found, expected, rtol: float) -> None:
    """Refuse an array that is not the library's, but for ``rtol`` of its largest entry."""
    if not close(found, expected, rtol):
        raise case.broken(
            f"agreement with {library}", f"{what} differs from {library}'s {worst(found, expected)}"
        )


def per_axis(value, rank):
    """One value for each of ``rank`` axes."""
    return value if isinstance(value, tuple) else (value,) * rank
