"""Mutants that are no faults: they compute the same for every input, or what is allowed."""

from __future__ import annotations

from tests.mutation.functions import Function
from tests.mutation.mutators import Mutant

__all__ = ["explain"]

GUARD = (
    "A guard against overflow on the way: what it cuts off makes no difference to the result, "
    "which is 0 or 1 in any precision there"
)
PIECE = (
    "The border between two approximations that agree there, or what takes the place of entries "
    "for which the other one is used"
)
CHECKED = "It decides whether inputs are refused, and infer has refused them by then"
COPY = "A copy more than is needed"
NOTHING = "The entry concerned is multiplied by 0, or both sides have the same value"

#: Function, expression, mutant (None for every one) to the reason; lines move, so none is named.
EQUIVALENT: dict[tuple[str, str, str | None], str] = {
    ("ops.activation.GELU._near", "40.0", "80.0"): GUARD,
    ("ops.activation.Softplus.backward", "_FAR / self.beta", None): GUARD,
    ("ops.einsum.Einsum.backward", "dx if len(factors) > 1 else dx.copy()", "dx.copy()"): COPY,
    ("ops.einsum.Einsum.backward", "len(factors) > 1", "len(factors) < 1"): COPY,
    ("ops.einsum.Einsum._resolve", "_REPEATED if n != most else letter", "letter"): CHECKED,
    ("ops.einsum._under_ellipsis", "len(before) + len(after)", None): CHECKED,
    ("ops.einsum._under_ellipsis", "len(shape) > named", None): CHECKED,
    ("ops.einsum._under_ellipsis", "' or more' if ellipsis else ''", None): CHECKED,
    ("ops.elementwise.Power.backward", "0.0", "1.0"): NOTHING,
    ("ops.elementwise.Power.backward", "1.0", "2.0"): (
        "It differs at 0^0 alone, where there is no derivative to compare with; "
        "tests/test_elementwise.py holds the value that is promised"
    ),
    ("ops.product._products", "levels[-1][0]", "levels[-1][1]"): (
        "Mantissa and exponent have the same shape, and only the shape is read"
    ),
    ("ops.rectifier.CELU._exponent", "-750.0 * self.alpha", "-750.0"): GUARD,
    ("ops.rectifier.CELU._exponent", "750.0", "1500.0"): GUARD,
    ("ops.reduction.Reduction._axes", "len(set(axes)) < len(axes)", None): CHECKED,
    ("ops.special._centre", "0.84375", None): PIECE,
    ("ops.special._tail", "28.0", None): GUARD,
    ("ops.special._tail", "0.0625", None): PIECE,
    ("ops.special._tail", "z * 16.0", None): PIECE,
    ("ops.special._tail", "0.35", None): PIECE,
    ("ops.special._tail", "16.0", None): PIECE,
    ("ops.special._tail", "1.25", None): PIECE,
    ("ops.unary.Erf.backward", "28.0", "56.0"): GUARD,
}


def explain(function: Function, mutant: Mutant) -> str | None:
    """Why a mutant is no fault; None for one that is."""
    if mutant.before.endswith(" if needs[0] else None") and mutant.before.startswith(mutant.after):
        return "An operator with one input is called only where its gradient is needed"
    key = function.name, mutant.before, mutant.after
    return EQUIVALENT.get(key) or EQUIVALENT.get((*key[:2], None))
