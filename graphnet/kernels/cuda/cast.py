"""The same entries in another type."""

from __future__ import annotations

import math

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import DTYPES, CudaKernel
from graphnet.kernels.placed import SAME, Call, Memory, Terms
from ops.cast import Cast
from ops.operator import Spec, known

__all__ = ["CudaCast", "is_narrowing"]


def is_narrowing(operator: Cast, x: Spec) -> bool:
    """Whether a cast is served here: from float32 to a narrower type, or back."""
    pair = {operator.dtype, x.dtype}
    return len(pair) == 2 and "float32" in pair and pair <= DTYPES.keys()


class CudaCast(CudaKernel):
    """From float32 to a narrower type, or back."""

    file = "cast.cu"

    def __init__(self, device: Device, operator: Cast, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self._narrows = x.dtype == "float32"
        self._options = DTYPES[operator.dtype if self._narrows else x.dtype]
        self._size = math.prod(known(*x.shape))
        self.terms = Terms(inputs=(SAME,), outputs=(SAME,))

    def bind_forward(self, memory: Memory) -> Call:
        return self._cast(self._narrows, memory.inputs[0], memory.outputs[0])

    def bind_backward(self, memory: Memory) -> Call:
        return self._cast(not self._narrows, memory.doutputs[0], memory.dinputs[0])

    def _cast(self, narrows: bool, x: object, y: object) -> Call:
        return self.walked("narrow" if narrows else "widen", self._size, x, y, self._size)
