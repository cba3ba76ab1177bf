"""Mutants that are no faults: they compute the same for every input, or what is allowed."""

from __future__ import annotations

from tests.mutation.functions import Function
from tests.mutation.mutators import Mutant

__all__ = ["explain"]

COPY = "A copy more than is needed"
MORE = "A limit on a loop whose further rounds add nothing: a larger one takes time alone"
BEYOND = "Windows beyond the channels are empty, whether they are visited or not"
STANDS_IN = "The number stands in where another result is chosen, and any finite one serves"
FAR = "Both are so far out that the result is that of infinity, and neither overflows"
MEETS = "At the border both formulas give the same to rounding"
NEVER = "The case in which they differ is refused where the operator is made"
SAME_VIEW = "For one group both are the same view, with an axis of size 1"
BEYOND_IMAGE = "Both lie so far outside that no entry is met"
WIDE = "NumPy compares with an integer of any size, where other libraries raise"
MARGIN = (
    "A margin against rounding that 98,160 combinations of sizes, scales and modes did not need; "
    "kept, as what it costs is one round of a loop"
)

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
    ("ops.convolution.window_rows", WINDOW_ROWS, None): SAME_VIEW,
    ("ops.convolution.window_rows", "groups > 1", "groups >= 1"): SAME_VIEW,
    ("ops.rectifier.CELU._exponent", "750.0", "1500.0"): FAR,
    ("ops.activation.GELU._near", "40.0", "80.0"): FAR,
    ("ops.unary.Erf.backward", "28.0", "56.0"): FAR,
    ("ops.special._tail", "28.0", "56.0"): FAR,
    ("ops.special._tail", "1.25", "2.5"): STANDS_IN,
    ("ops.special._tail", "z < 1 / 0.35", "z <= 1 / 0.35"): MEETS,
    ("ops.special._tail", "a < 1.25", "a <= 1.25"): MEETS,
    ("ops.special._centre", "0.84375", "1.6875"): STANDS_IN,
    ("ops.special.erfc", "xp.abs(x) < 0.84375", "xp.abs(x) <= 0.84375"): MEETS,
    ("ops.special.erfc", "x < 0", "x <= 0"): "At 0 the formula of the centre is chosen",
    ("ops.adaptive_pooling._apart", "ranges[i + step][0] < end", "ranges[i + step][0] <= end"): (
        MORE
    ),
    ("ops.adaptive_pooling._apart", "i + step", None): (
        "The distance found is as large or larger, over all sizes up to 80: more time alone"
    ),
    ("ops.binary_cross_entropy._logarithms", "1.0", "2.0"): STANDS_IN,
    ("ops.binary_cross_entropy._logarithms", "0.0", "1.0"): STANDS_IN,
    ("ops.cross_entropy._inverse", "1.0", "2.0"): STANDS_IN,
    ("ops.loss.KLDivergence._parts", "1.0", "2.0"): STANDS_IN,
    ("ops.loss.KLDivergence._parts", "0.0", "1.0"): (
        "It is multiplied by a label of 0, and so any finite number serves"
    ),
    ("ops.loss.reduced", "1.0", "2.0"): "A divisor that is multiplied back: any above 0 serves",
    ("ops.loss.reduced", "xp.abs(flat) if signed else flat", "xp.abs(flat)"): (
        "Unsigned losses are their own absolute values; this saves the pass over them"
    ),
    ("ops.recurrent.Recurrent.before", "times.step > 0", "times.step >= 0"): NEVER,
    ("ops.slicing._entries", "step > 0", "step >= 0"): NEVER,
    ("ops.slicing.Slice._bounds", "axis % rank", "axis"): (
        "An index below 0 counts from the end of a list as it does from that of the axes"
    ),
    ("ops.resize._Axis._most", "down / up * (1 + 1e-09)", "down / up"): MARGIN,
    ("ops.resize._Axis._most", "1 + 1e-09", "1"): MARGIN,
    ("ops.resize._Axis._most", "1 + 1e-09", "1 - 1e-09"): MARGIN,
    ("ops.resize._Axis._most", "min(between, self.out)", "between"): MORE,
    ("ops.resize._Axis._most", "down / up", "down"): MORE,
    ("ops.resize._Axis._most", "down / up", "down * up"): MORE,
    ("ops.resize._Axis._most", "1e-09", "2e-09"): MORE,
    ("ops.resize.Resize.backward", "dx.copy() if dx is dy else dx", "dx.copy()"): COPY,
    ("ops.attention.ScaledDotProductAttention._quarter_scores", "5.0", "10.0"): FAR,
    ("ops.bilinear._ends", "2.0", "4.0"): BEYOND_IMAGE,
    ("ops.grid_sample.GridSample._inside", "4.0", "8.0"): BEYOND_IMAGE,
    ("ops.grid_sample.GridSample._inside", "3.0", "6.0"): BEYOND_IMAGE,
    ("ops.grid_sample.GridSample._inside", "at < low", "at <= low"): (
        "At the edge itself a point is inside, and neither result is taken"
    ),
    ("ops.scattering._products_ahead", "step < values.size", "step <= values.size"): MORE,
    ("ops.triangle.Triangle._kept", "min(max(self.diagonal, -rows), columns)", None): WIDE,
    ("ops.triangle.Triangle._kept", "max(self.diagonal, -rows)", None): WIDE,
}


def explain(function: Function, mutant: Mutant) -> str | None:
    """Why a mutant is no fault; None for one that is."""
    if mutant.before.endswith(" if needs[0] else None") and mutant.before.startswith(mutant.after):
        return "An operator with one input is called only where its gradient is needed"
    key = function.name, mutant.before, mutant.after
    return EQUIVALENT.get(key) or EQUIVALENT.get((*key[:2], None))
