"""Records: what drives all checks of one operator, and the loop that draws its cases."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import strategies as st

from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.checks import CHECKS, check_adjoint, check_backend, check_reference
from ops.operator import Operator

__all__ = ["Proof", "Record", "promises", "prove", "prove_record", "quiet_settings"]

Check = Callable[[Case], None]


@dataclass(frozen=True)
class Record:
    """All that is needed to prove one operator.

    Attributes:
        operator: its class.
        cases: a strategy that draws attributes and inputs that fit.
        reference: ``(operator, *inputs)`` to the output (or a tuple of outputs), computed in
            another way: a naive loop over Python floats.
        linear: the inputs in which the operator is affine; they get the exact adjoint test.
    """

    operator: type[Operator]
    cases: st.SearchStrategy[Case]
    reference: Callable[..., Any] | None = None
    linear: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What came of proving one operator.

    Attributes:
        name: of the operator.
        examples: how many cases were drawn, each held to every promise.
        seconds: how long it took.
        broken: the promise that broke, with the smallest case that shows it; None for none.
    """

    name: str
    examples: int
    seconds: float
    broken: BrokenPromise | None

    def to_json(self) -> dict[str, Any]:
        """The same as values that JSON knows."""
        found = self.broken
        return {
            "operator": self.name,
            "passed": found is None,
            "examples": self.examples,
            "seconds": round(self.seconds, 3),
            "promise": found.promise if found else None,
            "case": repr(found.case) if found and found.case else None,
            "problem": found.problem if found else None,
            "reproduce": found.reproduce if found else None,
        }


def promises(
    reference: Callable[..., Any] | None = None,
    linear: Sequence[str] = (),
    backends: Sequence[str] = ("strict",),
) -> list[Check]:
    """All checks that apply, in the order in which a case is held to them."""
    checks = list(CHECKS.values())
    if linear:
        checks.append(lambda case: check_adjoint(case, linear))
    if reference is not None:
        checks.append(lambda case: check_reference(case, reference))
    checks += [functools.partial(check_backend, backend=backend) for backend in backends]
    return checks


def prove(
    cases: st.SearchStrategy[Case],
    *checks: Check,
    settings: hypothesis.settings | None = None,
    seed: int | None = None,
) -> None:
    """Try to break checks with drawn cases; the smallest case that does is raised.

    Args:
        cases: what to draw from.
        checks: made of every case, in this order; each raises for a case that breaks it.
        settings: Hypothesis's; the active profile when None.
        seed: makes the draws repeat; Hypothesis's own choice when None.
    """

    @hypothesis.given(cases)
    def attempt(case: Case) -> None:
        for check in checks:
            check(case)

    if settings is not None:
        attempt = settings(attempt)
    if seed is not None:
        attempt = hypothesis.seed(seed)(attempt)
    try:
        attempt()
    except BrokenPromise as broken:
        broken.__notes__ = []  # how the case was drawn: the error says what it is
        raise


def prove_record(
    record: Record,
    *,
    examples: int = 50,
    seed: int = 0,
    backends: Sequence[str] = ("strict",),
    reproduce: str | None = None,
) -> Proof:
    """Hold an operator to every promise, on ``examples`` cases of its record.

    Args:
        record: what to prove.
        examples: how many cases to draw.
        seed: makes the draws repeat.
        backends: compared with NumPy.
        reproduce: the line that does this again.
    """
    start = time.perf_counter()
    broken = None
    try:
        prove(
            record.cases,
            *promises(record.reference, record.linear, backends),
            settings=quiet_settings(examples),
            seed=seed,
        )
    except BrokenPromise as error:
        broken = error
        broken.reproduce = reproduce
    return Proof(record.operator.__name__, examples, time.perf_counter() - start, broken)


def quiet_settings(examples: int) -> hypothesis.settings:
    """Settings that draw ``examples`` cases, keep no database and report one fault."""
    return hypothesis.settings(
        max_examples=examples,
        report_multiple_bugs=False,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
