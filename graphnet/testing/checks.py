"""The promises of the operator contract, one check each.

A check takes a :class:`Case`, an operator with inputs that fit it, and raises
:class:`BrokenPromise` with the operator, the shapes and what went wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphnet.backends import Backend, get_backend
from graphnet.testing.case import Case
from graphnet.testing.numeric import directional_derivative, dot, mismatch
from ops.operator import Spec, show

__all__ = [
    "CHECKS",
    "check_adjoint",
    "check_backend",
    "check_dot_product",
    "check_independence",
    "check_layouts",
    "check_needs",
    "check_precision",
    "check_purity",
    "check_reference",
    "check_specs",
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


def check_specs(case: Case) -> None:
    """Outputs and gradients have the shapes and dtypes that ``infer`` and the inputs say."""
    for dtype in ("float64", "float32"):
        cast = case.cast(dtype)
        outputs, saved = cast.forward()
        if len(outputs) != len(cast.inferred):
            raise cast.broken(f"infer gives {len(cast.inferred)} outputs, forward {len(outputs)}")
        for index, (y, spec) in enumerate(zip(outputs, cast.inferred, strict=True)):
            if Spec(y.shape, y.dtype.name) != spec:
                raise cast.broken(
                    f"output {index} is inferred as {show(spec)}, "
                    f"but computed as {show(Spec(y.shape, y.dtype.name))}"
                )
        _, v = cast.directions()
        gradients = cast.backward(saved, v)
        for role, x, dx, need in zip(cast.roles, cast.inputs, gradients, cast.needs, strict=True):
            if not need:
                continue
            if dx is None:
                raise cast.broken(f"the gradient of {role!r} is needed, but None was returned")
            if dx.shape != x.shape or dx.dtype != x.dtype:  # type: ignore[union-attr]
                raise cast.broken(
                    f"the gradient of {role!r} is {show(Spec(dx.shape, dx.dtype.name))}"
                )


def check_dot_product(case: Case) -> None:
    """Each gradient agrees with central differences: ``<v, J u> = <u, J^T v>``."""
    u, v = case.directions()
    _, saved = case.forward()
    gradients = case.backward(saved, v)
    for index, (role, need) in enumerate(zip(case.roles, case.needs, strict=True)):
        if not need:
            continue

        def moved(x: np.ndarray, index: int = index) -> list[np.ndarray]:
            outputs, _ = case.forward([*case.inputs[:index], x, *case.inputs[index + 1 :]])
            return [y for y, dy in zip(outputs, v, strict=True) if dy is not None]

        ju = directional_derivative(moved, case.inputs[index], u[index])  # type: ignore[arg-type]
        numeric = dot(list(zip([dy for dy in v if dy is not None], ju, strict=True)))
        analytic = dot([(u[index], gradients[index])])
        error = mismatch(numeric, analytic)
        if not error <= DERIVATIVE:
            raise case.broken(
                f"the gradient of {role!r} is wrong: <v, J u> = {numeric[0]:.9g} by central "
                f"differences, <u, J^T v> = {analytic[0]:.9g} by backward, relative error "
                f"{error:.2g}, allowed {DERIVATIVE:g}"
            )


def check_adjoint(case: Case, linear: Iterable[str]) -> None:
    """For inputs in which the operator is affine, ``<A x, v> = <x, A^T v>`` to rounding."""
    _, v = case.directions()
    outputs, saved = case.forward()
    gradients = case.backward(saved, v)
    for role in linear:
        index = case.roles.index(role)
        x = case.inputs[index]
        if x is None:
            continue
        zero = [*case.inputs[:index], np.zeros_like(x), *case.inputs[index + 1 :]]
        offsets, _ = case.forward(zero)
        pairs = zip(v, outputs, offsets, strict=True)
        left = dot([(dy, y - y0) for dy, y, y0 in pairs if dy is not None])
        error = mismatch(left, dot([(x, gradients[index])]))
        if not error <= EXACT:
            raise case.broken(
                f"backward is not the adjoint of forward in {role!r}: <A x, v> and <x, A^T v> "
                f"differ by {error:.2g} relative, allowed {EXACT:g}"
            )


def check_reference(case: Case, reference: Callable[..., Any]) -> None:
    """The outputs are those of a function that computes them in another way."""
    outputs, _ = case.forward()
    expected = reference(case.operator, *case.inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for index, (y, wanted) in enumerate(zip(outputs, expected, strict=False)):
        if not _close(y, wanted, REFERENCE):
            raise case.broken(f"output {index} differs from the reference")


def check_purity(case: Case) -> None:
    """Inputs, ``saved`` and ``dy`` stay as they are, and no gradient shares their memory."""
    before = [None if x is None else x.copy() for x in case.inputs]
    outputs, saved = case.forward()
    _unchanged(case, "forward changes", case.roles, case.inputs, before)
    _, v = case.directions()
    held = [x for x in (*case.inputs, *saved, *v, *outputs) if isinstance(x, np.ndarray)]
    copies = [x.copy() for x in held]
    gradients = case.backward(saved, v)
    names = ["an input, an output, saved or dy"] * len(held)
    _unchanged(case, "backward changes", names, held, copies)
    given = [(role, g) for role, g in zip(case.roles, gradients, strict=True) if g is not None]
    for role, gradient in given:
        if any(np.may_share_memory(gradient, x) for x in held if x.size):
            raise case.broken(f"the gradient of {role!r} shares memory with an input, saved or dy")
        if 0 in getattr(gradient, "strides", ()) and gradient.size > 1:
            axes = zip(gradient.strides, gradient.shape, strict=True)
            if any(step == 0 and n > 1 for step, n in axes):
                raise case.broken(f"the gradient of {role!r} is a broadcast view, not an array")
    for (one, a), (other, b) in itertools.combinations(given, 2):
        if a.size and np.may_share_memory(a, b):
            raise case.broken(f"the gradients of {one!r} and {other!r} share memory")


def check_needs(case: Case) -> None:
    """Each gradient is None unless asked for, and the same whoever else is asked for."""
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
                    f"needs is {alone}, but the gradient of {case.roles[i]!r} is "
                    f"{'None' if gradient is None else 'given'}"
                )
        if not _close(gradients[index], whole[index], EXACT):
            raise case.broken(f"the gradient of {case.roles[index]!r} depends on who else is asked")


def check_independence(case: Case) -> None:
    """``backward`` reads nothing but ``saved`` and ``dy``: all else may be gone by then."""
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
        if a is not None and not _close(b, a, EXACT):
            raise case.broken(f"the gradient of {role!r} depends on arrays outside saved")


def check_layouts(case: Case) -> None:
    """Inputs and ``dy`` that are not contiguous give the same results."""
    expected, saved = case.forward()
    _, v = case.directions()
    gradients = case.backward(saved, v)
    scattered = [None if x is None else _scattered(x) for x in case.inputs]
    outputs, saved = case.forward(scattered)
    again = case.backward(saved, [None if dy is None else _scattered(dy) for dy in v])
    for index, (a, b) in enumerate(zip(expected, outputs, strict=True)):
        if not _close(b, a, EXACT):
            raise case.broken(f"output {index} differs for inputs that are not contiguous")
    for role, a, b in zip(case.roles, gradients, again, strict=True):
        if a is not None and not _close(b, a, EXACT):
            raise case.broken(f"the gradient of {role!r} differs for arrays not contiguous")


def check_precision(case: Case) -> None:
    """float32 agrees with float64 on the same numbers."""
    single = case.cast("float32")
    double = single.cast("float64")
    _, v = single.directions()
    outputs32, saved32 = single.forward()
    outputs64, saved64 = double.forward()
    gradients32 = single.backward(saved32, v)
    wide = [None if dy is None else dy.astype("float64") for dy in v]
    gradients64 = double.backward(saved64, wide)
    for index, (a, b) in enumerate(zip(outputs64, outputs32, strict=True)):
        if not _close(b, a, SINGLE):
            raise case.broken(f"output {index} in float32 is far from float64")
    for role, a, b in zip(case.roles, gradients64, gradients32, strict=True):
        if a is not None and not _close(b, a, SINGLE):
            raise case.broken(f"the gradient of {role!r} in float32 is far from float64")


def check_backend(case: Case, backend: Backend | str) -> None:
    """Another backend gives NumPy's results, and stays on its own arrays."""
    if isinstance(backend, str):
        backend = get_backend(backend)
    expected, saved = case.forward()
    _, v = case.directions()
    gradients = case.backward(saved, v)
    outputs, saved = case.forward(
        [None if x is None else backend.from_host(x) for x in case.inputs]
    )
    again = case.backward(saved, [None if dy is None else backend.from_host(dy) for dy in v])
    for what, a, b in (
        *((f"output {i}", a, b) for i, (a, b) in enumerate(zip(expected, outputs, strict=True))),
        *(
            (f"the gradient of {role!r}", a, b)
            for role, a, b in zip(case.roles, gradients, again, strict=True)
            if a is not None
        ),
    ):
        if not backend.owns(b):
            raise case.broken(f"{what} is {type(b).__name__}, no array of {backend.name}")
        if not _close(backend.to_host(b), a, EXACT):
            raise case.broken(f"{what} differs between {backend.name} and numpy")


#: The checks that need nothing but a case.
CHECKS: dict[str, Callable[[Case], None]] = {
    "specs": check_specs,
    "purity": check_purity,
    "needs": check_needs,
    "dot product": check_dot_product,
    "independence": check_independence,
    "layouts": check_layouts,
    "precision": check_precision,
}


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
            raise case.broken(f"{problem} {name}")


def _close(a: Any, b: Any, rtol: float) -> bool:
    """Equal shapes, and entries equal to ``rtol`` of the largest; NaN and inf must agree.

    Below a hundredth, the error allowed is that of a hundredth: inputs are of order 1, and a
    result that small may be what is left of terms that cancelled.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=b.dtype.kind == "f"):
        return False
    a, b = a[finite].astype("float64"), b[finite].astype("float64")
    scale = max(float(np.abs(b).max(initial=0.0)), 1e-2)
    return bool(np.abs(a - b).max(initial=0.0) <= rtol * scale)


def _scattered(x: np.ndarray) -> np.ndarray:
    """The same values in memory with gaps, axes in reversed order, and negative strides."""
    wide = np.zeros(tuple(2 * n for n in reversed(x.shape)), dtype=x.dtype)
    # the ellipsis keeps an array where x has no axis
    every_second: tuple[Any, ...] = (..., *(slice(None, None, -2) for _ in x.shape))
    view: np.ndarray = wide[every_second].T
    view[...] = x
    return view
