"""Elementwise operators and chains of them: one kernel each, its source written for the chain.

Backward computes what lies between again, in registers, from what came in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphnet.kernels.chain import Chain
from graphnet.kernels.cuda.device import LINE, Device, grid_of, source
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.placed import SAME, Call, Memory, Terms
from ops.activation import GELU, Sigmoid, SiLU, Softplus, Tanh
from ops.elementwise import Add, Divide, Maximum, Minimum, Multiply, Power, Subtract
from ops.operator import Operator, Spec, known
from ops.rectifier import LeakyReLU, ReLU
from ops.unary import Abs, Exp, Log, Neg, Sqrt

__all__ = ["FORMULAS", "CudaElementwise", "Formula", "formulas_of", "literal", "written"]


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
    """A float of CUDA C."""
    return f"{value!r}f" if "." in repr(value) or "e" in repr(value) else f"{value!r}.0f"


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
    # b^2 could overflow
    Divide: Formula("v / b", "1.0f / b", "-(v / b) / b"),
    Exp: Formula("expf(v)", "w", by_result=True),
    GELU: _gelu,
    LeakyReLU: _leaky,
    Log: Formula("logf(v)", "1.0f / v"),
    # a NaN on either side stays; a tie is the first one's
    Maximum: Formula("v != v || v >= b ? v : b", "v >= b ? 1.0f : 0.0f", "v >= b ? 0.0f : 1.0f"),
    Minimum: Formula("v != v || v <= b ? v : b", "v <= b ? 1.0f : 0.0f", "v <= b ? 0.0f : 1.0f"),
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
    SiLU: Formula("v * logistic(v)", "logistic(v) * (1.0f + v * (1.0f - logistic(v)))"),
    Sigmoid: Formula("logistic(v)", "w * (1.0f - w)", by_result=True),
    Softplus: _softplus,
    Sqrt: Formula("sqrtf(v)", "0.5f / w", by_result=True),
    Subtract: Formula("v - b", "1.0f", "-1.0f"),
    Tanh: Formula("tanhf(v)", "(1.0f - w) * (1.0f + w)", by_result=True),
}


def formulas_of(operator: Operator, specs: tuple[Spec | None, ...]) -> tuple[Formula, ...] | None:
    """How an operator or a chain is computed on inputs of one shape; None where it is not."""
    parts = operator.parts if type(operator) is Chain else (operator,)
    found = [FORMULAS.get(type(part)) for part in parts]
    if len({spec for spec in specs if spec is not None}) != 1 or None in found:
        return None
    return tuple(
        f if isinstance(f, Formula) else f(part)
        for f, part in zip(found, parts, strict=True)
        if f is not None
    )


def written(formulas: tuple[Formula, ...], adds: frozenset[int] = frozenset()) -> str:
    """The source of a chain, with kernels ``forward`` and ``backward``.

    Args:
        formulas: of its operators, in order.
        adds: the positions of the inputs whose gradient is added to what lies there.
    """
    others = [number for number, formula in enumerate(formulas) if formula.other]
    names = ["x", *[f"b{number}" for number in others]]
    given = "".join(f"const T* {name}, " for name in names)
    steps = []
    for number, formula in enumerate(formulas):
        second = f"float b = widened(b{number}[at]); " if formula.other else ""
        steps.append(
            f"        float v{number + 1};\n"
            f"        {{ float v = v{number}; {second}v{number + 1} = {formula.result}; }}\n"
        )
    results = "".join(f"T* d{name}, " for name in names)
    single = len(formulas) == 1 and formulas[0].by_result
    back = []
    for number, formula in reversed(list(enumerate(formulas))):
        second = f"float b = widened(b{number}[at]); " if formula.other else ""
        share = ""
        if formula.other:
            position = names.index(f"b{number}")
            share = _stored(f"db{number}", f"g * ({formula.other})", position in adds)
        back.append(
            f"        {{ float v = v{number}, w = v{number + 1}; {second}{share}"
            f"g *= {formula.slope if ' ? ' not in formula.slope else f'({formula.slope})'}; }}\n"
        )
    last = len(formulas)
    begin = "        float v0 = widened(x[at]);\n"
    # y may stand in for x, and for what lies between
    beside = "        float v1 = widened(x[at]), v0 = v1;\n"
    again = beside if single else begin + "".join(steps)
    loop = "    for (Int at = FIRST; at < size; at += STRIDE) {\n"
    return (
        f"{source('elementwise.cuh')}\n"
        f"KERNEL forward({given}T* y, Int size) {{\n{loop}{begin}{''.join(steps)}"
        f"        y[at] = narrowed(v{last});\n    }}\n}}\n"
        f"KERNEL backward({given}const T* dy, {results}Int size) {{\n{loop}"
        f"{again}        float g = widened(dy[at]);\n{''.join(back)}"
        f"        {_stored('dx', 'g', 0 in adds)}\n    }}\n}}\n"
    )


def _stored(name: str, value: str, adds: bool) -> str:
    before = f"widened({name}[at]) + " if adds else ""
    return f"if ({name}) {name}[at] = narrowed({before}{value}); "


class CudaElementwise(CudaKernel):
    """A chain of elementwise operators on inputs of one shape; one operator is a chain too."""

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        formulas = formulas_of(operator, specs)
        assert formulas is not None, "only what has formulas gets here"
        self._formulas = formulas
        self._size = math.prod(known(*x.shape))
        self._by_result = len(formulas) == 1 and formulas[0].by_result
        count = len(specs)
        self.terms = Terms(
            inputs=(SAME,) * count,
            outputs=(SAME,),
            reads=() if self._by_result else tuple(range(count)),
            keeps=(0,) if self._by_result else (),
            over=((0, 0),),
            over_gradient=((0, 0),),
            adds=tuple(range(count)),
        )

    def bind_forward(self, memory: Memory) -> Call:
        text = written(self._formulas)
        return self._walked(text, "forward", (*memory.inputs, memory.outputs[0]))

    def bind_backward(self, memory: Memory) -> Call:
        text = written(self._formulas, memory.adds)
        given = memory.outputs if self._by_result else memory.inputs
        return self._walked(text, "backward", (*given, memory.doutputs[0], *memory.dinputs))

    def _walked(self, text: str, name: str, arrays: tuple[Any, ...]) -> Call:
        launch = self.device.function(text, name, self._options)
        return partial(launch, grid_of(self.device, self._size), (LINE,), (*arrays, self._size))
