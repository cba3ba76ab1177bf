"""Pooling over two spatial axes, and the mean over all positions, channels last."""

from __future__ import annotations

import math

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import ACROSS, DOWN, CudaKernel
from graphnet.kernels.placed import LAST, Call, Memory, Terms
from ops.operator import Spec, known
from ops.pooling import AvgPool, GlobalAvgPool, MaxPool

__all__ = ["CudaAvgPool", "CudaGlobalAvgPool", "CudaMaxPool", "is_flat"]

#: How many positions of a window a byte tells apart.
BYTE = 256


def is_flat(operator: AvgPool | MaxPool, x: Spec) -> bool:
    """Whether there are two spatial axes, and windows whose positions a byte tells apart."""
    return x.rank == 4 and math.prod(operator.windows(x).kernel) <= BYTE


class _Pool(CudaKernel):
    file = "pooling.cu"

    def __init__(
        self, device: Device, operator: AvgPool | MaxPool, specs: tuple[Spec | None, ...]
    ) -> None:
        super().__init__(device, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        (y,) = self.results
        self._inputs, self._outputs = (math.prod(known(*s.shape)) for s in (x, y))
        windows = operator.windows(x)
        begins = tuple(begin for begin, _ in windows.padding)
        self._geometry = (
            *known(*x.shape[2:], *y.shape[2:]), *windows.kernel, *windows.stride, *begins,
            *windows.dilation,
        )  # fmt: skip
        self._channels = known(x.shape[1])[0]


class CudaMaxPool(_Pool):
    """The largest entry of each window; which one it was takes a byte."""

    def __init__(self, device: Device, operator: MaxPool, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        winner = Spec((self._outputs,), "uint8")
        self.terms = Terms(inputs=(LAST,), outputs=(LAST,), extras=(winner,))

    def bind_forward(self, memory: Memory) -> Call:
        return self.walked(
            "max_pool", self._outputs, memory.inputs[0], memory.outputs[0], memory.extras[0],
            self._outputs, self._channels, *self._geometry,
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        return self.walked(
            "max_pool_backward", self._inputs, memory.doutputs[0], memory.extras[0],
            memory.dinputs[0], self._inputs, self._channels, *self._geometry,
        )  # fmt: skip


class CudaAvgPool(_Pool):
    """The mean of each window."""

    def __init__(self, device: Device, operator: AvgPool, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        self._pads = operator.count_include_pad
        self.terms = Terms(inputs=(LAST,), outputs=(LAST,))

    def bind_forward(self, memory: Memory) -> Call:
        return self.walked(
            "avg_pool", self._outputs, memory.inputs[0], memory.outputs[0], self._outputs,
            self._channels, self._pads, *self._geometry,
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        return self.walked(
            "avg_pool_backward", self._inputs, memory.doutputs[0], memory.dinputs[0],
            self._inputs, self._channels, self._pads, *self._geometry,
        )  # fmt: skip


class CudaGlobalAvgPool(CudaKernel):
    """The mean over all positions."""

    file = "pooling.cu"

    def __init__(
        self, device: Device, operator: GlobalAvgPool, specs: tuple[Spec | None, ...]
    ) -> None:
        super().__init__(device, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self._examples, self._channels, *spatial = known(*x.shape)
        self._positions = math.prod(spatial)
        self.terms = Terms(inputs=(LAST,), outputs=(LAST,))

    def bind_forward(self, memory: Memory) -> Call:
        grid = (-(-self._channels // ACROSS) * self._examples,)
        return self.bound(
            "global_avg_pool", grid, (ACROSS, DOWN), memory.inputs[0], memory.outputs[0],
            self._positions, self._channels,
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        size = self._examples * self._channels * self._positions
        return self.walked(
            "global_avg_pool_backward", size, memory.doutputs[0], memory.dinputs[0], size,
            self._positions, self._channels,
        )  # fmt: skip
