"""Records: what drives all checks of one operator, and the loop that draws its cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import strategies as st

from graphnet.testing.case import Case
from ops.operator import Operator

__all__ = ["Record", "prove"]


@dataclass(frozen=True)
class Record:
    """All that is needed to prove one operator.

    Attributes:
        operator: its class.
        cases: a strategy that draws attributes and inputs that fit.
        reference: ``(operator, *inputs)`` to the output (or a tuple of outputs), computed in
            another way: a naive loop, SciPy.
        linear: the inputs in which the operator is affine; they get the exact adjoint test.
    """

    operator: type[Operator]
    cases: st.SearchStrategy[Case]
    reference: Callable[..., Any] | None = None
    linear: tuple[str, ...] = ()


def prove(
    cases: st.SearchStrategy[Case],
    check: Callable[[Case], None],
    *,
    settings: hypothesis.settings | None = None,
    seed: int | None = None,
) -> None:
    """Try to break one check with drawn cases; the smallest case that does is raised.

    Args:
        cases: what to draw from.
        check: raises for a case that breaks it.
        settings: Hypothesis's; the active profile when None.
        seed: makes the draws repeat; Hypothesis's own choice when None.
    """

    @hypothesis.given(cases)
    def attempt(case: Case) -> None:
        check(case)

    if settings is not None:
        attempt = settings(attempt)
    if seed is not None:
        attempt = hypothesis.seed(seed)(attempt)
    attempt()
