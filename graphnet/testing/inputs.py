"""Inputs that fit an operator: found by asking ``infer``, filled with spaced entries."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np

from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.strategies import spaced_array
from ops.operator import (
    Interval,
    Operator,
    OperatorError,
    Parameter,
    ShapeError,
    Spec,
    State,
    expect_domains,
    known,
    learned_inputs,
    show,
)

__all__ = ["build_case", "data_inputs", "fitting_specs"]

DTYPES = ("float64", "int64", "bool")
RANKS = (2, 1, 3, 4, 0, 5)
#: Sizes that every axis has at once, to find out which ranks and dtypes fit at all.
UNIFORM = (4, 2, 6, 3, 8, 1)
#: How often ``infer`` is asked, in each of the two searches.
TRIES = 4000
#: How many specs are enough.
ENOUGH = 400

#: Where the entries of each input lie in their cells, so that no two inputs tie.
FRACTIONS = (0.5, 0.61, 0.39, 0.72, 0.28)

Specs = tuple[Spec, ...]


def data_inputs(operator: Operator) -> tuple[str, ...]:
    """The names of the inputs that a caller must give: neither learned nor optional."""
    signature = type(operator).signature()
    return signature.data or tuple(n for n in signature.names if n not in signature.optional)


def build_case(
    operator: Operator, specs: Sequence[Spec], seed: int, low: float = -2.0, high: float = 2.0
) -> Case:
    """A case with entries drawn from ``seed`` for inputs of these specs.

    Floating entries are spaced evenly over ``low..high`` in random order, none at 0 where that
    is their middle; an input with a domain of its own (:meth:`ops.Operator.domains`) stays
    within it.  Learned inputs are drawn from their initializers.

    Raises:
        ShapeError: the specs do not fit the operator.
        OperatorError: a method returns something else than the contract says.
        BrokenPromise: ``infer`` does, or raises anything but ``ShapeError``.
    """
    signature = type(operator).signature()
    learned: dict[str, Parameter | State] = {}
    if signature.data:
        parameters, states = learned_inputs(operator, specs[: len(signature.data)])
        learned = {**parameters, **states}
    given: list[np.ndarray | None] = []
    names = signature.inputs(max(len(specs), len(signature.names)))
    others = (learned.get(name) for name in names[len(specs) :])
    domains = expect_domains(
        operator, [*specs, *(None if d is None else Spec(d.shape, d.dtype) for d in others)]
    )
    for index, spec in enumerate(specs):
        domain = domains.get(names[index], Interval())
        at = FRACTIONS[index % len(FRACTIONS)]
        given.append(_entries(spec, domain, seed + index, low, high, at))
    for name in names[len(given) :]:
        declared = learned.get(name)
        given.append(None if declared is None else _first_value(declared, [seed, len(given)]))
    case = Case(operator, tuple(given), seed)
    case.inferred  # noqa: B018 - raises where the shapes do not fit
    return case


def fitting_specs(operator: Operator) -> list[Specs]:
    """Specs of data inputs that ``infer`` accepts, the smallest first.

    Floating inputs are preferred: others are tried where no combination of floating ones fits.

    Raises:
        ShapeError: none was found; the text says what the operator answered last.
        OperatorError, BrokenPromise: what a method returns fits no contract.
    """
    found: set[Specs] = set()
    for count in _counts(operator):
        kinds = _fitting_kinds(operator, count)
        rng = random.Random(0)
        for _ in range(TRIES if kinds else 0):
            if len(found) >= ENOUGH:
                break
            # few different sizes, so that those that must agree often do
            palette = [rng.choice((1, 2, 3, 4, 5)) for _ in range(rng.choice((1, 2, 2, 3)))]
            specs = tuple(
                Spec(tuple(rng.choice(palette) for _ in range(rank)), dtype)
                for rank, dtype in rng.choice(kinds)
            )
            if specs not in found and _fits(operator, specs):
                found.add(specs)
    if not found:
        raise _nothing_fits(operator)
    ordered = sorted(found, key=_size)
    empty = [tuple(_emptied(spec) for spec in specs) for specs in ordered[:40]]
    return [
        *ordered,
        *(specs for specs in dict.fromkeys(empty) if specs not in found and _fits(operator, specs)),
    ]


def _fitting_kinds(operator: Operator, count: int) -> list[tuple[tuple[int, str], ...]]:
    """Ranks and dtypes of ``count`` inputs that fit, with as few non-floating as possible."""
    tries = 0
    for others in range(count + 1):
        kinds = []
        for kind in _kinds(count, others):
            for size in UNIFORM:
                tries += 1
                if _fits(operator, tuple(Spec((size,) * rank, dtype) for rank, dtype in kind)):
                    kinds.append(kind)
                    break
            if tries > TRIES * (others + 1):
                break
        if kinds:
            return kinds
    return []


def _kinds(count: int, others: int) -> Iterator[tuple[tuple[int, str], ...]]:
    """Every choice of ranks and dtypes with ``others`` inputs that are not floating."""
    for ranks in itertools.product(RANKS, repeat=count):
        for dtypes in itertools.product(DTYPES, repeat=count):
            if sum(dtype != "float64" for dtype in dtypes) == others:
                yield tuple(zip(ranks, dtypes, strict=True))


def _counts(operator: Operator) -> list[int]:
    """How many data inputs an operator may be given."""
    signature = type(operator).signature()
    required = len(data_inputs(operator))
    if signature.variadic:
        return [required + 1, required + 2, required + 3]
    if signature.data:
        return [required]
    return sorted({required, len(signature.names)})


def _fits(operator: Operator, specs: Specs) -> bool:
    try:
        build_case(operator, specs, 0)
    except OperatorError:
        raise
    except BrokenPromise as broken:
        if broken.promise == "structure":  # no other inputs would mend that
            raise
        return False
    except Exception:  # whatever a user's parameters raises for what it never thought of
        return False
    return True


def _nothing_fits(operator: Operator) -> ShapeError:
    """What the operator says to an input that many take, beside the advice to give a shape."""
    data = data_inputs(operator)
    specs = tuple(Spec((2, 3), "float64") for _ in data)
    tried = " and ".join(map(show, specs))
    try:
        build_case(operator, specs, 0)
    except BrokenPromise as broken:
        answer = broken.problem
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    else:
        answer = "nothing"
    return ShapeError(
        f"{type(operator).__name__}: no drawn shape fits; give check_operator a shape for each of "
        f"the inputs {data}, or a Spec where one is not floating, as in Spec((4,), 'int64'); "
        f"to {tried} the operator answers {answer}"
    )


def _size(specs: Specs) -> tuple[int, int, str]:
    """What makes one choice of specs simpler than another."""
    return sum(spec.elements for spec in specs), sum(spec.rank for spec in specs), repr(specs)


def _emptied(spec: Spec) -> Spec:
    return spec.with_shape((0, *spec.shape[1:])) if spec.rank else spec


def _entries(
    spec: Spec, domain: Interval, seed: int, low: float, high: float, at: float
) -> np.ndarray:
    shape = known(*spec.shape)
    if spec.is_floating:
        low, high = max(low, domain.low), min(high, domain.high)
        array: np.ndarray = spaced_array(shape, seed, low, high, at)
        return array.astype(spec.dtype)
    rng = np.random.default_rng([seed, 2])
    if spec.dtype == "bool":
        return rng.integers(0, 2, shape).astype("bool")
    # within the domain, a few values around 0 where it is wide
    least, beyond = max(domain.low, -4.0), min(domain.high, 4.0)
    least = max(least, 0.0) if spec.dtype.startswith("u") or domain.low == -np.inf else least
    return rng.integers(int(least), max(int(beyond), int(least) + 1), shape).astype(spec.dtype)


def _first_value(declared: Parameter | State, seed: list[int]) -> np.ndarray:
    """The initial value, moved off the kinks and ties that many equal entries would make."""
    rng = np.random.default_rng(seed)
    first = declared.initializer.sample(declared.shape, declared.dtype, rng)
    noise = rng.uniform(0.1, 0.5, declared.shape) if first.dtype.kind == "f" else 0
    return np.asarray((first + noise).astype(first.dtype))
