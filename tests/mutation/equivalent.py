"""Mutants that are no faults: they compute the same for every input, or what is allowed."""

from __future__ import annotations

from tests.mutation.functions import Function
from tests.mutation.mutators import Mutant

__all__ = ["explain"]

GUARD = (
    "A guard against overflow on the way, for entries far beyond those that difference quotients "
    "can take; the tests of the module hold the extreme values themselves"
)
PIECE = (
    "The border between two approximations that agree there, or what takes the place of entries "
    "for which the other one is used"
)
CHECKED = "It decides whether inputs are refused, and infer has refused them by then"
COPY = "A copy more than is needed"
FLOOR = (
    "A floor under probabilities of 0, which no difference quotient can reach; "
    "tests/test_cross_entropy.py holds it"
)
NOTHING = "The entry concerned is multiplied by 0, or both sides have the same value"

WINDOW_ROWS = (
    "view.reshape(examples, groups, channels // groups, *view.shape[2:]) if groups > 1 "
    "else view[:, None]"
)

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
    ("ops.binary_cross_entropy.BinaryCrossEntropy.backward", "1e-12", None): FLOOR,
    (
        "ops.binary_cross_entropy.BinaryCrossEntropy.backward",
        "max(1e-12, float(xp.finfo(x.dtype).tiny))",
        None,
    ): FLOOR,
    ("ops.binary_cross_entropy._logarithms", "1.0", "2.0"): FLOOR,
    ("ops.binary_cross_entropy._logarithms", "0.0", "1.0"): FLOOR,
    ("ops.cross_entropy._inverse", "0.0", "1.0"): NOTHING,
    ("ops.cross_entropy._inverse", "1.0", "2.0"): NOTHING,
    ("ops.local_response.LocalResponseNorm._windows", "max(-before, 1 - channels)", None): (
        "Windows beyond the channels are empty, whether they are visited or not"
    ),
    ("ops.local_response.LocalResponseNorm._windows", "channels - 1", "channels"): (
        "Windows beyond the channels are empty, whether they are visited or not"
    ),
    ("ops.loss.KLDivergence.backward", "0.0", "1.0"): (
        "It differs for a label of 0 alone, where there is no derivative to compare with; "
        "tests/test_loss.py holds the value that is promised"
    ),
    ("ops.loss.KLDivergence._parts", "1.0", "2.0"): NOTHING,
    ("ops.normalization.LayerNorm.backward", "dy.sum(axis=over) if over else dy.copy()", None): (
        "NumPy's sum over no axis is a copy; that of other libraries may be the array itself"
    ),
    ("ops.convolution.window_rows", WINDOW_ROWS, None): NOTHING,
    ("ops.loss.reduced", "highest * (1.0 - float(xp.finfo(values.dtype).eps)) / largest", None): (
        GUARD
    ),
    ("ops.loss.reduced", "highest * (1.0 - float(xp.finfo(values.dtype).eps))", None): GUARD,
    ("ops.loss.reduced", "1.0 - float(xp.finfo(values.dtype).eps)", None): GUARD,
    (
        "ops.loss.reduced",
        "xp.where(xp.isinf(total), total, xp.clip(total, -bound, bound))",
        None,
    ): GUARD,
    ("ops.loss.reduced", "1.0", "2.0"): GUARD,
    ("ops.loss.reduced", "xp.abs(flat) if signed else flat", None): GUARD,
    ("ops.resize.Resize.backward", "dx.copy() if dx is dy else dx", "dx.copy()"): COPY,
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
