"""Softmax and its logarithm along any axis."""

from __future__ import annotations

from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import CudaKernel, Rows
from graphnet.kernels.placed import SAME, Call, Memory, Terms
from graphnet.kernels.wide import inner
from ops.operator import Operator, Spec, normalize_axis
from ops.softmax import LogSoftmax, Softmax

__all__ = ["CudaSoftmax"]


class CudaSoftmax(CudaKernel):
    """One softmax, or log-softmax, of known shape."""

    file = "softmax.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        operator = inner(operator)
        assert isinstance(operator, Softmax | LogSoftmax), "the provider sees to it"
        (x,) = specs
        assert x is not None, "infer saw to it"
        self._axis = normalize_axis(operator.axis, x.rank)
        self._logarithm = isinstance(operator, LogSoftmax)
        self.terms = Terms(
            inputs=(SAME,),
            outputs=(SAME,),
            keeps=(0,),
            over=((0, 0),),
            over_gradient=((0, 0),),
        )

    def bind_forward(self, memory: Memory) -> Call:
        return self._bound_rows("softmax", memory.inputs[0], memory.outputs[0])

    def bind_backward(self, memory: Memory) -> Call:
        arrays = memory.outputs[0], memory.doutputs[0], memory.dinputs[0]
        return self._bound_rows("softmax_backward", *arrays)

    def _bound_rows(self, name: str, *arrays: Any) -> Call:
        rows = Rows.along(arrays[0], self._axis)
        return self.lined(name, rows, *arrays, rows.count, rows.size, rows.inner, self._logarithm)
