"""Elementwise operators and chains of them: one kernel each, its source written for the chain.

Backward computes what lies between again, in registers, from what came in.
"""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda.device import Device, source, walked
from graphnet.kernels.cuda.formulas import Formula, formulas_of
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.placed import SAME, Call, Memory, Terms
from ops.operator import Operator, Spec, known

__all__ = ["CudaElementwise", "written"]


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
        return walked(self.device, text, name, self._options, self._size, *arrays, self._size)
