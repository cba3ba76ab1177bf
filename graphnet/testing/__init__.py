"""Proving operators and graphs right by trying to break them.

``check_operator(MyOperator(...))`` draws shapes and data with Hypothesis and holds the
operator to every promise of the contract; ``check_gradients`` holds the reverse pass of a
whole graph against central differences.  Needs Hypothesis: ``pip install hypothesis``.

- ``numeric``: dot-product and adjoint tests, numerical gradients.
- ``case``: an operator with inputs that fit it.
- ``checks``: the promises, one function each.
- ``operators``: one line that proves an operator.
- ``record``: what drives the checks of one operator; ``records`` holds those of ``ops``.
- ``strategies``, ``batches``: shapes and data, kept away from kinks by construction.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "graphnet.testing needs Hypothesis: pip install hypothesis", name="hypothesis"
    ) from None

from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.checks import CHECKS
from graphnet.testing.graphs import check_gradients
from graphnet.testing.operators import check_operator, prove_operator
from graphnet.testing.record import Proof, Record, promises, prove, prove_record

__all__ = [
    "CHECKS",
    "BrokenPromise",
    "Case",
    "Proof",
    "Record",
    "check_gradients",
    "check_operator",
    "promises",
    "prove",
    "prove_operator",
    "prove_record",
]
