"""Convolution, an addition and ReLU as one kernel, whoever computes the convolution.

oneDNN could rectify by itself, but its ReLU makes 0 of a NaN, which would hide that a network
diverges.
"""

from __future__ import annotations

from dataclasses import replace

from graphnet.kernels.compiled.rows import finished, masked
from graphnet.kernels.convolution import ConvKernel
from graphnet.kernels.placed import LAST, Call, Memory, PlacedKernel, first, in_turn, last
from ops.fused import ConvReLU
from ops.operator import Spec, known

__all__ = ["CompiledConvReLU"]


class CompiledConvReLU(PlacedKernel):
    """A convolution and the ReLU behind it.

    Args:
        inner: the kernel of the convolution alone.
    """

    def __init__(
        self,
        inner: ConvKernel,
        operator: ConvReLU,
        specs: tuple[Spec | None, ...],
        threads: int,
    ) -> None:
        super().__init__(operator, specs)
        self._inner = inner
        self.method = inner.method
        self._threads = threads
        (y,) = self.results
        #: Bytes of the gradient that the ReLU lets through.
        (self._through,) = known(y.nbytes)
        self.terms = replace(
            inner.terms,
            inputs=(*inner.terms.inputs, LAST),
            keeps=(0,),
            backward_space=self._through + inner.terms.backward_space,
        )

    def bind_packed(self, memory: Memory) -> Call:
        return self._inner.bind_packed(memory)

    def bind_forward(self, memory: Memory) -> Call:
        *inputs, added = memory.inputs
        inner = replace(memory, inputs=inputs)
        if whole := self._inner.bind_finished(inner, added):
            return whole
        y = last(memory.outputs[0])
        rest = None if added is None else last(added)
        return in_turn(self._inner.bind_forward(inner), finished(y, rest, self._threads))

    def bind_backward(self, memory: Memory) -> Call:
        *dinputs, dadded = memory.dinputs
        dy, y = (last(x) for x in (memory.doutputs[0], memory.outputs[0]))
        if dadded is None:
            through = memory.space[: self._through].view("float32").reshape(dy.shape)
        else:
            through = last(dadded)
        calls = [masked(y, dy, through, self._threads)]
        if any(d is not None for d in dinputs):
            inner = replace(
                memory,
                inputs=memory.inputs[:-1],
                space=memory.space[self._through :],
                doutputs=[first(through)],
                dinputs=dinputs,
            )
            calls.append(self._inner.bind_backward(inner))
        return in_turn(*calls)
