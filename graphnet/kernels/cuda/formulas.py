"""Elementwise operators in CUDA C, by their values and slopes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphnet.kernels.chain import Chain, Fixed
from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from ops.elementwise import (
    Add,
    Divide,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    Power,
    Subtract,
)
from ops.hard import Clip, HardSigmoid, HardSwish
from ops.operator import Operator, Spec
from ops.rectifier import ELU, LeakyReLU, ReLU
from ops.unary import Abs, Erf, Exp, Log, Neg, Reciprocal, Sqrt

__all__ = ["FORMULAS", "Formula", "formula_of", "formulas_of", "literal"]

#: The largest finite number of float32.
LARGEST = 3.4028234663852886e38


@dataclass(frozen=True)
class Formula:
    """One operator in CUDA C: ``v`` is what comes in, ``b`` its second input, ``w`` the result.

    Attributes:
        result: the expression of w.
        slope: the derivative of w by v.
        other: the derivative of w by b, if there is a second input.
        by_result: whether the slope follows from w alone.
    """

    result: str
    slope: str
    other: str = ""
    by_result: bool = False


def literal(value: float) -> str:
    """A float of CUDA C, for a finite number; infinite or 0 where that is its float32.

    >>> literal(2), literal(-0.5), literal(1e300), literal(1e-50)
    ('2.0f', '-0.5f', '(INFINITE)', '0.0f')
    """
    with np.errstate(over="ignore", under="ignore"):
        narrow = float(np.float32(value))
    if math.isinf(narrow):
        return "(INFINITE)" if value > 0 else "(-INFINITE)"
    # the compiler refuses digits that a float does not hold, even where they would round to one
    text = repr(float(value) if narrow and abs(value) <= LARGEST else narrow)
    return f"{text}f"


def _clip(operator: Any) -> Formula:
    result, within = "v", []
    if operator.low is not None:
        result, within = (
            f"v < {literal(operator.low)} ? {literal(operator.low)} : {result}",
            [f"v >= {literal(operator.low)}"],
        )
    if operator.high is not None:
        result = f"v > {literal(operator.high)} ? {literal(operator.high)} : {result}"
        within.append(f"v <= {literal(operator.high)}")
    return Formula(result, f"{' && '.join(within)} ? 1.0f : 0.0f" if within else "1.0f")


def _elu(operator: Any) -> Formula:
    alpha = literal(operator.alpha)
    return Formula(f"v > 0 ? v : {alpha} * expm1f(v)", f"v > 0 ? 1.0f : {alpha} * expf(v)")


def _hard_sigmoid(operator: Any) -> Formula:
    alpha, beta = literal(operator.alpha), literal(operator.beta)
    line = f"({alpha} * v + {beta})"
    return Formula(
        f"{line} < 0 ? 0.0f : {line} > 1 ? 1.0f : {line}",
        f"w > 0 && w < 1 ? {alpha} : 0.0f",
        by_result=True,
    )


def _leaky(operator: Any) -> Formula:
    slope = literal(operator.negative_slope)
    return Formula(f"v < 0 ? {slope} * v : v", f"v > 0 ? 1.0f : {slope}")


def _softplus(operator: Any) -> Formula:
    beta = literal(operator.beta)
    return Formula(
        f"fmaxf(v, 0.0f) + log1pf(expf(-{beta} * fabsf(v))) / {beta} + 0.0f * v",
        f"-expm1f(-{beta} * w)",
        by_result=True,
    )


def _gelu(operator: Any) -> Formula:
    if operator.approximate == "none":
        chance = f"0.5f * erfcf(v * {literal(-math.sqrt(0.5))})"
        density = f"expf(-0.5f * near(v) * near(v)) * {literal(1 / math.sqrt(2 * math.pi))}"
    else:
        chance = "gelu_chance(v)"
        slope = f"{literal(math.sqrt(2 / math.pi))} * (2.0f + 0.26829f * near(v) * near(v))"
        density = f"{chance} * (1.0f - {chance}) * {slope}"
    return Formula(f"v * ({chance})", f"{chance} + near(v) * ({density})")


#: By the type of the operator, or a function that gives it.
FORMULAS: dict[type[Operator], Formula | Callable[[Any], Formula]] = {
    Abs: Formula("fabsf(v)", "v > 0 ? 1.0f : v < 0 ? -1.0f : 0.0f"),
    Add: Formula("v + b", "1.0f", "1.0f"),
    Clip: _clip,
    # b^2 could overflow
    Divide: Formula("v / b", "1.0f / b", "-(v / b) / b"),
    ELU: _elu,
    Erf: Formula("erff(v)", f"{literal(2 / math.sqrt(math.pi))} * expf(-near(v) * near(v))"),
    Exp: Formula("expf(v)", "w", by_result=True),
    GELU: _gelu,
    HardSigmoid: _hard_sigmoid,
    HardSwish: Formula(
        "v <= -3 ? 0.0f * v : v >= 3 ? v : v * (v / 6.0f + 0.5f)",
        "v <= -3 ? 0.0f : v >= 3 ? 1.0f : v / 3.0f + 0.5f",
    ),
    Identity: Formula("v", "1.0f", by_result=True),
    LeakyReLU: _leaky,
    Log: Formula("logf(v)", "1.0f / v"),
    # a NaN on either side stays; a tie is the first one's
    Maximum: Formula("v != v || v >= b ? v : b", "v >= b ? 1.0f : 0.0f", "v >= b ? 0.0f : 1.0f"),
    Minimum: Formula("v != v || v <= b ? v : b", "v <= b ? 1.0f : 0.0f", "v <= b ? 0.0f : 1.0f"),
    Mish: Formula(
        "v * mish_gate(v)",
        "mish_gate(v) + v * logistic(v) * (1.0f - mish_gate(v)) * (1.0f + mish_gate(v))",
    ),
    Multiply: Formula("v * b", "b", "v"),
    Neg: Formula("-v", "-1.0f", by_result=True),
    # for b = 0 any finite power serves; next to v = 0 the slope by b is 0
    Power: Formula(
        "powf(v, b)",
        "b * powf(v, b == 0.0f ? 0.0f : b - 1.0f)",
        "powf(v, b) * logf(v == 0.0f && b >= 0.0f ? 1.0f : v)",
    ),
    # a NaN stays
    ReLU: Formula("v < 0 ? 0.0f : v", "w > 0 ? 1.0f : 0.0f", by_result=True),
    Reciprocal: Formula("1.0f / v", "-w * w", by_result=True),
    SiLU: Formula("v * logistic(v)", "logistic(v) * (1.0f + v * (1.0f - logistic(v)))"),
    Sigmoid: Formula("logistic(v)", "w * (1.0f - w)", by_result=True),
    Softplus: _softplus,
    Softsign: Formula("v / (1.0f + fabsf(v))", "1.0f / (1.0f + fabsf(v)) / (1.0f + fabsf(v))"),
    Sqrt: Formula("sqrtf(v)", "0.5f / w", by_result=True),
    Subtract: Formula("v - b", "1.0f", "-1.0f"),
    Tanh: Formula("tanhf(v)", "(1.0f - w) * (1.0f + w)", by_result=True),
}


def formula_of(operator: Operator) -> Formula | None:
    """How an operator is computed; None where it is not."""
    if type(operator) is Fixed:
        return _fixed(operator)
    found = FORMULAS.get(type(operator))
    return found if isinstance(found, Formula | None) else found(operator)


def _fixed(operator: Fixed) -> Formula | None:
    """The formula of an operator on two numbers of which one is always the same."""
    formula = FORMULAS.get(type(operator.operator))
    if not isinstance(formula, Formula) or not formula.other or not abs(operator.value) <= LARGEST:
        return None
    names = ["v", "v"]
    names[operator.position] = f"({literal(operator.value)})"
    put = dict(zip("vb", names, strict=True))
    result, slope = (
        re.sub(r"\b[vb]\b", lambda match: put[match[0]], text)
        for text in (formula.result, formula.other if operator.position == 0 else formula.slope)
    )
    return Formula(result, slope, by_result=re.search(r"\bv\b", slope) is None)


def formulas_of(operator: Operator, specs: tuple[Spec | None, ...]) -> tuple[Formula, ...] | None:
    """How an operator or a chain is computed on inputs of one shape; None where it is not."""
    parts = operator.parts if type(operator) is Chain else (operator,)
    found = [formula for formula in map(formula_of, parts) if formula is not None]
    same = len({spec for spec in specs if spec is not None}) == 1
    return tuple(found) if same and len(found) == len(parts) else None
