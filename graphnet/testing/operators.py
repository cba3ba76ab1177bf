"""One line that proves an operator: shapes are drawn, inputs derived, promises checked."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.inputs import build_case, data_inputs, fitting_specs
from graphnet.testing.record import Check, Proof, promises, prove, quiet_settings
from graphnet.testing.strategies import seeds
from ops.fields import is_integer
from ops.operator import Operator, OperatorError, ShapeError, Spec, expect_configuration

__all__ = ["check_operator", "prove_operator"]

#: What ``check_operator`` takes for an input; a strategy draws one of the others.
Given = st.SearchStrategy[Any] | tuple[int | str, ...] | Spec | np.ndarray

#: Arrays of more entries are not printed into the line that reproduces a failure.
PRINTED = 64
#: How many smaller cases are tried once one is found that breaks a promise.
SMALLER = 200


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
        inputs: for each input that is not learned, a shape (of a float64 input, ``"N"`` in it
            is drawn), a :class:`ops.Spec` (``Spec((4,), "int64")`` for an integer input, drawn
            from the operator's ``domains``), a float64 or integer array, or a Hypothesis
            strategy of these.  When none is given, shapes and dtypes that fit are found by
            asking ``infer``.
        reference: ``(operator, *inputs)`` to the output, computed in another way; without it
            only the gradient is held against ``forward``, and ``forward`` against nothing.
        linear: names of floating inputs in which the operator is affine, for the exact adjoint
            test.
        backends: compared with NumPy.
        low: floating entries are spaced evenly from here ...
        high: ... to here; for an operator that is not defined everywhere, such as a logarithm.
        max_examples: how many cases are drawn, each held to every promise.
        seed: makes a failure repeat.
        case: the number of one case, as a failure prints it; only that one is tried.

    Raises:
        BrokenPromise: the smallest case found that breaks a promise; its text says which
            promise, for which inputs, where it is worst, and how to see it again.
        ShapeError: no shape fits the operator, or one that was given does not.
        OperatorError: it breaks the contract as a class, or in what ``parameters``, ``states``
            or ``domains`` returns; a ``TypeError``.
        TypeError: it is no operator, or an input is none of these, or missing, or another
            argument is of the wrong type.
        ValueError: ``low`` is not below ``high``, or a number is out of range.

    >>> from ops import Tanh
    >>> check_operator(Tanh())
    """
    __tracebackhide__ = True  # pytest shows the message, and not how the case was drawn
    _expect_options(reference, linear, backends, low, high, max_examples, seed, case)
    _expect_inputs(operator, inputs, linear, case)
    checks = promises(reference, linear, backends)
    specs = None
    try:
        specs = None if inputs else fitting_specs(operator)
        if case is not None:
            _hold(_Drawn(operator, inputs, case, low, high).case, checks)
        elif specs is not None:
            cases = st.builds(
                lambda chosen, seed: build_case(operator, chosen, seed, low, high),
                st.sampled_from(specs),
                seeds,
            )
            prove(cases, *checks, settings=quiet_settings(max_examples), seed=seed)
        else:
            cases = _given_cases(operator, inputs, low, high)
            prove(cases, *checks, settings=quiet_settings(max_examples), seed=seed)
    except BrokenPromise as broken:
        smallest = _smallest(broken, specs, checks, low, high) if specs else broken
        if smallest.case is not None:
            options = {
                "seed": (seed, 0),
                "max_examples": (max_examples, 50),
                "low": (low, -2.0),
                "high": (high, 2.0),
                "linear": (list(linear), []),
                "backends": (list(backends), ["strict"]),
            }
            smallest.reproduce = _line(smallest.case, inputs, options, reference)
        raise smallest.with_traceback(None) from smallest.__cause__
    except hypothesis.errors.Unsatisfiable:
        raise ShapeError(
            f"{type(operator).__name__}: no inputs that were drawn fit; {_answer(operator, inputs)}"
        ) from None


def prove_operator(
    operator: Operator,
    *,
    examples: int = 50,
    seed: int = 0,
    backends: Sequence[str] = ("strict",),
    low: float = -2.0,
    high: float = 2.0,
) -> Proof:
    """:func:`check_operator`, with what came of it as a result instead of an exception.

    That no shape fits it, or that it breaks the contract as a class, is such a result too.

    Raises:
        ValueError: ``low`` is not below ``high``, or a number is out of range.
    """
    start = time.perf_counter()
    broken = None
    try:
        check_operator(
            operator, max_examples=examples, seed=seed, backends=backends, low=low, high=high
        )
    except BrokenPromise as error:
        broken = error
    except OperatorError as error:
        broken = BrokenPromise(None, "contract", str(error))
    except ShapeError as error:
        broken = BrokenPromise(None, "inputs that fit", str(error))
    return Proof(repr(operator), examples, time.perf_counter() - start, broken)


def _expect_options(
    reference: Any,
    linear: Any,
    backends: Any,
    low: Any,
    high: Any,
    max_examples: Any,
    seed: Any,
    case: Any,
) -> None:
    """Refuse options that make no sense, whatever the operator."""
    if reference is not None and not callable(reference):
        raise TypeError(f"expected a function as reference, received {reference!r}")
    for name, names in (("linear", linear), ("backends", backends)):
        if isinstance(names, str):
            raise TypeError(f"expected a list of names for {name}, received {names!r}")
    real = isinstance(low, Real) and isinstance(high, Real)
    if not (real and -math.inf < float(low) < float(high) < math.inf):
        raise ValueError(f"expected finite low below high, received low={low!r} and high={high!r}")
    for name, least, value in (("max_examples", 1, max_examples), ("seed", 0, seed)):
        if not is_integer(value) or value < least:
            raise ValueError(f"expected {name} of at least {least}, received {value!r}")
    if case is not None and (not is_integer(case) or case < 0):
        raise ValueError(f"expected case of at least 0, received {case!r}")


def _expect_inputs(
    operator: Operator, inputs: Sequence[Given], linear: Sequence[str], case: int | None
) -> None:
    """Refuse an operator that breaks the contract as a class, and inputs that it does not take."""
    if not isinstance(operator, Operator):
        raise TypeError(f"expected an operator, such as Tanh(), received {operator!r}")
    signature = type(operator).signature()
    expect_configuration(operator)
    name = type(operator).__name__
    data = data_inputs(operator)
    most = None if signature.variadic else len(signature.data or signature.names)
    if inputs and (len(inputs) < len(data) or (most is not None and len(inputs) > most)):
        raise TypeError(
            f"{name}: expected a shape for each of the inputs {data}, received {len(inputs)}"
        )
    for given in inputs:
        if not isinstance(given, st.SearchStrategy):
            _expect_input(operator, given, "received")
    if case is not None and (not inputs or any(isinstance(g, st.SearchStrategy) for g in inputs)):
        raise TypeError(
            f"{name}: case= is one case of known inputs: give a shape for each of {data}"
        )
    for role in linear:
        if role not in signature.names and signature.variadic is None:
            raise TypeError(f"{role!r} is no input of {name}: {signature.names}")


def _expect_input(operator: Operator, given: Any, how: str) -> None:
    if not isinstance(given, (Spec, np.ndarray, tuple, list)):
        raise TypeError(
            f"{type(operator).__name__}: expected a shape such as (2, 3), a Spec, an array or a "
            f"strategy of these for each input, {how} {given!r}"
        )


@dataclass(frozen=True)
class _Drawn:
    """Known inputs, each an array, a spec or a shape, and the case they make."""

    operator: Operator
    inputs: Sequence[Any]
    seed: int
    low: float
    high: float

    @property
    def case(self) -> Case:
        specs = [
            Spec(g.shape, g.dtype.name)
            if isinstance(g, np.ndarray)
            else g
            if isinstance(g, Spec)
            else Spec(tuple(g), "float64")
            for g in self.inputs
        ]
        # one batch for all that are symbolic, empty now and then
        batch = (2, 1, 3, 4, 0)[self.seed % 5]
        bound = [spec.bind(batch) for spec in specs]
        case = build_case(self.operator, bound, self.seed, self.low, self.high)
        given = [
            (g if g.dtype.kind != "f" else g.astype("float64")) if isinstance(g, np.ndarray) else x
            for g, x in zip(self.inputs, case.inputs)  # noqa: B905 - learned inputs follow
        ]
        return Case(self.operator, (*given, *case.inputs[len(given) :]), self.seed)


@st.composite
def _given_cases(
    draw: Callable[..., Any], operator: Operator, inputs: Sequence[Given], low: float, high: float
) -> Case:
    seed = draw(seeds)
    drawn = [draw(g) if isinstance(g, st.SearchStrategy) else g for g in inputs]
    for value in drawn:
        _expect_input(operator, value, "a strategy drew")
    try:
        return _Drawn(operator, drawn, seed, low, high).case
    except ShapeError:
        hypothesis.reject()


def _answer(operator: Operator, inputs: Sequence[Given]) -> str:
    """What the operator says to the inputs that were given, where they are known."""
    if any(isinstance(given, st.SearchStrategy) for given in inputs):
        return "give strategies whose draws fit each other"
    try:
        _Drawn(operator, inputs, 0, -2.0, 2.0).case  # noqa: B018 - raises
    except ShapeError as error:
        return str(error)
    return "nothing more is known"


def _hold(case: Case, checks: Sequence[Check]) -> None:
    for check in checks:
        check(case)


def _smallest(
    found: BrokenPromise,
    specs: Sequence[tuple[Spec, ...]],
    checks: Sequence[Check],
    low: float,
    high: float,
) -> BrokenPromise:
    """The first of all smaller cases that breaks the same promise, else the one that was found.

    Shrinking takes a case apart step by step and can halt where each single step helps nothing.
    """
    case = found.case
    if case is None:
        return found
    own = case.specs[: len(specs[0])]
    smaller = specs[: specs.index(own)] if own in specs else specs
    for chosen in smaller[:SMALLER]:
        for seed in {case.seed, 0}:
            try:
                _hold(build_case(case.operator, chosen, seed, low, high), checks)
            except BrokenPromise as broken:
                if broken.promise == found.promise:
                    return broken
    return found


def _line(
    case: Case,
    inputs: Sequence[Given],
    options: dict[str, tuple[Any, Any]],
    reference: Callable[..., Any] | None,
) -> str:
    """The call that makes the same checks of the same case again."""
    data = type(case.operator).signature().data
    count = len(inputs) or len(data) or len(case.inputs)
    arrays = [x for x in case.inputs[:count] if x is not None]
    # a strategy of arrays draws what no shape and no seed of a case tell
    strategies = any(isinstance(given, st.SearchStrategy) for given in inputs)
    exact = strategies or any(isinstance(given, np.ndarray) for given in inputs)
    if exact and sum(x.size for x in arrays) > PRINTED:
        shown = ["..."]
        which = []
    else:
        shown = [_array(x) if exact else _shape(x) for x in arrays]
        which = [f"case={case.seed}"]
        options = {k: v for k, v in options.items() if k not in ("seed", "max_examples")}
    changed = [f"{name}={value!r}" for name, (value, usual) in options.items() if value != usual]
    if reference is not None:
        name = getattr(reference, "__name__", "")
        changed.append(f"reference={name if name.isidentifier() else 'reference'}")
    return f"check_operator({', '.join([repr(case.operator), *shown, *which, *changed])})"


def _shape(x: np.ndarray) -> str:
    return repr(x.shape) if x.dtype.kind == "f" else repr(Spec(x.shape, x.dtype.name))


def _array(x: np.ndarray) -> str:
    if not x.size:
        return _shape(x)
    dtype = "" if x.dtype in ("float64", "int64", "bool") else f", {x.dtype.name!r}"
    entries = re.sub(r"\b(nan|inf)\b", r"np.\1", repr(x.tolist()))
    return f"np.array({entries}{dtype})"
