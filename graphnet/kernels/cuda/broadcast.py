"""Elementwise operators on inputs that broadcast; the gradients of what was spread are sums."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.formulas import FORMULAS, Formula
from graphnet.kernels.cuda.strided import Strided
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, PlacedKernel, Terms, in_turn
from ops.elementwise import Where
from ops.operator import Operator, Spec, known
from ops.rectifier import PReLU

__all__ = ["CudaBroadcast", "is_broadcast"]


#: Those whose second input lies along the channels.
CHANNELS: dict[type[Operator], Formula] = {
    PReLU: Formula("v > 0 ? v : b * v", "v > 0 ? 1.0f : b", "v > 0 ? 0.0f : v"),
}


def is_broadcast(operator: Operator, specs: tuple[Spec | None, ...]) -> bool:
    """Whether an operator has a formula of two inputs, whatever their shapes."""
    formula = FORMULAS.get(type(operator))
    return isinstance(formula, Formula) and bool(formula.other) and None not in specs


class CudaBroadcast(PlacedKernel):
    """One operator on inputs that are spread over each other's axes."""

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        self.xp = device.xp
        self._names, self._result, self._shares = expressions_of(operator)
        shapes = [known(*spec.shape) for spec in specs if spec is not None]
        y = known(*self.results[0].shape)
        self._strided = Strided(device, self.results[0].dtype)
        self._whole = [shape == y for shape in shapes]
        #: Their shapes with all axes of the result.
        self._shapes = [(*[1] * (len(y) - len(shape)), *shape) for shape in shapes]
        if type(operator) in CHANNELS:
            # (C,) -> (1, C, 1, ...), and one for all has as many axes as there are
            self._shapes[1] = (1, *shapes[1], *[1] * (len(y) - 2))[-len(y) :] if y else ()
        spaces = [
            self._strided.sum_bytes(y, [axis for axis, n in enumerate(y) if shape[axis] != n])
            for shape, whole, share in zip(self._shapes, self._whole, self._shares, strict=True)
            if share and not whole
        ]
        floating = [i for i, share in enumerate(self._shares) if share]
        whole = [i for i in floating if self._whole[i]]
        self.terms = Terms(
            inputs=tuple(SAME if each else ROWS for each in self._whole),
            outputs=(SAME if any(self._whole) else ROWS,),
            reads=tuple(
                i for i, name in enumerate(self._names) if any(map(_names(name), self._shares))
            ),
            backward_space=max(spaces, default=0),
            over=tuple((0, i) for i in whole),
            # where several are whole, the second gradient would read what the first one replaced
            over_gradient=tuple((i, 0) for i in whole if len(whole) == 1),
            adds=tuple(floating),
        )

    def bind_forward(self, memory: Memory) -> Call:
        given = dict(zip(self._names, self._aligned(memory.inputs), strict=True))
        return self._strided.mapped(self._result, memory.outputs[0], given)

    def bind_backward(self, memory: Memory) -> Call:
        dy = memory.doutputs[0]
        calls = []
        # what is whole comes last, as it may lie where dy does
        for i in sorted(range(len(self._names)), key=lambda i: self._whole[i]):
            dx, share = memory.dinputs[i], self._shares[i]
            if dx is None:
                continue
            pairs = zip(self._names, self._aligned(memory.inputs), strict=True)
            given = {"g": dy, **{name: x for name, x in pairs if _names(name)(share)}}
            adds = i in memory.adds
            if self._whole[i]:
                calls.append(self._strided.mapped(share, dx, given, adds=adds))
            else:
                dx = dx if dx.shape == self._shapes[i] else dx.reshape(self._shapes[i])
                calls.append(self._strided.summed(share, dx, given, memory.space, adds=adds))
        return in_turn(*calls)

    def _aligned(self, inputs: Any) -> list[Any]:
        """The inputs with all axes of the result; None where one is not there."""
        pairs = zip(inputs, self._shapes, strict=True)
        return [x if x is None or x.shape == shape else x.reshape(shape) for x, shape in pairs]


def expressions_of(operator: Operator) -> tuple[str, str, tuple[str, ...]]:
    """The names of the inputs, the result, and what of its gradient ``g`` each input gets."""
    if type(operator) is Where:
        return "cvb", "c ? v : b", ("", "c ? g : 0.0f", "c ? 0.0f : g")
    formula = CHANNELS.get(type(operator)) or FORMULAS[type(operator)]
    assert isinstance(formula, Formula), "the provider sees to it"
    return "vb", formula.result, tuple(f"g * ({s})" for s in (formula.slope, formula.other))


def _names(name: str) -> Callable[[str], bool]:
    """Whether an expression has a name in it."""
    return lambda expression: re.search(rf"\b{name}\b", expression) is not None
