"""Records: what drives all checks of one operator, and the loop that runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from graphnet.testing.checks import CHECKS, Case, check_adjoint, check_backend
from graphnet.testing.strategies import seeds, shapes, spaced_array
from ops.operator import Operator, Parameter, ShapeError, Spec, State, known

__all__ = ["Record", "check_operator", "prove"]


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


def check_operator(
    operator: Operator,
    *inputs: st.SearchStrategy[tuple[int, ...]] | tuple[int, ...],
    linear: Sequence[str] = (),
    backends: Sequence[str] = ("strict",),
    max_examples: int = 50,
    seed: int = 0,
) -> None:
    """Hold an operator to every promise of the contract, on shapes drawn at random.

    Args:
        operator: what to prove.
        inputs: for each input that is not learned, a shape or a strategy of shapes; when
            none is given, one random shape of rank 1 to 4 serves all of them.
        linear: names of inputs in which the operator is affine, for the exact adjoint test.
        backends: compared with NumPy.
        max_examples: drawn for each check.
        seed: makes a failure repeat.

    Raises:
        BrokenPromise: the smallest case found that breaks a promise; its text says which.
        ShapeError: no drawn shape fits the operator.

    >>> from ops import Tanh
    >>> check_operator(Tanh())
    """
    settings = hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    cases = _cases(operator, inputs)
    for check in CHECKS.values():
        prove(cases, check, settings=settings, seed=seed)
    if linear:
        prove(cases, lambda case: check_adjoint(case, linear), settings=settings, seed=seed)
    for backend in backends:
        prove(cases, lambda case: check_backend(case, backend), settings=settings, seed=seed)  # noqa: B023


@st.composite
def _cases(
    draw: Callable[..., Any],
    operator: Operator,
    inputs: Sequence[st.SearchStrategy[tuple[int, ...]] | tuple[int, ...]],
) -> Case:
    signature = type(operator).signature()
    seed = draw(seeds)
    if inputs:
        drawn = [draw(s) if isinstance(s, st.SearchStrategy) else s for s in inputs]
    else:
        drawn = [draw(shapes())] * max(len(signature.names) - len(signature.optional), 1)
    specs = [Spec(shape, "float64") for shape in drawn]
    try:
        if signature.data:
            specs = specs[: len(signature.data)]
        learned: dict[str, Parameter | State] = {}
        if signature.data:
            learned = {**operator.parameters(*specs), **operator.states(*specs)}
        given: list[np.ndarray | None] = [
            spaced_array(known(*spec.shape), seed + i) for i, spec in enumerate(specs)
        ]
        for name in signature.names[len(given) :]:
            declared = learned.get(name)
            if declared is None:
                given.append(None)
                continue
            rng = np.random.default_rng([seed, len(given)])
            first = declared.initializer.sample(declared.shape, declared.dtype, rng)
            noise = rng.uniform(0.1, 0.5, declared.shape) if first.dtype.kind == "f" else 0
            given.append((first + noise).astype(first.dtype))
        case = Case(operator, tuple(given), seed)
        case.inferred  # noqa: B018 - raises where the shapes do not fit
    except ShapeError:
        hypothesis.reject()
    return case
