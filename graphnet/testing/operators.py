"""One line that proves an operator: shapes are drawn, inputs derived, promises checked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from graphnet.testing.case import Case
from graphnet.testing.checks import (
    CHECKS,
    check_adjoint,
    check_backend,
    check_reference,
)
from graphnet.testing.record import prove
from graphnet.testing.strategies import seeds, shapes, spaced_array
from ops.operator import Interval, Operator, Parameter, ShapeError, Spec, State, known

__all__ = ["check_operator"]

#: What ``check_operator`` takes for an input.
Shapes = st.SearchStrategy[tuple[int, ...]] | tuple[int, ...] | Spec


def check_operator(
    operator: Operator,
    *inputs: Shapes,
    reference: Callable[..., Any] | None = None,
    linear: Sequence[str] = (),
    backends: Sequence[str] = ("strict",),
    max_examples: int = 50,
    seed: int = 0,
) -> None:
    """Hold an operator to every promise of the contract, on shapes drawn at random.

    Args:
        operator: what to prove.
        inputs: for each input that is not learned, a shape, a :class:`ops.Spec` (for integer
            inputs, drawn from the operator's ``domains``) or a strategy of shapes; when none is
            given, one random shape of rank 1 to 4 serves all of them.
        reference: ``(operator, *inputs)`` to the output, computed in another way; without it
            only the gradient is held against ``forward``, and ``forward`` against nothing.
        linear: names of inputs in which the operator is affine, for the exact adjoint test.
        backends: compared with NumPy.
        max_examples: drawn for each check.
        seed: makes a failure repeat.

    Raises:
        BrokenPromise: the smallest case found that breaks a promise; its text says which.
        ShapeError: no drawn shape fits the operator.
        TypeError: it is no operator, or the number of inputs or a name in ``linear`` is wrong.

    >>> from ops import Tanh
    >>> check_operator(Tanh())
    """
    if not isinstance(operator, Operator):
        raise TypeError(f"expected an operator, such as Tanh(), received {operator!r}")
    signature = type(operator).signature()
    data = signature.data or tuple(n for n in signature.names if n not in signature.optional)
    if inputs and signature.variadic is None and not len(data) <= len(inputs):
        raise TypeError(
            f"{type(operator).__name__}: expected a shape for each of the inputs {data}, "
            f"received {len(inputs)}"
        )
    for name in linear:
        if name not in signature.names and signature.variadic is None:
            raise TypeError(f"{name!r} is no input of {type(operator).__name__}: {signature.names}")
    settings = hypothesis.settings(
        report_multiple_bugs=False,
        max_examples=max_examples,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    cases = _cases(operator, inputs)
    checks = list(CHECKS.values())
    if reference is not None:
        checks.append(lambda case: check_reference(case, reference))
    if linear:
        checks.append(lambda case: check_adjoint(case, linear))
    checks += [functools.partial(check_backend, backend=backend) for backend in backends]
    for check in checks:
        try:
            prove(cases, check, settings=settings, seed=seed)
        except hypothesis.errors.Unsatisfiable:
            raise ShapeError(
                f"{type(operator).__name__}: no drawn shape fits; give check_operator a shape "
                f"for each of the inputs {data}"
            ) from None


@st.composite
def _cases(
    draw: Callable[..., Any],
    operator: Operator,
    inputs: Sequence[Shapes],
) -> Case:
    signature = type(operator).signature()
    seed = draw(seeds)
    if inputs:
        drawn = [draw(s) if isinstance(s, st.SearchStrategy) else s for s in inputs]
    else:
        drawn = [draw(shapes())] * max(len(signature.names) - len(signature.optional), 1)
    specs = [s if isinstance(s, Spec) else Spec(s, "float64") for s in drawn]
    try:
        if signature.data:
            specs = specs[: len(signature.data)]
        learned: dict[str, Parameter | State] = {}
        if signature.data:
            learned = {**operator.parameters(*specs), **operator.states(*specs)}
        given: list[np.ndarray | None] = [
            spaced_array(known(*spec.shape), seed + i)
            if spec.is_floating
            else _integers(operator, specs, i, seed)
            for i, spec in enumerate(specs)
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


def _integers(operator: Operator, specs: Sequence[Spec], index: int, seed: int) -> np.ndarray:
    """Integers from the operator's domain of an input, or from 0..3 where it has none."""
    name = type(operator).signature().inputs(len(specs))[index]
    domain = operator.domains(*specs).get(name, Interval(0, 4))
    low, high = max(domain.low, 0), min(domain.high, 4 + max(domain.low, 0))
    rng = np.random.default_rng([seed, index])
    return rng.integers(int(low), int(high), known(*specs[index].shape)).astype(specs[index].dtype)
