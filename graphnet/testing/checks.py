"""The promises of the operator contract, one check each.

A check takes a :class:`Case`, an operator with inputs that fit it, and raises
:class:`BrokenPromise` with the operator, the shapes and what went wrong.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from graphnet.backends import Backend, get_backend
from graphnet.debug import kind_of
from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.compare import close, scattered, worst
from graphnet.testing.numeric import (
    directional_derivative,
    dot,
    mismatch,
    numerical_gradient,
    rounding,
)
from ops.dimension import Dim, SymbolError
from ops.operator import ShapeError, Spec, known, show

__all__ = [
    "CHECKS",
    "check_adjoint",
    "check_backend",
    "check_dot_product",
    "check_independence",
    "check_layouts",
    "check_needs",
    "check_partial",
    "check_precision",
    "check_purity",
    "check_reference",
    "check_repeatable",
    "check_specs",
    "check_symbolic",
]

#: Relative error allowed to a derivative by central differences in float64.
DERIVATIVE = 1e-6
#: Relative error allowed to float64 arithmetic in another order.
EXACT = 1e-12
#: Relative error allowed to a reference, whose sums may run in any order.
REFERENCE = 1e-10
#: Error allowed to float32 against float64, relative to the largest entry of the result:
#: reductions over up to 1,000 entries lose up to 1,000 * 2^-24 = 6e-5.
SINGLE = 1e-4

#: In larger arrays nobody looks for the worst entry: each costs two forward passes.
SEARCHED = 4096

#: The distance from 1 to the next float64.
EPS = float(np.finfo("float64").eps)


def check_specs(case: Case) -> None:
    """Outputs and gradients have the shapes and dtypes that ``infer`` and the inputs say."""
    for dtype in ("float64", "float32"):
        cast = case.cast(dtype)
        outputs, saved = cast.forward()
        if len(outputs) != len(cast.inferred):
            raise cast.broken(
                "inferred shape",
                f"infer gives {len(cast.inferred)} outputs, forward {len(outputs)}",
            )
        for index, (y, spec) in enumerate(zip(outputs, cast.inferred, strict=True)):
            if np.dtype(y.dtype.name).kind not in "biuf":
                raise cast.broken(
                    "dtype", f"output {index} is inferred as {show(spec)}, but is {y.dtype.name}"
                )
            if Spec(y.shape, y.dtype.name) != spec:
                raise cast.broken(
                    "inferred shape" if y.shape != spec.shape else "dtype",
                    f"output {index} is inferred as {show(spec)}, "
                    f"but computed as {show(Spec(y.shape, y.dtype.name))}",
                )
        if not case.differentiable:
            continue
        _, v = cast.directions()
        gradients = cast.backward(saved, v)
        for role, x, dx, need in zip(cast.roles, cast.inputs, gradients, cast.needs, strict=True):
            if not need or x is None:
                continue
            if dx is None:
                raise cast.broken(
                    f"gradient of {role!r}",
                    f"the gradient of {role!r} is needed, but None was returned",
                )
            if not (hasattr(dx, "shape") and hasattr(dx, "dtype")):
                raise cast.broken(
                    "structure",
                    f"the gradient of {role!r} must be an array, received {type(dx).__name__}",
                )
            if dx.shape != x.shape or dx.dtype != x.dtype:
                raise cast.broken(
                    "gradient shape" if dx.shape != x.shape else "dtype",
                    f"the gradient of {role!r} must be {show(Spec(x.shape, x.dtype.name))} like "
                    f"{role!r}, received {show(Spec(dx.shape, dx.dtype.name))}",
                )


def check_symbolic(case: Case) -> None:
    """What ``infer`` says for a batch ``N`` holds for a known batch as well."""
    learned = set(type(case.operator).signature().names[len(_data_roles(case)) :])
    first = case.specs[0]
    if first is None or not first.shape:
        return
    batch = first.shape[0]
    symbolic = [
        spec.with_shape((Dim(), *spec.shape[1:]))
        if spec is not None and role not in learned and spec.shape[:1] == (batch,)
        else spec
        for role, spec in zip(case.roles, case.specs, strict=True)
    ]
    try:
        inferred = case.operator.infer(*symbolic)
    except (ShapeError, SymbolError):  # this operator wants numbers
        return
    except Exception as error:
        raise case.broken(
            "symbolic batch",
            f"for {', '.join(show(s) for s in symbolic if s)} infer raises "
            f"{type(error).__name__}: {error}; ShapeError says that it wants numbers",
        ) from error
    inferred = inferred if isinstance(inferred, tuple) else (inferred,)
    bound = tuple(spec.bind(*known(batch)) for spec in inferred)
    if bound != case.inferred:
        raise case.broken(
            "symbolic batch",
            f"for a batch N infer gives {', '.join(map(show, inferred))}, "
            f"for {batch} it gives {', '.join(map(show, case.inferred))}",
        )


def check_dot_product(case: Case) -> None:
    """Each gradient agrees with central differences: ``<v, J u> = <u, J^T v>``."""
    if not case.differentiable:
        return
    u, v = case.directions()
    outputs, saved = case.forward()
    gradients = case.backward(saved, v)
    for index, y in enumerate(outputs):
        if v[index] is not None and not np.isfinite(y).all():
            where = tuple(map(int, np.argwhere(~np.isfinite(y))[0]))
            raise case.broken(
                "finite result",
                f"forward gives {y[where]} at {where} of output {index}, where no gradient can be "
                f"compared; give the range in which the operator is defined, low= and high=",
            )
    noise = rounding([(dy, y) for dy, y in zip(v, outputs, strict=True) if dy is not None])
    for index, (role, need) in enumerate(zip(case.roles, case.needs, strict=True)):
        if not need:
            continue
        moved = _along(case, index, v)
        ju = directional_derivative(moved, case.inputs[index], u[index])  # type: ignore[arg-type]
        numeric = dot(list(zip([dy for dy in v if dy is not None], ju, strict=True)))
        analytic = dot([(u[index], gradients[index])])
        error = mismatch(numeric, analytic, noise)
        if not error <= DERIVATIVE:
            raise case.broken(
                f"gradient of {role!r}",
                f"the gradient of {role!r} is wrong: <v, J u> = {numeric[0]:.9g} by central "
                f"differences, <u, J^T v> = {analytic[0]:.9g} by backward, {error:.2g} of the sum "
                f"of absolute terms apart, allowed {DERIVATIVE:g}; "
                f"{_worst_derivative(case, index, v, gradients[index])}",
            )


def check_adjoint(case: Case, linear: Iterable[str]) -> None:
    """For inputs in which the operator is affine, ``<A x, v> = <x, A^T v>`` to rounding."""
    if not case.differentiable:
        return
    _, v = case.directions()
    outputs, saved = case.forward()
    gradients = case.backward(saved, v)
    for role in linear:
        index = case.roles.index(role)
        x = case.inputs[index]
        if x is None:
            continue
        if x.dtype.kind != "f":
            raise TypeError(f"{role!r} is {x.dtype.name}, and no operator is affine in integers")
        zero = [*case.inputs[:index], np.zeros_like(x), *case.inputs[index + 1 :]]
        offsets, _ = case.forward(zero)
        triples = [t for t in zip(v, outputs, offsets, strict=True) if t[0] is not None]
        left = dot([(dy, y - y0) for dy, y, y0 in triples])
        # an offset that is large beside A x is subtracted with the rounding of its own size
        noise = 8 * EPS * dot([(dy, y0) for dy, _, y0 in triples])[1]
        error = mismatch(left, dot([(x, gradients[index])]), noise)
        beyond, _ = case.forward([*case.inputs[:index], -2 * x, *case.inputs[index + 1 :]])
        lines = zip(v, outputs, offsets, beyond, strict=True)
        if any(d is not None and not close(a, 3 * y0 - 2 * y, EXACT) for d, y, y0, a in lines):
            raise case.broken(
                f"affine in {role!r}",
                f"linear= names {role!r}, but forward is not affine in it: "
                f"what it gives for x, 0 and -2 x does not lie on a line",
            )
        if not error <= EXACT:
            raise case.broken(
                f"adjoint in {role!r}",
                f"backward is not the adjoint of forward in {role!r}: <A x, v> and <x, A^T v> "
                f"differ by {error:.2g} relative, allowed {EXACT:g}; "
                f"{_worst_derivative(case, index, v, gradients[index])}",
            )


def check_reference(case: Case, reference: Callable[..., Any]) -> None:
    """The outputs are those of a function that computes them in another way."""
    outputs, _ = case.forward()
    try:
        expected = reference(case.operator, *case.inputs)
    except Exception as error:
        raise case.broken(
            "reference", f"the reference raises {type(error).__name__}: {error}"
        ) from error
    expected = expected if isinstance(expected, tuple) else (expected,)
    compared = len(outputs) - len(case.states)  # a reference may leave out renewed states
    if len(expected) not in (compared, len(outputs)):
        raise case.broken(
            "reference", f"the reference gives {len(expected)} outputs, forward {len(outputs)}"
        )
    for index, (y, wanted) in enumerate(zip(outputs, expected, strict=False)):
        if np.asarray(wanted).dtype.kind not in "biuf":
            raise case.broken(
                "reference",
                f"output {index} of the reference must be an array, received {kind_of(wanted)}",
            )
        if not close(y, wanted, REFERENCE):
            raise case.broken(
                "reference", f"output {index} differs from the reference, {worst(y, wanted)}"
            )


def check_purity(case: Case) -> None:
    """Inputs, ``saved`` and ``dy`` stay as they are, and no gradient shares their memory."""
    before = [None if x is None else x.copy() for x in case.inputs]
    outputs, saved = case.forward()
    _unchanged(case, "forward changes its input", case.roles, case.inputs, before)
    if not case.differentiable:
        return
    _, v = case.directions()
    held = [
        *zip(case.roles, case.inputs, strict=True),
        *((f"saved[{i}]", x) for i, x in enumerate(saved)),
        *((f"dy[{i}]" if len(v) > 1 else "dy", dy) for i, dy in enumerate(v)),
        *((f"output {i}", y) for i, y in enumerate(outputs)),
    ]
    held = [(name, x) for name, x in held if isinstance(x, np.ndarray)]
    names, arrays = [name for name, _ in held], [x for _, x in held]
    copies = [x.copy() for x in arrays]
    gradients = case.backward(saved, v)
    _unchanged(case, "backward changes", names, arrays, copies)
    given = [(role, g) for role, g in zip(case.roles, gradients, strict=True) if g is not None]
    for role, gradient in given:
        for name, x in held:
            if x.size and np.may_share_memory(gradient, x):
                raise case.broken(
                    "aliasing",
                    f"the gradient of {role!r} shares memory with {name}: return a copy",
                )
        axes = zip(gradient.strides, gradient.shape, strict=True)
        if gradient.size > 1 and any(step == 0 and n > 1 for step, n in axes):
            raise case.broken(
                "aliasing",
                f"the gradient of {role!r} is a broadcast view, not an array: return a copy",
            )
    for (one, a), (other, b) in itertools.combinations(given, 2):
        if a.size and np.may_share_memory(a, b):
            raise case.broken(
                "aliasing",
                f"the gradients of {one!r} and {other!r} share memory: return a copy of one",
            )


def check_repeatable(case: Case) -> None:
    """The same inputs give the same results, the same ``dy`` the same gradients."""
    advice = (
        "draw nothing at random inside: take a key and a counter as inputs, as Dropout does, "
        "and keep nothing between calls"
    )
    (outputs, saved), (others, _) = case.forward(), case.forward()
    for index, (a, b) in enumerate(zip(outputs, others, strict=True)):
        if not close(b, a, EXACT):
            raise case.broken(
                "repeatable",
                f"forward gives another output {index} for the same inputs, {worst(b, a)}; "
                f"{advice}",
            )
    if not case.differentiable:
        return
    _, v = case.directions()
    for role, a, b in zip(
        case.roles, case.backward(saved, v), case.backward(saved, v), strict=True
    ):
        if a is not None and not close(b, a, EXACT):
            raise case.broken(
                "repeatable",
                f"backward gives another gradient of {role!r} for the same dy {worst(b, a)}; "
                f"{advice}",
            )


def check_needs(case: Case) -> None:
    """Each gradient is None unless asked for, and the same whoever else is asked for."""
    if not case.differentiable:
        return
    _, v = case.directions()
    _, saved = case.forward()
    whole = case.backward(saved, v)
    for index, need in enumerate(case.needs):
        if not need:
            continue
        alone = tuple(i == index for i in range(len(case.inputs)))
        _, saved = case.forward()
        gradients = case.backward(saved, v, alone)
        for i, gradient in enumerate(gradients):
            if (gradient is not None) != alone[i]:
                raise case.broken(
                    "needs",
                    f"needs is {alone}, but the gradient of {case.roles[i]!r} is "
                    f"{'None' if gradient is None else 'given'}",
                )
        if not close(gradients[index], whole[index], EXACT):
            raise case.broken(
                "needs", f"the gradient of {case.roles[index]!r} depends on who else is asked"
            )


def check_partial(case: Case) -> None:
    """``dy`` is None for an output that nobody differentiates, which counts as zeros."""
    carried = [index for index, carries in enumerate(case.carries) if carries]
    if len(carried) < 2 or not case.differentiable:
        return
    _, v = case.directions()
    for index in carried:
        alone = [dy if i == index else None for i, dy in enumerate(v)]
        zeros = [
            np.zeros_like(dy) if i in carried and i != index else alone[i] for i, dy in enumerate(v)
        ]
        given, expected = (case.backward(case.forward()[1], dy) for dy in (alone, zeros))
        for role, a, b in zip(case.roles, expected, given, strict=True):
            if a is not None and not close(b, a, EXACT):
                raise case.broken(
                    "dy None",
                    f"the gradient of {role!r} for None as the gradient of other outputs than "
                    f"{index} is not that for zeros {worst(b, a)}",
                )


def check_independence(case: Case) -> None:
    """``backward`` reads nothing but ``saved`` and ``dy``: all else may be gone by then."""
    if not case.differentiable:
        return
    _, v = case.directions()
    _, saved = case.forward()
    expected = case.backward(saved, v)
    # the same again on copies, of which everything but saved is destroyed
    copies = [None if x is None else x.copy() for x in case.inputs]
    outputs, saved = case.forward(copies)
    kept = tuple(x.copy() if isinstance(x, np.ndarray) else x for x in saved)
    for x in (*copies, *outputs):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.flags.writeable:
            x.fill(math.nan)
    for role, a, b in zip(case.roles, expected, case.backward(kept, v), strict=True):
        if a is not None and not close(b, a, EXACT):
            raise case.broken(
                "saved", f"the gradient of {role!r} depends on arrays outside saved {worst(b, a)}"
            )


def check_layouts(case: Case) -> None:
    """Inputs and ``dy`` that are not contiguous give the same results."""
    expected, saved = case.forward()
    apart = [None if x is None else scattered(x) for x in case.inputs]
    outputs, saved_again = case.forward(apart)
    for index, (a, b) in enumerate(zip(expected, outputs, strict=True)):
        if not close(b, a, EXACT):
            raise case.broken(
                "layout",
                f"output {index} differs for inputs that are not contiguous {worst(b, a)}",
            )
    if not case.differentiable:
        return
    _, v = case.directions()
    gradients = case.backward(saved, v)
    again = case.backward(saved_again, [None if dy is None else scattered(dy) for dy in v])
    for role, a, b in zip(case.roles, gradients, again, strict=True):
        if a is not None and not close(b, a, EXACT):
            raise case.broken(
                "layout",
                f"the gradient of {role!r} differs for arrays that are not contiguous "
                f"{worst(b, a)}",
            )


def check_precision(case: Case) -> None:
    """float32 agrees with float64 on the same numbers."""
    single = case.cast("float32")
    double = single.cast("float64")
    outputs32, saved32 = single.forward()
    outputs64, saved64 = double.forward()
    for index, (a, b) in enumerate(zip(outputs64, outputs32, strict=True)):
        if not close(b, a, SINGLE):
            raise case.broken(
                "precision", f"output {index} in float32 is far from float64 {worst(b, a)}"
            )
    if not case.differentiable:
        return
    _, v = single.directions()
    gradients32 = single.backward(saved32, v)
    wide = [None if dy is None else dy.astype("float64") for dy in v]
    gradients64 = double.backward(saved64, wide)
    for role, a, b in zip(case.roles, gradients64, gradients32, strict=True):
        if a is not None and not close(b, a, SINGLE):
            raise case.broken(
                "precision",
                f"the gradient of {role!r} in float32 is far from float64 {worst(b, a)}",
            )


def check_backend(case: Case, backend: Backend | str) -> None:
    """Another backend gives NumPy's results, and stays on its own arrays."""
    if isinstance(backend, str):
        backend = get_backend(backend)
    promise = f"backend {backend.name}"
    expected, saved = case.forward()
    there = [None if x is None else backend.from_host(x) for x in case.inputs]
    with _on_backend(case, promise):
        outputs, saved_there = case.forward(there)
    pairs = [(f"output {i}", a, b) for i, (a, b) in enumerate(zip(expected, outputs, strict=True))]
    if case.differentiable:
        _, v = case.directions()
        gradients = case.backward(saved, v)
        there = [None if dy is None else backend.from_host(dy) for dy in v]
        with _on_backend(case, promise):
            again = case.backward(saved_there, there)
        pairs += [
            (f"the gradient of {role!r}", a, b)
            for role, a, b in zip(case.roles, gradients, again, strict=True)
            if a is not None
        ]
    for what, a, b in pairs:
        if not backend.owns(b):
            raise case.broken(promise, f"{what} is {type(b).__name__}, no array of {backend.name}")
        host = backend.to_host(b)
        if not close(host, a, EXACT):
            raise case.broken(
                promise, f"{what} differs between {backend.name} and numpy {worst(host, a)}"
            )


#: The checks that need nothing but a case, in the order in which they are made: what others
#: rely on comes first.
CHECKS: dict[str, Callable[[Case], None]] = {
    "specs": check_specs,
    "symbolic": check_symbolic,
    "purity": check_purity,
    "repeatable": check_repeatable,
    "needs": check_needs,
    "partial": check_partial,
    "dot product": check_dot_product,
    "independence": check_independence,
    "layouts": check_layouts,
    "precision": check_precision,
}


@contextlib.contextmanager
def _on_backend(case: Case, promise: str) -> Iterator[None]:
    """Name the backend in what an operator raises there and nowhere else."""
    try:
        yield
    except BrokenPromise as broken:
        raise case.broken(
            promise,
            f"{broken.problem}; an operator takes the array library from its arrays, "
            f"xp = namespace(x), and calls no other",
        ) from broken


def _along(case: Case, index: int, v: list[Any]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The outputs that carry a gradient, as a function of one input."""

    def moved(x: np.ndarray) -> list[np.ndarray]:
        outputs, _ = case.forward([*case.inputs[:index], x, *case.inputs[index + 1 :]])
        return [y for y, dy in zip(outputs, v, strict=True) if dy is not None]

    return moved


def _worst_derivative(case: Case, index: int, v: list[Any], gradient: Any) -> str:
    """Where a gradient is furthest from the one found entry by entry."""
    if gradient.size > SEARCHED:
        return f"of an input of {SEARCHED:,} entries or fewer, this would say where"
    arriving = [dy for dy in v if dy is not None]
    moved = _along(case, index, v)

    def total(x: np.ndarray) -> float:
        return dot(list(zip(arriving, moved(x), strict=True)))[0]

    return worst(gradient, numerical_gradient(total, case.inputs[index]))  # type: ignore[arg-type]


def _data_roles(case: Case) -> tuple[str, ...]:
    """The inputs that are not learned; all of them where nothing is."""
    return type(case.operator).signature().data or case.roles


def _unchanged(
    case: Case,
    problem: str,
    names: Sequence[str],
    arrays: Sequence[np.ndarray | None],
    copies: Sequence[np.ndarray | None],
) -> None:
    for name, array, copy in zip(names, arrays, copies, strict=True):
        if array is None or copy is None:
            continue
        if not np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"):
            raise case.broken("changed input", f"{problem} {name}")
