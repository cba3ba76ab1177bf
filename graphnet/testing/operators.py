"""One line that proves an operator: shapes are drawn, inputs derived, promises checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.inputs import build_case, data_inputs, fitting_specs
from graphnet.testing.record import Proof, promises, prove, quiet_settings
from graphnet.testing.strategies import seeds
from ops.operator import Operator, ShapeError, Spec, expect_configuration

__all__ = ["check_operator", "prove_operator"]

#: What ``check_operator`` takes for an input; a strategy draws shapes, specs or arrays.
Given = st.SearchStrategy[Any] | tuple[int, ...] | Spec


def check_operator(
    operator: Operator,
    *inputs: Given,
    reference: Callable[..., Any] | None = None,
    linear: Sequence[str] = (),
    backends: Sequence[str] = ("strict",),
    low: float = -2.0,
    high: float = 2.0,
    max_examples: int = 50,
    seed: int = 0,
    case: int | None = None,
) -> None:
    """Hold an operator to every promise of the contract, on shapes drawn at random.

    Args:
        operator: what to prove.
        inputs: for each input that is not learned, a shape, a :class:`ops.Spec` (for integer
            inputs, drawn from the operator's ``domains``) or a Hypothesis strategy of shapes,
            specs or float64 arrays.  When none is given, shapes and dtypes that fit are found
            by asking ``infer``.
        reference: ``(operator, *inputs)`` to the output, computed in another way; without it
            only the gradient is held against ``forward``, and ``forward`` against nothing.
        linear: names of inputs in which the operator is affine, for the exact adjoint test.
        backends: compared with NumPy.
        low: floating entries are spaced evenly from here ...
        high: ... to here; for an operator that is not defined everywhere, such as a logarithm.
        max_examples: how many cases are drawn, each held to every promise.
        seed: makes a failure repeat.
        case: the number of one case, as a failure prints it; only that one is tried.

    Raises:
        BrokenPromise: the smallest case found that breaks a promise; its text says which
            promise, for which inputs, where it is worst, and how to see it again.
        ShapeError: no shape fits the operator.
        TypeError: it is no operator, breaks the contract as a class, or the number of inputs or
            a name in ``linear`` is wrong.

    >>> from ops import Tanh
    >>> check_operator(Tanh())
    """
    if not isinstance(operator, Operator):
        raise TypeError(f"expected an operator, such as Tanh(), received {operator!r}")
    signature = type(operator).signature()
    expect_configuration(operator)
    data = data_inputs(operator)
    if inputs and signature.variadic is None and len(inputs) < len(data):
        raise TypeError(
            f"{type(operator).__name__}: expected a shape for each of the inputs {data}, "
            f"received {len(inputs)}"
        )
    for name in linear:
        if name not in signature.names and signature.variadic is None:
            raise TypeError(f"{name!r} is no input of {type(operator).__name__}: {signature.names}")
    checks = promises(reference, linear, backends)
    try:
        if case is None:
            cases = _cases(operator, inputs, low, high)
            prove(cases, *checks, settings=quiet_settings(max_examples), seed=seed)
        else:
            specs = [spec if isinstance(spec, Spec) else Spec(spec, "float64") for spec in inputs]  # type: ignore[arg-type]
            one = build_case(operator, specs, case, low, high)
            for check in checks:
                check(one)
    except BrokenPromise as broken:
        if broken.case is not None:
            by_seed = any(isinstance(given, st.SearchStrategy) for given in inputs)
            broken.reproduce = _line(
                broken.case,
                len(inputs) or len(broken.case.inputs),
                f"seed={seed}, max_examples={max_examples}"
                if by_seed
                else f"case={broken.case.seed}",
                {"low": (low, -2.0), "high": (high, 2.0), "linear": (list(linear), [])},
                reference,
            )
        raise
    except hypothesis.errors.Unsatisfiable:
        raise ShapeError(
            f"{type(operator).__name__}: no drawn shape fits; give check_operator a shape "
            f"for each of the inputs {data}"
        ) from None


def prove_operator(
    operator: Operator,
    *,
    examples: int = 50,
    seed: int = 0,
    backends: Sequence[str] = ("strict",),
) -> Proof:
    """:func:`check_operator`, with what came of it as a result instead of an exception.

    Raises:
        ShapeError: no shape fits the operator.
        TypeError: it breaks the contract as a class.
    """
    start = time.perf_counter()
    broken = None
    try:
        check_operator(operator, max_examples=examples, seed=seed, backends=backends)
    except BrokenPromise as error:
        broken = error
    return Proof(repr(operator), examples, time.perf_counter() - start, broken)


def _cases(
    operator: Operator, inputs: Sequence[Given], low: float, high: float
) -> st.SearchStrategy[Case]:
    """Cases with the inputs given, or with all that can be found to fit."""
    if inputs:
        return _given_cases(operator, inputs, low, high)
    specs = fitting_specs(operator)
    if not specs:
        raise ShapeError(
            f"{type(operator).__name__}: no drawn shape fits; give check_operator a shape for "
            f"each of the inputs {data_inputs(operator)}"
        )
    return st.builds(
        lambda chosen, seed: build_case(operator, chosen, seed, low, high),
        st.sampled_from(specs),
        seeds,
    )


@st.composite
def _given_cases(
    draw: Callable[..., Any], operator: Operator, inputs: Sequence[Given], low: float, high: float
) -> Case:
    seed = draw(seeds)
    drawn = [draw(g) if isinstance(g, st.SearchStrategy) else g for g in inputs]
    specs = [
        Spec(g.shape, g.dtype.name)
        if isinstance(g, np.ndarray)
        else g
        if isinstance(g, Spec)
        else Spec(g, "float64")
        for g in drawn
    ]
    try:
        case = build_case(operator, specs, seed, low, high)
    except ShapeError:
        hypothesis.reject()
    arrays = [g if isinstance(g, np.ndarray) else x for g, x in zip(drawn, case.inputs)]  # noqa: B905 - learned inputs follow
    return Case(operator, (*arrays, *case.inputs[len(arrays) :]), seed)


def _line(
    case: Case,
    count: int,
    which: str,
    options: dict[str, tuple[Any, Any]],
    reference: Callable[..., Any] | None,
) -> str:
    """The call that makes the same checks of the same case again."""
    specs = [spec for spec in case.specs[:count] if spec is not None]
    data = type(case.operator).signature().data
    if data:
        specs = specs[: max(len(data), 0)]
    shapes = [repr(s.shape) if s.dtype in ("float64", "float32") else repr(s) for s in specs]
    changed = [f"{name}={value!r}" for name, (value, usual) in options.items() if value != usual]
    if reference is not None:
        changed.append(f"reference={getattr(reference, '__name__', 'reference')}")
    return f"check_operator({', '.join([repr(case.operator), *shapes, which, *changed])})"
