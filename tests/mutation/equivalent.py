"""Mutants that are no faults: they compute the same for every input, or what is allowed."""

from __future__ import annotations

from tests.mutation.functions import Function
from tests.mutation.mutators import Mutant

__all__ = ["explain"]

COPY = "A copy more than is needed"
MORE = "A limit on a loop whose further rounds add nothing: a larger one takes time alone"
BEYOND = "Windows beyond the channels are empty, whether they are visited or not"

WINDOW_ROWS = (
    "view.reshape(examples, groups, channels // groups, *view.shape[2:]) if groups > 1 "
    "else view[:, None]"
)

#: Function, expression, mutant (None for every one) to the reason; lines move, so none is named.
EQUIVALENT: dict[tuple[str, str, str | None], str] = {
    ("ops.einsum.Einsum.backward", "dx if len(factors) > 1 else dx.copy()", "dx.copy()"): COPY,
    ("ops.einsum.Einsum.backward", "len(factors) > 1", "len(factors) < 1"): COPY,
    ("ops.product._products", "levels[-1][0]", "levels[-1][1]"): (
        "Mantissa and exponent have the same shape, and only the shape is read"
    ),
    ("ops.local_response.LocalResponseNorm._windows", "max(-before, 1 - channels)", None): BEYOND,
    ("ops.local_response.LocalResponseNorm._windows", "channels - 1", "channels"): BEYOND,
    ("ops.normalization.LayerNorm.backward", "dy.sum(axis=over) if over else dy.copy()", None): (
        "NumPy's sum over no axis is a copy; that of other libraries may be the array itself"
    ),
    ("ops.convolution.window_rows", WINDOW_ROWS, None): (
        "For one group both are the same view, with an axis of size 1"
    ),
    ("ops.rectifier.CELU._exponent", "750.0", "1500.0"): (
        "The exponential of both is 0, and neither overflows"
    ),
    ("ops.resize._Axis._most", "min(between, self.out)", "between"): MORE,
    ("ops.resize._Axis._most", "down / up", "down"): MORE,
    ("ops.resize._Axis._most", "down / up", "down * up"): MORE,
    ("ops.resize._Axis._most", "1e-09", "2e-09"): MORE,
    ("ops.resize.Resize.backward", "dx.copy() if dx is dy else dx", "dx.copy()"): COPY,
}


def explain(function: Function, mutant: Mutant) -> str | None:
    """Why a mutant is no fault; None for one that is."""
    if mutant.before.endswith(" if needs[0] else None") and mutant.before.startswith(mutant.after):
        return "An operator with one input is called only where its gradient is needed"
    key = function.name, mutant.before, mutant.after
    return EQUIVALENT.get(key) or EQUIVALENT.get((*key[:2], None))
