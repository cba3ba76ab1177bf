"""Dropout by counters; the way back draws the same numbers again."""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.placed import ROWS, Call, Memory, Terms, in_turn
from ops.dropout import Dropout
from ops.operator import Spec, known
from ops.random import draws

__all__ = ["CudaDropout"]


class CudaDropout(CudaKernel):
    """One dropout of known shape."""

    file = "dropout.cu"

    def __init__(self, device: Device, operator: Dropout, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self._probability = operator.probability
        self._size = math.prod(known(*x.shape))
        # which numbers an entry gets is told by its place in the order of the axes
        self.terms = Terms(
            inputs=(ROWS, ROWS, ROWS),
            outputs=(ROWS, ROWS, ROWS),
            extras=(Spec((2,), "uint64"),),
            over=((0, 0),),
            over_gradient=((0, 0),),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, key, counter = memory.inputs
        y, new_key, new_counter = memory.outputs
        (used,) = memory.extras
        return in_turn(
            self.bound(
                "advance", (1,), (1,), key, counter, new_key, new_counter, used, draws(self._size)
            ),
            self._drop(x, used, y),
        )

    def bind_backward(self, memory: Memory) -> Call:
        return self._drop(memory.doutputs[0], memory.extras[0], memory.dinputs[0])

    def _drop(self, x: object, used: Any, y: object) -> Call:
        return self.walked(
            "dropout", -(-self._size // 4), x, used[:1], used[1:], y, self._size, self._probability
        )
