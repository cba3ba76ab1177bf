"""Elementwise operators on inputs that broadcast; the gradients of what was spread are sums."""

from __future__ import annotations

import re
from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.formulas import FORMULAS, Formula
from graphnet.kernels.cuda.strided import Strided
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, PlacedKernel, Terms, in_turn
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
    """One operator on two inputs, of which at least one is spread over the other's axes."""

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        formula = CHANNELS.get(type(operator)) or FORMULAS[type(operator)]
        assert isinstance(formula, Formula), "the provider sees to it"
        self.xp = device.xp
        #: The derivatives by both inputs.
        self._result, self._slopes = formula.result, (formula.slope, formula.other)
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
            for shape, whole in zip(self._shapes, self._whole, strict=True)
            if not whole
        ]
        read = re.search(r"\b[vb]\b", " ".join(self._slopes)) is not None
        whole = [i for i in range(2) if self._whole[i]]
        self.terms = Terms(
            inputs=tuple(SAME if each else ROWS for each in self._whole),
            outputs=(SAME if whole else ROWS,),
            reads=(0, 1) if read else (),
            backward_space=max(spaces, default=0),
            over=tuple((0, i) for i in whole),
            # where both are whole, the second gradient would read what the first one replaced
            over_gradient=tuple((i, 0) for i in whole if len(whole) == 1),
            adds=(0, 1),
        )

    def bind_forward(self, memory: Memory) -> Call:
        given = dict(zip("vb", self._aligned(memory.inputs), strict=True))
        return self._strided.mapped(self._result, memory.outputs[0], given)

    def bind_backward(self, memory: Memory) -> Call:
        dy = memory.doutputs[0]
        calls = []
        # what is whole comes last, as it may lie where dy does
        for i in sorted(range(2), key=lambda i: self._whole[i]):
            dx = memory.dinputs[i]
            if dx is None:
                continue
            result, given = self._share(i, dy, memory)
            adds = i in memory.adds
            if self._whole[i]:
                calls.append(self._strided.mapped(result, dx, given, adds=adds))
            else:
                dx = dx if dx.shape == self._shapes[i] else dx.reshape(self._shapes[i])
                calls.append(self._strided.summed(result, dx, given, memory.space, adds=adds))
        return in_turn(*calls)

    def _aligned(self, inputs: Any) -> list[Any]:
        """The inputs with all axes of the result; None where one is not there."""
        pairs = zip(inputs, self._shapes, strict=True)
        return [x if x is None or x.shape == shape else x.reshape(shape) for x, shape in pairs]

    def _share(self, i: int, dy: Any, memory: Memory) -> tuple[str, dict[str, Any]]:
        """What an entry of dy gives to an input, and what that is computed from."""
        slope = self._slopes[i]
        given = {"g": dy}
        for name, x in zip("vb", self._aligned(memory.inputs), strict=True):
            if re.search(rf"\b{name}\b", slope):
                given[name] = x
        return f"g * ({slope})", given
