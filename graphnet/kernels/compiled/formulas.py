"""How each elementwise operator is computed, and its gradients: functions of single entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphnet.kernels.chain import Fixed
from graphnet.kernels.compiled import activations, entries
from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from ops.elementwise import Add, Divide, Maximum, Minimum, Multiply, Power, Subtract
from ops.hard import Clip, HardSigmoid, HardSwish, Shrink, ThresholdedReLU
from ops.operator import Operator
from ops.rectifier import CELU, ELU, SELU, LeakyReLU, ReLU
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt

__all__ = ["FORMULAS", "Entry", "Formula", "Slope", "formula_of", "numbers_of"]

#: A function of :mod:`entries` or :mod:`activations`.
Entry = Callable[..., Any]


@dataclass(frozen=True)
class Slope:
    """The gradient of one operand.

    Attributes:
        function: of ``given``; None where the gradient passes as it is.
        given: which numbers it takes: ``"g"`` that arrives, ``"a"``, ``"b"``, ``"w"``.
    """

    function: Entry | None = None
    given: str = "g"


@dataclass(frozen=True)
class Formula:
    """How an operator is computed.

    Attributes:
        function: of a, and b where there are two inputs.
        slopes: one for each input.
        numbers: the names of the operator's fields that are its numbers.
        costly: whether its result costs more than to write it to memory and read it again.
    """

    function: Entry
    slopes: tuple[Slope, ...]
    numbers: tuple[str, ...] = ()
    costly: bool = False


def _unary(function: Entry, slope: Entry, given: str, *numbers: str) -> Formula:
    return Formula(function, (Slope(slope, given),), numbers)


def _costly(function: Entry, slope: Entry, given: str, *numbers: str) -> Formula:
    return Formula(function, (Slope(slope, given),), numbers, costly=True)


_PASS = Slope()
_GELU = {
    "none": _costly(activations.gelu, activations.gelu_slope, "ga"),
    "tanh": _costly(activations.gelu_by_tanh, activations.gelu_by_tanh_slope, "ga"),
}

#: By the type of the operator; GELU has two.
FORMULAS: dict[type[Operator], Formula | Callable[[Any], Formula]] = {
    Abs: _unary(entries.magnitude, entries.abs_slope, "ga"),
    Add: Formula(entries.summed, (_PASS, _PASS)),
    Ceil: _unary(entries.rounded_up, entries.nothing, "g"),
    CELU: _costly(activations.celu, activations.celu_slope, "ga", "alpha"),
    Clip: _unary(activations.clipped, activations.where_within, "ga", "low", "high"),
    Divide: Formula(
        entries.quotient, (Slope(entries.quotient, "gb"), Slope(entries.quotient_slope, "gab"))
    ),
    ELU: _costly(activations.elu, activations.elu_slope, "ga", "alpha"),
    Erf: _costly(entries.error_function, entries.erf_slope, "ga"),
    Exp: _costly(entries.exponential, entries.product, "gw"),
    Floor: _unary(entries.rounded_down, entries.nothing, "g"),
    GELU: lambda operator: _GELU[operator.approximate],
    HardSigmoid: _unary(
        activations.hard_sigmoid, activations.hard_sigmoid_slope, "gw", "alpha", "beta"
    ),
    HardSwish: _unary(activations.hard_swish, activations.hard_swish_slope, "ga"),
    LeakyReLU: _unary(activations.leaky, activations.leaky_slope, "gw", "negative_slope"),
    Log: _costly(entries.logarithm, entries.quotient, "ga"),
    Maximum: Formula(
        entries.larger,
        (Slope(entries.where_at_least, "gab"), Slope(entries.unless_at_least, "gab")),
    ),
    Minimum: Formula(
        entries.smaller, (Slope(entries.where_at_most, "gab"), Slope(entries.unless_at_most, "gab"))
    ),
    Mish: _costly(activations.mish, activations.mish_slope, "ga"),
    Multiply: Formula(
        entries.product, (Slope(entries.product, "gb"), Slope(entries.product, "ga"))
    ),
    Neg: _unary(entries.negative, entries.negative, "g"),
    ReLU: _unary(activations.relu, activations.where_positive, "gw"),
    Reciprocal: _unary(entries.reciprocal, entries.reciprocal_slope, "gw"),
    Round: _unary(entries.rounded, entries.nothing, "g"),
    SELU: _costly(activations.selu, activations.selu_slope, "ga"),
    Shrink: _unary(activations.shrink, activations.unless_inside, "ga", "threshold", "bias"),
    Sign: _unary(entries.sign, entries.nothing, "g"),
    SiLU: _costly(activations.silu, activations.silu_slope, "ga"),
    Sigmoid: _costly(activations.sigmoid, activations.sigmoid_slope, "gw"),
    Softplus: _costly(activations.softplus, activations.softplus_slope, "gw", "beta"),
    Softsign: _unary(activations.softsign, activations.softsign_slope, "ga"),
    Sqrt: _unary(entries.square_root, entries.sqrt_slope, "gw"),
    Subtract: Formula(entries.difference, (_PASS, Slope(entries.negative))),
    Tanh: _costly(activations.hyperbolic_tangent, activations.tanh_slope, "gw"),
    ThresholdedReLU: _unary(activations.threshold, activations.where_above, "ga", "alpha"),
}
#: Powers by a fixed exponent.
_POWERS = {
    2.0: _unary(entries.square, entries.square_slope, "ga"),
    3.0: _unary(entries.cube, entries.cube_slope, "ga"),
}


def formula_of(operator: Operator) -> Formula:
    """The formula of an operator that is served; of two inputs, whether one is fixed or not."""
    if isinstance(operator, Fixed):
        if isinstance(operator.operator, Power):
            return _POWERS[operator.value]
        operator = operator.operator
    found = FORMULAS[type(operator)]
    return found if isinstance(found, Formula) else found(operator)


def numbers_of(operator: Operator, formula: Formula) -> tuple[float, float]:
    """The two numbers of an operator; 0 for those it has not, infinite for an absent bound."""
    found = [getattr(operator, name) for name in formula.numbers]
    if isinstance(operator, Clip):
        low, high = found
        return -math.inf if low is None else low, math.inf if high is None else high
    first, second, *_ = (*found, 0.0, 0.0)
    return first, second
